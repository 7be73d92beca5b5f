//! Payments that have ended: those of the last day in memory, all in the database.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use guildmint_core::ledger::{Changes, Key};
use guildmint_gateway::{entry, entry_key, Entry, Kind, Millis};
use guildmint_gateway_store::{GatewayStore, Read, Space, StoreLost};
use serde::Serialize;

use crate::{metrics::Metrics, shell::now};

/// What a day is.
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Payments of the last day that are remembered. If there are more, the summary is of the latest so many.
const MAX_REMEMBERED: usize = 100_000;

/// Payments on one page of the list.
pub(crate) const MAX_PAGE: u64 = 100;

/// What the payments of the last day came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Day {
    pub(crate) payments: u64,
    pub(crate) paid: u64,
    pub(crate) received: u64,
    pub(crate) swapped: u64,
    pub(crate) income_msat: u64,
    pub(crate) cost_msat: u64,
}

impl Day {
    /// What was earned; negative if it was lost.
    pub(crate) fn earned_msat(&self) -> i64 {
        let signed = |msat: u64| i64::try_from(msat).unwrap_or(i64::MAX);
        signed(self.income_msat).saturating_sub(signed(self.cost_msat))
    }
}

/// The last day's payments.
pub(crate) struct Ledger {
    last: Mutex<VecDeque<Entry>>,
    metrics: Arc<Metrics>,
}

impl Ledger {
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            last: Mutex::default(),
            metrics,
        }
    }

    /// Reads those of the last day, going back from the end.
    pub(crate) fn load(&self, store: &GatewayStore, payments: u64) -> Result<(), StoreLost> {
        let since = now().0.saturating_sub(DAY_MS);
        let mut end = payments;
        let mut found = VecDeque::new();
        while end > 0 && found.len() < MAX_REMEMBERED {
            let start = end.saturating_sub(MAX_PAGE);
            let page = page(store, start, end)?;
            let older = page.iter().any(|entry| entry.at.0 < since);
            for entry in page.into_iter().rev().filter(|entry| entry.at.0 >= since) {
                found.push_front(entry);
            }
            end = if older { 0 } else { start };
        }
        *self.last() = found;
        Ok(())
    }

    /// Takes note of payments among changes.
    pub(crate) fn note(&self, changes: &Changes) {
        let rows = changes.iter();
        let new = rows.filter_map(|(key, value)| entry(key, value.as_ref()?));
        let mut last = self.last();
        for entry in new {
            self.metrics.ended(&entry);
            if last.len() >= MAX_REMEMBERED {
                last.pop_front();
            }
            last.push_back(entry);
        }
    }

    /// The last day.
    pub(crate) fn day(&self, now: Millis) -> Day {
        let mut last = self.last();
        while last
            .front()
            .is_some_and(|entry| now.since_ms(entry.at) > DAY_MS)
        {
            last.pop_front();
        }
        let mut day = Day::default();
        for entry in last.iter() {
            day.payments += 1;
            match entry.kind {
                Kind::Pay => day.paid += 1,
                Kind::Receive => day.received += 1,
                Kind::Swap => day.swapped += 1,
            }
            day.income_msat = day.income_msat.saturating_add(entry.income.msat());
            day.cost_msat = day.cost_msat.saturating_add(entry.cost.msat());
        }
        day
    }

    /// The latest payments, the last first.
    pub(crate) fn latest(&self, count: usize) -> Vec<Entry> {
        self.last().iter().rev().take(count).cloned().collect()
    }

    fn last(&self) -> MutexGuard<'_, VecDeque<Entry>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Payments from the number `start` to before `end`, as they are stored.
pub(crate) fn page(store: &GatewayStore, start: u64, end: u64) -> Result<Vec<Entry>, StoreLost> {
    let key = |number| Space::Gateway.key(&entry_key(number).0);
    let reads = (start..end).map(|number| Read::Key(key(number)));
    let loaded = store.load(reads.collect())?;
    let mut entries: Vec<Entry> = loaded
        .into_iter()
        .filter_map(|(key, value)| {
            let inner = Key(key.0.get(1..)?.to_vec());
            entry(&inner, &value?)
        })
        .collect();
    entries.sort_by_key(|entry| entry.number);
    Ok(entries)
}
