use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use async_std::sync::Mutex;
use async_trait::async_trait;
use guildmint_core::ledger::{Changes, Key};
use sqlx::{
    query::Query,
    sqlite::{SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
    ConnectOptions as _, Connection as _, Sqlite, SqliteConnection,
};

use crate::{bounds, lock::DirectoryLock, Loaded, Read, Store, StoreError, MAX_RANGE_ROWS};

mod migrate;
mod sql;

/// Pages in the log (of 4 KiB each) at which they are moved into the database. The rows of an epoch's log are written once and
/// deleted soon, so a long log saves most of the moving; a longer one makes starting after a crash slower.
const CHECKPOINT_PAGES: u32 = 4096;

/// Bytes to which the log's file is cut after it has grown beyond them.
const MAX_IDLE_LOG_BYTES: u32 = 64 * 1024 * 1024;

/// How long to wait for somebody who looks into the database with a tool and holds a lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

type Row = (Vec<u8>, Vec<u8>);

/// A database in one file, `guardian.sqlite`, in a data directory that is locked as long as the store is open.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    writer: Mutex<Option<Writer>>,
    // Reads need not wait for a save that waits for the disk.
    reader: Mutex<Option<SqliteConnection>>,
}

#[derive(Debug)]
struct Writer {
    connection: SqliteConnection,
    // Released when the connection is closed.
    _lock: DirectoryLock,
}

impl SqliteStore {
    /// The database's name in the data directory.
    pub const FILE: &'static str = "guardian.sqlite";

    /// Opens the database in a data directory; both are made if they do not exist.
    ///
    /// # Errors
    /// If the directory cannot be used, another process uses it, or the file is damaged or of a later version.
    pub async fn open(directory: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::open_as(directory, "guardian").await
    }

    /// The same for another program, whose files are named after it: `program.sqlite`, `program.lock`.
    ///
    /// # Errors
    /// As [`SqliteStore::open`].
    pub async fn open_as(directory: impl AsRef<Path>, program: &str) -> Result<Self, StoreError> {
        let directory = directory.as_ref();
        let lock = DirectoryLock::take_as(directory, program)?;
        let path = directory.join(format!("{program}.sqlite"));
        let failed = |error| failure(&path, &error);
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .busy_timeout(BUSY_TIMEOUT);
        let mut connection = options
            .clone()
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .pragma("wal_autocheckpoint", CHECKPOINT_PAGES.to_string())
            .pragma("journal_size_limit", MAX_IDLE_LOG_BYTES.to_string())
            .connect()
            .await
            .map_err(failed)?;
        migrate::migrate(&mut connection, &path).await?;
        let reader = options.read_only(true).connect().await.map_err(failed)?;
        let writer = Writer {
            connection,
            _lock: lock,
        };
        Ok(Self {
            path,
            writer: Mutex::new(Some(writer)),
            reader: Mutex::new(Some(reader)),
        })
    }

    fn failed(&self) -> impl Fn(sqlx::Error) -> StoreError + Copy + '_ {
        |error| failure(&self.path, &error)
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn load(&self, reads: Vec<Read>) -> Result<Loaded, StoreError> {
        let failed = self.failed();
        let mut reader = self.reader.lock().await;
        let reader = reader.as_mut().ok_or(StoreError::Closed)?;
        // A transaction, so that all reads see one state.
        let mut snapshot = reader.begin().await.map_err(failed)?;
        let mut loaded = Loaded::new();
        for read in reads {
            match read {
                Read::Key(key) => {
                    loaded.insert(key, None);
                }
                Read::Range {
                    prefix,
                    after,
                    limit,
                } => {
                    let (start, end) = bounds(prefix, after);
                    let rows = range(&mut snapshot, start, end, limit).await;
                    loaded.extend(found(rows.map_err(failed)?));
                }
            }
        }
        let absent = loaded.iter().filter(|(_, value)| value.is_none());
        let keys: Vec<Key> = absent.map(|(key, _)| key.clone()).collect();
        for keys in keys.chunks(sql::MAX_VALUES) {
            let text = sql::select(keys.len());
            let mut query = sqlx::query_as::<_, Row>(&text).persistent(false);
            for key in keys {
                query = query.bind(&key.0);
            }
            let rows = query.fetch_all(&mut *snapshot).await.map_err(failed)?;
            loaded.extend(found(rows));
        }
        snapshot.commit().await.map_err(failed)?;
        Ok(loaded)
    }

