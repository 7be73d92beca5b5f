//! `guildmintd backup`: all that a guardian must not lose, in one file.

use std::path::PathBuf;

use guildmint_daemon::settings::environment;
use structopt::StructOpt;
use zeroize::Zeroizing;

use crate::config::{keys, read_passphrase, ConfigError, Key, Sources, ENVIRONMENT_PREFIX};

/// What to do with a backup. Its passphrase is that of the guardian's secrets.
#[derive(Debug, StructOpt)]
pub enum BackupCommand {
    /// Writes consensus.toml, local.toml and secrets into one new file, encrypted. The guardian may be running.
    Create {
        /// The file, which must not exist, in another directory; best on another machine's disk.
        #[structopt(long, value_name = "file")]
        to: PathBuf,
        /// The data directory of the guardian.
        #[structopt(long, value_name = "directory")]
        data_dir: Option<String>,
        #[allow(missing_docs)]
        #[structopt(flatten)]
        passphrase: Passphrase,
    },
    /// Opens a backup, checks that a guardian can be made of it, and prints whose it is. Nothing secret is printed.
    Verify {
        /// The backup.
        #[structopt(long, value_name = "file")]
        from: PathBuf,
        #[allow(missing_docs)]
        #[structopt(flatten)]
        passphrase: Passphrase,
    },
    /// Makes a guardian's data directory of a backup. Its database comes from the other guardians when it runs.
    Restore {
        /// The backup.
        #[structopt(long, value_name = "file")]
        from: PathBuf,
        /// The directory, which must have nothing of a guardian in it; it is made if it does not exist.
        #[structopt(long, value_name = "directory")]
        data_dir: Option<String>,
        #[allow(missing_docs)]
        #[structopt(flatten)]
        passphrase: Passphrase,
    },
}

// Where the passphrase comes from. (A doc comment would become the help of every command that has it.)
#[allow(missing_docs)]
#[derive(Debug, Clone, Default, StructOpt)]
pub struct Passphrase {
    /// The file with the passphrase of the secrets; without it, it is read from standard input.
    #[structopt(long, value_name = "file")]
    pub password_file: Option<String>,
}

impl Passphrase {
    /// Reads it.
    ///
    /// # Errors
    /// If there is none.
    pub fn read(self) -> Result<Zeroizing<String>, ConfigError> {
        read_passphrase(&sources(keys::PASSWORD_FILE, self.password_file))
    }
}

/// The data directory that a flag names, or the environment.
///
/// # Errors
/// If neither does.
pub fn data_dir(flag: Option<String>) -> Result<PathBuf, ConfigError> {
    let named = sources(keys::DATA_DIR, flag).get(keys::DATA_DIR, |path| Some(PathBuf::from(path)));
    Ok(named?)
}

/// What is given for one setting without a data directory's own.
fn sources(key: Key, flag: Option<String>) -> Sources {
    Sources {
        flags: flag.into_iter().map(|value| (key.name, value)).collect(),
        environment: environment(ENVIRONMENT_PREFIX),
        ..Sources::default()
    }
}
