//! What a guardian runs with: files, environment and flags, and which of them a value came from.

mod admin;
mod passphrase;

pub use admin::AdminSettings;
pub use passphrase::{first_line, read_passphrase, read_passphrase_file};

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use bitcoin::secp256k1::XOnlyPublicKey;
use guildmint_core::{GenesisConfig, PeerId};
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

mod parse;
mod source;

pub use source::Source;

/// Environment variables start with this.
pub const ENVIRONMENT_PREFIX: &str = "GUILDMINT_";

/// A setting: its name, from which its flag (`--api-listen`) and its variable (`GUILDMINT_API_LISTEN`) follow, and what it may
/// be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The name, as in `local.toml`.
    pub name: &'static str,
    default: Option<&'static str>,
    expected: &'static str,
}

impl Key {
    /// The data directory. Neither in `local.toml`, which is in it, nor guessed.
    pub const DATA_DIR: Self = Self {
        name: "data_dir",
        default: None,
        expected: "the directory with consensus.toml, local.toml and secrets",
    };
    /// The file with the passphrase.
    pub const PASSWORD_FILE: Self = Self {
        name: "password_file",
        default: None,
        expected:
            "a file with the passphrase of the secrets; or give the passphrase on standard input",
    };
    /// Where to listen for clients.
    pub const API_LISTEN: Self = Self {
        name: "api_listen",
        default: Some("127.0.0.1:8174"),
        expected: "an address and a port, such as 0.0.0.0:8174",
    };
    /// Where to listen for the operator.
    pub const ADMIN_LISTEN: Self = Self {
        name: "admin_listen",
        default: Some("127.0.0.1:8175"),
        expected: "an address and a port that only you can reach, such as 127.0.0.1:8175",
    };
    /// Where to listen for other guardians.
    pub const P2P_LISTEN: Self = Self {
        name: "p2p_listen",
        default: Some("/ip4/0.0.0.0/tcp/8173"),
        expected: "a multiaddress, such as /ip4/0.0.0.0/tcp/8173",
    };
    /// Where clients reach it.
    pub const API_URL: Self = Self {
        name: "api_url",
        default: None,
        expected: "the URL at which clients reach this guardian, such as https://mint.example",
    };
    /// Where other guardians reach it.
    pub const P2P_ADDRESS: Self = Self {
        name: "p2p_address",
        default: None,
        expected: "the multiaddress at which other guardians reach it, such as /dns4/mint.example/tcp/8173",
    };
    /// Electrum servers.
    pub const ELECTRUM: Self = Self {
        name: "electrum",
        default: None,
        expected: "the Electrum server that you run, such as tcp://127.0.0.1:50001 or ssl://electrum.example.org:50002; several with commas between",
    };
    /// Versions to go on to without guardians that do not know them.
    pub const INSIST: Self = Self {
        name: "insist",
        default: None,
        expected: "kinds of modules and versions that you want without guardians who do not know them, such as mint=2",
    };
    /// Gateways that it vouches for.
    pub const VOUCH: Self = Self {
        name: "vouch",
        default: None,
        expected:
            "keys of Lightning gateways that you know, hexadecimal, at most 16 with commas between",
    };
    /// How logs look.
    pub const LOG_FORMAT: Self = Self {
        name: "log_format",
        default: Some("text"),
        expected: "text or json",
    };
    /// What is logged.
    pub const LOG: Self = Self {
        name: "log",
        default: Some("info"),
        expected: "levels of detail, such as info or warn,guildmintd=debug",
    };
    /// The database.
    pub const DATABASE: Self = Self {
        name: "database",
        default: Some("sqlite"),
        expected: "sqlite, or the URL of a database, such as postgres://user@host:5432/database",
    };

    /// The freeze of deposits after which to go on.
    pub const UNFREEZE: Self = Self {
        name: "unfreeze",
        default: None,
        expected: "the number of a freeze of deposits, as guildmintd status shows it",
    };

    /// Its flag.
    #[must_use]
    pub fn flag(&self) -> String {
        format!("--{}", self.name.replace('_', "-"))
    }

    /// What people may see of its value.
    fn shown(self, value: String) -> String {
        match self {
            Self::DATABASE => Database::shown(value.trim()),
            _ => value,
        }
    }

    /// Its environment variable.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("{ENVIRONMENT_PREFIX}{}", self.name.to_uppercase())
    }
}

/// Everything that says what a setting is.
#[derive(Clone, Default)]
pub struct Sources {
    /// Flags that were given, by the names of settings.
    pub flags: BTreeMap<&'static str, String>,
    /// The environment.
    pub environment: BTreeMap<String, String>,
    /// `local.toml`.
    pub file: LocalFile,
}

/// Without values: passwords may be among them.
impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources").finish_non_exhaustive()
    }
}

impl Sources {
    /// The strongest word on a setting, as it was written.
    #[must_use]
    pub fn text(&self, key: Key) -> Option<(String, Source)> {
        let flag = self.flags.get(key.name).cloned();
        let variable = self.environment.get(&key.variable()).cloned();
        // An empty variable is how compose files and units leave one out.
        let variable = variable.filter(|value| !value.is_empty());
        let candidates = [
            (flag, Source::Flag),
            (variable, Source::Environment),
            (self.in_file(key), Source::File),
            (key.default.map(str::to_owned), Source::Default),
        ];
        let mut given = candidates
            .into_iter()
            .filter_map(|(text, source)| Some((text?, source)));
        given.next()
    }

