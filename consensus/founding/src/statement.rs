//! What guardians say to each other at a meeting.

use std::collections::BTreeMap;

use guildmint_core::{
    encoding::hex_bytes, limits, IdentityKey, IdentitySignature, ModuleId, PeerId, SessionId,
    Tagged, Wire,
};
use serde::{Deserialize, Serialize};

use crate::{Proposal, Roster};

/// Proposals of one guardian. Further ones are not taken; whoever needs more begins again with new codes.
pub const MAX_PROPOSALS: u16 = 8;

/// Something that a guardian says to all, once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = limits::MAX_PACKET_BYTES)]
pub(crate) enum Statement {
    /// What the federation shall be.
    Proposal {
        /// Counted from 0.
        number: u16,
        /// What it says.
        proposal: Proposal,
    },
    /// The operator wants this session, and no other.
    Confirmation(SessionId),
    /// All have confirmed: keys are announced and dealt.
    Opening(Opening),
    /// Answers to all dealings of the coin.
    Answers(Answers),
    /// What was heard, as hashes, and what came of it.
    Conclusion(Conclusion),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Opening {
    pub(crate) session: SessionId,
    /// The dealing of the coin.
    #[serde(with = "hex_bytes")]
    pub(crate) part: Vec<u8>,
    pub(crate) announcements: BTreeMap<ModuleId, Announcement>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Announcement(#[serde(with = "hex_bytes")] pub(crate) Vec<u8>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answers {
    pub(crate) session: SessionId,
    /// One for each dealing, in the dealers' order.
    pub(crate) answers: Vec<Answer>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answer(#[serde(with = "hex_bytes")] pub(crate) Vec<u8>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Conclusion {
    pub(crate) session: SessionId,
    /// Hashes of each guardian's opening and answers, in the guardians' order.
    pub(crate) heard: Vec<[[u8; 32]; 2]>,
}

/// What a statement is about: a guardian has one for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Slot {
    /// One of its proposals.
    Proposal(u16),
    /// Which session it confirms.
    Confirmation,
    /// What it announces and deals.
    Opening,
    /// How it answers all dealings.
    Answers,
    /// What it heard.
    Conclusion,
}

impl std::fmt::Display for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Proposal(number) => write!(f, "proposal {number}"),
            Self::Confirmation => f.write_str("confirmation"),
            Self::Opening => f.write_str("opening"),
            Self::Answers => f.write_str("answers"),
            Self::Conclusion => f.write_str("conclusion"),
        }
    }
}

impl Statement {
    pub(crate) fn slot(&self) -> Slot {
        match self {
            Self::Proposal { number, .. } => Slot::Proposal(*number),
            Self::Confirmation(_) => Slot::Confirmation,
            Self::Opening(_) => Slot::Opening,
            Self::Answers(_) => Slot::Answers,
            Self::Conclusion(_) => Slot::Conclusion,
        }
    }
}

/// A statement with its author's signature, so that whoever says two different things can be shown to have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = limits::MAX_PACKET_BYTES)]
pub struct Said {
    pub(crate) author: PeerId,
    pub(crate) statement: Statement,
    signature: IdentitySignature,
}

impl Said {
    pub(crate) fn sign(roster: &Roster, statement: Statement, key: &IdentityKey) -> Self {
        let author = roster.me();
        let signature = key.sign(&signed_hash(roster, author, &statement));
        Self {
            author,
            statement,
            signature,
        }
    }

    pub(crate) fn is_authentic(&self, roster: &Roster) -> bool {
        let hash = signed_hash(roster, self.author, &self.statement);
        let identity = roster
            .code(self.author)
            .map(|code| code.guardian().identity);
        identity.is_some_and(|identity| identity.verify(&hash, &self.signature).is_ok())
    }

    /// Who said it, about what.
    #[must_use]
    pub fn place(&self) -> (PeerId, Slot) {
        (self.author, self.statement.slot())
    }

    /// A hash of what was said.
    pub(crate) fn hash(&self) -> [u8; 32] {
        Tagged::new("guildmint/meeting/heard")
            .field(self.statement.encode())
            .finish()
    }
}

fn signed_hash(roster: &Roster, author: PeerId, statement: &Statement) -> [u8; 32] {
    Tagged::new("guildmint/meeting/said")
        .add(roster.meeting_id())
        .add(author.0.to_le_bytes())
        .field(statement.encode())
        .finish()
}

/// What travels. Its first byte is a version that no other message between guardians has, so both can use one network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Wire)]
#[wire(version = PACKET_VERSION, max_bytes = limits::MAX_PACKET_BYTES)]
pub(crate) enum Packet {
    /// What the sender has heard of whom, so that others say again what it lacks; whether it has its keys, and whether it knows
    /// that all have theirs.
    Have {
        heard: std::collections::BTreeSet<(PeerId, Slot)>,
        is_done: bool,
        are_all_done: bool,
    },
    /// Something that the sender says.
    Said(Box<Said>),
    /// One of two different things that somebody said.
    Evidence(Box<Said>),
}

/// The first byte of every packet of a meeting.
pub const PACKET_VERSION: u8 = 0xf1;
