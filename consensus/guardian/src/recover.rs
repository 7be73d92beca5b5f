//! `guildmintd recover-wallet`: the federation's coins with no federation running (SPEC WAL-9).

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use guildmint_core::{
    encoding::DecodeError,
    ledger::{Key as RowKey, Ledger, Memory, Scope, Space},
    GenesisConfig, ModuleId, QuorumError, Wire as _,
};
use guildmint_store::{PostgresStore, SqliteStore, Store as _, StoreError};
use guildmint_wallet::{
    recover, server::recoverable, CoinAnswer, CoinsAnswer, RecoveryError, SpendableDescriptor,
    WalletConfig, WalletSecret, KIND,
};
use serde_json::{json, Value as Json};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    cli::RecoverWallet,
    config::{keys, read_local, read_passphrase_file, ConfigError, Sources},
    database::Database,
    files::{
        read_text, read_toml, write_private, ConsensusFile, FileError, CONSENSUS_FILE, LOCAL_FILE,
        SECRETS_FILE,
    },
    secrets,
};

/// Why coins cannot be recovered.
#[derive(Debug, Error)]
pub enum RecoverError {
    /// See [`ConfigError`].
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Each directory has secrets under a passphrase of its own.
    #[error("{directories} data directories and {passwords} password files: give one --password-file after each --data-dir")]
    Unpaired {
        /// How many directories.
        directories: usize,
        /// How many files.
        passwords: usize,
    },
    /// There is nothing to recover with.
    #[error("this federation has no wallet")]
    NoWallet,
    /// The config cannot be used.
    #[error("the wallet's config cannot be read: {0}")]
    WalletConfig(DecodeError),
    /// No federation is of this size.
    #[error(transparent)]
    Quorum(#[from] QuorumError),
    /// A guardian's secrets lack what signs for coins.
    #[error("the secrets in {0} have no key of the wallet; restore them from the backup")]
    NoSecret(PathBuf),
    /// A list of coins is none.
    #[error("{path} is no answer to /v1/wallet/recoverable or /v1/wallet/utxos: {problem}")]
    Coins {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// There is none.
    #[error("there are no coins in {0}; give --coins with the answers of other guardians to /v1/wallet/recoverable")]
    NoCoins(String),
    /// The database cannot be read.
    #[error("{0}; stop the guardian, or give --coins")]
    Store(#[from] StoreError),
    /// See [`RecoveryError`].
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
}

impl From<FileError> for RecoverError {
    fn from(error: FileError) -> Self {
        Self::Config(error.into())
    }
}

/// Writes descriptors of the federation's coins into a file that only its owner may read. Returns what was done, in which
/// there is no secret.
///
/// # Errors
/// Says what to give or to change.
pub async fn recover_wallet(command: RecoverWallet) -> Result<Json, RecoverError> {
    let directories = &command.data_dir;
    if directories.len() != command.password_file.len() {
        return Err(RecoverError::Unpaired {
            directories: directories.len(),
            passwords: command.password_file.len(),
        });
    }
    let first = directories.first().ok_or(RecoverError::NoWallet)?;
    let federation: ConsensusFile = read_toml(&first.join(CONSENSUS_FILE))?;
    let genesis = federation.genesis().map_err(|error| FileError::Contents {
        path: first.join(CONSENSUS_FILE),
        problem: error.to_string(),
    })?;
    let (module, wallet) = genesis.module(KIND).ok_or(RecoverError::NoWallet)?;
    let config = WalletConfig::decode(&wallet.config).map_err(RecoverError::WalletConfig)?;
    let pairs = directories.iter().zip(&command.password_file);
    let keys: Vec<WalletSecret> = pairs
        .map(|(directory, password)| wallet_secret(directory, password, &federation, module))
        .collect::<Result<_, _>>()?;
    let coins = if command.coins.is_empty() {
        from_database(first, &genesis, &federation, module).await?
    } else {
        from_files(&command.coins)?
    };
    let quorum = genesis.quorum()?;
    let tweaks = coins.iter().map(|coin| coin.tweak);
    let descriptors = recover(&config, quorum, &keys, tweaks)?;
    write_private(&command.output, &document(&descriptors))?;
    Ok(json!({
        "output": command.output,
        "descriptors": descriptors.len(),
        "confirmed_sat": confirmed_sat(&coins),
        "secrets": keys.len(),
        "needed": quorum.threshold(),
    }))
}

/// What is certain to be there. Several guardians may have told of one coin; what they tell is not certain to be possible.
fn confirmed_sat(coins: &[CoinAnswer]) -> u64 {
    let confirmed = coins.iter().filter(|coin| coin.confirmed);
    let by_place: BTreeMap<_, _> = confirmed.map(|c| (c.outpoint, c.amount_sat)).collect();
    by_place.into_values().fold(0, u64::saturating_add)
}

fn wallet_secret(
    directory: &Path,
    password_file: &Path,
    federation: &ConsensusFile,
    module: ModuleId,
) -> Result<WalletSecret, RecoverError> {
    let passphrase = read_passphrase_file(password_file)?;
    let path = directory.join(SECRETS_FILE);
    let secrets = secrets::open(&read_text(&path)?, federation.federation, &passphrase);
    let secrets = secrets.map_err(|problem| ConfigError::Secrets { path, problem })?;
    let secret = secrets.modules().get(&module);
    let secret = secret.and_then(|bytes| WalletSecret::decode(bytes).ok());
    secret.ok_or_else(|| RecoverError::NoSecret(directory.to_owned()))
}

/// What a guardian's database knows of. The guardian must not be running.
async fn from_database(
    directory: &Path,
    genesis: &GenesisConfig,
    federation: &ConsensusFile,
    module: ModuleId,
) -> Result<Vec<CoinAnswer>, RecoverError> {
    let sources = Sources {
        file: read_local(directory)?.settings(),
        file_name: LOCAL_FILE,
        ..Sources::default()
    };
    let prefix = [RowKey::RESIDENT];
    let database = sources.get(keys::DATABASE, Database::parse);
    let rows = match database.map_err(ConfigError::from)? {
        Database::Sqlite => {
            let store = SqliteStore::open(directory).await?;
            let rows = store.load_prefix(&prefix).await?;
            store.close().await?;
            rows
        }
        Database::Postgres(url) => {
            let store = PostgresStore::open(directory, &url).await?;
            let rows = store.load_prefix(&prefix).await?;
            store.close().await?;
            rows
        }
    };
    let memory = Memory(rows);
    let mut ledger = Ledger::new(&memory);
    let view = ledger.view(Scope::module(Space::Agreed, module));
    let coins = recoverable(&view, federation.federation);
    if coins.is_empty() {
        let name = &genesis.name;
        return Err(RecoverError::NoCoins(format!(
            "the database of {name} in {}",
            directory.display()
        )));
    }
    Ok(coins)
}

fn from_files(paths: &[PathBuf]) -> Result<Vec<CoinAnswer>, RecoverError> {
    let mut coins = Vec::new();
    for path in paths {
        let page: CoinsAnswer =
            serde_json::from_str(&read_text(path)?).map_err(|error| RecoverError::Coins {
                path: path.clone(),
                problem: error.to_string(),
            })?;
        coins.extend(page.utxos);
    }
    if coins.is_empty() {
        return Err(RecoverError::NoCoins("these files".to_owned()));
    }
    Ok(coins)
}

/// What bitcoind's `importdescriptors` takes.
fn document(descriptors: &[SpendableDescriptor]) -> Zeroizing<String> {
    let each: Vec<String> = descriptors
        .iter()
        .map(|descriptor| {
            let text = descriptor.reveal();
            format!("  {{\"desc\": \"{text}\", \"timestamp\": 0}}")
        })
        .collect();
    Zeroizing::new(format!("[\n{}\n]\n", each.join(",\n")))
}
