//! All that a guardian must not lose, in one file, and a guardian made of such a file (SPEC SET-6).
//!
//! History is not in it: what a guardian does not know, the others tell it (SPEC EPO-4, EPO-5).

mod contents;
mod restore;
mod sealed;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use std::{
    ffi::OsStr,
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use guildmint_core::module::Registry;
use rand_chacha::{rand_core::SeedableRng, ChaCha20Rng};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    files::{replace, write_private, FileError, BACKUP_STAMP, CONSENSUS_FILE},
    founding,
    secrets::{Cost, SecretsError},
};

pub use contents::{Contained, ContentsError};
pub use restore::{restore, RestoreError};
pub use sealed::{Backup, OpenError};

use contents::Contents;
use sealed::MAX_FILE_BYTES;

/// Why there is no backup.
#[derive(Debug, Error)]
pub enum CreateError {
    /// Keys are still being made.
    #[error("{0} is still founding a federation: there are no keys to back up yet. Make the backup when the federation exists")]
    Founding(PathBuf),
    /// No guardian's directory.
    #[error("{0} has no {CONSENSUS_FILE}: no guardian is there. Give the data directory of one")]
    NoGuardian(PathBuf),
    /// Not a file.
    #[error("a backup goes into a file that only its owner may read and that is known to be stored, so not to standard output. Give a file")]
    Output,
    /// It would be lost with what it is for.
    #[error("{0} is in the data directory: a backup there is lost with the directory. Give a file elsewhere")]
    Inside(PathBuf),
    /// ⚠ Never overwritten.
    #[error("{0} exists; a backup overwrites nothing. Give another file, or take this one away")]
    Exists(PathBuf),
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// What is there would not be a guardian again.
    #[error("there would be no guardian in this backup: {0}")]
    Contents(#[from] ContentsError),
    /// It cannot be encrypted.
    #[error(transparent)]
    Seal(SecretsError),
    /// Longer than a backup may be.
    #[error("the files have {bytes} bytes together, a backup at most {max}; look at what makes them so long")]
    TooLong {
        /// How long they are.
        bytes: usize,
        /// How long they may be.
        max: usize,
    },
    /// The system gives no randomness.
    #[error("the system gives no random numbers: {0}")]
    Randomness(getrandom::Error),
    /// It is made, but the guardian does not know.
    #[error("the backup is made, but when cannot be noted, so that the operator's page shows an older one: {0}")]
    Stamp(FileError),
}

impl CreateError {
    /// What the process exits with: 3 if the passphrase is wrong, 2 if somebody has to change something, 1 if it failed.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Contents(error) => error.exit_code(),
            Self::Seal(SecretsError::EmptyPassphrase) => 3,
            Self::File(_) | Self::Randomness(_) | Self::Stamp(_) | Self::Seal(_) => 1,
            _ => 2,
        }
    }
}

/// Makes a backup of the guardian in a data directory, whether it runs or not, and notes when. What is in it is checked before: a
/// backup that cannot be restored is none.
///
/// # Errors
/// If the directory has no guardian that could be restored, or the file exists or cannot be written: then there is no file.
pub fn create(
    data_dir: &Path,
    to: &Path,
    passphrase: &str,
    cost: Cost,
    registry: &Registry,
) -> Result<Contained, CreateError> {
    if founding::is_under_way(data_dir) {
        return Err(CreateError::Founding(data_dir.to_owned()));
    }
    if !data_dir.join(CONSENSUS_FILE).exists() {
        return Err(CreateError::NoGuardian(data_dir.to_owned()));
    }
    is_good_place(data_dir, to)?;
    let contents = Contents::read(data_dir)?;
    let contained = contents.check(registry, passphrase)?;
    let text = sealed::seal(
        &contents,
        &contained,
        passphrase,
        cost,
        &mut system_rng().map_err(CreateError::Randomness)?,
    )?;
    write(to, &text)?;
    replace(&data_dir.join(BACKUP_STAMP), b"", 0o644).map_err(CreateError::Stamp)?;
    Ok(contained)
}

/// Reads a backup, and checks all that is in it.
///
/// # Errors
/// Says whether the file, the passphrase, or what is in it is wrong.
pub fn read(from: &Path, passphrase: &str, registry: &Registry) -> Result<Backup, OpenError> {
    let mut bytes = Vec::new();
    let read =
        fs::File::open(from).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes));
    read.map_err(|source| FileError::Read {
        path: from.to_owned(),
        source,
    })?;
    Backup::open(&bytes, passphrase, registry)
}

fn is_good_place(data_dir: &Path, to: &Path) -> Result<(), CreateError> {
    if to == OsStr::new("-") {
        return Err(CreateError::Output);
    }
    // What is wrong with a folder that does not exist is said when the file is written.
    let real = |path: &Path| path.canonicalize().unwrap_or_default();
    let folder = match folder(to).canonicalize() {
        Ok(folder) => folder,
        Err(_) => return Ok(()),
    };
    match folder.starts_with(real(data_dir)) {
        true => Err(CreateError::Inside(to.to_owned())),
        false => Ok(()),
    }
}

/// Writes it whole and durably, or leaves no file.
fn write(to: &Path, text: &str) -> Result<(), CreateError> {
    let written = write_private(to, text).and_then(|()| {
        let synced = fs::File::open(folder(to)).and_then(|folder| folder.sync_all());
        synced.map_err(|source| FileError::Write {
            path: to.to_owned(),
            source,
        })
    });
    written.map_err(|error| match error {
        FileError::Write { source, .. } if source.kind() == io::ErrorKind::AlreadyExists => {
            CreateError::Exists(to.to_owned())
        }
        error => {
            // Half a backup is none. If it cannot be removed either, its last line is missing, and it is known by that.
            let _ = fs::remove_file(to);
            CreateError::File(error)
        }
    })
}

/// The folder of a file. It need not be named.
fn folder(file: &Path) -> &Path {
    match file.parent() {
        None => file,
        Some(folder) if folder == Path::new("") => Path::new("."),
        Some(folder) => folder,
    }
}

/// Randomness of the system, for one use.
fn system_rng() -> Result<ChaCha20Rng, getrandom::Error> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::getrandom(&mut seed[..])?;
    Ok(ChaCha20Rng::from_seed(*seed))
}
