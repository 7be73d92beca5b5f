//! Founding a federation: what `guildmintd run` does in a data directory that belongs to none (SPEC SET-1 to SET-5).
//!
//! The protocol is in `guildmint_founding`; here are its network, its disk and its operator. Everything up to the end runs on one
//! network, whose noise prologue is the hash of all setup codes.

mod folder;
mod founder;
mod organizer;
mod probe;
mod report;
mod steps;
mod watchers;

use std::{path::Path, path::PathBuf, sync::Arc};

use async_std::channel::bounded;
use guildmint_api::{serve_setup, Access, Limits, ServeError};
use guildmint_core::{
    founding::{Founders, FoundingError},
    FederationId,
};
use guildmint_daemon::{
    admin::files::{self as admin, AdminError, PasswordFile},
    signals::stop_signal,
};
use guildmint_engine::{CoinError, FederationError};
use guildmint_founding::{meeting::MeetingError, RosterError, SetupCodeError};
use guildmint_ln::Ln;
use guildmint_mint::Mint;
use guildmint_net_p2p::StartError as P2pError;
use guildmint_store::{DirectoryLock, StoreError};
use guildmint_wallet::server::Wallet;
use rand_chacha::{rand_core::SeedableRng as _, ChaCha20Rng};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    config::Settings,
    files::{read_toml, ConsensusFile, FileError, CONSENSUS_FILE, SECRETS_FILE},
    guardian::{RunError, PROGRAM},
    secrets::{Cost, SecretsError},
};
use folder::Folder;
use organizer::{Inbox, Organizer};

/// Steps of the operator that may wait. Further ones wait at their listener.
const MAX_STEPS: usize = 16;

/// The modules that this software can found.
#[must_use]
pub fn founders() -> Founders {
    Founders::default()
        .with::<Ln>()
        .with::<Mint>()
        .with::<Wallet>()
}

/// What to found with.
pub struct Founding {
    /// Where files are, and will be.
    pub data_dir: PathBuf,
    /// Where to listen, and which Electrum servers to ask.
    pub settings: Settings,
    /// What secrets are encrypted with.
    pub passphrase: Zeroizing<String>,
    /// What guessing the passphrase shall cost.
    pub cost: Cost,
    /// The modules that can be founded.
    pub founders: Founders,
}

/// How founding ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Founded {
    /// The federation exists, and the guardian's files are written.
    Federation(FederationId),
    /// The operator stopped it. It goes on when it is started again.
    Stopped,
}

