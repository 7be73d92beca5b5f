//! One [Electrum](https://electrum.org) without a screen: a Lightning node that shares no code with ours.
//!
//! Debian's package brings it. It is asked over its own JSON-RPC, and follows the chain through the network's electrs.

mod call;
mod channel;

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use bitcoin::{consensus::encode::serialize_hex, Address, Amount, Denomination, Transaction, Txid};
use serde::{Deserialize, Serialize};
use serde_json::{json, Value};
use thiserror::Error;

pub use call::{CallError, Rpc};
pub use channel::{Channel, ChannelState};

use crate::{
    electrs::Electrs,
    ports::{Ports, PortsError},
    process::Spec,
    servers::{Program, Source},
};

/// The name of the server in a network.
pub const NAME: &str = "electrum";
/// The variable that goes before what is installed.
pub const VARIABLE: &str = "ELECTRUM_EXE";
/// The smallest channel that Electrum takes or opens.
pub const MIN_CHANNEL: Amount = Amount::from_sat(200_000);
/// Blocks that bury the funding of a channel before Electrum uses it.
pub const MIN_DEPTH: u64 = 3;
/// For how many blocks it wants the other side's money of a forced closing to be locked.
const TO_SELF_DELAY: u16 = 144;

/// One Electrum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Electrum {
    /// How to ask it.
    pub rpc: Rpc,
    /// Where other Lightning nodes reach it.
    pub lightning_address: String,
    /// Its data directory.
    pub data_dir: PathBuf,
    /// How to start it. ⚠ SIGTERM ends it as SIGKILL does; it saves what it promises before it promises it.
    pub spec: Spec,
}

/// Why there is no Electrum.
#[derive(Debug, Error)]
pub enum ElectrumError {
    /// It is not installed.
    #[error("no electrum in PATH: install it with `apt-get install --no-install-recommends electrum`, or name it in {VARIABLE}")]
    NotInstalled,
    /// The variable names something that is not there.
    #[error("{VARIABLE} names {}, which is no file", .0.display())]
    NotThere(PathBuf),
    /// There are too few free ports.
    #[error(transparent)]
    Ports(#[from] PortsError),
    /// Its folder or settings cannot be written.
    #[error("{}: {error}", .path.display())]
    File {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

/// What its wallet holds on the chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// In blocks.
    pub confirmed: Amount,
    /// What waits for a block adds to that; negative if it pays.
    pub unconfirmed: bitcoin::SignedAmount,
    /// Its part of its channels.
    pub lightning: Amount,
}

/// An invoice that Electrum made.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Invoice {
    /// The invoice, `lnbcrt1…`.
    #[serde(rename = "lightning_invoice")]
    pub text: String,
    /// Its payment hash in hex.
    #[serde(rename = "rhash")]
    pub hash: String,
}

/// How a payment by Electrum ended.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Payment {
    /// Whether the payee has it.
    pub success: bool,
    /// The proof, in hex.
    pub preimage: Option<String>,
    /// What was tried, for people.
    #[serde(default)]
    pub log: Value,
}

/// The program, from the variable or the path.
pub fn find() -> Result<Program, ElectrumError> {
    if let Some(path) = env::var_os(VARIABLE).filter(|value| !value.is_empty()) {
        let path = PathBuf::from(path);
        return match path.is_file() {
            true => Ok(Program {
                path,
                source: Source::Variable,
            }),
            false => Err(ElectrumError::NotThere(path)),
        };
    }
    let folders = env::var_os("PATH").unwrap_or_default();
    let mut programs = env::split_paths(&folders).map(|folder| folder.join(NAME));
    let path = programs.find(|path| path.is_file());
    path.map(|path| Program {
        path,
        source: Source::Path,
    })
    .ok_or(ElectrumError::NotInstalled)
}

