use std::{
    ops::Bound,
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc, Mutex, MutexGuard, PoisonError,
    },
};

use async_trait::async_trait;
use guildmint_core::ledger::{Changes, Key, Memory};

use crate::{bounds, Loaded, Read, Store, StoreError, MAX_RANGE_ROWS};

/// A database that lives as long as its process. A clone is the same database, opened again.
#[derive(Debug, Default)]
pub struct MemoryStore {
    rows: Arc<Mutex<Memory>>,
    closed: AtomicBool,
}

impl Clone for MemoryStore {
    fn clone(&self) -> Self {
        Self {
            rows: Arc::clone(&self.rows),
            closed: AtomicBool::new(false),
        }
    }
}

impl MemoryStore {
    fn rows(&self) -> Result<MutexGuard<'_, Memory>, StoreError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(StoreError::Closed);
        }
        Ok(self.rows.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn load(&self, reads: Vec<Read>) -> Result<Loaded, StoreError> {
        let rows = self.rows()?;
        let mut loaded = Loaded::new();
        for read in reads {
            match read {
                Read::Key(key) => {
                    let value = rows.0.get(&key).cloned();
                    loaded.insert(key, value);
                }
                Read::Range {
                    prefix,
                    after,
                    limit,
                } => {
                    let (start, end) = bounds(prefix, after);
                    if end.as_ref().is_some_and(|end| *end <= start) {
                        continue;
                    }
                    let end = end.map_or(Bound::Unbounded, |end| Bound::Excluded(Key(end)));
                    let range = rows.0.range((Bound::Included(Key(start)), end));
                    let page = range.take(limit.min(MAX_RANGE_ROWS) as usize);
                    loaded.extend(page.map(|(key, value)| (key.clone(), Some(value.clone()))));
                }
            }
        }
        Ok(loaded)
    }

    async fn save(&self, changes: Changes) -> Result<(), StoreError> {
        self.rows()?.apply(changes);
        Ok(())
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.closed.store(true, Ordering::Release);
        Ok(())
    }
}
