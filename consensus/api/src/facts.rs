//! What a guardian tells its operator: one document for the page, for `guildmintd status`, and, less what is private, for
//! everybody's page.

use guildmint_core::{
    api::{AuditAnswer, RevisionReport, StatusAnswer},
    FederationId, PeerId,
};
use serde::Serialize;

use crate::Check;

/// A guardian and its federation, as this guardian sees them. Names and URLs in it were written by strangers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Overview {
    /// Whether clients can be served: all checks are in order.
    pub ready: bool,
    /// What clients need to be in order.
    pub checks: Vec<Check>,
    /// The federation.
    pub federation: FederationFacts,
    /// What has been changed about it, and is proposed to be; null if the loop does not answer.
    pub revisions: Option<RevisionReport>,
    /// What this guardian says of itself; null if its loop does not answer.
    pub status: Option<StatusAnswer>,
    /// Seconds since it was started.
    pub uptime_seconds: u64,
    /// Seconds since it last committed an epoch; null if it has not since it was started. An idle federation commits none.
    pub last_epoch_seconds: Option<u64>,
    /// All guardians, this one too, in the order of their indices.
    pub guardians: Vec<GuardianFacts>,
    /// The balance sheet; null if the loop does not answer.
    pub audit: Option<AuditAnswer>,
    /// The federation's bitcoin; null if it has none.
    pub wallet: Option<WalletFacts>,
    /// Where rows are.
    pub database: DatabaseFacts,
    /// The backup of configuration and secrets; null if none is known of.
    pub backup: Option<BackupFacts>,
}

/// What hardly ever changes about a federation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FederationFacts {
    /// What it calls itself.
    pub name: String,
    /// Its id.
    pub id: FederationId,
    /// The bitcoin network.
    pub network: String,
    /// How many guardians must agree.
    pub threshold: usize,
    /// What is to be thought of with so few guardians; null with enough of them.
    pub warning: Option<String>,
    /// What wallets join with.
    pub invite: String,
}

/// One guardian.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GuardianFacts {
    /// Its index.
    pub guardian: PeerId,
    /// What it calls itself.
    pub name: String,
    /// Where clients reach it.
    pub api: String,
    /// Whether it is the one that answers.
    pub is_self: bool,
    /// Whether it can be reached; of itself, whether it can serve clients.
    pub connected: bool,
    /// The other end of the connection, as a multiaddress.
    pub address: Option<String>,
    /// The latest ping.
    pub round_trip_ms: Option<u32>,
    /// How long it was made to wait, in milliseconds, because it sends more than a guardian has to.
    pub slowed_ms: u64,
    /// Whether two processes run with its secrets.
    pub runs_twice: bool,
    /// What it did wrong since this guardian was started.
    pub faults: u64,
    /// The last of it.
    pub last_fault: Option<String>,
}

/// The federation's bitcoin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WalletFacts {
    /// The height and hash of the block that guardians agree on.
    pub agreed_height: u32,
    /// Its hash.
    pub agreed_hash: String,
    /// The height of the chain's tip, as this guardian sees it.
    pub tip_height: Option<u32>,
    /// What miners are paid.
    pub fee_rate_sat_per_kvb: Option<u64>,
    /// Where this guardian looks, in its own words.
    pub source: String,
    /// Whether it sees the chain there.
    pub source_ok: bool,
    /// Unspent outputs, the first of them.
    pub coins: Vec<CoinFacts>,
    /// Whether there are more.
    pub more_coins: bool,
    /// Withdrawals that wait for a transaction.
    pub queued: usize,
    /// Transactions that are not buried yet.
    pub payouts: Vec<PayoutFacts>,
}

/// One unspent output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CoinFacts {
    /// Where it is, as `txid:index`.
    pub outpoint: String,
    /// How much it is.
    pub amount_sat: u64,
    /// Whether it is on the chain; change of a withdrawal may not be yet.
    pub confirmed: bool,
}

/// A transaction of withdrawals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PayoutFacts {
    /// Its id.
    pub txid: String,
    /// How many are paid by it.
    pub recipients: usize,
    /// What it pays miners.
    pub fee_sat: u64,
    /// How far it is.
    pub state: String,
    /// Guardians that have signed.
    pub signers: usize,
    /// The height at which it was built.
    pub built_at: u32,
}

/// Where rows are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DatabaseFacts {
    /// `sqlite`, or a URL without its password.
    pub place: String,
    /// How large its file is, if it is one.
    pub bytes: Option<u64>,
    /// How long it has been at work on one thing.
    pub busy_ms: u64,
}

/// A backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BackupFacts {
    /// How old it is.
    pub age_seconds: u64,
}
