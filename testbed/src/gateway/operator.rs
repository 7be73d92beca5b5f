//! What an operator asks of a gateway.

use std::{fs, io, path::PathBuf, time::Duration};

use bitcoin::{Address, Amount};
use serde::{de::DeserializeOwned, Deserialize};
use serde_json::{json, Value};
use thiserror::Error;

use super::Gateway;

/// No request may take longer; opening a channel is the slowest.
const LIMIT: Duration = Duration::from_secs(90);
/// How much of an answer an error message quotes.
const QUOTED_CHARS: usize = 500;

/// Why a gateway did not do as its operator wants.
#[derive(Debug, Error)]
pub enum OperatorError {
    /// Its token cannot be read: it does not run, or never has.
    #[error("{}: {error}", .path.display())]
    Token {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Nobody answers there, or not in time.
    #[error("no answer from {url}: {error}")]
    Unreachable {
        /// Where it was expected.
        url: String,
        /// What went wrong.
        error: minreq::Error,
    },
    /// It says no.
    #[error("{url} refuses ({status}): {answer}")]
    Refused {
        /// What was asked.
        url: String,
        /// The HTTP status.
        status: u16,
        /// Its words.
        answer: String,
    },
    /// The answer is not what was expected.
    #[error("the answer of {url} is not understood: {error}: {answer}")]
    Malformed {
        /// What was asked.
        url: String,
        /// What is wrong.
        error: String,
        /// The beginning of the answer.
        answer: String,
    },
}

impl OperatorError {
    /// Whether it may have been the moment: the gateway is not there, or cannot yet.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Token { .. } | Self::Unreachable { .. })
            || matches!(self, Self::Refused { answer, .. } if answer.contains("\"retryable\":true"))
    }
}

/// What an operator sees at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Status {
    /// `key@host:port`, for other nodes.
    pub connect: Vec<String>,
    /// Its node.
    pub node: NodeFacts,
    /// The federations that it serves.
    pub federations: Vec<FederationFacts>,
    /// Payments under way.
    pub open: u64,
    /// What went wrong lately, for people.
    pub warnings: Vec<Value>,
}

/// A gateway's node.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct NodeFacts {
    /// The height up to which it knows the chain.
    pub height: u64,
    /// When it last knew all of the chain, in milliseconds since 1970.
    pub synced_at_ms: Option<u64>,
    /// Its money.
    pub balances: Balances,
    /// Its channels.
    pub channels: Vec<ChannelFacts>,
}

/// A node's money, no part of it twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Balances {
    /// In the wallet, and free.
    pub wallet_msat: u64,
    /// In the wallet, kept for closing channels.
    pub reserved_msat: u64,
    /// To the wallet, and not confirmed.
    pub unconfirmed_msat: u64,
    /// In channels.
    pub channels_msat: u64,
    /// Of closed channels, on its way to the wallet.
    pub closing_msat: u64,
}

impl Balances {
    /// All of it.
    pub fn total_msat(&self) -> u64 {
        self.wallet_msat
            + self.reserved_msat
            + self.unconfirmed_msat
            + self.channels_msat
            + self.closing_msat
    }
}

/// A channel.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ChannelFacts {
    /// Its name in hex.
    pub id: String,
    /// The peer's key in hex.
    pub peer: String,
    /// `txid:index` of the output that funds it.
    pub funding: Option<String>,
    /// What can be sent through it now.
    pub outbound_msat: u64,
    /// What can be received through it now.
    pub inbound_msat: u64,
    /// Whether it is confirmed.
    pub ready: bool,
    /// Whether it can be used now.
    pub usable: bool,
}

/// A federation that a gateway serves.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct FederationFacts {
    /// Its identity, in hex.
    pub id: String,
    /// The gateway's key in it.
    pub key: String,
    /// Why nothing new is begun in it now.
    pub trouble: Option<String>,
    /// Notes that can be spent.
    pub ecash_msat: u64,
    /// Notes that are on their way in.
    pub pending_msat: u64,
}

/// Where to pay e-cash in, and by what name to ask for it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Deposit {
    /// The operation.
    #[serde(alias = "id")]
    pub operation: String,
    #[serde(rename = "address")]
    text: String,
}

impl Deposit {
    /// The address, on the test network.
    pub fn address(&self) -> Result<Address, OperatorError> {
        regtest(&self.text, "/ecash/deposit")
    }
}

fn regtest(text: &str, url: &str) -> Result<Address, OperatorError> {
    let address: Result<Address<_>, _> = text.parse();
    address
        .ok()
        .and_then(|address| address.require_network(bitcoin::Network::Regtest).ok())
        .ok_or_else(|| OperatorError::Malformed {
            url: url.into(),
            error: "no regtest address".into(),
            answer: text.chars().take(QUOTED_CHARS).collect(),
        })
}

impl Gateway {
    /// All that an operator sees.
    pub fn status(&self) -> Result<Status, OperatorError> {
        self.look("/status")
    }

    /// How other nodes reach its node: `key@host:port`.
    pub fn uri(&self) -> Result<String, OperatorError> {
        let status = self.status()?;
        let key = status.connect.first().and_then(|uri| uri.split('@').next());
        let lacking = || self.malformed("/status", "no key", &format!("{:?}", status.connect));
        Ok(format!(
            "{}@{}",
            key.ok_or_else(lacking)?,
            self.lightning_address
        ))
    }

