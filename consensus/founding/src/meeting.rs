//! The meeting: guardians with the same setup codes agree on what the federation shall be, and make the coin without which there
//! is no consensus (SPEC SET-2, first step). All of them must be there; nothing counts before all have heard the same.
//!
//! A [`Meeting`] is one guardian's part in it as a value: what is said to it goes in, what is to be saved and sent comes out, in
//! that order. A guardian that is started again with what it saved says the same again.
//!
//! 1. Anybody proposes; operators compare the check phrase by voice, and each confirms one session, for good.
//! 2. When all have confirmed the same, each opens: it announces its modules' keys and deals the coin.
//! 3. Each answers all dealings.
//! 4. Each concludes with the hashes of all that it heard. If all n heard the same, the coin may be used.

mod conduct;
mod progress;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use guildmint_core::{
    founding::{Founders, FoundingError},
    IdentityKey, PeerId, SessionId, Wire,
};
use guildmint_engine::coin::ceremony::{CoinCeremony, CoinCeremonyError, CoinFault, CoinKeyPair};
use thiserror::Error;

pub use progress::{GuardianProgress, MeetingProgress, Proposed, Stage};

use crate::{
    statement::{Packet, Said, Slot, Statement, MAX_PROPOSALS},
    Agreed, Proposal, ProposalError, Roster, Seed,
};

/// One guardian at a meeting.
pub struct Meeting {
    roster: Roster,
    founders: Arc<Founders>,
    seed: Seed,
    identity: IdentityKey,
    said: BTreeMap<(PeerId, Slot), Said>,
    /// Who has told that it has its keys.
    done: BTreeSet<PeerId>,
    ceremony: Option<CoinCeremony>,
    /// This guardian's answers, once all dealings are taken.
    answers: Option<Vec<Vec<u8>>>,
    coin: Option<CoinKeyPair>,
    agreed: Option<Agreed>,
    failure: Option<MeetingFailure>,
    out: Vec<MeetingAction>,
}

/// What is to be done, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MeetingAction {
    /// Make it durable, before anything that follows is done.
    Save(Box<Said>),
    /// Send it to a guardian. If it is lost, it will be said again.
    Send {
        /// To whom.
        to: PeerId,
        /// The packet.
        bytes: Vec<u8>,
    },
}

/// Why a meeting has ended without result. Nothing of it may be used; guardians begin again with new codes, without who cheated.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MeetingFailure {
    /// A guardian did what no honest one does.
    #[error("{name} ({peer}) cheated, or its software is broken: {fault}")]
    Fault {
        /// Who.
        peer: PeerId,
        /// What it calls itself.
        name: String,
        /// What it did.
        fault: Fault,
    },
    /// Two guardians heard different things from a third; one of the three lies.
    #[error("{other} heard another {what} from {author} than this guardian did: {author} or {other} lies")]
    Disagreement {
        /// Whose.
        author: PeerId,
        /// What.
        what: Slot,
        /// Who heard something else.
        other: PeerId,
    },
    /// The coin could not be made, and nobody is to blame.
    #[error(transparent)]
    Coin(#[from] CoinCeremonyError),
    /// A module refuses its own terms.
    #[error(transparent)]
    Module(#[from] FoundingError),
}

/// What no honest guardian does at a meeting.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Fault {
    /// Two different statements where there can be one.
    #[error("it said two different things as its {0}")]
    TwoFaced(Slot),
    /// Something for another session than it confirmed.
    #[error("its {0} is for another session than the one that all confirmed")]
    OtherSession(Slot),
    /// Announcements that are not one for each module, or that a module cannot use.
    #[error("{0}")]
    Announcement(String),
    /// A wrong dealing or answer.
    #[error(transparent)]
    Coin(#[from] CoinFault),
}

/// Why something cannot be proposed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProposeError {
    /// No federation can be so.
    #[error(transparent)]
    Proposal(#[from] ProposalError),
    /// There have been many.
    #[error("this guardian has made {MAX_PROPOSALS} proposals; to begin again, use `setup abort`, and exchange new codes")]
    TooMany,
    /// It is too late.
    #[error("this guardian has confirmed a proposal already; to begin again, use `setup abort`, and exchange new codes")]
    Confirmed,
}

/// Why a session cannot be confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConfirmError {
    /// There is nothing to confirm.
    #[error("nobody has proposed this; look at `setup status`")]
    Unknown,
    /// Another was confirmed.
    #[error("this guardian has confirmed another proposal, for good; to begin again, use `setup abort`, and exchange new codes")]
    Final,
    /// This guardian's software does not like it.
    #[error("this cannot be confirmed: {0}")]
    Proposal(#[from] ProposalError),
}

/// Why a guardian cannot take part.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MeetingError {
    /// The seed makes another identity than the code says.
    #[error("the secrets are not those of this guardian's setup code")]
    OtherSeed,
    /// What was saved is not what was said.
    #[error("what was saved of the meeting is damaged; use `setup abort`, and begin again with new codes")]
    Damaged,
}

