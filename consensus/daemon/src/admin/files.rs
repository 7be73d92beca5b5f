//! What opens the operator's listener: a cookie that is new at each start, for commands on this machine, and a password for
//! browsers (SPEC API-3).

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use argon2::{Algorithm, Argon2, Params, Version};
use guildmint_core::{encoding::hex_array, Tagged};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

use super::access::{Password, Token, TokenError};
use crate::{
    cost::Cost,
    files::{read_text, replace, FileError},
};

/// The file with the cookie.
pub const COOKIE_FILE: &str = "admin.cookie";
/// The file with what the password is known by.
pub const PASSWORD_FILE: &str = "admin.password";

/// Bytes of a password or passphrase that are read. A longer one is cut, everywhere alike.
const MAX_PASSPHRASE_BYTES: u64 = 4096;

/// Characters of a password at least.
const MIN_PASSWORD_CHARS: usize = 8;

/// The layout of the password's file that this version writes.
const VERSION: u32 = 1;

/// Why the operator's listener cannot be opened.
#[derive(Debug, Error)]
pub enum AdminError {
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// No cookie.
    #[error("{path}: {problem}. Start the program again: it writes a new one")]
    Cookie {
        /// Where it was looked for.
        path: PathBuf,
        /// What is wrong.
        problem: TokenError,
    },
    /// The system gives no randomness.
    #[error(transparent)]
    Token(TokenError),
    /// Too easy to guess.
    #[error("the password has {0} characters; it needs {MIN_PASSWORD_CHARS} at least")]
    Short(usize),
    /// The system has not the memory for it.
    #[error("the password cannot be hashed: {0}")]
    Hash(argon2::Error),
}

/// Writes a new cookie into the data directory, in the place of an old one, readable by its owner alone. Call it only when the
/// directory is locked: the cookie of a program that runs is in use.
///
/// # Errors
/// If there is no randomness, or the file cannot be written.
pub fn write_cookie(data_dir: &Path) -> Result<Token, AdminError> {
    let token = Token::random().map_err(AdminError::Token)?;
    let text = format!("{}\n", token.reveal());
    replace(&data_dir.join(COOKIE_FILE), text.as_bytes(), 0o600)?;
    Ok(token)
}

/// The cookie of the program that runs in this data directory.
///
/// # Errors
/// If there is none, or it cannot be read: the program does not run, or belongs to another user.
pub fn read_cookie(data_dir: &Path) -> Result<Token, AdminError> {
    let path = data_dir.join(COOKIE_FILE);
    let text = read_text(&path)?;
    Token::parse(&text).map_err(|problem| AdminError::Cookie { path, problem })
}

/// Takes the cookie away when the program stops. One that stays behind opens nothing.
pub fn remove_cookie(data_dir: &Path) {
    let _ = fs::remove_file(data_dir.join(COOKIE_FILE));
}

/// The first line of a file, as passwords are given. No more than a passphrase may have is read.
///
/// # Errors
/// If it cannot be read, or is empty.
pub fn first_line(from: impl io::Read) -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    from.take(MAX_PASSPHRASE_BYTES).read_to_string(&mut text)?;
    match text.lines().next() {
        None | Some("") => Err(io::Error::other("it is empty")),
        Some(line) => Ok(Zeroizing::new(line.to_owned())),
    }
}

/// What a password is known by, and cannot be found from: stretched by Argon2id, as the secrets' passphrase is.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Hashed {
    version: u32,
    argon2id: Cost,
    #[serde(with = "hex_array")]
    salt: [u8; 16],
    #[serde(with = "hex_array")]
    hash: [u8; 32],
}

/// Sets the password for browsers; it counts from the next attempt on, and ends sessions opened with the one before.
///
/// # Errors
/// If it is too short, or the file cannot be written.
pub fn set_password(data_dir: &Path, password: &str, cost: Cost) -> Result<(), AdminError> {
    let chars = password.chars().count();
    if chars < MIN_PASSWORD_CHARS {
        return Err(AdminError::Short(chars));
    }
    let random = Token::random().map_err(AdminError::Token)?;
    let random = Tagged::new("guildmint/admin/salt")
        .add(random.reveal())
        .finish();
    let salt = std::array::from_fn(|at| random[at]);
    let hash = stretch(password, &salt, cost).map_err(AdminError::Hash)?;
    let hashed = Hashed {
        version: VERSION,
        argon2id: cost,
        salt,
        hash,
    };
    let text = serde_json::to_string_pretty(&hashed).map_err(|error| FileError::Contents {
        path: data_dir.join(PASSWORD_FILE),
        problem: error.to_string(),
    })?;
    let text = text + "\n";
    Ok(replace(
        &data_dir.join(PASSWORD_FILE),
        text.as_bytes(),
        0o600,
    )?)
}

