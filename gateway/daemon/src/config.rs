//! What a gateway runs with.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use bitcoin::Network;
pub use guildmint_daemon::logs::LogFormat;
use guildmint_daemon::{
    files::FileError,
    logs::levels,
    settings::{
        environment, read_file,
        texts::{first_word, is_electrum_url, is_host_and_port},
        AdminSettings, Key, SettingError, Sources,
    },
};
use guildmint_gateway_store::PostgresUrl;
use serde_json::{json, Value as Json};
use thiserror::Error;

/// The name of the file with the settings.
pub const CONFIG_FILE: &str = "gatewayd.toml";

/// Environment variables start with this.
pub const ENVIRONMENT_PREFIX: &str = "GUILDMINT_GATEWAY_";

const fn key(name: &'static str, default: Option<&'static str>, expected: &'static str) -> Key {
    Key::new(ENVIRONMENT_PREFIX, name, default, expected)
}

/// The settings, by name.
pub mod keys {
    use guildmint_daemon::settings::{admin_hosts, open_metrics, trusted_proxies};

    use super::{key, shown_database, Key, ENVIRONMENT_PREFIX};

    /// The data directory. Not in the file, which is in it.
    pub const DATA_DIR: Key = key(
        "data_dir",
        None,
        "the directory with gatewayd.toml, the seed and the database",
    );
    /// Where to listen for wallets.
    pub const API_LISTEN: Key = key(
        "api_listen",
        Some("127.0.0.1:8176"),
        "an address and a port, such as 0.0.0.0:8176",
    );
    /// Where to listen for the operator.
    pub const ADMIN_LISTEN: Key = key(
        "admin_listen",
        Some("127.0.0.1:8177"),
        "an address and a port that only you can reach, such as 127.0.0.1:8177",
    );
    /// Where wallets reach it.
    pub const API_URL: Key = key(
        "api_url",
        None,
        "the URL at which wallets reach this gateway, such as https://gateway.example.org; without it the gateway is not announced",
    );
    /// Which bitcoin.
    pub const NETWORK: Key = key(
        "network",
        Some("regtest"),
        "bitcoin, testnet, testnet4, signet or regtest",
    );
    /// The Electrum server.
    pub const ELECTRUM: Key = key(
        "electrum",
        None,
        "the one Electrum server that you run, such as \"tcp://127.0.0.1:50001\" or \"ssl://electrum.example.org:50002\"",
    );
    /// The node.
    pub const LIGHTNING: Key = key(
        "lightning",
        Some("ldk"),
        "ldk, or none for a gateway that only swaps inside of federations",
    );
    /// Where other nodes connect.
    pub const LIGHTNING_LISTEN: Key = key(
        "lightning_listen",
        Some("0.0.0.0:9735"),
        "an address and a port for other Lightning nodes, such as 0.0.0.0:9735",
    );
    /// Where other nodes are told to connect.
    pub const LIGHTNING_ANNOUNCE: Key = key(
        "lightning_announce",
        None,
        "host:port at which other Lightning nodes reach this one; several with commas between",
    );
    /// What others call the node.
    pub const ALIAS: Key = key(
        "alias",
        Some("guildmint gateway"),
        "a name of at most 32 bytes",
    );
    /// The database.
    pub const DATABASE: Key = Key {
        shown: Some(shown_database),
        ..key(
            "database",
            Some("sqlite"),
            "sqlite, or the URL of a database, such as postgres://user@host:5432/database",
        )
    };
    /// Where starts are counted a second time.
    pub const WITNESS_DIR: Key = key(
        "witness_dir",
        None,
        "a directory on another disk, where starts are counted to tell old copies of the database",
    );
    /// How logs look.
    pub const LOG_FORMAT: Key = key("log_format", Some("text"), "text or json");
    /// What is logged.
    pub const LOG: Key = key(
        "log",
        Some("info"),
        "levels of detail, such as info or warn,guildmint_gatewayd=debug",
    );
    /// Names of the operator's listener.
    pub const ADMIN_HOSTS: Key = admin_hosts(ENVIRONMENT_PREFIX);
    /// Whether metrics are open.
    pub const OPEN_METRICS: Key = open_metrics(ENVIRONMENT_PREFIX);
    /// Proxies that say for whom they ask.
    pub const TRUSTED_PROXIES: Key = trusted_proxies(ENVIRONMENT_PREFIX);
}

/// All that may stand in the file.
const KEYS: [Key; 16] = [
    keys::API_LISTEN,
    keys::ADMIN_LISTEN,
    keys::API_URL,
    keys::NETWORK,
    keys::ELECTRUM,
    keys::LIGHTNING,
    keys::LIGHTNING_LISTEN,
    keys::LIGHTNING_ANNOUNCE,
    keys::ALIAS,
    keys::DATABASE,
    keys::WITNESS_DIR,
    keys::LOG_FORMAT,
    keys::LOG,
    keys::ADMIN_HOSTS,
    keys::OPEN_METRICS,
    keys::TRUSTED_PROXIES,
];

