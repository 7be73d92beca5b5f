//! The Byzantine guardian: what it is told to do, and what it makes of its own words.

use std::collections::{BTreeMap, BTreeSet};

use guildmint_core::{encoding::write, Epoch, PayloadHash, PeerId, Wire};
use guildmint_engine::{
    node::{inspect, utter, Said},
    Contribution, Message, Payload,
};
use rand::Rng;

use crate::world::World;

/// The version of what guardians say to each other, and what of it is for the link.
const VERSION: u8 = 1;
const LINK: u32 = 1;

/// How the Byzantine guardian misbehaves.
#[derive(Default)]
pub(crate) struct Adversary {
    manner: Manner,
    smuggled: Option<Contribution>,
    /// Who gets its contributions, if not all do.
    confidants: Option<BTreeSet<PeerId>>,
    /// What it contributed to each epoch, as those saw it whom it told.
    contributed: BTreeMap<Epoch, PayloadHash>,
    /// How many messages of an agreement it was made to say to each guardian.
    said: BTreeMap<(PeerId, Epoch), u64>,
}

/// What the liar does with everything that it was not told what to do with.
#[derive(Default, PartialEq)]
enum Manner {
    /// Some it swallows, some it garbles.
    #[default]
    Garbling,
    /// All of it is said.
    Upright,
    /// All of it but signatures on the results of epochs is said.
    Withholding,
    /// Nothing but contributions is said.
    Mute,
}

impl World {
    /// The Byzantine guardian, if there is one.
    #[must_use]
    pub fn liar(&self) -> Option<PeerId> {
        self.setup.faults.byzantine
    }

    /// All contributions of the liar are this from now on.
    pub fn liar_contributes(&mut self, contribution: Contribution) {
        self.adversary.smuggled = Some(contribution);
    }

    /// The liar does all that it should, but for what it is told besides.
    pub fn liar_is_upright(&mut self) {
        self.adversary.manner = Manner::Upright;
    }

    /// The liar does all that it should, but never signs the result of an epoch.
    pub fn liar_withholds_signatures(&mut self) {
        self.adversary.manner = Manner::Withholding;
    }

    /// The liar says nothing but its contributions, and what it is made to say.
    pub fn liar_is_mute(&mut self) {
        self.adversary.manner = Manner::Mute;
    }

    /// The liar tells its contributions to these guardians only.
    pub fn liar_confides_in(&mut self, peers: impl IntoIterator<Item = PeerId>) {
        self.adversary.confidants = Some(peers.into_iter().collect());
    }

    /// The liar says this next in the agreement of an epoch, to one guardian.
    ///
    /// # Panics
    /// If there is no liar.
    #[allow(clippy::expect_used)]
    pub fn liar_says(&mut self, to: PeerId, epoch: Epoch, messages: &[Message]) {
        let liar = self.liar().expect("a liar");
        let said = self.adversary.said.entry((to, epoch)).or_default();
        let bytes = packet(epoch, *said, messages.iter().map(Wire::encode).collect());
        *said += messages.len() as u64;
        self.carry(liar, to, bytes);
    }

    /// The liar says to one guardian that it has heard so many messages of it in the agreement of an epoch.
    ///
    /// # Panics
    /// If there is no liar.
    #[allow(clippy::expect_used)]
    pub fn liar_claims_to_have_heard(&mut self, to: PeerId, epoch: Epoch, messages: u64) {
        const STATUS: u32 = 2;
        let liar = self.liar().expect("a liar");
        let (committed, sent) = (
            epoch.0.checked_sub(1).map(Epoch),
            Vec::<(Epoch, u64)>::new(),
        );
        let received = vec![(epoch, vec![messages; usize::from(self.size())])];
        let mut bytes = vec![VERSION];
        write(
            &mut bytes,
            &(LINK, STATUS, committed, sent, received, false),
        );
        assert_eq!(
            inspect(&bytes),
            Said::Other,
            "guardians write statuses otherwise"
        );
        self.carry(liar, to, bytes);
    }

    /// What the liar contributed to an epoch, if it did.
    pub(crate) fn lie(&self, epoch: Epoch) -> Option<PayloadHash> {
        self.adversary.contributed.get(&epoch).copied()
    }

    /// What a Byzantine guardian makes of its own words to another.
    pub(crate) fn tamper(&mut self, to: PeerId, mut bytes: Vec<u8>) -> Option<Vec<u8>> {
        match (inspect(&bytes), &self.adversary.manner) {
            (Said::Contribution { epoch, author, .. }, _) if Some(author) == self.liar() => {
                let confidants = self.adversary.confidants.as_ref();
                if confidants.is_some_and(|confidants| !confidants.contains(&to)) {
                    return None;
                }
                let smuggled = self.adversary.smuggled.clone();
                if let Some(contribution) = &smuggled {
                    bytes = self.smuggle(author, epoch, contribution);
                }
                self.note_contribution(&bytes);
                if smuggled.is_some() {
                    return Some(bytes);
                }
            }
            (_, Manner::Mute) | (Said::Signed(_), Manner::Withholding) => return None,
            _ => {}
        }
        match self.adversary.manner {
            Manner::Garbling => self.garble(bytes),
            _ => Some(bytes),
        }
    }

    fn garble(&mut self, mut bytes: Vec<u8>) -> Option<Vec<u8>> {
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

    fn note_contribution(&mut self, bytes: &[u8]) {
        if let Said::Contribution { epoch, payload, .. } = inspect(bytes) {
            let hash = Payload::decode(&payload).ok().map(|payload| payload.hash());
            self.adversary
                .contributed
                .extend(hash.map(|hash| (epoch, hash)));
        }
    }
}

/// Says in a round of the binary agreement on a proposer that a value is possible (`BVal`).
#[must_use]
pub fn bval(proposer: PeerId, round: u64, value: bool) -> Message {
    vote(0, proposer, round, value)
}

/// Says in a round of the binary agreement on a proposer that enough others hold a value for possible (`Aux`).
#[must_use]
pub fn aux(proposer: PeerId, round: u64, value: bool) -> Message {
    vote(1, proposer, round, value)
}

/// Only the engine can name the parts of such a message; anyone can write its bytes.
#[allow(clippy::expect_used)]
fn vote(kind: u32, proposer: PeerId, round: u64, value: bool) -> Message {
    const BALLOT: u32 = 2;
    const SBV_BROADCAST: u32 = 0;
    let mut bytes = vec![Message::VERSION];
    write(
        &mut bytes,
        &(BALLOT, proposer, round, SBV_BROADCAST, kind, value),
    );
    Message::decode(&bytes).expect("a ballot")
}

/// Consecutive messages of a guardian's stream, as its node would send them.
fn packet(epoch: Epoch, first: u64, frames: Vec<Vec<u8>>) -> Vec<u8> {
    const FRAMES: u32 = 0;
    let mut bytes = vec![VERSION];
    write(&mut bytes, &(LINK, FRAMES, epoch, first, &frames));
    let said = Said::Frames {
        epoch,
        first,
        frames,
    };
    assert_eq!(inspect(&bytes), said, "guardians write packets otherwise");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn votes_say_what_they_should() {
        let said = |message: Message| format!("{message:?}");
        let bval = said(bval(PeerId(3), 7, true));
        assert!(
            bval.contains("PeerId(3)") && bval.contains("BVal(true)"),
            "{bval}"
        );
        let aux = said(aux(PeerId(3), 7, false));
        assert!(
            aux.contains("epoch: 7") && aux.contains("Aux(false)"),
            "{aux}"
        );
    }
}
