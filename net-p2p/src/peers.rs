//! What the handle of the network and the task behind it share: the state of each peer, and the counters.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use guildmint_core::PeerId;

use crate::direct::Outbox;

/// How things stand with one peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerStatus {
    /// Which guardian.
    pub peer: PeerId,
    /// Whether it can be reached by gossip and directly.
    pub connected: bool,
    /// The remote address of the connection.
    pub address: Option<String>,
    /// The latest ping's round trip, in milliseconds. A connection that does not answer is closed.
    pub round_trip_ms: Option<u32>,
}

/// What the network had to refuse or drop since it was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Inbound connections that failed: strangers, other sessions, garbage, timeouts, second connections.
    pub refused: u64,
    /// Messages of ours that did not go out: no connection, no room in the queue, or too large.
    pub unsent: u64,
    /// Bytes written to connections, all of them.
    pub sent_bytes: u64,
    /// Gossiped messages of others that were dropped because [`Events`](crate::Events) was not read in time.
    pub unread: u64,
}

#[derive(Debug)]
pub(crate) struct Peers {
    entries: Mutex<BTreeMap<PeerId, Entry>>,
    pub(crate) refused: AtomicU64,
    pub(crate) unsent: AtomicU64,
    pub(crate) unread: AtomicU64,
    pub(crate) sent_bytes: Arc<AtomicU64>,
}

#[derive(Debug, Default)]
struct Entry {
    ready: bool,
    address: Option<String>,
    round_trip_ms: Option<u32>,
    outbox: Option<Outbox>,
}

impl Peers {
    pub(crate) fn new(peers: impl Iterator<Item = PeerId>) -> Self {
        Self {
            entries: Mutex::new(peers.map(|peer| (peer, Entry::default())).collect()),
            refused: AtomicU64::new(0),
            unsent: AtomicU64::new(0),
            unread: AtomicU64::new(0),
            sent_bytes: Arc::default(),
        }
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<PeerId, Entry>> {
        // An entry is valid after every single assignment, whoever panicked in between.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update(&self, peer: PeerId, change: impl FnOnce(&mut Entry)) {
        self.entries().get_mut(&peer).map(change);
    }

    pub(crate) fn attach(&self, peer: PeerId, outbox: Outbox) {
        self.update(peer, |entry| entry.outbox = Some(outbox));
    }

    pub(crate) fn detach(&self, peer: PeerId) {
        self.update(peer, |entry| *entry = Entry::default());
    }

    pub(crate) fn set_address(&self, peer: PeerId, address: String) {
        self.update(peer, |entry| entry.address = Some(address));
    }

    pub(crate) fn set_ready(&self, peer: PeerId) {
        self.update(peer, |entry| entry.ready = true);
    }

    pub(crate) fn set_round_trip(&self, peer: PeerId, ms: u32) {
        self.update(peer, |entry| entry.round_trip_ms = Some(ms));
    }

    /// The queue of the connection to `peer`, if there is one.
    pub(crate) fn outbox(&self, peer: PeerId) -> Option<Outbox> {
        self.entries().get(&peer)?.outbox.clone()
    }

    pub(crate) fn status(&self) -> Vec<PeerStatus> {
        let status = |(peer, entry): (&PeerId, &Entry)| PeerStatus {
            peer: *peer,
            connected: entry.ready,
            address: entry.address.clone(),
            round_trip_ms: entry.round_trip_ms,
        };
        self.entries().iter().map(status).collect()
    }

    pub(crate) fn counters(&self) -> Counters {
        Counters {
            refused: self.refused.load(Ordering::Relaxed),
            unsent: self.unsent.load(Ordering::Relaxed),
            unread: self.unread.load(Ordering::Relaxed),
            sent_bytes: self.sent_bytes.load(Ordering::Relaxed),
        }
    }
}
