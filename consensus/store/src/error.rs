use std::{io, path::PathBuf};

use thiserror::Error;

/// Why a database cannot be used, and what to do about it. No row's content is ever in it.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The data directory cannot be used.
    #[error("cannot use the data directory {path}: {source}. Check that it can be created and written by this user")]
    Directory {
        /// The directory, or the file in it.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another process holds the data directory.
    #[error(
        "{path} is locked by another process{holder}. Two processes must never run as one guardian: stop the other one"
    )]
    Locked {
        /// The lock.
        path: PathBuf,
        /// Who wrote itself into the lock, in words.
        holder: String,
    },
    /// There is no space left.
    #[error("the disk is full: {path} cannot grow ({detail}). Nothing was changed. Free some space and start again")]
    Full {
        /// The database.
        path: PathBuf,
        /// What the database says.
        detail: String,
    },
    /// The system refused to read or write.
    #[error(
        "cannot read or write {path} ({detail}). Nothing was changed. Check the disk, quotas and limits on the size of files"
    )]
    Device {
        /// The database.
        path: PathBuf,
        /// What the database says.
        detail: String,
    },
    /// The file may not be written.
    #[error("{path} is read-only ({detail}). Nothing was changed. Check its owner and permissions, and how its disk is mounted")]
    ReadOnly {
        /// The database.
        path: PathBuf,
        /// What the database says.
        detail: String,
    },
    /// The file is not a database, or is damaged.
    #[error(
        "{path} is damaged ({detail}). Check the disk, move the file away and start again: the guardian catches up from its peers"
    )]
    Corrupt {
        /// The database.
        path: PathBuf,
        /// What the database says.
        detail: String,
    },
    /// A later version of this software made the database.
    #[error("{path} has layout {found}, this version knows {known}. Use the version that made it, or a later one")]
    Newer {
        /// The database.
        path: PathBuf,
        /// The layout's number.
        found: i64,
        /// The highest number that this version knows.
        known: i64,
    },
    /// The store was closed.
    #[error("the database is closed")]
    Closed,
    /// Anything else.
    #[error("the database {path} failed: {detail}")]
    Database {
        /// The database.
        path: PathBuf,
        /// What the database says.
        detail: String,
    },
}
