//! What belongs together: a directory, a seed, a database, a network. ⚠ Channels are lost if one of them is exchanged for another.

use std::{fs, io, path::Path};

use bitcoin::Network;
use guildmint_gateway_store::{
    Changes, GatewayStore, OnLoss, OpenError, Place as StorePlace, Space, StoreLost,
};
use thiserror::Error;

use crate::{
    config::Settings,
    seed::{Seed, SeedError, SEED_FILE},
};

/// Why the gateway's place cannot be used. Nothing was changed.
#[derive(Debug, Error)]
pub enum PlaceError {
    /// The directory cannot be made.
    #[error("cannot make {0}: {1}")]
    Directory(String, io::Error),
    /// The database cannot be used, or must not be.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It is lost already.
    #[error(transparent)]
    Lost(#[from] StoreLost),
    /// The words cannot be had.
    #[error(transparent)]
    Seed(#[from] SeedError),
    /// The database is somebody's, and there are no words.
    #[error("{0} is missing, and the database belongs to a gateway that has words. Put the file back: without it nothing of its money can be moved")]
    NoSeed(String),
    /// The words are another gateway's.
    #[error("the words in {0} are not those of this database's gateway. Use the words and the database of one gateway")]
    OtherSeed(String),
    /// The network is another.
    #[error("the database is that of a gateway on {found}, not on {wanted}. Use another data directory for another network")]
    OtherNetwork {
        /// What the database says.
        found: String,
        /// What the settings say.
        wanted: Network,
    },
}

impl PlaceError {
    /// Whether somebody else uses the place, or a newer copy of it was used.
    #[must_use]
    pub fn is_copy(&self) -> bool {
        matches!(
            self,
            Self::Open(
                OpenError::InUse(_) | OpenError::OldCopy { .. } | OpenError::NoWitness { .. }
            )
        )
    }
}

/// A gateway's database, open and locked, and its words.
pub struct Place {
    /// The database.
    pub store: GatewayStore,
    /// The words.
    pub seed: Seed,
    /// The words may have been used with another database: what they have in a federation is looked for when it is joined.
    pub used_before: bool,
}

impl Place {
    /// Opens it. The first time it gets words: those in a file, or new ones.
    ///
    /// # Errors
    /// If it is in use, is an old copy, or its parts do not belong together.
    pub fn open(
        settings: &Settings,
        words: Option<&Path>,
        on_loss: OnLoss,
    ) -> Result<Self, PlaceError> {
        let directory = &settings.data_dir;
        let failed = |error| PlaceError::Directory(directory.display().to_string(), error);
        fs::create_dir_all(directory).map_err(failed)?;
        let place = StorePlace {
            directory: directory.clone(),
            postgres: settings.postgres.clone(),
            witness: settings.witness_dir.clone(),
            accept_copy: settings.accept_old_copy,
        };
        // First the lock: two processes must never be one gateway.
        let store = GatewayStore::open(&place, on_loss)?;
        match own(&store, settings, words) {
            Ok((seed, used_before)) => Ok(Self {
                store,
                seed,
                used_before,
            }),
            Err(error) => {
                // Closed, so that whoever mends it can open it at once.
                let _ = store.close();
                Err(error)
            }
        }
    }
}

/// The words of this database's gateway, and whether they may have been used before it.
fn own(
    store: &GatewayStore,
    settings: &Settings,
    words: Option<&Path>,
) -> Result<(Seed, bool), PlaceError> {
    let path = settings.data_dir.join(SEED_FILE).display().to_string();
    let (seed_key, network_key) = (Space::Daemon.key(b"seed"), Space::Daemon.key(b"network"));
    let used_key = Space::Daemon.key(b"words used before");
    let known = store.get(seed_key.clone())?;
    let found = Seed::load(&settings.data_dir)?;
    // ⚠ Words that are there though the database knows of none may have been used with one that is lost.
    let is_used = known.is_none() && (found.is_some() || words.is_some());
    let is_used = is_used || store.get(used_key.clone())?.is_some();
    let seed = match (found, words) {
        (Some(_), Some(_)) => return Err(SeedError::Present(path).into()),
        (Some(seed), None) => seed,
        (None, None) if known.is_some() => return Err(PlaceError::NoSeed(path)),
        (None, words) => {
            let seed = match words {
                Some(words) => Seed::read(words)?,
                None => Seed::random()?,
            };
            let fits = |known: &Vec<u8>| *known == seed.fingerprint();
            if known.as_ref().is_none_or(fits) {
                seed.store(&settings.data_dir)?;
            }
            seed
        }
    };
    let (fingerprint, network) = (seed.fingerprint(), settings.network.to_string());
    if known.is_some_and(|known| known != fingerprint) {
        return Err(PlaceError::OtherSeed(path));
    }
    match store.get(network_key.clone())? {
        Some(found) if found != network.as_bytes() => {
            return Err(PlaceError::OtherNetwork {
                found: String::from_utf8_lossy(&found).into_owned(),
                wanted: settings.network,
            })
        }
        _ => {}
    }
    store.save(Changes::from([
        (seed_key, Some(fingerprint.to_vec())),
        (network_key, Some(network.into_bytes())),
        (used_key, is_used.then(Vec::new)),
    ]))?;
    Ok((seed, is_used))
}
