//! The task that owns the swarm: keeps a connection to every guardian, and carries gossip.

use std::collections::{BTreeMap, VecDeque};
use std::future::pending;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_io::Timer;
use async_std::channel::{Receiver, Sender};
use futures::{FutureExt, StreamExt};
use guildmint_core::PeerId;
use libp2p::core::ConnectedPoint;
use libp2p::gossipsub::{self, IdentTopic, Message, MessageAcceptance, PublishError};
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{Config, SwarmEvent};
use libp2p::{ping, Multiaddr, Swarm};

use crate::behaviour::{topic, Behaviour, BehaviourEvent};
use crate::config::{listen_error, NetId, Roster, StartError};
use crate::links::{bit, Link, State};
use crate::network::{Arrival, Channel, Command, NetworkEvent};
use crate::peers::Peers;
use crate::{dial, hints, transport};

/// How long a stopping node waits for its connections to close.
const GOODBYE: Duration = Duration::from_secs(1);

/// Bytes before each gossiped message: a set of guardians, bit i for index i, whom its author could not reach.
const HEADER: usize = size_of::<u32>();

enum Input {
    Swarm(Box<SwarmEvent<BehaviourEvent>>),
    Command(Option<Command>),
    NoticeTaken,
    Time,
}

pub(crate) struct Node {
    swarm: Swarm<Behaviour>,
    me: PeerId,
    others: BTreeMap<NetId, PeerId>,
    links: BTreeMap<PeerId, Link>,
    topics: [(Channel, IdentTopic); 3],
    peers: Arc<Peers>,
    commands: Receiver<Command>,
    events: Sender<Arrival>,
    /// Comings, goings and twins that the consumer has not taken yet; never more than four for a peer.
    notices: VecDeque<NetworkEvent>,
    timer: Timer,
    deadline: Option<Instant>,
}

impl Node {
    pub(crate) fn new(
        roster: Roster,
        session_id: &[u8; 32],
        peers: Arc<Peers>,
        commands: Receiver<Command>,
        direct_events: Sender<Arrival>,
        events: Sender<Arrival>,
    ) -> Result<Self, StartError> {
        let transport = transport::build(&roster.keypair, *session_id, &peers)
            .map_err(|error| StartError::Setup(error.to_string()))?;
        let behaviour = Behaviour::new(&roster, session_id, peers.clone(), direct_events)?;
        let config = Config::with_executor(|task| drop(async_std::task::spawn(task)));
        let local = roster.keypair.public().to_peer_id();
        let now = Instant::now();
        let link = |(id, peer): (&NetId, &PeerId)| {
            let link = Link {
                id: *id,
                addresses: roster.addresses.get(peer).cloned().unwrap_or_default(),
                hints: Vec::new(),
                attempt: 0,
                state: State::Waiting {
                    until: now + dial::delay(roster.me, *peer, 0),
                },
            };
            (*peer, link)
        };
        Ok(Self {
            swarm: Swarm::new(transport, behaviour, local, config),
            me: roster.me,
            links: roster.others.iter().map(link).collect(),
            others: roster.others,
            topics: Channel::ALL.map(|channel| (channel, topic(session_id, channel))),
            peers,
            commands,
            events,
            notices: VecDeque::new(),
            timer: Timer::never(),
            deadline: None,
        })
    }

    /// Listens on all of `addresses`; returns what the system made of them, once connections are accepted.
    pub(crate) async fn listen(
        &mut self,
        addresses: &[Multiaddr],
    ) -> Result<Vec<String>, StartError> {
        for address in addresses {
            self.swarm
                .listen_on(address.clone())
                .map_err(|error| listen_error(address, error))?;
        }
        let mut confirmed = Vec::new();
        while confirmed.len() < addresses.len() {
            match self.swarm.select_next_some().await {
                SwarmEvent::NewListenAddr { address, .. } => confirmed.push(address.to_string()),
                event => self.on_swarm_event(event),
            }
        }
        self.peers.set_listens(confirmed.clone());
        Ok(confirmed)
    }

