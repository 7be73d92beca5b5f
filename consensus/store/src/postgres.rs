//! Postgres: for operators who have backups of it, and people who know it.
//!
//! # One connection
//!
//! All reads and writes go through one connection, which holds an advisory lock of the session: when it is lost, so is the right
//! to write, and there is nobody who could read what another process wrote meanwhile. As nobody else writes, a load needs no
//! transaction to see one state.
//!
//! # When the connection is lost
//!
//! A new one is made, with pauses that grow, for up to five minutes. It must take the lock, so the old session has ended, and
//! what it was sent is made or never will be. If the server has not noticed that the old one is gone, it is told.
//!
//! Whether a save that was under way is made is then known and not guessed: each save counts itself, in the row `writer`, in its own
//! transaction. If the count is one higher, it was made; if it is the same, it is made now. Making it twice would do no harm, because a
//! save says what rows are afterwards, but the count also shows what must not be overlooked: if it is anything else, or if the term,
//! which each start of a guardian increases, is another, then somebody else was here, or an old copy of the database took its
//! place. The guardian must stop then: its memory and its database are no longer of one past, and it could contradict what it has said.
//!
//! # What the server must be
//!
//! PostgreSQL 12 or later, reached directly or through a pooler in session mode. A standby that takes over must have every save that was
//! confirmed (`synchronous_standby_names`); one that lacks some is an old copy, which is refused as long as the guardian runs.

use std::{path::Path, time::Instant};

use async_std::sync::Mutex;
use async_trait::async_trait;
use guildmint_core::ledger::{Changes, Key};
use sqlx::PgConnection;

use crate::{
    bounds, lock::DirectoryLock, Loaded, NoProjection, Projection, Read, Store, StoreError,
    MAX_RANGE_ROWS,
};

mod adapter;
mod backoff;
mod failure;
mod migrate;
mod save;
mod session;
mod sql;
mod url;

use failure::Trouble;
use save::Save;
use session::{patiently, Session, MAX_ATTEMPTS};
pub use url::{PostgresUrl, PostgresUrlError};

type Row = (Vec<u8>, Vec<u8>);

/// A database on a PostgreSQL server, with a data directory that is locked as long as the store is open. It
/// survives the loss of its connection: the crate's README says how.
pub struct PostgresStore {
    projection: Box<dyn Projection>,
    open: Mutex<Option<Open>>,
}

struct Open {
    session: Session,
    // Released after the session is.
    _lock: DirectoryLock,
}

impl PostgresStore {
    /// Opens the database of the guardian in a data directory. The database must exist; its tables are made.
    ///
    /// # Errors
    /// If another process uses the directory or the database, the server cannot be reached or refuses, or the layout is of a later
    /// version.
    pub async fn open(directory: impl AsRef<Path>, url: &PostgresUrl) -> Result<Self, StoreError> {
        Self::open_as(directory, url, "guardian").await
    }

    /// The same for another program, whose lock in the directory is named after it. One database is for one program.
    ///
    /// # Errors
    /// As [`PostgresStore::open`].
    pub async fn open_as(
        directory: impl AsRef<Path>,
        url: &PostgresUrl,
        program: &str,
    ) -> Result<Self, StoreError> {
        let lock = DirectoryLock::take_as(directory.as_ref(), program)?;
        let session = Session::open(url.clone()).await?;
        let open = Open {
            session,
            _lock: lock,
        };
        Ok(Self {
            projection: Box::new(NoProjection),
            open: Mutex::new(Some(open)),
        })
    }

