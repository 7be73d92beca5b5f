//! A federation of four, a user and a gateway, with agreed rows in memory.
#![allow(dead_code, clippy::unwrap_used)]

use std::{collections::BTreeMap, sync::OnceLock};

use bitcoin::{
    secp256k1::{Keypair, PublicKey},
    Network,
};
use guildmint_core::{
    ledger::{Ledger, Memory, Scope, Space, View},
    module::{At, Charge, Fault, Federation, Later, Query, Reject, ServerModule, Spent},
    Amount, Audit, Bytes, Epoch, FederationId, ModuleId, OutPoint, PeerId, Quorum, TxId,
};
use guildmint_ln::{
    client::LnClient, dealer, Announcement, ContractAnswer, ContractId, FeeSchedule, FundingAnswer,
    GatewaysAnswer, IncomingContract, InvoiceHash, Ln, LnConfig, LnInput, LnOutput, LnSecret,
    LnTerms, OfferRef, OutgoingContract, ShareAnswer, ShareRequest, SignedOffer, Vouching,
};
use rand_chacha::{rand_core::SeedableRng, ChaCha20Rng};
use secp256k1::SECP256K1;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

pub const FEDERATION: FederationId = FederationId([7; 32]);
pub const MODULE: ModuleId = ModuleId(3);
pub const SCOPE: Scope = Scope::module(Space::Agreed, MODULE);
pub const LOCAL: Scope = Scope::module(Space::Local, MODULE);

pub fn quorum() -> Quorum {
    Quorum::new(4).unwrap()
}

pub fn sat(sat: u64) -> Amount {
    Amount::from_sat(sat).unwrap()
}

pub fn key(byte: u8) -> Keypair {
    Keypair::from_seckey_slice(SECP256K1, &[byte; 32]).unwrap()
}

/// The gateway's key.
pub fn gateway() -> Keypair {
    key(77)
}

pub fn keys() -> &'static (LnConfig, Vec<LnSecret>) {
    static KEYS: OnceLock<(LnConfig, Vec<LnSecret>)> = OnceLock::new();
    KEYS.get_or_init(|| {
        let rng = &mut ChaCha20Rng::seed_from_u64(1);
        dealer::deal(quorum(), LnTerms::default(), rng).unwrap()
    })
}

pub fn guardian(me: PeerId) -> Federation {
    Federation {
        id: FEDERATION,
        quorum: quorum(),
        network: Network::Regtest,
        me,
    }
}

pub fn client(seed: u8) -> LnClient {
    LnClient::new(FEDERATION, MODULE, quorum(), keys().0.clone(), &[seed; 64]).unwrap()
}

pub fn announcement(key: &Keypair, number: u64, valid_until: u32) -> Announcement {
    Announcement {
        key: key.x_only_public_key().0,
        node_key: Some(PublicKey::from_keypair(key)),
        swap_only: false,
        api_url: "https://gateway.example.org".into(),
        send_fees: FeeSchedule {
            base: sat(1),
            parts_per_million: 5_000,
        },
        receive_fees: FeeSchedule::default(),
        route_hints: Vec::new(),
        number,
        valid_until,
    }
}

pub struct World {
    pub guardians: BTreeMap<PeerId, Ln>,
    pub rows: Memory,
    pub user: LnClient,
    pub height: u32,
    outputs: u16,
}

impl World {
    pub fn new() -> Self {
        let (config, secrets) = keys().clone();
        let build = |(me, secret): (PeerId, LnSecret)| {
            (me, Ln::new(guardian(me), config.clone(), secret).unwrap())
        };
        let mut world = Self {
            guardians: quorum().peers().zip(secrets).map(build).collect(),
            rows: Memory::default(),
            user: client(1),
            height: 0,
            outputs: 0,
        };
        world.advance(100);
        world
    }

    pub fn ln(&self) -> &Ln {
        &self.guardians[&PeerId(0)]
    }

    pub fn at(&self) -> At {
        At {
            epoch: Epoch(1),
            height: self.height,
            version: 1,
        }
    }

    /// Runs one change as a transaction of its own: it is kept if it succeeds.
    fn change<T>(
        &mut self,
        change: impl FnOnce(&Ln, &mut View<'_, '_>) -> Result<T, Reject>,
    ) -> Result<T, Reject> {
        let mut ledger = Ledger::new(&self.rows);
        ledger.begin();
        let result = change(self.ln(), &mut ledger.view(SCOPE));
        if result.is_ok() {
            ledger.keep();
        } else {
            ledger.discard();
        }
        let changes = ledger.finish().unwrap();
        self.rows.apply(changes);
        result
    }

    /// An epoch in which the clock comes to this height.
    pub fn advance(&mut self, height: u32) {
        self.height = height;
        let at = self.at();
        let settled: Result<(), Reject> = self.change(|ln, view| {
            assert!(ln.settle(view, at).is_empty());
            Ok(())
        });
        settled.unwrap();
    }

    /// All stages of an output.
    pub fn accept(&mut self, output: &LnOutput) -> Result<(OutPoint, Charge), Reject> {
        let (txid, index) = (TxId::default(), self.outputs);
        let out_point = OutPoint { txid, index };
        self.outputs += 1;
        let at = self.at();
        let charge = self.change(|ln, view| {
            ln.check_output(output)?;
            ln.accept(view, output, out_point, at)
        })?;
        Ok((out_point, charge))
    }

