//! The handle by which the rest of a guardian uses the network.

use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_std::channel::{self, Receiver, Sender};
use futures::channel::oneshot;
use futures::stream::{select, Select, Stream, StreamExt};
use guildmint_core::{limits, PeerId};
use libp2p::Multiaddr;

use crate::config::{parse_addresses, AddressError, NetworkConfig, Roster, StartError};
use crate::node::Node;
use crate::pace::Held;
use crate::peers::{Counters, PeerStatus, Peers};

/// Requests that may wait for the task; more make their senders wait.
const COMMANDS: usize = 32;

/// Direct messages that may wait for the consumer; more wait at their senders.
const DIRECT_EVENTS: usize = 64;

/// Gossiped messages that may wait for the consumer; more are dropped.
const GOSSIP_EVENTS: usize = 128;

/// What is gossiped goes by purpose, so that small certificates are not mixed with large contributions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Channel {
    /// What a guardian proposes for an epoch.
    Contributions,
    /// Signatures over what an epoch did.
    Certificates,
    /// Signed addresses of guardians.
    Announcements,
}

impl Channel {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Contributions, Self::Certificates, Self::Announcements];

    pub(crate) fn purpose(self) -> &'static str {
        match self {
            Self::Contributions => "contributions",
            Self::Certificates => "certificates",
            Self::Announcements => "announcements",
        }
    }
}

/// What the network reports.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NetworkEvent {
    /// Bytes from another guardian, gossiped or direct. Direct ones may arrive before [`NetworkEvent::Connected`].
    Message {
        /// Who sent it, authenticated: the signer of gossip, the other end of a direct link.
        from: PeerId,
        /// What it sent, at most [`limits::MAX_PACKET_BYTES`].
        bytes: Vec<u8>,
    },
    /// The peer can be reached from here, by gossip and directly.
    Connected(PeerId),
    /// The connection to the peer is gone. It is dialled again by itself.
    Disconnected(PeerId),
    /// Two processes run with the secrets of one guardian (SPEC NET-6). Told again for as long as it is so.
    RunsTwice {
        /// The guardian; this one, if another says so.
        of: PeerId,
        /// Who has seen two: this guardian, or who says so of us.
        seen_by: PeerId,
    },
}

/// An event, and the room that it takes if it is a message.
pub type Arrival = (NetworkEvent, Option<Held>);

/// The incoming side of a [`Network`]: a stream of [`NetworkEvent`]s.
///
/// Direct and gossiped messages wait in separate bounded queues that are read in turn, so neither kind starves the
/// other. Not reading holds back those who send directly, and loses gossip.
#[derive(Debug)]
pub struct Events {
    queues: Select<Receiver<Arrival>, Receiver<Arrival>>,
}

impl Events {
    /// The next event; `None` once the network has stopped and all is read.
    pub async fn recv(&mut self) -> Option<NetworkEvent> {
        let (event, _) = self.recv_held().await?;
        Some(event)
    }

    /// The next event, and what holds its place among those of its sender that wait: whoever keeps the message waiting keeps this
    /// too, and so bounds what one guardian can fill.
    pub async fn recv_held(&mut self) -> Option<Arrival> {
        self.queues.next().await
    }
}

impl Stream for Events {
    type Item = NetworkEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<NetworkEvent>> {
        let next = self.queues.poll_next_unpin(cx);
        next.map(|arrival| arrival.map(|(event, _)| event))
    }
}

/// What a [`Network`] asks of the task that owns the connections.
pub(crate) enum Command {
    Broadcast(Channel, Vec<u8>),
    UpdateAddresses(PeerId, Vec<Multiaddr>),
    Stop(oneshot::Sender<()>),
}

/// A running guardian's network. Clones share it; it stops with the last of them.
#[derive(Debug, Clone)]
pub struct Network {
    commands: Sender<Command>,
    peers: Arc<Peers>,
    listen_addresses: Vec<String>,
}

