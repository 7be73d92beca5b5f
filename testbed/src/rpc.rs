//! A client for bitcoind's JSON-RPC.

use base64::{engine::general_purpose::STANDARD, Engine};
use bitcoin::{
    consensus::encode::serialize_hex, Address, Block, BlockHash, OutPoint, ScriptBuf, Transaction,
    Txid,
};
use serde::{de::DeserializeOwned, Deserialize, Serialize};
use serde_json::{json, Value};
use thiserror::Error;

/// bitcoind's code for "still starting".
pub const IN_WARMUP: i64 = -28;
/// No call may take longer, in seconds. Mining many blocks is the slowest.
const CALL_LIMIT_S: u64 = 120;

/// A connection to one bitcoind, made anew for each call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rpc {
    /// `http://127.0.0.1:<port>`.
    pub url: String,
    /// The user name.
    pub user: String,
    /// The password. It protects nothing but worthless coins.
    pub password: String,
}

/// Why a call gave no answer.
#[derive(Debug, Error)]
pub enum RpcError {
    /// Nobody answers there.
    #[error("bitcoind at {url} does not answer: {error}")]
    Unreachable {
        /// Where it was expected.
        url: String,
        /// What went wrong.
        error: minreq::Error,
    },
    /// User name or password is wrong.
    #[error("bitcoind at {0} refuses our password: is it another testbed's?")]
    Unauthorized(String),
    /// bitcoind says no.
    #[error("bitcoind refuses {method}: {message} ({code})")]
    Refused {
        /// The method called.
        method: String,
        /// bitcoind's number for the reason.
        code: i64,
        /// bitcoind's words for it.
        message: String,
    },
    /// The answer is not what the method is known to give.
    #[error("bitcoind's answer to {method} is not understood: {error}: {answer}")]
    Malformed {
        /// The method called.
        method: String,
        /// What is wrong.
        error: String,
        /// The beginning of the answer.
        answer: String,
    },
}

#[derive(Deserialize)]
struct Answer {
    result: Value,
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    code: i64,
    message: String,
}

/// An unspent output of a confirmed transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unspent {
    /// Where it is.
    pub outpoint: OutPoint,
    /// What it is worth.
    pub amount: bitcoin::Amount,
    /// The height of its block.
    pub height: u64,
    /// Whether it is a block reward, which 100 blocks must bury before it can be spent.
    pub coinbase: bool,
}

#[derive(Deserialize)]
struct Scan {
    unspents: Vec<ScannedOutput>,
}

#[derive(Deserialize)]
struct ScannedOutput {
    txid: Txid,
    vout: u32,
    #[serde(with = "bitcoin::amount::serde::as_btc")]
    amount: bitcoin::Amount,
    height: u64,
    coinbase: bool,
}

/// The best block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tip {
    /// Its height.
    pub height: u64,
    /// Its hash.
    pub hash: BlockHash,
}

impl Rpc {
    /// Calls a method.
    pub fn call<T: DeserializeOwned>(
        &self,
        method: &str,
        parameters: Value,
    ) -> Result<T, RpcError> {
        let secret = STANDARD.encode(format!("{}:{}", self.user, self.password));
        let body = json!({"jsonrpc": "1.0", "id": 0, "method": method, "params": parameters});
        let request =
            minreq::post(&self.url).with_header("Authorization", format!("Basic {secret}"));
        let response = request
            .with_body(body.to_string())
            .with_timeout(CALL_LIMIT_S)
            .send();
        let response = response.map_err(|error| RpcError::Unreachable {
            url: self.url.clone(),
            error,
        })?;
        if response.status_code == 401 {
            return Err(RpcError::Unauthorized(self.url.clone()));
        }
        read_answer(method, response.as_bytes())
    }

    /// The best block.
    pub fn tip(&self) -> Result<Tip, RpcError> {
        #[derive(Deserialize)]
        struct Info {
            blocks: u64,
            bestblockhash: BlockHash,
        }
        let info: Info = self.call("getblockchaininfo", json!([]))?;
        Ok(Tip {
            height: info.blocks,
            hash: info.bestblockhash,
        })
    }

    /// The hash of the block at a height.
    pub fn block_hash(&self, height: u64) -> Result<BlockHash, RpcError> {
        self.call("getblockhash", json!([height]))
    }

