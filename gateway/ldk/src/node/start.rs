//! Putting the node together, in the one order that is safe.
//!
//! Monitors are read before the manager, the chain is followed to its tip before anything else is asked of LDK, what LDK has to tell is taken in
//! before rows are compared with it, and only then peers are met.

use std::{
    io,
    sync::{Arc, RwLock},
    thread::JoinHandle,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bitcoin::BlockHash;
use guildmint_gateway_store::{GatewayStore, StoreLost};
use lightning::{
    chain::BestBlock,
    events::bump_transaction::sync::WalletSync,
    io::ErrorKind,
    ln::{
        channelmanager::{ChainParameters, ChannelManagerReadArgs},
        peer_handler::{IgnoringMessageHandler, MessageHandler},
    },
    routing::scoring::{ProbabilisticScoringDecayParameters, ProbabilisticScoringFeeParameters},
    sign::{EntropySource as _, InMemorySigner, NodeSigner as _},
    util::{
        persist::{
            KVStoreSync as _, CHANNEL_MANAGER_PERSISTENCE_KEY, NETWORK_GRAPH_PERSISTENCE_KEY,
            OUTPUT_SWEEPER_PERSISTENCE_KEY, SCORER_PERSISTENCE_KEY,
        },
        ser::ReadableArgs,
    },
};
use thiserror::Error;

use super::{channels::Openings, events::Jobs, run::Background, Node, Parts};
use crate::{
    chain::{Broadcaster, Chain, ChainError, Fees, Watched},
    config::{user_config, NodeConfig},
    keys::{self, Keys, Seed},
    kv::{KvStore, Stale},
    log::Log,
    net::{BoundedGossip, Net, Offers, PeerWatch},
    rows::Rows,
    stop::Stop,
    types::{
        Bumper, ChainMonitor, Gossip, Graph, Manager, MessageRouter, OnionMessenger, PeerManager,
        Persister, Router, Scorer, Sweeper,
    },
    wallet::{Wallet, WalletError},
};

/// Updates of a monitor that are kept beside it before it is written whole.
const MAX_MONITOR_UPDATES: u64 = 200;

/// Why the node does not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The database is lost.
    #[error(transparent)]
    Store(#[from] StoreLost),
    /// The database is not whole.
    #[error(transparent)]
    Stale(#[from] Stale),
    /// The wallet cannot be opened.
    #[error(transparent)]
    Wallet(#[from] WalletError),
    /// The chain cannot be seen.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// Something of LDK's cannot be read.
    #[error("{what} in the database cannot be read: {detail}. Do not delete it: channels would be lost. Find the newest copy")]
    Damaged {
        /// Which part.
        what: &'static str,
        /// What is wrong.
        detail: String,
    },
    /// Peers cannot connect.
    #[error("the node cannot listen: {0}. Is the port in use?")]
    Listen(io::Error),
    /// No more threads.
    #[error("the system starts no more threads: {0}")]
    Thread(io::Error),
}

fn damaged(what: &'static str, detail: impl ToString) -> StartError {
    let detail = detail.to_string();
    StartError::Damaged { what, detail }
}

type Monitor = lightning::chain::channelmonitor::ChannelMonitor<InMemorySigner>;

/// What everything else is made with.
struct Base {
    config: NodeConfig,
    kv: Arc<KvStore>,
    rows: Arc<Rows>,
    wallet: Arc<Wallet>,
    keys: Arc<Keys>,
    fees: Arc<Fees>,
    chain: Arc<Chain>,
    broadcaster: Arc<Broadcaster>,
    log: Arc<Log>,
}

impl Node {
    /// Starts a node on its database. It must be opened with an `on_loss` that ends the process.
    ///
    /// ⚠ One node runs on a seed, ever: the store's lock sees to that on one database, and nothing does on two.
    ///
    /// # Errors
    /// If the chain cannot be seen, or the database is not whole.
    pub fn start(
        config: NodeConfig,
        seed: &Seed,
        store: &GatewayStore,
    ) -> Result<Self, StartError> {
        let (broadcaster, packages) = Broadcaster::new();
        let base = Base::new(config, seed, store, Arc::new(broadcaster))?;
        let (jobs, waiting) = Jobs::new();
        let (parts, background) = base.build(jobs)?;
        parts.catch_up()?;
        let bound = parts.config.listen.map(|address| parts.net.listen(address));
        let bound = bound.transpose().map_err(StartError::Listen)?;
        let background = spawn("lightning", {
            let parts = Arc::clone(&parts);
            move || background.run(&parts)
        })?;
        let threads = parts.spawn_threads(packages, waiting)?;
        Ok(Self {
            parts,
            threads: threads.into(),
            background: Some(background).into(),
            bound,
        })
    }
}

impl Base {
    fn new(
        config: NodeConfig,
        seed: &Seed,
        store: &GatewayStore,
        broadcaster: Arc<Broadcaster>,
    ) -> Result<Self, StartError> {
        let kv = KvStore::new(store.clone());
        if let Some(stale) = kv.lag()?.filter(|_| !config.accept_stale) {
            return Err(stale.into());
        }
        let rows = Rows::open(store.clone())?;
        let wallet_seed = keys::wallet_seed(seed);
        let (wallet, is_blind) = Wallet::open(&wallet_seed, config.network, store.clone())?;
        let wallet = Arc::new(wallet);
        let start_ns = rows.start_ns(now().as_nanos() as u64)?;
        let keys = Keys::new(seed, start_ns, Arc::clone(&wallet));
        let fees = Arc::new(Fees::new(config.network));
        let chain = Chain::connect(&config.electrum_url, Arc::clone(&fees), Arc::clone(&wallet))?;
        chain.update_fees()?;
        if is_blind {
            chain.find_wallet()?;
        }
        Ok(Self {
            config,
            kv: Arc::new(kv),
            rows: Arc::new(rows),
            wallet,
            keys: Arc::new(keys),
            fees,
            chain: Arc::new(chain),
            broadcaster,
            log: Arc::new(Log),
        })
    }

    /// A row of LDK's, if it is there.
    fn read(&self, key: &'static str) -> Result<Option<Vec<u8>>, StartError> {
        match self.kv.read("", "", key) {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(damaged(key, error)),
        }
    }

    fn build(&self, jobs: Jobs) -> Result<(Arc<Parts>, Background), StartError> {
        let persister = self.persister();
        let monitors = persister.read_all_channel_monitors_with_updates();
        let monitors = monitors.map_err(|error| damaged("a channel monitor", error))?;
        let monitor = self.monitor(persister);
        let graph = Arc::new(self.graph()?);
        let scorer = Arc::new(RwLock::new(self.scorer(&graph)?));
        let message_router = MessageRouter::new(Arc::clone(&graph), Arc::clone(&self.keys));
        let message_router = Arc::new(message_router);
        let manager = self.manager(&monitors, &monitor, &graph, &scorer, &message_router)?;
        let sweeper = Arc::new(self.sweeper(manager.current_best_block())?);
        for (_, loaded) in monitors {
            let id = loaded.channel_id();
            let taken = monitor.load_existing_monitor(id, loaded);
            taken.map_err(|()| damaged("a channel monitor", "it is there twice"))?;
        }
        // ⚠ To the tip, before anything else is asked of LDK.
        let watched: Watched = vec![manager.clone(), monitor.clone(), sweeper.clone()];
        self.chain.follow(&watched)?;
        self.chain.update_wallet()?;

        let gossip = Arc::new(Gossip::new(Arc::clone(&graph), None, Arc::clone(&self.log)));
        let onion = Arc::new(self.onion_messenger(&manager, message_router, &jobs));
        let watch = Arc::new(PeerWatch::default());
        let bounded = BoundedGossip::new(Arc::clone(&gossip), Arc::clone(&graph));
        let peers = self.peer_manager(&manager, bounded, &onion, &watch, &monitor);
        let stop = Stop::new();
        let net = Net::new(Arc::clone(&peers), Arc::clone(&watch), stop.clone());
        let parts = Parts {
            config: self.config.clone(),
            keys: Arc::clone(&self.keys),
            wallet: Arc::clone(&self.wallet),
            rows: Arc::clone(&self.rows),
            chain: Arc::clone(&self.chain),
            broadcaster: Arc::clone(&self.broadcaster),
            bumper: self.bumper(),
            net: net.map_err(StartError::Thread)?,
            openings: Openings::default(),
            stop_background: Stop::new(),
            monitor,
            manager,
            sweeper,
            peers,
            watch,
            jobs,
            stop,
        };
        let background = Background {
            kv: Arc::clone(&self.kv),
            gossip,
            onion,
            scorer,
        };
        Ok((Arc::new(parts), background))
    }

    fn persister(&self) -> Arc<Persister> {
        Arc::new(Persister::new(
            Arc::clone(&self.kv),
            Arc::clone(&self.log),
            MAX_MONITOR_UPDATES,
            Arc::clone(&self.keys),
            Arc::clone(&self.keys),
            Arc::clone(&self.broadcaster),
            Arc::clone(&self.fees),
        ))
    }

    fn monitor(&self, persister: Arc<Persister>) -> Arc<ChainMonitor> {
        Arc::new(ChainMonitor::new(
            Some(Arc::clone(&self.chain.filter)),
            Arc::clone(&self.broadcaster),
            Arc::clone(&self.log),
            Arc::clone(&self.fees),
            persister,
            Arc::clone(&self.keys),
            self.keys.get_peer_storage_key(),
        ))
    }

    fn graph(&self) -> Result<Graph, StartError> {
        let log = Arc::clone(&self.log);
        match self.read(NETWORK_GRAPH_PERSISTENCE_KEY)? {
            None => Ok(Graph::new(self.config.network, log)),
            // It can be had again from peers, so a damaged one is no reason not to start.
            Some(bytes) => Ok(Graph::read(&mut &bytes[..], Arc::clone(&log))
                .unwrap_or_else(|_| Graph::new(self.config.network, log))),
        }
    }

    fn scorer(&self, graph: &Arc<Graph>) -> Result<Scorer, StartError> {
        let decay = ProbabilisticScoringDecayParameters::default();
        let (graph, log) = (Arc::clone(graph), Arc::clone(&self.log));
        let read = self.read(SCORER_PERSISTENCE_KEY)?.and_then(|bytes| {
            let arguments = (decay, Arc::clone(&graph), Arc::clone(&log));
            Scorer::read(&mut &bytes[..], arguments).ok()
        });
        Ok(read.unwrap_or_else(|| Scorer::new(decay, graph, log)))
    }

    fn manager(
        &self,
        monitors: &[(BlockHash, Monitor)],
        monitor: &Arc<ChainMonitor>,
        graph: &Arc<Graph>,
        scorer: &Arc<RwLock<Scorer>>,
        message_router: &Arc<MessageRouter>,
    ) -> Result<Arc<Manager>, StartError> {
        let router = Arc::new(Router::new(
            Arc::clone(graph),
            Arc::clone(&self.log),
            Arc::clone(&self.keys),
            Arc::clone(scorer),
            ProbabilisticScoringFeeParameters::default(),
        ));
        let config = user_config(self.config.network);
        let (keys, log) = (&self.keys, &self.log);
        let Some(bytes) = self.read(CHANNEL_MANAGER_PERSISTENCE_KEY)? else {
            if !monitors.is_empty() {
                return Err(damaged(
                    "the channel manager",
                    "it is missing, and there are channels",
                ));
            }
            return self.fresh_manager(monitor, router, message_router);
        };
        let arguments = ChannelManagerReadArgs::new(
            Arc::clone(keys),
            Arc::clone(keys),
            Arc::clone(keys),
            Arc::clone(&self.fees),
            Arc::clone(monitor),
            Arc::clone(&self.broadcaster),
            router,
            Arc::clone(message_router),
            Arc::clone(log),
            config,
            monitors.iter().map(|(_, monitor)| monitor).collect(),
        );
        let read = <(BlockHash, Manager)>::read(&mut &bytes[..], arguments);
        let (_, manager) = read.map_err(|error| damaged("the channel manager", error))?;
        Ok(Arc::new(manager))
    }

    fn fresh_manager(
        &self,
        monitor: &Arc<ChainMonitor>,
        router: Arc<Router>,
        message_router: &Arc<MessageRouter>,
    ) -> Result<Arc<Manager>, StartError> {
        let keys = &self.keys;
        let parameters = ChainParameters {
            network: self.config.network,
            best_block: self.chain.tip()?,
        };
        let manager = Manager::new(
            Arc::clone(&self.fees),
            Arc::clone(monitor),
            Arc::clone(&self.broadcaster),
            router,
            Arc::clone(message_router),
            Arc::clone(&self.log),
            Arc::clone(keys),
            Arc::clone(keys),
            Arc::clone(keys),
            user_config(self.config.network),
            parameters,
            now().as_secs() as u32,
        );
        Ok(Arc::new(manager))
    }

    fn sweeper(&self, tip: BestBlock) -> Result<Sweeper, StartError> {
        let filter = Some(Arc::clone(&self.chain.filter));
        let (broadcaster, fees) = (Arc::clone(&self.broadcaster), Arc::clone(&self.fees));
        let (keys, kv, log) = (&self.keys, Arc::clone(&self.kv), Arc::clone(&self.log));
        let spender = Arc::clone(keys);
        let change = Arc::clone(keys);
        let Some(bytes) = self.read(OUTPUT_SWEEPER_PERSISTENCE_KEY)? else {
            return Ok(Sweeper::new(
                tip,
                broadcaster,
                fees,
                filter,
                spender,
                change,
                kv,
                log,
            ));
        };
        let arguments = (broadcaster, fees, filter, spender, change, kv, log);
        let read = <(BestBlock, Sweeper)>::read(&mut &bytes[..], arguments);
        let (_, sweeper) = read.map_err(|error| damaged("the outputs to sweep", error))?;
        Ok(sweeper)
    }

    fn bumper(&self) -> Bumper {
        let wallet = WalletSync::new(Arc::clone(&self.wallet), Arc::clone(&self.log));
        Bumper::new(
            Arc::clone(&self.broadcaster),
            Arc::new(wallet),
            Arc::clone(&self.keys),
            Arc::clone(&self.log),
        )
    }

    fn onion_messenger(
        &self,
        manager: &Arc<Manager>,
        message_router: Arc<MessageRouter>,
        jobs: &Jobs,
    ) -> OnionMessenger {
        let nothing = Arc::new(IgnoringMessageHandler {});
        let offers = Offers::new(Arc::clone(manager), jobs.answered());
        OnionMessenger::new(
            Arc::clone(&self.keys),
            Arc::clone(&self.keys),
            Arc::clone(&self.log),
            Arc::clone(manager),
            message_router,
            Arc::new(offers),
            Arc::clone(manager),
            Arc::clone(&nothing),
            nothing,
        )
    }

    fn peer_manager(
        &self,
        manager: &Arc<Manager>,
        gossip: BoundedGossip,
        onion: &Arc<OnionMessenger>,
        watch: &Arc<PeerWatch>,
        monitor: &Arc<ChainMonitor>,
    ) -> Arc<PeerManager> {
        let handlers = MessageHandler {
            chan_handler: Arc::clone(manager),
            route_handler: Arc::new(gossip),
            onion_message_handler: Arc::clone(onion),
            custom_message_handler: Arc::clone(watch),
            send_only_message_handler: Arc::clone(monitor),
        };
        Arc::new(PeerManager::new(
            handlers,
            now().as_secs() as u32,
            &self.keys.get_secure_random_bytes(),
            Arc::clone(&self.log),
            Arc::clone(&self.keys),
        ))
    }
}

pub(super) fn spawn(
    name: &str,
    work: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, StartError> {
    let builder = std::thread::Builder::new().name(name.to_owned());
    builder.spawn(work).map_err(StartError::Thread)
}

pub(super) fn now() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}
