//! The port to a Lightning node.
//!
//! A gateway's rules ask for things by [`Command`]s, hear of them by [`Event`]s, and look at the node by [`NodeState`]. All are plain
//! data: no type of a Lightning library is among them. Behind [`LightningNode`] is LDK, nothing ([`NoNode`]: a gateway that only swaps), or a
//! network in memory (`fake`, for tests).
//!
//! **Delivery.** An event is delivered at least once, in any order, also after restarts, until the gateway says that it was handled;
//! so whoever handles one first makes what follows from it a row, and an event whose row exists already changes nothing.

mod command;
mod event;
#[cfg(feature = "fake")]
pub mod fake;
mod ids;
mod none;
mod state;

use std::sync::Arc;

pub use command::{
    ChannelOrder, Closing, Command, FetchOrder, InvoiceOrder, OwnInvoiceOrder, OwnOfferOrder,
    PaymentOrder, Refusal, Withdrawal,
};
pub use event::{
    ChannelChange, Delivery, Event, FetchFailure, PaymentFailure, MAX_EVENT_BYTES,
    MAX_FETCHED_INVOICE_BYTES,
};
pub use ids::{ChainTxid, ChannelId, NodeId, ParseIdError, PaymentHash, Preimage, RequestId};
pub use none::{Clock, NoNode};
pub use state::{
    Balances, Channel, HeldHtlcs, NodeState, Peer, SentPayment, SentState, MAX_LISTED,
};

/// Called, from any thread, when there is something to fetch. It must return at once.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// A Lightning node, as a gateway sees it.
///
/// Calls may wait for a database or a peer: make them where waiting harms nobody. What they have done is durable when they return.
pub trait LightningNode: Send + Sync {
    /// Starts something whose outcome an [`Event`] tells. Each command may be repeated, after a restart too: see [`Command`].
    ///
    /// # Errors
    /// If it was refused. Then nothing was started, and no event follows.
    fn command(&self, command: Command) -> Result<(), Refusal>;

    /// Events that wait to be handled, the oldest first if the node knows. At most `limit`, and at most [`MAX_LISTED`].
    ///
    /// # Errors
    /// If the node cannot read them.
    fn events(&self, limit: usize) -> Result<Vec<Delivery>, Refusal>;

    /// What followed from an event is durable, so it need not be delivered again.
    ///
    /// # Errors
    /// If the node cannot note it; the event is delivered again then.
    fn handled(&self, number: u64) -> Result<(), Refusal>;

    /// Sets whom to call when events wait.
    fn wake_with(&self, wake: Wake);

    /// The node at this moment.
    fn state(&self) -> NodeState;

    /// The payment sent on a hash, for reconciliation. `None` if the node was never asked to pay it.
    ///
    /// # Errors
    /// If the node cannot look it up.
    fn sent(&self, hash: PaymentHash) -> Result<Option<SentPayment>, Refusal>;

    /// Payments sent whose end is not known yet: all hashes after `after`, at most [`MAX_LISTED`].
    ///
    /// # Errors
    /// If the node cannot list them.
    fn in_flight(&self, after: Option<PaymentHash>) -> Result<Vec<SentPayment>, Refusal>;

    /// HTLCs that are held now, after the hash `after`, at most [`MAX_LISTED`].
    ///
    /// # Errors
    /// If the node cannot list them.
    fn held(&self, after: Option<PaymentHash>) -> Result<Vec<HeldHtlcs>, Refusal>;

    /// Makes a BOLT11 invoice whose payee is the node, on a hash whose preimage it does not know (SPEC GW-2).
    ///
    /// # Errors
    /// If the node refuses; nothing is promised then.
    fn make_invoice(&self, order: &InvoiceOrder) -> Result<String, Refusal>;

    /// Makes a BOLT11 invoice of the operator's own: what is paid on it is the node's, and no federation's. ⚠ Its hash is drawn by the node, so
    /// that it is nobody else's, and no event tells of it.
    ///
    /// # Errors
    /// If the node refuses; nothing is promised then.
    fn make_own_invoice(&self, order: &OwnInvoiceOrder) -> Result<String, Refusal>;

    /// Makes a BOLT12 offer of the operator's own: what is paid on it is the node's, as with invoices of the operator's own.
    ///
    /// # Errors
    /// If the node refuses: without a public channel no payer could reach it.
    fn make_own_offer(&self, order: &OwnOfferOrder) -> Result<String, Refusal>;

    /// Peers with whom there are channels, and others that the operator connected to.
    ///
    /// # Errors
    /// If the node cannot list them.
    fn peers(&self) -> Result<Vec<Peer>, Refusal>;

    /// An address of the node's own wallet, not used before.
    ///
    /// # Errors
    /// If the node has no wallet.
    fn new_address(&self) -> Result<String, Refusal>;

    /// Pays from the node's own wallet; never from what anchor channels need in reserve.
    ///
    /// # Errors
    /// If it does not have so much.
    fn withdraw(&self, order: &Withdrawal) -> Result<ChainTxid, Refusal>;

    /// Connects to a peer and stays connected as long as there is a channel.
    ///
    /// # Errors
    /// If the peer cannot be reached.
    fn connect(&self, peer: &Peer) -> Result<(), Refusal>;

    /// Opens a channel with a peer, which is connected to first. [`Event::Channel`] tells how it goes on.
    ///
    /// # Errors
    /// If it cannot be opened.
    fn open_channel(&self, order: &ChannelOrder) -> Result<ChannelId, Refusal>;

    /// Closes a channel. [`Event::Channel`] tells when it is closed.
    ///
    /// # Errors
    /// If there is no such channel, or it cannot be closed so.
    fn close_channel(&self, channel: ChannelId, closing: Closing) -> Result<(), Refusal>;
}
