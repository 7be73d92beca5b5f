//! What a guardian runs with: files, environment and flags, and which of them a value came from.

mod passphrase;

pub use passphrase::{read_passphrase, read_passphrase_file};

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use bitcoin::secp256k1::XOnlyPublicKey;
use guildmint_core::{GenesisConfig, PeerId};
use guildmint_daemon::{logs::levels, settings::texts::is_electrum_url};
use serde_json::{json, Value as Json};
use thiserror::Error;

use crate::{
    database::Database,
    files::{
        read_text, read_toml, ConsensusFile, FileError, LocalFile, CONSENSUS_FILE, LOCAL_FILE,
        SECRETS_FILE,
    },
    secrets::{self, Secrets, SecretsError},
};

pub mod keys;
mod parse;

pub use guildmint_daemon::{
    logs::LogFormat,
    settings::{AdminSettings, Key, SettingError, Source, Sources},
};

/// Environment variables start with this.
pub const ENVIRONMENT_PREFIX: &str = "GUILDMINT_";

/// How this guardian runs: nothing that the federation must agree on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where it listens for clients.
    pub api_listen: SocketAddr,
    /// Where it listens for its operator.
    pub admin_listen: SocketAddr,
    /// Where it listens for other guardians.
    pub p2p_listen: Vec<String>,
    /// Where clients reach it, if that is not what `consensus.toml` says.
    pub api_url: Option<String>,
    /// Where other guardians reach it, if that is not what `consensus.toml` says.
    pub p2p_address: Option<Vec<String>>,
    /// Versions of modules' rules, by kind, that it wants though not all guardians know them.
    pub insist: BTreeMap<String, u16>,
    /// Keys of Lightning gateways that its operator vouches for.
    pub vouch: BTreeSet<XOnlyPublicKey>,
    /// The Electrum servers that it asks; none if the federation has no wallet.
    pub electrum: Vec<String>,
    /// How logs look.
    pub log_format: LogFormat,
    /// What is logged.
    pub log: String,
    /// Where its rows are.
    pub database: Database,
    /// Who may see what is the operator's.
    pub admin: AdminSettings,
    /// The freeze of deposits that the operator has looked at, and after which to go on (SPEC WAL-5).
    pub unfreeze: Option<u32>,
}

impl Settings {
    const KEYS: [Key; 15] = [
        keys::API_LISTEN,
        keys::ADMIN_LISTEN,
        keys::P2P_LISTEN,
        keys::API_URL,
        keys::P2P_ADDRESS,
        keys::INSIST,
        keys::VOUCH,
        keys::ELECTRUM,
        keys::LOG_FORMAT,
        keys::LOG,
        keys::DATABASE,
        keys::ADMIN_HOSTS,
        keys::OPEN_METRICS,
        keys::UNFREEZE,
        keys::TRUSTED_PROXIES,
    ];

    /// Reads all settings.
    ///
    /// # Errors
    /// Names the first that is missing or wrong.
    pub fn resolve(sources: &Sources) -> Result<Self, ConfigError> {
        Ok(Self {
            api_listen: sources.get(keys::API_LISTEN, |address| address.parse().ok())?,
            admin_listen: sources.get(keys::ADMIN_LISTEN, |address| address.parse().ok())?,
            p2p_listen: sources.list(keys::P2P_LISTEN, |address| {
                address.starts_with('/').then(|| address.to_owned())
            })?,
            api_url: sources.find(keys::API_URL, parse::api_url)?,
            p2p_address: sources.find(keys::P2P_ADDRESS, parse::p2p_addresses)?,
            insist: sources
                .find(keys::INSIST, parse::versions)?
                .unwrap_or_default(),
            vouch: sources
                .find(keys::VOUCH, parse::gateway_keys)?
                .unwrap_or_default(),
            electrum: sources.list(keys::ELECTRUM, |url| {
                is_electrum_url(url).then(|| url.to_owned())
            })?,
            log_format: sources.get(keys::LOG_FORMAT, |format| format.parse().ok())?,
            log: sources.get(keys::LOG, levels)?,
            database: sources.get(keys::DATABASE, Database::parse)?,
            admin: AdminSettings::resolve(sources, ENVIRONMENT_PREFIX)?,
            unfreeze: sources.find(keys::UNFREEZE, |number| number.parse().ok())?,
        })
    }

