//! Guardians that run twice: two processes with the same secrets (SPEC NET-6).
//!
//! The network notices it, where it does, and tells the node; the node tells the other guardians, so that all operators hear of
//! it. It changes nothing that a guardian does: what two processes may say in one name is no more than what a liar may.

use std::collections::{BTreeMap, BTreeSet};

use guildmint_core::{PeerId, Wire};

use super::{
    event::{Action, Topic},
    talk::Talk,
    Node,
};

/// How long a guardian counts as running twice after somebody has last said so, in milliseconds. While it does, it is said again.
const FRESH_MS: u64 = 60_000;

/// How often the operator and the others are told the same at most, in milliseconds.
const AGAIN_MS: u64 = 10_000;

/// Who runs twice, and who has seen it.
#[derive(Default)]
pub(super) struct Twins {
    seen: BTreeMap<PeerId, BTreeMap<PeerId, u64>>,
    told_at_ms: BTreeMap<PeerId, u64>,
}

impl Twins {
    /// Who has said lately that a guardian runs twice.
    fn witnesses(&self, of: PeerId, now_ms: u64) -> BTreeSet<PeerId> {
        let seen = self.seen.get(&of).into_iter().flatten();
        let fresh = seen.filter(|(_, at_ms)| now_ms.saturating_sub(**at_ms) < FRESH_MS);
        fresh.map(|(by, _)| *by).collect()
    }

    /// Whether it is time to tell of a guardian again; if so, it counts as told.
    fn tell_again(&mut self, of: PeerId, now_ms: u64) -> bool {
        let told_at_ms = self.told_at_ms.get(&of);
        let is_due = told_at_ms.is_none_or(|at_ms| now_ms.saturating_sub(*at_ms) >= AGAIN_MS);
        if is_due {
            self.told_at_ms.insert(of, now_ms);
        }
        is_due
    }
}

impl Node {
    /// Somebody has seen two processes of a guardian: we ourselves, if `seen_by` says so, or a peer by its own word.
    pub(super) fn on_twin(&mut self, of: PeerId, seen_by: PeerId) {
        let quorum = self.federation.quorum();
        if !quorum.contains(of) || !quorum.contains(seen_by) || of == seen_by {
            return;
        }
        let (me, now_ms) = (self.me(), self.now_ms);
        self.twins
            .seen
            .entry(of)
            .or_default()
            .insert(seen_by, now_ms);
        // ⚠ Of others a single word counts for nothing. Of ourselves it is told: our operator knows best whether it is so.
        let is_believed = of == me || self.runs_twice(of);
        if !is_believed || !self.twins.tell_again(of, now_ms) {
            return;
        }
        let kind = if of == me {
            self.say_that_we_run_twice()
        } else {
            "it runs twice, as two processes with the same secrets; one of them must be stopped"
                .into()
        };
        self.blame(of, kind);
        if seen_by == me {
            self.out.push(Action::Broadcast {
                topic: Topic::Announcements,
                bytes: Talk::RunsTwice(of).encode(),
            });
        }
    }

    fn say_that_we_run_twice(&self) -> String {
        let witnesses = self.twins.witnesses(self.me(), self.now_ms);
        let names: Vec<_> = witnesses.iter().map(|peer| peer.0.to_string()).collect();
        let names = names.join(", ");
        format!("another process runs with this guardian's secrets; stop one of the two (seen by guardians {names})")
    }

    /// Whether two processes of a guardian run, by what we have seen ourselves or f + 1 others say.
    fn runs_twice(&self, of: PeerId) -> bool {
        let witnesses = self.twins.witnesses(of, self.now_ms);
        witnesses.contains(&self.me()) || witnesses.len() > self.federation.quorum().max_faulty()
    }

    /// Guardians of which two processes run.
    pub(super) fn all_that_run_twice(&self) -> Vec<PeerId> {
        let all = self.federation.quorum().peers();
        all.filter(|peer| self.runs_twice(*peer)).collect()
    }
}
