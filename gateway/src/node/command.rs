//! What a gateway asks of a node.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{NodeId, PaymentHash, Peer, Preimage, RequestId};

/// Something to start. Its outcome is an event.
///
/// ⚠ All may be repeated: a gateway that restarts repeats those whose outcome it has not seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Pay a BOLT11 invoice. ⚠ A hash is dispatched once, ever (SPEC GW-3): repeating it dispatches nothing, and if the payment has ended
    /// makes the node tell its end again.
    Pay(PaymentOrder),
    /// Claim held HTLCs. Repeated for claimed ones, makes the node tell that again.
    Claim {
        /// Its hash names the HTLCs.
        preimage: Preimage,
    },
    /// Give held HTLCs back to the payer. Repeated for returned ones, makes the node tell that again.
    Fail {
        /// The HTLCs.
        hash: PaymentHash,
    },
    /// Ask the issuer of a BOLT12 offer for an invoice. Repeated, asks nothing, and if an answer came makes the node tell it again.
    Fetch(FetchOrder),
    /// Pay an invoice that was fetched. As [`Command::Pay`], by the invoice's hash.
    PayFetched {
        /// The request that fetched it.
        request: RequestId,
        /// The hash of the invoice that is meant.
        hash: PaymentHash,
    },
    /// Forget an invoice that was fetched and is not going to be paid. No event follows.
    Abandon {
        /// The request that fetched it.
        request: RequestId,
    },
}

/// A BOLT11 invoice to pay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentOrder {
    /// The payment, and the node's name for it.
    pub hash: PaymentHash,
    /// The invoice as text. ⚠ Refused if its hash is another, or its amount is.
    pub invoice: String,
    /// What the payee gets.
    pub amount_msat: u64,
    /// What may be paid for the way there, at most.
    pub max_fee_msat: u64,
    /// How many blocks from now the first HTLC may be locked, at most.
    pub max_total_cltv_delta: u32,
}

/// An offer whose invoice is wanted. What the payment may cost is said here, because the node keeps it with the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchOrder {
    /// The gateway's name for it.
    pub request: RequestId,
    /// The offer as text, `lno1…`.
    pub offer: String,
    /// What to pay, if the offer leaves it open.
    pub amount_msat: Option<u64>,
    /// A word for the payee.
    pub note: Option<String>,
    /// What may be paid for the way there, at most.
    pub max_fee_msat: u64,
    /// How many blocks from now the first HTLC may be locked, at most.
    pub max_total_cltv_delta: u32,
}

/// An invoice to make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvoiceOrder {
    /// The hash of a preimage that somebody else has.
    pub hash: PaymentHash,
    /// What the payer pays. Invoices without an amount are not made.
    pub amount_msat: u64,
    /// What it is for; at most 639 bytes.
    pub description: String,
    /// For how long it is valid.
    pub expiry_s: u32,
    /// For how many blocks HTLCs that arrive must at least be locked. SPEC GW-2 asks for 144.
    pub min_final_cltv_delta: u16,
}

/// An invoice of the operator's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnInvoiceOrder {
    /// What the payer pays; absent: what the payer likes.
    pub amount_msat: Option<u64>,
    /// What it is for; at most 639 bytes.
    pub description: String,
    /// For how long it is valid.
    pub expiry_s: u32,
}

/// A BOLT12 offer of the operator's own. It can be paid again and again, and does not expire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnOfferOrder {
    /// What each payer pays; absent: what the payer likes.
    pub amount_msat: Option<u64>,
    /// What it is for.
    pub description: String,
}

/// A payment on the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawal {
    /// Whom to pay.
    pub address: String,
    /// How much the address gets.
    pub amount_sat: u64,
    /// What to pay miners, in satoshi per 1000 virtual bytes; absent: what the node estimates.
    pub fee_sat_per_kvb: Option<u64>,
}

/// A channel to open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelOrder {
    /// With whom.
    pub peer: Peer,
    /// How much of our own to put into it.
    pub amount_sat: u64,
    /// How much of that the peer gets as a gift.
    pub push_msat: u64,
    /// Whether others may route through it.
    pub public: bool,
}

/// How to close a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Closing {
    /// Together with the peer.
    Cooperative,
    /// Alone, because the peer does not answer. Our money is locked for some time.
    Forced,
}

/// Why a node does not do something. Nothing was started.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
pub enum Refusal {
    /// The gateway has no Lightning node.
    #[error("this gateway has no Lightning node; it only swaps")]
    NoNode,
    /// The node stops, or lost its database.
    #[error("the Lightning node has stopped; start the gateway again")]
    Stopped,
    /// The node does not see the chain well enough to take on new risks.
    #[error("the Lightning node does not follow the chain: {0}; look at its Electrum server")]
    NotSynced(String),
    /// What was asked cannot be read.
    #[error("{what} is not understood: {reason}")]
    Malformed {
        /// Which part.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The invoice is for another network.
    #[error("the invoice is for {0}")]
    OtherNetwork(String),
    /// The invoice has another hash.
    #[error("the invoice is on hash {invoice}, not {order}")]
    OtherHash {
        /// The invoice's.
        invoice: PaymentHash,
        /// The order's.
        order: PaymentHash,
    },
    /// The invoice has another amount.
    #[error("the invoice asks for {invoice_msat} msat, not {order_msat}")]
    OtherAmount {
        /// The invoice's.
        invoice_msat: u64,
        /// The order's.
        order_msat: u64,
    },
    /// Another invoice was paid on the hash.
    #[error("hash {0} was used for another payment; ask the payee for a new invoice")]
    HashUsed(PaymentHash),
    /// The invoice is the node's own: a swap pays it, and nothing else can (SPEC GW-4).
    #[error("the invoice is this node's own; it is paid by a swap")]
    OwnInvoice,
    /// The invoice cannot be paid any more.
    #[error("the invoice has expired; ask the payee for a new one")]
    Expired,
    /// No HTLCs are held on the hash.
    #[error("nothing is held on hash {0}")]
    NothingHeld(PaymentHash),
    /// They were already claimed, or given back.
    #[error("what was held on hash {0} has already been {1}")]
    Settled(PaymentHash, String),
    /// No such request for an invoice.
    #[error("no invoice was fetched by {0}")]
    NotFetched(RequestId),
    /// An amount is out of bounds.
    #[error("{amount_sat} sat is out of bounds: {reason}")]
    Amount {
        /// The amount.
        amount_sat: u64,
        /// What the bounds are.
        reason: String,
    },
    /// The wallet has too little that it may spend.
    #[error("the node's wallet can spend {spendable_sat} sat ({reserved_sat} sat are kept for closing anchor channels); {needed_sat} sat are needed")]
    Funds {
        /// What it may spend.
        spendable_sat: u64,
        /// What it keeps.
        reserved_sat: u64,
        /// What was asked for, with fees.
        needed_sat: u64,
    },
    /// The peer cannot be reached.
    #[error("{peer} at {address} cannot be reached: {reason}")]
    Unreachable {
        /// The peer.
        peer: NodeId,
        /// Where it was tried.
        address: String,
        /// Why not.
        reason: String,
    },
    /// The library refuses.
    #[error("the Lightning node refuses: {0}")]
    Node(String),
}
