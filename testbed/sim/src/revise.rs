//! Operators who change what may change.

use guildmint_core::{
    api::{Revise, RevisionReport, RevisionsAnswer},
    PeerId,
};
use guildmint_engine::node::{Reply, Request};

use crate::world::World;

impl World {
    /// An operator says something about revisions, or asks.
    ///
    /// # Errors
    /// Why nobody could agree to that.
    ///
    /// # Panics
    /// If the guardian does not answer.
    #[allow(clippy::panic)]
    pub fn revise(&mut self, peer: PeerId, said: &Revise) -> Result<RevisionReport, String> {
        match &self.question(&[peer], &Request::Revise(said.clone()))[..] {
            [Reply::Revise(report)] => Ok(report.clone()),
            [Reply::Problem(problem)] => Err(problem.detail.clone()),
            other => panic!("{other:?}"),
        }
    }

    /// The same of a guardian that may have no power, or lose it; what it answered within a second, if it said yes.
    pub fn try_to_revise(&mut self, peer: PeerId, said: &Revise) -> Option<RevisionReport> {
        let asked = self.put(&[peer], &Request::Revise(said.clone()));
        self.run(1_000);
        match asked.iter().find_map(|one| self.answers.remove(one)) {
            Some(Reply::Revise(report)) => Some(report),
            _ => None,
        }
    }

    /// What a guardian tells wallets, once it has power.
    ///
    /// # Panics
    /// If it does not answer within a minute.
    #[allow(clippy::panic)]
    pub fn revisions(&mut self, peer: PeerId, after: u32) -> RevisionsAnswer {
        for _ in 0..60 {
            let asked = self.put(&[peer], &Request::Revisions { after });
            self.run(1_000);
            let answer = asked.iter().find_map(|one| self.answers.remove(one));
            if let Some(Reply::Revisions(answer)) = answer {
                return answer;
            }
        }
        panic!("no answer of {peer} within a minute");
    }
}