impl Electrum {
    /// Writes its settings into `folder`, on free ports. Its wallet is made when it first runs.
    pub fn prepare(
        folder: &Path,
        program: &Path,
        electrs: &Electrs,
        ports: &mut Ports,
    ) -> Result<Self, ElectrumError> {
        let data_dir = folder.join(NAME);
        let (rpc_port, port) = (ports.free()?, ports.free()?);
        let rpc = Rpc::new(rpc_port);
        let lightning_address = format!("127.0.0.1:{port}");
        let settings = json!({
            // Without it the file is taken for an old one, and the server asked for TLS.
            "config_version": 3,
            "rpcuser": rpc.user,
            "rpcpassword": rpc.password,
            "rpcport": rpc_port,
            "server": format!("{}:t", electrs.address),
            "oneserver": true,
            "auto_connect": false,
            "check_updates": false,
            "log_to_file": false,
            // Without gossip it pays through trampolines alone, which nobody else is.
            "use_gossip": true,
            "lightning_listen": lightning_address,
            "lightning_to_self_delay": TO_SELF_DELAY,
        });
        let place = data_dir.join("regtest");
        let written = fs::create_dir_all(&place)
            .and_then(|()| fs::write(place.join("config"), settings.to_string()));
        written.map_err(|error| ElectrumError::File { path: place, error })?;
        let mut args = vec!["--regtest".to_owned(), "-D".to_owned()];
        // ⚠ With a relative one, each command looks for the daemon somewhere else.
        args.extend([data_dir.display().to_string(), "daemon".into(), "-v".into()]);
        let spec = Spec {
            name: NAME.into(),
            program: program.into(),
            args,
            env: Default::default(),
            log: folder.join(format!("{NAME}.log")),
        };
        Ok(Self {
            rpc,
            lightning_address,
            data_dir,
            spec,
        })
    }

    /// Whether it has its wallet open and has seen the chain up to `height`.
    pub fn is_ready(&self, height: u64) -> bool {
        self.open_wallet().is_ok() && self.has_seen(height).unwrap_or(false)
    }

    /// Whether it is connected and its wallet knows the chain up to `height`.
    pub fn has_seen(&self, height: u64) -> Result<bool, CallError> {
        #[derive(Deserialize)]
        struct Info {
            connected: bool,
            blockchain_height: u64,
        }
        let info: Info = self.rpc.call("getinfo", json!([]))?;
        let seen = info.connected && info.blockchain_height >= height;
        Ok(seen && self.rpc.call::<bool>("is_synchronized", json!([]))?)
    }

    /// Opens the wallet, as it must be after each start; makes it if there is none.
    fn open_wallet(&self) -> Result<(), CallError> {
        let open: Vec<Value> = self.rpc.call("list_wallets", json!([]))?;
        if !open.is_empty() {
            return Ok(());
        }
        if !self
            .data_dir
            .join("regtest/wallets/default_wallet")
            .exists()
        {
            let _made: Value = self.rpc.call("create", json!([]))?;
        }
        self.rpc.call("load_wallet", json!([]))
    }

    /// Its name on Lightning, and where it is reached: `key@host:port`.
    pub fn uri(&self) -> Result<String, CallError> {
        self.rpc.call("nodeid", json!([]))
    }

    /// An address of its wallet.
    pub fn address(&self) -> Result<Address, CallError> {
        let text: String = self.rpc.call("getunusedaddress", json!([]))?;
        let address: Result<Address<_>, _> = text.parse();
        address
            .ok()
            .and_then(|address| address.require_network(bitcoin::Network::Regtest).ok())
            .ok_or_else(|| CallError::malformed("getunusedaddress", "no regtest address", &text))
    }

