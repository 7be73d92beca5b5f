//! What a guardian keeps while it founds a federation: the folder `founding` in its data directory.
//!
//! `seed` is encrypted with the passphrase; all the rest is public. The folder is erased when the federation exists.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use guildmint_core::{FederationId, Tagged, Wire as _};
use guildmint_founding::{Said, Seed, SetupCode};
use rand_core::{CryptoRng, RngCore};

use super::FoundError;
use crate::{
    files::{read_text, replace, FileError},
    secrets::{open_bytes, seal_bytes, Cost},
};

const FOLDER: &str = "founding";
const SEED: &str = "seed";
const CODE: &str = "code";
const CODES: &str = "codes";
const SAID: &str = "said";
const ALL_DONE: &str = "all-done";

/// The folder.
#[derive(Debug, Clone)]
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn of(data_dir: &Path) -> Self {
        Self(data_dir.join(FOLDER))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Whether there is a seed. One that was being erased is none: nothing that was sealed begins with a zero.
    pub(super) fn exists(&self) -> bool {
        let seed = self.0.join(SEED);
        let mut first = [1];
        let read = fs::File::open(&seed).and_then(|mut file| file.read_exact(&mut first));
        // ⚠ One that cannot be read is there nevertheless.
        let is_absent = read.is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
        !is_absent && first != [0]
    }

    /// Keeps a new seed, encrypted, and the code that was made of it.
    pub(super) fn begin(
        &self,
        seed: &Seed,
        code: &SetupCode,
        passphrase: &str,
        cost: Cost,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Result<(), FoundError> {
        let sealed = seal_bytes(seed.bytes(), purpose(), passphrase, cost, rng)?;
        self.make(&self.0)?;
        // ⚠ Before anybody hears of the code: without the seed it is worth nothing.
        self.write(CODE, code.to_string().as_bytes())?;
        self.write(SEED, sealed.as_bytes())
    }

    /// Seed and code, if it has begun.
    pub(super) fn begun(&self, passphrase: &str) -> Result<Option<(Seed, SetupCode)>, FoundError> {
        if !self.exists() {
            return Ok(None);
        }
        let sealed = read_text(&self.0.join(SEED))?;
        let bytes = open_bytes(&sealed, purpose(), passphrase)?;
        let bytes = <[u8; 32]>::try_from(&bytes[..]).map_err(|_| self.damaged(SEED))?;
        let code = read_text(&self.0.join(CODE))?;
        let code = code.parse().map_err(|_| self.damaged(CODE))?;
        Ok(Some((Seed::new(bytes), code)))
    }

    pub(super) fn save_codes(&self, codes: &[SetupCode]) -> Result<(), FoundError> {
        let lines: Vec<_> = codes.iter().map(|code| format!("{code}\n")).collect();
        self.write(CODES, lines.concat().as_bytes())
    }

    /// The codes of all guardians, if they were entered.
    pub(super) fn codes(&self) -> Result<Option<Vec<SetupCode>>, FoundError> {
        let path = self.0.join(CODES);
        if !path.exists() {
            return Ok(None);
        }
        let text = read_text(&path)?;
        let codes: Result<Vec<_>, _> = text.lines().map(str::parse).collect();
        codes.map(Some).map_err(|_| self.damaged(CODES))
    }

    /// Keeps something that was said.
    pub(super) fn save(&self, said: &Said) -> Result<(), FoundError> {
        let folder = self.0.join(SAID);
        self.make(&folder)?;
        let (author, slot) = said.place();
        let name = format!("{}-{}", author.0, slot.to_string().replace(' ', "-"));
        Ok(replace(&folder.join(name), &said.encode(), 0o600)?)
    }

    /// All that was said.
    pub(super) fn said(&self) -> Result<Vec<Said>, FoundError> {
        let folder = self.0.join(SAID);
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|source| self.unreadable(&folder, source))?,
        };
        let mut all = Vec::new();
        for entry in entries {
            let path = entry
                .map_err(|source| self.unreadable(&folder, source))?
                .path();
            // A crash leaves one behind that was not finished, and did not count.
            if path.extension().is_some_and(|extension| extension == "new") {
                continue;
            }
            let bytes = fs::read(&path).map_err(|source| self.unreadable(&path, source))?;
            all.push(Said::decode(&bytes).map_err(|_| self.damaged(SAID))?);
        }
        Ok(all)
    }

    /// Remembers that all guardians have their keys: from then on nobody needs this one to found.
    pub(super) fn save_all_done(&self) -> Result<(), FoundError> {
        self.write(ALL_DONE, &[])
    }

    /// Whether all guardians have their keys.
    pub(super) fn are_all_done(&self) -> bool {
        self.0.join(ALL_DONE).exists()
    }

    /// Erases everything, the seed first. ⚠ Power may fail at any place: without a seed all else counts as erased, and what
    /// [says that nobody needs it](Self::save_all_done) stays until the seed is gone.
    pub(super) fn erase(&self) -> Result<(), FoundError> {
        let failed = |source| {
            FoundError::from(FileError::Write {
                path: self.0.clone(),
                source,
            })
        };
        let seed = self.0.join(SEED);
        if seed.exists() {
            // For what it is worth: most disks keep what was overwritten for a while. It is encrypted.
            let length = fs::metadata(&seed).map_or(0, |file| file.len());
            let zeros = vec![0; usize::try_from(length).unwrap_or_default()];
            let overwritten =
                fs::OpenOptions::new()
                    .write(true)
                    .open(&seed)
                    .and_then(|mut file| {
                        file.write_all(&zeros)?;
                        file.sync_all()
                    });
            overwritten
                .and_then(|()| fs::remove_file(&seed))
                .map_err(failed)?;
        }
        match fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
            _ => Ok(()),
        }
    }

    fn make(&self, folder: &Path) -> Result<(), FoundError> {
        fs::create_dir_all(folder).map_err(|source| {
            FoundError::from(FileError::Write {
                path: folder.to_owned(),
                source,
            })
        })
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), FoundError> {
        Ok(replace(&self.0.join(name), bytes, 0o600)?)
    }

    fn unreadable(&self, path: &Path, source: io::Error) -> FoundError {
        let path = path.to_owned();
        FileError::Read { path, source }.into()
    }

    fn damaged(&self, name: &str) -> FoundError {
        FoundError::Damaged(self.0.join(name))
    }
}

