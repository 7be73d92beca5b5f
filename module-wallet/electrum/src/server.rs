//! One connection to one server: requests, and what can be checked of the answers.

use std::{
    net::{TcpStream, ToSocketAddrs},
    sync::Arc,
    time::Duration,
};

use bitcoin::{
    block::Header, consensus::deserialize, hashes::Hash, hex::FromHex, Script, Transaction,
    TxMerkleNode, Txid,
};
use electrum_client::{raw_client::RawClient, ElectrumApi, Param};
use guildmint_wallet::MerkleBranch;
use rustls::{pki_types::ServerName, ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value as Json;

use crate::{
    error::{shown, ServerError},
    guarded::{Clocked, Deadline, Guarded, Stream},
    observer::Settings,
    url::ServerUrl,
};

/// The version of the protocol that is spoken.
const PROTOCOL: &str = "1.4";
/// Bytes of a header.
const HEADER_BYTES: usize = 80;
/// Entries of a script's history that are looked at. Whoever sends a script more payments pays for it.
const MAX_HISTORY: usize = 1_000;

/// A connection.
pub struct Server(RawClient<Guarded>);

/// A transaction of a script's history.
pub struct Seen {
    pub txid: Txid,
    /// `None` while it is unconfirmed.
    pub height: Option<u32>,
}

fn nonsense(what: &str, answer: &Json) -> ServerError {
    ServerError::Nonsense(format!("{what}: {}", shown(&answer.to_string())))
}

fn text<'j>(what: &str, answer: &'j Json) -> Result<&'j str, ServerError> {
    answer.as_str().ok_or_else(|| nonsense(what, answer))
}

fn height(what: &str, answer: &Json) -> Result<u32, ServerError> {
    answer
        .as_u64()
        .and_then(|height| height.try_into().ok())
        .ok_or_else(|| nonsense(what, answer))
}