    /// What its wallet holds.
    pub fn balance(&self) -> Result<Balance, CallError> {
        let method = "getbalance";
        let answer: Value = self.rpc.call(method, json!([]))?;
        let malformed = |error: &dyn std::fmt::Display| {
            CallError::malformed(method, &error.to_string(), &answer.to_string())
        };
        let text = |field: &str| answer[field].as_str().unwrap_or("0");
        let amount = |field| {
            Amount::from_str_in(text(field), Denomination::Bitcoin)
                .map_err(|error| malformed(&error))
        };
        let waits = text("unconfirmed");
        Ok(Balance {
            confirmed: amount("confirmed")?,
            unconfirmed: bitcoin::SignedAmount::from_str_in(waits, Denomination::Bitcoin)
                .map_err(|error| malformed(&error))?,
            lightning: amount("lightning")?,
        })
    }

    /// Connects to a node, `key@host:port`.
    pub fn connect(&self, uri: &str) -> Result<(), CallError> {
        let _connected: bool = self.rpc.call("add_peer", json!([uri]))?;
        Ok(())
    }

    /// Opens a channel, of which `push` is a gift to the peer. Gives the output that funds it, which waits for blocks.
    pub fn open_channel(
        &self,
        uri: &str,
        amount: Amount,
        push: Amount,
    ) -> Result<String, CallError> {
        let arguments = json!([uri, in_btc(amount), in_btc(push)]);
        self.rpc.call("open_channel", arguments)
    }

    /// Its channels, closed ones included.
    pub fn channels(&self) -> Result<Vec<Channel>, CallError> {
        self.rpc.call("list_channels", json!([]))
    }

    /// Closes a channel together with the peer, or alone. Gives the transaction.
    pub fn close_channel(&self, channel_point: &str, force: bool) -> Result<Txid, CallError> {
        let arguments = json!([channel_point, force]);
        self.rpc.call("close_channel", arguments)
    }

    /// ⚠ Its signed commitment, as it is now. Sent when there is a newer one, it is theft, and punished as such.
    pub fn commitment(&self, channel_point: &str) -> Result<Transaction, CallError> {
        let method = "get_channel_ctx";
        let hex: String = self.rpc.call(method, json!([channel_point, true]))?;
        bitcoin::consensus::encode::deserialize_hex(&hex)
            .map_err(|error| CallError::malformed(method, &error.to_string(), &hex))
    }

    /// An invoice, valid for an hour.
    pub fn invoice(&self, amount: Amount, memo: &str) -> Result<Invoice, CallError> {
        // Each takes an address that nobody else has been given; `force` makes more of them.
        let arguments = json!({"amount": in_btc(amount), "memo": memo, "force": true});
        self.rpc.call("add_request", arguments)
    }

    /// Pays an invoice and waits for the end, at most `limit`. ⚠ After that it may be in flight all the same.
    pub fn pay(&self, invoice: &str, limit: Duration) -> Result<Payment, CallError> {
        self.rpc.call_within("lnpay", json!([invoice]), limit)
    }

    /// Whether to keep what is paid to it in flight, instead of claiming it. A restart lets go.
    pub fn hold(&self, hold: bool) -> Result<(), CallError> {
        let _none: Value = self.rpc.call("enable_htlc_settle", json!([!hold]))?;
        Ok(())
    }

    /// Whether to give back what is paid to it.
    pub fn fail(&self, fail: bool) -> Result<(), CallError> {
        let arguments = json!(["test_fail_htlcs_with_temp_node_failure", fail]);
        let _done: bool = self.rpc.call("setconfig", arguments)?;
        Ok(())
    }

    /// Hands a transaction to the network.
    pub fn broadcast(&self, transaction: &Transaction) -> Result<Txid, CallError> {
        self.rpc
            .call("broadcast", json!([serialize_hex(transaction)]))
    }
}

fn in_btc(amount: Amount) -> String {
    amount.to_string_in(Denomination::Bitcoin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_told_in_bitcoin_to_the_satoshi() {
        assert_eq!(in_btc(Amount::from_sat(15_000_001)), "0.15000001");
        assert_eq!(in_btc(Amount::ZERO), "0");
    }
}
