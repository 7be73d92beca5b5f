//! What every module must do, with stories of users who are paid and pay, gateways that do it for them or let them down, offers that hide
//! nothing, and everybody's attempts to have a thing twice.
#![allow(clippy::unwrap_used)]

use bitcoin::secp256k1::{schnorr::Signature, Keypair, Message, PublicKey};
use guildmint_core::{module::Reject, Amount, FederationId, Item, OutPoint, PeerId, Quorum, TxId};
use guildmint_kit::{
    conformance::{Dealt, Subject, World, MODULE},
    rand::{seq::SliceRandom, Rng},
    ChaCha20Rng,
};
use guildmint_ln::{
    client::{open, LnClient, Opened},
    dealer, Announcement, ContractAnswer, ContractId, EncryptedPreimage, FeeSchedule, Forfeit,
    IncomingContract, InvoiceHash, Ln, LnConfig, LnInput, LnOutput, LnTerms, Offer, OfferRef,
    OutgoingContract, Preimage, ShareAnswer, ShareRequest, SignedOffer, Terms, Vouching, Witness,
};
use guildmint_tbs::encryption::{encrypt, EphemeralSecret};
use secp256k1::SECP256K1;

struct People {
    federation: FederationId,
    config: LnConfig,
    user: LnClient,
    height: u32,
    next: u64,
    offers: Vec<(u64, SignedOffer)>,
    /// Contracts that may have been funded, with the index of the user's secrets.
    contracts: Vec<(u64, ContractId)>,
}

fn msat(msat: u64) -> Amount {
    Amount::from_msat(msat).unwrap()
}

fn key(byte: u8) -> Keypair {
    Keypair::from_seckey_slice(SECP256K1, &[byte; 32]).unwrap()
}

fn gateway() -> Keypair {
    key(77)
}

fn sign(key: &Keypair, txid: TxId) -> Signature {
    SECP256K1.sign_schnorr_no_aux_rand(&Message::from_digest(txid.0), key)
}

impl Subject for People {
    type Module = Ln;
    const SEEDS: u64 = 3;
    const EPOCHS: usize = 12;

    fn deal(quorum: Quorum, rng: &mut ChaCha20Rng) -> Dealt<Ln> {
        let mut terms = LnTerms::default();
        terms.fees.contract = msat(3);
        terms.fees.spend = msat(2);
        dealer::deal(quorum, terms, rng).unwrap()
    }

    fn begin(world: &World<Ln>, config: &LnConfig) -> Self {
        let (federation, quorum) = (world.federation(), world.quorum());
        let user = LnClient::new(federation, MODULE, quorum, config.clone(), &[1; 64]);
        Self {
            federation,
            config: config.clone(),
            user: user.unwrap(),
            height: 100,
            next: 0,
            offers: Vec::new(),
            contracts: Vec::new(),
        }
    }

    fn act(&mut self, world: &mut World<Ln>, rng: &mut ChaCha20Rng) {
        self.height += rng.gen_range(0..4);
        for peer in world.quorum().peers() {
            world.tip(peer, self.height - rng.gen_range(0..2));
            if rng.gen_range(0..6) == 0 {
                let keys = [1, 2, 77].map(|byte| key(byte).x_only_public_key().0);
                let count = rng.gen_range(0..3);
                let gateways = keys.choose_multiple(rng, count).copied().collect();
                world.news(peer, &Vouching { gateways });
            }
        }
        self.offer(world, rng);
        self.announce(world, rng);
        for _ in 0..rng.gen_range(0..3) {
            self.fund(world, rng);
            self.pay(world, rng);
        }
        for _ in 0..rng.gen_range(0..4) {
            self.spend(world, rng);
        }
        self.ask(world, rng);
    }
}

impl People {
    /// Makes an offer, which may hide its preimage or not, and perhaps stores it.
    fn offer(&mut self, world: &mut World<Ln>, rng: &mut ChaCha20Rng) {
        let index = self.next;
        self.next += 1;
        let (amount, until) = (
            msat(rng.gen_range(1..5_000)),
            self.height + rng.gen_range(0..6),
        );
        let offer = match rng.gen_range(0..3) {
            0 => self.garbage(index, amount, until),
            _ => self.user.offer(index, amount, until).unwrap(),
        };
        self.offers.push((index, offer));
        if rng.gen() {
            let input = world.pay_in(self.config.fees.offer);
            let output = Item::new(MODULE, &LnOutput::Offer(offer));
            let verdict = world.submit(vec![input], vec![output], |_| vec![None]);
            only(&verdict, &["offer_expired", "ciphertext_used"]);
        }
    }

