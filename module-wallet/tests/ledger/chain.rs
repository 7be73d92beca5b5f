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
    /// Everything that the federation ever sent.
    pub sent: Vec<Transaction>,
    /// What miners ask for, in satoshi per 1000 virtual bytes; what pays less stays in the mempool.
    pub miners_sat_per_kvb: u64,
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

fn value(outputs: &[TxOut]) -> u64 {
    outputs.iter().map(|output| output.value.to_sat()).sum()
}

fn conflict(a: &Transaction, b: &Transaction) -> bool {
    let mut inputs = a.input.iter().map(|input| input.previous_output);
    inputs.any(|coin| b.input.iter().any(|other| other.previous_output == coin))
        && a.compute_txid() != b.compute_txid()
}

fn spends(child: &Transaction, parent: &Transaction) -> bool {
    let txid = parent.compute_txid();
    child
        .input
        .iter()
        .any(|input| input.previous_output.txid == txid)
}

fn check_scripts(transaction: &Transaction, spent: &[TxOut]) {
    for (index, (input, coin)) in transaction.input.iter().zip(spent).enumerate() {
        let interpreter = Interpreter::from_txdata(
            &coin.script_pubkey,
            &input.script_sig,
            &input.witness,
            input.sequence,
            transaction.lock_time,
        );
        let interpreter = interpreter.expect("a script that can be read");
        let prevouts = Prevouts::All(spent);
        let satisfied = interpreter.iter(SECP256K1, transaction, index, &prevouts);
        assert!(satisfied.count() > 0);
        let mut again = interpreter.iter(SECP256K1, transaction, index, &prevouts);
        assert!(
            again.all(|constraint| constraint.is_ok()),
            "input {index} is not satisfied"
        );
    }
}

