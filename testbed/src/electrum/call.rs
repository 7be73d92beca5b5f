//! A client for Electrum's JSON-RPC.

use std::time::Duration;

use base64::{engine::general_purpose::STANDARD, Engine};
use serde::{de::DeserializeOwned, Deserialize, Serialize};
use serde_json::{json, Value};
use thiserror::Error;

/// No call but those that wait for a payment may take longer.
const LIMIT: Duration = Duration::from_secs(60);
/// How much of an answer an error message quotes.
const QUOTED_CHARS: usize = 300;

/// Where and how one Electrum is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rpc {
    /// `http://127.0.0.1:<port>`.
    pub url: String,
    /// The user name.
    pub user: String,
    /// The password. It protects nothing but worthless coins.
    pub password: String,
}

/// Why Electrum did not do as asked.
#[derive(Debug, Error)]
pub enum CallError {
    /// Nobody answers there, or not in time.
    #[error("electrum at {url} gives no answer to {method}: {error}")]
    Unreachable {
        /// Where it was expected.
        url: String,
        /// The method called.
        method: String,
        /// What went wrong.
        error: minreq::Error,
    },
    /// It says no.
    #[error("electrum refuses {method}: {message}")]
    Refused {
        /// The method called.
        method: String,
        /// Its words.
        message: String,
    },
    /// The answer is not what the method is known to give.
    #[error("electrum's answer to {method} is not understood: {error}: {answer}")]
    Malformed {
        /// The method called.
        method: String,
        /// What is wrong.
        error: String,
        /// The beginning of the answer.
        answer: String,
    },
}

impl CallError {
    pub(super) fn malformed(method: &str, error: &str, answer: &str) -> Self {
        Self::Malformed {
            method: method.into(),
            error: error.into(),
            answer: answer.chars().take(QUOTED_CHARS).collect(),
        }
    }
}

impl Rpc {
    /// On this machine.
    pub fn new(port: u16) -> Self {
        Self {
            url: format!("http://127.0.0.1:{port}"),
            user: "testbed".into(),
            password: "testbed".into(),
        }
    }

    /// Calls a method.
    pub fn call<T: DeserializeOwned>(
        &self,
        method: &str,
        arguments: Value,
    ) -> Result<T, CallError> {
        self.call_within(method, arguments, LIMIT)
    }

    /// Calls a method that may take some time.
    pub fn call_within<T: DeserializeOwned>(
        &self,
        method: &str,
        arguments: Value,
        limit: Duration,
    ) -> Result<T, CallError> {
        let secret = STANDARD.encode(format!("{}:{}", self.user, self.password));
        let body = json!({"jsonrpc": "2.0", "id": 0, "method": method, "params": arguments});
        let response = minreq::post(&self.url)
            .with_header("Authorization", format!("Basic {secret}"))
            .with_body(body.to_string())
            .with_timeout(limit.as_secs())
            .send();
        let response = response.map_err(|error| CallError::Unreachable {
            url: self.url.clone(),
            method: method.into(),
            error,
        })?;
        read(method, response.as_bytes())
    }
}

fn read<T: DeserializeOwned>(method: &str, body: &[u8]) -> Result<T, CallError> {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(default)]
        result: Value,
        error: Option<Refusal>,
    }
    #[derive(Deserialize)]
    struct Refusal {
        message: String,
    }
    let malformed = |error: serde_json::Error| {
        CallError::malformed(method, &error.to_string(), &String::from_utf8_lossy(body))
    };
    let answer: Answer = serde_json::from_slice(body).map_err(malformed)?;
    match answer.error {
        Some(Refusal { message }) => Err(CallError::Refused {
            method: method.into(),
            message,
        }),
        None => serde_json::from_value(answer.result).map_err(malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_and_refusals_are_told_apart() {
        let answered = read("m", br#"{"id": 0, "jsonrpc": "2.0", "result": 7}"#);
        assert!(matches!(answered, Ok(7)));
        assert!(matches!(
            read::<Value>("m", br#"{"id": 0, "jsonrpc": "2.0", "result": null}"#),
            Ok(Value::Null)
        ));
        let refused = br#"{"id": 0, "error": {"code": 1, "message": "wallet not loaded"}}"#;
        assert!(matches!(
            read::<u8>("m", refused),
            Err(CallError::Refused { message, .. }) if message == "wallet not loaded"
        ));
        for nonsense in [&b"Forbidden"[..], br#"{"result": "x"}"#, b""] {
            assert!(matches!(
                read::<u8>("m", nonsense),
                Err(CallError::Malformed { .. })
            ));
        }
    }
}