    async fn save(&self, changes: Changes) -> Result<(), StoreError> {
        let failed = self.failed();
        let mut writer = self.writer.lock().await;
        let writer = writer.as_mut().ok_or(StoreError::Closed)?;
        if changes.is_empty() {
            return Ok(());
        }
        let mut deleted = Vec::new();
        let mut written = Vec::new();
        for (key, value) in &changes {
            match value {
                Some(value) => written.push((&key.0, value)),
                None => deleted.push(&key.0),
            }
        }
        // Dropped before the commit, the transaction is rolled back.
        let mut transaction = writer.connection.begin().await.map_err(failed)?;
        for rows in written.chunks(sql::MAX_VALUES / 2) {
            let text = sql::upsert(rows.len());
            let values = rows.iter().flat_map(|(key, value)| [*key, *value]);
            let query = bind_all(&text, values);
            query.execute(&mut *transaction).await.map_err(failed)?;
        }
        for keys in deleted.chunks(sql::MAX_VALUES) {
            let text = sql::delete(keys.len());
            let query = bind_all(&text, keys.iter().copied());
            query.execute(&mut *transaction).await.map_err(failed)?;
        }
        transaction.commit().await.map_err(failed)
    }

    async fn close(&self) -> Result<(), StoreError> {
        let failed = self.failed();
        // The reader first: the last connection that closes moves the log into the database.
        if let Some(reader) = self.reader.lock().await.take() {
            reader.close().await.map_err(failed)?;
        }
        if let Some(writer) = self.writer.lock().await.take() {
            writer.connection.close().await.map_err(failed)?;
        }
        Ok(())
    }
}

fn found(rows: Vec<Row>) -> impl Iterator<Item = (Key, Option<Vec<u8>>)> {
    rows.into_iter().map(|(key, value)| (Key(key), Some(value)))
}

/// A statement of varying length, which is not worth keeping prepared.
fn bind_all<'q>(
    text: &'q str,
    values: impl Iterator<Item = &'q Vec<u8>>,
) -> Query<'q, Sqlite, SqliteArguments<'q>> {
    values.fold(sqlx::query(text).persistent(false), Query::bind)
}

async fn range(
    connection: &mut SqliteConnection,
    start: Vec<u8>,
    end: Option<Vec<u8>>,
    limit: u32,
) -> Result<Vec<Row>, sqlx::Error> {
    let limit = limit.min(MAX_RANGE_ROWS);
    let query = match end {
        Some(end) => sqlx::query_as(sql::RANGE_BETWEEN).bind(start).bind(end),
        None => sqlx::query_as(sql::RANGE_FROM).bind(start),
    };
    query.bind(limit).fetch_all(connection).await
}

/// Says what a failure means to an operator, by SQLite's primary result code (<https://www.sqlite.org/rescode.html>).
fn failure(path: &Path, error: &sqlx::Error) -> StoreError {
    let database = path.display().to_string();
    let detail = error.to_string();
    let code = error
        .as_database_error()
        .and_then(|error| error.code()?.parse::<u32>().ok());
    match code.map(|extended| extended & 0xff) {
        Some(8) => StoreError::ReadOnly { database, detail },
        Some(10 | 14) => StoreError::Device { database, detail },
        Some(11 | 26) => StoreError::Corrupt { database, detail },
        Some(13) => StoreError::Full { database, detail },
        _ => StoreError::Database { database, detail },
    }
}
