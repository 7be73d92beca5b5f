//! The Byzantine guardian: what it is told to do, and what it makes of its own words.

use std::collections::{BTreeMap, BTreeSet};

use guildmint_core::{encoding::write, Epoch, PayloadHash, PeerId, Wire};
use guildmint_engine::{
    node::{inspect, utter, Reply, Said},
    Contribution, Message, Payload,
};
use rand::Rng;
use rand_chacha::ChaCha12Rng;

use crate::{
    ways::{garbled, Liar, Ways},
    world::World,
};

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
#[derive(Default)]
enum Manner {
    /// Some it swallows, some it garbles.
    #[default]
    Garbling,
    /// All of it is said.
    Upright,
    /// All of it but signatures on the results of epochs is said.
    Withholding,
    /// Other results than the right ones are signed.
    Forging,
    /// Nothing but contributions is said.
    Mute,
    /// Whatever comes to its mind.
    Inventive(Box<Ways>),
}

impl World {
    /// The Byzantine guardian, or the first of several: the one that does as it is told.
    #[must_use]
    pub fn liar(&self) -> Option<PeerId> {
        self.setup.faults.byzantine.first().copied()
    }

    /// Whether a guardian is Byzantine.
    #[must_use]
    pub fn is_liar(&self, peer: PeerId) -> bool {
        self.setup.faults.byzantine.contains(&peer)
    }

    /// How many guardians are Byzantine.
    #[must_use]
    pub fn liars(&self) -> usize {
        self.setup.faults.byzantine.len()
    }

    /// Each Byzantine guardian lies in ways of its own, drawn from the seed.
    pub fn liars_are_inventive(&mut self) {
        for liar in self.setup.faults.byzantine.clone() {
            let ways = Ways::draw(liar, self.setup.guardians, &mut self.rng);
            self.adversaries.entry(liar).or_default().manner = Manner::Inventive(Box::new(ways));
        }
    }

    #[allow(clippy::expect_used)]
    fn the_liar(&mut self) -> &mut Adversary {
        let liar = self.liar().expect("a liar");
        self.adversaries.entry(liar).or_default()
    }

    /// All contributions of the liar are this from now on.
    pub fn liar_contributes(&mut self, contribution: Contribution) {
        self.the_liar().smuggled = Some(contribution);
    }

    /// The liar does all that it should, but for what it is told besides.
    pub fn liar_is_upright(&mut self) {
        self.the_liar().manner = Manner::Upright;
    }

    /// The liar does all that it should, but never signs the result of an epoch.
    pub fn liar_withholds_signatures(&mut self) {
        self.the_liar().manner = Manner::Withholding;
    }

    /// The liar does all that it should, but signs other results of epochs than those that come out.
    pub fn liar_signs_another_result(&mut self) {
        self.the_liar().manner = Manner::Forging;
    }

    /// The liar says nothing but its contributions, and what it is made to say.
    pub fn liar_is_mute(&mut self) {
        self.the_liar().manner = Manner::Mute;
    }

    /// The liar tells its contributions to these guardians only.
    pub fn liar_confides_in(&mut self, peers: impl IntoIterator<Item = PeerId>) {
        self.the_liar().confidants = Some(peers.into_iter().collect());
    }

    /// The liar says this next in the agreement of an epoch, to one guardian.
    ///
    /// # Panics
    /// If there is no liar.
    #[allow(clippy::expect_used)]
    pub fn liar_says(&mut self, to: PeerId, epoch: Epoch, messages: &[Message]) {
        let liar = self.liar().expect("a liar");
        let said = self.the_liar().said.entry((to, epoch)).or_default();
        let bytes = packet(epoch, *said, messages.iter().map(Wire::encode).collect());
        *said += messages.len() as u64;
        self.carry(liar, to, bytes, 0);
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
        self.carry(liar, to, bytes, 0);
    }

    /// The liar asks one guardian for the history of an epoch.
    ///
    /// # Panics
    /// If there is no liar.
    #[allow(clippy::expect_used)]
    pub fn liar_wants_history(&mut self, of: PeerId, epoch: Epoch) {
        const WANT_HISTORY: u32 = 4;
        let liar = self.liar().expect("a liar");
        let mut bytes = vec![VERSION];
        write(&mut bytes, &(WANT_HISTORY, epoch, 0_u64));
        self.carry(liar, of, bytes, 0);
    }

