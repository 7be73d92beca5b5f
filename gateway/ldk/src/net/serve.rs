//! Connections: made, taken, served and ended.

use std::{
    collections::BTreeMap,
    future::{poll_fn, Future},
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs as _},
    sync::{Arc, Mutex, PoisonError},
    task::Poll,
    time::Duration,
};

use async_io::{Async, Timer};
use bitcoin::secp256k1::PublicKey;
use futures::{executor::ThreadPool, future::select, pin_mut};
use guildmint_gateway::node::{Peer, Refusal};

use super::{
    link::{Link, Ready},
    PeerWatch,
};
use crate::{convert, stop::Stop, types::PeerManager};

/// Threads that serve connections. A message that waits for the database holds up one of them.
const THREADS: usize = 4;
/// Bytes taken from a socket at a time, so that a peer who sends much leaves room for others.
const READ_BYTES: usize = 4096;
/// How long it may take to reach a peer, and then to shake hands.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// Connections that others made. More are closed at once.
const MAX_INBOUND: usize = 256;
/// Of these, from one address; for IPv6, from one network of 64 bits, since who has one address there has all of its.
const MAX_INBOUND_PER_ADDRESS: usize = 16;
/// How long nothing is taken after the system refused a connection: out of file descriptors, most likely.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// The node's connections.
pub(crate) struct Net {
    pool: ThreadPool,
    peers: Arc<PeerManager>,
    watch: Arc<PeerWatch>,
    stop: Stop,
    inbound: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
}

impl Net {
    pub(crate) fn new(
        peers: Arc<PeerManager>,
        watch: Arc<PeerWatch>,
        stop: Stop,
    ) -> io::Result<Self> {
        let pool = ThreadPool::builder()
            .pool_size(THREADS)
            .name_prefix("lightning-net-")
            .create()?;
        Ok(Self {
            pool,
            peers,
            watch,
            stop,
            inbound: Arc::default(),
        })
    }

    /// Takes connections at an address; answers which one, as it may ask for any port.
    pub(crate) fn listen(&self, address: SocketAddr) -> io::Result<SocketAddr> {
        let listener = Async::new(TcpListener::bind(address)?)?;
        let bound = listener.get_ref().local_addr()?;
        let (peers, inbound) = (Arc::clone(&self.peers), Arc::clone(&self.inbound));
        let (pool, stopped) = (self.pool.clone(), self.stop.wait());
        let accepting = async move {
            loop {
                match listener.accept().await {
                    Ok((socket, address)) => take(&pool, &peers, &inbound, socket, address),
                    Err(error) => {
                        tracing::warn!(%error, "no connection could be taken");
                        Timer::after(ACCEPT_PAUSE).await;
                    }
                }
            }
        };
        self.pool.spawn_ok(async move {
            pin_mut!(accepting);
            select(accepting, stopped).await;
        });
        Ok(bound)
    }

    /// Connects to a peer, and waits until it has shaken hands.
    pub(crate) fn connect(&self, peer: &Peer) -> Result<(), Refusal> {
        let key = convert::public_key(peer.id)?;
        if self.watch.is_connected(&key) {
            return Ok(());
        }
        let unreachable = |reason: String| Refusal::Unreachable {
            peer: peer.id,
            address: peer.address.clone(),
            reason,
        };
        let socket = dial(&peer.address).map_err(|error| unreachable(error.to_string()))?;
        self.greet(key, socket)
            .map_err(|error| unreachable(error.to_string()))?;
        match self.watch.wait_for(&key, CONNECT_LIMIT) {
            true => Ok(()),
            false => Err(unreachable("it does not shake hands with us".to_owned())),
        }
    }

    fn greet(&self, key: PublicKey, socket: Async<TcpStream>) -> io::Result<()> {
        prepare(&socket)?;
        let mut link = Link::new(socket);
        let first = self.peers.new_outbound_connection(key, link.clone(), None);
        let first = first.map_err(|_| io::Error::other("the node takes no more connections"))?;
        use lightning::ln::peer_handler::SocketDescriptor as _;
        if link.send_data(&first, true) < first.len() {
            self.peers.socket_disconnected(&link);
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        self.pool.spawn_ok(serve(Arc::clone(&self.peers), link));
        Ok(())
    }
}

/// Connects to the first of an address's places that answers.
fn dial(address: &str) -> io::Result<Async<TcpStream>> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "it has no address");
    for place in address.to_socket_addrs()? {
        let connecting = async {
            let connect = Async::<TcpStream>::connect(place);
            let limit = Timer::after(CONNECT_LIMIT);
            pin_mut!(connect);
            match select(connect, limit).await {
                futures::future::Either::Left((connected, _)) => connected,
                futures::future::Either::Right(_) => Err(io::ErrorKind::TimedOut.into()),
            }
        };
        match async_io::block_on(connecting) {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Messages are small and must not wait for each other; a peer that is gone without a word is noticed.
fn prepare(socket: &Async<TcpStream>) -> io::Result<()> {
    socket.get_ref().set_nodelay(true)?;
    rustix::net::sockopt::set_socket_keepalive(socket.get_ref(), true)?;
    Ok(())
}

/// A connection that another made, as long as it is served.
struct Inbound {
    address: IpAddr,
    counts: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
}

impl Inbound {
    /// Counts it, unless there are too many.
    fn count(counts: &Arc<Mutex<BTreeMap<IpAddr, usize>>>, address: IpAddr) -> Option<Self> {
        let address = network(address);
        let mut map = counts.lock().unwrap_or_else(PoisonError::into_inner);
        let total: usize = map.values().sum();
        let count = map.get(&address).copied().unwrap_or(0);
        if total >= MAX_INBOUND || count >= MAX_INBOUND_PER_ADDRESS {
            return None;
        }
        map.insert(address, count + 1);
        let counts = Arc::clone(counts);
        Some(Self { address, counts })
    }
}

/// What counts as one address.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let prefix = address.to_bits() & (u128::MAX << 64);
            IpAddr::V6(Ipv6Addr::from_bits(prefix))
        }
        address @ IpAddr::V4(_) => address,
    }
}