    fn garbage(&self, index: u64, amount: Amount, expires_at: u32) -> SignedOffer {
        let owner = key(5);
        let (hash, claim_key) = (Preimage::from([1; 32]).hash(), owner.x_only_public_key().0);
        let data = Offer::associate(self.federation, hash, amount, &claim_key, expires_at);
        let mut bytes = [9; 64];
        bytes[..8].copy_from_slice(&index.to_le_bytes());
        let secret = EphemeralSecret::from_uniform_bytes(&bytes).unwrap();
        let ciphertext = encrypt(self.config.key.aggregate(), &[2; 32], &data, &secret);
        let offer = Offer {
            hash,
            amount,
            preimage: EncryptedPreimage::from(&ciphertext),
            claim_key,
            expires_at,
        };
        offer.sign(self.federation, &owner)
    }

    fn announce(&mut self, world: &mut World<Ln>, rng: &mut ChaCha20Rng) {
        let owner = key(rng.gen_range(1..4));
        let announcement = Announcement {
            key: owner.x_only_public_key().0,
            node_key: rng.gen::<bool>().then(|| PublicKey::from_keypair(&owner)),
            swap_only: self.height.is_multiple_of(2),
            api_url: "https://gateway.example.org".into(),
            send_fees: FeeSchedule::default(),
            receive_fees: FeeSchedule::default(),
            route_hints: Vec::new(),
            number: rng.gen_range(1..100),
            valid_until: self.height + rng.gen_range(0..5),
        };
        let signed = announcement.sign(self.federation, &owner);
        let input = world.pay_in(self.config.fees.announcement);
        let output = Item::new(MODULE, &LnOutput::Announcement(signed));
        let verdict = world.submit(vec![input], vec![output], |_| vec![None]);
        let expected = [
            "announcement_old",
            "announcement_shorter",
            "announcement_expired",
        ];
        only(&verdict, &expected);
    }

    /// A gateway funds an offer: one that is stored or that it carries, perhaps again, too late, or with less.
    fn fund(&mut self, world: &mut World<Ln>, rng: &mut ChaCha20Rng) -> Option<()> {
        let (index, offer) = *self.offers.choose(rng)?;
        let stored = OfferRef::Stored(offer.offer.id(self.federation));
        let asked = offer.offer.amount.msat();
        let contract = IncomingContract {
            offer: if rng.gen() {
                OfferRef::Carried(offer)
            } else {
                stored
            },
            amount: msat(asked + rng.gen_range(0..3) - 1),
            refund_key: gateway().x_only_public_key().0,
            valid_until: self.height + rng.gen_range(0..4) - 1,
        };
        let verdict = self.lock(world, contract.amount, &LnOutput::Incoming(contract), index);
        let expected = [
            "too_late",
            "offer_expired",
            "unknown_offer",
            "ciphertext_used",
            "amount_too_low",
            "no_amount",
        ];
        only(&verdict, &expected);
        Some(())
    }

    fn pay(&mut self, world: &mut World<Ln>, rng: &mut ChaCha20Rng) {
        let index = self.next;
        self.next += 1;
        let refund = self
            .user
            .refund(index, [0; 32].into(), Witness::TimedOut)
            .unwrap();
        let contract = OutgoingContract {
            hash: self.user.preimage(index).hash(),
            amount: msat(rng.gen_range(10..5_000)),
            gateway_key: gateway().x_only_public_key().0,
            refund_key: refund.key,
            timelock: self.height + rng.gen_range(0..8),
            invoice_hash: InvoiceHash::new("lnbcrt1"),
        };
        let verdict = self.lock(world, contract.amount, &LnOutput::Outgoing(contract), index);
        only(&verdict, &[]);
    }

    fn lock(
        &mut self,
        world: &mut World<Ln>,
        amount: Amount,
        output: &LnOutput,
        index: u64,
    ) -> Result<TxId, Reject> {
        let price = amount.checked_add(self.config.fees.contract).unwrap();
        let input = world.pay_in(price);
        let output = Item::new(MODULE, output);
        let txid = world.submit(vec![input], vec![output], |_| vec![None])?;
        let contract = ContractId::new(OutPoint { txid, index: 0 });
        self.contracts.push((index, contract));
        Ok(txid)
    }

