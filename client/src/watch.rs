//! What guardians are asked to tell whenever it changes: `?wait=SECONDS&known=MARK` (SPEC API-1, API-4). One request is held by each guardian that is
//! asked, instead of many that bring nothing.

use std::collections::BTreeMap;

use guildmint_core::{api::mark, PeerId, Quorum};
use guildmint_ln::{ContractId, OfferId, KIND};
use rand_core::RngCore;
use serde_json::Value as Json;

use crate::{
    api::{ApiRequest, RequestError},
    backoff::delay_ms,
    event::Millis,
    submission::Requests,
};

/// How long a guardian may hold a question.
const WAIT_SECONDS: u64 = 60;

/// Questions that one guardian is made to hold at a time. Guardians allow a client eight; more wait with growing pauses instead.
pub(crate) const MAX_HELD: usize = 4;

/// A held question that is answered sooner than this has not been held: the next one waits, lest we ask in circles.
const HELD_MS: u64 = 1_000;

/// What can be watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Topic {
    /// The agreed clock.
    Clock,
    /// A contract.
    Contract(ContractId),
    /// Which contract funds an offer.
    Funding(OfferId),
}

impl Topic {
    /// The question, once and without waiting.
    pub(crate) fn request(self) -> ApiRequest {
        let path = match self {
            Self::Clock => "clock".to_owned(),
            Self::Contract(contract) => format!("contracts/{contract}"),
            Self::Funding(offer) => format!("fundings/{offer}"),
        };
        ApiRequest::Module {
            kind: KIND,
            path,
            parameters: BTreeMap::new(),
        }
    }
}

#[derive(Debug, Default)]
struct Guardian {
    talk: Talk,
    /// What it said last.
    said: Option<Json>,
    /// Answers in a row that brought nothing, or came too soon.
    useless: u32,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Talk {
    #[default]
    Fresh,
    /// Asked then; whether it was to hold the question.
    Asked(Millis, bool),
    RetryAt(Millis),
}

/// A question that stays open.
#[derive(Debug)]
pub(crate) struct Watch {
    quorum: Quorum,
    request: ApiRequest,
    guardians: BTreeMap<PeerId, Guardian>,
    /// Whom to ask first, so that load spreads.
    order: Vec<PeerId>,
    /// What f + 1 guardians have last said alike.
    told: Option<Json>,
}

impl Watch {
    pub(crate) fn new(quorum: Quorum, topic: Topic, rng: &mut impl RngCore) -> Self {
        let mut order: Vec<PeerId> = quorum.peers().collect();
        let first = rng.next_u32() as usize % order.len();
        order.rotate_left(first);
        let guardian = |peer: &PeerId| (*peer, Guardian::default());
        Self {
            quorum,
            request: topic.request(),
            guardians: order.iter().map(guardian).collect(),
            order,
            told: None,
        }
    }

    /// What is known.
    pub(crate) fn told(&self) -> Option<&Json> {
        self.told.as_ref()
    }

    /// Takes an answer. The fact, if it is news.
    pub(crate) fn answered(
        &mut self,
        peer: PeerId,
        result: Result<Json, RequestError>,
        now: Millis,
        rng: &mut impl RngCore,
    ) -> Option<Json> {
        let guardian = self.guardians.get_mut(&peer)?;
        let held = matches!(guardian.talk, Talk::Asked(at, true) if at.after_ms(HELD_MS) <= now);
        let before = guardian.said.take();
        let said = result.ok();
        guardian.useless = match (&said, &before) {
            (Some(_), None) => 0,
            (Some(_), Some(_)) if held => 0,
            (Some(said), Some(before)) if said != before => 1,
            _ => guardian.useless.saturating_add(1),
        };
        let pause_ms = match guardian.useless {
            0 => 0,
            useless => delay_ms(useless, rng),
        };
        guardian.talk = Talk::RetryAt(now.after_ms(pause_ms));
        // Silence does not take back what was said.
        guardian.said = said.or(before);
        let fact = self.agreed()?;
        let is_news = self.told.as_ref() != Some(&fact);
        is_news.then(|| self.told.insert(fact).clone())
    }

    /// What f + 1 say alike: one of them is honest. ⚠ While old and new have as many, the old one is no news and the new one is.
    fn agreed(&self) -> Option<Json> {
        let said: Vec<&Json> = self
            .guardians
            .values()
            .filter_map(|one| one.said.as_ref())
            .collect();
        let count = |one: &Json| said.iter().filter(|other| **other == one).count();
        let enough = |one: &&&Json| count(one) >= self.quorum.one_honest();
        let known = self.told.as_ref();
        let mut agreed = said.iter().filter(enough);
        let fact = agreed.clone().find(|one| Some(**one) != known);
        fact.or_else(|| agreed.next()).map(|fact| (*fact).clone())
    }

    /// A guardian that could not be reached is elsewhere: it need not be waited for any longer.
    pub(crate) fn has_moved(&mut self, peer: PeerId, now: Millis) {
        if let Some(guardian) = self.guardians.get_mut(&peer) {
            if let Talk::RetryAt(_) = guardian.talk {
                guardian.talk = Talk::RetryAt(now);
            }
        }
    }

    /// Keeps 2f + 1 guardians busy with the question: whichever f of them keep silent, f + 1 honest ones tell. `hold`: whether they may hold
    /// it.
    pub(crate) fn tick(&mut self, now: Millis, hold: bool) -> Requests {
        let due = |one: &Guardian| match one.talk {
            Talk::Fresh => true,
            Talk::RetryAt(at) => at <= now,
            Talk::Asked(..) => false,
        };
        let free = self.free();
        // Who has said something goes on; who is new steps in where others fail.
        let (mut chosen, fresh): (Vec<PeerId>, Vec<PeerId>) = {
            let ready = self
                .order
                .iter()
                .filter(|peer| self.guardians.get(peer).is_some_and(due));
            ready.partition(|peer| {
                self.guardians
                    .get(peer)
                    .is_some_and(|one| one.talk != Talk::Fresh)
            })
        };
        chosen.extend(fresh);
        chosen.truncate(free);
        let mut requests = Vec::new();
        for peer in chosen {
            let Some(guardian) = self.guardians.get_mut(&peer) else {
                continue;
            };
            let known = guardian.said.as_ref().filter(|_| hold).map(mark);
            guardian.talk = Talk::Asked(now, known.is_some());
            let mut request = self.request.clone();
            if let (ApiRequest::Module { parameters, .. }, Some(known)) = (&mut request, known) {
                parameters.insert("wait".to_owned(), WAIT_SECONDS.to_string());
                parameters.insert("known".to_owned(), known);
            }
            requests.push((peer, request));
        }
        requests
    }

    /// How many more guardians should hold the question.
    fn free(&self) -> usize {
        let waiting = |one: &&Guardian| matches!(one.talk, Talk::Asked(..));
        let busy = self.guardians.values().filter(waiting).count();
        self.quorum.honest_majority().saturating_sub(busy)
    }

    /// When [`Watch::tick`] has something to do.
    pub(crate) fn wake_at(&self) -> Option<Millis> {
        if self.free() == 0 {
            return None;
        }
        let retries = self.guardians.values().filter_map(|one| match one.talk {
            Talk::RetryAt(at) => Some(at),
            _ => None,
        });
        retries.min()
    }
}

#[cfg(test)]
mod tests;
