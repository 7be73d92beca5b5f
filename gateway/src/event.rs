//! What the gateway is told and what it asks for.

use bitcoin::Network;
use guildmint_core::{ledger::Changes, FederationId};
use guildmint_ln::{FetchRequest, InvoiceRequest, PayRequest};
use serde::{Deserialize, Serialize};

use crate::{
    call::{Answer, Call},
    error::GatewayError,
    federation::{News, Order},
    node::{Delivery, NodeState},
    reply::Reply,
    settings::Settings,
    warning::Warning,
};

/// A point in time: milliseconds since 1970, by the shell's clock.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Millis(pub u64);

impl Millis {
    /// This much later.
    #[must_use]
    pub const fn after_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// How long ago `earlier` was; 0 if it was not.
    #[must_use]
    pub const fn since_ms(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Pairs a command with its reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// Pairs a save with the news that it is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SaveId(pub u64);

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// It is this late. The first of these wakes everything that was pending; the shell sends one before other events and
    /// whenever [`Action::WakeAt`] asked for it.
    Time {
        /// How late.
        now: Millis,
    },
    /// A user or the operator wants something.
    Command {
        /// Comes back in [`Action::Reply`].
        ticket: Ticket,
        /// What.
        command: Command,
    },
    /// Changes are durable. Saves become durable in the order in which they were asked for.
    Saved {
        /// Which.
        save: SaveId,
    },
    /// A federation has something to tell.
    Federation {
        /// Which.
        federation: FederationId,
        /// What.
        news: News,
    },
    /// The node delivers an event. One that cannot be judged yet is not said to be handled, and is to be delivered again.
    Node(Delivery),
    /// The node's answer to a call that has one.
    Answered(Answer),
    /// What the node looks like now. The shell tells at the start, and whenever it has changed.
    NodeState(Box<NodeState>),
}

/// What somebody wants.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::large_enum_variant)] // one at a time
pub enum Command {
    /// A user has funded a contract and wants an invoice paid. Answered when it has ended; asking again is safe.
    Pay(PayRequest),
    /// A user wants an invoice on the hash of an offer. Asking again for the same offer gives the same invoice.
    Invoice(InvoiceRequest),
    /// A user wants an invoice of a BOLT12 offer, to fund a contract on its hash.
    Fetch(FetchRequest),
    /// The operator: serve this federation, or serve it so from now on.
    Serve {
        /// Which.
        federation: FederationId,
        /// Its network.
        network: Network,
        /// How.
        settings: Settings,
    },
    /// The operator: begin nothing new in this federation. What has begun is brought to an end.
    Leave {
        /// Which.
        federation: FederationId,
    },
    /// The operator has looked into why the gateway halted, and wants it to go on.
    Resume,
}

/// Something that the shell must do. In the order given.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::large_enum_variant)] // short-lived
pub enum Action {
    /// Write these changes durably, in one piece, then say [`Event::Saved`]. What depends on them is held back until then.
    Save {
        /// Comes back.
        save: SaveId,
        /// The changes.
        changes: Changes,
    },
    /// Call the node ([`Call::make`]), and give back the answer, if there is one. ⚠ One call after the other.
    Node(Call),
    /// Have the federation's client do this. Its news tells what comes of it.
    Federation {
        /// Which.
        federation: FederationId,
        /// What.
        order: Order,
    },
    /// Send [`Event::Time`] at this time. Replaces the last wish.
    WakeAt {
        /// When.
        at: Millis,
    },
    /// Tell who asked.
    Reply {
        /// Whose command.
        ticket: Ticket,
        /// What came of it.
        result: Result<Reply, GatewayError>,
    },
    /// Tell the operator.
    Warn(Warning),
}
