//! The files of a guardian's data directory, besides the database: what founds it, and how it runs.

use std::collections::BTreeMap;

use guildmint_core::{
    encoding::hex_bytes, ConfigError, DecodeError, FederationId, GenesisConfig, IdentityPublicKey,
    InviteCode, PeerId, Quorum, Wire,
};
pub use guildmint_daemon::files::{
    parse_toml, read_text, read_toml, replace, to_toml, write_private, write_toml, FileError,
    Hidden,
};
use serde::{Deserialize, Deserializer, Serialize};
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
    #[serde(default, deserialize_with = "texts")]
    pub vouch: Option<Vec<String>>,
    /// Electrum servers, in the order in which they are tried.
    #[serde(default, deserialize_with = "texts")]
    pub electrum: Option<Vec<String>>,
    /// How logs look: `text` or `json`.
    pub log_format: Option<String>,
    /// What is logged, such as `info` or `warn,guildmintd=debug`.
    pub log: Option<String>,
    /// The database: `sqlite`, or a URL.
    pub database: Option<Hidden>,
    /// Names under which the operator's pages may be asked for, besides `localhost` and IP addresses.
    #[serde(default, deserialize_with = "texts")]
    pub admin_hosts: Option<Vec<String>>,
    /// Whether `/metrics` needs no token.
    pub open_metrics: Option<bool>,
    /// The number of the freeze of deposits after which to go on.
    pub unfreeze: Option<u32>,
    /// Addresses of proxies that say in `X-Forwarded-For` for whom they ask.
    #[serde(default, deserialize_with = "texts")]
    pub trusted_proxies: Option<Vec<String>>,
}

/// A list of texts, or one text, with commas between if it is several.
fn texts<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<String>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(
        untagged,
        expecting = "this must be text, or a list such as [\"tcp://127.0.0.1:50001\"]"
    )]
    enum Texts {
        One(String),
        Many(Vec<String>),
    }
    Ok(Some(match Texts::deserialize(from)? {
        Texts::One(text) => text.split(',').map(|one| one.trim().to_owned()).collect(),
        Texts::Many(texts) => texts,
    }))
}

impl LocalFile {
    /// All that it says, as text, by the names of settings; lists with commas between.
    #[must_use]
    pub fn settings(&self) -> BTreeMap<String, String> {
        let list = |items: &Option<Vec<String>>| items.as_ref().map(|items| items.join(","));
        // As if it was not there: a guardian without a server is told to name one.
        let electrum = self.electrum.as_ref().filter(|urls| !urls.is_empty());
        let said = [
            ("api_listen", self.api_listen.clone()),
            ("admin_listen", self.admin_listen.clone()),
            ("p2p_listen", self.p2p_listen.clone()),
            ("api_url", self.api_url.clone()),
            ("p2p_address", self.p2p_address.clone()),
            ("insist", self.insist.clone()),
            ("vouch", list(&self.vouch)),
            ("electrum", electrum.map(|urls| urls.join(","))),
            ("log_format", self.log_format.clone()),
            ("log", self.log.clone()),
            (
                "database",
                self.database.as_ref().map(|database| database.0.clone()),
            ),
            ("admin_hosts", list(&self.admin_hosts)),
            ("trusted_proxies", list(&self.trusted_proxies)),
            (
                "open_metrics",
                self.open_metrics.map(|open| open.to_string()),
            ),
            ("unfreeze", self.unfreeze.map(|number| number.to_string())),
        ];
        let said = said.into_iter();
        said.filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect()
    }
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
        invite(self.federation, &self.apis(), &[])
    }
}

/// An invite code that names f + 1 of a federation's guardians, those of `first` before others.
pub(crate) fn invite(
    federation: FederationId,
    apis: &BTreeMap<PeerId, String>,
    first: &[PeerId],
) -> InviteCode {
    let guardians = u16::try_from(apis.len()).unwrap_or(u16::MAX);
    let enough = Quorum::new(guardians).map_or(1, Quorum::one_honest);
    let others = apis.keys().filter(|peer| !first.contains(peer));
    let named = first.iter().chain(others).take(enough);
    let named = named.filter_map(|peer| Some((*peer, apis.get(peer)?.clone())));
    InviteCode {
        federation,
        apis: named.collect(),
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