fn connect(url: &ServerUrl, timeout: Duration) -> Result<TcpStream, ServerError> {
    let mut last = std::io::Error::other("the name has no address");
    for address in (url.host.as_str(), url.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(last.into())
}

fn secure(url: &ServerUrl, socket: Clocked) -> Result<Box<dyn Stream>, ServerError> {
    // Named here, so that nothing depends on which provider the process has installed.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let roots: RootCertStore = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect();
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(url.host.clone())
        .map_err(|error| ServerError::Nonsense(error.to_string()))?;
    let connection = ClientConnection::new(Arc::new(config), name)?;
    Ok(Box::new(StreamOwned::new(connection, socket)))
}

impl Server {
    /// Connects and agrees on the protocol's version.
    pub fn connect(url: &ServerUrl, settings: &Settings) -> Result<Self, ServerError> {
        let socket = connect(url, settings.connect_timeout)?;
        socket.set_nodelay(true)?;
        let deadline = Deadline::new(settings.request_timeout);
        let clocked = Clocked::new(socket, deadline.clone());
        let stream = if url.secure {
            secure(url, clocked)?
        } else {
            Box::new(clocked)
        };
        let guarded = Guarded::new(stream, deadline, settings.request_timeout);
        let server = Self(RawClient::from(guarded));
        let hello = [
            Param::String("guildmint".into()),
            Param::String(PROTOCOL.into()),
        ];
        server.ask("server.version", hello)?;
        Ok(server)
    }

    fn ask(
        &self,
        method: &str,
        parameters: impl IntoIterator<Item = Param>,
    ) -> Result<Json, ServerError> {
        let answer = self.0.raw_call(method, parameters)?;
        // Whatever the server has sent besides is kept by the library until somebody takes it.
        while let Ok(Some(_)) = self.0.block_headers_pop_raw() {}
        Ok(answer)
    }

    /// The height of the tip.
    pub fn tip_height(&self) -> Result<u32, ServerError> {
        let answer = self.ask("blockchain.headers.subscribe", [])?;
        height("tip", answer.get("height").unwrap_or(&answer))
    }

    /// Headers from a height on: at least one, at most as many as asked for, each the parent of the next.
    pub fn headers(&self, first: u32, count: usize) -> Result<Vec<Header>, ServerError> {
        let start = usize::try_from(first).unwrap_or(usize::MAX);
        let parameters = [Param::Usize(start), Param::Usize(count)];
        let answer = self.ask("blockchain.block.headers", parameters)?;
        let hex = text("headers", answer.get("hex").unwrap_or(&answer))?;
        let bytes = Vec::<u8>::from_hex(hex).map_err(|_| nonsense("headers", &answer))?;
        let headers: Vec<Header> = bytes
            .chunks(HEADER_BYTES)
            .take(count)
            .map(deserialize)
            .collect::<Result<_, _>>()
            .map_err(|_| nonsense("headers", &answer))?;
        if headers.is_empty() {
            return Err(nonsense("headers", &answer));
        }
        let links = headers.windows(2).zip(first.saturating_add(1)..);
        for (pair, height) in links {
            if pair[1].prev_blockhash != pair[0].block_hash() {
                return Err(ServerError::Disconnected(height));
            }
        }
        Ok(headers)
    }

    /// One header.
    pub fn header(&self, height: u32) -> Result<Header, ServerError> {
        let headers = self.headers(height, 1)?;
        let none = || ServerError::Nonsense("no header".into());
        headers.first().copied().ok_or_else(none)
    }

    /// What gets a transaction into one of the next blocks, in satoshi per 1000 virtual bytes; `None` if the server does
    /// not know.
    pub fn fee_rate_sat_per_kvb(&self, blocks: usize) -> Result<Option<u64>, ServerError> {
        let answer = self.ask("blockchain.estimatefee", [Param::Usize(blocks)])?;
        rate(&answer)
    }

    /// The least that the server's node relays.
    pub fn relay_rate_sat_per_kvb(&self) -> Result<Option<u64>, ServerError> {
        rate(&self.ask("blockchain.relayfee", [])?)
    }

    /// The transactions that pay to a script or spend from it.
    pub fn history(&self, script: &Script) -> Result<Vec<Seen>, ServerError> {
        // The protocol writes the hash backwards.
        let mut hash = bitcoin::hashes::sha256::Hash::hash(script.as_bytes()).to_byte_array();
        hash.reverse();
        let id: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        let answer = self.ask("blockchain.scripthash.get_history", [Param::String(id)])?;
        let entries = answer
            .as_array()
            .ok_or_else(|| nonsense("history", &answer))?;
        entries.iter().take(MAX_HISTORY).map(seen).collect()
    }

    /// A transaction by its id.
    pub fn transaction(&self, txid: Txid) -> Result<Transaction, ServerError> {
        let parameters = [Param::String(txid.to_string())];
        let answer = self.ask("blockchain.transaction.get", parameters)?;
        let bytes = Vec::<u8>::from_hex(text("transaction", &answer)?)
            .map_err(|_| nonsense("transaction", &answer))?;
        let transaction: Transaction =
            deserialize(&bytes).map_err(|_| nonsense("transaction", &answer))?;
        let found = transaction.compute_txid();
        if found != txid {
            return Err(ServerError::OtherTransaction {
                found,
                expected: txid,
            });
        }
        Ok(transaction)
    }

    /// The proof that a transaction is in the block at this height, checked.
    pub fn proof(&self, txid: Txid, height: u32) -> Result<(Header, MerkleBranch), ServerError> {
        let parameters = [
            Param::String(txid.to_string()),
            Param::Usize(usize::try_from(height).unwrap_or(usize::MAX)),
        ];
        let answer = self.ask("blockchain.transaction.get_merkle", parameters)?;
        let merkle = branch(&answer).ok_or_else(|| nonsense("merkle branch", &answer))?;
        let header = self.header(height)?;
        merkle
            .check(txid, header.merkle_root)
            .map_err(|source| ServerError::Proof { txid, source })?;
        Ok((header, merkle))
    }

    /// Sends a transaction. That it is known already is as good as that it is taken.
    pub fn broadcast(&self, hex: String) -> Result<(), ServerError> {
        match self.ask("blockchain.transaction.broadcast", [Param::String(hex)]) {
            Err(ServerError::Refused(message)) if message.contains("already") => Ok(()),
            answer => answer.map(drop),
        }
    }
}

/// From bitcoin per 1000 virtual bytes; −1 and other impossible numbers mean that nothing is known.
fn rate(answer: &Json) -> Result<Option<u64>, ServerError> {
    let btc = answer
        .as_f64()
        .ok_or_else(|| nonsense("fee rate", answer))?;
    let sat = (btc * 1e8).round();
    // From a satoshi to ten bitcoin: exact in floating point.
    let plausible = (1.0..=1e9).contains(&sat);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    Ok(plausible.then_some(sat as u64))
}

fn seen(entry: &Json) -> Result<Seen, ServerError> {
    let bad = || nonsense("history", entry);
    let txid = entry
        .get("tx_hash")
        .and_then(Json::as_str)
        .ok_or_else(bad)?;
    let height = entry.get("height").and_then(Json::as_i64).ok_or_else(bad)?;
    Ok(Seen {
        txid: txid.parse().map_err(|_| bad())?,
        // 0 and −1 are two kinds of unconfirmed.
        height: u32::try_from(height).ok().filter(|height| *height > 0),
    })
}

fn branch(answer: &Json) -> Option<MerkleBranch> {
    let hashes = answer.get("merkle")?.as_array()?;
    let hash = |hash: &Json| hash.as_str()?.parse::<TxMerkleNode>().ok();
    Some(MerkleBranch {
        position: answer.get("pos")?.as_u64()?.try_into().ok()?,
        hashes: hashes.iter().map(hash).collect::<Option<_>>()?,
    })
}