impl Chain {
    pub fn new() -> Self {
        Self {
            blocks: Vec::new(),
            mempool: BTreeMap::new(),
            sent: Vec::new(),
            miners_sat_per_kvb: 0,
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

    /// The hash of a block that observers see.
    pub fn hash(&self, height: u32) -> Option<BlockHash> {
        if height == START_HEIGHT {
            return Some(start().hash);
        }
        self.header(height).map(Header::block_hash)
    }

    pub fn header(&self, height: u32) -> Option<&Header> {
        let index = height.checked_sub(START_HEIGHT + 1)?;
        self.blocks.get(index as usize).map(|(header, _)| header)
    }

    /// Puts transactions of the federation into the mempool, if they are valid: their scripts are satisfied, their coins
    /// are there or spent by transactions that they may replace, and they pay at least this rate. One that is replaced or
    /// conflicts with a block is not taken, as by any node.
    pub fn broadcast(&mut self, transaction: Transaction, rate_sat_per_kvb: u64) {
        let txid = transaction.compute_txid();
        let known = self
            .blocks
            .iter()
            .any(|(_, all)| all.iter().any(|t| t.compute_txid() == txid));
        if known || self.mempool.contains_key(&txid) || self.is_spent_in_a_block(&transaction) {
            return;
        }
        let spent: Vec<TxOut> = transaction
            .input
            .iter()
            .map(|input| self.output(input.previous_output).expect("a coin"))
            .collect();
        check_scripts(&transaction, &spent);
        let fee_sat = value(&spent) - value(&transaction.output);
        let vbytes = transaction.vsize() as u64;
        assert!(vbytes < 100_000);
        assert!(
            fee_sat * 1000 >= rate_sat_per_kvb * vbytes,
            "{fee_sat} sat for {vbytes} vB"
        );
        if !self.make_place(&transaction, fee_sat) {
            return;
        }
        for input in &transaction.input {
            let coin = self.unspent.remove(&input.previous_output);
            assert!(coin.is_some(), "an unspent coin");
        }
        self.add_outputs(&transaction);
        self.sent.push(transaction.clone());
        self.mempool.insert(txid, transaction);
    }

    /// A miner has a version that was replaced, and mines it. Whether there was one.
    pub fn mine_replaced(&mut self) -> bool {
        let is_rival = |old: &&Transaction| self.mempool.values().any(|new| conflict(old, new));
        let Some(old) = self.sent.iter().find(is_rival).cloned() else {
            return false;
        };
        let newer: Vec<Transaction> = self
            .mempool
            .values()
            .filter(|new| conflict(&old, new))
            .cloned()
            .collect();
        self.forget(newer.iter());
        for new in newer {
            self.mempool.remove(&new.compute_txid());
        }
        for input in &old.input {
            assert!(self.unspent.remove(&input.previous_output).is_some());
        }
        self.mine(vec![old]);
        true
    }

    /// What an unspent output is worth.
    pub fn unspent_sat(&self, at: OutPoint) -> Option<u64> {
        self.unspent.get(&at).map(|output| output.value.to_sat())
    }

    /// Removes what conflicts with a transaction from the mempool, by the rules of BIP-125. `false` if it is an older
    /// version of what is there.
    fn make_place(&mut self, transaction: &Transaction, fee_sat: u64) -> bool {
        let conflicts: Vec<Transaction> = self
            .mempool
            .values()
            .filter(|other| conflict(other, transaction))
            .cloned()
            .collect();
        for old in &conflicts {
            let replaced_sat = self.fee_sat(old);
            if replaced_sat > fee_sat {
                return false;
            }
            assert!(
                old.input.iter().any(|input| input.sequence.is_rbf()),
                "no signal"
            );
            let relay_sat = transaction.vsize() as u64;
            assert!(
                fee_sat >= replaced_sat + relay_sat,
                "{replaced_sat} to {fee_sat}"
            );
            let (new, old_vbytes) = (transaction.vsize() as u64, old.vsize() as u64);
            assert!(
                fee_sat * old_vbytes > replaced_sat * new,
                "the rate must rise"
            );
            let inputs = |of: &Transaction| -> Vec<OutPoint> {
                of.input.iter().map(|input| input.previous_output).collect()
            };
            assert_eq!(inputs(old), inputs(transaction), "no new coins");
            let child = self.mempool.values().find(|child| spends(child, old));
            assert_eq!(child, None, "what builds on the old one would be lost");
        }
        self.forget(conflicts.iter());
        for old in conflicts {
            self.mempool.remove(&old.compute_txid());
        }
        true
    }

    fn is_spent_in_a_block(&self, transaction: &Transaction) -> bool {
        let mut mined = self.blocks.iter().flat_map(|(_, all)| all);
        mined.any(|other| conflict(other, transaction))
    }

    fn output(&self, at: OutPoint) -> Option<TxOut> {
        let mined = self.blocks.iter().flat_map(|(_, all)| all);
        mined
            .chain(self.mempool.values())
            .filter(|parent| parent.compute_txid() == at.txid)
            .find_map(|parent| parent.output.get(at.vout as usize).cloned())
    }

    /// What a transaction in the mempool pays to miners.
    pub fn fee_sat(&self, transaction: &Transaction) -> u64 {
        let inputs = transaction.input.iter();
        let spent: Vec<TxOut> = inputs
            .map(|input| self.output(input.previous_output).expect("a coin"))
            .collect();
        value(&spent) - value(&transaction.output)
    }

    /// A transaction in the mempool after all it builds on there.
    fn package(&self, transaction: &Transaction) -> Vec<Transaction> {
        let mut package = Vec::new();
        for parent in self
            .mempool
            .values()
            .filter(|parent| spends(transaction, parent))
        {
            package.extend(self.package(parent));
        }
        package.push(transaction.clone());
        package
    }

    /// What miners take out of the mempool: what pays enough together with what it builds on.
    fn take_paying(&mut self) -> Vec<Transaction> {
        let mut taken = BTreeMap::new();
        for transaction in self.mempool.values() {
            let package = self.package(transaction);
            let fee_sat: u64 = package.iter().map(|one| self.fee_sat(one)).sum();
            let vbytes: u64 = package.iter().map(|one| one.vsize() as u64).sum();
            if fee_sat * 1000 >= self.miners_sat_per_kvb.saturating_mul(vbytes) {
                taken.extend(package.into_iter().map(|one| (one.compute_txid(), one)));
            }
        }
        for txid in taken.keys() {
            self.mempool.remove(txid);
        }
        taken.into_values().collect()
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
                let coin = self.output(input.previous_output).unwrap();
                self.unspent.insert(input.previous_output, coin);
            }
        }
    }

    /// Mines a block of these transactions and what pays enough in the mempool.
    pub fn mine(&mut self, strangers: Vec<Transaction>) -> Block {
        for transaction in &strangers {
            self.add_outputs(transaction);
        }
        let mut all = strangers;
        if !all.first().is_some_and(Transaction::is_coinbase) {
            let reward = pay(ScriptBuf::from(vec![0x51; 22]), 5_000_000_000);
            all.insert(0, self.coinbase(vec![reward]));
        }
        all.extend(self.take_paying());
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

    /// The last `depth` blocks are replaced by as many others and one more, which hold what was in those before but for
    /// `lost`.
    pub fn reorganise(&mut self, depth: usize, lost: &[Txid]) {
        let keep = self.blocks.len() - depth;
        for (_, all) in self.blocks.split_off(keep) {
            let all = all.into_iter().filter(|one| !one.is_coinbase());
            let mut all: Vec<Transaction> = all
                .filter(|one| !lost.contains(&one.compute_txid()))
                .collect();
            let script = ScriptBuf::from(vec![0x52; 22]);
            all.insert(0, self.coinbase(vec![pay(script, 5_000_000_000)]));
            self.mine_exactly(all);
        }
        self.mine(vec![]);
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
