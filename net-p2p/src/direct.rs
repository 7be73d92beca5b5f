//! `/guildmint/direct/1`: messages to one guardian, in order.
//!
//! Each side opens one substream per connection and writes frames to it: four bytes of length, big endian, then that
//! many bytes. Nothing is answered. What is queued goes out together, so a burst costs one write. A receiver that does
//! not keep up stops reading, and yamux's window stops the sender; nothing else on the connection notices.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::task::{Context, Poll};

use async_std::channel::{self, Receiver, Sender};
use futures::future::BoxFuture;
use futures::io::BufWriter;
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, FutureExt};
use guildmint_core::{limits, PeerId};
use libp2p::core::transport::PortUse;
use libp2p::core::upgrade::ReadyUpgrade;
use libp2p::core::Endpoint;
use libp2p::swarm::handler::{
    ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound,
};
use libp2p::swarm::{
    ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
    NetworkBehaviour, StreamProtocol, SubstreamProtocol, ToSwarm,
};
use libp2p::Multiaddr;

use crate::config::NetId;
use crate::network::{Arrival, NetworkEvent};
use crate::pace::Pace;
use crate::peers::Peers;

const PROTOCOL: StreamProtocol = StreamProtocol::new("/guildmint/direct/1");

/// Bytes that may wait for one peer. More are dropped; whoever sends tracks what was received anyway.
const OUTBOX_BYTES: usize = 4 * limits::MAX_PACKET_BYTES;

/// What a queued frame costs besides its bytes, so that the bound holds for empty ones too.
const FRAME_OVERHEAD: usize = 64;

/// Small frames of a burst share a write of up to this size.
const WRITE_BUFFER: usize = 16 * 1024;

/// Frames that wait for the connection to one peer to take them.
#[derive(Debug, Clone)]
pub(crate) struct Outbox {
    frames: Sender<Vec<u8>>,
    bytes: Arc<AtomicUsize>,
}

/// The connection's end of an [`Outbox`].
struct Queue {
    frames: Receiver<Vec<u8>>,
    bytes: Arc<AtomicUsize>,
}

fn outbox() -> (Outbox, Queue) {
    let (sender, receiver) = channel::unbounded();
    let bytes = Arc::new(AtomicUsize::new(0));
    let outbox = Outbox {
        frames: sender,
        bytes: bytes.clone(),
    };
    (
        outbox,
        Queue {
            frames: receiver,
            bytes,
        },
    )
}

impl Outbox {
    /// Queues a frame. `false` if there is no room or the connection is gone; the frame is then lost.
    pub(crate) fn push(&self, frame: Vec<u8>) -> bool {
        let cost = frame.len() + FRAME_OVERHEAD;
        if self.bytes.fetch_add(cost, Ordering::Relaxed) + cost > OUTBOX_BYTES {
            self.bytes.fetch_sub(cost, Ordering::Relaxed);
            return false;
        }
        self.frames.try_send(frame).is_ok()
    }
}

impl Queue {
    fn taken(&self, frame: &[u8]) {
        self.bytes
            .fetch_sub(frame.len() + FRAME_OVERHEAD, Ordering::Relaxed);
    }

    /// Writes frames as they come; flushes when there is none.
    async fn write_to(self, stream: impl AsyncWrite + Unpin) -> io::Error {
        let mut writer = BufWriter::with_capacity(WRITE_BUFFER, stream);
        loop {
            if let Err(error) = self.write_next(&mut writer).await {
                return error;
            }
        }
    }

    async fn write_next<W: AsyncWrite + Unpin>(&self, writer: &mut BufWriter<W>) -> io::Result<()> {
        let frame = match self.frames.try_recv() {
            Ok(frame) => frame,
            Err(_) => {
                writer.flush().await?;
                let closed = |_| io::Error::new(io::ErrorKind::BrokenPipe, "nobody sends any more");
                self.frames.recv().await.map_err(closed)?
            }
        };
        self.taken(&frame);
        let length = u32::try_from(frame.len()).map_err(io::Error::other)?;
        writer.write_all(&length.to_be_bytes()).await?;
        writer.write_all(&frame).await
    }
}

/// Reads the next frame.
async fn read_frame(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).await?;
    let length = u32::from_be_bytes(length);
    let size = usize::try_from(length).unwrap_or(usize::MAX);
    if size > limits::MAX_PACKET_BYTES {
        let reason = format!("a frame of {length} bytes is larger than allowed");
        return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
    }
    // The buffer grows with what arrives, not with what is promised.
    let mut frame = Vec::new();
    let got = stream
        .take(u64::from(length))
        .read_to_end(&mut frame)
        .await?;
    if got == size {
        Ok(frame)
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

/// Hands every frame to the consumer, at the sender's pace and as far as there is room for its messages: this is what holds a fast
/// sender back.
async fn read_frames(
    mut stream: impl AsyncRead + Unpin,
    from: PeerId,
    pace: Arc<Pace>,
    events: Sender<Arrival>,
) -> io::Error {
    loop {
        pace.keep().await;
        let bytes = match read_frame(&mut stream).await {
            Ok(bytes) => bytes,
            Err(error) => return error,
        };
        pace.message();
        let held = pace.direct.take(bytes.len()).await;
        let message = NetworkEvent::Message { from, bytes };
        // A consumer that is gone wants nothing; the connection serves gossip still.
        let _ = events.send((message, Some(held))).await;
    }
}

/// Gives every connection its [`Handler`] and every connected peer its [`Outbox`].
pub(crate) struct Direct {
    guardians: BTreeMap<NetId, PeerId>,
    peers: Arc<Peers>,
    events: Sender<Arrival>,
    broken: VecDeque<Broken>,
}

/// The direct protocol with this peer failed; its connection is of no use.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) peer: NetId,
    pub(crate) error: io::Error,
}