    /// Somebody spends a contract, with right or without.
    fn spend(&mut self, world: &mut World<Ln>, rng: &mut ChaCha20Rng) -> Option<()> {
        let (index, id) = *self.contracts.choose(rng)?;
        let answer = world
            .query(PeerId(0), &format!("contracts/{id}"), &[])
            .unwrap();
        let answer: ContractAnswer = serde_json::from_value(answer.unwrap()).unwrap();
        let account = answer.account?;
        let (input, by_gateway) = self.input(world, rng, (index, id), &account.terms)?;
        let left = account
            .amount
            .msat()
            .checked_sub(self.config.fees.spend.msat())?;
        // In two parts, or a second attempt would be the same transaction.
        let part = rng.gen_range(0..=left);
        let outputs = vec![world.pay_out(msat(part)), world.pay_out(msat(left - part))];
        let signature = |txid| match (by_gateway, input.witness) {
            (true, _) => sign(&gateway(), txid),
            (false, Witness::Preimage(_)) => self.user.sign_claim(index, txid).unwrap(),
            (false, _) => self.user.sign_refund(index, txid).unwrap(),
        };
        let sign = |txid| vec![Some(signature(txid))];
        let verdict = world.submit(vec![Item::new(MODULE, &input)], outputs, sign);
        let expected = [
            "contract_closed",
            "wrong_preimage",
            "wrong_key",
            "not_timed_out",
            "wrong_witness",
        ];
        only(&verdict, &expected);
        Some(())
    }

    fn input(
        &self,
        world: &mut World<Ln>,
        rng: &mut ChaCha20Rng,
        (index, contract): (u64, ContractId),
        terms: &Terms,
    ) -> Option<(LnInput, bool)> {
        let key = gateway().x_only_public_key().0;
        let of_gateway = |witness| LnInput {
            contract,
            key,
            witness,
        };
        Some(match (terms, rng.gen_range(0..4)) {
            (Terms::Incoming { .. }, 0 | 1) => (self.user.claim(index, contract).unwrap(), false),
            (Terms::Incoming { offer, .. }, _) => match self.opened(world, contract, offer) {
                Opened::Preimage(preimage) => (of_gateway(Witness::Preimage(preimage)), true),
                Opened::Undecryptable(witness) => (of_gateway(witness), true),
            },
            (Terms::Outgoing(_), 0) => {
                let preimage = self.user.preimage(index);
                (of_gateway(Witness::Preimage(preimage)), true)
            }
            (Terms::Outgoing(_), 1) => {
                let forfeit = Forfeit::sign(self.federation, contract, &gateway());
                let witness = Witness::Forfeit(forfeit);
                (self.user.refund(index, contract, witness).unwrap(), false)
            }
            (Terms::Outgoing(_), _) => {
                let refund = self.user.refund(index, contract, Witness::TimedOut);
                (refund.unwrap(), false)
            }
        })
    }

    /// What all guardians' shares make of an offer, for its funder.
    fn opened(&self, world: &mut World<Ln>, contract: ContractId, offer: &Offer) -> Opened {
        let mut shares = std::collections::BTreeMap::new();
        for guardian in world.quorum().peers() {
            let request = ShareRequest {
                contract,
                guardian,
                expires_at: world.height() + 6,
            };
            let signature = request.sign(self.federation, &gateway());
            let parameters = [
                ("expires_at", request.expires_at.to_string()),
                ("signature", signature.to_string()),
            ];
            let path = format!("contracts/{contract}/share");
            let answer = world.query(guardian, &path, &parameters).unwrap().unwrap();
            let answer: ShareAnswer = serde_json::from_value(answer).unwrap();
            shares.insert(guardian, answer.share);
        }
        let (opened, culprits) = open(self.federation, &self.config, offer, &shares).unwrap();
        assert!(culprits.is_empty());
        opened
    }

    fn ask(&self, world: &mut World<Ln>, rng: &mut ChaCha20Rng) {
        world.query(PeerId(0), "clock", &[]).unwrap().unwrap();
        world.query(PeerId(0), "gateways", &[]).unwrap().unwrap();
        if let Some((_, offer)) = self.offers.choose(rng) {
            let id = offer.offer.id(self.federation);
            for path in [
                format!("offers/{}", offer.offer.hash),
                format!("fundings/{id}"),
            ] {
                world.query(PeerId(0), &path, &[]).unwrap().unwrap();
            }
        }
    }
}

fn only<T>(result: &Result<T, Reject>, codes: &[&str]) {
    if let Err(reject) = result {
        assert!(codes.contains(&reject.code.as_str()), "{reject:?}");
    }
}

guildmint_kit::conformance!(People);
