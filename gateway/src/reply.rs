//! What comes of a command.

use guildmint_core::{Amount, Bytes, FederationId};
use guildmint_ln::{FetchAnswer, Forfeit, GatewayReply, InvoiceHash, PaymentHash, Preimage};

use crate::node::RequestId;

/// What comes of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::large_enum_variant)] // one at a time
pub enum Reply {
    /// The invoice is paid.
    Paid(Preimage),
    /// It will not be paid: this has the contract refunded.
    GivenUp(Forfeit),
    /// An invoice, to be shown to a payer.
    Invoice(String),
    /// An invoice of an offer, to be checked against it.
    Fetched(Fetched),
    /// Done.
    Done,
}

impl Reply {
    /// What a wallet that asked for a payment is answered.
    #[must_use]
    pub fn to_wallet(&self) -> Option<GatewayReply> {
        match self {
            Self::Paid(preimage) => Some(GatewayReply::Paid(*preimage)),
            Self::GivenUp(forfeit) => Some(GatewayReply::Forfeit(*forfeit)),
            Self::Invoice(_) | Self::Fetched(_) | Self::Done => None,
        }
    }
}

/// An invoice that was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// What the gateway calls it. It is what a [`PayRequest`](guildmint_ln::PayRequest) names in place of an invoice.
    pub request: RequestId,
    /// In which federation the contract must be.
    pub federation: FederationId,
    /// The hash of the payment.
    pub hash: PaymentHash,
    /// What the payee gets.
    pub amount: Amount,
    /// What must be in the contract at least: that, and the gateway's fee.
    pub contract_amount: Amount,
    /// The BOLT12 invoice.
    pub invoice: Vec<u8>,
    /// What the contract names it by.
    pub invoice_hash: InvoiceHash,
}

impl From<Fetched> for FetchAnswer {
    fn from(fetched: Fetched) -> Self {
        Self {
            request: Bytes(fetched.request.0),
            hash: fetched.hash,
            amount_msat: fetched.amount,
            contract_amount_msat: fetched.contract_amount,
            invoice: hex::encode(&fetched.invoice),
            invoice_hash: fetched.invoice_hash,
        }
    }
}
