//! A gateway put together from its parts, in the one order that is safe, and taken apart in the other.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    path::Path,
    pin::pin,
    sync::{mpsc, Arc},
    time::{Duration, Instant},
};

use async_std::{
    channel::{bounded, unbounded, Receiver, Sender},
    task::{self, JoinHandle},
};
use futures::future::{select, Either};
use guildmint_client_http::UrlError;
use guildmint_core::{
    ledger::{Key, Memory},
    FederationId,
};
use guildmint_daemon::{
    admin::files::{remove_cookie, write_cookie, AdminError, PasswordFile},
    logs::PanicsEnd,
    serve,
    signals::stop_signal,
    Access, Limits, ServeError, Serving,
};
use guildmint_gateway::{
    federation::News,
    node::{LightningNode, NoNode},
    Command, DamagedRow, Event, FederationView, Gateway, Keys, Settings as Served,
};
use guildmint_gateway_ldk::{Node, NodeConfig, StartError as NodeError};
use guildmint_gateway_store::{GatewayStore, Space, StoreLost};
use thiserror::Error;

use crate::{
    api,
    carried::Carried,
    config::{Lightning, Settings},
    federations::{Federations, FederationsError, Running, Started},
    handle::{Handle, Inner},
    hands::{Seen, Threads, Work},
    ledger::Ledger,
    metrics::Metrics,
    place::{Place, PlaceError},
    recovery::{Recovery, RECOVERY_FILE},
    shell::{now, wait_for_saves, Hands, Input, Shell, MAX_INPUTS},
    warnings::Warnings,
    PROGRAM,
};

/// How long requests under way may take when the gateway stops.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// News of federations that may wait. Whoever brings more waits with them.
const MAX_NEWS: usize = 256;

