//! The command line.

use std::{collections::BTreeMap, path::PathBuf};

use guildmint_daemon::{files::Hidden, settings::Key};
use guildmint_gatewayd::config::keys;
use structopt::{clap::AppSettings, StructOpt};

/// A Lightning gateway for Guildmint federations.
///
/// Each option can also be given as an environment variable (--api-listen as GUILDMINT_GATEWAY_API_LISTEN) and, except for the data
/// directory, in gatewayd.toml in the data directory. Options win over variables, variables over the file.
///
/// Exit status: 0 in order, 1 failed, 2 wrong usage or configuration, 3 the data is in use, or may be an old copy.
#[derive(Debug, StructOpt)]
#[structopt(
    name = "guildmint-gatewayd",
    global_settings = &[AppSettings::VersionlessSubcommands]
)]
pub(crate) struct Arguments {
    #[structopt(flatten)]
    pub(crate) options: Options,
    #[structopt(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, StructOpt)]
pub(crate) enum Command {
    /// Runs the gateway until SIGTERM, SIGINT or `guildmint-gateway-cli stop`. The first time it makes a seed.
    Run {
        /// A file with the words of a seed, for the first start.
        #[structopt(long, value_name = "file")]
        words_file: Option<PathBuf>,
        /// DANGER: start on a database that may be an old copy. If a newer one ever ran, all that is in channels is lost to the peers.
        #[structopt(long)]
        accept_old_copy: bool,
    },
    /// Shows how the gateway is configured: every setting and where it comes from.
    Config(ConfigCommand),
    /// Exits with 0 if a gateway that runs can serve wallets.
    Healthcheck,
    /// The words from which all keys follow.
    Seed(SeedCommand),
    /// Says who may use the operator's page.
    Admin(AdminCommand),
}

#[derive(Debug, StructOpt)]
pub(crate) enum ConfigCommand {
    /// Prints every setting and where it comes from.
    Show,
}

#[derive(Debug, StructOpt)]
pub(crate) enum SeedCommand {
    /// Prints the words. Whoever reads them has all that the gateway has.
    Show,
}

#[derive(Debug, StructOpt)]
pub(crate) enum AdminCommand {
    /// Sets the password for browsers. It is the first line of a file or of standard input. No restart is needed.
    SetPassword {
        /// The file with the password; without it, it is read from standard input.
        #[structopt(long, value_name = "file")]
        from: Option<PathBuf>,
    },
    /// Takes the password away: admin.cookie alone opens the page then.
    RemovePassword,
}

// Options that all commands share. (A doc comment would become the help of every command that has them.)
#[derive(Debug, Clone, Default, StructOpt)]
pub(crate) struct Options {
    /// The directory with gatewayd.toml, the seed and the database.
    #[structopt(long, value_name = "directory", global = true)]
    data_dir: Option<String>,
    /// Where to listen for wallets.
    #[structopt(long, value_name = "address:port", global = true)]
    api_listen: Option<String>,
    /// Where to listen for the operator.
    #[structopt(long, value_name = "address:port", global = true)]
    admin_listen: Option<String>,
    /// Where wallets reach it; without it the gateway is not announced.
    #[structopt(long, value_name = "url", global = true)]
    api_url: Option<String>,
    /// bitcoin, testnet, testnet4, signet or regtest.
    #[structopt(long, value_name = "name", global = true)]
    network: Option<String>,
    /// The Electrum server.
    #[structopt(long, value_name = "url", global = true)]
    electrum: Option<String>,
    /// ldk, or none for a gateway that only swaps.
    #[structopt(long, value_name = "node", global = true)]
    lightning: Option<String>,
    /// Where to listen for other Lightning nodes.
    #[structopt(long, value_name = "address:port", global = true)]
    lightning_listen: Option<String>,
    /// Where other Lightning nodes reach it, with commas between.
    #[structopt(long, value_name = "host:port", global = true)]
    lightning_announce: Option<String>,
    /// What other Lightning nodes call it.
    #[structopt(long, value_name = "name", global = true)]
    alias: Option<String>,
    /// sqlite, or postgres://user@host:5432/database; passwords are better in PGPASSWORD or .pgpass.
    #[structopt(long, value_name = "database", global = true)]
    database: Option<Hidden>,
    /// A directory on another disk, where starts are counted to tell old copies.
    #[structopt(long, value_name = "directory", global = true)]
    witness_dir: Option<String>,
    /// text or json.
    #[structopt(long, value_name = "format", global = true)]
    log_format: Option<String>,
    /// What is logged, such as warn,guildmint_gatewayd=debug.
    #[structopt(long, value_name = "levels", global = true)]
    log: Option<String>,
    /// Names under which browsers find the operator's page, with commas between.
    #[structopt(long, value_name = "names", global = true)]
    admin_hosts: Option<String>,
    /// true if /metrics needs no token.
    #[structopt(long, value_name = "bool", global = true)]
    open_metrics: Option<String>,
    /// Addresses of your own proxies, with commas between.
    #[structopt(long, value_name = "addresses", global = true)]
    trusted_proxies: Option<String>,
}

impl Options {
    /// Those that were given, by the names of settings.
    pub(crate) fn flags(self) -> BTreeMap<&'static str, String> {
        let flags: [(Key, Option<String>); 17] = [
            (keys::DATA_DIR, self.data_dir),
            (keys::API_LISTEN, self.api_listen),
            (keys::ADMIN_LISTEN, self.admin_listen),
            (keys::API_URL, self.api_url),
            (keys::NETWORK, self.network),
            (keys::ELECTRUM, self.electrum),
            (keys::LIGHTNING, self.lightning),
            (keys::LIGHTNING_LISTEN, self.lightning_listen),
            (keys::LIGHTNING_ANNOUNCE, self.lightning_announce),
            (keys::ALIAS, self.alias),
            (keys::DATABASE, self.database.map(|database| database.0)),
            (keys::WITNESS_DIR, self.witness_dir),
            (keys::LOG_FORMAT, self.log_format),
            (keys::LOG, self.log),
            (keys::ADMIN_HOSTS, self.admin_hosts),
            (keys::OPEN_METRICS, self.open_metrics),
            (keys::TRUSTED_PROXIES, self.trusted_proxies),
        ];
        let given = flags.into_iter();
        given
            .filter_map(|(key, value)| Some((key.name, value?)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// It panics if two options have one name.
    #[test]
    fn no_option_is_there_twice() {
        assert_eq!(Arguments::clap().get_name(), "guildmint-gatewayd");
    }
}
