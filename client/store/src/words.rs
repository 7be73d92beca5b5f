//! The twelve words from which all of a wallet's keys follow (BIP-39).

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

pub use bip39::Mnemonic;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::files;

/// Words in a wallet's secret.
pub const COUNT: usize = 12;

/// Why words cannot be had. The words are never in it.
#[derive(Debug, Error)]
pub enum WordsError {
    /// There is no wallet in the directory.
    #[error("there is no wallet in {}; `init` makes one", .0.display())]
    Absent(PathBuf),
    /// There is one already, and it is not overwritten.
    #[error("there is a wallet in {} already; it stays as it is", .0.display())]
    Present(PathBuf),
    /// Not twelve words of the list with a right checksum.
    #[error("these are not twelve BIP-39 words: {0}")]
    NotWords(&'static str),
    /// The operating system gave no randomness.
    #[error("the operating system gives no randomness: {0}")]
    Randomness(getrandom::Error),
    /// The file cannot be read or written.
    #[error("cannot use {}: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// New words.
///
/// # Errors
/// If the operating system gives no randomness.
pub fn generate() -> Result<Mnemonic, WordsError> {
    let mut entropy = Zeroizing::new([0; 16]);
    getrandom::getrandom(&mut *entropy).map_err(WordsError::Randomness)?;
    Mnemonic::from_entropy(&*entropy).map_err(|_| WordsError::NotWords("wrong amount of entropy"))
}

/// Reads words as people type them: any white space between them, any case.
///
/// # Errors
/// If they are not twelve words of the list, or the checksum is wrong. Which word is wrong is said by its place only.
pub fn parse(text: &str) -> Result<Mnemonic, WordsError> {
    let text = Zeroizing::new(text.to_lowercase());
    if text.split_whitespace().count() != COUNT {
        return Err(WordsError::NotWords("there must be exactly twelve"));
    }
    Mnemonic::parse_normalized(&text).map_err(|error| {
        WordsError::NotWords(match error {
            bip39::Error::UnknownWord(_) => "a word is not in the English list",
            bip39::Error::InvalidChecksum => {
                "the checksum is wrong; look for a mistyped or swapped word"
            }
            _ => "they cannot be read",
        })
    })
}

fn file(directory: &Path) -> PathBuf {
    directory.join("wallet.seed")
}

/// Whether there is a wallet in the directory.
#[must_use]
pub fn exist(directory: &Path) -> bool {
    file(directory).exists()
}

/// Stores the words of a new wallet durably, for the owner's eyes only.
///
/// # Errors
/// If there are words already, or the file cannot be written.
pub fn write(directory: &Path, words: &Mnemonic) -> Result<(), WordsError> {
    let path = file(directory);
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => WordsError::Present(directory.to_owned()),
        _ => WordsError::File {
            path: path.clone(),
            source,
        },
    };
    files::create_directory(directory).map_err(failed)?;
    if path.exists() {
        return Err(WordsError::Present(directory.to_owned()));
    }
    // Under another name first: a crash must not leave half a secret that looks like a whole one.
    let draft = directory.join("wallet.seed.new");
    let text = Zeroizing::new(format!("{words}\n"));
    let mut new = files::private()
        .create(true)
        .truncate(true)
        .open(&draft)
        .map_err(failed)?;
    new.write_all(text.as_bytes()).map_err(failed)?;
    new.sync_all().map_err(failed)?;
    fs::hard_link(&draft, &path).map_err(failed)?;
    fs::remove_file(&draft).map_err(failed)?;
    files::sync_directory(directory).map_err(failed)
}

/// Reads the words of the wallet in the directory.
///
/// # Errors
/// If there are none, or they are damaged.
pub fn read(directory: &Path) -> Result<Mnemonic, WordsError> {
    let path = file(directory);
    let text = fs::read_to_string(&path).map(Zeroizing::new);
    let text = text.map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => WordsError::Absent(directory.to_owned()),
        _ => WordsError::File { path, source },
    })?;
    parse(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";

    #[test]
    fn words_are_written_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("wallet");
        assert!(matches!(read(&path), Err(WordsError::Absent(_))));
        let words = generate().unwrap();
        write(&path, &words).unwrap();
        assert_eq!(read(&path).unwrap(), words);
        assert!(matches!(
            write(&path, &generate().unwrap()),
            Err(WordsError::Present(_))
        ));
        assert_eq!(read(&path).unwrap(), words);
    }

    #[test]
    fn an_interrupted_init_can_be_repeated() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("wallet.seed.new"), "abandon aban").unwrap();
        write(directory.path(), &parse(WORDS).unwrap()).unwrap();
        assert_eq!(read(directory.path()).unwrap().to_string(), WORDS);
    }

    #[test]
    fn words_are_read_as_people_type_them() {
        assert_eq!(
            parse(&WORDS.replace(' ', "\n ").to_uppercase())
                .unwrap()
                .to_string(),
            WORDS
        );
        for (wrong, why) in [
            ("abandon", "twelve"),
            (&*WORDS.replace("about", "abouts"), "list"),
            (&*WORDS.replace("about", "abandon"), "checksum"),
        ] {
            let error = parse(wrong).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
