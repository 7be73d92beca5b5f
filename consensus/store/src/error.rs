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
    #[error("the disk is full: {database} cannot grow ({detail}). Nothing was changed. Free some space and start again")]
    Full {
        /// The database: a file, or a server's URL without the password.
        database: String,
        /// What the database says.
        detail: String,
    },
    /// The system refused to read or write.
    #[error(
        "cannot read or write {database} ({detail}). Nothing was changed. Check the disk, quotas and limits on the size of files"
    )]
    Device {
        /// The database: a file, or a server's URL without the password.
        database: String,
        /// What the database says.
        detail: String,
    },
    /// The file may not be written.
    #[error("{database} is read-only ({detail}). Nothing was changed. Check its owner and permissions, and how its disk is mounted")]
    ReadOnly {
        /// The database: a file, or a server's URL without the password.
        database: String,
        /// What the database says.
        detail: String,
    },
    /// The file is not a database, or is damaged.
    #[error(
        "{database} is damaged ({detail}). Check the disk, then start with an empty database in its place: the guardian catches up from its peers"
    )]
    Corrupt {
        /// The database: a file, or a server's URL without the password.
        database: String,
        /// What the database says.
        detail: String,
    },
    /// A later version of this software made the database.
    #[error("{database} has layout {found}, this version knows {known}. Use the version that made it, or a later one")]
    Newer {
        /// The database: a file, or a server's URL without the password.
        database: String,
        /// The layout's number.
        found: i64,
        /// The highest number that this version knows.
        known: i64,
    },
    /// The server does not answer.
    #[error(
        "cannot reach {database}: {detail}. Tried for {seconds} s. Check that the server runs and that the URL is right; it is safe \
         to start again"
    )]
    Unreachable {
        /// The database.
        database: String,
        /// How long it was tried.
        seconds: u64,
        /// What the last attempt met.
        detail: String,
    },
    /// The server does not prove who it is.
    #[error(
        "{database} does not prove who it is: {detail}. Check that its certificate is valid, is for the host that the URL names, and \
         is signed by what sslrootcert names"
    )]
    Untrusted {
        /// The database.
        database: String,
        /// What is wrong with its certificate.
        detail: String,
    },
    /// The server does not let this user do what a guardian must.
    #[error(
        "{database} refuses: {detail}. Check user, password (PGPASSWORD or .pgpass), that the database exists, that the user may \
         create tables in it, and that the server is not a standby"
    )]
    Refused {
        /// The database.
        database: String,
        /// What the server says.
        detail: String,
    },
    /// Another process writes to this database.
    #[error(
        "{database} is in use by another guardian process{holder}. Two processes must never run as one guardian, and two guardians \
         need two databases: stop the other one. If it is gone for good, end its session in psql: SELECT pg_terminate_backend({session})"
    )]
    InUse {
        /// The database.
        database: String,
        /// The server's process that serves the other one.
        session: i32,
        /// What is known of the other one, in words.
        holder: String,
    },
    /// While the connection was lost, the database changed, or became an older copy of itself.
    #[error(
        "{database} is not as this process left it: {detail}. Do not start the guardian on it before you know why: another process \
         has used it, or a standby that lacked saves took over. If saves are lost, start with an empty database: the guardian \
         catches up from its peers"
    )]
    Replaced {
        /// The database.
        database: String,
        /// What differs.
        detail: String,
    },
    /// The server promises durability that it does not have.
    #[error(
        "{database} runs with fsync = off, so that a loss of power would lose what it has confirmed. Set fsync = on and restart it"
    )]
    NotDurable {
        /// The database.
        database: String,
    },
    /// The store was closed.
    #[error("the database is closed")]
    Closed,
    /// Anything else.
    #[error("the database {database} failed: {detail}")]
    Database {
        /// The database: a file, or a server's URL without the password.
        database: String,
        /// What the database says.
        detail: String,
    },
}
