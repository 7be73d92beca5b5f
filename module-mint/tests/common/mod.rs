//! A federation and a wallet, with agreed rows in memory.
#![allow(dead_code, clippy::unwrap_used)]

use std::{collections::BTreeMap, sync::OnceLock};

use bitcoin::Network;
use guildmint_core::{
    ledger::{Ledger, Memory, Scope, Space, View},
    module::{At, Charge, Federation, Later, Query, Reject, ServerModule, Spent},
    Audit, Epoch, FederationId, ModuleId, OutPoint, PeerId, Quorum, TxId,
};
use guildmint_mint::{
    client::{MasterSeed, MintClient, NoteRequest, SpendableNote},
    dealer, Bytes, Denomination, Mint, MintConfig, MintOutput, MintSecret, Note, PointBytes,
};
use rand_chacha::{rand_core::SeedableRng, ChaCha20Rng};
use serde_json::Value as Json;

pub const FEDERATION: FederationId = FederationId([7; 32]);
pub const MODULE: ModuleId = ModuleId(3);
pub const SCOPE: Scope = Scope::module(Space::Agreed, MODULE);
const LOCAL: Scope = Scope::module(Space::Local, MODULE);
const AT: At = At {
    epoch: Epoch(1),
    height: 100,
    version: 1,
};

/// Denominations that the test federation has.
pub const DENOMINATIONS: u8 = 4;

pub fn quorum() -> Quorum {
    Quorum::new(4).unwrap()
}

pub fn denomination(exponent: u8) -> Denomination {
    Denomination::new(exponent).unwrap()
}

/// Keys of a federation of four, dealt once.
pub fn keys() -> &'static (MintConfig, Vec<MintSecret>) {
    static KEYS: OnceLock<(MintConfig, Vec<MintSecret>)> = OnceLock::new();
    KEYS.get_or_init(|| {
        let rng = &mut ChaCha20Rng::seed_from_u64(1);
        dealer::deal(quorum(), (0..DENOMINATIONS).map(denomination), rng).unwrap()
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

pub fn client(seed: u8) -> MintClient {
    let seed = MasterSeed::new([seed; 64]);
    MintClient::new(FEDERATION, MODULE, quorum(), keys().0.clone(), &seed).unwrap()
}

pub struct World {
    pub guardians: BTreeMap<PeerId, Mint>,
    pub client: MintClient,
    pub rows: Memory,
}

impl World {
    pub fn new() -> Self {
        Self::with(keys().0.clone())
    }

    pub fn with(config: MintConfig) -> Self {
        let secrets = keys().1.clone();
        let build = |(me, secret): (PeerId, MintSecret)| {
            let mint = Mint::new(guardian(me), config.clone(), secret);
            (me, mint.unwrap())
        };
        Self {
            guardians: quorum().peers().zip(secrets).map(build).collect(),
            client: client(1),
            rows: Memory::default(),
        }
    }

    pub fn mint(&self) -> &Mint {
        &self.guardians[&PeerId(0)]
    }

    /// Runs one change as a transaction of its own: it is kept if it succeeds.
    fn change<T>(
        &mut self,
        change: impl FnOnce(&Mint, &mut View<'_, '_>) -> Result<T, Reject>,
    ) -> Result<T, Reject> {
        let mut ledger = Ledger::new(&self.rows);
        ledger.begin();
        let result = change(self.mint(), &mut ledger.view(SCOPE));
        if result.is_ok() {
            ledger.keep();
        } else {
            ledger.discard();
        }
        let changes = ledger.finish().unwrap();
        self.rows.apply(changes);
        result
    }

    pub fn view<T>(&self, look: impl FnOnce(&Mint, &View<'_, '_>) -> T) -> T {
        let mut ledger = Ledger::new(&self.rows);
        let result = look(self.mint(), &ledger.view(SCOPE));
        assert!(ledger.finish().unwrap().is_empty());
        result
    }

    /// All stages of an output.
    pub fn accept(&mut self, output: &MintOutput) -> Result<Charge, Reject> {
        let out_point = OutPoint {
            txid: TxId::default(),
            index: 0,
        };
        self.change(|mint, view| {
            mint.check_output(output)?;
            mint.accept(view, output, out_point, AT)
        })
    }

    /// All stages of an input.
    pub fn spend(&mut self, note: &Note) -> Result<Spent, Reject> {
        self.change(|mint, view| {
            let key = mint.check_input(note)?;
            if !mint.proofs_hold(&[*note]) {
                return Err(Reject::permanent("bad_proof", "the proof does not hold"));
            }
            let spent = mint.spend(view, note, AT)?;
            assert_eq!(spent.key, key);
            Ok(spent)
        })
    }

    /// Every guardian's share on an output.
    pub fn shares(&self, output: &MintOutput) -> BTreeMap<PeerId, PointBytes> {
        let out_point = OutPoint {
            txid: TxId::default(),
            index: 0,
        };
        let mut ledger = Ledger::new(&self.rows);
        let mut shares = BTreeMap::new();
        for (peer, mint) in &self.guardians {
            let outcome = mint.outcome(&ledger.view(SCOPE), output, out_point, None);
            let outcome = outcome.and_then(Later::get);
            shares.extend(outcome.map(|outcome| (*peer, outcome.share)));
        }
        shares
    }

    /// A note, by all its stages.
    pub fn issue(&mut self, request: NoteRequest) -> SpendableNote {
        let output = self.client.blinded(&[request])[0];
        self.accept(&output).unwrap();
        let finalized = self
            .client
            .finalize(&request, &self.shares(&output))
            .unwrap();
        assert!(finalized.culprits.is_empty());
        finalized.note
    }

    pub fn audit(&self) -> Audit {
        self.view(|mint, view| mint.audit(view))
    }

    pub fn query(&self, path: &str, parameters: &[(&str, &str)]) -> Option<Result<Json, Reject>> {
        let query = Query {
            path: path.to_owned(),
            parameters: parameters
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        };
        let (mut agreed, mut local) = (Ledger::new(&self.rows), Ledger::new(&self.rows));
        let (mint, agreed) = (self.mint(), agreed.view(SCOPE));
        let answer = mint.query(&agreed, &local.view(LOCAL), &query);
        answer.or_else(|| Some(mint.slow_query(&agreed, &query)?.map(Later::get)))
    }
}

/// Encodings of points that no honest party sends: the identity, points outside the subgroup, and no points.
pub fn bad_points() -> Vec<PointBytes> {
    include_str!("../vectors/g1_rejected.txt")
        .lines()
        .filter_map(|line| line.split_whitespace().last()?.parse().ok())
        .collect::<Vec<Bytes<48>>>()
}
