//! Accepting connections, and stopping in order. Takes the place of tide's own listener, which has no limits, no deadlines and no
//! end (SPEC API-2).

use std::{
    fmt,
    net::SocketAddr,
    panic::AssertUnwindSafe,
    sync::{
        atomic::{AtomicUsize, Ordering},
        Arc,
    },
    time::{Duration, Instant},
};

use async_std::{
    future::timeout,
    io,
    net::{TcpListener, TcpStream},
    task::{self, JoinHandle},
};
use futures::FutureExt as _;
use guildmint_core::api::Problem;
use thiserror::Error;
use tide::{
    listener::{ListenInfo, Listener, ToListener},
    utils::async_trait,
    Server,
};

use crate::{
    admission::{Admission, Permit},
    answer::Routes,
    connection::{refuse, Connection},
    signal::{signal, Signal, Trigger},
    Limits,
};

/// Clients that are being told at a time that they are not served. Further ones are told nothing.
const MAX_REFUSALS: usize = 64;

/// How long to wait when the system has nothing left to accept with, such as file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Why a server does not run.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}. Is another process using it?")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
}

/// A server that runs. Dropped, it stops too, but nobody waits for it.
#[derive(Debug)]
pub struct Serving {
    address: SocketAddr,
    in_flight: Arc<AtomicUsize>,
    admission: Arc<Admission>,
    stop: Trigger,
    task: JoinHandle<io::Result<()>>,
    routes: Routes,
}

impl Serving {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What can be asked, if it is known: methods in lower case, and paths as OpenAPI writes them.
    #[must_use]
    pub fn routes(&self) -> &[(&'static str, String)] {
        &self.routes
    }

    /// With what can be asked of it.
    #[must_use]
    pub fn with_routes(self, routes: Routes) -> Self {
        Self { routes, ..self }
    }

    /// Requests that are under way.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Connections that are open, also idle ones.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.admission.connections()
    }

    /// Stops: takes no more connections, closes idle ones, lets requests under way finish until [`Limits::stop`], and returns when
    /// all connections are closed.
    pub async fn stop(self) {
        drop(self.stop);
        if let Err(error) = self.task.await {
            tracing::warn!(%error, "the listener failed");
        }
    }
}

/// Serves on an address; port 0 stands for any. It is not encrypted: what is for an operator alone is served on the loopback, or behind a proxy with
/// TLS.
///
/// # Errors
/// If the address cannot be listened on.
pub async fn serve<S: Clone + Send + Sync + 'static>(
    server: Server<S>,
    address: SocketAddr,
    limits: Limits,
) -> Result<Serving, ServeError> {
    let failed = |source| ServeError::Bind { address, source };
    let socket = TcpListener::bind(address).await.map_err(failed)?;
    let address = socket.local_addr().map_err(failed)?;
    let (stop, stopped) = signal();
    let in_flight = Arc::new(AtomicUsize::new(0));
    let admission = Admission::new(limits.clone());
    let bounded = Bounded {
        address,
        socket: Some(socket),
        server: None,
        limits,
        stopped,
        in_flight: Arc::clone(&in_flight),
        admission: Arc::clone(&admission),
    };
    let mut listener = server.bind(bounded).await.map_err(failed)?;
    Ok(Serving {
        address,
        in_flight,
        admission,
        stop,
        task: task::spawn(async move { listener.accept().await }),
        routes: Routes::new(),
    })
}

/// Tide's view of the listener.
struct Bounded<S> {
    address: SocketAddr,
    socket: Option<TcpListener>,
    server: Option<Server<S>>,
    limits: Limits,
    stopped: Signal,
    in_flight: Arc<AtomicUsize>,
    admission: Arc<Admission>,
}

impl<S> fmt::Debug for Bounded<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Bounded").field(&self.address).finish()
    }
}

impl<S> fmt::Display for Bounded<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.address)
    }
}

impl<S: Clone + Send + Sync + 'static> ToListener<S> for Bounded<S> {
    type Listener = Self;

    fn to_listener(self) -> io::Result<Self> {
        Ok(self)
    }
}

#[async_trait]
impl<S: Clone + Send + Sync + 'static> Listener<S> for Bounded<S> {
    async fn bind(&mut self, server: Server<S>) -> io::Result<()> {
        self.server = Some(server);
        Ok(())
    }

    async fn accept(&mut self) -> io::Result<()> {
        let (Some(socket), Some(server)) = (self.socket.take(), self.server.take()) else {
            return Err(io::Error::other(
                "a listener is bound once and accepts once",
            ));
        };
        let (cut, is_cut) = signal();
        let (open, all_closed) = signal();
        let shared = Arc::new(Shared {
            server,
            limits: self.limits.clone(),
            stopped: self.stopped.clone(),
            is_cut,
            in_flight: Arc::clone(&self.in_flight),
        });
        let refusals = Arc::new(());
        while let Some(accepted) = self.stopped.or(socket.accept()).await {
            match accepted {
                Ok((stream, peer)) => match self.admission.connect(peer.ip(), Instant::now()) {
                    Ok(permit) => shared.spawn(stream, peer, permit, open.clone()),
                    Err(problem) => shared.spawn_refusal(stream, problem, &refusals),
                },
                Err(error) if is_of_the_client(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot accept connections");
                    task::sleep(PAUSE).await;
                }
            }
        }
        drop(socket);
        drop(open);
        if timeout(self.limits.stop, all_closed.raised())
            .await
            .is_err()
        {
            tracing::warn!("cutting requests that did not finish in time");
            drop(cut);
            all_closed.raised().await;
        }
        Ok(())
    }

    fn info(&self) -> Vec<ListenInfo> {
        vec![ListenInfo::new(self.to_string(), "tcp".to_owned(), false)]
    }
}

/// Whether accepting failed because of the one that connected, so that the next may be tried at once.
fn is_of_the_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

/// What all connections of a listener share.
struct Shared<S> {
    server: Server<S>,
    limits: Limits,
    stopped: Signal,
    is_cut: Signal,
    in_flight: Arc<AtomicUsize>,
}

impl<S: Clone + Send + Sync + 'static> Shared<S> {
    /// Serves a connection in a task of its own, which nothing that comes in can break out of.
    fn spawn(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr, permit: Permit, open: Trigger) {
        let shared = Arc::clone(self);
        task::spawn(async move {
            let _open = open;
            // Answers are written as a head and a body; waiting for more before sending would only delay them.
            let _ = stream.set_nodelay(true);
            let connection = Connection {
                server: &shared.server,
                limits: &shared.limits,
                permit: &permit,
                stopped: &shared.stopped,
                in_flight: &shared.in_flight,
                peer,
            };
            let served = AssertUnwindSafe(connection.run(stream)).catch_unwind();
            if let Some(Err(_)) = shared.is_cut.or(served).await {
                tracing::error!("a connection made the server panic");
            }
        });
    }

    fn spawn_refusal(self: &Arc<Self>, stream: TcpStream, problem: Problem, refusals: &Arc<()>) {
        if Arc::strong_count(refusals) > MAX_REFUSALS {
            return;
        }
        let (shared, counted) = (Arc::clone(self), Arc::clone(refusals));
        task::spawn(async move {
            refuse(stream, &problem, &shared.limits).await;
            drop(counted);
        });
    }
}
