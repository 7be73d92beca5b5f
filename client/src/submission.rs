//! One transaction on its way through the guardians (SPEC API-4).
//!
//! Knows nothing of modules: it sends bytes, collects what guardians say, and judges how many must say it.

use std::collections::BTreeMap;

use guildmint_core::{
    api::{TransactionAnswer, TransactionStatus},
    module::Reject,
    PeerId, Quorum, TxId,
};
use rand_core::RngCore;
use serde_json::Value as Json;

use crate::{
    api::{ApiRequest, RequestError},
    backoff::delay_ms,
    event::Millis,
};

/// How long a guardian may hold a question about a transaction.
const WAIT_SECONDS: u64 = 30;
/// How long the guardians that were asked may take before the rest are asked as well.
const PATIENCE_MS: u64 = 2_000;
/// The same once one of them has said "accepted": the others must know by now.
const HEDGE_MS: u64 = 150;

/// Requests to send now.
pub(crate) type Requests = Vec<(PeerId, ApiRequest)>;

#[derive(Debug, Clone, PartialEq)]
enum Verdict {
    Silent,
    Pending,
    Unknown,
    Rejected(Reject),
    Accepted(Vec<Json>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Talk {
    Idle,
    Submitting,
    Waiting,
    RetryAt(Millis),
}

#[derive(Debug)]
struct Guardian {
    talk: Talk,
    verdict: Verdict,
    failures: u32,
}

/// What the guardians say together.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Standing {
    /// Nothing that would settle it; the last refusal of f + 1 guardians, if they refuse for now.
    Open(Option<Reject>),
    /// f + 1 guardians say that it happened. What each of them told us about the outputs.
    Accepted(BTreeMap<PeerId, Vec<Json>>),
    /// f + 1 guardians say that these bytes can never be accepted: the inputs are free again.
    Rejected(Reject),
}

/// A transaction on its way.
#[derive(Debug)]
pub(crate) struct Submission {
    quorum: Quorum,
    txid: TxId,
    bytes: Vec<u8>,
    guardians: BTreeMap<PeerId, Guardian>,
    hedge_at: Millis,
}

impl Submission {
    /// A guardian that could not be reached is elsewhere: it need not be waited for any longer.
    pub(crate) fn has_moved(&mut self, peer: PeerId, now: Millis) {
        if let Some(guardian) = self.guardians.get_mut(&peer) {
            if let Talk::RetryAt(_) = guardian.talk {
                guardian.talk = Talk::RetryAt(now);
            }
        }
    }

    /// Begins: the same bytes go to every guardian, since any f of them may keep them to themselves.
    pub(crate) fn start(
        quorum: Quorum,
        txid: TxId,
        bytes: Vec<u8>,
        now: Millis,
    ) -> (Self, Requests) {
        let guardian = |_| Guardian {
            talk: Talk::RetryAt(now),
            verdict: Verdict::Silent,
            failures: 0,
        };
        let mut submission = Self {
            quorum,
            txid,
            bytes,
            guardians: quorum.peers().map(|peer| (peer, guardian(peer))).collect(),
            hedge_at: now.after_ms(PATIENCE_MS),
        };
        let requests = submission.tick(now);
        (submission, requests)
    }

    /// Takes a guardian's answer to any of the requests.
    pub(crate) fn answered(
        &mut self,
        peer: PeerId,
        result: Result<Json, RequestError>,
        now: Millis,
        rng: &mut impl RngCore,
    ) -> Requests {
        let verdict = self.read(result);
        let was_accepted = self.accepted() > 0;
        let Some(guardian) = self.guardians.get_mut(&peer) else {
            return Vec::new();
        };
        let submitted = guardian.talk == Talk::Submitting;
        guardian.talk = match &verdict {
            Some(Verdict::Accepted(_)) => Talk::Idle,
            Some(Verdict::Pending) if submitted => Talk::Idle,
            // Also after a wait that brought nothing: asking by submission revives what a guardian has forgotten, and a
            // guardian that does not hold the question cannot make us ask in circles.
            _ => {
                guardian.failures += 1;
                Talk::RetryAt(now.after_ms(delay_ms(guardian.failures, rng)))
            }
        };
        // Silence does not take back what was said.
        if let Some(verdict) = verdict {
            guardian.verdict = verdict;
        }
        if !was_accepted && self.accepted() > 0 {
            self.hedge_at = self.hedge_at.min(now.after_ms(HEDGE_MS));
        }
        self.ask_more(now)
    }

    fn read(&self, result: Result<Json, RequestError>) -> Option<Verdict> {
        let answer: TransactionAnswer = match result {
            Ok(json) => serde_json::from_value(json).ok()?,
            Err(RequestError::Problem(problem)) => {
                return match problem.status {
                    404 => Some(Verdict::Unknown),
                    // Too slow or too many: says nothing about the transaction.
                    408 | 429 => None,
                    400..=499 => Some(Verdict::Rejected(Reject {
                        code: problem.code,
                        message: problem.detail,
                        retryable: problem.retryable,
                    })),
                    _ => None,
                };
            }
            Err(_) => return None,
        };
        if answer.txid != self.txid {
            return None;
        }
        Some(match answer.status {
            TransactionStatus::Pending => Verdict::Pending,
            TransactionStatus::Unknown => Verdict::Unknown,
            TransactionStatus::Rejected(reject) => Verdict::Rejected(reject),
            TransactionStatus::Accepted { outcomes, .. } => Verdict::Accepted(outcomes),
        })
    }

