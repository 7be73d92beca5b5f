//! What the carrier is told and what it asks for.

use guildmint_core::PeerId;
use guildmint_gateway::federation::{News, Order};
use guildmint_ln::ContractId;

/// Something that happened.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant)] // few at a time
pub enum Event {
    /// To the wallet. Tickets of its commands are below 2^63: those above are the carrier's.
    Client(guildmint_client::Event),
    /// The gateway wants something.
    Order(Order),
}

/// Something that the shell must do. In the order given.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::large_enum_variant)] // few at a time
pub enum Action {
    /// For the wallet.
    Client(guildmint_client::Action),
    /// Tell the gateway.
    News(News),
    /// Tell the operator: this guardian gave a wrong share, so it lies or is broken.
    WrongShare {
        /// Who.
        guardian: PeerId,
        /// Of which contract.
        contract: ContractId,
    },
}
