//! TCP for the swarm on async-io's reactor, with names resolved by async-std, encrypted and authenticated by noise.
//!
//! libp2p ships TCP for tokio only; this is the little of it that guardians need.

use std::collections::VecDeque;
use std::fmt;
use std::future::{ready, Ready};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_io::{Async, Timer};
use async_std::net::ToSocketAddrs;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt};
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::{Boxed, DialOpts, ListenerId, TransportError, TransportEvent};
use libp2p::core::upgrade::Version;
use libp2p::multiaddr::Protocol;
use libp2p::{identity, noise, yamux, Multiaddr, Transport};

use crate::hello::Handshake;
use crate::peers::Peers;
use crate::socket::{Socket, STALL_TIMEOUT};

/// Connecting, encrypting and multiplexing together take no longer than this, inbound or outbound.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a listener rests after the system refused it a connection (no file descriptors left, for instance):
/// the refusal repeats at once and would keep a core busy.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// TCP, then noise with the session as prologue, hellos, and yamux.
///
/// Two nodes with different session ids cannot complete a handshake. All that is written to the network is counted.
pub(crate) fn build(
    keypair: &identity::Keypair,
    session_id: [u8; 32],
    peers: &Arc<Peers>,
) -> Result<Boxed<(libp2p::PeerId, StreamMuxerBox)>, noise::Error> {
    let noise = noise::Config::new(keypair)?.with_prologue(session_id.to_vec());
    let sent_bytes = Arc::clone(&peers.sent_bytes);
    Ok(Tcp::default()
        .map(move |socket, _| socket.counting(Arc::clone(&sent_bytes)))
        .upgrade(Version::V1Lazy)
        .authenticate(Handshake::new(noise, Arc::clone(peers)))
        // No setter: each of them switches libp2p silently to an old, vulnerable yamux.
        .multiplex(yamux::Config::default())
        .timeout(HANDSHAKE_TIMEOUT)
        .boxed())
}

/// Where to connect to: `/ip4`, `/ip6`, `/dns`, `/dns4` or `/dns6`, then `/tcp`, then perhaps `/p2p`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    host: Host,
    port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Host {
    Ip(IpAddr),
    Name(String, Family),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Any,
    V4,
    V6,
}

impl Endpoint {
    /// The endpoint that `address` names, if it is of a kind that we can reach.
    pub(crate) fn parse(address: &Multiaddr) -> Option<Self> {
        let mut parts = address.iter();
        let host = match parts.next()? {
            Protocol::Ip4(ip) => Host::Ip(ip.into()),
            Protocol::Ip6(ip) => Host::Ip(ip.into()),
            Protocol::Dns(name) => Host::Name(name.into_owned(), Family::Any),
            Protocol::Dns4(name) => Host::Name(name.into_owned(), Family::V4),
            Protocol::Dns6(name) => Host::Name(name.into_owned(), Family::V6),
            _ => return None,
        };
        let Protocol::Tcp(port) = parts.next()? else {
            return None;
        };
        match (parts.next(), parts.next()) {
            (None | Some(Protocol::P2p(_)), None) => Some(Self { host, port }),
            _ => None,
        }
    }

    /// The socket to listen on. Names cannot be listened on.
    fn socket(&self) -> Option<SocketAddr> {
        match self.host {
            Host::Ip(ip) => Some(SocketAddr::new(ip, self.port)),
            Host::Name(..) => None,
        }
    }

    async fn resolve(self) -> io::Result<Vec<SocketAddr>> {
        let (name, family) = match self.host {
            Host::Ip(ip) => return Ok(vec![SocketAddr::new(ip, self.port)]),
            Host::Name(name, family) => (name, family),
        };
        let found = (name.as_str(), self.port).to_socket_addrs().await?;
        Ok(found
            .filter(|socket| match family {
                Family::Any => true,
                Family::V4 => socket.is_ipv4(),
                Family::V6 => socket.is_ipv6(),
            })
            .collect())
    }

