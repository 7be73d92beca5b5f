//! The command line.

use std::{collections::BTreeMap, env, path::PathBuf};

use structopt::{clap::AppSettings, StructOpt};

use crate::{
    config::{read_local, ConfigError, Key, Sources, ENVIRONMENT_PREFIX},
    files::Hidden,
};

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
    /// Says who may use the operator's pages.
    Admin(AdminCommand),
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

/// Options that all commands share.
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
    /// sqlite, or postgres://user@host:5432/database; passwords are better in PGPASSWORD or .pgpass.
    #[structopt(long, value_name = "database")]
    pub database: Option<Hidden>,
}

impl Options {
    /// All that says how this guardian runs, and its data directory.
    ///
    /// # Errors
    /// If the data directory is not named, or its `local.toml` is wrong.
    pub fn sources(self) -> Result<(PathBuf, Sources), ConfigError> {
        let environment = env::vars_os().filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            name.starts_with(ENVIRONMENT_PREFIX)
                .then(|| (name, value.to_string_lossy().into_owned()))
        });
        let mut sources = Sources {
            environment: environment.collect(),
            flags: self.flags(),
            ..Sources::default()
        };
        let data_dir = sources.get(Key::DATA_DIR, |path| Some(PathBuf::from(path)))?;
        sources.file = read_local(&data_dir)?;
        Ok((data_dir, sources))
    }

    fn flags(self) -> BTreeMap<&'static str, String> {
        let flags = [
            (Key::DATA_DIR, self.data_dir),
            (Key::PASSWORD_FILE, self.password_file),
            (Key::API_LISTEN, self.api_listen),
            (Key::ADMIN_LISTEN, self.admin_listen),
            (Key::P2P_LISTEN, self.p2p_listen),
            (Key::API_URL, self.api_url),
            (Key::P2P_ADDRESS, self.p2p_address),
            (Key::INSIST, self.insist),
            (Key::ELECTRUM, self.electrum),
            (Key::LOG_FORMAT, self.log_format),
            (Key::LOG, self.log),
            (Key::DATABASE, self.database.map(|database| database.0)),
            (Key::ADMIN_HOSTS, self.admin_hosts),
            (Key::OPEN_METRICS, self.open_metrics),
        ];
        let given = flags.into_iter();
        given
            .filter_map(|(key, value)| Some((key.name, value?)))
            .collect()
    }
}
