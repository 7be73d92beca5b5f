//! A bitcoin chain in memory that knows what the federation may and may not do on it.

use std::collections::BTreeMap;

use bitcoin::{
    absolute::LockTime,
    block::{Header, Version},
    hashes::Hash,
    merkle_tree,
    sighash::Prevouts,
    transaction, Amount, BlockHash, CompactTarget, OutPoint, ScriptBuf, Sequence, Transaction,
    TxIn, TxMerkleNode, TxOut, Txid, Witness,
};
use guildmint_wallet::{Block, MerkleBranch};
use miniscript::interpreter::Interpreter;
use secp256k1::SECP256K1;

pub const START_HEIGHT: u32 = 100;

pub struct Chain {
    /// From the block after the start.
    pub blocks: Vec<(Header, Vec<Transaction>)>,
    pub mempool: BTreeMap<Txid, Transaction>,
    unspent: BTreeMap<OutPoint, TxOut>,
    strangers: u8,
}

pub fn start() -> Block {
    Block {
        height: START_HEIGHT,
        hash: BlockHash::from_byte_array([0x5a; 32]),
    }
}

pub fn pay(script_pubkey: ScriptBuf, amount_sat: u64) -> TxOut {
    TxOut {
        value: Amount::from_sat(amount_sat),
        script_pubkey,
    }
}

fn spend(previous_output: OutPoint) -> TxIn {
    TxIn {
        previous_output,
        script_sig: ScriptBuf::new(),
        sequence: Sequence::MAX,
        witness: Witness::new(),
    }
}

fn transaction(input: Vec<TxIn>, output: Vec<TxOut>) -> Transaction {
    Transaction {
        version: transaction::Version::TWO,
        lock_time: LockTime::ZERO,
        input,
        output,
    }
}

impl Chain {
    pub fn new() -> Self {
        Self {
            blocks: Vec::new(),
            mempool: BTreeMap::new(),
            unspent: BTreeMap::new(),
            strangers: 0,
        }
    }

    /// A payment by somebody who is not the federation.
    pub fn stranger_pays(&mut self, outputs: Vec<TxOut>) -> Transaction {
        self.strangers = self.strangers.wrapping_add(1);
        let mut id = [self.strangers; 32];
        id[..8].copy_from_slice(&(self.blocks.len() as u64).to_le_bytes());
        transaction(
            vec![spend(OutPoint::new(Txid::from_byte_array(id), 7))],
            outputs,
        )
    }

    pub fn coinbase(&self, outputs: Vec<TxOut>) -> Transaction {
        let mut input = spend(OutPoint::null());
        input.script_sig = ScriptBuf::from(self.tip().height.to_le_bytes().to_vec());
        transaction(vec![input], outputs)
    }

    pub fn tip(&self) -> Block {
        self.blocks.last().map_or_else(start, |(header, _)| Block {
            height: START_HEIGHT + self.blocks.len() as u32,
            hash: header.block_hash(),
        })
    }

    pub fn header(&self, height: u32) -> Option<&Header> {
        let index = height.checked_sub(START_HEIGHT + 1)?;
        self.blocks.get(index as usize).map(|(header, _)| header)
    }

    /// Puts transactions of the federation into the mempool, if they are valid: their scripts are satisfied, their coins
    /// are there, and they pay at least this rate.
    pub fn broadcast(&mut self, transaction: Transaction, rate_sat_per_kvb: u64) {
        let txid = transaction.compute_txid();
        let known = self
            .blocks
            .iter()
            .any(|(_, all)| all.iter().any(|t| t.compute_txid() == txid));
        if known || self.mempool.contains_key(&txid) {
            return;
        }
        let spent: Vec<TxOut> = transaction
            .input
            .iter()
            .map(|input| {
                self.unspent
                    .remove(&input.previous_output)
                    .expect("an unspent coin")
            })
            .collect();
        for (index, (input, coin)) in transaction.input.iter().zip(&spent).enumerate() {
            let interpreter = Interpreter::from_txdata(
                &coin.script_pubkey,
                &input.script_sig,
                &input.witness,
                input.sequence,
                transaction.lock_time,
            );
            let interpreter = interpreter.expect("a script that can be read");
            let prevouts = Prevouts::All(&spent);
            let satisfied = interpreter.iter(SECP256K1, &transaction, index, &prevouts);
            assert!(satisfied.count() > 0);
            let mut again = interpreter.iter(SECP256K1, &transaction, index, &prevouts);
            assert!(
                again.all(|constraint| constraint.is_ok()),
                "input {index} is not satisfied"
            );
        }
        let value = |outputs: &[TxOut]| outputs.iter().map(|o| o.value.to_sat()).sum::<u64>();
        let fee_sat = value(&spent) - value(&transaction.output);
        let vbytes = transaction.vsize() as u64;
        assert!(vbytes < 100_000);
        assert!(
            fee_sat * 1000 >= rate_sat_per_kvb * vbytes,
            "{fee_sat} sat for {vbytes} vB"
        );
        self.add_outputs(&transaction);
        self.mempool.insert(txid, transaction);
    }