/// In the place of a federation, which there is none of yet.
fn purpose() -> FederationId {
    FederationId(Tagged::new("guildmint/founding/seed-file").finish())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rand_chacha::{rand_core::SeedableRng, ChaCha20Rng};

    use super::*;

    const PASSPHRASE: &str = "correct horse";

    fn begun(data_dir: &Path) -> Folder {
        let (folder, seed) = (Folder::of(data_dir), Seed::new([7; 32]));
        let code = SetupCode::new(&seed, "one".into(), vec!["/x".into()], String::new());
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let begun = folder.begin(&seed, &code.unwrap(), PASSPHRASE, Cost::CHEAP, &mut rng);
        begun.unwrap();
        folder
    }

    #[test]
    fn a_seed_that_was_being_erased_is_none_and_one_that_cannot_be_read_is_there() {
        let data_dir = tempfile::tempdir().unwrap();
        let folder = begun(data_dir.path());
        assert!(folder.exists());
        let seed = folder.path().join(SEED);
        let mut bytes = fs::read(&seed).unwrap();
        for place in 0..bytes.len() {
            bytes[place] = 0;
            fs::write(&seed, &bytes).unwrap();
            assert!(!folder.exists(), "{place}");
        }
        fs::remove_file(&seed).unwrap();
        assert!(!folder.exists());
        // It opens, and cannot be read.
        fs::create_dir(&seed).unwrap();
        assert!(folder.exists());
    }

    #[test]
    fn nothing_is_left_of_what_is_erased() {
        let data_dir = tempfile::tempdir().unwrap();
        let folder = begun(data_dir.path());
        folder.save_all_done().unwrap();
        folder.erase().unwrap();
        assert!(!folder.path().exists());
        folder.erase().unwrap();
    }
}
