use guildmint_core::{ledger::Changes, Amount, BatchHash, Digest, Epoch, ModuleId, TxId};

/// What changes of rows mean to people. A store knows rows only as bytes; whoever knows more says it here, and a database that
/// people look into writes it beside the rows, in one commit.
pub trait Projection: Send + Sync + 'static {
    /// The records of one save. Called once for each, in the order of saves, before it is made. What it does not understand it
    /// leaves out: looking into a database must never keep a guardian from running.
    fn records(&self, changes: &Changes) -> Records;
}

/// Nobody looks.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProjection;

impl Projection for NoProjection {
    fn records(&self, _: &Changes) -> Records {
        Records::default()
    }
}

/// Records that one save writes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Records {
    /// Epochs that were committed.
    pub epochs: Vec<EpochRecord>,
    /// Transactions that were accepted.
    pub transactions: Vec<TransactionRecord>,
    /// Coins that are there.
    pub coins: Vec<CoinRecord>,
    /// Coins that are gone.
    pub spent: Vec<CoinPlace>,
    /// Parts of the balance sheet that changed.
    pub audit: Vec<AuditRecord>,
}

impl Records {
    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A committed epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EpochRecord {
    /// Its number.
    pub epoch: Epoch,
    /// Its effective batch.
    pub batch: BatchHash,
    /// The state after it.
    pub digest: Digest,
    /// How many transactions its batch has.
    pub transactions: u32,
}

/// An accepted transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionRecord {
    /// Its id.
    pub txid: TxId,
    /// When it was accepted.
    pub epoch: Epoch,
    /// How many inputs it has.
    pub inputs: u32,
    /// How many outputs it has.
    pub outputs: u32,
}

/// Where a coin is on the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CoinPlace {
    /// The bitcoin transaction, its bytes in the order in which people write them.
    pub txid: [u8; 32],
    /// The output.
    pub vout: u32,
}

/// A coin on the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoinRecord {
    /// Where it is.
    pub place: CoinPlace,
    /// What it is worth.
    pub amount: Amount,
}

/// A module's part of the balance sheet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRecord {
    /// After which epoch.
    pub epoch: Epoch,
    /// Whose.
    pub module: ModuleId,
    /// What it owns.
    pub assets: Amount,
    /// What it owes.
    pub liabilities: Amount,
}