    /// All stages of an input.
    pub fn spend(&mut self, input: &LnInput) -> Result<Spent, Reject> {
        let at = self.at();
        self.change(|ln, view| {
            let key = ln.check_input(input)?;
            if !ln.proofs_hold(&[*input]) {
                return Err(Reject::permanent("bad_proof", "the proof does not hold"));
            }
            let spent = ln.spend(view, input, at)?;
            assert_eq!(spent.key, key);
            Ok(spent)
        })
    }

    pub fn vote(&mut self, peer: PeerId, vouching: Vouching) -> Vec<Fault> {
        let at = self.at();
        let votes = vec![(peer, vouching)];
        let tallied = self.change(|ln, view| Ok(ln.tally(view, votes, at)));
        tallied.unwrap()
    }

    pub fn audit(&self) -> Audit {
        let mut ledger = Ledger::new(&self.rows);
        let audit = self.ln().audit(&ledger.view(SCOPE));
        assert!(ledger.finish().unwrap().is_empty());
        audit
    }

    pub fn ask(&self, peer: PeerId, path_and_parameters: &str) -> Option<Result<Json, Reject>> {
        let (path, parameters) = path_and_parameters
            .split_once('?')
            .unwrap_or((path_and_parameters, ""));
        let pairs = parameters
            .split('&')
            .filter_map(|pair| pair.split_once('='));
        let query = Query {
            path: path.to_owned(),
            parameters: pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
        };
        let (mut agreed, mut local) = (Ledger::new(&self.rows), Ledger::new(&self.rows));
        let (ln, agreed) = (&self.guardians[&peer], agreed.view(SCOPE));
        let answer = ln.query(&agreed, &local.view(LOCAL), &query);
        answer.or_else(|| Some(ln.slow_query(&agreed, &query)?.map(Later::get)))
    }

    pub fn answer<T: DeserializeOwned>(&self, path: &str) -> T {
        serde_json::from_value(self.ask(PeerId(0), path).unwrap().unwrap()).unwrap()
    }

    pub fn contract(&self, id: ContractId) -> ContractAnswer {
        self.answer(&format!("contracts/{id}"))
    }

    pub fn funding(&self, offer: &SignedOffer) -> FundingAnswer {
        self.answer(&format!("fundings/{}", offer.offer.id(FEDERATION)))
    }

    pub fn gateways(&self) -> GatewaysAnswer {
        self.answer("gateways")
    }

    /// The user's offer with this index, of 1,000 sat, that expires at height 150.
    pub fn offer(&self, index: u64) -> SignedOffer {
        self.user.offer(index, sat(1_000), 150).unwrap()
    }

    /// What a gateway funds an offer with.
    pub fn incoming(offer: SignedOffer) -> IncomingContract {
        IncomingContract {
            offer: OfferRef::Carried(offer),
            amount: offer.offer.amount,
            refund_key: gateway().x_only_public_key().0,
            valid_until: 110,
        }
    }

    /// Funds it.
    pub fn fund(&mut self, contract: IncomingContract) -> Result<ContractId, Reject> {
        let (out_point, _) = self.accept(&LnOutput::Incoming(contract))?;
        Ok(ContractId::new(out_point))
    }

    /// A contract of the user for the gateway, with the index 9, whose preimage is that of the offer with index 8.
    pub fn pay(&mut self) -> (ContractId, OutgoingContract) {
        let refund = self
            .user
            .refund(9, [0; 32].into(), guildmint_ln::Witness::TimedOut);
        let contract = OutgoingContract {
            hash: self.user.preimage(8).hash(),
            amount: sat(2_000),
            gateway_key: gateway().x_only_public_key().0,
            refund_key: refund.unwrap().key,
            timelock: 200,
            invoice_hash: InvoiceHash::new("lnbcrt1"),
        };
        let (out_point, _) = self.accept(&LnOutput::Outgoing(contract)).unwrap();
        (ContractId::new(out_point), contract)
    }

    /// One guardian's answer to whoever has `key` and asks until a height.
    pub fn share(
        &self,
        guardian: PeerId,
        contract: ContractId,
        expires_at: u32,
        key: &Keypair,
    ) -> Result<Bytes<96>, Reject> {
        let request = ShareRequest {
            contract,
            guardian,
            expires_at,
        };
        let signature = request.sign(FEDERATION, key);
        let answer = self.ask(guardian, &request.path(&signature)).unwrap()?;
        let answer: ShareAnswer = serde_json::from_value(answer).unwrap();
        Ok(answer.share)
    }

    /// All guardians' answers to the gateway.
    pub fn shares(&self, contract: ContractId) -> BTreeMap<PeerId, Bytes<96>> {
        let share = |peer| self.share(peer, contract, self.height, &gateway()).unwrap();
        quorum().peers().map(|peer| (peer, share(peer))).collect()
    }
}

/// An offer of the owner of key 5 whose ciphertext hides something that is no preimage of its hash: what a user who wants to harm a
/// gateway makes.
pub fn garbage(expires_at: u32) -> SignedOffer {
    use guildmint_ln::{EncryptedPreimage, Offer, Preimage};
    use guildmint_tbs::encryption::{encrypt, EphemeralSecret};
    let (hash, amount) = (Preimage::from([1; 32]).hash(), sat(1_000));
    let claim_key = key(5).x_only_public_key().0;
    let data = Offer::associate(FEDERATION, hash, amount, &claim_key, expires_at);
    let secret = EphemeralSecret::from_uniform_bytes(&[6; 64]).unwrap();
    let ciphertext = encrypt(keys().0.key.aggregate(), &[2; 32], &data, &secret);
    let offer = Offer {
        hash,
        amount,
        preimage: EncryptedPreimage::from(&ciphertext),
        claim_key,
        expires_at,
    };
    offer.sign(FEDERATION, &key(5))
}
