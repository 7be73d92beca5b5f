//! Guardians that lose power, and come back.

use std::collections::BTreeMap;

use guildmint_core::{ledger::Memory, PeerId};
use guildmint_engine::node::Event;
use rand::Rng;

use crate::world::{Delivery, World};

/// A power failure before one certain thing is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// The guardian whose actions are counted, or all of them.
    pub whose: Option<PeerId>,
    /// How many actions are carried out before.
    pub after_actions: u64,
    /// Whether a save that is under way reaches the disk. A save is all or nothing, and there is never more than one.
    pub saves: bool,
}

/// What was done so far, and when it ends.
#[derive(Default)]
pub(crate) struct Power {
    actions: u64,
    by_guardian: BTreeMap<PeerId, u64>,
    outage: Option<Outage>,
}

impl World {
    /// Plans a power failure: of one guardian if its actions are counted, of all otherwise. All are back soon after.
    pub fn plan(&mut self, outage: Outage) {
        self.power.outage = Some(outage);
    }

    /// Whether a planned power failure has happened, or none was planned.
    #[must_use]
    pub fn plan_is_over(&self) -> bool {
        self.power.outage.is_none()
    }

    /// How many actions were carried out so far, by one guardian or all.
    #[must_use]
    pub fn actions(&self, whose: Option<PeerId>) -> u64 {
        let of = |peer| self.power.by_guardian.get(&peer).copied().unwrap_or(0);
        whose.map_or(self.power.actions, of)
    }

    /// Whether a guardian has no power for what it is about to do. Counts what it does.
    pub(crate) fn loses_power_now(&mut self, peer: PeerId) -> bool {
        if self.guardians[usize::from(peer.0)].node.is_none() {
            return true;
        }
        if let Some(outage) = self.power.outage {
            let counted = self.actions(outage.whose);
            if outage.whose.is_none_or(|whose| whose == peer) && counted == outage.after_actions {
                self.power.outage = None;
                self.fail(outage);
                return true;
            }
        }
        self.power.actions += 1;
        *self.power.by_guardian.entry(peer).or_default() += 1;
        false
    }

    fn fail(&mut self, outage: Outage) {
        let synced = if outage.saves { usize::MAX } else { 0 };
        let whose = outage
            .whose
            .map_or_else(|| self.peers(), |whose| vec![whose]);
        for peer in whose {
            self.guardians[usize::from(peer.0)].crash(synced);
            let after_ms = self.rng.gen_range(1..300);
            self.later(after_ms, Delivery::Start(peer));
        }
    }

    /// Stops a guardian for good, or until [`World::start`].
    pub fn stop(&mut self, peer: PeerId) {
        self.guardians[usize::from(peer.0)].crash(usize::MAX);
    }

    /// Starts a stopped guardian.
    pub fn start(&mut self, peer: PeerId) {
        self.start_now(peer);
    }

    /// Takes away all that a stopped guardian has stored.
    pub fn wipe(&mut self, peer: PeerId) {
        self.guardians[usize::from(peer.0)].disk.0.clear();
    }

    /// From now on a guardian that is about to lose its memory counts among the faulty ones.
    pub fn counts_as_faulty(&mut self, peer: PeerId) {
        self.checks.forgetful.insert(peer);
    }

    /// A copy of all that a guardian has stored so far.
    #[must_use]
    pub fn copy_disk(&self, peer: PeerId) -> Memory {
        self.guardians[usize::from(peer.0)].disk.clone()
    }

    /// Gives a stopped guardian another disk.
    pub fn replace_disk(&mut self, peer: PeerId, disk: Memory) {
        self.guardians[usize::from(peer.0)].disk = disk;
    }

    /// Ends all misfortune but Byzantine guardians and clocks that differ.
    pub fn heal(&mut self) {
        let faults = std::mem::take(&mut self.setup.faults);
        self.setup.faults = crate::Faults {
            byzantine: faults.byzantine,
            clock_skew_ms: faults.clock_skew_ms,
            ..crate::Faults::default()
        };
        for peer in self.peers() {
            self.start_now(peer);
        }
    }

    /// All guardians lose power at the same instant, and it comes back one after the other.
    pub fn power_cut(&mut self) {
        for peer in self.peers() {
            let unsynced = self.guardians[usize::from(peer.0)].unsynced.len();
            let synced = self.rng.gen_range(0..=unsynced);
            self.guardians[usize::from(peer.0)].crash(synced);
            let after_ms = self.rng.gen_range(1..300);
            self.later(after_ms, Delivery::Start(peer));
        }
    }

    /// One guardian loses power with nothing of what it was about to say said, and is back at once.
    pub fn blink(&mut self, peer: PeerId) {
        // All that it asked its disk for is on it; what waited for that is lost.
        self.guardians[usize::from(peer.0)].crash(usize::MAX);
        self.start_now(peer);
    }

    pub(crate) fn start_now(&mut self, peer: PeerId) {
        let now_ms = self.now_ms;
        let guardian = &mut self.guardians[usize::from(peer.0)];
        if guardian.node.is_some() {
            return;
        }
        let skew_ms = self.setup.faults.clock_skew_ms;
        if skew_ms > 0 {
            guardian.clock_ahead_ms = self.rng.gen_range(0..=skew_ms);
        }
        let actions = guardian.start(now_ms);
        self.forget_news(peer);
        self.carry_out(peer, actions);
        for other in self.peers() {
            if other != peer {
                self.connect(peer, other);
                self.connect(other, peer);
            }
        }
        let faults = self.setup.faults.clone();
        if faults.crashes > 0 {
            let after_ms = self
                .rng
                .gen_range(1..20_000 / u64::from(faults.crashes) + 2);
            self.later(after_ms, Delivery::Crash(peer));
        }
    }

    fn connect(&mut self, at: PeerId, to: PeerId) {
        let life = self.guardians[usize::from(at.0)].life;
        self.later(5, Delivery::ToNode(at, life, Event::Connected(to)));
    }

    pub(crate) fn crash(&mut self, peer: PeerId) {
        let faults = self.setup.faults.clone();
        let guardian = &mut self.guardians[usize::from(peer.0)];
        if faults.crashes == 0 || guardian.node.is_none() {
            return;
        }
        let synced = self.rng.gen_range(0..=guardian.unsynced.len());
        guardian.crash(synced);
        let outage_ms = self.rng.gen_range(1..=faults.max_outage_ms.max(1));
        self.later(outage_ms, Delivery::Start(peer));
    }
}
