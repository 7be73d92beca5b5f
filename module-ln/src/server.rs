//! The guardians' side of the Lightning module: what is locked, for whom, and until when.

mod contracts;
mod gateways;
mod offers;
mod query;
mod rows;

use bitcoin::secp256k1::XOnlyPublicKey;
use guildmint_core::{
    ledger::{Key, Row, Scope, View},
    module::{
        At, Audit, BuildError, Charge, Fault, Federation, Later, Query, Reject, ServerModule,
        Spent, VerifiedKey,
    },
    Amount, OutPoint, PeerId,
};
use guildmint_tbs::{encryption::DecryptionKey, PublicKey, SecretKeyShare};
use serde_json::Value as Json;

use crate::{
    config::share_index, ContractId, IncomingContract, LnConfig, LnFees, LnInput, LnOutcome,
    LnOutput, LnSecret, Never, Offer, OfferRef, Preimage, Terms, Vouching, Witness, KIND,
};

use rows::{Account, Clock, Closed, OwnVouching, Stored, Totals, Used, Vouched};

/// The Lightning module's server side.
pub struct Ln {
    federation: Federation,
    key: PublicKey,
    fees: LnFees,
    share: SecretKeyShare,
}

/// Shows no secret.
impl std::fmt::Debug for Ln {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ln")
            .field("federation", &self.federation)
            .field("fees", &self.fees)
            .finish_non_exhaustive()
    }
}

impl Ln {
    fn check_incoming(&self, contract: &IncomingContract) -> Result<(), Reject> {
        contracts::has_amount(contract.amount)?;
        match &contract.offer {
            OfferRef::Stored(_) => Ok(()),
            OfferRef::Carried(signed) => offers::check(self.federation.id, signed),
        }
    }

    /// Whether this key is the one that decrypts the offer, and what comes out is no preimage of its hash.
    fn is_undecryptable(&self, offer: &Offer, key: &[u8; 96]) -> bool {
        let ciphertext = offers::ciphertext(self.federation.id, offer);
        let key = DecryptionKey::from_bytes(key).ok();
        ciphertext.zip(key).is_some_and(|(ciphertext, key)| {
            let plain = || Preimage::from(*ciphertext.decrypt(&key)).hash();
            ciphertext.is_key(&self.key, &key) && plain() != offer.hash
        })
    }

    /// ⚠ All that the contract says comes from the offer, but for who has the money back (SPEC LN-3).
    fn fund(
        &self,
        view: &mut View<'_, '_>,
        contract: &IncomingContract,
        out_point: OutPoint,
        at: At,
    ) -> Result<(), Reject> {
        if at.height > contract.valid_until {
            let message = format!(
                "it was to be funded until height {}, and the clock is at {}",
                contract.valid_until, at.height
            );
            return Err(Reject::permanent("too_late", message));
        }
        let offer = offers::take(view, self.federation.id, &contract.offer, at.height)?;
        if contract.amount < offer.amount {
            let message = format!(
                "{} is less than the {} asked for",
                contract.amount, offer.amount
            );
            return Err(Reject::permanent("amount_too_low", message));
        }
        let funding = rows::Funding(offer.id(self.federation.id));
        view.put(&funding, &ContractId::new(out_point));
        let refund_key = contract.refund_key;
        let terms = Terms::Incoming { offer, refund_key };
        contracts::open(view, out_point, contract.amount, terms, at)
    }
}

fn build(federation: Federation, config: LnConfig, secret: LnSecret) -> Result<Ln, String> {
    config
        .validate(federation.quorum)
        .map_err(|error| error.to_string())?;
    let me = share_index(federation.me).ok_or("there is no such guardian")?;
    let share = secret.share;
    if share.index() != me || config.key.share(me) != Some(&share.public_key_share()) {
        return Err(format!("the key share is not that of {}", federation.me));
    }
    Ok(Ln {
        federation,
        key: *config.key.aggregate(),
        fees: config.fees,
        share,
    })
}

impl ServerModule for Ln {
    const KIND: &'static str = KIND;

    type Config = LnConfig;
    type Secret = LnSecret;
    type Input = LnInput;
    type Output = LnOutput;
    type Outcome = LnOutcome;
    type Vote = Vouching;
    type News = Vouching;
    type Job = Never;

    fn new(federation: Federation, config: LnConfig, secret: LnSecret) -> Result<Self, BuildError> {
        build(federation, config, secret).map_err(|problem| BuildError::Contradiction {
            kind: KIND,
            problem,
        })
    }

    fn check_input(&self, input: &LnInput) -> Result<Option<XOnlyPublicKey>, Reject> {
        if let Witness::Forfeit(forfeit) = &input.witness {
            // ⚠ SPEC LN-5: signed over federation and contract, and for this contract.
            if forfeit.contract != input.contract {
                let message = format!("the forfeit is for {}", forfeit.contract);
                return Err(Reject::permanent("wrong_forfeit", message));
            }
            forfeit
                .verify(self.federation.id)
                .map_err(|error| Reject::permanent("wrong_forfeit", error))?;
        }
        Ok(Some(input.key))
    }

    fn proofs_hold(&self, inputs: &[LnInput]) -> bool {
        inputs.iter().all(|input| match &input.witness {
            Witness::Undecryptable {
                offer,
                decryption_key,
            } => self.is_undecryptable(offer, &decryption_key.0),
            Witness::Preimage(_) | Witness::TimedOut | Witness::Forfeit(_) => true,
        })
    }