/// Why founding cannot begin or go on.
#[derive(Debug, Error)]
pub enum FoundError {
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file of the folder is not what was written.
    #[error("{0} is damaged; use `guildmintd setup abort`, and begin again with new codes")]
    Damaged(PathBuf),
    /// The seed cannot be decrypted.
    #[error("the secrets of the founding: {0}")]
    Secrets(#[from] SecretsError),
    /// There are secrets of another federation.
    #[error("{0} exists without {CONSENSUS_FILE}: this data directory was a guardian's. Restore the backup, or use another directory")]
    Occupied(PathBuf),
    /// Codes that make no roster.
    #[error(transparent)]
    Roster(#[from] RosterError),
    /// Not a code.
    #[error(transparent)]
    Code(#[from] SetupCodeError),
    /// What was saved of the meeting.
    #[error(transparent)]
    Meeting(#[from] MeetingError),
    /// The modules.
    #[error(transparent)]
    Modules(#[from] FoundingError),
    /// The federation that makes the keys.
    #[error(transparent)]
    Federation(#[from] FederationError),
    /// The coin's keys.
    #[error(transparent)]
    Coin(#[from] CoinError),
    /// The network between guardians.
    #[error(transparent)]
    Network(#[from] P2pError),
    /// The directory is in use, or the database of the key generation fails.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The node of the key generation.
    #[error(transparent)]
    Run(#[from] Box<RunError>),
    /// The operator's listener.
    #[error(transparent)]
    Listen(#[from] ServeError),
    /// What opens it.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The system gives no randomness.
    #[error("the system gives no random numbers: {0}")]
    Randomness(getrandom::Error),
    /// The system refuses something else.
    #[error("the system refuses: {0}")]
    System(#[from] std::io::Error),
}

/// Randomness of the system, for one use.
fn system_rng() -> Result<ChaCha20Rng, FoundError> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::getrandom(&mut seed[..]).map_err(FoundError::Randomness)?;
    Ok(ChaCha20Rng::from_seed(*seed))
}

/// Whether a data directory belongs to no federation yet, or has not quite finished founding one.
#[must_use]
pub fn is_due(data_dir: &Path) -> bool {
    !data_dir.join(CONSENSUS_FILE).exists() || Folder::of(data_dir).path().exists()
}

/// Whether a guardian has begun to found a federation in a data directory, and has not quite finished.
pub(crate) fn is_under_way(data_dir: &Path) -> bool {
    Folder::of(data_dir).exists()
}

/// Where it keeps what it needs for that.
pub(crate) fn folder(data_dir: &Path) -> PathBuf {
    Folder::of(data_dir).path().to_owned()
}

/// The federation, if a guardian that was stopped had nothing left to do but to erase the folder.
fn finished(data_dir: &Path, folder: &Folder) -> Result<Option<FederationId>, FoundError> {
    let file = data_dir.join(CONSENSUS_FILE);
    // A folder whose seed is gone has been erased in part.
    let is_finished = file.exists() && (folder.are_all_done() || !folder.exists());
    if !is_finished {
        return Ok(None);
    }
    let consensus: ConsensusFile = read_toml(&file)?;
    Ok(Some(consensus.federation))
}

/// Founds a federation, or goes on with it: serves the operator's listener until there is one, or SIGTERM or SIGINT.
///
/// # Errors
/// If it cannot begin, or its files or databases fail. What the operator or other guardians do wrong is told to the operator.
pub async fn found(founding: Founding) -> Result<Founded, FoundError> {
    let signal = stop_signal()?;
    found_until(founding, async move {
        let _ = signal.recv().await;
    })
    .await
}

/// Like [`found`], until `stop` is ready.
///
/// # Errors
/// The same.
pub async fn found_until(
    founding: Founding,
    stop: impl std::future::Future<Output = ()> + Send + 'static,
) -> Result<Founded, FoundError> {
    let data_dir = founding.data_dir.clone();
    let lock = DirectoryLock::take(&data_dir)?;
    let folder = Folder::of(&data_dir);
    if let Some(id) = finished(&data_dir, &folder)? {
        folder.erase()?;
        return Ok(Founded::Federation(id));
    }
    let secrets = data_dir.join(SECRETS_FILE);
    let is_new = !folder.exists() && !data_dir.join(CONSENSUS_FILE).exists();
    if is_new && secrets.exists() {
        return Err(FoundError::Occupied(secrets));
    }
    if is_new {
        // What is there without a seed is of a founding that was aborted, and would be taken for the next one's.
        folder.erase()?;
    }
    let access = Access {
        program: PROGRAM,
        token: admin::write_cookie(&data_dir)?,
        password: Arc::new(PasswordFile(data_dir.clone())),
        open_metrics: false,
        hosts: founding.settings.admin.hosts.clone(),
    };
    let (inbox, letters) = bounded(MAX_STEPS);
    let address = founding.settings.admin_listen;
    let mut organizer = Organizer::new(founding, inbox.clone()).await?;
    let operator = steps::Operator(inbox.clone());
    let serving = serve_setup(operator, access, address, Limits::default()).await?;
    tracing::info!(admin = %serving.address(), "this guardian belongs to no federation yet; found one with `guildmintd setup`");
    async_std::task::spawn(async move {
        stop.await;
        let _ = inbox.send(Inbox::Stop).await;
    });
    let founded = organizer.run(letters).await;
    serving.stop().await;
    organizer.stop().await;
    admin::remove_cookie(&data_dir);
    if let Ok(Founded::Federation(id)) = &founded {
        folder.erase()?;
        tracing::info!(federation = %id, "the federation is founded");
    }
    drop(lock);
    founded
}
