//! What can be wrong with a server.

use bitcoin::{BlockHash, Txid};
use guildmint_wallet::{MerkleError, News};
use thiserror::Error;

/// Why a server is of no use now.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServerError {
    /// It cannot be reached, does not answer in time, or answers too much.
    #[error("no connection: {0}")]
    Io(#[from] std::io::Error),
    /// No secure connection can be made.
    #[error("no secure connection: {0}")]
    Tls(#[from] rustls::Error),
    /// It refuses a request. Its own words, shortened.
    #[error("the server refuses: {0}")]
    Refused(String),
    /// It does not speak the protocol, or broke off.
    #[error("the server does not make sense: {0}")]
    Nonsense(String),
    /// It has not come as far as the guardians.
    #[error("the server is behind: its tip is at height {tip}, the guardians agree on {agreed}")]
    Behind {
        /// The height of its tip.
        tip: u32,
        /// That of the last agreed block.
        agreed: u32,
    },
    /// ⚠ Its chain is not the guardians'.
    #[error("the server has block {found} at height {height}, the guardians agree on {expected}")]
    OtherChain {
        /// Where the two differ.
        height: u32,
        /// The server's block.
        found: BlockHash,
        /// The guardians'.
        expected: BlockHash,
        /// Its chain up to there, if its block is deep enough to be final.
        chain: Option<Box<News>>,
    },
    /// Its headers are no chain.
    #[error("the server's header at height {0} does not follow from the one before")]
    Disconnected(u32),
    /// ⚠ Anybody can write headers that nobody has worked for.
    #[error("the server's header at height {0} is without the work that its chain asks for")]
    NoWork(u32),
    /// Its proof proves nothing.
    #[error("the server's proof of {txid} is wrong: {source}")]
    Proof {
        /// The transaction.
        txid: Txid,
        /// What is wrong.
        source: MerkleError,
    },
    /// It gave another transaction than it was asked for.
    #[error("the server gave {found} for {expected}")]
    OtherTransaction {
        /// What it gave.
        found: Txid,
        /// What it was asked for.
        expected: Txid,
    },
}

/// Every server failed. What each of them did, by its URL.
#[derive(Debug, Error)]
#[error("no server is of use: {}", list(.0))]
pub struct AllFailed(pub Vec<(String, ServerError)>);

impl AllFailed {
    /// ⚠ If no server has the guardians' chain and one has another that is as final: that chain. Guardians must hear of it
    /// (SPEC WAL-5).
    #[must_use]
    pub fn other_chain(&self) -> Option<&News> {
        self.0.iter().find_map(|(_, error)| match error {
            ServerError::OtherChain { chain, .. } => chain.as_deref(),
            _ => None,
        })
    }
}

fn list(failures: &[(String, ServerError)]) -> String {
    let each = failures
        .iter()
        .map(|(url, error)| format!("{url}: {error}"));
    each.collect::<Vec<_>>().join("; ")
}

/// Why a transaction was not taken by any server.
#[derive(Debug, Error)]
pub enum BroadcastError {
    /// The bytes are no transaction.
    #[error("not a transaction: {0}")]
    Unreadable(String),
    /// No server took it.
    #[error(transparent)]
    Servers(#[from] AllFailed),
}

/// Why a URL names no server.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UrlError {
    /// Another scheme, or none.
    #[error("{0:?} must start with tcp:// or ssl://")]
    Scheme(String),
    /// No host or port.
    #[error("{0:?} must end with a host and a port, such as electrum.example.org:50002")]
    Address(String),
    /// There is not a single one.
    #[error("no Electrum server is named")]
    None,
}

/// Characters of a server's message that are kept. What it sends is nobody's friend.
const SHOWN_CHARS: usize = 200;

pub(crate) fn shown(text: &str) -> String {
    let short: String = text.chars().take(SHOWN_CHARS).collect();
    short.escape_debug().to_string()
}

impl From<electrum_client::Error> for ServerError {
    fn from(error: electrum_client::Error) -> Self {
        use electrum_client::Error as E;
        match error {
            E::IOError(error) => Self::Io(error),
            E::SharedIOError(error) => Self::Io(std::io::Error::new(error.kind(), error)),
            E::Protocol(value) => {
                let message = value.get("message").and_then(|message| message.as_str());
                Self::Refused(shown(message.unwrap_or(&value.to_string())))
            }
            other => Self::Nonsense(shown(&other.to_string())),
        }
    }
}
