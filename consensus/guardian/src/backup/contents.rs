//! What is in a backup, and whether a guardian can be made of it.

use std::{io, path::Path};

use guildmint_core::{
    module::Registry, FederationId, GenesisConfig, IdentityPublicKey, PeerId, Wire,
};
use guildmint_engine::{Coin, CoinError, Federation, FederationError};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroize as _;

use super::sealed::MAX_CONTENTS_BYTES;
use crate::{
    files::{
        parse_toml, read_text, ConsensusFile, FileError, LocalFile, CONSENSUS_FILE, LOCAL_FILE,
        SECRETS_FILE,
    },
    secrets::{self, Secrets, SecretsError},
};

/// The files of a guardian, as they are. Of these `local` may have a password in it: wiped from memory when dropped, never printed.
#[derive(PartialEq, Eq, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = MAX_CONTENTS_BYTES)]
pub(super) struct Contents {
    pub(super) consensus: String,
    /// A guardian can do without: all its settings may be given otherwise.
    pub(super) local: Option<String>,
    /// Encrypted once more, as it is in the data directory.
    pub(super) secrets: String,
}

impl Drop for Contents {
    fn drop(&mut self) {
        self.local.zeroize();
    }
}

/// Whose files a backup has: nothing that is secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Contained {
    /// The federation.
    pub federation_id: FederationId,
    /// What it calls itself.
    pub federation: String,
    /// Its bitcoin network.
    pub network: String,
    /// How many guardians it has.
    pub guardians: usize,
    /// How many of them decide.
    pub threshold: usize,
    /// Its modules.
    pub modules: Vec<String>,
    /// How wallets join it.
    pub invite: String,
    /// Which guardian this is.
    pub guardian: PeerId,
    /// What the guardian calls itself.
    pub name: String,
    /// What it is known by.
    pub identity: IdentityPublicKey,
    /// Whether its `local.toml` is there too.
    pub settings: bool,
}

/// Why no guardian can be made of some files.
#[derive(Debug, Error)]
pub enum ContentsError {
    /// One of the files is wrong.
    #[error(transparent)]
    File(#[from] FileError),
    /// The secrets cannot be had.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// The identity is nobody's.
    #[error("the secrets belong to no guardian of the federation; use files of one federation")]
    NotAGuardian,
    /// A module's secrets do not fit the federation's keys, or this software lacks the module.
    #[error(transparent)]
    Federation(#[from] FederationError),
    /// The coin's keys do not fit.
    #[error("{0}; use files of one federation")]
    Coin(#[from] CoinError),
}

impl ContentsError {
    /// What the process exits with.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Secrets(SecretsError::Passphrase | SecretsError::EmptyPassphrase) => 3,
            _ => 2,
        }
    }
}

impl Contents {
    /// The files of a data directory.
    pub(super) fn read(data_dir: &Path) -> Result<Self, FileError> {
        let local = match read_text(&data_dir.join(LOCAL_FILE)) {
            Err(FileError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => None,
            read => Some(read?),
        };
        Ok(Self {
            consensus: read_text(&data_dir.join(CONSENSUS_FILE))?,
            local,
            secrets: read_text(&data_dir.join(SECRETS_FILE))?,
        })
    }

    /// Whose files they are. ⚠ All that a guardian checks when it starts is checked, so that none is found to be missing when it is
    /// too late.
    pub(super) fn check(
        &self,
        registry: &Registry,
        passphrase: &str,
    ) -> Result<Contained, ContentsError> {
        if let Some(local) = &self.local {
            parse_toml::<LocalFile>(Path::new(LOCAL_FILE), local)?;
        }
        let path = Path::new(CONSENSUS_FILE);
        let file: ConsensusFile = parse_toml(path, &self.consensus)?;
        let genesis = file.genesis().map_err(|error| FileError::Contents {
            path: path.to_owned(),
            problem: error.to_string(),
        })?;
        let secrets = secrets::open(&self.secrets, file.federation, passphrase)?;
        let guardian = secrets
            .guardian(&genesis)
            .ok_or(ContentsError::NotAGuardian)?;
        fit(&genesis, guardian, &secrets, registry)?;
        let modules = genesis.modules.values();
        let keys = genesis.guardians.get(usize::from(guardian.0));
        Ok(Contained {
            federation_id: file.federation,
            network: genesis.network.to_string(),
            guardians: genesis.guardians.len(),
            threshold: genesis.quorum().map_or(0, |quorum| quorum.threshold()),
            modules: modules.map(|module| module.kind.clone()).collect(),
            invite: file.invite().to_string(),
            guardian,
            name: keys.map_or_else(String::new, |keys| keys.name.clone()),
            identity: secrets.identity().public(),
            settings: self.local.is_some(),
            federation: genesis.name,
        })
    }
}

/// Whether each key share belongs to the public keys of the federation, and to this guardian.
fn fit(
    genesis: &GenesisConfig,
    guardian: PeerId,
    secrets: &Secrets,
    registry: &Registry,
) -> Result<(), ContentsError> {
    let federation = Federation::new(genesis.clone(), guardian, registry, secrets.modules())?;
    let coin = Coin::new(federation.quorum(), guardian, &genesis.coin, secrets.coin());
    coin?;
    Ok(())
}
