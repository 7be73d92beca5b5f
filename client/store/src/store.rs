//! The rows.

use std::path::{Path, PathBuf};

use guildmint_core::ledger::{Changes, Key, Memory};
use sqlx::{
    sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous},
    ConnectOptions, Connection, Row,
};
use thiserror::Error;

use crate::{
    files,
    lock::{Lock, LockError},
};

/// The layout that this software reads and writes, in SQLite's `user_version`.
const LAYOUT: i64 = 1;

/// Why rows cannot be read or written.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The directory is in use or unusable.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// SQLite's word for it: a full disk, a damaged file.
    #[error("cannot use {}: {source}", .path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: sqlx::Error,
    },
    /// A file that newer software has written.
    #[error("{} has layout {found}; this software knows layouts up to {LAYOUT}", .path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its layout.
        found: i64,
    },
}

/// A wallet's directory, locked against other processes.
#[derive(Debug)]
pub struct Store {
    connection: SqliteConnection,
    path: PathBuf,
    _lock: Lock,
}

impl Store {
    /// Opens the rows in a directory, which is created if it is missing, and reads all of them.
    ///
    /// # Errors
    /// If another process uses the directory, or the file cannot be used.
    pub async fn open(directory: &Path) -> Result<(Self, Memory), StoreError> {
        let lock = Lock::take(directory)?;
        let path = directory.join("wallet.sqlite");
        let failed = |source| StoreError::Database {
            path: path.clone(),
            source,
        };
        // SQLite gives its other files the mode of this one.
        files::private()
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|error| failed(sqlx::Error::Io(error)))?;
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full);
        let mut connection = options.connect().await.map_err(failed)?;
        let found: i64 = sqlx::query_scalar("PRAGMA user_version")
            .fetch_one(&mut connection)
            .await
            .map_err(failed)?;
        if found > LAYOUT {
            return Err(StoreError::Newer { path, found });
        }
        if found < LAYOUT {
            lay_out(&mut connection).await.map_err(failed)?;
            files::sync_directory(directory).map_err(|error| failed(sqlx::Error::Io(error)))?;
        }
        let rows = sqlx::query("SELECT key, value FROM rows")
            .fetch_all(&mut connection)
            .await
            .map_err(failed)?;
        let rows = rows
            .iter()
            .map(|row| Ok((Key(row.try_get(0)?), row.try_get(1)?)));
        let memory = Memory(rows.collect::<Result<_, _>>().map_err(failed)?);
        let store = Self {
            connection,
            path,
            _lock: lock,
        };
        Ok((store, memory))
    }

    /// Makes all changes durable, or none.
    ///
    /// # Errors
    /// If the file cannot be written. Then nothing has changed.
    pub async fn save(&mut self, changes: &Changes) -> Result<(), StoreError> {
        write(&mut self.connection, changes)
            .await
            .map_err(|source| StoreError::Database {
                path: self.path.clone(),
                source,
            })
    }

    /// Closes the file, so that no write-ahead log is left beside it.
    ///
    /// # Errors
    /// If SQLite cannot. What was saved is durable all the same.
    pub async fn close(self) -> Result<(), StoreError> {
        let path = self.path;
        let failed = |source| StoreError::Database { path, source };
        self.connection.close().await.map_err(failed)
    }
}

async fn lay_out(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let table = "CREATE TABLE rows (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID";
    sqlx::query(table).execute(&mut *transaction).await?;
    let version = format!("PRAGMA user_version = {LAYOUT}");
    sqlx::query(&version).execute(&mut *transaction).await?;
    transaction.commit().await
}

async fn write(connection: &mut SqliteConnection, changes: &Changes) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    for (Key(key), value) in changes {
        let query = match value {
            Some(value) => sqlx::query("INSERT OR REPLACE INTO rows (key, value) VALUES (?, ?)")
                .bind(key)
                .bind(value),
            None => sqlx::query("DELETE FROM rows WHERE key = ?").bind(key),
        };
        query.execute(&mut *transaction).await?;
    }
    transaction.commit().await
}

#[cfg(test)]
mod tests {
    use async_std::task::block_on;

    use super::*;

    fn changes(rows: &[(u8, Option<u8>)]) -> Changes {
        rows.iter()
            .map(|(key, value)| (Key(vec![*key]), value.map(|value| vec![value])))
            .collect()
    }

    #[test]
    fn rows_survive_and_deleted_rows_do_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/er");
        block_on(async {
            let (mut store, rows) = Store::open(&path).await.unwrap();
            assert_eq!(rows, Memory::default());
            store
                .save(&changes(&[(1, Some(1)), (2, Some(2))]))
                .await
                .unwrap();
            store
                .save(&changes(&[(1, Some(3)), (2, None)]))
                .await
                .unwrap();
            drop(store);
            let (_, rows) = Store::open(&path).await.unwrap();
            assert_eq!(rows, Memory([(Key(vec![1]), vec![3])].into()));
        });
    }

    #[test]
    fn one_process_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        block_on(async {
            let (store, _) = Store::open(directory.path()).await.unwrap();
            assert!(matches!(
                Store::open(directory.path()).await,
                Err(StoreError::Lock(LockError::Busy(_)))
            ));
            store.close().await.unwrap();
            assert!(Store::open(directory.path()).await.is_ok());
        });
    }

    #[test]
    fn a_directory_below_a_file_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        std::fs::write(&file, "x").unwrap();
        let error = block_on(Store::open(&file.join("wallet"))).unwrap_err();
        assert!(matches!(
            error,
            StoreError::Lock(LockError::Unwritable { .. })
        ));
    }

    #[test]
    fn newer_layouts_and_damaged_files_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        block_on(async {
            let (mut store, _) = Store::open(directory.path()).await.unwrap();
            let newer = sqlx::query("PRAGMA user_version = 2");
            newer.execute(&mut store.connection).await.unwrap();
            store.close().await.unwrap();
            assert!(matches!(
                Store::open(directory.path()).await,
                Err(StoreError::Newer { found: 2, .. })
            ));
            std::fs::write(directory.path().join("wallet.sqlite"), [7; 4096]).unwrap();
            assert!(matches!(
                Store::open(directory.path()).await,
                Err(StoreError::Database { .. })
            ));
        });
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_can_read() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("wallet");
        let (mut store, _) = block_on(Store::open(&path)).unwrap();
        block_on(store.save(&changes(&[(1, Some(1))]))).unwrap();
        for entry in std::fs::read_dir(&path).unwrap() {
            let mode = entry.unwrap().metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0);
        }
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0);
    }
}