    /// An address of the node's wallet.
    pub fn address(&self) -> Result<Address, OperatorError> {
        let answer: Value = self.order("/address", json!({}))?;
        regtest(answer["address"].as_str().unwrap_or_default(), "/address")
    }

    /// Opens a channel, of which `push` is a gift to the peer. Gives its name.
    pub fn open_channel(
        &self,
        uri: &str,
        amount: Amount,
        push: Amount,
        public: bool,
    ) -> Result<String, OperatorError> {
        let order = json!({
            "peer": uri,
            "amount_sat": amount.to_sat(),
            "push_msat": push.to_sat() * 1000,
            "public": public,
        });
        self.text("/channels", order, "channel")
    }

    /// Closes a channel together with the peer, or alone.
    pub fn close_channel(&self, channel: &str, force: bool) -> Result<(), OperatorError> {
        let order = json!({ "channel": channel, "force": force });
        self.order::<Value>("/channels/close", order).map(drop)
    }

    /// An invoice of its node's own, which no federation hears of.
    pub fn invoice(&self, amount: Amount) -> Result<String, OperatorError> {
        let order = json!({ "amount_msat": amount.to_sat() * 1000 });
        self.text("/invoices", order, "invoice")
    }

    /// A BOLT12 offer of its node's own; without an amount the payer says how much.
    pub fn offer(&self, amount: Option<Amount>) -> Result<String, OperatorError> {
        let order = match amount {
            Some(amount) => json!({ "amount_msat": amount.to_sat() * 1000 }),
            None => json!({}),
        };
        self.text("/offers", order, "offer")
    }

    /// Pays an invoice with its node's own money, and waits until that has ended. Gives what it is: `paid`, or else.
    pub fn pay(&self, invoice: &str) -> Result<String, OperatorError> {
        self.text("/payments?wait=30", json!({ "invoice": invoice }), "state")
    }

    /// Joins and serves a federation.
    pub fn join(&self, invite: &str) -> Result<FederationFacts, OperatorError> {
        self.order("/federations", json!({ "invite": invite }))
    }

    /// Limits what may be in a federation, and what may be spent there in a day.
    pub fn limit(&self, federation: &str, most: Amount) -> Result<(), OperatorError> {
        let most_msat = most.to_sat() * 1000;
        let order = json!({
            "federation": federation,
            "exposure_msat": most_msat,
            "spending_msat": most_msat,
        });
        self.order::<Value>("/federations/limits", order).map(drop)
    }

    /// Where to pay bitcoin that is to become e-cash.
    pub fn deposit(&self, federation: &str) -> Result<Deposit, OperatorError> {
        self.order("/ecash/deposit", json!({ "federation": federation }))
    }

    /// What the operator's e-cash is doing.
    pub fn ecash_operations(&self, federation: &str) -> Result<Value, OperatorError> {
        self.look(&format!("/ecash/operations?federation={federation}"))
    }

    /// Payments that have ended, the latest first, and those under way.
    pub fn payments(&self) -> Result<Value, OperatorError> {
        self.look("/payments")
    }

    /// A member of an answer that is text.
    fn text(&self, path: &str, order: Value, field: &str) -> Result<String, OperatorError> {
        let answer: Value = self.order(path, order)?;
        let text = answer[field].as_str().map(str::to_owned);
        text.ok_or_else(|| self.malformed(path, &format!("no {field}"), &answer.to_string()))
    }

    fn look<T: DeserializeOwned>(&self, path: &str) -> Result<T, OperatorError> {
        let url = format!("{}{path}", self.admin_url);
        self.send(minreq::get(&url), &url)
    }

    fn order<T: DeserializeOwned>(&self, path: &str, order: Value) -> Result<T, OperatorError> {
        let url = format!("{}{path}", self.admin_url);
        let request = minreq::post(&url)
            .with_header("content-type", "application/json")
            .with_body(order.to_string());
        self.send(request, &url)
    }

    fn send<T: DeserializeOwned>(
        &self,
        request: minreq::Request,
        url: &str,
    ) -> Result<T, OperatorError> {
        let path = self.data_dir.join("admin.cookie");
        let token = fs::read_to_string(&path);
        let token = token.map_err(|error| OperatorError::Token { path, error })?;
        let response = request
            .with_header("authorization", format!("Bearer {}", token.trim()))
            .with_timeout(LIMIT.as_secs())
            .send();
        let response = response.map_err(|error| OperatorError::Unreachable {
            url: url.into(),
            error,
        })?;
        let text = String::from_utf8_lossy(response.as_bytes()).into_owned();
        let answer: String = text.chars().take(QUOTED_CHARS).collect();
        if !(200..300).contains(&response.status_code) {
            return Err(OperatorError::Refused {
                url: url.into(),
                status: response.status_code,
                answer,
            });
        }
        serde_json::from_str(&text).map_err(|error| OperatorError::Malformed {
            url: url.into(),
            error: error.to_string(),
            answer,
        })
    }

    fn malformed(&self, path: &str, error: &str, answer: &str) -> OperatorError {
        OperatorError::Malformed {
            url: format!("{}{path}", self.admin_url),
            error: error.into(),
            answer: answer.chars().take(QUOTED_CHARS).collect(),
        }
    }
}