impl Drop for Inbound {
    fn drop(&mut self) {
        let mut map = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = map.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                map.remove(&self.address);
            }
        }
    }
}

fn take(
    pool: &ThreadPool,
    peers: &Arc<PeerManager>,
    inbound: &Arc<Mutex<BTreeMap<IpAddr, usize>>>,
    socket: Async<TcpStream>,
    address: SocketAddr,
) {
    let Some(counted) = Inbound::count(inbound, address.ip()) else {
        return tracing::debug!(%address, "too many connections");
    };
    let link = match prepare(&socket) {
        Ok(()) => Link::new(socket),
        Err(error) => return tracing::debug!(%address, %error, "a connection is gone again"),
    };
    if peers.new_inbound_connection(link.clone(), None).is_ok() {
        let serving = serve(Arc::clone(peers), link);
        pool.spawn_ok(async move {
            serving.await;
            drop(counted);
        });
    }
}

/// Carries a connection's bytes to LDK until one of both ends it.
async fn serve(peers: Arc<PeerManager>, mut link: Link) {
    let mut buffer = [0; READ_BYTES];
    loop {
        let goes_on = match poll_fn(|context| link.poll_ready(context)).await {
            // LDK knows already.
            Ready::Closed => return,
            Ready::Write => peers.write_buffer_space_avail(&mut link).is_ok(),
            Ready::Read => match link.read(&mut buffer) {
                Err(error) if is_passing(&error) => true,
                Ok(0) | Err(_) => {
                    peers.socket_disconnected(&link);
                    false
                }
                Ok(bytes) => peers.read_event(&mut link, &buffer[..bytes]).is_ok(),
            },
        };
        peers.process_events();
        if !goes_on {
            return link.close();
        }
        give_way().await;
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

/// Lets other connections of this thread go first.
fn give_way() -> impl Future<Output = ()> {
    let mut has_waited = false;
    poll_fn(move |context| {
        if std::mem::replace(&mut has_waited, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn inbound_connections_are_counted_and_limited() {
        let counts = Arc::<Mutex<BTreeMap<_, _>>>::default();
        let address = |last: u8| IpAddr::from([10, 0, 0, last]);
        let mut taken: Vec<Inbound> = Vec::new();
        for _ in 0..MAX_INBOUND_PER_ADDRESS {
            taken.extend(Inbound::count(&counts, address(1)));
        }
        assert!(Inbound::count(&counts, address(1)).is_none());
        for last in 2..=u8::MAX {
            taken.extend((0..2).filter_map(|_| Inbound::count(&counts, address(last))));
        }
        assert_eq!(taken.len(), MAX_INBOUND);
        // Who is refused leaves nothing behind.
        let addresses = counts.lock().unwrap().len();
        assert!(Inbound::count(&counts, IpAddr::from([10, 9, 9, 9])).is_none());
        assert_eq!(counts.lock().unwrap().len(), addresses);
        taken.clear();
        assert!(Inbound::count(&counts, address(1)).is_some());
    }

    #[test]
    fn all_addresses_of_one_host_count_as_one() {
        let address = |text: &str| network(text.parse().unwrap());
        assert_eq!(address("2001:db8:1:2::1"), address("2001:db8:1:2:9:9:9:9"));
        assert_ne!(address("2001:db8:1:2::1"), address("2001:db8:1:3::1"));
        assert_eq!(address("::ffff:10.0.0.1"), address("10.0.0.1"));
        assert_ne!(address("10.0.0.1"), address("10.0.0.2"));
        let counts = Arc::default();
        let of_one =
            |last: u16| Inbound::count(&counts, format!("2001:db8::{last:x}").parse().unwrap());
        let taken: Vec<Inbound> = (0..100).filter_map(of_one).collect();
        assert_eq!(taken.len(), MAX_INBOUND_PER_ADDRESS);
    }
}
