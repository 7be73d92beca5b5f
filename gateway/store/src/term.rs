//! Starts are counted twice, in the database and in a file outside of it: a database that knows of fewer is an old copy.
//!
//! ⚠ Whoever runs a channel on old state loses it to the peer, who may take all of it as from a cheat.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
};

use guildmint_core::ledger::{Changes, Key};
use guildmint_store::{Read, Store};

use crate::{OpenError, Place, Space, PROGRAM};

/// Begins a new term, or refuses.
pub(crate) async fn begin(store: &dyn Store, place: &Place) -> Result<(), OpenError> {
    let folder = place.witness.as_ref().unwrap_or(&place.directory);
    let witness = folder.join(format!("{PROGRAM}.starts"));
    let failed = |source| OpenError::Witness {
        witness: witness.clone(),
        source,
    };
    let counted = read(&witness).map_err(failed)?;
    let found = found(store).await?;
    // The database counts first, so a crash in between leaves it one ahead.
    if !place.accept_copy && found != counted && found != counted + 1 {
        let witness = witness.clone();
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
    let term = found.max(counted) + 1;
    let row = (key(), Some(term.to_le_bytes().to_vec()));
    store.save(Changes::from([row])).await?;
    write(folder, &witness, term).map_err(failed)
}

fn key() -> Key {
    Space::Store.key(b"starts")
}

async fn found(store: &dyn Store) -> Result<u64, OpenError> {
    let loaded = store.load(vec![Read::Key(key())]).await?;
    let value = loaded.into_values().flatten().next();
    value.map_or(Ok(0), |value| {
        let bytes = value.try_into();
        bytes
            .map(u64::from_le_bytes)
            .map_err(|_| OpenError::Unusable("the row that counts starts is damaged".to_owned()))
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
fn write(folder: &Path, witness: &Path, term: u64) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let draft = witness.with_extension("new");
    let mut file = File::create(&draft)?;
    writeln!(file, "{term}")?;
    file.sync_all()?;
    fs::rename(&draft, witness)?;
    File::open(folder)?.sync_all()
}
