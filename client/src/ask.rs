//! Questions of fact: as many guardians as the question needs, and others when those are slow (SPEC API-4).

use std::collections::BTreeMap;

use guildmint_core::{api::Problem, PeerId, Quorum};
use rand_core::RngCore;
use serde_json::Value as Json;

use crate::{
    api::{ApiRequest, RequestError},
    backoff::delay_ms,
    event::Millis,
    submission::Requests,
};

/// How long those that were asked first may take before the rest are asked as well.
const HEDGE_MS: u64 = 400;
/// How long the guardians together may take.
const DEADLINE_MS: u64 = 15_000;

/// How answers become a fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// f + 1 guardians say the same: at least one of them is honest.
    Same,
    /// 2f + 1 guardians name a number, and the (f + 1)-th highest counts. Whatever f liars say, it is neither above the
    /// highest nor below the lowest number of an honest guardian.
    Number,
    /// Answers that can be checked only together, of as many guardians as sign: t of them.
    Enough,
    /// Each speaks for itself: wait for all of them, or the deadline.
    Each,
    /// The same, but so many are enough; and those who refuse are as good as silent.
    Some(usize),
}

/// Who is asked what.
#[derive(Debug, Clone)]
pub(crate) enum Whom {
    /// Everybody the same.
    All(ApiRequest),
    /// These, each something else.
    Each(BTreeMap<PeerId, ApiRequest>),
}

impl From<ApiRequest> for Whom {
    fn from(request: ApiRequest) -> Self {
        Self::All(request)
    }
}

impl Whom {
    fn request(&self, peer: PeerId) -> Option<ApiRequest> {
        match self {
            Self::All(request) => Some(request.clone()),
            Self::Each(requests) => requests.get(&peer).cloned(),
        }
    }
}

/// What came of a question.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Finding {
    /// The fact. For [`Rule::Enough`] and [`Rule::Each`] an object of answers by guardian.
    Fact(Json),
    /// f + 1 guardians refuse the question for the same reason.
    Refused(Problem),
    /// Too few useful answers in time.
    TooFew {
        /// Guardians that gave a useful answer.
        answered: usize,
        /// Guardians that had to.
        needed: usize,
    },
}

/// Takes from an answer what must be equal; `None` if the answer is of no use (yet).
pub(crate) type Reader = fn(&Json) -> Option<Json>;

#[derive(Debug)]
enum Guardian {
    Fresh,
    Asked,
    RetryAt(Millis),
    Said(Json),
    Refused(Problem),
}

/// A question on its way.
#[derive(Debug)]
pub(crate) struct Ask {
    quorum: Quorum,
    whom: Whom,
    rule: Rule,
    reader: Reader,
    guardians: BTreeMap<PeerId, Guardian>,
    failures: u32,
    hedge_at: Millis,
    deadline: Millis,
}

impl Ask {
    /// Begins with as many guardians as could suffice, starting from a random one so that load spreads.
    pub(crate) fn start(
        quorum: Quorum,
        whom: impl Into<Whom>,
        rule: Rule,
        reader: Reader,
        now: Millis,
        rng: &mut impl RngCore,
    ) -> (Self, Requests) {
        let whom = whom.into();
        let mut order: Vec<PeerId> = quorum.peers().collect();
        order.retain(|peer| whom.request(*peer).is_some());
        let mut ask = Self {
            quorum,
            whom,
            rule,
            reader,
            guardians: order.iter().map(|peer| (*peer, Guardian::Fresh)).collect(),
            failures: 0,
            hedge_at: now.after_ms(HEDGE_MS),
            deadline: now.after_ms(DEADLINE_MS),
        };
        let first = rng.next_u32() as usize % order.len().max(1);
        order.rotate_left(first);
        order.truncate(ask.needed());
        for peer in &order {
            ask.guardians.insert(*peer, Guardian::Asked);
        }
        let request = |peer| Some((peer, ask.whom.request(peer)?));
        let requests = order.into_iter().filter_map(request).collect();
        (ask, requests)
    }

    fn needed(&self) -> usize {
        match self.rule {
            Rule::Same => self.quorum.one_honest(),
            Rule::Number => self.quorum.honest_majority(),
            Rule::Enough => self.quorum.threshold(),
            Rule::Each => self.quorum.guardians(),
            Rule::Some(enough) => enough,
        }
    }

    /// Takes an answer.
    pub(crate) fn answered(
        &mut self,
        peer: PeerId,
        result: Result<Json, RequestError>,
        now: Millis,
        rng: &mut impl RngCore,
    ) -> Requests {
        let state = match result {
            Ok(json) => (self.reader)(&json).map(Guardian::Said),
            Err(RequestError::Problem(problem))
                // 422: understood and refused, if perhaps only for now; whoever asks may ask again.
                if problem.status == 422
                    || ((400..500).contains(&problem.status) && !problem.retryable) =>
            {
                Some(Guardian::Refused(problem))
            }
            Err(_) => None,
        };
        if state.is_none() {
            self.failures += 1;
        }
        let retry = || Guardian::RetryAt(now.after_ms(delay_ms(self.failures, rng)));
        let state = state.unwrap_or_else(retry);
        self.guardians.insert(peer, state);
        let busy = |one: &&Guardian| matches!(one, Guardian::Asked);
        let settled = self.finding(now).is_some();
        // Those who were asked failed or disagree: no reason to wait for the hedge.
        if !settled && self.guardians.values().filter(busy).count() == 0 {
            self.hedge_at = self.hedge_at.min(now);
        }
        self.tick(now)
    }

