//! A node at one moment.

use serde::{Deserialize, Serialize};

use super::{ChannelId, NodeId, PaymentFailure, PaymentHash, Preimage};

/// Entries of one list, whatever was asked for. Ask on with `after`.
pub const MAX_LISTED: usize = 256;

/// A peer and where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Its key.
    pub id: NodeId,
    /// `host:port`.
    pub address: String,
}

/// A node, for health, limits and the operator.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NodeState {
    /// Its key, to which its invoices are paid.
    pub node_id: Option<NodeId>,
    /// There is no node: the key does nothing but sign invoices, which only this gateway's users can pay. All else is as of a node that has nothing.
    pub swap_only: bool,
    /// The height up to which it knows the chain.
    pub height: u32,
    /// When it last was at the tip, in milliseconds since 1970. Absent if never since the start.
    pub synced_at_ms: Option<u64>,
    /// Why it takes nothing new, if it does not.
    pub trouble: Option<String>,
    /// Its money.
    pub balances: Balances,
    /// Its channels.
    pub channels: Vec<Channel>,
    /// How many peers are connected.
    pub peers: u32,
}

/// A node's money. No part is in two of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Balances {
    /// In the wallet, confirmed, and free to be spent.
    pub wallet_msat: u64,
    /// In the wallet, kept for closing anchor channels.
    pub reserved_msat: u64,
    /// To the wallet, not confirmed yet.
    pub unconfirmed_msat: u64,
    /// Ours in channels, apart from HTLCs.
    pub channels_msat: u64,
    /// Ours of closed channels, on its way to the wallet.
    pub closing_msat: u64,
}

/// A channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    /// Its name.
    pub id: ChannelId,
    /// With whom.
    pub peer: NodeId,
    /// `txid:index` of the output that funds it, once there is one.
    pub funding: Option<String>,
    /// All money in it.
    pub capacity_sat: u64,
    /// What we can send through it now.
    pub outbound_msat: u64,
    /// What we can receive through it now.
    pub inbound_msat: u64,
    /// Whether it is confirmed, so that it can be used when the peer is connected.
    pub ready: bool,
    /// Whether it can be used now.
    pub usable: bool,
    /// Whether others may route through it.
    pub public: bool,
}

/// A payment that the node was asked to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentPayment {
    /// The payment.
    pub hash: PaymentHash,
    /// What the payee is to get.
    pub amount_msat: u64,
    /// How far it has come.
    pub state: SentState,
}

/// How far a payment has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SentState {
    /// Some of it may be in flight.
    InFlight,
    /// It arrived.
    Succeeded {
        /// Proves it.
        preimage: Preimage,
        /// What the way there cost.
        fee_msat: u64,
    },
    /// It failed, and nothing of it is in flight.
    Failed(PaymentFailure),
}

/// HTLCs that wait to be claimed or failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldHtlcs {
    /// The payment.
    pub hash: PaymentHash,
    /// What they are worth together.
    pub amount_msat: u64,
    /// At this height the node gives them back by itself.
    pub claim_deadline_height: u32,
}
