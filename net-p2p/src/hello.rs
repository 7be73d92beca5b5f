//! What the two ends of a connection tell each other before anything else, once noise has authenticated them.
//!
//! It comes before the guard decides whether the connection may be, so also a process that is refused has been heard: that is how
//! a guardian that runs twice is found out (SPEC NET-6).

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, FutureExt};
use guildmint_core::limits::MAX_ADDRESSES;
use guildmint_core::Wire;
use libp2p::core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo};
use libp2p::noise;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::config::NetId;
use crate::pace::Paced;
use crate::peers::Peers;

/// Bytes of a hello. A longer one ends the handshake.
const MAX_HELLO_BYTES: usize = 4 * 1024;

/// Noise, and a hello after it.
const PROTOCOL: &str = "/guildmint/noise/1";

/// A random number for each start of a guardian, by which two processes with the same secrets differ.
pub(crate) type Instance = [u8; 16];

/// What a guardian says of itself, and of whom it says it to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = MAX_HELLO_BYTES)]
pub(crate) struct Hello {
    /// Which process it is.
    pub(crate) instance: Instance,
    /// Where it listens; what is beyond the first [`MAX_ADDRESSES`] counts for nothing.
    pub(crate) listens: Vec<String>,
    /// Whether it has lately seen two processes with the other end's secrets.
    pub(crate) sees_you_twice: bool,
}

/// Why a connection could not be made.
#[derive(Debug, Error)]
pub(crate) enum HandshakeError {
    #[error(transparent)]
    Noise(#[from] noise::Error),
    #[error("no hello: {0}")]
    Hello(#[from] io::Error),
}

/// The upgrade of a connection: noise, then the hellos.
#[derive(Clone)]
pub(crate) struct Handshake {
    noise: noise::Config,
    peers: Arc<Peers>,
}

impl Handshake {
    pub(crate) fn new(noise: noise::Config, peers: Arc<Peers>) -> Self {
        Self { noise, peers }
    }
}

impl UpgradeInfo for Handshake {
    type Info = &'static str;
    type InfoIter = std::iter::Once<Self::Info>;

    fn protocol_info(&self) -> Self::InfoIter {
        std::iter::once(PROTOCOL)
    }
}

type Upgraded<T> = (NetId, Paced<noise::Output<T>>);
type Upgrading<T> = Pin<Box<dyn Future<Output = Result<Upgraded<T>, HandshakeError>> + Send>>;

impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> InboundConnectionUpgrade<T> for Handshake {
    type Output = Upgraded<T>;
    type Error = HandshakeError;
    type Future = Upgrading<T>;

    fn upgrade_inbound(self, socket: T, _: Self::Info) -> Self::Future {
        async move {
            let began = Instant::now();
            let (id, mut stream) = self.noise.upgrade_inbound(socket, "/noise").await?;
            // First listens, so that it can tell at once what follows from what it hears.
            let hello = read(&mut stream).await?;
            self.peers.heard(&id, hello, began);
            write(&mut stream, &self.peers.hello(&id)).await?;
            let pace = self.peers.pace(&id);
            Ok((id, Paced::new(stream, pace)))
        }
        .boxed()
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> OutboundConnectionUpgrade<T>
    for Handshake
{
    type Output = Upgraded<T>;
    type Error = HandshakeError;
    type Future = Upgrading<T>;

    fn upgrade_outbound(self, socket: T, _: Self::Info) -> Self::Future {
        async move {
            let began = Instant::now();
            let (id, mut stream) = self.noise.upgrade_outbound(socket, "/noise").await?;
            write(&mut stream, &self.peers.hello(&id)).await?;
            let hello = read(&mut stream).await?;
            self.peers.heard(&id, hello, began);
            let pace = self.peers.pace(&id);
            Ok((id, Paced::new(stream, pace)))
        }
        .boxed()
    }
}

async fn write(stream: &mut (impl AsyncWrite + Unpin), hello: &Hello) -> io::Result<()> {
    let bytes = hello.encode();
    let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
    stream.write_all(&length.to_be_bytes()).await?;
    stream.write_all(&bytes).await?;
    stream.flush().await
}

async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Hello> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).await?;
    let length = usize::from(u16::from_be_bytes(length));
    if length > MAX_HELLO_BYTES {
        let reason = format!("it has {length} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await?;
    let mut hello = Hello::decode(&bytes)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
    hello.listens.truncate(MAX_ADDRESSES);
    Ok(hello)
}

#[cfg(test)]
mod tests {
    use futures::io::Cursor;

    use super::*;

    fn heard(bytes: &[u8]) -> io::Result<Hello> {
        async_io::block_on(read(&mut Cursor::new(bytes)))
    }

    #[test]
    fn what_is_said_is_heard_and_no_more_places_than_there_may_be() {
        let mut hello = Hello {
            instance: [7; 16],
            listens: vec!["/ip4/127.0.0.1/tcp/1".into(); MAX_ADDRESSES + 3],
            sees_you_twice: true,
        };
        let mut wire = Vec::new();
        async_io::block_on(write(&mut wire, &hello)).unwrap();
        hello.listens.truncate(MAX_ADDRESSES);
        assert_eq!(heard(&wire).unwrap(), hello);
    }

    #[test]
    fn what_is_too_long_or_no_hello_is_refused() {
        let refused = |bytes: &[u8]| heard(bytes).unwrap_err().kind();
        assert_eq!(refused(&[0xff, 0xff]), io::ErrorKind::InvalidData);
        assert_eq!(refused(&[0, 2, 1, 1]), io::ErrorKind::InvalidData);
        assert_eq!(refused(&[0, 2, 1]), io::ErrorKind::UnexpectedEof);
    }
}