    fn in_file(&self, key: Key) -> Option<String> {
        let file = &self.file;
        match key {
            Key::API_LISTEN => file.api_listen.clone(),
            Key::ADMIN_LISTEN => file.admin_listen.clone(),
            Key::P2P_LISTEN => file.p2p_listen.clone(),
            Key::API_URL => file.api_url.clone(),
            Key::P2P_ADDRESS => file.p2p_address.clone(),
            Key::INSIST => file.insist.clone(),
            Key::VOUCH => file.vouch.as_ref().map(|keys| keys.join(",")),
            Key::ELECTRUM => match file.electrum.as_deref() {
                None | Some([]) => None,
                Some(urls) => Some(urls.join(",")),
            },
            Key::LOG_FORMAT => file.log_format.clone(),
            Key::LOG => file.log.clone(),
            Key::DATABASE => file.database.as_ref().map(|database| database.0.clone()),
            Key::ADMIN_HOSTS => file.admin_hosts.as_ref().map(|hosts| hosts.join(",")),
            Key::TRUSTED_PROXIES => file
                .trusted_proxies
                .as_ref()
                .map(|proxies| proxies.join(",")),
            Key::OPEN_METRICS => file.open_metrics.map(|open| open.to_string()),
            Key::UNFREEZE => file.unfreeze.map(|number| number.to_string()),
            _ => None,
        }
    }

    /// A setting that need not be there, read by `parse`.
    ///
    /// # Errors
    /// If `parse` makes nothing of it.
    pub fn find<T>(
        &self,
        key: Key,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, ConfigError> {
        match self.text(key) {
            None => Ok(None),
            Some(_) => self.get(key, parse).map(Some),
        }
    }

    /// A setting, read by `parse`.
    ///
    /// # Errors
    /// If it is missing, or `parse` makes nothing of it.
    pub fn get<T>(&self, key: Key, parse: impl Fn(&str) -> Option<T>) -> Result<T, ConfigError> {
        let (value, source) = self.text(key).ok_or(ConfigError::Missing(key))?;
        parse(value.trim()).ok_or(ConfigError::Invalid {
            key,
            value: key.shown(value),
            from: source,
        })
    }
}

/// How logs look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON document a line.
    Json,
}

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
        Key::API_LISTEN,
        Key::ADMIN_LISTEN,
        Key::P2P_LISTEN,
        Key::API_URL,
        Key::P2P_ADDRESS,
        Key::INSIST,
        Key::VOUCH,
        Key::ELECTRUM,
        Key::LOG_FORMAT,
        Key::LOG,
        Key::DATABASE,
        Key::ADMIN_HOSTS,
        Key::OPEN_METRICS,
        Key::UNFREEZE,
        Key::TRUSTED_PROXIES,
    ];

    /// Reads all settings.
    ///
    /// # Errors
    /// Names the first that is missing or wrong.
    pub fn resolve(sources: &Sources) -> Result<Self, ConfigError> {
        Ok(Self {
            api_listen: sources.get(Key::API_LISTEN, |address| address.parse().ok())?,
            admin_listen: sources.get(Key::ADMIN_LISTEN, |address| address.parse().ok())?,
            p2p_listen: sources.get(Key::P2P_LISTEN, |addresses| {
                parse::list(addresses, |address| address.starts_with('/'))
            })?,
            api_url: sources.find(Key::API_URL, parse::api_url)?,
            p2p_address: sources.find(Key::P2P_ADDRESS, parse::p2p_addresses)?,
            insist: sources
                .find(Key::INSIST, parse::versions)?
                .unwrap_or_default(),
            vouch: sources
                .find(Key::VOUCH, parse::gateway_keys)?
                .unwrap_or_default(),
            electrum: sources
                .find(Key::ELECTRUM, parse::electrum_urls)?
                .unwrap_or_default(),
            log_format: sources.get(Key::LOG_FORMAT, |format| match format {
                "text" => Some(LogFormat::Text),
                "json" => Some(LogFormat::Json),
                _ => None,
            })?,
            log: sources.get(Key::LOG, |filter| {
                let parsed = filter.parse::<tracing_subscriber::EnvFilter>();
                parsed.is_ok().then(|| filter.to_owned())
            })?,
            database: sources.get(Key::DATABASE, Database::parse)?,
            admin: AdminSettings::resolve(sources)?,
            unfreeze: match sources.text(Key::UNFREEZE) {
                None => None,
                Some(_) => Some(sources.get(Key::UNFREEZE, |number| number.parse().ok())?),
            },
        })
    }

    /// Each setting with where it came from, for people who wonder.
    #[must_use]
    pub fn explain(sources: &Sources) -> Json {
        let explained = Self::KEYS.iter().map(|key| {
            let explained = match sources.text(*key) {
                Some((value, source)) => json!({"value": key.shown(value), "source": source}),
                None => json!({"value": null, "source": null}),
            };
            (key.name.to_owned(), explained)
        });
        Json::Object(explained.collect())
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
    /// A setting that nobody gave.
    #[error("`{}` is missing: give {flag} or {variable}: {expected}", .0.name, flag = .0.flag(), variable = .0.variable(), expected = .0.expected)]
    Missing(Key),
    /// A setting that means nothing.
    #[error("`{}` is `{value}`, from {from}: it must be {expected}. Change it, or give {flag} or {variable}", key.name,
        expected = key.expected, flag = key.flag(), variable = key.variable())]
    Invalid {
        /// Which.
        key: Key,
        /// What it is.
        value: String,
        /// Who says so.
        from: Source,
    },
    /// A file is missing or damaged.
    #[error("{0}. The data directory must hold consensus.toml, local.toml and secrets, as they were made with the federation")]
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
    NoChain(Box<ConfigError>),
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
            let missing = ConfigError::Missing(Key::ELECTRUM);
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
