//! One electrs, and a small Electrum client to look into it.

use std::{
    fs,
    io::{self, BufRead, BufReader, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    time::Duration,
};

use bitcoin::{
    hashes::{sha256, Hash},
    Script,
};
use serde::{Deserialize, Serialize};
use serde_json::{json, Value};
use thiserror::Error;

use crate::{bitcoind::Bitcoind, process::Spec};

/// How long it may take to start, index the chain and answer.
pub const READY_LIMIT: Duration = Duration::from_secs(60);
const CALL_LIMIT: Duration = Duration::from_secs(10);

/// How to reach and start one electrs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Electrs {
    /// `127.0.0.1:<port>`, where it speaks the Electrum protocol.
    pub address: String,
    /// Its data directory.
    pub data_dir: PathBuf,
    /// How to start it.
    pub spec: Spec,
}

/// Why a question to an Electrum server has no answer.
#[derive(Debug, Error)]
pub enum ElectrumError {
    /// Nobody answers there.
    #[error("electrs at {address}: {error}")]
    Unreachable {
        /// Where it was expected.
        address: String,
        /// What went wrong.
        error: io::Error,
    },
    /// It says no.
    #[error("electrs refuses {method}: {reason}")]
    Refused {
        /// The method called.
        method: String,
        /// Its words.
        reason: String,
    },
}

#[derive(Serialize)]
struct Configuration<'a> {
    network: &'static str,
    auth: String,
    daemon_dir: &'a Path,
    daemon_rpc_addr: &'a str,
    daemon_p2p_addr: &'a str,
    db_dir: &'a Path,
    electrum_rpc_addr: &'a str,
    monitoring_addr: String,
    log_filters: &'static str,
    wait_duration_secs: u64,
}

impl Electrs {
    /// Writes the configuration of a new electrs into `folder/electrs`.
    pub fn prepare(
        folder: &Path,
        program: &Path,
        bitcoind: &Bitcoind,
        port: u16,
        monitoring_port: u16,
    ) -> io::Result<Self> {
        let data_dir = folder.join("electrs");
        fs::create_dir_all(&data_dir)?;
        let address = format!("127.0.0.1:{port}");
        let configuration = Configuration {
            network: "regtest",
            auth: format!("{}:{}", bitcoind.rpc.user, bitcoind.rpc.password),
            daemon_dir: &bitcoind.data_dir,
            daemon_rpc_addr: &bitcoind.rpc_address,
            daemon_p2p_addr: &bitcoind.p2p_address,
            db_dir: &data_dir,
            electrum_rpc_addr: &address,
            monitoring_addr: format!("127.0.0.1:{monitoring_port}"),
            log_filters: "INFO",
            wait_duration_secs: 1,
        };
        let file = data_dir.join("electrs.toml");
        fs::write(
            &file,
            toml::to_string(&configuration).map_err(io::Error::other)?,
        )?;
        let args = vec![
            "--skip-default-conf-files".into(),
            "--conf".into(),
            file.display().to_string(),
        ];
        let log = folder.join("electrs.log");
        let spec = Spec {
            name: "electrs".into(),
            program: program.into(),
            args,
            env: Default::default(),
            log,
        };
        Ok(Self {
            address,
            data_dir,
            spec,
        })
    }

    /// `tcp://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("tcp://{}", self.address)
    }

    /// The height up to which it has indexed the chain.
    pub fn height(&self) -> Result<u64, ElectrumError> {
        let tip = self.call("blockchain.headers.subscribe", json!([]))?;
        Ok(tip["height"].as_u64().unwrap_or_default())
    }

    /// What a script's unspent outputs are worth together, in satoshi: confirmed, and not yet (which may be negative).
    pub fn balance_sat(&self, script: &Script) -> Result<(u64, i64), ElectrumError> {
        let mut hash = sha256::Hash::hash(script.as_bytes()).to_byte_array();
        hash.reverse();
        let balance = self.call(
            "blockchain.scripthash.get_balance",
            json!([hex::encode(hash)]),
        )?;
        Ok((
            balance["confirmed"].as_u64().unwrap_or_default(),
            balance["unconfirmed"].as_i64().unwrap_or_default(),
        ))
    }

    /// Asks one question on a connection of its own.
    pub fn call(&self, method: &str, parameters: Value) -> Result<Value, ElectrumError> {
        let unreachable = |error| ElectrumError::Unreachable {
            address: self.address.clone(),
            error,
        };
        let mut answer = self.exchange(method, parameters).map_err(unreachable)?;
        match answer.get("error").filter(|error| !error.is_null()) {
            Some(reason) => Err(ElectrumError::Refused {
                method: method.into(),
                reason: reason.to_string(),
            }),
            None => Ok(answer["result"].take()),
        }
    }

    fn exchange(&self, method: &str, parameters: Value) -> io::Result<Value> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(CALL_LIMIT))?;
        let greeting =
            json!({"id": 0, "method": "server.version", "params": ["guildmint-testbed", "1.4"]});
        let question = json!({"id": 1, "method": method, "params": parameters});
        stream.write_all(format!("{greeting}\n{question}\n").as_bytes())?;
        for line in BufReader::new(stream).lines() {
            let answer: Value = serde_json::from_str(&line?)?;
            if answer["id"] == 1 {
                return Ok(answer);
            }
        }
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}
