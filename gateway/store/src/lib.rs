#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod error;
mod keys;
mod shelf;
#[cfg(test)]
mod tests;
mod witness;
mod writer;

use std::{path::PathBuf, sync::Arc};

use guildmint_store::{PostgresStore, SqliteStore, Store};

pub use error::{OpenError, StoreLost};
pub use guildmint_core::ledger::{Changes, Key};
pub use guildmint_store::{Loaded, PostgresUrl, Read, MAX_RANGE_ROWS};
pub use keys::Space;
pub use shelf::Shelf;
pub use writer::{GatewayStore, Saving, MAX_GROUP, MAX_WAITING};

/// Names the files in the directory.
const PROGRAM: &str = "gateway";

/// Where a gateway's database is.
#[derive(Debug, Clone)]
pub struct Place {
    /// The data directory, which one process uses at a time. Without Postgres the database is in it.
    pub directory: PathBuf,
    /// A database of the gateway's own on a server.
    pub postgres: Option<PostgresUrl>,
    /// Where the number of saves is kept a second time, outside of the database; the data directory if absent. It tells old copies
    /// best on another disk, which should be as quick: each save waits for it.
    pub witness: Option<PathBuf>,
    /// ⚠ Start on a database that may be an old copy. A channel whose state is old is lost to the peer.
    pub accept_copy: bool,
}

impl Place {
    /// A database in a directory.
    #[must_use]
    pub fn in_directory(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            postgres: None,
            witness: None,
            accept_copy: false,
        }
    }
}

/// Called once, from the store's thread, when the database is lost. ⚠ What is in memory is then ahead of what is on disk for good, so a
/// program must end here and start again.
pub type OnLoss = Arc<dyn Fn(&StoreLost) + Send + Sync>;

impl GatewayStore {
    /// Opens the database and starts its thread.
    ///
    /// # Errors
    /// If another process uses it, it cannot be used, or it may be an old copy.
    pub fn open(place: &Place, on_loss: OnLoss) -> Result<Self, OpenError> {
        async_std::task::block_on(async {
            let store: Box<dyn Store> = match &place.postgres {
                None => Box::new(SqliteStore::open_as(&place.directory, PROGRAM).await?),
                Some(url) => {
                    Box::new(PostgresStore::open_as(&place.directory, url, PROGRAM).await?)
                }
            };
            let witness = witness::begin(&*store, place).await?;
            writer::start(store, witness, on_loss)
        })
    }
}
