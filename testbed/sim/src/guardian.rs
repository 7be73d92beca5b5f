//! One simulated guardian: a node, a disk that can lose power, and what it was told to do.

use std::{collections::BTreeMap, sync::Arc};

use guildmint_core::{
    ledger::{Changes, Key, Memory},
    IdentityKey, PeerId,
};
use guildmint_engine::{
    node::{Action, Event, Ticket},
    Coin, Federation, Node,
};

use crate::setup::Dealt;

/// A guardian in the simulated world.
pub(crate) struct Guardian {
    pub(crate) federation: Arc<Federation>,
    coin: Coin,
    pub(crate) identity: IdentityKey,
    /// `None` while it is down.
    pub(crate) node: Option<Node>,
    /// Counts starts: what was meant for an earlier life does not arrive.
    pub(crate) life: u32,
    /// What survives a crash.
    pub(crate) disk: Memory,
    /// Saves that were begun and may be lost, in order.
    pub(crate) unsynced: BTreeMap<u64, (Ticket, Changes)>,
    next_save: u64,
    /// When the disk has done all that it was asked to.
    pub(crate) disk_free_ms: u64,
    /// How far its clock is ahead of the world's, in milliseconds.
    pub(crate) clock_ahead_ms: u64,
    /// What it has not taken in yet.
    pub(crate) inputs: Vec<Event>,
    /// The time at which it wants to be woken.
    pub(crate) wake_ms: Option<u64>,
    /// How many rows were written since the world began.
    pub(crate) rows_written: u64,
    /// How often it asked its disk for rows.
    pub(crate) loads: u64,
}

impl Guardian {
    pub(crate) fn new(dealt: Dealt) -> Self {
        Self {
            federation: dealt.federation,
            coin: dealt.coin,
            identity: dealt.identity,
            node: None,
            life: 0,
            disk: Memory::default(),
            unsynced: BTreeMap::new(),
            next_save: 0,
            disk_free_ms: 0,
            clock_ahead_ms: 0,
            inputs: Vec::new(),
            wake_ms: None,
            rows_written: 0,
            loads: 0,
        }
    }

    pub(crate) fn me(&self) -> PeerId {
        self.coin.me()
    }

    /// Starts the node on what the disk holds.
    ///
    /// # Panics
    /// If the node refuses its own rows: that is what the simulation is looking for.
    #[allow(clippy::panic)]
    pub(crate) fn start(&mut self, now_ms: u64) -> Vec<Action> {
        self.life += 1;
        self.disk_free_ms = now_ms;
        let resident = self.disk.0.iter().filter(|(key, _)| key.is_resident());
        let resident = Memory(resident.map(|(k, v)| (k.clone(), v.clone())).collect());
        let started = Node::start(
            Arc::clone(&self.federation),
            self.coin.clone(),
            self.identity.clone(),
            resident,
            now_ms + self.clock_ahead_ms,
        );
        match started {
            Ok((node, actions)) => {
                self.node = Some(node);
                actions
            }
            Err(error) => panic!("{} cannot start: {error}", self.me()),
        }
    }

    /// Cuts the power. Of the saves under way the first `synced` reach the disk.
    pub(crate) fn crash(&mut self, synced: usize) {
        self.node = None;
        self.wake_ms = None;
        self.inputs.clear();
        let unsynced = std::mem::take(&mut self.unsynced);
        for (_, changes) in unsynced.into_values().take(synced) {
            self.disk.apply(changes);
        }
    }

    pub(crate) fn begin_save(&mut self, ticket: Ticket, changes: Changes) -> u64 {
        self.next_save += 1;
        self.unsynced.insert(self.next_save, (ticket, changes));
        self.next_save
    }

    /// A save reaches the disk.
    pub(crate) fn finish_save(&mut self, save: u64) -> Option<Ticket> {
        let (ticket, changes) = self.unsynced.remove(&save)?;
        self.rows_written += changes.len() as u64;
        self.disk.apply(changes);
        Some(ticket)
    }

    pub(crate) fn read(&self, keys: &[Key]) -> Vec<(Key, Option<Vec<u8>>)> {
        keys.iter()
            .map(|key| (key.clone(), self.disk.0.get(key).cloned()))
            .collect()
    }
}
