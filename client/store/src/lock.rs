//! One process per directory.

use std::{
    fs::{File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use thiserror::Error;

use crate::files;

/// Why the directory cannot be used.
#[derive(Debug, Error)]
pub enum LockError {
    /// Another process uses it.
    #[error("another process is using {}; wait for it or stop it", .0.display())]
    Busy(PathBuf),
    /// It cannot be created or written to.
    #[error("cannot write to {}: {source}", .path.display())]
    Unwritable {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Held while the directory is in use; the operating system releases it even after a crash.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    pub(crate) fn take(directory: &Path) -> Result<Self, LockError> {
        let unwritable = |source| LockError::Unwritable {
            path: directory.to_owned(),
            source,
        };
        files::create_directory(directory).map_err(unwritable)?;
        let file = files::private()
            .create(true)
            .truncate(false)
            .open(directory.join("wallet.lock"))
            .map_err(unwritable)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LockError::Busy(directory.to_owned())),
            Err(TryLockError::Error(error)) => Err(unwritable(error)),
        }
    }
}
