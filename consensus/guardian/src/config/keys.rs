//! The settings, by name.

use guildmint_daemon::settings::{self, Key};

use super::ENVIRONMENT_PREFIX;
use crate::database::Database;

const fn key(name: &'static str, default: Option<&'static str>, expected: &'static str) -> Key {
    Key::new(ENVIRONMENT_PREFIX, name, default, expected)
}

/// The data directory. Neither in `local.toml`, which is in it, nor guessed.
pub const DATA_DIR: Key = key(
    "data_dir",
    None,
    "the directory with consensus.toml, local.toml and secrets",
);
/// The file with the passphrase.
pub const PASSWORD_FILE: Key = key(
    "password_file",
    None,
    "a file with the passphrase of the secrets; or give the passphrase on standard input",
);
/// Where to listen for clients.
pub const API_LISTEN: Key = key(
    "api_listen",
    Some("127.0.0.1:8174"),
    "an address and a port, such as 0.0.0.0:8174",
);
/// Where to listen for the operator.
pub const ADMIN_LISTEN: Key = key(
    "admin_listen",
    Some("127.0.0.1:8175"),
    "an address and a port that only you can reach, such as 127.0.0.1:8175",
);
/// Where to listen for other guardians.
pub const P2P_LISTEN: Key = key(
    "p2p_listen",
    Some("/ip4/0.0.0.0/tcp/8173"),
    "a multiaddress, such as /ip4/0.0.0.0/tcp/8173",
);
/// Where clients reach it.
pub const API_URL: Key = key(
    "api_url",
    None,
    "the URL at which clients reach this guardian, such as https://mint.example",
);
/// Where other guardians reach it.
pub const P2P_ADDRESS: Key = key(
    "p2p_address",
    None,
    "the multiaddress at which other guardians reach it, such as /dns4/mint.example/tcp/8173",
);
/// Electrum servers.
pub const ELECTRUM: Key = key("electrum", None, "the Electrum server that you run, such as tcp://127.0.0.1:50001 or ssl://electrum.example.org:50002; several with commas between");
/// Versions to go on to without guardians that do not know them.
pub const INSIST: Key = key("insist", None, "kinds of modules and versions that you want without guardians who do not know them, such as mint=2");
/// Gateways that it vouches for.
pub const VOUCH: Key = key(
    "vouch",
    None,
    "keys of Lightning gateways that you know, hexadecimal, at most 16 with commas between",
);
/// How logs look.
pub const LOG_FORMAT: Key = key("log_format", Some("text"), "text or json");
/// What is logged.
pub const LOG: Key = key(
    "log",
    Some("info"),
    "levels of detail, such as info or warn,guildmintd=debug",
);
/// The database.
pub const DATABASE: Key = Key {
    shown: Some(Database::shown),
    ..key(
        "database",
        Some("sqlite"),
        "sqlite, or the URL of a database, such as postgres://user@host:5432/database",
    )
};
/// The freeze of deposits after which to go on.
pub const UNFREEZE: Key = key(
    "unfreeze",
    None,
    "the number of a freeze of deposits, as guildmintd status shows it",
);
/// Names of the operator's listener.
pub const ADMIN_HOSTS: Key = settings::admin_hosts(ENVIRONMENT_PREFIX);
/// Whether metrics are open.
pub const OPEN_METRICS: Key = settings::open_metrics(ENVIRONMENT_PREFIX);
/// Proxies that say for whom they ask.
pub const TRUSTED_PROXIES: Key = settings::trusted_proxies(ENVIRONMENT_PREFIX);
