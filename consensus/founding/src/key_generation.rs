//! The module that makes all other modules' threshold keys: distributed key generation over consensus (SPEC SET-2, second step,
//! and SET-3).
//!
//! It is the only module of a federation that lives for this alone: its votes are the items of the ceremony, and what is agreed is
//! their order. So a guardian that was away or has lost its database catches up as always, and one that restarts says the
//! same again, since all that it says follows from its seed and the log.
//!
//! The ceremony itself is in `guildmint_tbs::dkg`. Here it is remembered between epochs, next to the length and hash of the log that
//! it has seen: if an epoch was computed and not committed, it is made again from the rows.

mod ceremony;
mod types;

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bitcoin::secp256k1::XOnlyPublicKey;
use guildmint_core::{
    ledger::View,
    module::{
        At, BuildError, Charge, Fault, Federation, Later, NoConditions, Query, Reject,
        ServerModule, Spent, VerifiedKey,
    },
    Audit, OutPoint, PeerId, Row,
};
use guildmint_tbs::{
    dkg::{Event, Item, Params},
    ShareIndex,
};
use serde::{Deserialize, Serialize};
use serde_json::{json, Value as Json};

use ceremony::{Memory, Start};
pub use types::{
    EncodedKey, KeyGenerationConfig, KeyGenerationJob, KeyGenerationNews, KeyGenerationSecret,
    KeyGenerationVote, Never,
};

/// Its name in configs and URLs.
pub const KIND: &str = "key-generation";

/// Items of the ceremony in their order, each with its author. At most four of each guardian.
#[derive(Serialize, Deserialize, Row)]
#[row(table = 1, value = (PeerId, Vec<u8>), resident)]
pub(crate) struct LogItem(pub(crate) u32);

/// How many items there are, and the hash of all of them. One row.
#[derive(Serialize, Deserialize, Row)]
#[row(table = 2, value = (u32, [u8; 32]), resident)]
pub(crate) struct LogEnd;

/// That this guardian's operator wants to wait for no more dealings. One row, local.
#[derive(Serialize, Deserialize, Row)]
#[row(table = 3, value = bool, resident)]
struct Closing;

/// The hash of the config that this guardian has made with the keys. One row, local.
#[derive(Serialize, Deserialize, Row)]
#[row(table = 4, value = [u8; 32], resident)]
struct Confirmed;

/// One guardian's part in the ceremony.
pub struct KeyGeneration {
    start: Start,
    memory: Mutex<Memory>,
}

impl KeyGeneration {
    fn memory(&self, agreed: &View<'_, '_>) -> MutexGuard<'_, Memory> {
        // What is remembered is checked against the rows before each use.
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.follow(&self.start, agreed);
        memory
    }

    fn vote_item(&self, agreed: &View<'_, '_>, local: &View<'_, '_>) -> Option<Item> {
        let mut memory = self.memory(agreed);
        let close = || local.get(&Closing).map(|_| Item::Close);
        let confirm = || local.get(&Confirmed).map(Item::Confirm);
        memory.due(close, confirm)
    }
}

/// The ceremony counts guardians from 1.
fn index(peer: PeerId) -> Option<ShareIndex> {
    ShareIndex::of_guardian(peer.0).ok()
}

fn peer(index: ShareIndex) -> PeerId {
    PeerId(u16::from(index.get()).saturating_sub(1))
}

impl ServerModule for KeyGeneration {
    const KIND: &'static str = KIND;

    type Config = KeyGenerationConfig;
    type Secret = KeyGenerationSecret;
    type Input = Never;
    type Output = Never;
    type Outcome = ();
    type Vote = KeyGenerationVote;
    type News = KeyGenerationNews;
    type Job = KeyGenerationJob;
    type Conditions = NoConditions;

