//! LDK's parts with their parameters filled in.

use std::sync::{Arc, RwLock};

use lightning::{
    chain::chainmonitor::ChainMonitor as LdkChainMonitor,
    events::bump_transaction::sync::{BumpTransactionEventHandlerSync, WalletSync},
    ln::{
        channelmanager::ChannelManager as LdkChannelManager,
        peer_handler::{IgnoringMessageHandler, PeerManager as LdkPeerManager},
    },
    onion_message::messenger::{
        DefaultMessageRouter as LdkMessageRouter, OnionMessenger as LdkOnionMessenger,
    },
    routing::{
        gossip::{NetworkGraph, P2PGossipSync},
        router::DefaultRouter,
        scoring::{ProbabilisticScorer, ProbabilisticScoringFeeParameters},
        utxo::UtxoLookup,
    },
    sign::InMemorySigner,
    util::{persist::MonitorUpdatingPersister, sweep::OutputSweeperSync},
};

use crate::{
    chain::{Broadcaster, Fees, Filter},
    keys::Keys,
    kv::KvStore,
    log::Log,
    net::{BoundedGossip, Link, Offers, PeerWatch},
    wallet::Wallet,
};

pub(crate) type Persister = MonitorUpdatingPersister<
    Arc<KvStore>,
    Arc<Log>,
    Arc<Keys>,
    Arc<Keys>,
    Arc<Broadcaster>,
    Arc<Fees>,
>;
pub(crate) type ChainMonitor = LdkChainMonitor<
    InMemorySigner,
    Arc<Filter>,
    Arc<Broadcaster>,
    Arc<Fees>,
    Arc<Log>,
    Arc<Persister>,
    Arc<Keys>,
>;
pub(crate) type Graph = NetworkGraph<Arc<Log>>;
pub(crate) type Scorer = ProbabilisticScorer<Arc<Graph>, Arc<Log>>;
pub(crate) type Router = DefaultRouter<
    Arc<Graph>,
    Arc<Log>,
    Arc<Keys>,
    Arc<RwLock<Scorer>>,
    ProbabilisticScoringFeeParameters,
    Scorer,
>;
pub(crate) type MessageRouter = LdkMessageRouter<Arc<Graph>, Arc<Log>, Arc<Keys>>;
pub(crate) type Manager = LdkChannelManager<
    Arc<ChainMonitor>,
    Arc<Broadcaster>,
    Arc<Keys>,
    Arc<Keys>,
    Arc<Keys>,
    Arc<Fees>,
    Arc<Router>,
    Arc<MessageRouter>,
    Arc<Log>,
>;
pub(crate) type Gossip = P2PGossipSync<Arc<Graph>, Arc<dyn UtxoLookup + Send + Sync>, Arc<Log>>;
pub(crate) type OnionMessenger = LdkOnionMessenger<
    Arc<Keys>,
    Arc<Keys>,
    Arc<Log>,
    Arc<Manager>,
    Arc<MessageRouter>,
    Arc<Offers>,
    Arc<Manager>,
    Arc<IgnoringMessageHandler>,
    Arc<IgnoringMessageHandler>,
>;
pub(crate) type PeerManager = LdkPeerManager<
    Link,
    Arc<Manager>,
    Arc<BoundedGossip>,
    Arc<OnionMessenger>,
    Arc<Log>,
    Arc<PeerWatch>,
    Arc<Keys>,
    Arc<ChainMonitor>,
>;
pub(crate) type Sweeper = OutputSweeperSync<
    Arc<Broadcaster>,
    Arc<Keys>,
    Arc<Fees>,
    Arc<Filter>,
    Arc<KvStore>,
    Arc<Log>,
    Arc<Keys>,
>;
pub(crate) type Bumper = BumpTransactionEventHandlerSync<
    Arc<Broadcaster>,
    Arc<WalletSync<Arc<Wallet>, Arc<Log>>>,
    Arc<Keys>,
    Arc<Log>,
>;
