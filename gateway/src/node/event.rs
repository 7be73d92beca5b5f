//! What a node tells a gateway.

use guildmint_core::encoding::Wire;
use serde::{Deserialize, Serialize};

use super::{ChannelId, NodeId, PaymentHash, Preimage, RequestId};

/// Bytes of an invoice that was fetched. What is longer is refused as a failed request: honest ones are a tenth of it.
pub const MAX_FETCHED_INVOICE_BYTES: usize = 32 * 1024;

/// Bytes of an event in its row. Its texts are cut so that it fits.
pub const MAX_EVENT_BYTES: usize = MAX_FETCHED_INVOICE_BYTES + 1024;

/// An event, and the number by which it is said to have been handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The node's number for this delivery.
    pub number: u64,
    /// What happened.
    pub event: Event,
}

/// Something that happened to a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = MAX_EVENT_BYTES)]
pub enum Event {
    /// A payment that we sent has arrived. ⚠ Final: what says otherwise later is ignored.
    PaymentSucceeded {
        /// The payment.
        hash: PaymentHash,
        /// Proves it.
        preimage: Preimage,
        /// What the way there cost.
        fee_msat: u64,
    },
    /// A payment that we sent has failed: nothing of it is in flight, and nothing will be. Only after this may a forfeit be signed.
    PaymentFailed {
        /// The payment.
        hash: PaymentHash,
        /// Why.
        reason: PaymentFailure,
    },
    /// All parts of a payment to us have arrived and wait for us.
    Held {
        /// The payment.
        hash: PaymentHash,
        /// What they are worth together; it may be more than was asked for.
        amount_msat: u64,
        /// At this height the node gives them back by itself. ⚠ Do not count on the last blocks before it.
        claim_deadline_height: u32,
    },
    /// What was held is ours.
    Claimed {
        /// The payment.
        hash: PaymentHash,
        /// What it was worth.
        amount_msat: u64,
    },
    /// What was held went back to the payer, because we said so or because the deadline had come.
    Returned {
        /// The payment.
        hash: PaymentHash,
    },
    /// The issuer of an offer sent an invoice.
    Fetched {
        /// Our request.
        request: RequestId,
        /// The payment that it asks for.
        hash: PaymentHash,
        /// What the payee gets.
        amount_msat: u64,
        /// The whole BOLT12 invoice, for the client, who checks it against the offer.
        invoice: Vec<u8>,
    },
    /// No invoice comes.
    FetchFailed {
        /// Our request.
        request: RequestId,
        /// Why.
        reason: FetchFailure,
    },
    /// Something about a channel changed. [`super::NodeState`] has the details.
    Channel {
        /// The channel.
        channel: ChannelId,
        /// With whom.
        peer: NodeId,
        /// What happened.
        change: ChannelChange,
    },
}

/// Why a payment failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PaymentFailure {
    /// The payee refuses: it does not know the invoice, or not this amount.
    Refused,
    /// No way there within the limits on fee and time, or none with enough money on it.
    NoRoute,
    /// Ways were tried until the time was over.
    Retried,
    /// The invoice expired before it was dispatched.
    Expired,
    /// The payee wants a feature that the node lacks.
    Feature,
    /// The gateway stopped between its row and the node: it was never dispatched.
    NeverSent,
    /// Anything else.
    Other,
}

/// Why an invoice could not be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FetchFailure {
    /// Nobody answered in time.
    Timeout,
    /// The issuer answered with a refusal.
    Refused,
    /// What came is no invoice that can be paid.
    Unusable,
}

/// What happened to a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChannelChange {
    /// Its funding waits to be confirmed.
    Pending,
    /// It can be used.
    Ready,
    /// It is closed, or was never opened. Money on the chain may still be locked for some time.
    Closed {
        /// Why, for people; at most [`ChannelChange::MAX_REASON_BYTES`].
        reason: String,
        /// ⚠ The node came back without its last state and had to close: something is wrong with the store.
        stale: bool,
    },
}

impl ChannelChange {
    /// Bytes of a reason; the rest is cut.
    pub const MAX_REASON_BYTES: usize = 512;
}
