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
    /// What fee rate is said to get a transaction confirmed soon, in satoshi per 1000 virtual bytes.
    pub fee_rate_sat_per_kvb: u64,
    /// What miners ask for in fact; the pool keeps cheaper transactions waiting. Strangers always pay enough.
    pub miners_sat_per_kvb: u64,
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
    /// It conflicts with what waits already, and pays too little more to replace that (BIP-125).
    TooLittleMore {
        /// The fee in satoshi.
        fee_sat: u64,
        /// What it should be.
        least_sat: u64,
    },
    /// It conflicts with one that does not signal that it may be replaced.
    Final(Txid),
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
            miners_sat_per_kvb: RELAY_SAT_PER_KVB,
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
        let paying: Vec<Txid> = self
            .pool
            .iter()
            .filter(|transaction| self.pays_enough(transaction))
            .flat_map(|transaction| self.package(transaction))
            .map(Transaction::compute_txid)
            .collect();
        for transaction in std::mem::take(&mut self.pool) {
            if paying.contains(&transaction.compute_txid()) {
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

    /// Takes a transaction into the pool. One that is there already, or in a block, is taken silently, and so is one whose
    /// place another version has: one that may be replaced, spends the same coins, and pays as much or is in a block. One that conflicts with
    /// cheaper ones replaces them and what builds on them, by the rules of BIP-125.
    ///
    /// # Errors
    /// If no node would relay it.
    pub fn broadcast(&mut self, transaction: Transaction) -> Result<(), BroadcastError> {
        let txid = transaction.compute_txid();
        if self.place(txid).is_some() || self.pool.iter().any(|other| other.compute_txid() == txid)
        {
            return Ok(());
        }
        let mut mined = self.blocks.iter().flat_map(|block| &block.txdata);
        let is_version =
            |other: &Transaction| other.is_explicitly_rbf() && coins(other).eq(coins(&transaction));
        if mined.any(is_version) {
            return Ok(());
        }
        let fee_sat = self.fee_sat(&transaction)?;
        let least_sat = transaction.vsize() as u64 * RELAY_SAT_PER_KVB / 1_000;
        if fee_sat < least_sat {
            return Err(BroadcastError::TooCheap { fee_sat, least_sat });
        }
        let Some(replaced) = self.replaced_by(&transaction, fee_sat)? else {
            return Ok(());
        };
        self.pool.retain(|other| !replaced.contains(other));
        for gone in replaced.iter().map(Transaction::compute_txid) {
            self.unspent.retain(|coin, _| coin.txid != gone);
        }
        for (index, output) in (0..).zip(&transaction.output) {
            self.unspent
                .insert(OutPoint::new(txid, index), output.clone());
        }
        self.pool.push(transaction);
        Ok(())
    }

    /// What a transaction takes the place of in the pool; `None` if a version that pays as much is there.
    fn replaced_by(
        &self,
        transaction: &Transaction,
        fee_sat: u64,
    ) -> Result<Option<Vec<Transaction>>, BroadcastError> {
        let conflicts =
            |other: &&Transaction| coins(other).any(|a| coins(transaction).any(|b| a == b));
        let direct: Vec<&Transaction> = self.pool.iter().filter(conflicts).collect();
        let is_version = |other: &Transaction| {
            self.fee_sat(other).is_ok_and(|sat| sat >= fee_sat)
                && coins(other).eq(coins(transaction))
        };
        if direct.iter().any(|other| is_version(other)) {
            return Ok(None);
        }
        if let Some(last_word) = direct.iter().find(|other| !other.is_explicitly_rbf()) {
            return Err(BroadcastError::Final(last_word.compute_txid()));
        }
        let replaced: Vec<Transaction> = direct
            .iter()
            .flat_map(|other| self.descendants(other))
            .collect();
        let replaced_sat: u64 = replaced.iter().map(|o| self.fee_sat(o).unwrap_or(0)).sum();
        let relay_sat = transaction.vsize() as u64 * RELAY_SAT_PER_KVB / 1_000;
        let least_sat = replaced_sat + relay_sat;
        if !replaced.is_empty() && fee_sat < least_sat {
            return Err(BroadcastError::TooLittleMore { fee_sat, least_sat });
        }
        Ok(Some(replaced))
    }

    /// A transaction in the pool and all that builds on it there.
    fn descendants(&self, transaction: &Transaction) -> Vec<Transaction> {
        let txid = transaction.compute_txid();
        let builds = |other: &&Transaction| coins(other).any(|coin| coin.txid == txid);
        let children = self.pool.iter().filter(builds);
        let mut all = vec![transaction.clone()];
        all.extend(children.flat_map(|child| self.descendants(child)));
        all
    }

    /// A transaction in the pool and all that it builds on there.
    fn package<'a>(&'a self, transaction: &'a Transaction) -> Vec<&'a Transaction> {
        let is_parent = |other: &&Transaction| {
            let txid = other.compute_txid();
            coins(transaction).any(|coin| coin.txid == txid)
        };
        let parents = self.pool.iter().filter(is_parent);
        let mut all = vec![transaction];
        all.extend(parents.flat_map(|parent| self.package(parent)));
        all
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

    /// Whether miners take it, together with what it builds on.
    fn pays_enough(&self, transaction: &Transaction) -> bool {
        let package = self.package(transaction);
        let fees: Result<Vec<u64>, _> = package.iter().map(|one| self.fee_sat(one)).collect();
        // Strangers' coins are not known.
        let Ok(fees) = fees else {
            return true;
        };
        let vbytes: u64 = package.iter().map(|one| one.vsize() as u64).sum();
        fees.iter().sum::<u64>() * 1_000 >= vbytes * self.miners_sat_per_kvb
    }
}

fn coins(transaction: &Transaction) -> impl Iterator<Item = OutPoint> + '_ {
    transaction.input.iter().map(|input| input.previous_output)
}

fn paying(script_pubkey: ScriptBuf, sat: u64) -> TxOut {
    TxOut {
        value: Amount::from_sat(sat),
        script_pubkey,
    }
}

#[cfg(test)]
mod tests;
