//! Requests to Lightning gateways, without the network that carries them (SPEC LN-6).

use guildmint_ln::{limits, FetchRequest, InvoiceRequest, PayRequest};
use serde_json::Value as Json;

/// How long a gateway may hold the question what became of a payment.
const WAIT_SECONDS: u64 = 60;

/// Bytes of an answer beyond which it is not read: an invoice of the longest kind, in hexadecimal, or what is told of all federations.
const MAX_ANSWER_BYTES: usize = 4 * limits::MAX_INVOICE_BYTES + 64 * 1024;

/// Names a gateway in a federation.
pub type GatewayKey = bitcoin::secp256k1::XOnlyPublicKey;

/// A request to a gateway. ⚠ None of its answers is believed unproven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GatewayCall {
    /// `GET /v1/gateway`: whether it works.
    Info,
    /// `POST /v1/pay?wait=…`: a contract is funded. Safe to repeat.
    Pay(PayRequest),
    /// `POST /v1/invoice`: an invoice on an offer's hash. Safe to repeat.
    Invoice(Box<InvoiceRequest>),
    /// `POST /v1/fetch`: an invoice of a BOLT12 offer.
    Fetch(FetchRequest),
}

impl GatewayCall {
    /// The path and query, from `/v1` on.
    #[must_use]
    pub fn path(&self) -> String {
        match self {
            Self::Info => "/v1/gateway".to_owned(),
            Self::Pay(_) => format!("/v1/pay?wait={WAIT_SECONDS}"),
            Self::Invoice(_) => "/v1/invoice".to_owned(),
            Self::Fetch(_) => "/v1/fetch".to_owned(),
        }
    }

    /// The body, for a POST; anything else is a GET.
    #[must_use]
    pub fn body(&self) -> Option<Json> {
        match self {
            Self::Info => None,
            Self::Pay(request) => serde_json::to_value(request).ok(),
            Self::Invoice(request) => serde_json::to_value(request).ok(),
            Self::Fetch(request) => serde_json::to_value(request).ok(),
        }
    }

    /// When to give up on this request, in milliseconds.
    #[must_use]
    pub fn deadline_ms(&self) -> u64 {
        match self {
            Self::Info => 5_000,
            Self::Pay(_) => 10_000 + WAIT_SECONDS * 1_000,
            Self::Invoice(_) => 20_000,
            // A payee that is asked by onion messages has a minute or two.
            Self::Fetch(_) => 150_000,
        }
    }

    /// Bytes of an answer beyond which it is not read. A gateway that sends more counts as one that did not answer.
    #[must_use]
    pub fn max_answer_bytes(&self) -> usize {
        MAX_ANSWER_BYTES
    }
}