    /// A whole block.
    pub fn block(&self, hash: BlockHash) -> Result<Block, RpcError> {
        let method = "getblock";
        let text: String = self.call(method, json!([hash, 0]))?;
        let malformed = |error| RpcError::Malformed {
            method: method.into(),
            error,
            answer: hash.to_string(),
        };
        bitcoin::consensus::encode::deserialize_hex(&text)
            .map_err(|error| malformed(error.to_string()))
    }

    /// Mines blocks whose rewards go to `address`, and writes them to the disk.
    ///
    /// bitcoind alone writes about once an hour. On a network, a node that loses power fetches the lost blocks again;
    /// here there is nobody to fetch them from.
    pub fn mine(&self, blocks: u64, address: &Address) -> Result<Vec<BlockHash>, RpcError> {
        let mined = self.call("generatetoaddress", json!([blocks, address.to_string()]))?;
        let _flushed: Value = self.call("gettxoutsetinfo", json!(["none"]))?;
        Ok(mined)
    }

    /// Makes the chain forget a block and all that follow.
    pub fn invalidate(&self, hash: BlockHash) -> Result<(), RpcError> {
        self.call("invalidateblock", json!([hash]))
    }

    /// Hands a transaction to the network.
    pub fn send(&self, transaction: &Transaction) -> Result<Txid, RpcError> {
        self.call("sendrawtransaction", json!([serialize_hex(transaction)]))
    }

    /// The transactions that wait to be mined.
    pub fn mempool(&self) -> Result<Vec<Txid>, RpcError> {
        self.call("getrawmempool", json!([]))
    }

    /// All confirmed unspent outputs that pay to `script`.
    pub fn unspent(&self, script: &ScriptBuf) -> Result<Vec<Unspent>, RpcError> {
        let scan: Scan = self.call(
            "scantxoutset",
            json!(["start", [format!("raw({})", script.to_hex_string())]]),
        )?;
        let unspent = scan.unspents.into_iter().map(|output| Unspent {
            outpoint: OutPoint::new(output.txid, output.vout),
            amount: output.amount,
            height: output.height,
            coinbase: output.coinbase,
        });
        Ok(unspent.collect())
    }

    /// For each output, whether a transaction that waits to be mined spends it.
    pub fn spent_in_mempool(&self, outpoints: &[OutPoint]) -> Result<Vec<bool>, RpcError> {
        #[derive(Deserialize)]
        struct Spending {
            spendingtxid: Option<Txid>,
        }
        let asked: Vec<Value> = outpoints
            .iter()
            .map(|o| json!({"txid": o.txid, "vout": o.vout}))
            .collect();
        if asked.is_empty() {
            return Ok(Vec::new());
        }
        let answer: Vec<Spending> = self.call("gettxspendingprevout", json!([asked]))?;
        Ok(answer
            .into_iter()
            .map(|spending| spending.spendingtxid.is_some())
            .collect())
    }
}

fn read_answer<T: DeserializeOwned>(method: &str, body: &[u8]) -> Result<T, RpcError> {
    let malformed = |error: serde_json::Error| RpcError::Malformed {
        method: method.into(),
        error: error.to_string(),
        answer: String::from_utf8_lossy(body).chars().take(200).collect(),
    };
    let answer: Answer = serde_json::from_slice(body).map_err(malformed)?;
    match answer.error {
        Some(Refusal { code, message }) => Err(RpcError::Refused {
            method: method.into(),
            code,
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
        assert!(matches!(
            read_answer("m", br#"{"result":7,"error":null,"id":0}"#),
            Ok(7)
        ));
        let refused = read_answer::<u8>(
            "m",
            br#"{"result":null,"error":{"code":-28,"message":"Loading"},"id":0}"#,
        );
        assert!(matches!(
            refused,
            Err(RpcError::Refused {
                code: IN_WARMUP,
                ..
            })
        ));
        for nonsense in [
            &b"<html>"[..],
            br#"{"result":"x","error":null,"id":0}"#,
            b"",
        ] {
            assert!(matches!(
                read_answer::<u8>("m", nonsense),
                Err(RpcError::Malformed { .. })
            ));
        }
    }

    #[test]
    fn a_scan_is_read_to_the_satoshi() {
        let text = format!(
            r#"{{"unspents":[{{"txid":"{:064}","vout":1,"amount":0.12345678,"height":7,"coinbase":true,"desc":"raw"}}]}}"#,
            0
        );
        let scan: Result<Scan, _> = serde_json::from_str(&text);
        assert_eq!(
            scan.map(|scan| scan.unspents[0].amount.to_sat()).ok(),
            Some(12_345_678)
        );
    }
}