/// Bytes of a node's alias.
const MAX_ALIAS_BYTES: usize = 32;

/// Which Lightning node there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lightning {
    /// One on LDK.
    Ldk,
    /// None: the gateway only swaps.
    None,
}

/// How this gateway runs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where its files are.
    pub data_dir: PathBuf,
    /// Where it listens for wallets.
    pub api_listen: SocketAddr,
    /// Where it listens for its operator.
    pub admin_listen: SocketAddr,
    /// Where wallets reach it; not announced without.
    pub api_url: Option<String>,
    /// Which bitcoin.
    pub network: Network,
    /// The Electrum server.
    pub electrum: Option<String>,
    /// The node.
    pub lightning: Lightning,
    /// Where other nodes connect.
    pub lightning_listen: SocketAddr,
    /// Where they are told to.
    pub lightning_announce: Vec<String>,
    /// What they call it.
    pub alias: String,
    /// A database server; a file in the data directory if none.
    pub postgres: Option<PostgresUrl>,
    /// Where starts are counted a second time.
    pub witness_dir: Option<PathBuf>,
    /// How logs look.
    pub log_format: LogFormat,
    /// What is logged.
    pub log: String,
    /// Who may see what is the operator's.
    pub admin: AdminSettings,
    /// ⚠ Start on a database that may be an old copy.
    pub accept_old_copy: bool,
}

/// Why a gateway cannot run: somebody has to change something.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// A setting is of no use.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// The file is of no use.
    #[error(transparent)]
    File(#[from] FileError),
    /// A node wants to see the chain.
    #[error("a Lightning node must see the chain. {0}; or set `lightning` to none")]
    NoChain(Box<SettingError>),
}

impl Settings {
    /// What says how the gateway runs.
    ///
    /// # Errors
    /// If the data directory is not named, or its file is wrong.
    pub fn sources(
        flags: std::collections::BTreeMap<&'static str, String>,
    ) -> Result<(PathBuf, Sources), ConfigError> {
        let mut sources = Sources {
            flags,
            environment: environment(ENVIRONMENT_PREFIX),
            file_name: CONFIG_FILE,
            ..Sources::default()
        };
        let data_dir = sources.get(keys::DATA_DIR, |path| Some(PathBuf::from(path)))?;
        sources.file = read_file(&data_dir.join(CONFIG_FILE), &KEYS)?;
        Ok((data_dir, sources))
    }

    /// Reads all settings.
    ///
    /// # Errors
    /// Names the first that is missing or wrong.
    pub fn resolve(data_dir: &Path, sources: &Sources) -> Result<Self, ConfigError> {
        let lightning = sources.get(keys::LIGHTNING, |text| match text {
            "ldk" => Some(Lightning::Ldk),
            "none" => Some(Lightning::None),
            _ => None,
        })?;
        let electrum = sources.find(keys::ELECTRUM, |url| {
            // A list of several is text with commas by now.
            is_electrum_url(url).then(|| url.to_owned())
        })?;
        if lightning == Lightning::Ldk && electrum.is_none() {
            let missing = SettingError::Missing(keys::ELECTRUM);
            return Err(ConfigError::NoChain(Box::new(missing)));
        }
        Ok(Self {
            data_dir: data_dir.to_owned(),
            api_listen: sources.get(keys::API_LISTEN, |text| text.parse().ok())?,
            admin_listen: sources.get(keys::ADMIN_LISTEN, |text| text.parse().ok())?,
            api_url: sources.find(keys::API_URL, api_url)?,
            network: sources.get(keys::NETWORK, |text| text.parse().ok())?,
            electrum,
            lightning,
            lightning_listen: sources.get(keys::LIGHTNING_LISTEN, |text| text.parse().ok())?,
            lightning_announce: sources.list(keys::LIGHTNING_ANNOUNCE, |item| {
                is_host_and_port(item).then(|| item.to_owned())
            })?,
            alias: sources.get(keys::ALIAS, |text| {
                (text.len() <= MAX_ALIAS_BYTES).then(|| text.to_owned())
            })?,
            postgres: sources.get(keys::DATABASE, |text| match text {
                "sqlite" => Some(None),
                url => Some(Some(url.parse().ok()?)),
            })?,
            witness_dir: sources.find(keys::WITNESS_DIR, |path| Some(PathBuf::from(path)))?,
            log_format: sources.get(keys::LOG_FORMAT, |format| format.parse().ok())?,
            log: sources.get(keys::LOG, levels)?,
            admin: AdminSettings::resolve(sources, ENVIRONMENT_PREFIX)?,
            accept_old_copy: false,
        })
    }

