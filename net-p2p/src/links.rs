//! The state of the way to each peer.

use std::time::{Duration, Instant};

use guildmint_core::PeerId;
use libp2p::Multiaddr;

use crate::config::NetId;
use crate::dial;
use crate::network::Channel;

/// A peer that is connected but has not subscribed to our topics by then cannot be reached by gossip: reconnect.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(10);

/// Failures in a row after which a peer is looked for at what are mere hints too: the second dial after a connection has ended.
const HINTS_FROM_ATTEMPT: u32 = 2;

/// What we know of the way to one peer.
pub(crate) struct Link {
    pub(crate) id: NetId,
    pub(crate) addresses: Vec<Multiaddr>,
    /// Where it may be besides, by what it said when it was connected last.
    pub(crate) hints: Vec<Multiaddr>,
    /// Dials in a row that led to nothing.
    pub(crate) attempt: u32,
    pub(crate) state: State,
}

pub(crate) enum State {
    /// Not connected; to be dialled then.
    Waiting { until: Instant },
    /// Being dialled. The peer may come first.
    Dialling,
    /// Connected, but not all of its subscriptions have come.
    Connected {
        since: Instant,
        subscribed: Vec<Channel>,
    },
    /// Gossip reaches it.
    Ready,
}

impl Link {
    /// When something is to be done about it by itself.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match &self.state {
            // Without an address there is nothing to dial.
            State::Waiting { until } => (!self.to_dial().is_empty()).then_some(*until),
            State::Connected { since, .. } => Some(*since + SUBSCRIBE_TIMEOUT),
            State::Dialling | State::Ready => None,
        }
    }

    /// Where to look for it. Hints count once it was looked for where it ought to be and was not there.
    pub(crate) fn to_dial(&self) -> Vec<Multiaddr> {
        let mut all = self.addresses.clone();
        if all.is_empty() || self.attempt >= HINTS_FROM_ATTEMPT {
            let hints = self
                .hints
                .iter()
                .filter(|hint| !self.addresses.contains(hint));
            all.extend(hints.cloned());
        }
        all
    }

    /// Waits before the next attempt, longer each time.
    pub(crate) fn wait(&mut self, me: PeerId, peer: PeerId) {
        self.attempt = self.attempt.saturating_add(1);
        let until = Instant::now() + dial::delay(me, peer, self.attempt);
        self.state = State::Waiting { until };
    }
}

/// The set of this one guardian. Indices are below 20, so every guardian has a bit (`limits::MAX_GUARDIANS`).
pub(crate) fn bit(peer: PeerId) -> u32 {
    1u32.checked_shl(peer.0.into()).unwrap_or(0)
}
