//! What clients ask about revisions, and what the operator says about them (SPEC GEN-6).

use guildmint_core::{
    api::{Problem, Revise, RevisionReport, RevisionsAnswer},
    ledger::Ledger,
    limits::MIN_PROPOSAL_DIGITS,
    Revision,
};

use super::{
    event::{Action, Reply, Ticket},
    Node,
};
use crate::{rows::Stance, Vote};

impl Node {
    pub(super) fn revisions_answer(&self, after: u32) -> RevisionsAnswer {
        let mut ledger = Ledger::new(self.disk.resident());
        self.federation.revisions_after(&mut ledger, after)
    }

    pub(super) fn revise(&mut self, ticket: Ticket, said: &Revise) {
        let stance = match said {
            Revise::Show => None,
            Revise::Propose(changes) => {
                let mut ledger = Ledger::new(self.disk.resident());
                Some(self.federation.propose(&mut ledger, changes).map(Some))
            }
            Revise::Approve(name) => Some(self.proposal(name).map(Some)),
            Revise::Withdraw => Some(Ok(None)),
        };
        match stance {
            Some(Err(problem)) => {
                let problem = Problem::new(422, "cannot_revise", problem, false);
                return self.reply(ticket, Reply::Problem(problem));
            }
            Some(Ok(stance)) => {
                self.disk.put(&Stance, &stance);
                self.votes = None;
            }
            None => {}
        }
        let reply = Reply::Revise(self.revision_report());
        // What the operator has said must not be forgotten in a crash.
        self.disk.after_save(Action::Reply { ticket, reply });
    }

    fn revision_report(&self) -> RevisionReport {
        let mut ledger = Ledger::new(self.disk.resident());
        self.federation.revision_report(&mut ledger)
    }

    /// The one that is meant by a hash, or by the first [`MIN_PROPOSAL_DIGITS`] digits of one. ⚠ By no number: another proposal may have taken the
    /// place of what the operator has looked at.
    fn proposal(&self, name: &str) -> Result<Revision, String> {
        if name.len() < MIN_PROPOSAL_DIGITS {
            return Err(format!(
                "{name} may mean another proposal by now; say which by the hash that `revise show` prints, or its first {MIN_PROPOSAL_DIGITS} digits"
            ));
        }
        let mut ledger = Ledger::new(self.disk.resident());
        let is_meant = |revision: &Revision| revision.hash().to_string().starts_with(name);
        let all = self.federation.approvals(&mut ledger);
        let revisions = all.into_iter().map(|(revision, _)| revision);
        let mut meant: Vec<Revision> = revisions.filter(is_meant).collect();
        match (meant.pop(), meant.is_empty()) {
            (Some(revision), true) => Ok(revision),
            (Some(_), false) => Err(format!(
                "{name} may be several proposals; say which by its hash"
            )),
            (None, _) => Err(format!(
                "no guardian proposes {name}; look at `revise show`"
            )),
        }
    }

    /// What this guardian would vote about revisions now.
    pub(super) fn revision_vote(&self) -> Option<Vote> {
        let mut ledger = Ledger::new(self.disk.resident());
        let (me, key) = (self.me(), &self.identity);
        self.federation.revision_vote(&mut ledger, me, key)
    }
}