    /// The liar tells one guardian that it contributes this to an epoch, whatever it has told others.
    ///
    /// # Panics
    /// If there is no liar.
    #[allow(clippy::expect_used)]
    pub fn liar_contributes_to(&mut self, to: PeerId, epoch: Epoch, contribution: &Contribution) {
        let liar = self.liar().expect("a liar");
        let guardian = &self.guardians[usize::from(liar.0)];
        let session = guardian.federation.genesis().session;
        let payload = Payload::sign(contribution, liar, epoch, session, &guardian.identity);
        self.carry(liar, to, utter(payload), 0);
    }

    /// What the liar contributed to an epoch, if it did.
    pub(crate) fn lie(&self, liar: PeerId, epoch: Epoch) -> Option<PayloadHash> {
        let adversary = self.adversaries.get(&liar)?;
        adversary.contributed.get(&epoch).copied()
    }

    /// What a Byzantine guardian makes of its own words to another, and after how many milliseconds.
    pub(crate) fn tamper(
        &mut self,
        from: PeerId,
        to: PeerId,
        bytes: Vec<u8>,
    ) -> Vec<(u64, Vec<u8>)> {
        let guardian = &self.guardians[usize::from(from.0)];
        let liar = Liar {
            me: from,
            session: guardian.federation.genesis().session,
            identity: &guardian.identity,
        };
        let adversary = self.adversaries.entry(from).or_default();
        if let Manner::Inventive(ways) = &mut adversary.manner {
            return ways.say(&liar, to, bytes);
        }
        let said = adversary.tell(&liar, to, bytes, &mut self.rng);
        said.into_iter().map(|bytes| (0, bytes)).collect()
    }

    /// What a client hears of a guardian's answer.
    pub(crate) fn answer_of(&mut self, peer: PeerId, reply: Reply) -> Option<Reply> {
        match self.adversaries.get_mut(&peer).map(|it| &mut it.manner) {
            Some(Manner::Inventive(ways)) => ways.answer(reply),
            _ => Some(reply),
        }
    }
}

impl Adversary {
    fn tell(
        &mut self,
        liar: &Liar<'_>,
        to: PeerId,
        mut bytes: Vec<u8>,
        rng: &mut ChaCha12Rng,
    ) -> Option<Vec<u8>> {
        match (inspect(&bytes), &self.manner) {
            (Said::Contribution { epoch, author, .. }, _) if author == liar.me => {
                let confidants = self.confidants.as_ref();
                if confidants.is_some_and(|confidants| !confidants.contains(&to)) {
                    return None;
                }
                if let Some(contribution) = &self.smuggled {
                    // One that no correct node would make, properly signed.
                    let payload =
                        Payload::sign(contribution, author, epoch, liar.session, liar.identity);
                    bytes = utter(payload);
                }
                self.note_contribution(&bytes);
                if self.smuggled.is_some() {
                    return Some(bytes);
                }
            }
            (_, Manner::Mute) | (Said::Signed(_), Manner::Withholding) => return None,
            (Said::Signed(_) | Said::Other, Manner::Forging) => {
                return Some(liar.with_another_result(bytes));
            }
            _ => {}
        }
        match self.manner {
            Manner::Garbling => match rng.gen_range(0..10) {
                0 | 1 => None,
                2 | 3 => Some(garbled(bytes, rng)),
                _ => Some(bytes),
            },
            _ => Some(bytes),
        }
    }

    fn note_contribution(&mut self, bytes: &[u8]) {
        if let Said::Contribution { epoch, payload, .. } = inspect(bytes) {
            let hash = Payload::decode(&payload).ok().map(|payload| payload.hash());
            self.contributed.extend(hash.map(|hash| (epoch, hash)));
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
pub(crate) fn packet(epoch: Epoch, first: u64, frames: Vec<Vec<u8>>) -> Vec<u8> {
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
