//! The protocols that guardians speak, put together and configured.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_std::channel::Sender;
use guildmint_core::limits;
use libp2p::connection_limits::{self, ConnectionLimits};
use libp2p::gossipsub::{
    self, IdentTopic, MessageAuthenticity, ValidationMode, WhitelistSubscriptionFilter,
};
use libp2p::ping;
use libp2p::swarm::NetworkBehaviour;

use crate::config::{Roster, StartError};
use crate::direct::Direct;
use crate::guard::Guard;
use crate::network::{Arrival, Channel};
use crate::peers::Peers;

/// Room for what gossipsub adds to a message (source, number, topic, signature, our own header), and for the start of the
/// next one: it counts all that has been read.
const GOSSIP_OVERHEAD: usize = 64 * 1024;

/// Messages that gossipsub announces to a peer at once, by ids of some 75 bytes. Left to itself it announces thousands, and the
/// peer, which accepts only so many bytes of control messages, goes deaf on that connection.
const GOSSIP_ANNOUNCED: usize = 256;
const GOSSIP_CONTROL_BYTES: usize = 64 * 1024;

/// Gossip messages that may wait for one peer. A peer that lets more than these gather is slow and is reconnected.
const GOSSIP_QUEUE: usize = 128;

/// How often a peer is pinged, and how long the answer may take. The second miss in a row closes the connection.
const PING: Duration = Duration::from_secs(5);

pub(crate) type Gossip =
    gossipsub::Behaviour<gossipsub::IdentityTransform, WhitelistSubscriptionFilter>;

/// Asked in this order whether a connection may be; the first refusal ends it. Gossipsub keeps a record of every peer
/// that it is asked about, so the guard must come before it; `direct` takes the connection as made, so it comes last.
#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    guard: Guard,
    limits: connection_limits::Behaviour,
    pub(crate) gossip: Gossip,
    ping: ping::Behaviour,
    direct: Direct,
}

impl Behaviour {
    pub(crate) fn new(
        roster: &Roster,
        session_id: &[u8; 32],
        peers: Arc<Peers>,
        direct_events: Sender<Arrival>,
    ) -> Result<Self, StartError> {
        let n = u32::from(u16::from(roster.quorum));
        let limits = ConnectionLimits::default()
            .with_max_pending_incoming(Some(2 * n + 4))
            .with_max_established_per_peer(Some(2));
        let ping = ping::Config::new().with_interval(PING).with_timeout(PING);
        Ok(Self {
            guard: Guard::new(roster.me, roster.others.clone(), peers.clone()),
            limits: connection_limits::Behaviour::new(limits),
            gossip: gossip(roster, session_id).map_err(StartError::Setup)?,
            ping: ping::Behaviour::new(ping),
            direct: Direct::new(roster.others.clone(), peers, direct_events),
        })
    }
}

/// The gossip topic of a channel: of this session only, so that nothing of another is ever forwarded.
pub(crate) fn topic(session_id: &[u8; 32], channel: Channel) -> IdentTopic {
    let session: String = session_id
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    IdentTopic::new(format!("guildmint/{session}/{}/1", channel.purpose()))
}

fn gossip(roster: &Roster, session_id: &[u8; 32]) -> Result<Gossip, String> {
    let config = gossipsub::ConfigBuilder::default()
        .validation_mode(ValidationMode::Strict)
        // Every message waits for our word whether to forward it; among connected guardians that is waste (SPEC NET-2).
        .validate_messages()
        .max_transmit_size(limits::MAX_PACKET_BYTES + GOSSIP_OVERHEAD)
        .max_control_messages_sent(GOSSIP_ANNOUNCED)
        .max_control_message_size(GOSSIP_CONTROL_BYTES)
        .heartbeat_initial_delay(Duration::from_millis(100))
        .mesh_n(4)
        .mesh_n_low(2)
        .mesh_n_high(8)
        .mesh_outbound_min(1)
        .connection_handler_queue_len(GOSSIP_QUEUE)
        .build()
        .map_err(|error| error.to_string())?;
    let topics = Channel::ALL.map(|channel| topic(session_id, channel));
    let known: HashSet<_> = topics.iter().map(IdentTopic::hash).collect();
    let mut gossip = Gossip::new_with_subscription_filter(
        MessageAuthenticity::Signed(roster.keypair.clone()),
        config,
        WhitelistSubscriptionFilter(known),
    )?;
    for topic in &topics {
        gossip.subscribe(topic).map_err(|error| error.to_string())?;
    }
    Ok(gossip)
}
