//! The files of a guardian's data directory, besides the database: what founds it, and how it runs.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    fmt, fs, io,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    str::FromStr,
};

use guildmint_core::{
    encoding::hex_bytes, ConfigError, DecodeError, FederationId, GenesisConfig, IdentityPublicKey,
    InviteCode, PeerId, Quorum, Wire,
};
use serde::{de::DeserializeOwned, Deserialize, Serialize};
use thiserror::Error;

/// The name of the public file that is identical at all guardians.
pub const CONSENSUS_FILE: &str = "consensus.toml";
/// The name of the file with this guardian's own settings.
pub const LOCAL_FILE: &str = "local.toml";
/// The name of the file with its secrets, encrypted.
pub const SECRETS_FILE: &str = "secrets";
/// The name of an empty file that was last changed when the last backup was made.
pub const BACKUP_STAMP: &str = "backup.stamp";

/// The layout of [`ConsensusFile`] that this version writes.
const VERSION: u32 = 1;

/// What founds a federation, and where its guardians were at first. Public.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsensusFile {
    /// The layout of this file.
    version: u32,
    /// The federation: the hash of the genesis config below.
    pub federation: FederationId,
    /// What the genesis config says, for people.
    summary: Summary,
    /// Where the guardians are, in the order of their indices.
    #[serde(rename = "guardian")]
    pub guardians: Vec<GuardianEntry>,
    genesis: Genesis,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Summary {
    name: String,
    network: String,
    guardians: usize,
    threshold: usize,
    modules: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Genesis {
    #[serde(with = "hex_bytes")]
    encoded: Vec<u8>,
}

/// A guardian and its addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuardianEntry {
    /// What it calls itself.
    pub name: String,
    /// Its identity key.
    pub identity: IdentityPublicKey,
    /// Where other guardians reach it, as multiaddresses.
    pub p2p: Vec<String>,
    /// Where clients reach it.
    pub api: String,
}

/// A guardian's own settings. What is absent is taken from elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocalFile {
    /// Where to listen for clients, as `address:port`.
    pub api_listen: Option<String>,
    /// Where to listen for the operator, as `address:port`.
    pub admin_listen: Option<String>,
    /// Where to listen for other guardians, as a multiaddress.
    pub p2p_listen: Option<String>,
    /// Where clients reach it, if it has moved since `consensus.toml` was written.
    pub api_url: Option<String>,
    /// Where other guardians reach it, in the same case: multiaddresses with commas between.
    pub p2p_address: Option<String>,
    /// Versions of modules' rules to go on to without guardians that do not know them, such as `mint=2`.
    pub insist: Option<String>,
    /// Keys of Lightning gateways that the operator vouches for.
    pub vouch: Option<Vec<String>>,
    /// Electrum servers, in the order in which they are tried.
    pub electrum: Option<Vec<String>>,
    /// How logs look: `text` or `json`.
    pub log_format: Option<String>,
    /// What is logged, such as `info` or `warn,guildmintd=debug`.
    pub log: Option<String>,
    /// The database: `sqlite`, or a URL.
    pub database: Option<Hidden>,
    /// Names under which the operator's pages may be asked for, besides `localhost` and IP addresses.
    pub admin_hosts: Option<Vec<String>>,
    /// Whether `/metrics` needs no token.
    pub open_metrics: Option<bool>,
    /// The number of the freeze of deposits after which to go on.
    pub unfreeze: Option<u32>,
    /// Addresses of proxies that say in `X-Forwarded-For` for whom they ask.
    pub trusted_proxies: Option<Vec<String>>,
}

/// Text that may hold a password, and does not show in `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hidden(pub String);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hidden")
    }
}

