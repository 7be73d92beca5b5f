//! What the handle of the network and the task behind it share: the state of each peer, and the counters.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use guildmint_core::PeerId;

use crate::config::NetId;
use crate::direct::Outbox;
use crate::hello::{Hello, Instance};
use crate::instances::Instances;
use crate::pace::{Pace, Paces};

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
    /// How long it was made to wait so far, in milliseconds, because it sends more than a guardian has to (SPEC NET-7).
    pub slowed_ms: u64,
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
    me: PeerId,
    /// Which process of ours this is.
    instance: Instance,
    others: BTreeMap<NetId, PeerId>,
    entries: Mutex<BTreeMap<PeerId, Entry>>,
    acquaintance: Mutex<Acquaintance>,
    paces: Paces,
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

/// What handshakes told, also those of connections that were refused then.
#[derive(Debug, Default)]
struct Acquaintance {
    /// Where we listen, to be told.
    listens: Vec<String>,
    instances: Instances,
    /// Where each peer says that it listens.
    places: BTreeMap<PeerId, Vec<String>>,
    /// Guardians that run twice, and who says so; not handed on yet.
    news: BTreeSet<(PeerId, PeerId)>,
}

impl Peers {
    pub(crate) fn new(me: PeerId, instance: Instance, others: BTreeMap<NetId, PeerId>) -> Self {
        let entries = others.values().map(|peer| (*peer, Entry::default()));
        Self {
            me,
            instance,
            entries: Mutex::new(entries.collect()),
            paces: others
                .values()
                .map(|peer| (*peer, Arc::new(Pace::new())))
                .collect(),
            others,
            acquaintance: Mutex::default(),
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

    fn acquaintance(&self) -> MutexGuard<'_, Acquaintance> {
        // As above.
        self.acquaintance
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The pace of a node. Strangers have one each time, and are refused anyway.
    pub(crate) fn pace(&self, of: &NetId) -> Arc<Pace> {
        let peer = self.others.get(of);
        let pace = peer.and_then(|peer| self.paces.get(peer));
        pace.cloned().unwrap_or_else(|| Arc::new(Pace::new()))
    }

    /// From now on others are told that we listen there.
    pub(crate) fn set_listens(&self, listens: Vec<String>) {
        self.acquaintance().listens = listens;
    }

    /// What to say to the node of this name in a handshake.
    pub(crate) fn hello(&self, to: &NetId) -> Hello {
        let acquaintance = self.acquaintance();
        let twice = |peer| {
            let instances = &acquaintance.instances;
            instances.runs_twice(peer, Instant::now())
        };
        Hello {
            instance: self.instance,
            listens: acquaintance.listens.clone(),
            sees_you_twice: self.others.get(to).is_some_and(|peer| twice(*peer)),
        }
    }

    /// What a node said in a handshake that began then. What strangers say counts for nothing.
    pub(crate) fn heard(&self, from: &NetId, hello: Hello, began: Instant) {
        let Some(peer) = self.others.get(from).copied() else {
            return;
        };
        let mut acquaintance = self.acquaintance();
        let now = Instant::now();
        if acquaintance
            .instances
            .heard(peer, hello.instance, began, now)
        {
            acquaintance.news.insert((peer, self.me));
        }
        if hello.sees_you_twice {
            acquaintance.news.insert((self.me, peer));
        }
        acquaintance.places.insert(peer, hello.listens);
    }

    /// The process of a guardian that was heard last.
    pub(crate) fn instance(&self, peer: PeerId) -> Option<Instance> {
        self.acquaintance().instances.last(peer)
    }

    /// Where a guardian says that it listens.
    pub(crate) fn places(&self, peer: PeerId) -> Vec<String> {
        let acquaintance = self.acquaintance();
        acquaintance.places.get(&peer).cloned().unwrap_or_default()
    }

    /// Who was found to run twice, and by whom, since this was asked last.
    pub(crate) fn take_news(&self) -> BTreeSet<(PeerId, PeerId)> {
        std::mem::take(&mut self.acquaintance().news)
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
            slowed_ms: self.slowed_ms(*peer),
        };
        self.entries().iter().map(status).collect()
    }

    fn slowed_ms(&self, peer: PeerId) -> u64 {
        let slowed = self.paces.get(&peer).map(|pace| pace.slowed());
        slowed.map_or(0, |slowed| {
            u64::try_from(slowed.as_millis()).unwrap_or(u64::MAX)
        })
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