    /// Serves until it is told to stop or no handle is left.
    pub(crate) async fn run(mut self) {
        loop {
            match self.next_input().await {
                Input::Swarm(event) => {
                    self.on_swarm_event(*event);
                    self.tell_of_twins();
                }
                Input::NoticeTaken => drop(self.notices.pop_front()),
                Input::Time => self.on_time(Instant::now()),
                Input::Command(Some(Command::Broadcast(channel, bytes))) => {
                    self.broadcast(channel, &bytes);
                }
                Input::Command(Some(Command::UpdateAddresses(peer, addresses))) => {
                    self.update_addresses(peer, addresses);
                }
                Input::Command(Some(Command::Stop(done))) => {
                    self.close().await;
                    // Whoever is told may want the port.
                    drop(self);
                    // Nobody may be waiting for it any more.
                    let _ = done.send(());
                    return;
                }
                Input::Command(None) => return self.close().await,
            }
        }
    }

    async fn next_input(&mut self) -> Input {
        let deadline = self.links.values().filter_map(Link::deadline).min();
        if deadline != self.deadline {
            self.deadline = deadline;
            self.timer = deadline.map_or_else(Timer::never, Timer::at);
        }
        let notice = async {
            match self.notices.front() {
                // If nobody listens any more, nothing needs to be told.
                Some(notice) => drop(self.events.send((notice.clone(), None)).await),
                None => pending().await,
            }
        };
        futures::select! {
            event = self.swarm.select_next_some() => Input::Swarm(Box::new(event)),
            command = self.commands.recv().fuse() => Input::Command(command.ok()),
            () = notice.fuse() => Input::NoticeTaken,
            _ = FutureExt::fuse(&mut self.timer) => Input::Time,
        }
    }

