//! The guardians' side of the mint.

mod query;
mod rows;

use std::collections::BTreeMap;

use guildmint_core::{
    ledger::{Key, Scope, View},
    module::{
        revised, At, BuildError, Charge, Fault, Federation, Later, Query, Reject, ServerModule,
        Spent as Redeemed, VerifiedKey,
    },
    slices::append,
    Audit, OutPoint, PeerId, Row, Wire,
};
use guildmint_tbs::{
    sign_share, verify_batch, BlindedMessage, Message, PreparedPublicKey, SecretKeyShare, Signature,
};
use secp256k1::XOnlyPublicKey;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::{
    config::share_index, spent_prefix, Bytes, Denomination, DenominationTotals, MintConditions,
    MintConfig, MintInput, MintOutcome, MintOutput, MintSecret, Nonce, KIND,
};
use rows::{Counts, Issued, IssuedAt, IssuedEnd, IssuedLeaf, Spent, SpentEnd, SpentLeaf, Totals};

/// The mint: signs notes that consensus has accepted, and takes each back once.
#[derive(Debug)]
pub struct Mint {
    config: MintConfig,
    keys: BTreeMap<Denomination, Keys>,
}

/// What is needed for notes of one denomination.
#[derive(Debug)]
struct Keys {
    aggregate: PreparedPublicKey,
    share: SecretKeyShare,
}

/// The mint has no votes, news or jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = 1)]
pub enum Never {}

impl Mint {
    fn keys(&self, denomination: Denomination) -> Result<&Keys, Reject> {
        self.keys.get(&denomination).ok_or_else(|| {
            let message = format!("the mint has no notes of {denomination}");
            Reject::permanent("unknown_denomination", message)
        })
    }

    /// What counts now of all that may change (SPEC GEN-6).
    fn present(&self, agreed: &View<'_, '_>) -> MintConditions {
        revised(agreed).unwrap_or_else(|| MintConditions::from(&self.config))
    }

    /// A note whose points are decoded strictly (SPEC MIN-3); `None` if they cannot be.
    fn claim(&self, note: &MintInput) -> Option<(&PreparedPublicKey, Message, Signature)> {
        let keys = self.keys.get(&note.denomination)?;
        let signature = Signature::from_bytes(&note.signature.0).ok()?;
        Some((&keys.aggregate, Message::note(&note.nonce.0), signature))
    }
}

fn nonce_key(nonce: &Nonce) -> Result<XOnlyPublicKey, Reject> {
    XOnlyPublicKey::from_slice(&nonce.0).map_err(|_| {
        let message = format!("the nonce {nonce} is not a secp256k1 key");
        Reject::permanent("bad_nonce", message)
    })
}

fn build_keys(
    federation: Federation,
    config: &MintConfig,
    secret: &MintSecret,
) -> Result<BTreeMap<Denomination, Keys>, String> {
    config
        .validate(federation.quorum)
        .map_err(|error| error.to_string())?;
    let me = share_index(federation.me).ok_or("there is no such guardian")?;
    let mut keys = BTreeMap::new();
    for (denomination, public) in &config.keys {
        let share = secret
            .shares
            .get(denomination)
            .ok_or_else(|| format!("the key share for notes of {denomination} is absent"))?;
        if share.index() != me || public.share(me) != Some(&share.public_key_share()) {
            return Err(format!(
                "the key share for notes of {denomination} is not that of {}",
                federation.me
            ));
        }
        let aggregate = public.aggregate().into();
        let share = share.clone();
        keys.insert(*denomination, Keys { aggregate, share });
    }
    Ok(keys)
}

impl ServerModule for Mint {
    const KIND: &'static str = KIND;
    const QUESTIONS: &'static str = include_str!("server/questions.json");

    type Config = MintConfig;
    type Secret = MintSecret;
    type Input = MintInput;
    type Output = MintOutput;
    type Outcome = Option<MintOutcome>;
    type Vote = Never;
    type News = Never;
    type Job = Never;
    type Conditions = MintConditions;

    fn new(
        federation: Federation,
        config: MintConfig,
        secret: MintSecret,
    ) -> Result<Self, BuildError> {
        let keys = build_keys(federation, &config, &secret).map_err(|problem| {
            BuildError::Contradiction {
                kind: KIND,
                problem,
            }
        })?;
        Ok(Self { config, keys })
    }

    fn conditions(&self) -> Option<MintConditions> {
        Some(MintConditions::from(&self.config))
    }

    fn check_conditions(&self, conditions: &MintConditions) -> Result<(), String> {
        self.config.allows(conditions)
    }

    fn check_input(&self, input: &MintInput) -> Result<Option<XOnlyPublicKey>, Reject> {
        self.keys(input.denomination)?;
        nonce_key(&input.nonce).map(Some)
    }

    fn proofs_hold(&self, inputs: &[MintInput]) -> bool {
        // Decoding comes first: outside the subgroup, one check and a batch of checks may disagree.
        let claims: Option<Vec<_>> = inputs.iter().map(|input| self.claim(input)).collect();
        claims.is_some_and(|claims| {
            let batch: Vec<_> = claims
                .iter()
                .map(|(key, message, signature)| (*key, message, signature))
                .collect();
            verify_batch(&batch)
        })
    }

