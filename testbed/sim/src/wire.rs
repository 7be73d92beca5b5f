//! The network between guardians: what it carries, late, twice or never.

use guildmint_core::PeerId;
use guildmint_engine::node::{inspect, Event, Said};
use rand::Rng;

use crate::world::{Delivery, World};

impl World {
    pub(crate) fn transmit(&mut self, from: PeerId, to: PeerId, bytes: Vec<u8>) {
        if self.is_liar(from) {
            for (delay_ms, tampered) in self.tamper(from, to, bytes) {
                self.pass_on(from, to, tampered, delay_ms);
            }
        } else {
            self.checks.speech(from, &bytes);
            self.pass_on(from, to, bytes, 0);
        }
    }

    fn pass_on(&mut self, from: PeerId, to: PeerId, bytes: Vec<u8>, delay_ms: u64) {
        // A liar needs no reminder of what it has said.
        if !(self.is_liar(to) && is_contribution_of(to, &bytes)) {
            self.carry(from, to, bytes, delay_ms);
        }
    }

    /// The network carries a message, or loses it.
    pub(crate) fn carry(&mut self, from: PeerId, to: PeerId, bytes: Vec<u8>, held_back_ms: u64) {
        let faults = self.setup.faults.clone();
        let is_frames = || matches!(inspect(&bytes), Said::Frames { .. });
        if faults.deaf.contains(&(from, to)) && is_frames() {
            return;
        }
        if self.rng.gen_range(0..100) < faults.loss || faults.cut(from, to, self.now_ms) {
            return;
        }
        let copies = 1 + u32::from(self.rng.gen_range(0..100) < faults.duplication);
        for _ in 0..copies {
            let delay_ms = held_back_ms + 1 + self.rng.gen_range(0..=faults.max_delay_ms.max(3));
            let life = self.guardians[usize::from(to.0)].life;
            let event = Event::Peer {
                from,
                bytes: bytes.clone(),
            };
            self.later(delay_ms, Delivery::ToNode(to, life, event));
        }
    }
}

fn is_contribution_of(peer: PeerId, bytes: &[u8]) -> bool {
    matches!(inspect(bytes), Said::Contribution { author, .. } if author == peer)
}