    fn on_swarm_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::ConnectionEstablished {
                peer_id, endpoint, ..
            } => self.on_connected(peer_id, &endpoint),
            SwarmEvent::ConnectionClosed {
                peer_id,
                num_established: 0,
                cause,
                ..
            } => {
                tracing::debug!(%peer_id, ?cause, "connection closed");
                self.on_closed(peer_id);
            }
            SwarmEvent::OutgoingConnectionError {
                peer_id: Some(id),
                error,
                ..
            } => {
                tracing::debug!(%id, %error, "dial failed");
                self.on_dial_failed(id);
            }
            SwarmEvent::IncomingConnectionError {
                send_back_addr,
                error,
                ..
            } => {
                self.peers.refused.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(from = %send_back_addr, %error, "connection refused");
            }
            SwarmEvent::ListenerError { error, .. } => {
                tracing::warn!(%error, "cannot accept connections for a moment");
            }
            SwarmEvent::Behaviour(BehaviourEvent::Gossip(event)) => self.on_gossip(event),
            SwarmEvent::Behaviour(BehaviourEvent::Ping(event)) => self.on_ping(event),
            SwarmEvent::Behaviour(BehaviourEvent::Direct(broken)) => {
                self.disconnect(broken.peer, &broken.error.to_string());
            }
            _ => {}
        }
    }

    /// Every handshake ends in an event of the swarm, so what was heard in one is told after that.
    fn tell_of_twins(&mut self) {
        for (of, seen_by) in self.peers.take_news() {
            let notice = NetworkEvent::RunsTwice { of, seen_by };
            if !self.notices.contains(&notice) {
                self.notices.push_back(notice);
            }
        }
    }

    fn link(&mut self, id: NetId) -> Option<(PeerId, &mut Link)> {
        let peer = *self.others.get(&id)?;
        self.links.get_mut(&peer).map(|link| (peer, link))
    }

    fn on_connected(&mut self, id: NetId, endpoint: &ConnectedPoint) {
        let address = endpoint.get_remote_address();
        let places = match self.others.get(&id) {
            Some(peer) => self.peers.places(*peer),
            None => return,
        };
        let Some((peer, link)) = self.link(id) else {
            return;
        };
        link.hints = hints::places(&places, address);
        link.state = State::Connected {
            since: Instant::now(),
            subscribed: Vec::new(),
        };
        self.peers.set_address(peer, address.to_string());
    }

    fn on_closed(&mut self, id: NetId) {
        let me = self.me;
        let Some((peer, link)) = self.link(id) else {
            return;
        };
        let was_ready = matches!(link.state, State::Ready);
        link.wait(me, peer);
        if was_ready {
            tracing::info!(%peer, "disconnected");
            self.notify(NetworkEvent::Disconnected(peer));
        }
    }

    fn on_dial_failed(&mut self, id: NetId) {
        let me = self.me;
        if let Some((peer, link)) = self.link(id) {
            if matches!(link.state, State::Dialling) {
                link.wait(me, peer);
            }
        }
    }

    /// A peer is ready for the consumer once gossip reaches it too.
    fn on_subscribed(&mut self, id: NetId, channel: Channel) {
        let Some((peer, link)) = self.link(id) else {
            return;
        };
        let State::Connected { subscribed, .. } = &mut link.state else {
            return;
        };
        if !subscribed.contains(&channel) {
            subscribed.push(channel);
        }
        if subscribed.len() == Channel::ALL.len() {
            link.state = State::Ready;
            link.attempt = 0;
            self.peers.set_ready(peer);
            tracing::info!(%peer, "connected");
            self.notify(NetworkEvent::Connected(peer));
        }
    }

    /// Queues a coming or going. One that the consumer has not even seen coming need not be seen going.
    fn notify(&mut self, notice: NetworkEvent) {
        if let NetworkEvent::Disconnected(peer) = notice {
            let unseen = NetworkEvent::Connected(peer);
            if let Some(at) = self.notices.iter().position(|n| *n == unseen) {
                self.notices.remove(at);
                return;
            }
        }
        self.notices.push_back(notice);
    }

    fn on_ping(&mut self, event: ping::Event) {
        match event.result {
            Ok(round_trip) => {
                if let Some(peer) = self.others.get(&event.peer) {
                    let ms = u32::try_from(round_trip.as_millis()).unwrap_or(u32::MAX);
                    self.peers.set_round_trip(*peer, ms);
                }
            }
            Err(error) => self.disconnect(event.peer, &error.to_string()),
        }
    }

    fn on_gossip(&mut self, event: gossipsub::Event) {
        match event {
            gossipsub::Event::Message {
                propagation_source,
                message_id,
                message,
            } => {
                let acceptance = self.on_message(&propagation_source, message);
                self.swarm
                    .behaviour_mut()
                    .gossip
                    .report_message_validation_result(&message_id, &propagation_source, acceptance);
            }
            gossipsub::Event::Subscribed { peer_id, topic } => {
                let channel = self.topics.iter().find(|(_, t)| t.hash() == topic);
                if let Some((channel, _)) = channel {
                    self.on_subscribed(peer_id, *channel);
                }
            }
            gossipsub::Event::SlowPeer { peer_id, .. } => {
                self.disconnect(peer_id, "it does not take gossip fast enough");
            }
            gossipsub::Event::GossipsubNotSupported { peer_id } => {
                self.disconnect(peer_id, "it does not speak gossipsub");
            }
            gossipsub::Event::Unsubscribed { peer_id, .. } => {
                self.disconnect(peer_id, "it unsubscribed");
            }
        }
    }

    /// Hands a gossiped message to the consumer; says whether to pass it on.
    ///
    /// Its author sends to all whom it can reach, and names the others. Passing it on is of use only if we can reach one
    /// of those. (A false name costs the federation some bandwidth, and its author's signature is on it.)
    fn on_message(&mut self, brought_by: &NetId, message: Message) -> MessageAcceptance {
        self.peers.pace(brought_by).message();
        let author = message
            .source
            .and_then(|id| Some((id, *self.others.get(&id)?)));
        let content = message.data.split_first_chunk();
        let (Some((id, from)), Some((header, bytes))) = (author, content) else {
            return MessageAcceptance::Ignore;
        };
        let missed = u32::from_le_bytes(*header);
        let bytes = bytes.to_vec();
        // By its author, whoever brought it: one that passes on what others say takes no room of theirs.
        let held = self.peers.pace(&id).gossip.try_take(bytes.len());
        let message = NetworkEvent::Message { from, bytes };
        let is_taken = held.is_some_and(|held| self.events.try_send((message, Some(held))).is_ok());
        if !is_taken {
            self.peers.unread.fetch_add(1, Ordering::Relaxed);
        }
        if missed & !self.unreachable() & !bit(from) == 0 {
            MessageAcceptance::Ignore
        } else {
            MessageAcceptance::Accept
        }
    }

    /// Everybody but the ready peers and ourselves; indices that do not exist count as unreachable.
    fn unreachable(&self) -> u32 {
        self.links
            .iter()
            .filter(|(_, link)| matches!(link.state, State::Ready))
            .fold(!bit(self.me), |set, (peer, _)| set & !bit(*peer))
    }

    fn broadcast(&mut self, channel: Channel, bytes: &[u8]) {
        let all = self.links.keys().fold(0, |set, peer| set | bit(*peer));
        let missed = self.unreachable() & all;
        let mut data = Vec::with_capacity(HEADER + bytes.len());
        data.extend(missed.to_le_bytes());
        data.extend(bytes);
        let topic = self
            .topics
            .iter()
            .find_map(|(c, topic)| (*c == channel).then(|| topic.hash()));
        let Some(topic) = topic else { return };
        let published = self.swarm.behaviour_mut().gossip.publish(topic, data);
        let Err(error) = published else { return };
        self.peers.unsent.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(%error, ?channel, "gossip not sent");
        if matches!(error, PublishError::NoPeersSubscribedToTopic) {
            self.disconnect_ready();
        }
    }

    /// Gossipsub knows nobody who listens although peers had subscribed: its idea of them is out of date.
    fn disconnect_ready(&mut self) {
        let ready = self
            .links
            .values()
            .filter(|link| matches!(link.state, State::Ready));
        let ids: Vec<_> = ready.map(|link| link.id).collect();
        for id in ids {
            self.disconnect(id, "its subscriptions are lost");
        }
    }

    fn update_addresses(&mut self, peer: PeerId, addresses: Vec<Multiaddr>) {
        let Some(link) = self.links.get_mut(&peer) else {
            return;
        };
        link.addresses = addresses;
        link.attempt = 0;
        if let State::Waiting { until } = &mut link.state {
            *until = Instant::now() + dial::delay(self.me, peer, 0);
        }
    }

    fn on_time(&mut self, now: Instant) {
        let due = |link: &Link| link.deadline().is_some_and(|deadline| deadline <= now);
        let due: Vec<_> = self
            .links
            .iter()
            .filter(|(_, link)| due(link))
            .map(|(peer, link)| (*peer, link.id))
            .collect();
        // The timer has fired and must be set again even if the next deadline is the same.
        self.deadline = None;
        for (peer, id) in due {
            match self.links.get_mut(&peer).map(|link| &mut link.state) {
                Some(State::Waiting { .. }) => self.dial(peer),
                Some(State::Connected { since, .. }) => {
                    // Closing may take a while; this must not be due all the time until then.
                    *since = now;
                    self.disconnect(id, "it does not subscribe");
                }
                _ => {}
            }
        }
    }

    fn dial(&mut self, peer: PeerId) {
        let Some(link) = self.links.get_mut(&peer) else {
            return;
        };
        let options = DialOpts::peer_id(link.id)
            .addresses(link.to_dial())
            .condition(PeerCondition::DisconnectedAndNotDialing)
            .build();
        match self.swarm.dial(options) {
            Ok(()) => link.state = State::Dialling,
            Err(error) => {
                tracing::debug!(%peer, %error, "cannot dial");
                link.wait(self.me, peer);
            }
        }
    }

    /// Closes the connection; the swarm reports when it is gone, and then the peer is dialled again.
    fn disconnect(&mut self, id: NetId, why: &str) {
        let peer = self.others.get(&id);
        tracing::info!(?peer, why, "reconnecting");
        // An error means that it is not connected, which is what we want. A second request is harmless.
        let _ = self.swarm.disconnect_peer_id(id);
    }

    async fn close(&mut self) {
        for link in self.links.values() {
            // As above.
            let _ = self.swarm.disconnect_peer_id(link.id);
        }
        let mut late = FutureExt::fuse(Timer::after(GOODBYE));
        while self.swarm.connected_peers().next().is_some() {
            futures::select! {
                event = self.swarm.select_next_some() => self.on_swarm_event(event),
                _ = late => return,
            }
        }
    }
}
