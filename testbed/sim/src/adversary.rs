//! The Byzantine guardian: what it is told to do, and what it makes of its own words.

use guildmint_core::{Epoch, PeerId};
use guildmint_engine::{
    node::{inspect, utter, Said},
    Contribution, Payload,
};
use rand::Rng;

use crate::world::World;

/// How the Byzantine guardian misbehaves beyond garbling.
#[derive(Default)]
pub(crate) struct Adversary {
    smuggled: Option<Contribution>,
    withholding: bool,
}

impl World {
    /// The Byzantine guardian, if there is one: the last.
    #[must_use]
    pub fn liar(&self) -> Option<PeerId> {
        let last = self.setup.guardians - 1;
        self.setup.faults.byzantine.then_some(PeerId(last))
    }

    /// All contributions of the liar are this from now on.
    pub fn liar_contributes(&mut self, contribution: Contribution) {
        self.adversary.smuggled = Some(contribution);
    }

    /// The liar does all that it should, but never signs the result of an epoch.
    pub fn liar_withholds_signatures(&mut self) {
        self.adversary.withholding = true;
    }

    /// What a Byzantine guardian makes of its own words: some it swallows, some it garbles.
    pub(crate) fn tamper(&mut self, mut bytes: Vec<u8>) -> Option<Vec<u8>> {
        match inspect(&bytes) {
            Said::Signed(_) if self.adversary.withholding => return None,
            Said::Contribution { epoch, author, .. } => {
                if let Some(contribution) = &self.adversary.smuggled {
                    return Some(self.smuggle(author, epoch, contribution));
                }
            }
            _ => {}
        }
        if self.adversary.withholding {
            return Some(bytes);
        }
        match self.rng.gen_range(0..10) {
            0 | 1 => None,
            2 => {
                let at = self.rng.gen_range(0..bytes.len());
                bytes[at] ^= 1 << self.rng.gen_range(0..8);
                Some(bytes)
            }
            3 => {
                bytes.truncate(self.rng.gen_range(0..bytes.len()));
                Some(bytes)
            }
            _ => Some(bytes),
        }
    }

    /// A contribution that no correct node would make, properly signed.
    fn smuggle(&self, author: PeerId, epoch: Epoch, contribution: &Contribution) -> Vec<u8> {
        let guardian = &self.guardians[usize::from(author.0)];
        let session = guardian.federation.genesis().session;
        let payload = Payload::sign(contribution, author, epoch, session, &guardian.identity);
        utter(payload)
    }
}
