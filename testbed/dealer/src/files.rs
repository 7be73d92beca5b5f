//! What was dealt, as the data directories of guardians.

use std::{fs, path::Path};

use anyhow::{ensure, Context as _};
use guildmint_core::{GenesisConfig, PeerId};
use guildmintd::{
    files::{
        write_private, write_toml, ConsensusFile, LocalFile, CONSENSUS_FILE, LOCAL_FILE,
        SECRETS_FILE,
    },
    secrets::{seal, Cost, Secrets},
};
use rand_core::{CryptoRng, RngCore};
use serde::{Deserialize, Serialize};
use serde_json::{json, Value as Json};

use crate::GuardianSecrets;

/// The file with the password of all guardians, beside their data directories.
pub const PASSWORD_FILE: &str = "password";

/// Where a guardian is to listen, and where others find it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// What it calls itself.
    pub name: String,
    /// Where clients reach it.
    pub api_url: String,
    /// Where it listens for clients, as `address:port`.
    pub api_listen: String,
    /// Where it listens for its operator, as `address:port`.
    pub admin_listen: String,
    /// Where it listens for other guardians, and is reached by them, as a multiaddress.
    pub p2p_listen: String,
}

/// Writes `<folder>/guardian-<index>/` for each guardian, and `<folder>/password`. Returns what to tell the caller: the invite
/// code, the federation's id and the guardians.
///
/// # Errors
/// If the places are not as many as the guardians, or a file exists or cannot be written.
pub fn write(
    folder: &Path,
    genesis: &GenesisConfig,
    secrets: &[GuardianSecrets],
    places: &[Place],
    electrum: &[String],
    rng: &mut (impl RngCore + CryptoRng),
) -> anyhow::Result<Json> {
    ensure!(
        places.len() == secrets.len(),
        "{} places for {} guardians",
        places.len(),
        secrets.len()
    );
    let addresses = places
        .iter()
        .map(|place| (vec![place.p2p_listen.clone()], place.api_url.clone()));
    let consensus = ConsensusFile::new(genesis, addresses.collect());
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let mut password = [0; 16];
    rng.fill_bytes(&mut password);
    let password = hex::encode(password);
    write_private(&folder.join(PASSWORD_FILE), &format!("{password}\n"))?;
    let mut guardians = Vec::new();
    for ((place, secrets), index) in places.iter().zip(secrets).zip((0..).map(PeerId)) {
        let directory = folder.join(format!("guardian-{}", index.0));
        fs::create_dir_all(&directory)
            .with_context(|| format!("cannot create {}", directory.display()))?;
        write_toml(&directory.join(CONSENSUS_FILE), &consensus)?;
        write_toml(&directory.join(LOCAL_FILE), &local_file(place, electrum))?;
        let sealed = seal(&plain(secrets), genesis.id(), &password, Cost::CHEAP, rng)?;
        write_private(&directory.join(SECRETS_FILE), &sealed)?;
        guardians.push(json!({
            "index": index,
            "name": place.name,
            "identity": secrets.identity.public(),
            "data_dir": directory,
            "api_url": place.api_url,
            "p2p_address": place.p2p_listen,
        }));
    }
    Ok(json!({
        "invite": consensus.invite().to_string(),
        "federation_id": genesis.id(),
        "guardians": guardians,
    }))
}

fn local_file(place: &Place, electrum: &[String]) -> LocalFile {
    LocalFile {
        api_listen: Some(place.api_listen.clone()),
        admin_listen: Some(place.admin_listen.clone()),
        p2p_listen: Some(place.p2p_listen.clone()),
        electrum: Some(electrum.to_vec()),
        ..LocalFile::default()
    }
}

fn plain(secrets: &GuardianSecrets) -> Secrets {
    let modules = secrets.modules.iter();
    let modules = modules.map(|(id, secret)| (*id, secret.to_vec())).collect();
    Secrets::new(&secrets.identity, secrets.coin.to_vec(), modules)
}
