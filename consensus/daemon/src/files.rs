//! Files in the directory of a program's data.

use std::{
    convert::Infallible,
    fmt, fs, io,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    str::FromStr,
};

use serde::{de::DeserializeOwned, Deserialize, Serialize};
use thiserror::Error;

/// Text that may hold a password, and does not show in `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hidden(pub String);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hidden")
    }
}

impl FromStr for Hidden {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

/// Why a file of the data directory is of no use.
#[derive(Debug, Error)]
pub enum FileError {
    /// The system refuses.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The system refuses.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Not what such a file contains.
    #[error("{path} is wrong: {problem}")]
    Contents {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

/// Reads a file of the data directory as text.
///
/// # Errors
/// If the system refuses.
pub fn read_text(path: &Path) -> Result<String, FileError> {
    fs::read_to_string(path).map_err(|source| FileError::Read {
        path: path.to_owned(),
        source,
    })
}

/// Reads a TOML file.
///
/// # Errors
/// If the system refuses, or the file contains something else.
pub fn read_toml<T: DeserializeOwned>(path: &Path) -> Result<T, FileError> {
    parse_toml(path, &read_text(path)?)
}

/// What the text of a TOML file says.
///
/// # Errors
/// If it is something else.
pub fn parse_toml<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, FileError> {
    toml::from_str(text).map_err(|error| FileError::Contents {
        path: path.to_owned(),
        problem: toml_problem(text, &error),
    })
}

/// What is wrong, and where. ⚠ Not the line itself: a password may stand in it.
fn toml_problem(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    match before {
        Some(before) => {
            let line = before.matches('\n').count() + 1;
            format!("line {line}: {}", error.message())
        }
        None => error.message().to_owned(),
    }
}

/// Writes a TOML file, which must not exist.
///
/// # Errors
/// If the system refuses or the file exists.
pub fn write_toml(path: &Path, value: &impl Serialize) -> Result<(), FileError> {
    write_new(path, &to_toml(path, value)?, 0o644)
}

/// What is written into a TOML file.
///
/// # Errors
/// If there is no TOML for it.
pub fn to_toml(path: &Path, value: &impl Serialize) -> Result<String, FileError> {
    toml::to_string(value).map_err(|error| FileError::Contents {
        path: path.to_owned(),
        problem: error.to_string(),
    })
}

/// Writes a file that only its owner may read, and which must not exist.
///
/// # Errors
/// If the system refuses or the file exists.
pub fn write_private(path: &Path, text: &str) -> Result<(), FileError> {
    write_new(path, text, 0o600)
}

/// Writes a file at once or not at all, in the place of an old one, and durably. With `mode` 0o600 only its owner may read it.
///
/// # Errors
/// If the system refuses.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<(), FileError> {
    let new = path.with_extension("new");
    let failed = |source| FileError::Write {
        path: path.to_owned(),
        source,
    };
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let mut options = fs::OpenOptions::new();
    let written = options.write(true).create_new(true).mode(mode).open(&new);
    let written = written.and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    let folder = path.parent().unwrap_or(Path::new("."));
    written
        .and_then(|()| fs::rename(&new, path))
        .and_then(|()| fs::File::open(folder)?.sync_all())
        .map_err(failed)
}

fn write_new(path: &Path, text: &str, mode: u32) -> Result<(), FileError> {
    let mut options = fs::OpenOptions::new();
    let written = options.write(true).create_new(true).mode(mode).open(path);
    let written = written.and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|source| FileError::Write {
        path: path.to_owned(),
        source,
    })
}
