//! A bitcoin network in memory: blocks, a pool of transactions, strangers who pay, reorganisations. No scripts are run and no work
//! is proved; what spends what, and whether fees suffice to be relayed, is checked.

use std::collections::BTreeMap;

use bitcoin::{
    absolute::LockTime,
    block::{Header, Version},
    hashes::Hash,
    transaction, Amount, Block, BlockHash, CompactTarget, OutPoint, ScriptBuf, Sequence,
    Transaction, TxIn, TxMerkleNode, TxOut, Txid, Witness,
};

/// What relaying costs at least, in satoshi per 1000 virtual bytes.
const RELAY_SAT_PER_KVB: u64 = 1_000;

/// A bitcoin network.
#[derive(Debug, Clone)]
pub struct FakeChain {
    blocks: Vec<Block>,
    pool: Vec<Transaction>,
    unspent: BTreeMap<OutPoint, TxOut>,
    strangers: u64,
    /// What fee rate gets a transaction confirmed soon, in satoshi per 1000 virtual bytes; the pool keeps cheaper ones waiting.
    pub fee_rate_sat_per_kvb: u64,
}

/// Where a transaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The block.
    pub height: u32,
    /// Which transaction of the block.
    pub position: usize,
}

/// Why the network does not take a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BroadcastError {
    /// It spends what does not exist or is spent.
    NoSuchCoin(OutPoint),
    /// It pays out more than it takes in.
    OutOfNothing,
    /// It pays less than relaying costs.
    TooCheap {
        /// The fee in satoshi.
        fee_sat: u64,
        /// What it should be.
        least_sat: u64,
    },
}

impl Default for FakeChain {
    fn default() -> Self {
        Self::new()
    }
}

impl FakeChain {
    /// A chain of one block.
    #[must_use]
    pub fn new() -> Self {
        let mut chain = Self {
            blocks: Vec::new(),
            pool: Vec::new(),
            unspent: BTreeMap::new(),
            strangers: 0,
            fee_rate_sat_per_kvb: 2_000,
        };
        chain.mine(1);
        chain
    }

    /// The height of the last block.
    #[must_use]
    pub fn tip_height(&self) -> u32 {
        u32::try_from(self.blocks.len().saturating_sub(1)).unwrap_or(u32::MAX)
    }

    /// The block at a height.
    #[must_use]
    pub fn block(&self, height: u32) -> Option<&Block> {
        self.blocks.get(usize::try_from(height).ok()?)
    }

    /// The hash of the block at a height.
    #[must_use]
    pub fn hash(&self, height: u32) -> Option<BlockHash> {
        Some(self.block(height)?.block_hash())
    }

    /// The ids of a block's transactions, in order.
    #[must_use]
    pub fn txids(&self, height: u32) -> Vec<Txid> {
        let block = self.block(height);
        block.map_or_else(Vec::new, |block| {
            block.txdata.iter().map(Transaction::compute_txid).collect()
        })
    }

    /// Mines blocks with whatever pays enough.
    pub fn mine(&mut self, blocks: u32) {
        for _ in 0..blocks {
            self.mine_paying(ScriptBuf::new());
        }
    }

    /// Mines a block whose coinbase pays 50 bitcoin to a script; returns that output.
    pub fn mine_paying(&mut self, script: ScriptBuf) -> OutPoint {
        let height = self.blocks.len() as u64;
        let coinbase = Self::from_nothing(
            OutPoint::null(),
            height,
            vec![paying(script, 5_000_000_000)],
        );
        let out_point = OutPoint::new(coinbase.compute_txid(), 0);
        let mut transactions = vec![coinbase];
        let pool = std::mem::take(&mut self.pool);
        for transaction in pool {
            if self.pays_enough(&transaction) {
                transactions.push(transaction);
            } else {
                self.pool.push(transaction);
            }
        }
        self.append(transactions);
        out_point
    }

    /// A stranger pays; the payment waits in the pool.
    pub fn pay(&mut self, script: ScriptBuf, sat: u64) -> OutPoint {
        self.pay_among(script, sat, 0)
    }

    /// A stranger, such as an exchange, pays together with `others` more outputs to others.
    pub fn pay_among(&mut self, script: ScriptBuf, sat: u64, others: usize) -> OutPoint {
        self.strangers += 1;
        let source = OutPoint::new(
            Txid::all_zeros(),
            u32::try_from(self.strangers).unwrap_or(0),
        );
        let elsewhere = ScriptBuf::new_op_return([0; 20]);
        let mut outputs = vec![paying(elsewhere, 1_000); others];
        outputs.push(paying(script, sat));
        let transaction = Self::from_nothing(source, self.strangers, outputs);
        let txid = transaction.compute_txid();
        self.pool.push(transaction);
        OutPoint::new(txid, u32::try_from(others).unwrap_or(u32::MAX))
    }

