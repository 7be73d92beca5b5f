use std::{io, path::PathBuf};

use guildmint_store::StoreError;
use thiserror::Error;

/// Why a gateway's database cannot be opened. ⚠ Whatever it is, an older copy is never the remedy.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Somebody uses it.
    #[error("{0} is in use by another process. Two gateways on one database lose their channels: stop the other one")]
    InUse(String),
    /// The database cannot be used.
    #[error(
        "the gateway's database cannot be used: {0}. Do not put an old copy or an empty one in its place: channels whose state is lost \
         or old are lost with their money. The README of gateway/store says what can be restored"
    )]
    Unusable(String),
    /// More was saved than the database in hand knows.
    #[error(
        "{witness} counts {counted} saves of this gateway, its database {found}: the database is an older copy. A channel whose state \
         is old is lost to the peer, so it is not used. Find the newest one. `--accept-old-copy` starts all the same"
    )]
    OldCopy {
        /// The file beside it.
        witness: PathBuf,
        /// Saves by that file.
        counted: u64,
        /// Saves by the database.
        found: u64,
    },
    /// There is nothing to compare the database with.
    #[error(
        "the database knows of {found} saves of this gateway, and {witness} of {counted}: it cannot be told whether this is the newest copy. \
         Move the file along with the database. If you are sure that no newer copy ran anywhere, `--accept-old-copy` starts"
    )]
    NoWitness {
        /// The file beside it.
        witness: PathBuf,
        /// Saves by that file; 0 if there is none.
        counted: u64,
        /// Saves by the database.
        found: u64,
    },
    /// The file that counts saves cannot be read or written.
    #[error("cannot use {witness}: {source}. It counts the saves of the gateway; check its disk and permissions")]
    Witness {
        /// The file.
        witness: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// No thread could be started.
    #[error("the system starts no thread for the database: {0}")]
    Thread(io::Error),
}

impl From<StoreError> for OpenError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Locked { path, holder } => {
                Self::InUse(format!("{}{holder}", path.display()))
            }
            StoreError::InUse {
                database, holder, ..
            } => Self::InUse(format!("{database}{holder}")),
            other => Self::Unusable(detail(&other)),
        }
    }
}

/// The database is gone, and with it the right to go on.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the gateway's database is lost: {0}. The gateway must stop; start it again on the same database")]
pub struct StoreLost(pub String);

impl StoreLost {
    pub(crate) fn closed() -> Self {
        Self("it was closed".to_owned())
    }
}

impl From<&StoreError> for StoreLost {
    fn from(error: &StoreError) -> Self {
        Self(detail(error))
    }
}

/// What happened, without the advice for guardians, whose databases may be thrown away.
fn detail(error: &StoreError) -> String {
    match error {
        StoreError::Directory { path, source } => format!("{}: {source}", path.display()),
        StoreError::Full { database, detail } => {
            format!("the disk of {database} is full ({detail})")
        }
        StoreError::Device { database, detail } => {
            format!("{database} cannot be read or written ({detail})")
        }
        StoreError::ReadOnly { database, detail } => format!("{database} is read-only ({detail})"),
        StoreError::Corrupt { database, detail } => format!("{database} is damaged ({detail})"),
        StoreError::Newer {
            database,
            found,
            known,
        } => format!("{database} has layout {found}, and this version knows {known}"),
        StoreError::Unreachable {
            database, detail, ..
        } => format!("{database} cannot be reached ({detail})"),
        StoreError::Untrusted { database, detail } => {
            format!("{database} does not prove who it is ({detail})")
        }
        StoreError::Refused { database, detail } => format!("{database} refuses ({detail})"),
        StoreError::Replaced { database, detail } => {
            format!("{database} is not as this process left it ({detail})")
        }
        StoreError::NotDurable { database } => {
            format!("{database} runs with fsync = off, which loses what it has confirmed")
        }
        StoreError::Locked { path, holder } => format!("{}{holder} is locked", path.display()),
        StoreError::InUse {
            database, holder, ..
        } => format!("{database} is in use{holder}"),
        StoreError::Closed => "it was closed".to_owned(),
        StoreError::Database { database, detail } => format!("{database}: {detail}"),
    }
}
