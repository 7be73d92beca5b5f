//! Twenty blocks of three transactions, and a server that is honest about them.

use bitcoin::{
    absolute::LockTime, block::Version, consensus::encode::serialize_hex, hashes::Hash,
    merkle_tree, transaction, Amount, BlockHash, CompactTarget, OutPoint, ScriptBuf, Sequence,
    Transaction, TxIn, TxMerkleNode, TxOut, Txid, Witness,
};
use guildmint_wallet::{Block, MerkleBranch};
use serde_json::{json, Value as Json};

use crate::server::Reply;

#[derive(Clone)]
pub struct Chain {
    pub headers: Vec<bitcoin::block::Header>,
    pub blocks: Vec<Vec<Transaction>>,
}

pub const LENGTH: u32 = 20;

/// The script that one transaction of each block pays to, a different one for each block.
pub fn script(height: u32) -> ScriptBuf {
    let mut bytes = vec![0x00, 0x14];
    bytes.extend([u8::try_from(height).unwrap(); 20]);
    ScriptBuf::from(bytes)
}

fn pay(salt: u8, height: u32, script_pubkey: ScriptBuf) -> Transaction {
    let mut id = [salt; 32];
    id[0] = u8::try_from(height).unwrap();
    Transaction {
        version: transaction::Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint::new(Txid::from_byte_array(id), 0),
            script_sig: ScriptBuf::new(),
            sequence: Sequence::MAX,
            witness: Witness::from_slice(&[[1, 2, 3]]),
        }],
        output: vec![TxOut {
            value: Amount::from_sat(10_000 + u64::from(height)),
            script_pubkey,
        }],
    }
}

/// The header with a nonce that makes it a block.
fn mined(mut header: bitcoin::block::Header) -> bitcoin::block::Header {
    while !header.target().is_met_by(header.block_hash()) {
        header.nonce += 1;
    }
    header
}

impl Chain {
    pub fn new() -> Self {
        let mut chain = Self {
            headers: Vec::new(),
            blocks: Vec::new(),
        };
        for height in 0..LENGTH {
            let nowhere = ScriptBuf::from(vec![0x51; 22]);
            let all = vec![
                pay(1, height, nowhere.clone()),
                pay(2, height, script(height)),
                pay(3, height, nowhere),
            ];
            let ids = all.iter().map(|t| t.compute_txid().to_raw_hash());
            let root = merkle_tree::calculate_root(ids).unwrap();
            let prev = chain.headers.last().map(|header| header.block_hash());
            chain.headers.push(mined(bitcoin::block::Header {
                version: Version::TWO,
                prev_blockhash: prev.unwrap_or_else(BlockHash::all_zeros),
                merkle_root: TxMerkleNode::from_raw_hash(root),
                time: 0,
                bits: CompactTarget::from_consensus(0x207f_ffff),
                nonce: 0,
            }));
            chain.blocks.push(all);
        }
        chain
    }

    /// The same up to a height, and other blocks after it.
    pub fn parting_after(mut self, height: u32) -> Self {
        for at in height as usize + 1..self.headers.len() {
            let mut header = self.headers[at];
            header.prev_blockhash = self.headers[at - 1].block_hash();
            header.time += 1;
            self.headers[at] = mined(header);
        }
        self
    }

    /// The same up to a height, and after it blocks for which nobody has worked.
    pub fn without_work_after(mut self, height: u32) -> Self {
        for at in height as usize + 1..self.headers.len() {
            let mut header = self.headers[at];
            header.prev_blockhash = self.headers[at - 1].block_hash();
            while header.target().is_met_by(header.block_hash()) {
                header.nonce += 1;
            }
            self.headers[at] = header;
        }
        self
    }

    pub fn block(&self, height: u32) -> Block {
        Block {
            height,
            hash: self.headers[height as usize].block_hash(),
        }
    }

    pub fn payment(&self, height: u32) -> &Transaction {
        &self.blocks[height as usize][1]
    }

    /// The protocol's hash of a script.
    fn scripthash(script: &ScriptBuf) -> String {
        let hash = bitcoin::hashes::sha256::Hash::hash(script.as_bytes());
        hash.to_byte_array()
            .iter()
            .rev()
            .map(|b| format!("{b:02x}"))
            .collect()
    }

    pub fn answer(&self, method: &str, parameters: &[Json]) -> Reply {
        let number = |index: usize| parameters[index].as_u64().unwrap() as usize;
        let found = |txid: &Json| {
            let all = self.blocks.iter().flatten();
            let wanted = txid.as_str().unwrap();
            all.into_iter()
                .find(|t| t.compute_txid().to_string() == wanted)
        };
        Reply::Result(match method {
            "blockchain.headers.subscribe" => {
                json!({"height": LENGTH - 1, "hex": serialize_hex(self.headers.last().unwrap())})
            }
            "blockchain.block.headers" => {
                let from = self.headers.iter().skip(number(0)).take(number(1));
                let hex: String = from.clone().map(serialize_hex).collect();
                json!({"hex": hex, "count": from.count(), "max": 2016})
            }
            "blockchain.estimatefee" => json!(0.000_123_45),
            "blockchain.relayfee" => json!(0.000_01),
            "blockchain.scripthash.get_history" => {
                let paid =
                    |height: &u32| json!(Self::scripthash(&script(*height))) == parameters[0];
                let height = (0..LENGTH).find(paid);
                let entries = height.map(|height| {
                    json!({"height": height, "tx_hash": self.payment(height).compute_txid()})
                });
                json!(entries.into_iter().collect::<Vec<_>>())
            }
            "blockchain.transaction.get" => match found(&parameters[0]) {
                Some(transaction) => json!(serialize_hex(transaction)),
                None => return Reply::Error("no such transaction"),
            },
            "blockchain.transaction.get_merkle" => {
                let block = &self.blocks[number(1)];
                let ids: Vec<Txid> = block.iter().map(Transaction::compute_txid).collect();
                let branch = MerkleBranch::of(&ids, 1).unwrap();
                json!({"block_height": number(1), "pos": 1, "merkle": branch.hashes})
            }
            "blockchain.transaction.broadcast" => json!(Txid::all_zeros()),
            _ => return Reply::Error("unknown method"),
        })
    }
}