    fn new(
        federation: Federation,
        config: KeyGenerationConfig,
        secret: KeyGenerationSecret,
    ) -> Result<Self, BuildError> {
        let contradiction = |problem: String| BuildError::Contradiction {
            kind: KIND,
            problem,
        };
        if config.guardians.len() != federation.quorum.guardians() {
            return Err(contradiction(
                "not one encryption key for each guardian".into(),
            ));
        }
        // At most 20 guardians.
        let threshold = u16::try_from(federation.quorum.threshold()).unwrap_or(u16::MAX);
        let params = Params::new(config.session.0, threshold, config.guardians, config.keys)
            .map_err(|error| contradiction(error.to_string()))?;
        let start = Start::new(params, &secret, config.session);
        let memory = start.memory();
        let memory = memory.map_err(|error| contradiction(error.to_string()))?;
        if index(federation.me) != Some(memory.me()) {
            return Err(contradiction("the seed is another guardian's".into()));
        }
        let memory = Mutex::new(memory);
        Ok(Self { start, memory })
    }

    fn check_input(&self, input: &Never) -> Result<Option<XOnlyPublicKey>, Reject> {
        match *input {}
    }

    fn proofs_hold(&self, _: &[Never]) -> bool {
        true
    }

    fn check_output(&self, output: &Never) -> Result<(), Reject> {
        match *output {}
    }

    fn vote(&self, agreed: &View<'_, '_>, local: &View<'_, '_>) -> Option<KeyGenerationVote> {
        self.vote_item(agreed, local).map(KeyGenerationVote)
    }

    fn sighted(&self, local: &mut View<'_, '_>, news: KeyGenerationNews) {
        match news {
            KeyGenerationNews::Close => local.put(&Closing, &true),
            KeyGenerationNews::Confirm(hash) => local.put(&Confirmed, &hash),
        }
    }

    fn tally(
        &self,
        view: &mut View<'_, '_>,
        votes: Vec<(PeerId, KeyGenerationVote)>,
        _: At,
    ) -> Vec<Fault> {
        let mut memory = self.memory(view);
        memory.begin();
        let mut faults = Vec::new();
        for (author, KeyGenerationVote(item)) in votes {
            let Some(from) = index(author) else { continue };
            for event in memory.take(view, author, from, item) {
                match event {
                    Event::Fault(fault) if fault.reason.is_cheating() => faults.push(Fault {
                        peer: peer(fault.guardian),
                        kind: fault.reason.to_string(),
                    }),
                    _ => {}
                }
            }
        }
        faults
    }

    fn spend(&self, _: &mut View<'_, '_>, input: &Never, _: At) -> Result<Spent, Reject> {
        match *input {}
    }

    fn accept(
        &self,
        _: &mut View<'_, '_>,
        output: &Never,
        _: OutPoint,
        _: At,
    ) -> Result<Charge, Reject> {
        match *output {}
    }

    fn settle(&self, view: &mut View<'_, '_>, _: At) -> Vec<KeyGenerationJob> {
        self.memory(view).new_job().into_iter().collect()
    }

    fn resume(&self, agreed: &View<'_, '_>, _: &View<'_, '_>) -> Vec<KeyGenerationJob> {
        self.memory(agreed).job().into_iter().collect()
    }

    fn outcome(
        &self,
        _: &View<'_, '_>,
        output: &Never,
        _: OutPoint,
        _: Option<VerifiedKey>,
    ) -> Option<Later<()>> {
        match *output {}
    }

    fn audit(&self, _: &View<'_, '_>) -> Audit {
        Audit::default()
    }

    /// `progress`: how far the ceremony is.
    fn query(
        &self,
        agreed: &View<'_, '_>,
        _: &View<'_, '_>,
        query: &Query,
    ) -> Option<Result<Json, Reject>> {
        if query.path != "progress" {
            return None;
        }
        let memory = self.memory(agreed);
        let progress = memory.progress();
        let peers =
            |list: &[ShareIndex]| -> Vec<PeerId> { list.iter().map(|i| peer(*i)).collect() };
        let mut faults: BTreeMap<u16, Vec<String>> = BTreeMap::new();
        for fault in memory.faults().filter(|fault| fault.reason.is_cheating()) {
            let by = faults.entry(peer(fault.guardian).0).or_default();
            by.push(fault.reason.to_string());
        }
        Some(Ok(json!({
            "phase": progress.phase.to_string(),
            "waiting_for": peers(&progress.waiting_for),
            "dealers": peers(&progress.dealers),
            "closing": peers(&progress.closing),
            "faults": faults,
            "failure": memory.failure(),
        })))
    }
}

impl std::fmt::Debug for KeyGeneration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyGeneration(..)")
    }
}
