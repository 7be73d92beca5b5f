//! Whether a guardian runs twice: two processes with the same secrets (SPEC NET-6). Pure: who was heard and when goes in.
//!
//! Each start of a guardian has a number of its own. A restarted guardian has another than before, and the old one never comes
//! back. One that was heard before and after another proves that both run at once: they are two processes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use guildmint_core::PeerId;

use crate::hello::Instance;

/// Processes that are remembered of one guardian. Of more the one that has been silent longest is forgotten.
const REMEMBERED: usize = 4;

/// How long a guardian counts as running twice after that was last proven. Two that run go on proving it, because each makes the
/// other's connections end.
const FRESH: Duration = Duration::from_secs(60);

/// A handshake: the process was alive at some time between these two.
#[derive(Debug, Clone, Copy)]
struct Sighting {
    began: Instant,
    ended: Instant,
}

impl Sighting {
    fn is_before(self, other: Self) -> bool {
        self.ended <= other.began
    }
}

/// What is known of one process.
#[derive(Debug, Clone, Copy)]
struct Life {
    instance: Instance,
    first: Sighting,
    last: Sighting,
}

/// The processes that were heard of each guardian.
#[derive(Debug, Default)]
pub(crate) struct Instances {
    lives: BTreeMap<PeerId, Vec<Life>>,
    twice: BTreeMap<PeerId, Instant>,
}

impl Instances {
    /// A process was heard in a handshake that began and ended then. Whether that proves that two run.
    pub(crate) fn heard(
        &mut self,
        peer: PeerId,
        instance: Instance,
        began: Instant,
        ended: Instant,
    ) -> bool {
        let sighting = Sighting { began, ended };
        let lives = self.lives.entry(peer).or_default();
        let before = lives.iter().position(|life| life.instance == instance);
        let first = before.map_or(sighting, |at| lives.remove(at).first);
        // Alive before and after the other was.
        let is_twin = |other: &Life| first.is_before(other.last) && other.last.is_before(sighting);
        let runs_twice = lives.iter().any(is_twin);
        lives.push(Life {
            instance,
            first,
            last: sighting,
        });
        if lives.len() > REMEMBERED {
            lives.remove(0);
        }
        if runs_twice {
            self.twice.insert(peer, ended);
        }
        runs_twice
    }

    /// The process of a guardian that was heard last.
    pub(crate) fn last(&self, peer: PeerId) -> Option<Instance> {
        let lives = self.lives.get(&peer)?;
        lives.last().map(|life| life.instance)
    }

    /// Whether two processes of a guardian were heard lately.
    pub(crate) fn runs_twice(&self, peer: PeerId, now: Instant) -> bool {
        let proven = self.twice.get(&peer);
        proven.is_some_and(|at| now.saturating_duration_since(*at) < FRESH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: PeerId = PeerId(3);
    const A: Instance = [1; 16];
    const B: Instance = [2; 16];
    const C: Instance = [3; 16];

    /// Handshakes of processes, each with the second in which it began and that in which it ended; which of them prove it.
    fn proofs(handshakes: &[(Instance, u64, u64)]) -> Vec<bool> {
        let (mut instances, start) = (Instances::default(), Instant::now());
        let at = |second| start + Duration::from_secs(second);
        let heard = |(instance, began, ended): &(Instance, u64, u64)| {
            instances.heard(PEER, *instance, at(*began), at(*ended))
        };
        handshakes.iter().map(heard).collect()
    }

    #[test]
    fn who_comes_back_after_another_was_there_runs_beside_it() {
        assert_eq!(
            proofs(&[(A, 0, 0), (B, 1, 1), (A, 2, 2), (B, 3, 3)]),
            [false, false, true, true]
        );
    }

    #[test]
    fn restarts_however_many_are_no_twins() {
        let restarts = [
            (A, 0, 0),
            (A, 1, 1),
            (B, 2, 2),
            (B, 3, 3),
            (C, 4, 4),
            (C, 9, 9),
        ];
        assert_eq!(proofs(&restarts), [false; 6]);
    }

    /// What a process said before it died is read late, after its successor was heard.
    #[test]
    fn a_handshake_that_was_under_way_proves_nothing() {
        assert_eq!(
            proofs(&[(A, 0, 0), (B, 5, 6), (A, 4, 7), (B, 8, 8)]),
            [false; 4]
        );
    }

    #[test]
    fn it_is_over_some_time_after_the_last_proof() {
        let (mut instances, start) = (Instances::default(), Instant::now());
        let at = |second| start + Duration::from_secs(second);
        for (second, instance) in [(0, A), (1, B), (2, A)] {
            instances.heard(PEER, instance, at(second), at(second));
        }
        assert!(instances.runs_twice(PEER, at(61)));
        assert!(!instances.runs_twice(PEER, at(62)));
        assert!(!instances.runs_twice(PeerId(2), at(3)));
        assert_eq!(instances.last(PEER), Some(A));
    }

    #[test]
    fn only_so_many_are_remembered() {
        let (mut instances, now) = (Instances::default(), Instant::now());
        for byte in 0..100 {
            instances.heard(PEER, [byte; 16], now, now);
        }
        assert_eq!(instances.lives[&PEER].len(), REMEMBERED);
    }
}
