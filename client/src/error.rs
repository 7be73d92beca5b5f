//! What can be wrong with a command, in words for people and codes for programs.

use std::collections::BTreeMap;

use guildmint_core::{api::Problem, module::Reject, Amount, FederationId};
use guildmint_ln::{
    client::InvoiceError,
    limits::{MAX_DESCRIPTION_BYTES, MAX_OFFER_BYTES},
};
use serde_json::{json, Value as Json};
use thiserror::Error;

use crate::operation::OperationId;

/// Why a command or an operation failed. Every variant has a stable [`ClientError::code`].
#[derive(Debug, Clone, PartialEq, Error)]
pub enum ClientError {
    /// Not enough notes.
    #[error("this needs {needed}, but only {available} can be spent")]
    InsufficientFunds {
        /// With fees.
        needed: Amount,
        /// What can be spent now.
        available: Amount,
    },
    /// Nothing, or less than any fee.
    #[error("{0} is too little")]
    TooLittle(Amount),
    /// More inputs and outputs than a transaction can have.
    #[error("this would take a transaction of {0} notes; split it")]
    TooManyNotes(usize),
    /// No way to make inputs equal outputs and fees.
    #[error(
        "no set of notes makes {0} with the federation's fees; try a slightly different amount"
    )]
    CannotBalance(Amount),
    /// Notes that cannot be of this federation.
    #[error(
        "these notes are of another federation, which starts with {found}; this wallet's is {ours}"
    )]
    OtherFederation {
        /// The prefix in the notes.
        found: String,
        /// Ours.
        ours: FederationId,
    },
    /// Notes with a wrong signature.
    #[error("{0} of the notes carry no valid signature of the federation")]
    InvalidNotes(usize),
    /// An address that cannot be paid.
    #[error("the address cannot be used: {0}")]
    Address(String),
    /// So little that it would not reach the chain. The sentence says how much must be paid.
    #[error("{0}")]
    Dust(String),
    /// A part of a satoshi on chain.
    #[error("{0} is no whole number of satoshi")]
    NotWholeSatoshi(Amount),
    /// No such operation.
    #[error("there is no operation {0}")]
    NoSuchOperation(OperationId),
    /// An operation of another kind or in another state than the command needs.
    #[error("operation {operation} {problem}")]
    WrongOperation {
        /// Which.
        operation: OperationId,
        /// What is wrong with it.
        problem: String,
    },
    /// The guardians refuse.
    #[error("{message}")]
    Rejected {
        /// Their code.
        code: String,
        /// Their sentence. Hostile text.
        message: String,
        /// Whether it may work later.
        retryable: bool,
    },
    /// Too few guardians answered, or too few of them the same.
    #[error("{answered} guardians gave a useful answer; {needed} are needed")]
    TooFewGuardians {
        /// How many did.
        answered: usize,
        /// How many must.
        needed: usize,
    },
    /// No chain server answered as it should.
    #[error("the chain cannot be looked at: {0}")]
    Chain(String),
    /// The words were used before, and what they had is not found yet.
    #[error(
        "the words of this wallet were used before, and what they have is not found again yet"
    )]
    NotRestored,
    /// A module that this wallet needs is missing from the federation, or is damaged.
    #[error("the federation's config cannot be used: {0}")]
    Federation(String),
    /// The federation was founded without it.
    #[error("this federation has no Lightning")]
    NoLightning,
    /// Nothing that can be paid.
    #[error(transparent)]
    Invoice(#[from] InvoiceError),
    /// None of the gateways that were asked works. Hostile text.
    #[error("no Lightning gateway can be used: {0}")]
    NoGateway(String),
    /// A gateway says what cannot be, or does not do what was agreed.
    #[error("{0}")]
    Gateway(String),
    /// A gateway could not be asked. Hostile text.
    #[error("the gateway {0}")]
    GatewayTrouble(String),
    /// More than the user wants to pay.
    #[error("the fee would be {fee}, and may be {limit} at most")]
    FeeTooHigh {
        /// What it would be.
        fee: Amount,
        /// What it may be.
        limit: Amount,
    },
    /// More than [`MAX_DESCRIPTION_BYTES`](guildmint_ln::limits::MAX_DESCRIPTION_BYTES).
    #[error("{0} bytes of description; at most {max} fit", max = MAX_DESCRIPTION_BYTES)]
    Description(usize),
    /// More than [`MAX_OFFER_BYTES`](guildmint_ln::limits::MAX_OFFER_BYTES).
    #[error("{0} bytes of offer and note; at most {max} fit", max = MAX_OFFER_BYTES)]
    OfferText(usize),
    /// An invoice of no life, or a longer one than gateways make.
    #[error("an invoice cannot hold for {0} seconds; say one second to one day")]
    Expiry(u32),
    /// A stored row or an index is beyond what can be.
    #[error("the wallet has run out of {0}")]
    Exhausted(&'static str),
}

impl ClientError {
    /// A stable name for programs.
    #[must_use]
    pub fn code(&self) -> String {
        match self {
            Self::InsufficientFunds { .. } => "insufficient_funds",
            Self::TooLittle(_) | Self::Dust(_) => "amount_too_small",
            Self::TooManyNotes(_) => "too_many_notes",
            Self::CannotBalance(_) => "cannot_balance",
            Self::OtherFederation { .. } => "other_federation",
            Self::InvalidNotes(_) => "invalid_notes",
            Self::Address(_) => "invalid_address",
            Self::NotWholeSatoshi(_) => "not_whole_satoshi",
            Self::NoSuchOperation(_) => "operation_not_found",
            Self::WrongOperation { .. } => "wrong_operation",
            Self::Rejected { code, .. } => return code.clone(),
            Self::TooFewGuardians { .. } => "too_few_guardians",
            Self::Chain(_) => "chain_unreachable",
            Self::NotRestored => "not_restored",
            Self::Federation(_) => "federation_unusable",
            Self::NoLightning => "no_lightning",
            Self::Invoice(InvoiceError::Expired(_)) => "invoice_expired",
            Self::Invoice(InvoiceError::NoAmount) => "invoice_without_amount",
            Self::Invoice(InvoiceError::Network { .. }) => "other_network",
            Self::Invoice(_) => "invalid_invoice",
            Self::NoGateway(_) => "no_gateway",
            Self::Gateway(_) => "gateway_unusable",
            Self::GatewayTrouble(_) => "gateway_unreachable",
            Self::FeeTooHigh { .. } => "fee_too_high",
            Self::Description(_) => "description_too_long",
            Self::OfferText(_) => "offer_too_long",
            Self::Expiry(_) => "invalid_expiry",
            Self::Exhausted(_) => "exhausted",
        }
        .to_owned()
    }

    /// Whether the same command may succeed later.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            Self::Rejected { retryable, .. } => *retryable,
            Self::TooFewGuardians { .. }
            | Self::InsufficientFunds { .. }
            | Self::Chain(_)
            | Self::NoGateway(_)
            | Self::GatewayTrouble(_) => true,
            _ => false,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn remediation(&self) -> Option<&'static str> {
        Some(match self {
            Self::InsufficientFunds { .. } => {
                "deposit or receive more, or wait for what is pending"
            }
            Self::TooFewGuardians { .. } => {
                "check the network connection and try again; nothing is lost"
            }
            Self::Chain(_) => {
                "check the network connection, or name another Electrum server with --electrum; nothing is lost"
            }
            Self::NotRestored => "`guildmint restore` finds it, or goes on with that",
            Self::NoGateway(_) => "try again later; nothing was locked, and `ln gateways` shows all",
            Self::GatewayTrouble(_) => "nothing is lost; what is locked comes back when its time is over",
            Self::Gateway(_) => "nothing was locked; take another gateway",
            Self::FeeTooHigh { .. } => "nothing was locked; allow more with --max-fee, or ask the price again",
            Self::OtherFederation { .. } => "use the wallet that joined that federation",
            Self::InvalidNotes(_) => "ask the sender for other notes",
            Self::NoSuchOperation(_) => "`operations list` shows all operations",
            Self::Rejected { code, .. } if code == "note_spent" => {
                "the notes were taken by someone else; ask the sender for others"
            }
            Self::Rejected { code, .. } if code == "fee_too_low" => "ask for a new quote",
            _ => return None,
        })
    }

    /// The numbers in it, for programs.
    #[must_use]
    pub fn details(&self) -> BTreeMap<&'static str, Json> {
        match self {
            Self::InsufficientFunds { needed, available } => [
                ("needed_msat", json!(needed.msat())),
                ("available_msat", json!(available.msat())),
            ]
            .into(),
            Self::TooLittle(amount)
            | Self::CannotBalance(amount)
            | Self::NotWholeSatoshi(amount) => [("amount_msat", json!(amount.msat()))].into(),
            Self::NoSuchOperation(operation) | Self::WrongOperation { operation, .. } => {
                [("operation", json!(operation))].into()
            }
            Self::TooFewGuardians { answered, needed } => {
                [("answered", json!(answered)), ("needed", json!(needed))].into()
            }
            Self::InvalidNotes(count) | Self::TooManyNotes(count) => {
                [("notes", json!(count))].into()
            }
            _ => BTreeMap::new(),
        }
    }
}

impl From<Reject> for ClientError {
    fn from(reject: Reject) -> Self {
        Self::Rejected {
            code: reject.code,
            message: reject.message,
            retryable: reject.retryable,
        }
    }
}

impl From<Problem> for ClientError {
    fn from(problem: Problem) -> Self {
        Self::Rejected {
            code: problem.code,
            message: problem.detail,
            retryable: problem.retryable,
        }
    }
}
