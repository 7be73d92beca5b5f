//! The one who reads and writes the database, strictly in the order in which it is told.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use async_std::channel::{Receiver, Sender};
use guildmint_core::{
    ledger::{Changes, Key, Scope, Space},
    Row as _,
};
use guildmint_engine::{
    node::{Event, Ticket},
    rows::Head,
};
use guildmint_store::{Read, Store, StoreError};

use crate::{metrics::Metrics, shell::Input};

pub(crate) enum StoreJob {
    Load(Ticket, BTreeSet<Key>),
    Save(Ticket, Changes),
}

/// Works until there is nobody left to give work. A failure ends it at once: what was asked for later may depend on what
/// failed.
pub(crate) async fn work(
    store: Arc<dyn Store>,
    jobs: Receiver<StoreJob>,
    inputs: Sender<Input>,
    metrics: Arc<Metrics>,
) {
    while let Ok(job) = jobs.recv().await {
        metrics.store_begins();
        let began = Instant::now();
        let commits = matches!(&job, StoreJob::Save(_, changes) if changes.contains_key(&head()));
        let done = carry_out(&*store, job).await;
        metrics.store_ended();
        let input = match done {
            Ok(event) => {
                if matches!(event, Event::Saved { .. }) {
                    metrics.saved(began.elapsed());
                }
                if commits {
                    metrics.committed();
                }
                Input::Event(event)
            }
            Err(error) => Input::StoreFailed(error),
        };
        let failed = matches!(input, Input::StoreFailed(_));
        // Nobody hears it any more when the guardian is stopping; what was asked for is done nevertheless.
        let _ = inputs.send(input).await;
        if failed {
            return;
        }
        if began.elapsed() > SLOW {
            tracing::warn!(took = ?began.elapsed(), "the database is slow; check the disk");
        }
    }
}

/// Beyond this the operator is told.
const SLOW: Duration = Duration::from_secs(1);

/// The row that every epoch changes.
fn head() -> Key {
    Head.key(Scope::engine(Space::Local))
}

async fn carry_out(store: &dyn Store, job: StoreJob) -> Result<Event, StoreError> {
    match job {
        StoreJob::Load(ticket, keys) => {
            let reads = keys.into_iter().map(Read::Key).collect();
            let rows = store.load(reads).await?.into_iter().collect();
            Ok(Event::Loaded { ticket, rows })
        }
        StoreJob::Save(ticket, changes) => {
            store.save(changes).await?;
            Ok(Event::Saved { ticket })
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use async_std::{channel::unbounded, task};
    use guildmint_store::MemoryStore;

    use super::*;

    fn key() -> Key {
        Key(b"row".to_vec())
    }

    #[test]
    fn a_load_sees_the_save_that_was_asked_for_before() {
        task::block_on(async {
            let (jobs, queue) = unbounded();
            let (inputs, outputs) = unbounded();
            let load = || StoreJob::Load(Ticket(1), [key()].into());
            jobs.try_send(load()).ok().unwrap();
            let changes = Changes::from([(key(), Some(vec![7]))]);
            jobs.try_send(StoreJob::Save(Ticket(2), changes))
                .ok()
                .unwrap();
            jobs.try_send(load()).ok().unwrap();
            drop(jobs);
            let metrics = Arc::new(Metrics::default());
            work(Arc::new(MemoryStore::default()), queue, inputs, metrics).await;
            let mut seen = Vec::new();
            while let Ok(Input::Event(event)) = outputs.recv().await {
                seen.push(match event {
                    Event::Loaded { rows, .. } => rows[0].1.clone(),
                    Event::Saved { ticket } => Some(vec![0, ticket.0 as u8]),
                    _ => None,
                });
            }
            assert_eq!(seen, [None, Some(vec![0, 2]), Some(vec![7])]);
        });
    }

    #[test]
    fn nothing_is_done_after_a_failure() {
        task::block_on(async {
            let store = Arc::new(MemoryStore::default());
            store.close().await.unwrap();
            let (jobs, queue) = unbounded();
            let (inputs, outputs) = unbounded();
            for ticket in 1..3 {
                let save = StoreJob::Save(Ticket(ticket), Changes::from([(key(), None)]));
                jobs.try_send(save).ok().unwrap();
            }
            work(store, queue, inputs, Arc::new(Metrics::default())).await;
            assert!(matches!(outputs.recv().await, Ok(Input::StoreFailed(_))));
            assert!(outputs.recv().await.is_err());
        });
    }
}
