//! A node with everything around it that is not a listener: its loop, its database, its checkers.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use async_std::{
    channel::{bounded, unbounded, Receiver, Sender},
    task::{self, JoinHandle},
};
use guildmint_api::EventHub;
use guildmint_core::{ledger::Memory, IdentityKey, PeerId};
use guildmint_engine::{Coin, Federation, Node};
use guildmint_net_p2p::{Channel, Network};
use guildmint_store::{Store, StoreError};

use crate::{
    checkers,
    guardian::RunError,
    metrics::Metrics,
    shell::{Hands, Input, Shell},
    store_worker,
    world::Worlds,
};

/// Broadcasts that may wait for the network. Further ones are dropped, and asked for by those who lack them.
const MAX_BROADCASTS: usize = 64;

/// What a node needs.
pub(crate) struct Parts {
    pub(crate) federation: Arc<Federation>,
    pub(crate) coin: Coin,
    pub(crate) identity: IdentityKey,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) resident: Memory,
    pub(crate) network: Network,
    /// Where the others are, unless they say otherwise.
    pub(crate) configured: BTreeMap<PeerId, Vec<String>>,
    pub(crate) worlds: Worlds,
    pub(crate) metrics: Arc<Metrics>,
    /// Who is told of committed epochs.
    pub(crate) hub: EventHub,
    /// Both ends of the queue of what comes into the loop.
    pub(crate) inputs: (Sender<Input>, Receiver<Input>),
}

/// A node that runs.
pub(crate) struct Running {
    pub(crate) inputs: Sender<Input>,
    store_worker: JoinHandle<()>,
    store: Arc<dyn Store>,
}

/// A node's loop.
pub(crate) type Loop = JoinHandle<Result<(), StoreError>>;

impl Running {
    /// Starts a node; also returns its loop, which ends when the node is stopped or its database fails.
    ///
    /// # Errors
    /// If its database is damaged, or the system has no thread left.
    pub(crate) fn start(parts: Parts) -> Result<(Self, Loop), RunError> {
        let began = Instant::now();
        let (node, first) = Node::start(
            Arc::clone(&parts.federation),
            parts.coin,
            parts.identity,
            parts.resident,
            0,
        )?;
        let (inputs, queue) = parts.inputs;
        let (jobs, store_jobs) = unbounded();
        let (store, metrics) = (parts.store, parts.metrics);
        let worker = store_worker::work(
            Arc::clone(&store),
            store_jobs,
            inputs.clone(),
            Arc::clone(&metrics),
            parts.hub,
        );
        let hands = Hands {
            store: jobs,
            checkers: checkers::start(&parts.federation, &inputs)?,
            gossip: start_gossip(parts.network.clone()),
            network: parts.network,
            configured: parts.configured,
            worlds: parts.worlds,
        };
        let shell = Shell::new(node, began, queue, hands, metrics);
        let running = Self {
            inputs,
            store_worker: task::spawn(worker),
            store,
        };
        Ok((running, task::spawn(shell.run(first))))
    }

    /// Stops the loop, and lets go of the database.
    ///
    /// # Errors
    /// If the database cannot be closed in order. What was saved is saved nevertheless.
    pub(crate) async fn stop(self) -> Result<(), StoreError> {
        // Fails if the loop has ended already.
        let _ = self.inputs.send(Input::Stop).await;
        self.store_worker.await;
        self.store.close().await
    }
}

/// Broadcasts in a task of its own, because the network may make its callers wait.
fn start_gossip(network: Network) -> Sender<(Channel, Vec<u8>)> {
    let (sender, broadcasts): (_, Receiver<(Channel, Vec<u8>)>) = bounded(MAX_BROADCASTS);
    task::spawn(async move {
        while let Ok((channel, bytes)) = broadcasts.recv().await {
            network.broadcast(channel, bytes).await;
        }
    });
    sender
}
