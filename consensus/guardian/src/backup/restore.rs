//! A data directory made of a backup.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use guildmint_store::{DirectoryLock, SqliteStore, StoreError};
use thiserror::Error;

use super::{contents::Contents, Backup};
use crate::{
    files::{replace, FileError, CONSENSUS_FILE, LOCAL_FILE, SECRETS_FILE},
    founding,
};

/// Why a backup was not restored.
#[derive(Debug, Error)]
pub enum RestoreError {
    /// ⚠ A guardian is or was there, or half of one.
    #[error("{0} exists: a guardian is in this data directory, or half of one. Give a new directory, or take away what is in this one")]
    Occupied(PathBuf),
    /// The directory is in use, or cannot be used.
    #[error(transparent)]
    Directory(#[from] StoreError),
    /// A file cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
}

impl RestoreError {
    /// What the process exits with: 2 if somebody has to change something, 1 if it failed.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Occupied(_) => 2,
            Self::Directory(_) | Self::File(_) => 1,
        }
    }
}

/// Writes a guardian's files into a directory, which is made if it does not exist.
///
/// # Errors
/// If anything of a guardian is there, or the files cannot be written: then none of them is left.
pub fn restore(backup: &Backup, data_dir: &Path) -> Result<(), RestoreError> {
    let _lock = DirectoryLock::take(data_dir)?;
    if let Some(occupied) = occupied(data_dir)? {
        return Err(RestoreError::Occupied(occupied));
    }
    let written = write(&backup.contents, data_dir);
    if written.is_err() {
        for name in [CONSENSUS_FILE, SECRETS_FILE, LOCAL_FILE] {
            // It was not there before; what cannot be removed is found by the next attempt.
            let _ = fs::remove_file(data_dir.join(name));
        }
    }
    Ok(written?)
}

/// ⚠ The public file comes last: without it, and with secrets, a directory is nobody's, and is neither started nor founded in.
fn write(contents: &Contents, data_dir: &Path) -> Result<(), FileError> {
    let mut files = vec![
        (SECRETS_FILE, &contents.secrets, 0o600),
        (CONSENSUS_FILE, &contents.consensus, 0o644),
    ];
    if let Some(local) = &contents.local {
        // A password of a database may be in it.
        files.insert(0, (LOCAL_FILE, local, 0o600));
    }
    for (name, text, mode) in files {
        replace(&data_dir.join(name), text.as_bytes(), mode)?;
    }
    Ok(())
}

/// Something of a guardian's, if it is there.
fn occupied(data_dir: &Path) -> Result<Option<PathBuf>, FileError> {
    if founding::is_under_way(data_dir) {
        return Ok(Some(founding::folder(data_dir)));
    }
    let failed = |source: io::Error| FileError::Read {
        path: data_dir.to_owned(),
        source,
    };
    for entry in fs::read_dir(data_dir).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let shown = name.to_string_lossy();
        let is_file_of_guardian =
            [CONSENSUS_FILE, LOCAL_FILE, SECRETS_FILE].contains(&shown.as_ref());
        // With all that SQLite has beside it.
        if is_file_of_guardian || shown.starts_with(SqliteStore::FILE) {
            return Ok(Some(data_dir.join(name)));
        }
    }
    Ok(None)
}
