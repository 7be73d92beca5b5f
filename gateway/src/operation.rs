//! Operations: what was begun and must be brought to an end, whatever happens in between.
//!
//! Each kind is a small state machine in a file of its own. Its states are rows; what it wants of the world it leaves on a
//! [`Desk`](crate::desk::Desk), and gets only after its row is saved. What has happened twice, or in another order, changes nothing.

pub(crate) mod fetch;
pub(crate) mod pay;
pub(crate) mod receive;

use guildmint_core::FederationId;
use guildmint_ln::ContractId;
use serde::{Deserialize, Serialize};

pub(crate) use fetch::Fetch;
pub(crate) use pay::Outgoing;
pub(crate) use receive::Incoming;

/// A contract, among those of all federations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ContractKey {
    /// The federation.
    pub federation: FederationId,
    /// The contract.
    pub contract: ContractId,
}

impl From<(FederationId, ContractId)> for ContractKey {
    fn from((federation, contract): (FederationId, ContractId)) -> Self {
        Self {
            federation,
            contract,
        }
    }
}

/// What a payment is to the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A user's contract for an invoice somewhere on Lightning.
    Pay,
    /// HTLCs for a user's offer.
    Receive,
    /// A user's contract for another user's offer.
    Swap,
}
