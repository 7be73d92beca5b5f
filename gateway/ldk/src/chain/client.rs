//! Connections to the Electrum server. ⚠ None without a time limit: a dead connection would hang the node, and deadlines pass.

use std::sync::Arc;

use bitcoin::{Script, Txid};
use electrum_client::{Client, ConfigBuilder};
use lightning::chain::{self, WatchedOutput};
use lightning_transaction_sync::{ElectrumSyncClient, TxSyncError};
use thiserror::Error;

use crate::{log::Log, wallet::WalletError};

/// Seconds that one answer may take.
const ANSWER_LIMIT_S: u8 = 20;
/// How often a lost connection is made anew within one call.
const RETRIES: u8 = 2;

/// Why the chain cannot be seen.
#[derive(Debug, Error)]
pub enum ChainError {
    /// The server does not answer, or nonsense.
    #[error("the Electrum server at {url} fails: {source}. Check that it runs and that the URL is right")]
    Server {
        /// Where it is.
        url: String,
        /// What happened.
        source: electrum_client::Error,
    },
    /// LDK could not follow the chain.
    #[error("the Lightning node could not follow the chain: {0}")]
    Follow(TxSyncError),
    /// The wallet could not.
    #[error(transparent)]
    Wallet(#[from] WalletError),
}

/// A connection.
pub(crate) fn connect(url: &str) -> Result<Client, ChainError> {
    // Two providers in one program make rustls panic: the first that is installed stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = ConfigBuilder::new()
        .timeout(Some(ANSWER_LIMIT_S))
        .retry(RETRIES)
        .build();
    Client::from_config(url, config).map_err(|source| ChainError::Server {
        url: url.to_owned(),
        source,
    })
}

/// What LDK wants to know of the chain.
pub(crate) struct Filter(pub(crate) ElectrumSyncClient<Arc<Log>>);

impl Filter {
    pub(crate) fn new(client: Arc<Client>) -> Result<Self, ChainError> {
        let inner = ElectrumSyncClient::from_client(client, Arc::new(Log));
        inner.map(Self).map_err(ChainError::Follow)
    }
}

impl chain::Filter for Filter {
    fn register_tx(&self, txid: &Txid, script: &Script) {
        self.0.register_tx(txid, script);
    }

    fn register_output(&self, output: WatchedOutput) {
        self.0.register_output(output);
    }
}
