//! What the node does again and again: peers, jobs, deadlines.

use std::{
    collections::BTreeMap,
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};

use bitcoin::secp256k1::PublicKey;
use guildmint_gateway::node::Peer;
use lightning::{events::EventsProvider as _, ln::msgs::SocketAddress};

use super::{
    events::{Dial, Job},
    Parts,
};
use crate::convert;

/// How often it is looked whether all peers are connected; a lost connection is noticed at once.
const PEERS_EVERY: Duration = Duration::from_secs(5);
/// The first pause before a peer that could not be reached is tried again; each is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// How often the node is announced, if it has public channels.
const ANNOUNCE_EVERY: Duration = Duration::from_secs(3600);
/// How often it is asked whether to stop when there is no work.
const IDLE: Duration = Duration::from_millis(200);

/// Addresses of a node at which it is tried to be reached. Further ones are not.
const MAX_ADDRESSES: usize = 4;

/// When a peer is tried again.
struct Retry {
    at: Instant,
    pause: Duration,
}

impl Parts {
    /// Does LDK's jobs until it is stopped.
    pub(super) fn run_jobs(&self, jobs: &Receiver<Job>) {
        self.run_each(jobs, |job| self.work(job));
    }

    /// Reaches nodes until it is stopped.
    pub(super) fn run_dials(&self, dials: &Receiver<Dial>) {
        self.run_each(dials, |dial| self.reach(&dial));
    }

    /// Has LDK tell of answers to questions for invoices, until it is stopped.
    pub(super) fn run_answers(&self, answered: &Receiver<()>) {
        let handler = |event| self.handle(event);
        self.run_each(answered, |()| self.manager.process_pending_events(&handler));
    }

    fn run_each<T>(&self, waiting: &Receiver<T>, work: impl Fn(T)) {
        while !self.stop.is_set() {
            match waiting.recv_timeout(IDLE) {
                Ok(one) => work(one),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn work(&self, job: Job) {
        match job {
            Job::Fund {
                temporary,
                peer,
                amount_sat,
                script,
                channel,
            } => self.fund(temporary, peer, amount_sat, &script, channel),
            Job::Judge {
                temporary,
                peer,
                amount_sat,
            } => self.judge(temporary, peer, amount_sat),
            Job::Bump(event) => self.bumper.handle_event(&event),
            Job::TakeOwn(preimage) => self.manager.claim_funds(preimage),
            Job::FailBack(hash) => {
                let hash = convert::ldk_hash(hash);
                self.manager.fail_htlc_backwards(&hash);
            }
        }
    }

    fn reach(&self, Dial { node, addresses }: &Dial) {
        for address in addresses.iter().take(MAX_ADDRESSES) {
            if self.stop.is_set() {
                return;
            }
            let peer = Peer {
                id: convert::node_id(node),
                address: address.to_string(),
            };
            match self.net.connect(&peer) {
                Ok(()) => return,
                Err(error) => tracing::debug!(%error, "a node is not reached"),
            }
        }
    }

    /// Keeps peers with channels connected, and announces the node.
    pub(super) fn run_peers(&self) {
        let mut retries: BTreeMap<PublicKey, Retry> = BTreeMap::new();
        let mut announced: Option<Instant> = None;
        while !self.stop.is_set() {
            self.connect_all(&mut retries);
            if announced.is_none_or(|at| at.elapsed() >= ANNOUNCE_EVERY) && self.announce() {
                announced = Some(Instant::now());
            }
            self.watch.wait(PEERS_EVERY);
        }
    }

    fn connect_all(&self, retries: &mut BTreeMap<PublicKey, Retry>) {
        let peers = match self.rows.peers() {
            Ok(peers) => peers,
            Err(error) => return tracing::error!(%error, "peers cannot be read"),
        };
        let channels = self.manager.list_channels();
        let wanted = |key: &PublicKey| {
            let mut wanted = channels.iter().map(|channel| channel.counterparty.node_id);
            wanted.any(|peer| peer == *key)
        };
        for (id, address) in peers {
            let Ok(key) = convert::public_key(id) else {
                continue;
            };
            if self.stop.is_set() {
                return;
            }
            let is_early = retries
                .get(&key)
                .is_some_and(|retry| Instant::now() < retry.at);
            if is_early || self.watch.is_connected(&key) || !wanted(&key) {
                continue;
            }
            match self.net.connect(&Peer { id, address }) {
                Ok(()) => {
                    retries.remove(&key);
                }
                Err(error) => {
                    tracing::info!(%error, "a peer with channels is not reached");
                    let before = retries.get(&key).map(|retry| retry.pause);
                    let pause = before.map_or(FIRST_PAUSE, |pause| (pause * 2).min(LONGEST_PAUSE));
                    let at = Instant::now() + pause;
                    retries.insert(key, Retry { at, pause });
                }
            }
        }
    }

    /// Whether there was something to announce.
    fn announce(&self) -> bool {
        let channels = self.manager.list_channels();
        let addresses: Vec<SocketAddress> = self
            .config
            .announced
            .iter()
            .filter_map(|text| text.parse().ok())
            .collect();
        if addresses.is_empty()
            || !channels
                .iter()
                .any(|channel| channel.is_announced && channel.is_usable)
        {
            return false;
        }
        let mut alias = [0; 32];
        let bytes = self.config.alias.as_bytes();
        let length = bytes.len().min(alias.len());
        alias[..length].copy_from_slice(&bytes[..length]);
        self.peers
            .broadcast_node_announcement([0; 3], alias, addresses);
        true
    }

    /// After each look at the chain.
    pub(super) fn tend_held(&self) {
        let height = self.manager.current_best_block().height;
        if let Err(error) = self.expire(height) {
            tracing::error!(%error, "held payments cannot be read");
        }
    }
}
