//! What comes of a command.

use bitcoin::secp256k1::{PublicKey, XOnlyPublicKey};
use guildmint_core::{Amount, PeerId};
use guildmint_ln::{FeeSchedule, FetchAnswer, PaymentHash};
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
    /// The same was started before, and nothing is done twice.
    AlreadyStarted {
        /// Its name.
        operation: OperationId,
        /// True.
        already_started: bool,
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
    /// Lightning gateways that announce themselves.
    Gateways {
        /// In the order of their keys.
        gateways: Vec<GatewayView>,
    },
    /// What a payment over Lightning would cost.
    LnQuote(LnPrice),
    /// An invoice of an offer. ⚠ To be checked against the offer.
    LnFetched {
        /// Through whom.
        gateway: XOnlyPublicKey,
        /// The invoice.
        answer: FetchAnswer,
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

/// What a payment over Lightning would cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LnPrice {
    /// What the payee gets.
    #[serde(rename = "amount_msat")]
    pub amount: Amount,
    /// What comes on top, all together.
    #[serde(rename = "fee_msat")]
    pub fee: Amount,
    /// For the gateway.
    #[serde(rename = "gateway_fee_msat")]
    pub gateway_fee: Amount,
    /// For the federation, with the notes that are in the wallet now.
    #[serde(rename = "federation_fee_msat")]
    pub federation_fee: Amount,
    /// The gateway.
    pub gateway: XOnlyPublicKey,
    /// Where it is. Hostile text.
    pub gateway_url: String,
    /// The hash of the payment.
    pub payment_hash: PaymentHash,
    /// Until when it can be paid, in seconds since 1970.
    pub expires_at_s: u64,
}

/// A gateway as it announces itself, signed for this federation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GatewayView {
    /// Its key.
    pub gateway: XOnlyPublicKey,
    /// To whom its invoices are paid: its Lightning node; null if it makes none.
    pub node: Option<PublicKey>,
    /// It has no node: it pays nobody but its own users, and they alone can pay its invoices.
    pub swap_only: bool,
    /// Where it is. Hostile text.
    pub url: String,
    /// What it takes for a payment.
    pub send_fees: FeeSchedule,
    /// What it takes for a payment that comes.
    pub receive_fees: FeeSchedule,
    /// Guardians whose operators know it.
    pub vouched_by: Vec<PeerId>,
    /// The last height of the agreed clock at which this holds.
    pub valid_until: u32,
}