impl FromStr for Hidden {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

/// Why a file of the data directory is of no use.
#[derive(Debug, Error)]
pub enum FileError {
    /// The system refuses.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The system refuses.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Not what such a file contains.
    #[error("{path} is wrong: {problem}")]
    Contents {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

/// Why a [`ConsensusFile`] contradicts itself.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConsensusFileError {
    /// A later layout.
    #[error("it has layout {0}, this version knows {VERSION}; use the version that wrote it, or a later one")]
    Newer(u32),
    /// The genesis config does not decode.
    #[error("the genesis config cannot be read: {0}; copy the file again from another guardian")]
    Genesis(#[from] DecodeError),
    /// No federation can have it.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// It belongs to another federation.
    #[error("the genesis config is that of federation {found}, not of {expected}; copy the file again from another guardian")]
    OtherGenesis {
        /// Whose it is.
        found: FederationId,
        /// What the file says.
        expected: FederationId,
    },
    /// The readable part says something else than the part that counts.
    #[error("{0} differs from the genesis config; copy the file again from another guardian")]
    Differs(&'static str),
}

impl ConsensusFile {
    /// The file of a federation, with each guardian's p2p addresses and API URL in the order of indices.
    #[must_use]
    pub fn new(genesis: &GenesisConfig, addresses: Vec<(Vec<String>, String)>) -> Self {
        let guardians = genesis.guardians.iter().zip(addresses);
        Self {
            version: VERSION,
            federation: genesis.id(),
            summary: Summary::of(genesis),
            guardians: guardians
                .map(|(keys, (p2p, api))| GuardianEntry {
                    name: keys.name.clone(),
                    identity: keys.identity,
                    p2p,
                    api,
                })
                .collect(),
            genesis: Genesis {
                encoded: genesis.encode(),
            },
        }
    }

    /// The genesis config, checked against everything else in the file.
    ///
    /// # Errors
    /// Says what contradicts what.
    pub fn genesis(&self) -> Result<GenesisConfig, ConsensusFileError> {
        if self.version != VERSION {
            return Err(ConsensusFileError::Newer(self.version));
        }
        let genesis = GenesisConfig::decode(&self.genesis.encoded)?;
        genesis.validate()?;
        if genesis.id() != self.federation {
            return Err(ConsensusFileError::OtherGenesis {
                found: genesis.id(),
                expected: self.federation,
            });
        }
        if Summary::of(&genesis) != self.summary {
            return Err(ConsensusFileError::Differs("the summary"));
        }
        let entries = self
            .guardians
            .iter()
            .map(|entry| (&entry.name, entry.identity));
        let keys = genesis
            .guardians
            .iter()
            .map(|keys| (&keys.name, keys.identity));
        if !entries.eq(keys) {
            return Err(ConsensusFileError::Differs("the list of guardians"));
        }
        Ok(genesis)
    }

    /// Where each guardian's API is.
    #[must_use]
    pub fn apis(&self) -> BTreeMap<PeerId, String> {
        let urls = self.guardians.iter().map(|guardian| guardian.api.clone());
        (0..).map(PeerId).zip(urls).collect()
    }

    /// An invite code that names the API URLs of f + 1 guardians: if f of them are down, the one that is left knows where the others
    /// are, by their own signed word (SPEC GEN-7).
    #[must_use]
    pub fn invite(&self) -> InviteCode {
        let guardians = u16::try_from(self.guardians.len()).unwrap_or(u16::MAX);
        let enough = Quorum::new(guardians).map_or(1, Quorum::one_honest);
        InviteCode {
            federation: self.federation,
            apis: self.apis().into_iter().take(enough).collect(),
        }
    }
}

impl Summary {
    fn of(genesis: &GenesisConfig) -> Self {
        let modules = genesis.modules.values();
        Self {
            name: genesis.name.clone(),
            network: genesis.network.to_string(),
            guardians: genesis.guardians.len(),
            threshold: genesis.quorum().map_or(0, |quorum| quorum.threshold()),
            modules: modules.map(|module| module.kind.clone()).collect(),
        }
    }
}

/// Reads a file of the data directory as text.
///
/// # Errors
/// If the system refuses.
pub fn read_text(path: &Path) -> Result<String, FileError> {
    fs::read_to_string(path).map_err(|source| FileError::Read {
        path: path.to_owned(),
        source,
    })
}

/// Reads a TOML file.
///
/// # Errors
/// If the system refuses, or the file contains something else.
pub fn read_toml<T: DeserializeOwned>(path: &Path) -> Result<T, FileError> {
    parse_toml(path, &read_text(path)?)
}

/// What the text of a TOML file says.
///
/// # Errors
/// If it is something else.
pub fn parse_toml<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, FileError> {
    toml::from_str(text).map_err(|error| FileError::Contents {
        path: path.to_owned(),
        problem: toml_problem(text, &error),
    })
}

/// What is wrong, and where. ⚠ Not the line itself: a password may stand in it.
fn toml_problem(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    match before {
        Some(before) => {
            let line = before.matches('\n').count() + 1;
            format!("line {line}: {}", error.message())
        }
        None => error.message().to_owned(),
    }
}

/// Writes a TOML file, which must not exist.
///
/// # Errors
/// If the system refuses or the file exists.
pub fn write_toml(path: &Path, value: &impl Serialize) -> Result<(), FileError> {
    write_new(path, &to_toml(path, value)?, 0o644)
}

/// What is written into a TOML file.
///
/// # Errors
/// If there is no TOML for it.
pub fn to_toml(path: &Path, value: &impl Serialize) -> Result<String, FileError> {
    toml::to_string(value).map_err(|error| FileError::Contents {
        path: path.to_owned(),
        problem: error.to_string(),
    })
}

/// Writes a file that only its owner may read, and which must not exist.
///
/// # Errors
/// If the system refuses or the file exists.
pub fn write_private(path: &Path, text: &str) -> Result<(), FileError> {
    write_new(path, text, 0o600)
}

/// Writes a file at once or not at all, in the place of an old one, and durably. With `mode` 0o600 only its owner may read it.
///
/// # Errors
/// If the system refuses.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<(), FileError> {
    let new = path.with_extension("new");
    let failed = |source| FileError::Write {
        path: path.to_owned(),
        source,
    };
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let mut options = fs::OpenOptions::new();
    let written = options.write(true).create_new(true).mode(mode).open(&new);
    let written = written.and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    let folder = path.parent().unwrap_or(Path::new("."));
    written
        .and_then(|()| fs::rename(&new, path))
        .and_then(|()| fs::File::open(folder)?.sync_all())
        .map_err(failed)
}

fn write_new(path: &Path, text: &str, mode: u32) -> Result<(), FileError> {
    let mut options = fs::OpenOptions::new();
    let written = options.write(true).create_new(true).mode(mode).open(path);
    let written = written.and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|source| FileError::Write {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use bitcoin::Network;
    use guildmint_core::{GuardianKeys, SessionId};

    use super::*;

    fn genesis() -> GenesisConfig {
        let guardian = |byte| GuardianKeys {
            name: format!("guardian-{byte}"),
            identity: IdentityPublicKey([byte; 32]),
        };
        GenesisConfig {
            name: "test".into(),
            session: SessionId([1; 32]),
            network: Network::Regtest,
            guardians: (0..4).map(guardian).collect(),
            coin: vec![1],
            epoch_floor_ms: 50,
            modules: BTreeMap::new(),
        }
    }

    fn file() -> ConsensusFile {
        let addresses = (0..4).map(|i| {
            (
                vec![format!("/ip4/10.0.0.{i}/tcp/8173")],
                format!("http://10.0.0.{i}"),
            )
        });
        ConsensusFile::new(&genesis(), addresses.collect())
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(CONSENSUS_FILE);
        write_toml(&path, &file()).unwrap();
        let read: ConsensusFile = read_toml(&path).unwrap();
        assert_eq!(read, file());
        assert_eq!(read.genesis(), Ok(genesis()));
        assert_eq!(read.invite().apis.len(), 2);
        assert!(write_toml(&path, &file()).is_err(), "overwritten");
    }

    #[test]
    fn what_people_read_is_what_counts() {
        let mut renamed = file();
        renamed.summary.name = "another".into();
        assert_eq!(
            renamed.genesis(),
            Err(ConsensusFileError::Differs("the summary"))
        );
        let mut swapped = file();
        swapped.guardians.swap(0, 1);
        let differs = ConsensusFileError::Differs("the list of guardians");
        assert_eq!(swapped.genesis(), Err(differs));
        let mut forged = file();
        let other = GenesisConfig {
            session: SessionId([2; 32]),
            ..genesis()
        };
        forged.genesis.encoded = other.encode();
        let error = forged.genesis().unwrap_err().to_string();
        assert!(error.contains(&other.id().to_string()), "{error}");
    }

    #[test]
    fn a_misspelt_setting_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(LOCAL_FILE);
        write_private(&path, "api_listn = \"127.0.0.1:1\"").unwrap();
        let error = read_toml::<LocalFile>(&path).unwrap_err().to_string();
        assert!(
            error.contains("api_listn") && error.contains("local.toml"),
            "{error}"
        );
    }

    #[test]
    fn what_stands_in_a_wrong_line_is_not_repeated() {
        let folder = tempfile::tempdir().unwrap();
        for (name, line) in ["databse = \"hunter2\"", "database = \"hunter2"]
            .iter()
            .enumerate()
        {
            let path = folder.path().join(name.to_string());
            write_private(&path, &format!("log = \"info\"\n{line}\n")).unwrap();
            let error = read_toml::<LocalFile>(&path).unwrap_err().to_string();
            assert!(
                error.contains("line 2") && !error.contains("hunter2"),
                "{error}"
            );
        }
    }
}
