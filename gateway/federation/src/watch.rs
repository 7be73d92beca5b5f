//! How a federation is: its agreed clock, and whether anything new should be begun there.

use std::collections::BTreeMap;

use bitcoin::Network;
use guildmint_client::{ApiRequest, Millis, Question};
use guildmint_core::{api::StatusAnswer, Quorum};
use serde_json::Value as Json;

use crate::limits::{CLOCK_MS, STALL_MS, WATCH_MS, WATCH_REGTEST_MS};

/// What guardians say of themselves, again and again.
pub(crate) struct Watch {
    quorum: Quorum,
    network: Network,
    next: Millis,
    asked: bool,
    /// The agreed clock. It never goes back.
    height: Option<u32>,
    /// When it last advanced.
    ticked: Millis,
    /// The last epoch.
    epoch: Option<u64>,
    /// When there last was another, or nothing to agree on.
    moved: Millis,
    trouble: Option<String>,
}

impl Watch {
    pub(crate) fn new(quorum: Quorum, network: Network) -> Self {
        Self {
            quorum,
            network,
            next: Millis::default(),
            asked: false,
            height: None,
            ticked: Millis::default(),
            epoch: None,
            moved: Millis::default(),
            trouble: Some("its guardians are being asked how they are".to_owned()),
        }
    }

    pub(crate) fn height(&self) -> Option<u32> {
        self.height
    }

    pub(crate) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// When [`Watch::ask`] has a question.
    pub(crate) fn wake_at(&self) -> Option<Millis> {
        (!self.asked).then_some(self.next)
    }

    /// The question that is due.
    pub(crate) fn ask(&mut self, now: Millis) -> Option<Question> {
        if self.asked || now < self.next {
            return None;
        }
        self.asked = true;
        let peers = self.quorum.peers();
        let requests = peers.map(|peer| (peer, ApiRequest::Status)).collect();
        let enough = self.quorum.guardians();
        Some(Question::Each { requests, enough })
    }

    /// Takes answers by guardian, or the lack of any.
    pub(crate) fn answered(&mut self, answers: Option<&Json>, now: Millis) {
        self.asked = false;
        self.next = now.after_ms(match self.network {
            Network::Regtest => WATCH_REGTEST_MS,
            _ => WATCH_MS,
        });
        let answers = answers.and_then(Json::as_object).into_iter().flatten();
        let statuses: BTreeMap<&String, StatusAnswer> = answers
            .filter_map(|(peer, json)| Some((peer, serde_json::from_value(json.clone()).ok()?)))
            .collect();
        let halts = |one: &&StatusAnswer| one.halted.is_none();
        let alive: Vec<&StatusAnswer> = statuses.values().filter(halts).collect();
        self.take_height(&alive, now);
        self.take_epoch(&alive, now);
        let ready = alive.iter().filter(|one| one.not_ready.is_none()).count();
        self.trouble = self.judge(ready, now);
    }

    /// ⚠ What f guardians say moves it nowhere: the (f + 1)-th highest of 2f + 1 is not above what all honest ones have seen.
    fn agreed(&self, numbers: impl Iterator<Item = u64>) -> Option<u64> {
        let mut numbers: Vec<u64> = numbers.collect();
        if numbers.len() < self.quorum.honest_majority() {
            return None;
        }
        numbers.sort_unstable_by(|a, b| b.cmp(a));
        numbers.get(self.quorum.max_faulty()).copied()
    }

    fn take_height(&mut self, alive: &[&StatusAnswer], now: Millis) {
        let height = self.agreed(alive.iter().map(|one| u64::from(one.height)));
        let height = height.and_then(|height| u32::try_from(height).ok());
        if height > self.height {
            self.height = height;
            self.ticked = now;
        }
    }

    fn take_epoch(&mut self, alive: &[&StatusAnswer], now: Millis) {
        let epoch = self.agreed(
            alive
                .iter()
                .map(|one| one.committed.map_or(0, |epoch| epoch.0)),
        );
        let waiting = alive.iter().filter(|one| one.pool > 0).count();
        let idle = waiting < self.quorum.one_honest();
        if epoch > self.epoch || idle {
            self.epoch = self.epoch.max(epoch);
            self.moved = now;
        }
    }

    fn judge(&self, ready: usize, now: Millis) -> Option<String> {
        let needed = self.quorum.threshold();
        if ready < needed {
            let all = self.quorum.guardians();
            return Some(format!(
                "{ready} of its {all} guardians answer and can serve; {needed} are needed"
            ));
        }
        if self.height.is_none() {
            return Some("its guardians do not say how late it is".to_owned());
        }
        if self.moved.after_ms(STALL_MS) <= now {
            return Some("its guardians agree on nothing, though transactions wait".to_owned());
        }
        let comes_by_itself = self.network != Network::Regtest;
        if comes_by_itself && self.ticked.after_ms(CLOCK_MS) <= now {
            return Some("its clock has stood still for hours".to_owned());
        }
        None
    }
}

#[cfg(test)]
mod tests;
