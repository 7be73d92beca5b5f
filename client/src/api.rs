//! Requests to guardians, without the network that carries them.

use std::collections::BTreeMap;

use guildmint_core::{
    api::Problem,
    limits::{self, MAX_WAIT_SECONDS},
    TxId,
};
use thiserror::Error;

/// A request to one guardian's public API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApiRequest {
    /// `POST /v1/transactions`: these are the canonical bytes. Safe to repeat (SPEC TX-6).
    Submit(Vec<u8>),
    /// `GET /v1/transactions/{txid}?wait=…`.
    Transaction {
        /// Which.
        txid: TxId,
        /// How long the guardian may hold the request until it knows more.
        wait_seconds: u64,
    },
    /// `GET /v1/config`.
    Config,
    /// `GET /v1/announcements`.
    Announcements,
    /// `GET /v1/revisions?after=…`.
    Revisions {
        /// The number of the last that is known.
        after: u32,
    },
    /// `GET /v1/status`.
    Status,
    /// `GET /v1/audit`.
    Audit,
    /// `GET /v1/<module kind>/<path>?<parameters>`.
    Module {
        /// The module's kind.
        kind: &'static str,
        /// What follows it in the path.
        path: String,
        /// The parameters.
        parameters: BTreeMap<String, String>,
    },
}

impl ApiRequest {
    /// The path and query, from `/v1` on.
    #[must_use]
    pub fn path(&self) -> String {
        match self {
            Self::Submit(_) => "/v1/transactions".to_owned(),
            Self::Transaction { txid, wait_seconds } => {
                format!("/v1/transactions/{txid}?wait={wait_seconds}")
            }
            Self::Config => "/v1/config".to_owned(),
            Self::Announcements => "/v1/announcements".to_owned(),
            Self::Revisions { after } => format!("/v1/revisions?after={after}"),
            Self::Status => "/v1/status".to_owned(),
            Self::Audit => "/v1/audit".to_owned(),
            Self::Module {
                kind,
                path,
                parameters,
            } => {
                let query: Vec<_> = parameters
                    .iter()
                    .map(|(name, value)| format!("{}={}", escape(name), escape(value)))
                    .collect();
                let mark = if query.is_empty() { "" } else { "?" };
                format!("/v1/{kind}/{path}{mark}{}", query.join("&"))
            }
        }
    }

    /// The body, for a POST; anything else is a GET.
    #[must_use]
    pub fn body(&self) -> Option<&[u8]> {
        match self {
            Self::Submit(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// When to give up on this request, in milliseconds.
    #[must_use]
    pub fn deadline_ms(&self) -> u64 {
        match self {
            Self::Submit(_) | Self::Config => 15_000,
            Self::Transaction { wait_seconds, .. } => 10_000 + wait_seconds * 1_000,
            Self::Module { parameters, .. } => {
                let wait = parameters.get("wait").and_then(|wait| wait.parse().ok());
                8_000 + wait.unwrap_or(0_u64).min(MAX_WAIT_SECONDS) * 1_000
            }
            _ => 8_000,
        }
    }

    /// Bytes of an answer beyond which it is not read. A guardian that sends more counts as one that did not answer.
    #[must_use]
    pub fn max_answer_bytes(&self) -> usize {
        match self {
            // Hexadecimal doubles it; addresses come on top.
            Self::Config => 2 * limits::MAX_CONFIG_BYTES + 64 * 1024,
            _ => 1024 * 1024,
        }
    }
}

/// Percent-encodes all that is not unreserved (RFC 3986).
fn escape(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// Why a guardian's answer cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RequestError {
    /// No connection, or one that broke.
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    /// No answer in time.
    #[error("did not answer within {0} ms")]
    TimedOut(u64),
    /// It said what is wrong.
    #[error("answered {}: {}", .0.code, .0.detail)]
    Problem(Problem),
    /// It answered, but not in the protocol.
    #[error("gave an answer that cannot be read: {0}")]
    Malformed(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_api() {
        let request = ApiRequest::Module {
            kind: "wallet",
            path: "peg-out-quote".into(),
            parameters: [
                ("address".into(), "bc1 q&x".into()),
                ("amount_sat".into(), "5".into()),
            ]
            .into(),
        };
        assert_eq!(
            request.path(),
            "/v1/wallet/peg-out-quote?address=bc1%20q%26x&amount_sat=5"
        );
        assert_eq!(
            ApiRequest::Transaction {
                txid: TxId([0xab; 32]),
                wait_seconds: 30
            }
            .path(),
            format!("/v1/transactions/{}?wait=30", "ab".repeat(32))
        );
        assert_eq!(ApiRequest::Status.body(), None);
    }
}
