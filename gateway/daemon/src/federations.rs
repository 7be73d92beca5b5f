//! The federations that the gateway has e-cash in, whatever carries its orders to them.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use async_std::channel::Sender;
use async_trait::async_trait;
use bitcoin::Network;
use guildmint_client::{Command, Reply};
use guildmint_core::{Amount, FederationId};
use guildmint_gateway::federation::{News, Order};
use serde_json::Value as Json;
use thiserror::Error;

/// Where news of all federations go, in the order in which each tells them.
pub type NewsSender = Sender<(FederationId, News)>;

/// The client of one federation, running. It tells news until it is stopped.
#[async_trait]
pub trait Federation: Send + Sync + 'static {
    /// Has something done. Returns at once; the order is not lost while the process lives.
    fn order(&self, order: Order);

    /// Does something with e-cash for the operator.
    ///
    /// # Errors
    /// Why it was not done.
    async fn command(&self, command: Command) -> Result<Reply, EcashError>;

    /// What there is to see of it.
    async fn look(&self) -> Look;

    /// One of its operations, or all; as the wallet's program shows them.
    ///
    /// # Errors
    /// If there is no such operation.
    async fn operations(&self, operation: Option<&str>) -> Result<Json, EcashError>;

    /// Ends it, after what is being saved is saved.
    async fn stop(&self);
}

/// A federation as its client sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Look {
    /// What it is called.
    pub name: String,
    /// Notes that can be spent.
    pub available: Amount,
    /// Notes that are on their way in.
    pub pending: Amount,
}

/// Why something was not done with e-cash.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct EcashError {
    /// For programs.
    pub code: String,
    /// For people.
    pub message: String,
    /// Whether the same may succeed later.
    pub retryable: bool,
}

/// A federation that is being carried.
pub struct Started {
    /// Which.
    pub id: FederationId,
    /// On which bitcoin.
    pub network: Network,
    /// Its client.
    pub federation: Arc<dyn Federation>,
}

/// Where federations come from.
#[async_trait]
pub trait Federations: Send + Sync + 'static {
    /// Starts the clients of all that were joined.
    ///
    /// # Errors
    /// If the rows of one cannot be read.
    async fn start(&self, news: NewsSender) -> Result<Vec<Started>, FederationsError>;

    /// The federation of an invite code.
    ///
    /// # Errors
    /// If it is none.
    fn named(&self, invite: &str) -> Result<FederationId, FederationsError>;

    /// Joins one more, and starts its client. ⚠ Not one whose client runs: two on the same rows spend the same notes.
    ///
    /// # Errors
    /// Says why not; nothing is joined then.
    async fn join(&self, invite: &str, news: NewsSender) -> Result<Started, FederationsError>;
}

/// Why there is no client of a federation.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FederationsError {
    /// Not an invite code.
    #[error("this is no invite code: {0}")]
    Invite(String),
    /// Too few guardians answer, or what they answer is not what the invite code says.
    #[error("the federation cannot be joined: {0}")]
    Join(String),
    /// The database is lost.
    #[error("{0}")]
    Store(String),
    /// What was saved cannot be read.
    #[error("the federation {0} cannot be started: {1}")]
    Start(FederationId, String),
}

/// Those that run.
#[derive(Default)]
pub(crate) struct Running(RwLock<BTreeMap<FederationId, Arc<dyn Federation>>>);

impl Running {
    pub(crate) fn add(&self, id: FederationId, federation: Arc<dyn Federation>) {
        let mut running = self.0.write().unwrap_or_else(PoisonError::into_inner);
        running.entry(id).or_insert(federation);
    }

    pub(crate) fn get(&self, id: FederationId) -> Option<Arc<dyn Federation>> {
        let running = self.0.read().unwrap_or_else(PoisonError::into_inner);
        running.get(&id).cloned()
    }

    pub(crate) fn all(&self) -> Vec<(FederationId, Arc<dyn Federation>)> {
        let running = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let all = running.iter();
        all.map(|(id, federation)| (*id, Arc::clone(federation)))
            .collect()
    }
}
