//! The command line.

mod backup;
mod revise;
mod setup;

use std::{collections::BTreeMap, path::PathBuf};

use guildmint_daemon::settings::environment;
use structopt::{clap::AppSettings, StructOpt};

use crate::{
    config::{keys, read_local, ConfigError, Sources, ENVIRONMENT_PREFIX},
    files::{Hidden, LOCAL_FILE},
};

pub use backup::{data_dir, BackupCommand, Passphrase};
pub use revise::ReviseCommand;
pub use setup::SetupCommand;

/// A guardian of a Guildmint federation.
///
/// Each option can also be given as an environment variable (--api-listen as GUILDMINT_API_LISTEN) and, except for the data
/// directory and the password file, in local.toml in the data directory. Options win over variables, variables over the file.
///
/// Exit status: 0 in order, 1 failed, 2 wrong usage or configuration, 3 no or wrong passphrase.
#[derive(Debug, StructOpt)]
#[structopt(name = "guildmintd", setting = AppSettings::VersionlessSubcommands)]
pub enum Command {
    /// Runs the guardian until SIGTERM or SIGINT.
    Run(Options),
    /// Shows how the guardian is configured.
    Config(ConfigCommand),
    /// Exits with 0 if a guardian that runs can serve clients.
    Healthcheck(Options),
    /// Shows all that the operator's page shows of a guardian that runs, as JSON.
    Status(Options),
    /// Keeps all that a guardian must not lose in one file, and makes a guardian of such a file.
    Backup(BackupCommand),
    /// Founds a federation, together with other guardians.
    Setup(SetupCommand),
    /// Changes names, fees and other conditions, together with other guardians.
    Revise(ReviseCommand),
    /// Says who may use the operator's pages.
    Admin(AdminCommand),
    /// Writes descriptors of the federation's coins, with private keys, for another wallet to import. No federation need run.
    ///
    /// With the secrets of n − f guardians the coins can be spent, with fewer they can be signed for in part. The file is what
    /// bitcoind's importdescriptors takes. Whoever reads it has these guardians' keys to the coins in it.
    RecoverWallet(RecoverWallet),
}

/// Where a federation's secrets and coins are.
#[derive(Debug, StructOpt)]
pub struct RecoverWallet {
    /// A guardian's data directory, with consensus.toml and secrets; once for each guardian.
    #[structopt(long, value_name = "directory", required = true, number_of_values = 1)]
    pub data_dir: Vec<PathBuf>,
    /// The file with the passphrase of its secrets; in the same order.
    #[structopt(long, value_name = "file", required = true, number_of_values = 1)]
    pub password_file: Vec<PathBuf>,
    /// A guardian's answer to /v1/wallet/recoverable, in a file; several if it has pages. Without it, the database of the
    /// first guardian is read, which must not be running.
    #[structopt(long, value_name = "file", number_of_values = 1)]
    pub coins: Vec<PathBuf>,
    /// The file to write, which must not exist. Only you can read it.
    #[structopt(long, value_name = "file")]
    pub output: PathBuf,
}

/// What to do with the password of the operator's pages.
#[derive(Debug, StructOpt)]
pub enum AdminCommand {
    /// Sets the password for browsers. It is the first line of a file or of standard input. No restart is needed.
    SetPassword {
        /// The file with the password; without it, it is read from standard input.
        #[structopt(long, value_name = "file")]
        from: Option<PathBuf>,
        #[allow(missing_docs)]
        #[structopt(flatten)]
        options: Options,
    },
    /// Takes the password away: admin.cookie alone opens the pages then.
    RemovePassword(Options),
}

/// What to do with the configuration.
#[derive(Debug, StructOpt)]
pub enum ConfigCommand {
    /// Prints local.toml as it was read, or with --effective every setting and where it comes from.
    Show {
        /// With the environment, options and defaults.
        #[structopt(long)]
        effective: bool,
        #[allow(missing_docs)]
        #[structopt(flatten)]
        options: Options,
    },
}