    /// Takes a transaction into the pool. One that is there already, or in a block, is taken silently; one that conflicts with
    /// cheaper ones replaces them.
    ///
    /// # Errors
    /// If no node would relay it.
    pub fn broadcast(&mut self, transaction: Transaction) -> Result<(), BroadcastError> {
        let txid = transaction.compute_txid();
        if self.place(txid).is_some() || self.pool.iter().any(|other| other.compute_txid() == txid)
        {
            return Ok(());
        }
        let fee_sat = self.fee_sat(&transaction)?;
        let least_sat = transaction.vsize() as u64 * RELAY_SAT_PER_KVB / 1_000;
        if fee_sat < least_sat {
            return Err(BroadcastError::TooCheap { fee_sat, least_sat });
        }
        let spends = |other: &Transaction| {
            let mut inputs = other.input.iter();
            inputs.any(|a| {
                transaction
                    .input
                    .iter()
                    .any(|b| a.previous_output == b.previous_output)
            })
        };
        let replaced: Vec<Transaction> = self.pool.iter().filter(|o| spends(o)).cloned().collect();
        self.pool.retain(|other| !replaced.contains(other));
        for (index, output) in (0..).zip(&transaction.output) {
            self.unspent
                .insert(OutPoint::new(txid, index), output.clone());
        }
        self.pool.push(transaction);
        Ok(())
    }

    /// Where a transaction is, if it is in a block.
    #[must_use]
    pub fn place(&self, txid: Txid) -> Option<Place> {
        (0..=self.tip_height()).rev().find_map(|height| {
            let position = self.txids(height).iter().position(|other| *other == txid)?;
            Some(Place { height, position })
        })
    }

    /// All outputs that pay a script, in blocks and in the pool.
    #[must_use]
    pub fn paid(&self, script: &ScriptBuf) -> Vec<(OutPoint, u64)> {
        let blocks = self.blocks.iter().flat_map(|block| &block.txdata);
        blocks
            .chain(&self.pool)
            .flat_map(|transaction| {
                let txid = transaction.compute_txid();
                (0..)
                    .zip(&transaction.output)
                    .map(move |(index, output)| (OutPoint::new(txid, index), output))
            })
            .filter(|(_, output)| output.script_pubkey == *script)
            .map(|(out_point, output)| (out_point, output.value.to_sat()))
            .collect()
    }

    /// A transaction in a block or in the pool.
    #[must_use]
    pub fn transaction(&self, txid: Txid) -> Option<&Transaction> {
        let blocks = self.blocks.iter().flat_map(|block| &block.txdata);
        blocks
            .chain(&self.pool)
            .find(|transaction| transaction.compute_txid() == txid)
    }

    /// Transactions that wait for a block.
    #[must_use]
    pub fn pool(&self) -> &[Transaction] {
        &self.pool
    }

    /// The network forgets what waits.
    pub fn forget_pool(&mut self) {
        self.pool.clear();
    }

    /// The last `depth` blocks are replaced by empty ones; what was in them waits again.
    pub fn reorganise(&mut self, depth: u32) {
        let keep = self.blocks.len().saturating_sub(depth as usize).max(1);
        for block in self.blocks.split_off(keep) {
            self.pool.extend(block.txdata.into_iter().skip(1));
        }
        let pool = std::mem::take(&mut self.pool);
        for number in 0..depth {
            self.strangers += 1;
            let coinbase = Self::from_nothing(
                OutPoint::null(),
                u64::from(number) << 32 | self.strangers,
                vec![paying(ScriptBuf::new(), 5_000_000_000)],
            );
            self.append(vec![coinbase]);
        }
        self.pool = pool;
    }