/// Why a gateway did not start, or stopped.
#[derive(Debug, Error)]
pub enum RunError {
    /// Its directory, seed and database do not belong together, or are in use.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The database is lost.
    #[error(transparent)]
    Store(#[from] StoreLost),
    /// A row cannot be read.
    #[error(transparent)]
    Row(#[from] DamagedRow),
    /// The node does not start.
    #[error("the Lightning node does not start: {0}")]
    Node(#[from] NodeError),
    /// A federation's client does not start.
    #[error(transparent)]
    Federations(#[from] FederationsError),
    /// The URL of the Electrum server is none.
    #[error(transparent)]
    Electrum(#[from] UrlError),
    /// An address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ServeError),
    /// The operator could not reach it.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The system gives no randomness.
    #[error("the system gives no random numbers: {0}")]
    Randomness(#[from] getrandom::Error),
    /// The system refuses something else.
    #[error("the system refuses: {0}")]
    System(#[from] io::Error),
}

/// What a gateway is made of, as far as there is a choice.
pub struct Parts {
    /// How it runs.
    pub settings: Settings,
    /// Its database and its words.
    pub place: Place,
    /// Its node, which has started.
    pub node: Arc<dyn LightningNode>,
    /// `host:port` at which other nodes connect to it.
    pub lightning: Vec<String>,
    /// Where its federations come from.
    pub federations: Arc<dyn Federations>,
}

/// A gateway that runs.
pub struct Gatewayd {
    api: Serving,
    admin: Serving,
    stopping: Sender<Infallible>,
    wish: Receiver<()>,
    inputs: Sender<Input>,
    shell: JoinHandle<()>,
    threads: Threads,
    running: Arc<Running>,
    store: GatewayStore,
    data_dir: std::path::PathBuf,
}

/// A gateway that nobody can reach yet.
struct Begun {
    handle: Handle,
    /// Federations as they were served before.
    served: Vec<FederationView>,
    settings: Settings,
    stopping: Sender<Infallible>,
    wish: Receiver<()>,
    shell: JoinHandle<()>,
    threads: Threads,
}

/// Runs a gateway until SIGTERM, SIGINT or its operator's wish. ⚠ In a process that a panic ends, and in no other: a node of which one thread
/// is gone would hold HTLCs past their deadlines.
///
/// # Errors
/// If it cannot start, or not be stopped in order.
pub async fn run(settings: Settings, words: Option<&Path>, _: PanicsEnd) -> Result<(), RunError> {
    let signal = stop_signal()?;
    // ⚠ What is in memory is ahead of what is on disk from here on: nobody may act on it any more.
    let on_loss = Arc::new(|lost: &StoreLost| {
        tracing::error!(%lost, "the gateway ends");
        std::process::abort();
    });
    let place = Place::open(&settings, words, on_loss)?;
    if settings.accept_old_copy {
        tracing::warn!("started with --accept-old-copy: if a newer copy of this database ever ran, channels are lost to their peers");
    }
    let federations = Arc::new(Carried::new(&place, &settings)?);
    let ldk = start_node(&settings, &place)?;
    let node: Arc<dyn LightningNode> = match &ldk {
        Some(node) => Arc::clone(node) as _,
        None => Arc::new(no_node(&settings, &place)),
    };
    let lightning = places(&settings, ldk.as_deref());
    let store = place.store.clone();
    let parts = Parts {
        settings,
        place,
        node,
        lightning,
        federations,
    };
    let started = Gatewayd::start(parts).await;
    let gateway = match started {
        Ok(gateway) => gateway,
        Err(error) => {
            stop_node(ldk, &store);
            return Err(error);
        }
    };
    let why = match select(pin!(signal.recv()), pin!(gateway.wish())).await {
        Either::Left(_) => "a signal",
        Either::Right(_) => "the operator",
    };
    tracing::info!(why, "stopping");
    gateway.stop().await;
    stop_node(ldk, &store);
    tracing::info!("stopped");
    Ok(())
}

fn start_node(settings: &Settings, place: &Place) -> Result<Option<Arc<Node>>, NodeError> {
    let (Lightning::Ldk, Some(electrum)) = (settings.lightning, &settings.electrum) else {
        return Ok(None);
    };
    let config = NodeConfig {
        listen: Some(settings.lightning_listen),
        announced: settings.lightning_announce.clone(),
        alias: settings.alias.clone(),
        accept_stale: settings.accept_old_copy,
        ..NodeConfig::new(settings.network, electrum)
    };
    let node = Node::start(config, &place.seed.lightning(), &place.store)?;
    Ok(Some(Arc::new(node)))
}

/// What makes invoices where there is no node, by a key of the gateway's words.
#[must_use]
pub fn no_node(settings: &Settings, place: &Place) -> NoNode {
    let clock = Arc::new(|| Duration::from_millis(now().0));
    NoNode::new(&Keys::new(&place.seed.gateway()), settings.network, clock)
}

/// Where others connect: what is announced, or else where the node listens.
fn places(settings: &Settings, node: Option<&Node>) -> Vec<String> {
    let bound = node.and_then(Node::listens_on);
    match settings.lightning_announce.is_empty() {
        false => settings.lightning_announce.clone(),
        true => bound.iter().map(SocketAddr::to_string).collect(),
    }
}

/// The node's channels are saved last, and then the database is closed.
fn stop_node(node: Option<Arc<Node>>, store: &GatewayStore) {
    if let Some(node) = node {
        node.stop();
    }
    if let Err(error) = store.close() {
        tracing::warn!(%error, "the database was not closed in order; what was saved is saved");
    }
}

impl Gatewayd {
    /// Starts a gateway: its loop, its federations, and at last the listeners.
    ///
    /// # Errors
    /// If anything that it needs is missing: nothing then runs but the node, which is the caller's.
    pub async fn start(parts: Parts) -> Result<Self, RunError> {
        let begun = Self::begin(parts).await?;
        let handle = begun.handle;
        announce_place(&handle, begun.served).await;
        let (api, admin) = open(&handle, &begun.settings).await?;
        tracing::info!(
            api = %api.address(), admin = %admin.address(), lightning = ?handle.0.lightning,
            node = ?handle.0.node.state().node_id.map(|id| id.to_string()), "running"
        );
        Ok(Self {
            api,
            admin,
            stopping: begun.stopping,
            wish: begun.wish,
            inputs: handle.0.inputs.clone(),
            shell: begun.shell,
            threads: begun.threads,
            running: Arc::clone(&handle.0.running),
            store: handle.0.store.clone(),
            data_dir: begun.settings.data_dir,
        })
    }

    /// Everything but the listeners.
    async fn begin(parts: Parts) -> Result<Begun, RunError> {
        let Parts {
            settings,
            place: Place { store, seed, .. },
            node,
            lightning,
            federations,
        } = parts;
        let gateway = load(&store, &seed.gateway())?;
        let metrics = Arc::new(Metrics::default());
        let ledger = Arc::new(Ledger::new(Arc::clone(&metrics)));
        ledger.load(&store, gateway.totals().payments)?;
        let served = gateway.federations();
        let (inputs, queue) = bounded(MAX_INPUTS);
        let (news, heard) = bounded(MAX_NEWS);
        let running = carry(&*federations, settings.network, &news).await?;
        let (warnings, recovery) = (
            Arc::new(Warnings::default()),
            Arc::new(Recovery::new(settings.data_dir.join(RECOVERY_FILE))),
        );
        let seen = Arc::new(Seen::new(node.state()));
        let work = Work {
            node: Arc::clone(&node),
            inputs: inputs.clone(),
            recovery: Arc::clone(&recovery),
            seen: Arc::clone(&seen),
        };
        let (saves, saving) = unbounded();
        let (calls, to_call) = mpsc::channel();
        let hands = Hands {
            store: store.clone(),
            saves,
            calls,
            federations: Arc::clone(&running),
            warnings: Arc::clone(&warnings),
            ledger: Arc::clone(&ledger),
            metrics: Arc::clone(&metrics),
        };
        // What these bring waits in the queue until the loop has told the time.
        let threads = Threads::start(&work, to_call)?;
        let shell = task::spawn(Shell::new(gateway, queue, hands).run());
        task::spawn(wait_for_saves(saving, inputs.clone()));
        task::spawn(listen(heard, inputs.clone()));
        let (stopping, stops) = bounded(1);
        let (stop, wish) = bounded(1);
        let handle = Handle(Arc::new(Inner {
            inputs: inputs.clone(),
            node,
            store: store.clone(),
            federations,
            running: Arc::clone(&running),
            news,
            warnings,
            ledger,
            metrics,
            recovery,
            seen,
            network: settings.network,
            api_url: settings.api_url.clone(),
            lightning,
            began: Instant::now(),
            stopping: stops,
            stop,
            payments: Default::default(),
            joining: Default::default(),
        }));
        Ok(Begun {
            handle,
            served,
            settings,
            stopping,
            wish,
            shell,
            threads,
        })
    }

    /// Where wallets reach it.
    #[must_use]
    pub fn api(&self) -> &Serving {
        &self.api
    }

    /// Where its operator reaches it.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        self.admin.address()
    }

    /// Its database.
    #[must_use]
    pub fn store(&self) -> &GatewayStore {
        &self.store
    }

    /// Waits until the operator wants it to stop.
    pub async fn wish(&self) {
        let _ = self.wish.recv().await;
    }

    /// Stops in order: takes no more requests, saves what is being saved, and lets go of federations. The node goes on, and the database is
    /// open.
    pub async fn stop(self) {
        // Whoever waits for a payment is answered at once.
        drop(self.stopping);
        futures::join!(self.api.stop(), self.admin.stop());
        remove_cookie(&self.data_dir);
        let _ = self.inputs.send(Input::Stop).await;
        self.shell.await;
        for (_, federation) in self.running.all() {
            federation.stop().await;
        }
        let threads = self.threads;
        task::spawn_blocking(move || threads.stop()).await;
    }
}

/// Starts the clients of all federations that were joined.
async fn carry(
    federations: &dyn Federations,
    wanted: bitcoin::Network,
    news: &Sender<(FederationId, News)>,
) -> Result<Arc<Running>, RunError> {
    let running = Arc::new(Running::default());
    for Started {
        id,
        network,
        federation,
    } in federations.start(news.clone()).await?
    {
        if network == wanted {
            running.add(id, federation);
        } else {
            // It was joined by mistake, and is not served.
            tracing::warn!(federation = %id, %network, "a federation on another network is left alone");
            federation.stop().await;
        }
    }
    Ok(running)
}

/// The gateway from its rows. Those that are not resident are not needed.
fn load(store: &GatewayStore, seed: &[u8; 64]) -> Result<Gateway, RunError> {
    let prefix = Space::Gateway.key(&[Key::RESIDENT]);
    let rows = store.load_prefix(&prefix.0)?.into_iter();
    let rows = rows.filter_map(|(Key(key), value)| Some((Key(key.get(1..)?.to_vec()), value)));
    let mut random = [0; 32];
    getrandom::getrandom(&mut random)?;
    Ok(Gateway::load(Memory(rows.collect()), seed, random)?)
}

/// Brings federations' news to the loop, in order.
async fn listen(news: Receiver<(FederationId, News)>, inputs: Sender<Input>) {
    while let Ok((federation, news)) = news.recv().await {
        let event = Event::Federation { federation, news };
        if inputs.send(Input::Event(event)).await.is_err() {
            return;
        }
    }
}

/// Federations are told where wallets reach the gateway, if that has changed since it last ran.
async fn announce_place(handle: &Handle, served: Vec<FederationView>) {
    let moved = served
        .into_iter()
        .filter(|view| !view.left && view.settings.api_url != handle.0.api_url);
    for view in moved {
        let serve = Command::Serve {
            federation: view.federation,
            network: view.network,
            settings: Served {
                api_url: handle.0.api_url.clone(),
                ..view.settings
            },
        };
        if let Err(error) = handle.command(serve).await {
            tracing::error!(?error, "a federation is not told of the new URL");
        }
    }
}

/// Opens both listeners.
async fn open(handle: &Handle, settings: &Settings) -> Result<(Serving, Serving), RunError> {
    // The database is locked, so no other process uses the cookie.
    let access = Access {
        program: PROGRAM,
        token: write_cookie(&settings.data_dir)?,
        password: Arc::new(PasswordFile(settings.data_dir.clone())),
        open_metrics: settings.admin.open_metrics,
        hosts: settings.admin.hosts.clone(),
    };
    let limits = Limits {
        stop: STOP_PATIENCE,
        body_bytes: api::MAX_BODY_BYTES,
        trusted_proxies: settings.admin.trusted_proxies.clone(),
        ..Limits::default()
    };
    let (server, routes) = api::public(handle.clone());
    let public = serve(server, settings.api_listen, limits.clone()).await?;
    let admin = serve(
        api::admin(handle.clone(), access),
        settings.admin_listen,
        limits,
    )
    .await?;
    Ok((public.with_routes(routes), admin))
}
