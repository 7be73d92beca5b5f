//! How far a meeting is, for operators.

use guildmint_core::{PeerId, SessionId};
use serde::Serialize;
use serde_json::Value as Json;

use super::Meeting;
use crate::{
    statement::{Slot, Statement},
    CheckPhrase,
};

/// What a meeting waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Somebody proposes.
    Proposing,
    /// All confirm.
    Confirming,
    /// All deal the coin.
    Opening,
    /// All answer.
    Answering,
    /// All say what they heard.
    Concluding,
    /// Nothing: all have agreed.
    Agreed,
    /// Nothing: it has failed.
    Failed,
}

/// How far a meeting is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MeetingProgress {
    /// What it waits for.
    pub stage: Stage,
    /// For whom.
    pub waiting_for: Vec<PeerId>,
    /// The guardians.
    pub guardians: Vec<GuardianProgress>,
    /// What was proposed.
    pub proposals: Vec<Proposed>,
    /// The session that this guardian has confirmed.
    pub confirmed: Option<SessionId>,
    /// Why it has failed, if it has.
    pub failure: Option<String>,
}

/// A guardian at a meeting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GuardianProgress {
    /// Its index.
    pub peer: PeerId,
    /// What it calls itself. Hostile text.
    pub name: String,
    /// The session that it has confirmed, as far as is known here.
    pub confirmed: Option<SessionId>,
}

/// A proposal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Proposed {
    /// Who made it.
    pub by: PeerId,
    /// The session that it makes.
    pub session: SessionId,
    /// The words that stand for the session.
    pub check_phrase: String,
    /// What it says.
    pub proposal: Json,
    /// Why it cannot be confirmed here, if so.
    pub problem: Option<String>,
}

impl Meeting {
    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> MeetingProgress {
        let (stage, waiting_for) = self.stage();
        let peers = || self.roster.quorum().peers();
        let guardian = |peer| GuardianProgress {
            peer,
            name: self
                .roster
                .code(peer)
                .map_or_else(String::new, |code| code.guardian().name.clone()),
            confirmed: self.confirmed(peer),
        };
        MeetingProgress {
            stage,
            waiting_for,
            guardians: peers().map(guardian).collect(),
            proposals: self.proposals(),
            confirmed: self.confirmed(self.roster.me()),
            failure: self.failure.as_ref().map(ToString::to_string),
        }
    }

    fn stage(&self) -> (Stage, Vec<PeerId>) {
        if self.failure.is_some() {
            return (Stage::Failed, Vec::new());
        }
        if self.agreed.is_some() {
            return (Stage::Agreed, Vec::new());
        }
        let Some(session) = self.confirmed(self.roster.me()) else {
            let stage = match self.proposals().is_empty() {
                true => Stage::Proposing,
                false => Stage::Confirming,
            };
            return (stage, self.without(Slot::Confirmation));
        };
        let others = |peer: &PeerId| self.confirmed(*peer) != Some(session);
        let unconfirmed: Vec<_> = self.roster.quorum().peers().filter(others).collect();
        if !unconfirmed.is_empty() {
            return (Stage::Confirming, unconfirmed);
        }
        let stages = [
            (Stage::Opening, Slot::Opening),
            (Stage::Answering, Slot::Answers),
            (Stage::Concluding, Slot::Conclusion),
        ];
        let stages = stages.map(|(stage, slot)| (stage, self.without(slot)));
        let open = stages.into_iter().find(|(_, missing)| !missing.is_empty());
        open.unwrap_or((Stage::Concluding, Vec::new()))
    }

    /// Who has not said something yet.
    fn without(&self, slot: Slot) -> Vec<PeerId> {
        let missing = |peer: &PeerId| !self.said.contains_key(&(*peer, slot));
        self.roster.quorum().peers().filter(missing).collect()
    }

    fn proposals(&self) -> Vec<Proposed> {
        let proposed = self.said.values().filter_map(|said| {
            let Statement::Proposal { proposal, .. } = &said.statement else {
                return None;
            };
            let session = proposal.session(&self.roster);
            let problem = proposal.check(&self.founders, &self.roster).err();
            Some(Proposed {
                by: said.author,
                session,
                check_phrase: CheckPhrase::of(session).to_string(),
                proposal: proposal.to_json(&self.founders).unwrap_or_default(),
                problem: problem.map(|problem| problem.to_string()),
            })
        });
        proposed.collect()
    }
}
