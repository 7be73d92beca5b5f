//! What comes of a command.

use guildmint_core::Amount;
use serde::Serialize;
use serde_json::Value as Json;

use crate::operation::OperationId;

/// What comes of a command.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Reply {
    /// An operation is stored and under way; the notes or transactions follow from it.
    Started {
        /// Its name.
        operation: OperationId,
    },
    /// Nothing to tell.
    Done {},
    /// What guardians say of themselves and together.
    Info {
        /// The last answer to `GET /v1/status` of each guardian that gave one, by index.
        guardians: Json,
        /// The balance sheet on which f + 1 guardians agree; null if they do not.
        audit: Json,
    },
    /// What a withdrawal would cost.
    Quote {
        /// For the miners.
        fee_sat: u64,
        /// For the federation, at most.
        #[serde(rename = "federation_fee_msat")]
        federation_fee: Amount,
    },
    /// Whether notes are good.
    Validation {
        /// What they are worth, spent ones included.
        #[serde(rename = "amount_msat")]
        amount: Amount,
        /// How many there are.
        notes: usize,
        /// How many of them are spent.
        spent: usize,
        /// What the unspent ones are worth.
        #[serde(rename = "unspent_msat")]
        unspent: Amount,
    },
    /// What came of a question to guardians.
    Answer {
        /// As its rule says.
        answer: Json,
    },
}