impl Meeting {
    /// Takes part with what was saved before, if anything was.
    ///
    /// # Errors
    /// If the seed is not that of the guardian, or what was saved is damaged.
    pub fn new(
        roster: Roster,
        seed: Seed,
        founders: Arc<Founders>,
        saved: impl IntoIterator<Item = Said>,
    ) -> Result<(Self, Vec<MeetingAction>), MeetingError> {
        if !roster.is_mine(&seed) {
            return Err(MeetingError::OtherSeed);
        }
        let mut said = BTreeMap::new();
        for one in saved {
            if !one.is_authentic(&roster) || said.insert(one.place(), one).is_some() {
                return Err(MeetingError::Damaged);
            }
        }
        let mut meeting = Self {
            identity: seed.identity(),
            roster,
            founders,
            seed,
            said,
            done: BTreeSet::new(),
            ceremony: None,
            answers: None,
            coin: None,
            agreed: None,
            failure: None,
            out: Vec::new(),
        };
        meeting.advance();
        let actions = meeting.actions();
        Ok((meeting, actions))
    }

    /// Who meets.
    #[must_use]
    pub fn roster(&self) -> &Roster {
        &self.roster
    }

    /// What all have agreed on, once they have.
    #[must_use]
    pub fn agreed(&self) -> Option<&Agreed> {
        self.agreed.as_ref()
    }

    /// Why it has ended without result, if it has.
    #[must_use]
    pub fn failure(&self) -> Option<&MeetingFailure> {
        self.failure.as_ref()
    }

    /// Proposes what the federation shall be, and names the session to confirm.
    ///
    /// # Errors
    /// If no federation can be so, or it is too late.
    pub fn propose(
        &mut self,
        proposal: Proposal,
    ) -> Result<(SessionId, Vec<MeetingAction>), ProposeError> {
        proposal.check(&self.founders, &self.roster)?;
        let session = proposal.session(&self.roster);
        if self.proposal(session).is_some() {
            return Ok((session, Vec::new()));
        }
        if self.confirmed(self.roster.me()).is_some() {
            return Err(ProposeError::Confirmed);
        }
        let me = self.roster.me();
        let free = |number: &u16| !self.said.contains_key(&(me, Slot::Proposal(*number)));
        let number = (0..MAX_PROPOSALS).find(free);
        let number = number.ok_or(ProposeError::TooMany)?;
        self.say(Statement::Proposal { number, proposal });
        Ok((session, self.actions()))
    }

    /// Confirms a session, for good.
    ///
    /// # Errors
    /// If nobody has proposed it, this guardian's software does not like it, or another was confirmed.
    pub fn confirm(&mut self, session: SessionId) -> Result<Vec<MeetingAction>, ConfirmError> {
        match self.confirmed(self.roster.me()) {
            Some(confirmed) if confirmed == session => return Ok(Vec::new()),
            Some(_) => return Err(ConfirmError::Final),
            None => {}
        }
        let proposal = self.proposal(session).ok_or(ConfirmError::Unknown)?;
        proposal.check(&self.founders, &self.roster)?;
        self.say(Statement::Confirmation(session));
        self.advance();
        Ok(self.actions())
    }

    /// Takes a packet from a guardian. What cannot be read is ignored.
    pub fn take(&mut self, from: PeerId, bytes: &[u8]) -> Vec<MeetingAction> {
        match Packet::decode(bytes) {
            Ok(Packet::Have { heard, is_done }) => self.take_have(from, &heard, is_done),
            Ok(Packet::Said(said)) if said.author == from => self.take_said(*said),
            Ok(Packet::Evidence(said)) => self.take_evidence(*said),
            Ok(Packet::Said(_)) | Err(_) => {}
        }
        self.actions()
    }

