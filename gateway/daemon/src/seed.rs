//! The words from which all keys of a gateway follow: its own, its node's, and those of its e-cash.

use std::{io, path::Path};

use bip39::Mnemonic;
use guildmint_core::Tagged;
use guildmint_daemon::files::{read_text, write_private, FileError};
use hkdf::Hkdf;
use sha2::Sha256;
use thiserror::Error;
use zeroize::Zeroizing;

/// The name of the file with the words. Only its owner may read it.
pub const SEED_FILE: &str = "seed";

/// Bytes of randomness behind new words: 24 of them.
const ENTROPY_BYTES: usize = 32;

/// The fewest words that are taken.
const MIN_WORDS: usize = 12;

/// Why there is no seed.
#[derive(Debug, Error)]
pub enum SeedError {
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Not a seed.
    #[error("{0} holds no words of BIP 39, 12 to 24 of them; write them with spaces between")]
    NotWords(String),
    /// There are words already.
    #[error("{0} has words of its own; --words-file is for the first start alone")]
    Present(String),
    /// The system gives no randomness.
    #[error("the system gives no random numbers: {0}")]
    Randomness(getrandom::Error),
}

/// The words. Never shown but by [`Seed::words`].
pub struct Seed(Mnemonic);

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seed(..)")
    }
}

impl Seed {
    /// New words.
    ///
    /// # Errors
    /// If the system gives no randomness.
    pub fn random() -> Result<Self, SeedError> {
        let mut entropy = Zeroizing::new([0; ENTROPY_BYTES]);
        getrandom::getrandom(&mut *entropy).map_err(SeedError::Randomness)?;
        let words = Mnemonic::from_entropy(&*entropy);
        Ok(Self(
            words.map_err(|error| SeedError::NotWords(error.to_string()))?,
        ))
    }

    /// Words from a file.
    ///
    /// # Errors
    /// If it cannot be read, or holds something else.
    pub fn read(path: &Path) -> Result<Self, SeedError> {
        let text = Zeroizing::new(read_text(path)?);
        let words = Mnemonic::parse(text.trim()).ok();
        let words = words.filter(|words| words.word_count() >= MIN_WORDS);
        words
            .map(Self)
            .ok_or_else(|| SeedError::NotWords(path.display().to_string()))
    }

    /// The words of a data directory; none if it has none yet.
    ///
    /// # Errors
    /// If its file cannot be read.
    pub fn load(data_dir: &Path) -> Result<Option<Self>, SeedError> {
        match Self::read(&data_dir.join(SEED_FILE)) {
            Err(SeedError::File(FileError::Read { source, .. }))
                if source.kind() == io::ErrorKind::NotFound =>
            {
                Ok(None)
            }
            read => read.map(Some),
        }
    }

    /// Keeps the words in a data directory that has none.
    ///
    /// # Errors
    /// If it has some, or they cannot be written.
    pub fn store(&self, data_dir: &Path) -> Result<(), SeedError> {
        let text = Zeroizing::new(format!("{}\n", *self.words()));
        let path = data_dir.join(SEED_FILE);
        match write_private(&path, &text) {
            Err(FileError::Write { source, .. })
                if source.kind() == io::ErrorKind::AlreadyExists =>
            {
                Err(SeedError::Present(path.display().to_string()))
            }
            written => Ok(written?),
        }
    }

    /// The words themselves: whoever reads them has all that the gateway has.
    #[must_use]
    pub fn words(&self) -> Zeroizing<String> {
        Zeroizing::new(self.0.to_string())
    }

    /// What they are known by, and cannot be found from.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        let name: Zeroizing<[u8; 32]> = self.derive("fingerprint");
        Tagged::new("guildmint/gateway/seed").add(*name).finish()
    }

    /// For the gateway's keys in federations.
    #[must_use]
    pub fn gateway(&self) -> Zeroizing<[u8; 64]> {
        self.derive("gateway")
    }

    /// For the Lightning node and its wallet.
    #[must_use]
    pub fn lightning(&self) -> Zeroizing<[u8; 32]> {
        self.derive("lightning")
    }

    /// For e-cash.
    #[must_use]
    pub fn ecash(&self) -> Zeroizing<[u8; 64]> {
        self.derive("ecash")
    }

    /// A secret for one purpose. Nothing of one tells anything of another.
    fn derive<const N: usize>(&self, purpose: &str) -> Zeroizing<[u8; N]> {
        let seed = Zeroizing::new(self.0.to_seed(""));
        let hkdf = Hkdf::<Sha256>::new(Some(b"guildmint gatewayd v1"), &*seed);
        let mut secret = Zeroizing::new([0; N]);
        // It fails for longer outputs only.
        let filled = hkdf.expand(purpose.as_bytes(), &mut *secret);
        debug_assert!(filled.is_ok());
        secret
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[test]
    fn words_are_kept_once_and_for_their_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Seed::load(folder.path()).unwrap().is_none());
        let seed = Seed::random().unwrap();
        assert_eq!(seed.words().split(' ').count(), 24);
        seed.store(folder.path()).unwrap();
        let path = folder.path().join(SEED_FILE);
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let read = Seed::load(folder.path()).unwrap().unwrap();
        assert_eq!(read.fingerprint(), seed.fingerprint());
        let again = Seed::random().unwrap().store(folder.path());
        assert!(matches!(again, Err(SeedError::Present(_))));
        assert_eq!(format!("{seed:?}"), "Seed(..)");
    }

    #[test]
    fn purposes_have_secrets_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("words");
        let zeros = "abandon ".repeat(11) + "about";
        fs::write(&path, &zeros).unwrap();
        let seed = Seed::read(&path).unwrap();
        assert_ne!(seed.gateway(), seed.ecash());
        assert_ne!(seed.gateway()[..32], seed.lightning()[..]);
        assert_ne!(seed.fingerprint(), *seed.lightning());
        // ⚠ They stay what they are, or all money is somewhere else.
        assert_eq!(
            hex::encode(*seed.lightning()),
            "ceaaad14a827ee3c85a9420702a1cb4472608a6b58655e9e297a978468b572bb"
        );
    }

    #[test]
    fn what_is_no_words_is_refused_without_being_repeated() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("words");
        for text in ["", "hunter2", "abandon abandon", &"abandon ".repeat(12)] {
            fs::write(&path, text).unwrap();
            let error = Seed::read(&path).unwrap_err().to_string();
            assert!(
                error.contains("BIP 39") && !error.contains("hunter2"),
                "{error}"
            );
        }
    }
}