    /// A guardian that could not be reached is elsewhere: it need not be waited for any longer.
    pub(crate) fn has_moved(&mut self, peer: PeerId, now: Millis) {
        if let Some(guardian @ Guardian::RetryAt(_)) = self.guardians.get_mut(&peer) {
            *guardian = Guardian::RetryAt(now);
        }
    }

    /// Does what is due at this time.
    pub(crate) fn tick(&mut self, now: Millis) -> Requests {
        let mut requests = Vec::new();
        for (peer, guardian) in &mut self.guardians {
            let due = match guardian {
                Guardian::Fresh => self.hedge_at <= now,
                Guardian::RetryAt(at) => *at <= now,
                _ => false,
            };
            if due {
                *guardian = Guardian::Asked;
                requests.extend(self.whom.request(*peer).map(|request| (*peer, request)));
            }
        }
        requests
    }

    /// When [`Ask::tick`] or [`Ask::finding`] has something new.
    pub(crate) fn wake_at(&self) -> Millis {
        let due = self.guardians.values().filter_map(|one| match one {
            Guardian::Fresh => Some(self.hedge_at),
            Guardian::RetryAt(at) => Some(*at),
            _ => None,
        });
        due.chain([self.deadline]).min().unwrap_or(self.deadline)
    }

    /// The result, once there is one.
    pub(crate) fn finding(&mut self, now: Millis) -> Option<Finding> {
        let said: Vec<(PeerId, &Json)> = self
            .guardians
            .iter()
            .filter_map(|(peer, one)| match one {
                Guardian::Said(json) => Some((*peer, json)),
                _ => None,
            })
            .collect();
        let fact = match self.rule {
            Rule::Same => self.same(&said),
            Rule::Number => self.number(&said),
            Rule::Enough => (said.len() >= self.needed()).then(|| by_guardian(&said)),
            Rule::Each => self.each(&said, now),
            Rule::Some(enough) if said.len() >= enough => Some(by_guardian(&said)),
            Rule::Some(_) => self.each(&said, now),
        };
        if let Some(fact) = fact {
            return Some(Finding::Fact(fact));
        }
        let (answered, needed) = (said.len(), self.needed());
        let failed = |one: &Guardian| matches!(one, Guardian::RetryAt(_));
        let over = |one: &Guardian| failed(one) || matches!(one, Guardian::Refused(_));
        let hopeless = match self.rule {
            Rule::Each => self.guardians.values().all(failed),
            Rule::Some(_) => self.guardians.values().all(over),
            _ => false,
        };
        let counts = hopeless || !matches!(self.rule, Rule::Some(_));
        if let Some(problem) = self.refusal().filter(|_| counts) {
            return Some(Finding::Refused(problem));
        }
        if now >= self.deadline || hopeless {
            return Some(Finding::TooFew { answered, needed });
        }
        self.forget_disagreement(now);
        None
    }

    /// When everyone has spoken and they disagree, some were ahead of others: ask those again.
    fn forget_disagreement(&mut self, now: Millis) {
        let spoken = |one: &Guardian| matches!(one, Guardian::Said(_) | Guardian::Refused(_));
        if !self.guardians.values().all(spoken) {
            return;
        }
        for guardian in self.guardians.values_mut() {
            *guardian = Guardian::RetryAt(now.after_ms(HEDGE_MS));
        }
    }

    fn same(&self, said: &[(PeerId, &Json)]) -> Option<Json> {
        let count = |one: &Json| said.iter().filter(|(_, other)| *other == one).count();
        let enough = self.quorum.one_honest();
        let (_, fact) = said.iter().find(|(_, one)| count(one) >= enough)?;
        Some((*fact).clone())
    }

    fn number(&self, said: &[(PeerId, &Json)]) -> Option<Json> {
        let mut numbers: Vec<u64> = said.iter().filter_map(|(_, json)| json.as_u64()).collect();
        if numbers.len() < self.quorum.honest_majority() {
            return None;
        }
        numbers.sort_unstable_by(|a, b| b.cmp(a));
        numbers
            .get(self.quorum.max_faulty())
            .map(|number| Json::from(*number))
    }

    /// Those who did not answer the first time are left out.
    fn each(&self, said: &[(PeerId, &Json)], now: Millis) -> Option<Json> {
        let open = |one: &Guardian| matches!(one, Guardian::Fresh | Guardian::Asked);
        let waiting = now < self.deadline && self.guardians.values().any(open);
        if waiting || said.is_empty() {
            return None;
        }
        Some(by_guardian(said))
    }

    fn refusal(&self) -> Option<Problem> {
        let refused: Vec<&Problem> = self
            .guardians
            .values()
            .filter_map(|one| match one {
                Guardian::Refused(problem) => Some(problem),
                _ => None,
            })
            .collect();
        let count = |code: &str| refused.iter().filter(|other| other.code == code).count();
        let enough = self.quorum.one_honest();
        refused
            .iter()
            .find(|problem| count(&problem.code) >= enough)
            .map(|problem| (*problem).clone())
    }
}

fn by_guardian(said: &[(PeerId, &Json)]) -> Json {
    let answers = said
        .iter()
        .map(|(peer, json)| (peer.0.to_string(), (*json).clone()));
    Json::Object(answers.collect())
}

#[cfg(test)]
mod tests;