    fn add_outputs(&mut self, transaction: &Transaction) {
        let txid = transaction.compute_txid();
        for (index, output) in (0..).zip(&transaction.output) {
            assert!(output.value >= output.script_pubkey.minimal_non_dust());
            self.unspent
                .insert(OutPoint::new(txid, index), output.clone());
        }
    }

    /// Nodes have forgotten these transactions: what they spent is unspent.
    pub fn forget<'t>(&mut self, transactions: impl Iterator<Item = &'t Transaction>) {
        for transaction in transactions {
            let txid = transaction.compute_txid();
            self.unspent.retain(|outpoint, _| outpoint.txid != txid);
            for input in &transaction.input {
                let mined = self.blocks.iter().flat_map(|(_, all)| all);
                let coin = mined
                    .filter(|parent| parent.compute_txid() == input.previous_output.txid)
                    .find_map(|parent| parent.output.get(input.previous_output.vout as usize));
                self.unspent
                    .insert(input.previous_output, coin.unwrap().clone());
            }
        }
    }

    /// Mines a block of these transactions and all of the mempool.
    pub fn mine(&mut self, strangers: Vec<Transaction>) -> Block {
        for transaction in &strangers {
            self.add_outputs(transaction);
        }
        let mut all = strangers;
        if !all.first().is_some_and(Transaction::is_coinbase) {
            let reward = pay(ScriptBuf::from(vec![0x51; 22]), 5_000_000_000);
            all.insert(0, self.coinbase(vec![reward]));
        }
        all.extend(std::mem::take(&mut self.mempool).into_values());
        self.mine_exactly(all)
    }

    pub fn mine_exactly(&mut self, all: Vec<Transaction>) -> Block {
        let ids = all.iter().map(|t| t.compute_txid().to_raw_hash());
        let root = merkle_tree::calculate_root(ids).expect("a transaction");
        let header = Header {
            version: Version::TWO,
            prev_blockhash: self.tip().hash,
            merkle_root: TxMerkleNode::from_raw_hash(root),
            time: 0,
            bits: CompactTarget::from_consensus(0x207f_ffff),
            nonce: 0,
        };
        self.blocks.push((header, all));
        self.tip()
    }

    pub fn mine_empty(&mut self, count: u32) {
        for _ in 0..count {
            self.mine(vec![]);
        }
    }

    /// Where a transaction is, and the proof of it.
    pub fn find(&self, txid: Txid) -> Option<(u32, Header, MerkleBranch)> {
        (START_HEIGHT + 1..)
            .zip(&self.blocks)
            .find_map(|(height, (header, all))| {
                let ids: Vec<Txid> = all.iter().map(Transaction::compute_txid).collect();
                let position = ids.iter().position(|id| *id == txid)?;
                Some((height, *header, MerkleBranch::of(&ids, position)?))
            })
    }

    /// How often a script was paid how much, in blocks and in the mempool.
    pub fn payments_to(&self, script: &ScriptBuf) -> Vec<u64> {
        let mined = self.blocks.iter().flat_map(|(_, all)| all);
        mined
            .chain(self.mempool.values())
            .flat_map(|transaction| &transaction.output)
            .filter(|output| output.script_pubkey == *script)
            .map(|output| output.value.to_sat())
            .collect()
    }
}