// Options that all commands share. (A doc comment would become the help of every command that has them.)
#[allow(missing_docs)]
#[derive(Debug, Clone, Default, StructOpt)]
pub struct Options {
    /// The directory with consensus.toml, local.toml and secrets.
    #[structopt(long, value_name = "directory")]
    pub data_dir: Option<String>,
    /// The file with the passphrase of the secrets; without it, it is read from standard input.
    #[structopt(long, value_name = "file")]
    pub password_file: Option<String>,
    /// Where to listen for clients.
    #[structopt(long, value_name = "address:port")]
    pub api_listen: Option<String>,
    /// Where to listen for the operator.
    #[structopt(long, value_name = "address:port")]
    pub admin_listen: Option<String>,
    /// Where to listen for other guardians.
    #[structopt(long, value_name = "multiaddress")]
    pub p2p_listen: Option<String>,
    /// Where clients reach it, if it has moved since the federation was founded.
    #[structopt(long, value_name = "url")]
    pub api_url: Option<String>,
    /// Where other guardians reach it, in the same case.
    #[structopt(long, value_name = "multiaddress")]
    pub p2p_address: Option<String>,
    /// Versions to go on to without guardians that do not know them, such as mint=2. Takes effect if t operators say so.
    #[structopt(long, value_name = "kind=version")]
    pub insist: Option<String>,
    /// Keys of Lightning gateways that you know and vouch for, with commas between.
    #[structopt(long, value_name = "keys")]
    pub vouch: Option<String>,
    /// Electrum servers, with commas between.
    #[structopt(long, value_name = "urls")]
    pub electrum: Option<String>,
    /// text or json.
    #[structopt(long, value_name = "format")]
    pub log_format: Option<String>,
    /// What is logged, such as warn,guildmintd=debug.
    #[structopt(long, value_name = "levels")]
    pub log: Option<String>,
    /// Names under which browsers find the operator's pages, with commas between.
    #[structopt(long, value_name = "names")]
    pub admin_hosts: Option<String>,
    /// true if /metrics needs no token.
    #[structopt(long, value_name = "bool")]
    pub open_metrics: Option<String>,
    /// Addresses of your own proxies, which say in X-Forwarded-For for whom they ask, with commas between.
    #[structopt(long, value_name = "addresses")]
    pub trusted_proxies: Option<String>,
    /// sqlite, or postgres://user@host:5432/database; passwords are better in PGPASSWORD or .pgpass.
    #[structopt(long, value_name = "database")]
    pub database: Option<Hidden>,
    /// The number of a freeze of deposits that you have looked at, and after which to go on.
    #[structopt(long, value_name = "number")]
    pub unfreeze: Option<String>,
}

// Where the guardian is that a command asks. It has its other settings already.
#[allow(missing_docs)]
#[derive(Debug, Clone, Default, StructOpt)]
pub struct Place {
    /// The directory of the guardian that runs.
    #[structopt(long, value_name = "directory")]
    pub data_dir: Option<String>,
    /// Where it listens for the operator, if neither the environment nor local.toml says so.
    #[structopt(long, value_name = "address:port")]
    pub admin_listen: Option<String>,
}

impl From<Place> for Options {
    fn from(place: Place) -> Self {
        Self {
            data_dir: place.data_dir,
            admin_listen: place.admin_listen,
            ..Self::default()
        }
    }
}

impl Options {
    /// All that says how this guardian runs, and its data directory.
    ///
    /// # Errors
    /// If the data directory is not named, or its `local.toml` is wrong.
    pub fn sources(self) -> Result<(PathBuf, Sources), ConfigError> {
        let mut sources = Sources {
            environment: environment(ENVIRONMENT_PREFIX),
            file_name: LOCAL_FILE,
            flags: self.flags(),
            ..Sources::default()
        };
        let data_dir = sources.get(keys::DATA_DIR, |path| Some(PathBuf::from(path)))?;
        sources.file = read_local(&data_dir)?.settings();
        Ok((data_dir, sources))
    }

    fn flags(self) -> BTreeMap<&'static str, String> {
        let flags = [
            (keys::DATA_DIR, self.data_dir),
            (keys::PASSWORD_FILE, self.password_file),
            (keys::API_LISTEN, self.api_listen),
            (keys::ADMIN_LISTEN, self.admin_listen),
            (keys::P2P_LISTEN, self.p2p_listen),
            (keys::API_URL, self.api_url),
            (keys::P2P_ADDRESS, self.p2p_address),
            (keys::INSIST, self.insist),
            (keys::VOUCH, self.vouch),
            (keys::ELECTRUM, self.electrum),
            (keys::LOG_FORMAT, self.log_format),
            (keys::LOG, self.log),
            (keys::DATABASE, self.database.map(|database| database.0)),
            (keys::ADMIN_HOSTS, self.admin_hosts),
            (keys::OPEN_METRICS, self.open_metrics),
            (keys::UNFREEZE, self.unfreeze),
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
        let help = Command::clap();
        assert_eq!(help.get_name(), "guildmintd");
    }

    #[test]
    fn who_only_asks_a_guardian_that_runs_is_not_told_of_how_it_runs() {
        for command in [
            ["setup", "confirm"],
            ["setup", "status"],
            ["revise", "show"],
        ] {
            let words = [&["guildmintd"], &command[..], &["--help"]].concat();
            let help = Command::from_iter_safe(words).unwrap_err().message;
            assert!(help.contains("--data-dir"), "{help}");
            assert!(
                !help.contains("--p2p-listen") && !help.contains("--log"),
                "{help}"
            );
        }
    }
}