    /// Each setting with where it came from, for people who wonder.
    #[must_use]
    pub fn explain(sources: &Sources) -> Json {
        json!(sources.explain(&KEYS))
    }
}

fn api_url(url: &str) -> Option<String> {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"))?;
    let is_fine = !rest.is_empty()
        && url.len() <= guildmint_ln::limits::MAX_URL_BYTES
        && url.bytes().all(|byte| byte.is_ascii_graphic())
        // Wallets ask no address that says more than where it is.
        && !rest.contains(['?', '#', '@']);
    is_fine.then(|| url.trim_end_matches('/').to_owned())
}

/// Without a password.
fn shown_database(text: &str) -> String {
    match (text, text.parse::<PostgresUrl>()) {
        ("sqlite", _) => text.to_owned(),
        (_, Ok(url)) => url.to_string(),
        (_, Err(_)) => first_word(text),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn resolve(pairs: &[(&'static str, &str)]) -> Result<Settings, ConfigError> {
        let mut sources = Sources::default();
        for (name, value) in pairs {
            sources.flags.insert(name, (*value).to_owned());
        }
        Settings::resolve(Path::new("/data"), &sources)
    }

    #[test]
    fn on_regtest_an_electrum_server_is_all_that_is_needed() {
        let settings = resolve(&[("electrum", "tcp://127.0.0.1:1")]).unwrap();
        assert_eq!(settings.network, Network::Regtest);
        assert_eq!(settings.lightning, Lightning::Ldk);
        assert!(settings.api_listen.ip().is_loopback() && settings.admin_listen.ip().is_loopback());
        assert!(!settings.accept_old_copy && settings.api_url.is_none());
    }

    #[test]
    fn a_node_needs_the_chain_and_a_gateway_that_swaps_does_not() {
        let error = resolve(&[]).unwrap_err().to_string();
        assert!(
            error.contains("--electrum") && error.contains("GUILDMINT_GATEWAY_ELECTRUM"),
            "{error}"
        );
        assert!(resolve(&[("lightning", "none")])
            .unwrap()
            .electrum
            .is_none());
    }

    #[test]
    fn what_is_wrong_is_named_with_the_remedy() {
        for (name, value, part) in [
            ("api_listen", "8176", "an address and a port"),
            ("network", "mainnet!", "regtest"),
            ("electrum", "http://a:1", "tcp://"),
            ("electrum", "tcp://a:1,tcp://b:2", "the one Electrum server"),
            ("lightning", "lnd", "ldk"),
            ("lightning_announce", "example", "host:port"),
            ("api_url", "gateway.example", "https://"),
            ("api_url", "https://gateway.example/?a", "https://"),
            ("alias", &"x".repeat(33), "32 bytes"),
            ("database", "oracle", "sqlite"),
            ("log", "a=b=c", "levels"),
            ("trusted_proxies", "proxy", "127.0.0.1"),
        ] {
            let error = resolve(&[("lightning", "none"), (name, value)]).unwrap_err();
            let text = error.to_string();
            assert!(text.contains(name) && text.contains(part), "{text}");
        }
    }

    fn in_file(text: &str) -> Settings {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(CONFIG_FILE), text).unwrap();
        let data_dir = folder.path().display().to_string();
        let (data_dir, sources) = Settings::sources([("data_dir", data_dir)].into()).unwrap();
        Settings::resolve(&data_dir, &sources).unwrap()
    }

    #[test]
    fn the_electrum_server_may_be_text_or_a_list_of_one() {
        for text in ["\"tcp://a:1\"", "[\"tcp://a:1\"]"] {
            let settings = in_file(&format!("electrum = {text}"));
            assert_eq!(settings.electrum.as_deref(), Some("tcp://a:1"), "{text}");
        }
    }

    /// The example in the README, with the name of its file in its first line.
    #[test]
    fn the_example_in_the_documentation_is_a_file_with_which_a_gateway_runs() {
        let readme = include_str!("../README.md");
        let example = readme.split("```toml\n# gatewayd.toml\n").nth(1).unwrap();
        let (example, _) = example.split_once("```").unwrap();
        let settings = in_file(example);
        assert!(settings.api_url.is_some() && settings.electrum.is_some());
        assert!(!settings.lightning_announce.is_empty());
    }

    #[test]
    fn passwords_of_databases_are_in_no_text() {
        for (text, shown) in [
            ("sqlite", "sqlite"),
            ("postgres://u:hunter2@h:1/d", "postgres://u@h:1/d"),
            ("postgres://u:hunter2@h:port/d", "postgres…"),
            ("host=h password=hunter2", "host…"),
        ] {
            assert_eq!(shown_database(text), shown);
        }
        let sources = Sources {
            flags: [("database", "postgres://u:hunter2@h:1/d".to_owned())].into(),
            ..Sources::default()
        };
        assert!(!Settings::explain(&sources).to_string().contains("hunter2"));
    }
}
