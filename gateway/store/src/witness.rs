//! Saves are counted twice, in the database and in a file outside of it: a database that knows of fewer is an old copy.
//!
//! ⚠ Whoever runs a channel on old state loses it to the peer, who may take all of it as from a cheat. Every save counts, and not every
//! start alone: a gateway runs for months, and a copy of last night knows of as many starts as the database that was lost.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Seek as _, Write as _},
    path::{Path, PathBuf},
};

use guildmint_core::ledger::{Changes, Key};
use guildmint_store::{Read, Store};

use crate::{OpenError, Place, Space, StoreLost, PROGRAM};

/// The file beside the database, and the count of what is durable in both.
pub(crate) struct Witness {
    path: PathBuf,
    file: File,
    count: u64,
}

/// Compares the two counts, and counts this start as one save more; or refuses.
pub(crate) async fn begin(store: &dyn Store, place: &Place) -> Result<Witness, OpenError> {
    let folder = place.witness.as_ref().unwrap_or(&place.directory);
    let path = folder.join(format!("{PROGRAM}.saves"));
    let failed = |source| OpenError::Witness {
        witness: path.clone(),
        source,
    };
    let counted = read(&path).map_err(failed)?;
    let found = found(store).await?;
    // The database counts first, so a crash in between leaves it one ahead.
    if !place.accept_copy && found != counted && found != counted + 1 {
        let witness = path.clone();
        return Err(match found < counted {
            true => OpenError::OldCopy {
                witness,
                counted,
                found,
            },
            false => OpenError::NoWitness {
                witness,
                counted,
                found,
            },
        });
    }
    let count = found.max(counted) + 1;
    store.save(Changes::from([row(count)])).await?;
    let file = create(folder, &path, count).map_err(failed)?;
    Ok(Witness { path, file, count })
}

impl Witness {
    /// What belongs into the next save.
    pub(crate) fn next(&self) -> (Key, Option<Vec<u8>>) {
        row(self.count + 1)
    }

    /// The next save is durable. ⚠ Nothing follows from it before this has returned: a copy without it is refused then.
    pub(crate) fn saved(&mut self) -> Result<(), StoreLost> {
        self.count += 1;
        // As long as before, and within one block of a disk: it is there or not.
        let mut write = || {
            self.file.rewind()?;
            self.file.write_all(text(self.count).as_bytes())?;
            self.file.sync_data()
        };
        let lost = |error| {
            StoreLost(format!(
                "{} cannot be written ({error})",
                self.path.display()
            ))
        };
        write().map_err(lost)
    }

    /// One of a database that nothing is compared with.
    #[cfg(test)]
    pub(crate) fn detached() -> Self {
        #[allow(clippy::unwrap_used)]
        let file = tempfile::tempfile().unwrap();
        let path = PathBuf::new();
        let count = 0;
        Self { path, file, count }
    }

    /// One whose disk refuses.
    #[cfg(test)]
    pub(crate) fn read_only(folder: &Path) -> Self {
        let path = folder.join("read-only");
        #[allow(clippy::unwrap_used)]
        fs::write(&path, "").unwrap();
        #[allow(clippy::unwrap_used)]
        let file = File::open(&path).unwrap();
        let count = 0;
        Self { path, file, count }
    }
}

fn row(count: u64) -> (Key, Option<Vec<u8>>) {
    (key(), Some(count.to_le_bytes().to_vec()))
}

fn key() -> Key {
    Space::Store.key(b"saves")
}

fn text(count: u64) -> String {
    format!("{count:020}\n")
}

async fn found(store: &dyn Store) -> Result<u64, OpenError> {
    let loaded = store.load(vec![Read::Key(key())]).await?;
    let value = loaded.into_values().flatten().next();
    value.map_or(Ok(0), |value| {
        let bytes = value.try_into();
        bytes
            .map(u64::from_le_bytes)
            .map_err(|_| OpenError::Unusable("the row that counts saves is damaged".to_owned()))
    })
}

fn read(witness: &Path) -> io::Result<u64> {
    let text = match fs::read_to_string(witness) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        text => text?,
    };
    let number = text.trim().parse();
    number.map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it holds no number"))
}

/// Under another name first, so that a loss of power leaves the old number or the new one.
fn create(folder: &Path, witness: &Path, count: u64) -> io::Result<File> {
    fs::create_dir_all(folder)?;
    let draft = witness.with_extension("new");
    let mut file = File::create(&draft)?;
    file.write_all(text(count).as_bytes())?;
    file.sync_all()?;
    fs::rename(&draft, witness)?;
    File::open(folder)?.sync_all()?;
    OpenOptions::new().write(true).open(witness)
}