    async fn connect(self) -> io::Result<Socket> {
        let mut last = io::Error::new(
            io::ErrorKind::NotFound,
            "the name has no address of this kind",
        );
        for socket in self.resolve().await? {
            match Async::<TcpStream>::connect(socket).await {
                Ok(stream) => return Socket::new(stream, STALL_TIMEOUT),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// The [`Transport`] itself.
#[derive(Default)]
pub(crate) struct Tcp {
    listeners: Vec<Listener>,
    pending: VecDeque<Event>,
}

type Event = TransportEvent<Ready<io::Result<Socket>>, io::Error>;

struct Listener {
    id: ListenerId,
    address: Multiaddr,
    incoming: BoxStream<'static, io::Result<(Async<TcpStream>, SocketAddr)>>,
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listener({})", self.address)
    }
}

impl Listener {
    fn bind(id: ListenerId, socket: SocketAddr) -> io::Result<Self> {
        let listener = Async::<TcpListener>::bind(socket)?;
        let address = multiaddr(listener.get_ref().local_addr()?);
        let incoming = stream::unfold(listener, |listener| async {
            let accepted = listener.accept().await;
            if accepted.is_err() {
                Timer::after(ACCEPT_PAUSE).await;
            }
            Some((accepted, listener))
        });
        Ok(Self {
            id,
            address,
            incoming: incoming.boxed(),
        })
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        match self.incoming.poll_next_unpin(cx) {
            Poll::Ready(Some(Ok((stream, from)))) => Poll::Ready(TransportEvent::Incoming {
                listener_id: self.id,
                upgrade: ready(Socket::new(stream, STALL_TIMEOUT)),
                local_addr: self.address.clone(),
                send_back_addr: multiaddr(from),
            }),
            Poll::Ready(Some(Err(error))) => Poll::Ready(TransportEvent::ListenerError {
                listener_id: self.id,
                error,
            }),
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }
}

impl Transport for Tcp {
    type Output = Socket;
    type Error = io::Error;
    type ListenerUpgrade = Ready<io::Result<Socket>>;
    type Dial = BoxFuture<'static, io::Result<Socket>>;

    fn listen_on(
        &mut self,
        id: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<io::Error>> {
        let socket = Endpoint::parse(&address)
            .and_then(|endpoint| endpoint.socket())
            .ok_or(TransportError::MultiaddrNotSupported(address))?;
        let listener = Listener::bind(id, socket).map_err(TransportError::Other)?;
        self.pending.push_back(TransportEvent::NewAddress {
            listener_id: id,
            listen_addr: listener.address.clone(),
        });
        self.listeners.push(listener);
        Ok(())
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        let before = self.listeners.len();
        self.listeners.retain(|listener| listener.id != id);
        self.listeners.len() < before
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        _: DialOpts,
    ) -> Result<Self::Dial, TransportError<io::Error>> {
        match Endpoint::parse(&address) {
            Some(endpoint) => Ok(Box::pin(endpoint.connect())),
            None => Err(TransportError::MultiaddrNotSupported(address)),
        }
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Event> {
        if let Some(event) = self.pending.pop_front() {
            return Poll::Ready(event);
        }
        for listener in &mut self.listeners {
            if let Poll::Ready(event) = listener.poll(cx) {
                return Poll::Ready(event);
            }
        }
        Poll::Pending
    }
}

fn multiaddr(socket: SocketAddr) -> Multiaddr {
    Multiaddr::from(socket.ip()).with(Protocol::Tcp(socket.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<Endpoint> {
        Endpoint::parse(&text.parse().unwrap())
    }

    #[test]
    fn understands_addresses_of_tcp_only() {
        let id = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp";
        for good in [
            "/ip4/127.0.0.1/tcp/1",
            "/ip6/::1/tcp/65535",
            "/dns/mint.example/tcp/8173",
            "/dns4/mint.example/tcp/8173",
            &format!("/dns6/mint.example/tcp/8173/p2p/{id}"),
        ] {
            assert!(parse(good).is_some(), "{good}");
        }
        for bad in [
            "/ip4/127.0.0.1",
            "/ip4/127.0.0.1/udp/1",
            "/tcp/1",
            "/ip4/127.0.0.1/tcp/1/ws",
            &format!("/ip4/127.0.0.1/tcp/1/p2p/{id}/p2p-circuit"),
            "/memory/1",
        ] {
            assert!(parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn names_are_resolved_within_their_family() {
        let sockets = |text| async_io::block_on(parse(text).unwrap().resolve());
        assert_eq!(
            sockets("/dns4/localhost/tcp/9").unwrap(),
            ["127.0.0.1:9".parse().unwrap()]
        );
        assert!(sockets("/dns6/localhost/tcp/9")
            .unwrap_or_default()
            .iter()
            .all(SocketAddr::is_ipv6));
        assert_eq!(
            sockets("/ip6/::1/tcp/9").unwrap(),
            ["[::1]:9".parse().unwrap()]
        );
    }

    #[test]
    fn a_name_cannot_be_listened_on() {
        let address: Multiaddr = "/dns4/localhost/tcp/0".parse().unwrap();
        let refused = Tcp::default().listen_on(ListenerId::next(), address.clone());
        assert!(matches!(refused, Err(TransportError::MultiaddrNotSupported(a)) if a == address));
    }
}