    fn check_output(&self, output: &LnOutput) -> Result<(), Reject> {
        match output {
            LnOutput::Offer(signed) => offers::check(self.federation.id, signed),
            LnOutput::Incoming(contract) => self.check_incoming(contract),
            LnOutput::Outgoing(contract) => contracts::has_amount(contract.amount),
            LnOutput::Announcement(signed) => signed
                .verify(self.federation.id)
                .map_err(|error| Reject::permanent("bad_announcement", error)),
        }
    }

    fn input_rows(&self, scope: Scope, input: &LnInput) -> Vec<Key> {
        vec![
            Account(input.contract).key(scope),
            Closed(input.contract).key(scope),
        ]
    }

    fn output_rows(&self, scope: Scope, output: &LnOutput) -> Vec<Key> {
        let of_offer = |offer: &Offer| {
            let used = Used(offer.preimage.fingerprint()).key(scope);
            vec![used, rows::OffersOf(offer.hash).key(scope)]
        };
        match output {
            LnOutput::Offer(signed) => of_offer(&signed.offer),
            LnOutput::Incoming(contract) => match &contract.offer {
                OfferRef::Stored(id) => vec![Stored(*id).key(scope)],
                OfferRef::Carried(signed) => {
                    let id = signed.offer.id(self.federation.id);
                    let mut rows = of_offer(&signed.offer);
                    rows.push(Stored(id).key(scope));
                    rows
                }
            },
            LnOutput::Outgoing(_) | LnOutput::Announcement(_) => Vec::new(),
        }
    }

    fn vote(&self, agreed: &View<'_, '_>, local: &View<'_, '_>) -> Option<Vouching> {
        let own = local.get(&OwnVouching(()))?;
        let said = agreed.get(&Vouched(self.federation.me)).unwrap_or_default();
        (own != said).then_some(own)
    }

    fn sighted(&self, local: &mut View<'_, '_>, news: Vouching) {
        local.put(&OwnVouching(()), &news);
    }

    fn tally(
        &self,
        view: &mut View<'_, '_>,
        votes: Vec<(PeerId, Vouching)>,
        _at: At,
    ) -> Vec<Fault> {
        for (peer, vouching) in votes {
            match vouching.gateways.is_empty() {
                true => view.remove(&Vouched(peer)),
                false => view.put(&Vouched(peer), &vouching),
            }
        }
        Vec::new()
    }

    fn spend(&self, view: &mut View<'_, '_>, input: &LnInput, at: At) -> Result<Spent, Reject> {
        Ok(Spent {
            amount: contracts::close(view, input, at)?,
            fee: self.fees.spend,
            key: Some(input.key),
        })
    }

    fn accept(
        &self,
        view: &mut View<'_, '_>,
        output: &LnOutput,
        out_point: OutPoint,
        at: At,
    ) -> Result<Charge, Reject> {
        let (amount, fee) = match output {
            LnOutput::Offer(signed) => {
                offers::store(view, self.federation.id, signed, at.height)?;
                (Amount::ZERO, self.fees.offer)
            }
            LnOutput::Incoming(contract) => {
                self.fund(view, contract, out_point, at)?;
                (contract.amount, self.fees.contract)
            }
            LnOutput::Outgoing(contract) => {
                let terms = Terms::Outgoing(*contract);
                contracts::open(view, out_point, contract.amount, terms, at)?;
                (contract.amount, self.fees.contract)
            }
            LnOutput::Announcement(signed) => {
                gateways::list(view, signed, at.height)?;
                (Amount::ZERO, self.fees.announcement)
            }
        };
        Ok(Charge { amount, fee })
    }

    fn settle(&self, view: &mut View<'_, '_>, at: At) -> Vec<Never> {
        // Time limits pass when the clock moves, and not otherwise.
        if view.get(&Clock(())) != Some(at.height) {
            view.put(&Clock(()), &at.height);
            offers::drop_expired(view, at.height);
            gateways::drop_expired(view, at.height);
        }
        Vec::new()
    }

    fn resume(&self, _agreed: &View<'_, '_>, _local: &View<'_, '_>) -> Vec<Never> {
        Vec::new()
    }

    fn outcome(
        &self,
        _view: &View<'_, '_>,
        output: &LnOutput,
        out_point: OutPoint,
        _asker: Option<VerifiedKey>,
    ) -> Option<Later<LnOutcome>> {
        Some(Later::now(match output {
            LnOutput::Offer(signed) => LnOutcome::Offer(signed.offer.id(self.federation.id)),
            LnOutput::Incoming(_) | LnOutput::Outgoing(_) => {
                LnOutcome::Contract(ContractId::new(out_point))
            }
            LnOutput::Announcement(_) => LnOutcome::Announced,
        }))
    }

    fn audit(&self, view: &View<'_, '_>) -> Audit {
        Audit {
            assets_msat: 0,
            liabilities_msat: view.get(&Totals(())).unwrap_or_default().open_msat,
        }
    }

    fn query(
        &self,
        agreed: &View<'_, '_>,
        _local: &View<'_, '_>,
        query: &Query,
    ) -> Option<Result<Json, Reject>> {
        query::answer(agreed, query)
    }

    fn slow_query(
        &self,
        agreed: &View<'_, '_>,
        query: &Query,
    ) -> Option<Result<Later<Json>, Reject>> {
        self.share(agreed, query)
    }
}
