//! The node: LDK's parts in one place, behind the gateway's port.

mod channels;
mod events;
mod pay;
mod receive;
mod run;
mod start;
mod state;
mod tend;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
};

use guildmint_gateway::node::{
    ChainTxid, ChannelId, ChannelOrder, Closing, Command, Delivery, HeldHtlcs, InvoiceOrder,
    LightningNode, NodeState, OwnInvoiceOrder, OwnOfferOrder, PaymentHash, Peer, Refusal,
    SentPayment, Wake, Withdrawal,
};
use guildmint_gateway_store::StoreLost;

use crate::{
    chain::{Broadcaster, Chain},
    config::NodeConfig,
    keys::Keys,
    net::{Net, PeerWatch},
    rows::Rows,
    stop::Stop,
    types::{Bumper, ChainMonitor, Manager, PeerManager, Sweeper},
    wallet::Wallet,
};

pub use start::StartError;

/// A Lightning node that runs. [`Node::stop`] ends it in order; dropped without it, it ends as if it was killed.
pub struct Node {
    parts: Arc<Parts>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    background: Mutex<Option<JoinHandle<()>>>,
    bound: Option<SocketAddr>,
}

/// What the node is made of.
pub(crate) struct Parts {
    config: NodeConfig,
    keys: Arc<Keys>,
    wallet: Arc<Wallet>,
    rows: Arc<Rows>,
    chain: Arc<Chain>,
    broadcaster: Arc<Broadcaster>,
    monitor: Arc<ChainMonitor>,
    manager: Arc<Manager>,
    sweeper: Arc<Sweeper>,
    bumper: Bumper,
    peers: Arc<PeerManager>,
    watch: Arc<PeerWatch>,
    net: Net,
    jobs: events::Jobs,
    openings: channels::Openings,
    /// Ends what makes new work.
    stop: Stop,
    /// Ends the background processor, after everything else.
    stop_background: Stop,
}

impl Node {
    /// Where peers connect to it.
    #[must_use]
    pub fn listens_on(&self) -> Option<SocketAddr> {
        self.bound
    }

    /// Ends it in order: peers first, what LDK has in memory last. The store is left open; close it afterwards.
    pub fn stop(&self) {
        self.parts.stop.set();
        self.parts.watch.wake();
        self.parts.peers.disconnect_all_peers();
        let threads = std::mem::take(&mut *self.lock(&self.threads));
        for thread in threads {
            // A thread that panicked has said so already.
            let _ = thread.join();
        }
        // Connections that were being made meanwhile.
        self.parts.peers.disconnect_all_peers();
        self.parts.stop_background.set();
        let background = self.lock(&self.background).take();
        if let Some(background) = background {
            let _ = background.join();
        }
    }

    fn lock<'a, T>(&self, mutex: &'a Mutex<T>) -> std::sync::MutexGuard<'a, T> {
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Threads hold the parts, and must not outlive the node.
        self.parts.stop.set();
        self.parts.watch.wake();
        self.parts.stop_background.set();
    }
}

impl Parts {
    /// Whether anything new may be taken on.
    fn ready(&self) -> Result<(), Refusal> {
        if self.stop.is_set() || self.stop_background.is_set() {
            return Err(Refusal::Stopped);
        }
        self.chain
            .trouble()
            .map_or(Ok(()), |trouble| Err(Refusal::NotSynced(trouble)))
    }
}

/// Without its database the node is as good as stopped.
fn lost(error: StoreLost) -> Refusal {
    tracing::error!(%error, "the node's rows");
    Refusal::Stopped
}

impl LightningNode for Node {
    fn command(&self, command: Command) -> Result<(), Refusal> {
        let parts = &self.parts;
        if parts.stop.is_set() {
            return Err(Refusal::Stopped);
        }
        match command {
            Command::Pay(order) => parts.pay(&order),
            Command::Claim { preimage } => parts.claim(&preimage),
            Command::Fail { hash } => parts.fail(hash),
            Command::Fetch(order) => parts.fetch(order),
            Command::PayFetched { request, hash } => parts.pay_fetched(request, hash),
            Command::Abandon { request } => parts.abandon(request),
        }
    }

    fn events(&self, limit: usize) -> Result<Vec<Delivery>, Refusal> {
        self.parts.rows.events(limit).map_err(lost)
    }

    fn handled(&self, number: u64) -> Result<(), Refusal> {
        self.parts.rows.handled(number).map_err(lost)
    }

    fn wake_with(&self, wake: Wake) {
        self.parts.rows.wake_with(wake);
    }

    fn state(&self) -> NodeState {
        self.parts.state()
    }

    fn sent(&self, hash: PaymentHash) -> Result<Option<SentPayment>, Refusal> {
        self.parts.sent(hash)
    }

    fn in_flight(&self, after: Option<PaymentHash>) -> Result<Vec<SentPayment>, Refusal> {
        let rows = self.parts.rows.open_sent(after).map_err(lost)?;
        Ok(rows
            .into_iter()
            .map(|(hash, row)| row.payment(hash))
            .collect())
    }

    fn held(&self, after: Option<PaymentHash>) -> Result<Vec<HeldHtlcs>, Refusal> {
        let rows = self.parts.rows.open_held(after).map_err(lost)?;
        Ok(rows
            .into_iter()
            .map(|(hash, row)| row.htlcs(hash))
            .collect())
    }

    fn make_invoice(&self, order: &InvoiceOrder) -> Result<String, Refusal> {
        self.parts.make_invoice(order)
    }

    fn make_own_invoice(&self, order: &OwnInvoiceOrder) -> Result<String, Refusal> {
        self.parts.make_own_invoice(order)
    }

    fn make_own_offer(&self, order: &OwnOfferOrder) -> Result<String, Refusal> {
        self.parts.make_own_offer(order)
    }

    fn peers(&self) -> Result<Vec<Peer>, Refusal> {
        let peers = self.parts.rows.peers().map_err(lost)?;
        let peer = |(id, address)| Peer { id, address };
        Ok(peers.into_iter().map(peer).collect())
    }

    fn new_address(&self) -> Result<String, Refusal> {
        let address = self.parts.wallet.new_address();
        let address = address.map_err(|error| Refusal::Node(error.to_string()))?;
        Ok(address.to_string())
    }

    fn withdraw(&self, order: &Withdrawal) -> Result<ChainTxid, Refusal> {
        self.parts.withdraw(order)
    }

    fn connect(&self, peer: &Peer) -> Result<(), Refusal> {
        self.parts.connect(peer)
    }

    fn open_channel(&self, order: &ChannelOrder) -> Result<ChannelId, Refusal> {
        self.parts.open_channel(order)
    }

    fn close_channel(&self, channel: ChannelId, closing: Closing) -> Result<(), Refusal> {
        self.parts.close_channel(channel, closing)
    }
}
