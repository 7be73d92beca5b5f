//! A guardian put together from its parts.

use std::{
    convert::Infallible,
    future::{pending, Future},
    io,
    path::PathBuf,
    pin::pin,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_std::{
    channel::{bounded, Sender},
    task,
};
use futures::{
    future::{select, Either},
    FutureExt as _,
};
use guildmint_api::{serve_admin, serve_public, Access, EventHub, Limits, ServeError, Serving};
use guildmint_core::{api::ConfigAnswer, module::Registry, DecodeError, Wire as _};
use guildmint_daemon::{
    admin::files::{self as admin, AdminError, PasswordFile},
    signals::stop_signal,
};
use guildmint_engine::{
    node::{Event, StartError as NodeError},
    Coin, CoinError, Federation, FederationError,
};
use guildmint_ln::Vouching;
use guildmint_net_p2p::{
    Events, GuardianAddress, Network, NetworkConfig, NetworkEvent, StartError as P2pError,
};
use guildmint_store::StoreError;
use guildmint_wallet::WalletConfig;
use guildmint_wallet_electrum::UrlError;
use thiserror::Error;

use crate::{
    backend::{Handle, Inner},
    config::{Config, Settings},
    database,
    metrics::Metrics,
    overview::Facts,
    running::{Loop, Parts, Running},
    shell::{Input, MAX_INPUTS},
    world::{
        chain::{self, ChainObserver},
        Sight, Worlds,
    },
};

/// What it is called where operators log in.
pub(crate) const PROGRAM: &str = "guildmintd";

/// How long requests under way may take when the guardian stops.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// The modules that this software has.
#[must_use]
pub fn modules() -> Registry {
    Registry::default()
        .with::<guildmint_ln::Ln>()
        .with::<guildmint_mint::Mint>()
        .with::<guildmint_wallet::server::Wallet>()
}

/// Why a guardian did not start, or stopped.
#[derive(Debug, Error)]
pub enum RunError {
    /// The database cannot be used, or cannot be relied on any more.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The federation's rules cannot be put together.
    #[error(transparent)]
    Federation(#[from] FederationError),
    /// The coin's keys do not fit.
    #[error("{0}; use files of one federation")]
    Coin(#[from] CoinError),
    /// The node cannot start from its database.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// The guardians' network cannot start.
    #[error(transparent)]
    Network(#[from] P2pError),
    /// An address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ServeError),
    /// The wallet's config does not decode.
    #[error("the wallet's config cannot be read: {0}")]
    Wallet(DecodeError),
    /// A version that is to be gone on to is unknown.
    #[error("`insist` names version {1} of {0}, which this software does not know, or the federation has no such module; install software that knows it, or change the setting")]
    Insist(String, u16),
    /// The URL of an Electrum server is none.
    #[error(transparent)]
    Electrum(#[from] UrlError),
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

/// A guardian that runs.
pub struct Guardian {
    api: Serving,
    admin: Serving,
    network: Network,
    running: Running,
    stopping: Sender<Infallible>,
    shell: Loop,
    data_dir: PathBuf,
}

/// Runs a guardian until SIGTERM or SIGINT.
///
/// # Errors
/// If it cannot start, or its database fails.
pub async fn run(registry: Registry, config: Config) -> Result<(), RunError> {
    let signal = stop_signal()?;
    let mut guardian = Guardian::start(&registry, config).await?;
    let failure = match select(pin!(signal.recv()), pin!(guardian.failed())).await {
        Either::Left(_) => None,
        Either::Right((error, _)) => Some(error),
    };
    match &failure {
        None => tracing::info!("stopping"),
        Some(error) => tracing::error!(%error, "stopping: the database cannot be relied on"),
    }
    let stopped = guardian.stop().await;
    match failure {
        Some(error) => Err(error.into()),
        None => stopped,
    }
}

impl Guardian {
    /// Starts a guardian.
    ///
    /// # Errors
    /// If anything that it needs is missing: nothing then runs.
    pub async fn start(registry: &Registry, config: Config) -> Result<Self, RunError> {
        let federation = Arc::new(Federation::new(
            config.genesis.clone(),
            config.me,
            registry,
            config.secrets.modules(),
        )?);
        // Before anybody hears of it the lock: two processes must never speak as one guardian.
        let (store, resident) = database::open(&config, &federation).await?;
        let access = access(&config)?;
        let (network, events) = Network::start(network_config(&config)?).await?;
        let (inputs, queue) = bounded(MAX_INPUTS);
        let (stopping, stops) = bounded(1);
        let (metrics, hub) = (Arc::new(Metrics::default()), EventHub::default());
        let (worlds, sights) = start_worlds(&config, &inputs)?;
        let inner = Inner {
            inputs: inputs.clone(),
            stopping: stops,
            me: config.me,
            quorum: federation.quorum(),
            config: config_answer(&config),
            own_api: config.place().api,
            network: network.clone(),
            metrics: Arc::clone(&metrics),
            sights,
            facts: Facts::new(&config),
            questions: federation
                .modules()
                .map(|(_, module)| module.questions())
                .collect(),
            events: hub.clone(),
        };
        let (api, admin) = serve(Handle(Arc::new(inner)), access, &config.settings).await?;
        let coin = coin(&config, &federation)?;
        let (running, shell) = Running::start(Parts {
            hub,
            coin,
            identity: config.secrets.identity(),
            store,
            resident,
            network: network.clone(),
            configured: config.p2p_addresses(),
            worlds,
            metrics,
            inputs: (inputs.clone(), queue),
            federation: Arc::clone(&federation),
        })?;
        task::spawn(listen(events, inputs.clone()));
        if let Some(warning) = federation.quorum().warning() {
            tracing::warn!("{warning}");
        }
        tracing::info!(
            federation = %federation.id(), guardian = config.me.0,
            api = %api.address(), admin = %admin.address(), p2p = ?network.listen_addresses(), "running"
        );
        for event in first_events(&config, &federation)? {
            // There is room in an empty queue.
            let _ = inputs.send(Input::Event(event)).await;
        }
        Ok(Self {
            api,
            admin,
            network,
            running,
            stopping,
            shell,
            data_dir: config.data_dir,
        })
    }

    /// Where clients reach it.
    #[must_use]
    pub fn api(&self) -> std::net::SocketAddr {
        self.api.address()
    }

    /// Where its operator reaches it.
    #[must_use]
    pub fn admin(&self) -> std::net::SocketAddr {
        self.admin.address()
    }

    /// Waits until it cannot go on. Stop it then.
    pub fn failed(&mut self) -> impl Future<Output = StoreError> + '_ {
        let shell = (&mut self.shell).fuse();
        async move {
            match shell.await {
                Err(error) => error,
                Ok(()) => pending().await,
            }
        }
    }

    /// Stops in order: takes no more requests, finishes those under way, and lets go of the database.
    ///
    /// # Errors
    /// If the database cannot be closed in order. What was saved is saved nevertheless.
    pub async fn stop(self) -> Result<(), RunError> {
        // Clients that wait for an epoch are answered at once.
        drop(self.stopping);
        futures::join!(self.api.stop(), self.admin.stop());
        self.network.stop().await;
        admin::remove_cookie(&self.data_dir);
        self.running.stop().await?;
        Ok(())
    }
}

/// What opens the operator's listener. The database is locked, so no other process uses the cookie.
fn access(config: &Config) -> Result<Access, AdminError> {
    Ok(Access {
        program: PROGRAM,
        token: admin::write_cookie(&config.data_dir)?,
        password: Arc::new(PasswordFile(config.data_dir.clone())),
        open_metrics: config.settings.admin.open_metrics,
        hosts: config.settings.admin.hosts.clone(),
    })
}

/// Opens both listeners.
async fn serve(
    handle: Handle,
    access: Access,
    settings: &Settings,
) -> Result<(Serving, Serving), ServeError> {
    let limits = Limits {
        stop: STOP_PATIENCE,
        trusted_proxies: settings.admin.trusted_proxies.clone(),
        ..Limits::default()
    };
    let api = serve_public(handle.clone(), settings.api_listen, limits.clone()).await?;
    let admin = serve_admin(handle, access, settings.admin_listen, limits).await?;
    Ok((api, admin))
}

fn coin(config: &Config, federation: &Federation) -> Result<Coin, CoinError> {
    Coin::new(
        federation.quorum(),
        config.me,
        &config.genesis.coin,
        config.secrets.coin(),
    )
}

fn network_config(config: &Config) -> Result<NetworkConfig, getrandom::Error> {
    let guardians = config.federation.guardians.iter();
    Ok(NetworkConfig {
        identity_seed: config.secrets.identity().seed(),
        session_id: config.genesis.session.0,
        me: config.me,
        instance: instance()?,
        guardians: guardians
            .map(|guardian| GuardianAddress {
                identity: guardian.identity.0,
                addresses: guardian.p2p.clone(),
            })
            .collect(),
        listen: config.settings.p2p_listen.clone(),
    })
}

/// What a process is known by beside others with the same secrets.
pub(crate) fn instance() -> Result<[u8; 16], getrandom::Error> {
    let mut instance = [0; 16];
    getrandom::getrandom(&mut instance)?;
    Ok(instance)
}

/// What the node is told before anything else: where it is, and which versions its operator wants though not all know them,
/// and for which gateways the operator vouches.
fn first_events(config: &Config, federation: &Federation) -> Result<Vec<Event>, RunError> {
    let mut events = vec![Event::Located {
        place: config.place(),
        unix_ms: unix_ms(),
    }];
    for (kind, version) in &config.settings.insist {
        let version = *version;
        match federation.known_version(kind) {
            Some((module, newest)) if version <= newest => {
                events.push(Event::Insist { module, version });
            }
            _ => return Err(RunError::Insist(kind.clone(), version)),
        }
    }
    // Also if there are none: some may have been vouched for before.
    if let Some((module, _)) = config.genesis.module(guildmint_ln::KIND) {
        let gateways = config.settings.vouch.clone();
        let news = Vouching { gateways }.encode();
        events.push(Event::World { module, news });
    }
    Ok(events)
}

/// The time of the day. Before 1970 it is 1970.
fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

fn config_answer(config: &Config) -> ConfigAnswer {
    ConfigAnswer {
        federation: config.federation.federation,
        genesis: config.genesis.encode(),
        apis: config.federation.apis(),
    }
}

type Sights = Vec<(&'static str, Arc<Sight>)>;

/// Starts what looks at the outside world for the federation's modules.
fn start_worlds(config: &Config, inputs: &Sender<Input>) -> Result<(Worlds, Sights), RunError> {
    let mut worlds = Worlds::default();
    let mut sights = Sights::new();
    if let Some((module, wallet)) = config.genesis.module(guildmint_wallet::KIND) {
        let wallet = WalletConfig::decode(&wallet.config).map_err(RunError::Wallet)?;
        let observer =
            ChainObserver::new(&config.settings.electrum, &wallet, config.settings.unfreeze)?;
        let interval = chain::interval(wallet.network);
        let sight = worlds.start(module, observer, interval, inputs.clone())?;
        sights.push(("electrum", sight));
    }
    Ok((worlds, sights))
}

/// Hands events of the network to the loop. A loop that is behind makes the network wait.
async fn listen(mut events: Events, inputs: Sender<Input>) {
    while let Some((event, held)) = events.recv_held().await {
        let event = match event {
            NetworkEvent::Message { from, bytes } => Event::Peer { from, bytes },
            NetworkEvent::Connected(peer) => Event::Connected(peer),
            NetworkEvent::RunsTwice { of, seen_by } => Event::RunsTwice { of, seen_by },
            // The node hears of it by what it does not hear.
            _ => continue,
        };
        let input = match held {
            Some(held) => Input::Heard(event, held),
            None => Input::Event(event),
        };
        if inputs.send(input).await.is_err() {
            return;
        }
    }
}
