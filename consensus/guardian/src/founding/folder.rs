//! What a guardian keeps while it founds a federation: the folder `founding` in its data directory.
//!
//! `seed` is encrypted with the passphrase; all the rest is public. The folder is erased when the federation exists.

use std::{
    fs, io,
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

    pub(super) fn exists(&self) -> bool {
        self.0.join(SEED).exists()
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

    /// Erases everything, the seed first.
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
            fs::write(&seed, zeros).map_err(failed)?;
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