impl Direct {
    pub(crate) fn new(
        guardians: BTreeMap<NetId, PeerId>,
        peers: Arc<Peers>,
        events: Sender<Arrival>,
    ) -> Self {
        Self {
            guardians,
            peers,
            events,
            broken: VecDeque::new(),
        }
    }

    fn handler(&self, id: NetId) -> Result<Handler, ConnectionDenied> {
        let from = *self
            .guardians
            .get(&id)
            .ok_or_else(|| ConnectionDenied::new(crate::guard::Refused::Stranger(id)))?;
        let (outbox, queue) = outbox();
        self.peers.attach(from, outbox);
        Ok(Handler {
            from,
            pace: self.peers.pace(&id),
            events: self.events.clone(),
            queue: Some(queue),
            requested: false,
            reader: None,
            writer: None,
            failed: None,
        })
    }
}

impl NetworkBehaviour for Direct {
    type ConnectionHandler = Handler;
    type ToSwarm = Broken;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        id: NetId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<Handler, ConnectionDenied> {
        self.handler(id)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        id: NetId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<Handler, ConnectionDenied> {
        self.handler(id)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        if let FromSwarm::ConnectionClosed(event) = event {
            if let Some(peer) = self.guardians.get(&event.peer_id) {
                self.peers.detach(*peer);
            }
        }
    }

    fn on_connection_handler_event(&mut self, peer: NetId, _: ConnectionId, error: io::Error) {
        self.broken.push_back(Broken { peer, error });
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Broken, Infallible>> {
        match self.broken.pop_front() {
            Some(broken) => Poll::Ready(ToSwarm::GenerateEvent(broken)),
            None => Poll::Pending,
        }
    }
}

/// The direct protocol on one connection: one task that reads, one that writes.
pub(crate) struct Handler {
    from: PeerId,
    pace: Arc<Pace>,
    events: Sender<Arrival>,
    queue: Option<Queue>,
    requested: bool,
    reader: Option<BoxFuture<'static, io::Error>>,
    writer: Option<BoxFuture<'static, io::Error>>,
    failed: Option<io::Error>,
}

impl Handler {
    fn poll_task(
        task: &mut Option<BoxFuture<'static, io::Error>>,
        cx: &mut Context<'_>,
    ) -> Option<io::Error> {
        match task.as_mut()?.poll_unpin(cx) {
            Poll::Ready(error) => {
                *task = None;
                Some(error)
            }
            Poll::Pending => None,
        }
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Infallible;
    type ToBehaviour = io::Error;
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), ())
    }

    fn connection_keep_alive(&self) -> bool {
        true
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, (), io::Error>> {
        if !self.requested {
            self.requested = true;
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest {
                protocol: SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), ()),
            });
        }
        let failed = self
            .failed
            .take()
            .or_else(|| Self::poll_task(&mut self.reader, cx))
            .or_else(|| Self::poll_task(&mut self.writer, cx));
        match failed {
            Some(error) => Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(error)),
            None => Poll::Pending,
        }
    }

    fn on_behaviour_event(&mut self, event: Infallible) {
        match event {}
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, Self::InboundProtocol, Self::OutboundProtocol>,
    ) {
        match event {
            // A peer opens one stream; should it open another, the newest counts, so there is never more than one.
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: stream,
                ..
            }) => {
                let task = read_frames(
                    stream,
                    self.from,
                    Arc::clone(&self.pace),
                    self.events.clone(),
                );
                self.reader = Some(task.boxed());
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol: stream,
                ..
            }) => {
                self.writer = self
                    .queue
                    .take()
                    .map(|queue| queue.write_to(stream).boxed())
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { error, .. }) => {
                self.failed = Some(io::Error::other(error.to_string()));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::io::Cursor;

    use super::*;

    fn read(bytes: &[u8]) -> io::Result<Vec<u8>> {
        async_io::block_on(read_frame(&mut Cursor::new(bytes)))
    }

    #[test]
    fn what_is_written_is_read() {
        let (outbox, queue) = outbox();
        let frames = [vec![], vec![7], vec![3; 100_000]];
        for frame in &frames {
            assert!(outbox.push(frame.clone()));
        }
        drop(outbox);
        let mut wire = Vec::new();
        let end = async_io::block_on(queue.write_to(&mut wire));
        assert_eq!(end.kind(), io::ErrorKind::BrokenPipe);
        let mut wire = Cursor::new(wire);
        for frame in frames {
            assert_eq!(async_io::block_on(read_frame(&mut wire)).unwrap(), frame);
        }
    }

    #[test]
    fn a_cut_frame_is_an_error() {
        for cut in [&[][..], &[0, 0], &[0, 0, 0, 2], &[0, 0, 0, 2, 9]] {
            assert_eq!(read(cut).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        }
    }

    #[test]
    fn a_frame_that_is_too_long_is_refused_before_it_is_read() {
        let length = u32::try_from(limits::MAX_PACKET_BYTES + 1).unwrap();
        for length in [length, u32::MAX] {
            let refused = read(&length.to_be_bytes()).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
        }
    }

    #[test]
    fn the_outbox_is_bounded_in_bytes_and_in_number() {
        let (large, _queue) = outbox();
        let fits = (0..10)
            .filter(|_| large.push(vec![0; limits::MAX_PACKET_BYTES]))
            .count();
        assert_eq!(
            fits, 3,
            "four would leave no room for what a frame costs besides"
        );
        let (small, queue) = outbox();
        assert!((0..OUTBOX_BYTES).any(|_| !small.push(Vec::new())));
        let frame = queue.frames.try_recv().unwrap();
        queue.taken(&frame);
        assert!(small.push(frame), "room comes back");
    }
}