    /// Each setting with where it came from, for people who wonder.
    #[must_use]
    pub fn explain(sources: &Sources) -> Json {
        json!(sources.explain(&Self::KEYS))
    }
}

/// A guardian, ready to run.
#[derive(Debug)]
pub struct Config {
    /// Where its files are.
    pub data_dir: PathBuf,
    /// The federation.
    pub genesis: GenesisConfig,
    /// The same as a file, with addresses.
    pub federation: ConsensusFile,
    /// Which of its guardians this is.
    pub me: PeerId,
    /// What it keeps secret.
    pub secrets: Secrets,
    /// How it runs.
    pub settings: Settings,
}

/// Why a guardian cannot run: somebody has to change something.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// A setting is missing, or means nothing.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// A file is missing or damaged.
    #[error("{0}{advice}", advice = advice(.0))]
    File(#[from] FileError),
    /// The secrets cannot be had.
    #[error("{path}: {problem}", path = path.display())]
    Secrets {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: SecretsError,
    },
    /// The passphrase cannot be had.
    #[error("cannot read the passphrase from {place}: {problem}. Give --password-file or GUILDMINT_PASSWORD_FILE, or the passphrase on standard input")]
    Passphrase {
        /// Where it was looked for.
        place: String,
        /// What is wrong.
        problem: io::Error,
    },
    /// The identity is nobody's.
    #[error("these secrets belong to no guardian of the federation; use files of one federation")]
    NotAGuardian,
    /// A module wants to see the chain.
    #[error("the federation has a wallet, so a guardian must see the chain. {0}")]
    NoChain(Box<SettingError>),
}

/// What to do about a file that is not there. What is wrong inside of one says so itself.
fn advice(error: &FileError) -> &'static str {
    match error {
        FileError::Read { .. } => ". The data directory must hold consensus.toml, local.toml and secrets, as they were made with the federation",
        _ => "",
    }
}

impl ConfigError {
    /// What the process exits with: 3 if the passphrase is wrong, else 2.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Secrets {
                problem: SecretsError::Passphrase | SecretsError::EmptyPassphrase,
                ..
            }
            | Self::Passphrase { .. } => 3,
            _ => 2,
        }
    }
}

impl Config {
    /// Reads the files of a data directory.
    ///
    /// # Errors
    /// Says what to change.
    pub fn load(
        data_dir: &Path,
        passphrase: &str,
        settings: Settings,
    ) -> Result<Self, ConfigError> {
        let path = data_dir.join(CONSENSUS_FILE);
        let federation: ConsensusFile = read_toml(&path)?;
        let genesis = federation.genesis().map_err(|error| FileError::Contents {
            path,
            problem: error.to_string(),
        })?;
        let path = data_dir.join(SECRETS_FILE);
        let secrets = secrets::open(&read_text(&path)?, federation.federation, passphrase)
            .map_err(|problem| ConfigError::Secrets { path, problem })?;
        let me = secrets
            .guardian(&genesis)
            .ok_or(ConfigError::NotAGuardian)?;
        let has_wallet = genesis.module(guildmint_wallet::KIND).is_some();
        if has_wallet && settings.electrum.is_empty() {
            let missing = SettingError::Missing(keys::ELECTRUM);
            return Err(ConfigError::NoChain(Box::new(missing)));
        }
        Ok(Self {
            data_dir: data_dir.to_owned(),
            genesis,
            federation,
            me,
            secrets,
            settings,
        })
    }
}

/// `local.toml` of a data directory, if there is one.
///
/// # Errors
/// If it cannot be read.
pub fn read_local(data_dir: &Path) -> Result<LocalFile, ConfigError> {
    match read_toml(&data_dir.join(LOCAL_FILE)) {
        Err(FileError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Ok(LocalFile::default())
        }
        read => Ok(read?),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