    fn append(&mut self, transactions: Vec<Transaction>) {
        for transaction in &transactions {
            let txid = transaction.compute_txid();
            for input in &transaction.input {
                self.unspent.remove(&input.previous_output);
            }
            for (index, output) in (0..).zip(&transaction.output) {
                self.unspent
                    .insert(OutPoint::new(txid, index), output.clone());
            }
        }
        let previous = self.blocks.last().map(Block::block_hash);
        let header = Header {
            version: Version::TWO,
            prev_blockhash: previous.unwrap_or(BlockHash::all_zeros()),
            merkle_root: TxMerkleNode::all_zeros(),
            time: u32::try_from(self.blocks.len()).unwrap_or(u32::MAX),
            bits: CompactTarget::from_consensus(0x207f_ffff),
            nonce: 0,
        };
        let mut block = Block {
            header,
            txdata: transactions,
        };
        if let Some(root) = block.compute_merkle_root() {
            block.header.merkle_root = root;
        }
        self.blocks.push(block);
    }

    /// A transaction whose money comes from outside of what is simulated. `salt` makes it unlike all others.
    fn from_nothing(source: OutPoint, salt: u64, outputs: Vec<TxOut>) -> Transaction {
        Transaction {
            version: transaction::Version::TWO,
            lock_time: LockTime::ZERO,
            input: vec![TxIn {
                previous_output: source,
                script_sig: ScriptBuf::from_bytes(salt.to_le_bytes().to_vec()),
                sequence: Sequence::MAX,
                witness: Witness::new(),
            }],
            output: outputs,
        }
    }

    fn fee_sat(&self, transaction: &Transaction) -> Result<u64, BroadcastError> {
        let mut income_sat = 0;
        for input in &transaction.input {
            let coin = self.unspent.get(&input.previous_output);
            let coin = coin.ok_or(BroadcastError::NoSuchCoin(input.previous_output))?;
            income_sat += coin.value.to_sat();
        }
        let expense_sat: u64 = transaction.output.iter().map(|o| o.value.to_sat()).sum();
        income_sat
            .checked_sub(expense_sat)
            .ok_or(BroadcastError::OutOfNothing)
    }

    /// Strangers always pay enough; known coins must pay what is asked at the time.
    fn pays_enough(&self, transaction: &Transaction) -> bool {
        match self.fee_sat(transaction) {
            Ok(fee_sat) => fee_sat * 1_000 >= transaction.vsize() as u64 * RELAY_SAT_PER_KVB,
            Err(_) => true,
        }
    }
}

fn paying(script_pubkey: ScriptBuf, sat: u64) -> TxOut {
    TxOut {
        value: Amount::from_sat(sat),
        script_pubkey,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(byte: u8) -> ScriptBuf {
        ScriptBuf::from_bytes(vec![byte; 22])
    }

    #[test]
    fn payments_are_mined_and_found() {
        let mut chain = FakeChain::new();
        let paid = chain.pay_among(script(1), 5_000, 3);
        assert_eq!(chain.place(paid.txid), None);
        chain.mine(2);
        let place = chain.place(paid.txid).unwrap();
        assert_eq!((place.height, chain.tip_height()), (1, 2));
        assert_eq!(chain.paid(&script(1)), [(paid, 5_000)]);
        let block = chain.block(1).unwrap();
        assert!(block.check_merkle_root());
        assert_eq!(block.header.prev_blockhash, chain.hash(0).unwrap());
    }

    #[test]
    fn what_nobody_would_relay_is_refused() {
        let mut chain = FakeChain::new();
        let coin = chain.pay(script(1), 5_000);
        chain.mine(1);
        let spend = |sat| Transaction {
            version: transaction::Version::TWO,
            lock_time: LockTime::ZERO,
            input: vec![TxIn {
                previous_output: coin,
                ..TxIn::default()
            }],
            output: vec![paying(script(2), sat)],
        };
        assert_eq!(
            chain.broadcast(spend(6_000)),
            Err(BroadcastError::OutOfNothing)
        );
        assert!(matches!(
            chain.broadcast(spend(5_000)),
            Err(BroadcastError::TooCheap { fee_sat: 0, .. })
        ));
        assert_eq!(chain.broadcast(spend(4_000)), Ok(()));
        chain.mine(1);
        assert!(matches!(
            chain.broadcast(spend(3_000)),
            Err(BroadcastError::NoSuchCoin(_))
        ));
    }

    #[test]
    fn a_reorganisation_puts_transactions_back() {
        let mut chain = FakeChain::new();
        let paid = chain.pay(script(1), 5_000);
        chain.mine(3);
        let before = chain.hash(3);
        chain.reorganise(3);
        assert_eq!((chain.tip_height(), chain.place(paid.txid)), (3, None));
        assert_ne!(chain.hash(3), before);
        chain.mine(1);
        assert_eq!(chain.place(paid.txid).map(|place| place.height), Some(4));
    }
}