    fn check_output(&self, output: &MintOutput) -> Result<(), Reject> {
        self.keys(output.denomination)?;
        BlindedMessage::from_bytes(&output.blinded.0)
            .map(|_| ())
            .map_err(|error| Reject::permanent("bad_blinded_message", error))
    }

    fn input_rows(&self, scope: Scope, input: &MintInput) -> Vec<Key> {
        vec![Spent(input.nonce).key(scope)]
    }

    fn output_rows(&self, scope: Scope, output: &MintOutput) -> Vec<Key> {
        vec![Issued::new(output).key(scope)]
    }

    fn vote(&self, _agreed: &View<'_, '_>, _local: &View<'_, '_>) -> Option<Never> {
        None
    }

    fn sighted(&self, _local: &mut View<'_, '_>, news: Never) {
        match news {}
    }

    fn tally(&self, _: &mut View<'_, '_>, _: Vec<(PeerId, Never)>, _: At) -> Vec<Fault> {
        Vec::new()
    }

    fn spend(
        &self,
        view: &mut View<'_, '_>,
        input: &MintInput,
        _at: At,
    ) -> Result<Redeemed, Reject> {
        let key = nonce_key(&input.nonce)?;
        let (row, totals) = (Spent(input.nonce), Totals(input.denomination));
        let mut counts = view.get(&totals).unwrap_or_default();
        view.insert(&row, &counts.redeemed).map_err(|_| {
            let message = format!("the note {} has been spent", input.nonce);
            Reject::permanent("note_spent", message)
        })?;
        // More notes than were issued: the key has been stolen or broken. Better to refuse than to pay.
        if counts.redeemed >= counts.issued {
            let message = format!(
                "all {} notes of {} that were ever issued have been redeemed: this one is forged",
                counts.issued, input.denomination
            );
            // A guardian that lags knows fewer notes than there are, so this may pass.
            return Err(Reject::retryable("mint_exhausted", message));
        }
        counts.redeemed += 1;
        view.put(&totals, &counts);
        append(view, &SpentEnd(()), SpentLeaf, spent_prefix(&input.nonce));
        Ok(Redeemed {
            amount: input.amount(),
            fee: self.present(view).input_fee,
            key: Some(key),
        })
    }

    fn accept(
        &self,
        view: &mut View<'_, '_>,
        output: &MintOutput,
        _out_point: OutPoint,
        _at: At,
    ) -> Result<Charge, Reject> {
        let totals = Totals(output.denomination);
        let mut counts = view.get(&totals).unwrap_or_default();
        view.insert(&Issued::new(output), &counts.issued)
            .map_err(|_| {
                let message = format!(
                    "the blinded message {} has been signed; use a new index",
                    output.blinded
                );
                Reject::permanent("already_issued", message)
            })?;
        counts.issued = counts.issued.saturating_add(1);
        view.put(&totals, &counts);
        let place = append(view, &IssuedEnd(()), IssuedLeaf, output.prefix());
        view.put(&IssuedAt(place), output);
        Ok(Charge {
            amount: output.amount(),
            fee: self.present(view).output_fee,
        })
    }

    fn settle(&self, _view: &mut View<'_, '_>, _at: At) -> Vec<Never> {
        Vec::new()
    }

    fn resume(&self, _agreed: &View<'_, '_>, _local: &View<'_, '_>) -> Vec<Never> {
        Vec::new()
    }

    fn outcome(
        &self,
        view: &View<'_, '_>,
        output: &MintOutput,
        _out_point: OutPoint,
        _asker: Option<VerifiedKey>,
    ) -> Option<Later<Option<MintOutcome>>> {
        // SPEC MIN-2: never a share for what consensus has not accepted, whoever asks for it by whatever mistake.
        if !view.contains(&Issued::new(output)) {
            return None;
        }
        let share = self.keys.get(&output.denomination)?.share.clone();
        let blinded = output.blinded;
        Some(Later::slow(move || {
            // Decoded strictly when the transaction was checked (SPEC MIN-3), or it would not have been accepted.
            let blinded = BlindedMessage::from_accepted_bytes(&blinded.0).ok()?;
            let share = Bytes(sign_share(&share, &blinded).to_bytes());
            Some(MintOutcome { share })
        }))
    }

    fn audit(&self, view: &View<'_, '_>) -> Audit {
        let owed_msat: u128 = totals(view).map(|row| row.outstanding_msat()).sum();
        Audit {
            assets_msat: 0,
            // More than fits is more than all bitcoin: a negative balance either way.
            liabilities_msat: u64::try_from(owed_msat).unwrap_or(u64::MAX),
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
        (query.path == "shares").then(|| self.shares(agreed, query))
    }
}

fn totals(view: &View<'_, '_>) -> impl Iterator<Item = DenominationTotals> {
    view.scan::<Totals>()
        .into_iter()
        .map(
            |(Totals(denomination), Counts { issued, redeemed })| DenominationTotals {
                denomination,
                issued,
                redeemed,
            },
        )
}