    /// What to tell a guardian that has just connected, and from time to time: what was heard, so that it says again what is
    /// missing. `is_done` if this guardian has its keys.
    pub fn remind(&mut self, to: PeerId, is_done: bool) -> Vec<MeetingAction> {
        let heard = self.said.keys().copied().collect();
        self.send(to, &Packet::Have { heard, is_done });
        self.actions()
    }

    /// Whether a guardian has told that it has its keys.
    #[must_use]
    pub fn is_done(&self, peer: PeerId) -> bool {
        self.done.contains(&peer)
    }

    fn take_have(&mut self, from: PeerId, heard: &BTreeSet<(PeerId, Slot)>, is_done: bool) {
        let me = self.roster.me();
        let mine = self.said.range((me, Slot::Proposal(0))..);
        let mine = mine.take_while(|((author, _), _)| *author == me);
        let lacks = mine.filter(|(place, _)| !heard.contains(place));
        let packets: Vec<_> = lacks
            .map(|(_, said)| Packet::Said(Box::new(said.clone())))
            .collect();
        for packet in packets {
            self.send(from, &packet);
        }
        if is_done {
            self.done.insert(from);
        }
    }

    fn take_said(&mut self, said: Said) {
        let place = said.place();
        if matches!(place.1, Slot::Proposal(number) if number >= MAX_PROPOSALS) {
            return;
        }
        match self.said.get(&place) {
            Some(before) if before.statement == said.statement => {}
            Some(_) => self.take_evidence(said),
            None if said.is_authentic(&self.roster) => {
                self.out.push(MeetingAction::Save(Box::new(said.clone())));
                self.said.insert(place, said);
                self.advance();
            }
            None => {}
        }
    }

    /// Somebody may have said something else to others than to us. If so, all must know.
    fn take_evidence(&mut self, said: Said) {
        let place = said.place();
        let Some(before) = self.said.get(&place) else {
            return;
        };
        if before.statement == said.statement || !said.is_authentic(&self.roster) {
            return;
        }
        let known = matches!(&self.failure, Some(MeetingFailure::Fault { .. }));
        if !known {
            let both = [before.clone(), said];
            for one in both {
                self.send_to_all(&Packet::Evidence(Box::new(one)));
            }
            self.blame(place.0, Fault::TwoFaced(place.1));
        }
    }

    fn blame(&mut self, peer: PeerId, fault: Fault) {
        let name = self.roster.name(peer);
        self.agreed = None;
        self.failure = Some(MeetingFailure::Fault { peer, name, fault });
    }

    fn say(&mut self, statement: Statement) {
        let said = Said::sign(&self.roster, statement, &self.identity);
        self.out.push(MeetingAction::Save(Box::new(said.clone())));
        self.said.insert(said.place(), said.clone());
        self.send_to_all(&Packet::Said(Box::new(said)));
    }

    fn send_to_all(&mut self, packet: &Packet) {
        for peer in self.roster.quorum().peers() {
            self.send(peer, packet);
        }
    }

    fn send(&mut self, to: PeerId, packet: &Packet) {
        if to != self.roster.me() {
            let bytes = packet.encode();
            self.out.push(MeetingAction::Send { to, bytes });
        }
    }

    fn actions(&mut self) -> Vec<MeetingAction> {
        std::mem::take(&mut self.out)
    }

    /// The proposal of a session, whoever made it.
    fn proposal(&self, session: SessionId) -> Option<&Proposal> {
        self.said.values().find_map(|said| match &said.statement {
            Statement::Proposal { proposal, .. } if proposal.session(&self.roster) == session => {
                Some(proposal)
            }
            _ => None,
        })
    }

    fn confirmed(&self, peer: PeerId) -> Option<SessionId> {
        match &self.said.get(&(peer, Slot::Confirmation))?.statement {
            Statement::Confirmation(session) => Some(*session),
            _ => None,
        }
    }
}

impl std::fmt::Debug for Meeting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Meeting")
            .field("me", &self.roster.me())
            .field("said", &self.said.keys().collect::<Vec<_>>())
            .field("failure", &self.failure)
            .finish_non_exhaustive()
    }
}
