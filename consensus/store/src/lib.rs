#![doc = include_str!("../README.md")]

use std::collections::BTreeMap;

use async_trait::async_trait;
use guildmint_core::ledger::{Changes, Key};

mod error;
mod lock;
mod memory;
mod postgres;
mod records;
mod sqlite;
#[cfg(feature = "test-suite")]
pub mod suite;

pub use error::StoreError;
pub use lock::DirectoryLock;
pub use memory::MemoryStore;
pub use postgres::{PostgresStore, PostgresUrl, PostgresUrlError};
pub use records::{
    AuditRecord, CoinPlace, CoinRecord, EpochRecord, NoProjection, Projection, Records,
    TransactionRecord,
};
pub use sqlite::SqliteStore;

/// Rows that one range answers at most, whatever was asked for: no read is unbounded. Ask on with `after`.
pub const MAX_RANGE_ROWS: u32 = 4096;

/// Something to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read {
    /// One row.
    Key(Key),
    /// The first rows, in the order of their keys' bytes, whose keys start with `prefix`.
    Range {
        /// What the keys start with.
        prefix: Vec<u8>,
        /// Only keys greater than this: the last one of the page before.
        after: Option<Key>,
        /// How many rows at most; cut to [`MAX_RANGE_ROWS`].
        limit: u32,
    },
}

/// What was read: each [`Read::Key`] with its value, or `None` if there is no such row, and the rows of all ranges.
pub type Loaded = BTreeMap<Key, Option<Vec<u8>>>;

/// A database.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Reads, all from one state: a save that happens meanwhile is seen whole or not at all.
    ///
    /// # Errors
    /// If the database cannot be read, or is closed.
    async fn load(&self, reads: Vec<Read>) -> Result<Loaded, StoreError>;

    /// Makes the changes, all or none. They are durable when this returns (SPEC EPO-5).
    ///
    /// # Errors
    /// If they cannot be made: none is then.
    async fn save(&self, changes: Changes) -> Result<(), StoreError>;

    /// Reads all rows whose keys start with `prefix`, page by page. For tables that are held in memory, at the start, when
    /// nothing is saved meanwhile.
    ///
    /// # Errors
    /// As [`Store::load`].
    async fn load_prefix(&self, prefix: &[u8]) -> Result<BTreeMap<Key, Vec<u8>>, StoreError> {
        let mut rows = BTreeMap::new();
        loop {
            let page = Read::Range {
                prefix: prefix.to_vec(),
                after: rows.last_key_value().map(|(key, _): (&Key, _)| key.clone()),
                limit: MAX_RANGE_ROWS,
            };
            let page = self.load(vec![page]).await?;
            if page.is_empty() {
                return Ok(rows);
            }
            rows.extend(
                page.into_iter()
                    .filter_map(|(key, value)| Some((key, value?))),
            );
        }
    }

    /// Lets go of the database once what is under way is done. All calls after it fail with [`StoreError::Closed`].
    ///
    /// # Errors
    /// If the database could not be closed in order. What was saved is saved nevertheless.
    async fn close(&self) -> Result<(), StoreError>;
}

/// The keys of a range: from the first bound, which is in it, to the second, which is not.
fn bounds(prefix: Vec<u8>, after: Option<Key>) -> (Vec<u8>, Option<Vec<u8>>) {
    let end = successor(&prefix);
    let start = match after {
        // Nothing lies between a key and the same with a zero byte appended.
        Some(Key(mut after)) if after >= prefix => {
            after.push(0);
            after
        }
        _ => prefix,
    };
    (start, end)
}

/// The least bytes that are greater than all that start with `prefix`, if there are any.
fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|&byte| byte != u8::MAX)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_holds_what_starts_with_its_prefix() {
        assert_eq!(successor(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(successor(&[1, 255, 255]), Some(vec![2]));
        assert_eq!(successor(&[255, 255]), None);
        assert_eq!(successor(&[]), None);
    }

    #[test]
    fn a_page_starts_after_the_one_before() {
        let from = |after: &[u8]| bounds(b"m".to_vec(), Some(Key(after.to_vec()))).0;
        assert_eq!(from(b"ma"), b"ma\0");
        assert_eq!(from(b"m"), b"m\0");
        assert_eq!(from(b"a"), b"m");
    }
}