/// Takes the password away: the cookie alone opens the listener then. Whether there was one.
///
/// # Errors
/// If the file cannot be removed.
pub fn remove_password(data_dir: &Path) -> Result<bool, AdminError> {
    let path = data_dir.join(PASSWORD_FILE);
    match fs::remove_file(&path) {
        Ok(()) => Ok(true),
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(FileError::Write { path, source }.into()),
    }
}

fn stretch(password: &str, salt: &[u8; 16], cost: Cost) -> Result<[u8; 32], argon2::Error> {
    let mut hash = [0; 32];
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(hash.len()))?;
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into(
        password.as_bytes(),
        salt,
        &mut hash,
    )?;
    Ok(hash)
}

/// The password in a data directory, read anew whenever it is asked for.
pub struct PasswordFile(pub PathBuf);

impl PasswordFile {
    fn text(&self) -> Option<String> {
        let path = self.0.join(PASSWORD_FILE);
        match fs::read_to_string(&path) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "the password cannot be read, so none is right");
                None
            }
        }
    }

    fn check(&self, attempt: &str) -> Result<bool, String> {
        let Some(text) = self.text() else {
            return Ok(false);
        };
        let hashed: Hashed = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        if hashed.version != VERSION || !hashed.argon2id.is_sane() {
            return Err("it is of another version, or damaged".into());
        }
        let hash =
            stretch(attempt, &hashed.salt, hashed.argon2id).map_err(|error| error.to_string())?;
        // ⚠ Digests are compared, so that the time says nothing about the hash.
        let digest = |hash: &[u8; 32]| {
            Tagged::new("guildmint/admin/compare")
                .add(hashed.salt)
                .add(hash)
                .finish()
        };
        Ok(digest(&hash) == digest(&hashed.hash))
    }
}

impl Password for PasswordFile {
    fn generation(&self) -> Option<[u8; 32]> {
        let text = self.text()?;
        Some(Tagged::new("guildmint/admin/generation").add(text).finish())
    }

    fn is(&self, attempt: &str) -> bool {
        self.check(attempt).unwrap_or_else(|error| {
            tracing::warn!(%error, "the password's file is of no use; set the password again");
            false
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_cookie_is_new_each_time_and_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let first = write_cookie(folder.path()).unwrap();
        fs::write(folder.path().join("admin.new"), "left behind by a crash").unwrap();
        let second = write_cookie(folder.path()).unwrap();
        assert_ne!(first.reveal(), second.reveal());
        assert_eq!(
            read_cookie(folder.path()).unwrap().reveal(),
            second.reveal()
        );
        assert_eq!(mode(&folder.path().join(COOKIE_FILE)), 0o600);
        remove_cookie(folder.path());
        let error = read_cookie(folder.path()).unwrap_err().to_string();
        assert!(error.contains(COOKIE_FILE), "{error}");
    }

    #[test]
    fn a_password_is_known_again_and_nowhere_to_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = PasswordFile(folder.path().to_owned());
        assert_eq!(file.generation(), None);
        assert!(!file.is(""), "no password is no empty password");
        set_password(folder.path(), "correct horse", Cost::CHEAP).unwrap();
        assert!(file.is("correct horse") && !file.is("correct horsf") && !file.is(""));
        let path = folder.path().join(PASSWORD_FILE);
        assert_eq!(mode(&path), 0o600);
        assert!(!fs::read_to_string(&path).unwrap().contains("horse"));

        let before = file.generation();
        set_password(folder.path(), "correct horse", Cost::CHEAP).unwrap();
        assert!(
            before.is_some() && file.generation() != before,
            "salted anew"
        );
        assert!(
            remove_password(folder.path()).unwrap() && !remove_password(folder.path()).unwrap()
        );
        assert!(!file.is("correct horse"));
    }

    #[test]
    fn a_password_that_is_easily_guessed_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for short in ["", "1234567", "ééééééé"] {
            let refused = set_password(folder.path(), short, Cost::CHEAP);
            assert!(matches!(refused, Err(AdminError::Short(_))), "{short}");
        }
    }

    #[test]
    fn a_damaged_file_opens_nothing_and_exhausts_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = PasswordFile(folder.path().to_owned());
        set_password(folder.path(), "correct horse", Cost::CHEAP).unwrap();
        let path = folder.path().join(PASSWORD_FILE);
        let text = fs::read_to_string(&path).unwrap();
        for damaged in [
            text.replace("\"memory_kib\": 8", "\"memory_kib\": 4000000000"),
            text.replace("\"version\": 1", "\"version\": 2"),
            "{".into(),
        ] {
            assert_ne!(damaged, text);
            fs::write(&path, damaged).unwrap();
            assert!(!file.is("correct horse"));
        }
    }
}