impl Network {
    /// Starts listening and dialling. Whoever gets an answer can be connected to: nothing is left to wait for.
    ///
    /// # Errors
    /// If the config contradicts itself or an address cannot be listened on; see [`StartError`].
    pub async fn start(config: NetworkConfig) -> Result<(Self, Events), StartError> {
        let roster = Roster::check(&config)?;
        let (me, others) = (roster.me, roster.others.clone());
        let peers = Arc::new(Peers::new(me, config.instance, others));
        let (commands, inbox) = channel::bounded(COMMANDS);
        let (direct, direct_events) = channel::bounded(DIRECT_EVENTS);
        let (gossip, gossip_events) = channel::bounded(GOSSIP_EVENTS);
        let listen = roster.listen.clone();
        let mut node = Node::new(
            roster,
            &config.session_id,
            peers.clone(),
            inbox,
            direct,
            gossip,
        )?;
        let listen_addresses = node.listen(&listen).await?;
        async_std::task::spawn(node.run());
        let network = Self {
            commands,
            peers,
            listen_addresses,
        };
        let queues = select(direct_events, gossip_events);
        Ok((network, Events { queues }))
    }

    /// Gossips to all guardians, best effort: one that is not connected, slow or restarting may miss it.
    ///
    /// Waits only while the network's own task is behind. Bytes beyond [`limits::MAX_PACKET_BYTES`] are not sent.
    pub async fn broadcast(&self, channel: Channel, bytes: Vec<u8>) {
        if bytes.len() > limits::MAX_PACKET_BYTES {
            return self.not_sent(bytes.len(), "too large");
        }
        self.command(Command::Broadcast(channel, bytes)).await;
    }

    /// Sends to one guardian, best effort, never waits for it. What is sent over one connection arrives in order.
    ///
    /// Lost if there is no connection, if the peer has let 8 MiB gather, or beyond [`limits::MAX_PACKET_BYTES`].
    pub async fn send(&self, to: PeerId, bytes: Vec<u8>) {
        let size = bytes.len();
        if size > limits::MAX_PACKET_BYTES {
            return self.not_sent(size, "too large");
        }
        match self.peers.outbox(to) {
            None => self.not_sent(size, "not connected"),
            Some(outbox) if !outbox.push(bytes) => self.not_sent(size, "the peer is too slow"),
            Some(_) => {}
        }
    }

    /// Replaces the addresses at which a guardian is looked for, and looks at once if it is not connected.
    ///
    /// An existing connection stays. A peer that does not exist is ignored.
    ///
    /// # Errors
    /// If one of them cannot be dialled; then nothing changes.
    pub async fn update_addresses(
        &self,
        peer: PeerId,
        addresses: Vec<String>,
    ) -> Result<(), AddressError> {
        let addresses = parse_addresses(&addresses)?;
        self.command(Command::UpdateAddresses(peer, addresses))
            .await;
        Ok(())
    }

    /// How things stand with every other guardian, in the order of their indices.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerStatus> {
        self.peers.status()
    }

    /// What was refused or dropped so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.peers.counters()
    }

    /// The addresses listened on, with the ports that the system chose. An unspecified one (`0.0.0.0`) stays as it is.
    #[must_use]
    pub fn listen_addresses(&self) -> Vec<String> {
        self.listen_addresses.clone()
    }

    /// Closes all connections and stops listening; returns once that is done. Other clones then do nothing.
    pub async fn stop(self) {
        let (done, stopped) = oneshot::channel();
        self.command(Command::Stop(done)).await;
        // An error means that the task ended before it answered: stopped as well.
        let _ = stopped.await;
    }

    async fn command(&self, command: Command) {
        // Fails only after `stop`.
        let _ = self.commands.send(command).await;
    }

    fn not_sent(&self, bytes: usize, why: &str) {
        self.peers.unsent.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(bytes, why, "message not sent");
    }

    #[cfg(test)]
    pub(crate) fn outbox(&self, peer: PeerId) -> Option<crate::direct::Outbox> {
        self.peers.outbox(peer)
    }
}