    /// The same, with tables beside the rows that people can read.
    #[must_use]
    pub fn with_projection(self, projection: impl Projection) -> Self {
        Self {
            projection: Box::new(projection),
            ..self
        }
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn load(&self, reads: Vec<Read>) -> Result<Loaded, StoreError> {
        let mut open = self.open.lock().await;
        let session = &mut open.as_mut().ok_or(StoreError::Closed)?.session;
        let began = Instant::now();
        let mut attempts = 0;
        loop {
            attempts += 1;
            let mut connection = session.take().await?;
            match patiently(load(&mut connection, &reads)).await {
                Ok(loaded) => {
                    session.give_back(connection);
                    return Ok(loaded);
                }
                Err(Trouble::Lost(detail)) if attempts < MAX_ATTEMPTS => {
                    tracing::warn!(detail, "lost the connection to the database in a load");
                }
                Err(trouble) => {
                    if matches!(trouble, Trouble::Failed(_)) {
                        session.give_back(connection);
                    }
                    return Err(session.error(trouble, began));
                }
            }
        }
    }

    async fn save(&self, changes: Changes) -> Result<(), StoreError> {
        let mut open = self.open.lock().await;
        let session = &mut open.as_mut().ok_or(StoreError::Closed)?.session;
        if changes.is_empty() {
            return Ok(());
        }
        let save = Save::new(&changes, self.projection.records(&changes));
        let began = Instant::now();
        // A save that its caller gave up on may have been made; that is settled before this one is counted.
        let mut connection = session.take().await?;
        let made = session.saves + 1;
        let mut attempts = 0;
        while session.saves < made {
            attempts += 1;
            session.in_doubt = true;
            let making = save.make(&mut connection, session.term, session.saves);
            match patiently(making).await {
                Ok(true) => {
                    session.saves = made;
                    session.in_doubt = false;
                }
                Ok(false) => {
                    let trouble = session.replaced("somebody else writes to it".to_owned());
                    return Err(session.error(trouble, began));
                }
                Err(Trouble::Lost(detail)) if attempts < MAX_ATTEMPTS => {
                    tracing::warn!(detail, "lost the connection to the database in a save");
                    drop(connection);
                    connection = session.take().await?;
                }
                Err(trouble) => {
                    if matches!(trouble, Trouble::Failed(_)) {
                        session.give_back(connection);
                    }
                    return Err(session.error(trouble, began));
                }
            }
        }
        session.give_back(connection);
        Ok(())
    }

    async fn close(&self) -> Result<(), StoreError> {
        match self.open.lock().await.take() {
            Some(open) => open.session.close().await,
            None => Ok(()),
        }
    }
}

async fn load(connection: &mut PgConnection, reads: &[Read]) -> Result<Loaded, Trouble> {
    let mut loaded = Loaded::new();
    for read in reads {
        match read {
            Read::Key(key) => {
                loaded.entry(key.clone()).or_insert(None);
            }
            Read::Range {
                prefix,
                after,
                limit,
            } => {
                let (start, end) = bounds(prefix.clone(), after.clone());
                let rows = range(connection, start, end, *limit).await?;
                loaded.extend(found(rows));
            }
        }
    }
    let absent = loaded.iter().filter(|(_, value)| value.is_none());
    let keys: Vec<Vec<u8>> = absent.map(|(key, _)| key.0.clone()).collect();
    if !keys.is_empty() {
        let query = sqlx::query_as::<_, Row>(sql::SELECT).bind(keys);
        loaded.extend(found(query.fetch_all(connection).await?));
    }
    Ok(loaded)
}

fn found(rows: Vec<Row>) -> impl Iterator<Item = (Key, Option<Vec<u8>>)> {
    rows.into_iter().map(|(key, value)| (Key(key), Some(value)))
}

async fn range(
    connection: &mut PgConnection,
    start: Vec<u8>,
    end: Option<Vec<u8>>,
    limit: u32,
) -> Result<Vec<Row>, sqlx::Error> {
    let limit = i64::from(limit.min(MAX_RANGE_ROWS));
    let query = match end {
        Some(end) => sqlx::query_as(sql::RANGE_BETWEEN)
            .bind(start)
            .bind(limit)
            .bind(end),
        None => sqlx::query_as(sql::RANGE_FROM).bind(start).bind(limit),
    };
    query.fetch_all(connection).await
}