    /// Does what is due at this time.
    pub(crate) fn tick(&mut self, now: Millis) -> Requests {
        let mut requests = Vec::new();
        for (peer, guardian) in &mut self.guardians {
            if matches!(guardian.talk, Talk::RetryAt(at) if at <= now) {
                guardian.talk = Talk::Submitting;
                requests.push((*peer, ApiRequest::Submit(self.bytes.clone())));
            }
        }
        requests.extend(self.ask_more(now));
        requests
    }

    /// Keeps as many guardians busy with the question as shares are needed, and all of them once those are slow.
    fn ask_more(&mut self, now: Millis) -> Requests {
        let wanted = if now >= self.hedge_at {
            self.quorum.guardians()
        } else {
            self.quorum.threshold()
        };
        let useful = |guardian: &&Guardian| {
            guardian.talk == Talk::Waiting || matches!(guardian.verdict, Verdict::Accepted(_))
        };
        let busy = self.guardians.values().filter(useful).count();
        let mut requests = Vec::new();
        let free = self.guardians.iter_mut().filter(|(_, guardian)| {
            guardian.talk == Talk::Idle && guardian.verdict == Verdict::Pending
        });
        for (peer, guardian) in free.take(wanted.saturating_sub(busy)) {
            guardian.talk = Talk::Waiting;
            let (txid, wait_seconds) = (self.txid, WAIT_SECONDS);
            requests.push((*peer, ApiRequest::Transaction { txid, wait_seconds }));
        }
        requests
    }

    /// Forgets what a guardian said, because it proved wrong, and asks it again later.
    pub(crate) fn distrust(&mut self, peer: PeerId, now: Millis, rng: &mut impl RngCore) {
        if let Some(guardian) = self.guardians.get_mut(&peer) {
            guardian.verdict = Verdict::Silent;
            guardian.failures += 1;
            guardian.talk = Talk::RetryAt(now.after_ms(delay_ms(guardian.failures, rng)));
        }
        // Others must fill the gap.
        self.hedge_at = self.hedge_at.min(now);
    }

    /// Forgets waiting times: the user does not want to wait.
    pub(crate) fn hurry(&mut self, now: Millis) -> Requests {
        for guardian in self.guardians.values_mut() {
            if let Talk::RetryAt(at) = &mut guardian.talk {
                *at = now;
            }
        }
        self.tick(now)
    }

    /// When [`Submission::tick`] has something to do.
    pub(crate) fn wake_at(&self, now: Millis) -> Option<Millis> {
        let retries = self.guardians.values().filter_map(|one| match one.talk {
            Talk::RetryAt(at) => Some(at),
            _ => None,
        });
        let idle = |one: &Guardian| one.talk == Talk::Idle && one.verdict == Verdict::Pending;
        let hedge = self.guardians.values().any(idle).then_some(self.hedge_at);
        retries.chain(hedge.filter(|at| *at > now)).min()
    }

    /// The judgement (SPEC API-4).
    pub(crate) fn standing(&self) -> Standing {
        let mut accepted = BTreeMap::new();
        let (mut permanent, mut retryable) = (Vec::new(), Vec::new());
        for (peer, guardian) in &self.guardians {
            match &guardian.verdict {
                Verdict::Accepted(outcomes) => {
                    accepted.insert(*peer, outcomes.clone());
                }
                Verdict::Rejected(reject) if reject.retryable => retryable.push(reject),
                Verdict::Rejected(reject) => permanent.push(reject),
                _ => {}
            }
        }
        let enough = self.quorum.one_honest();
        if accepted.len() >= enough {
            return Standing::Accepted(accepted);
        }
        if permanent.len() >= enough {
            return Standing::Rejected(most_common(&permanent));
        }
        let refused = permanent.len() + retryable.len() >= enough && !retryable.is_empty();
        Standing::Open(refused.then(|| most_common(&retryable)))
    }

    /// How many guardians have answered anything that can be read.
    pub(crate) fn heard(&self) -> usize {
        let heard = |one: &&Guardian| one.verdict != Verdict::Silent;
        self.guardians.values().filter(heard).count()
    }

    fn accepted(&self) -> usize {
        let accepted = |one: &&Guardian| matches!(one.verdict, Verdict::Accepted(_));
        self.guardians.values().filter(accepted).count()
    }
}

/// The reason that most give; of a tie the first. `rejects` is never empty.
fn most_common(rejects: &[&Reject]) -> Reject {
    let count = |code: &str| rejects.iter().filter(|other| other.code == code).count();
    rejects
        .iter()
        .rev()
        .max_by_key(|reject| count(&reject.code))
        .map_or_else(
            || Reject::retryable("unknown", "no reason was given"),
            |reject| (*reject).clone(),
        )
}

#[cfg(test)]
mod tests;
