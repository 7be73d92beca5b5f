//! The engine's own database rows.

use std::collections::BTreeMap;

use guildmint_core::{
    encoding::hex_bytes, Announcement, Certificate, Epoch, EpochResult, IdentitySignature,
    ModuleId, PeerId, Revision, Row, Transaction, TxId,
};
use serde::{Deserialize, Serialize};

use crate::{
    contribution::Statement,
    revise::AgreedRevision,
    upgrade::{Activation, Known},
};

/// Agreed: a transaction that was accepted.
#[derive(Debug, Serialize, Deserialize, Row)]
#[row(table = 1, value = AcceptedTransaction)]
pub struct Accepted(pub TxId);

/// When a transaction was accepted, and all of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptedTransaction {
    /// The epoch.
    pub epoch: Epoch,
    /// The transaction.
    pub transaction: Transaction,
}

/// Agreed: the latest height of the chain's tip that a guardian stated.
#[derive(Debug, Serialize, Deserialize, Row)]
#[row(table = 1, value = u32, resident)]
pub struct Tip(pub PeerId);

/// Agreed: the clock, in blocks. One row.
#[derive(Debug, Serialize, Deserialize, Row)]
#[row(table = 2, value = u32, resident)]
pub struct Clock;

/// Agreed: what a guardian has said about the versions of a module's rules; none while it knows those of the founding alone.
#[derive(Debug, Serialize, Deserialize, Row)]
#[row(table = 3, value = Known, resident)]
pub struct Knows(pub ModuleId, pub PeerId);

/// Agreed: the version of a module's rules; none while it is that of the founding.
#[derive(Debug, Serialize, Deserialize, Row)]
#[row(table = 4, value = Activation, resident)]
pub struct Agreed(pub ModuleId);

/// Agreed: the number of the latest revision; none before the first. One row.
#[derive(Debug, Serialize, Deserialize, Row)]
#[row(table = 5, value = u32, resident)]
pub struct LatestRevision;

/// Agreed: a revision of the config, by its number.
#[derive(Debug, Serialize, Deserialize, Row)]
#[row(table = 6, value = AgreedRevision, resident)]
pub struct Revised(pub u32);

/// Agreed: the revision that a guardian approves; none if it approves none.
#[derive(Debug, Serialize, Deserialize, Row)]
#[row(table = 7, value = Revision, resident)]
pub struct Approves(pub PeerId);

/// Local: what the operator said last about revisions: which to approve, or none. One row.
#[derive(Debug, Serialize, Deserialize, Row)]
#[row(table = 7, value = Option<Revision>, resident)]
pub struct Stance;

/// Local: the result of the last committed epoch. One row.
#[derive(Debug, Serialize, Deserialize, Row)]
#[row(table = 1, value = EpochResult, resident)]
pub struct Head;

/// Local: the last certificate that is complete. One row.
#[derive(Debug, Serialize, Deserialize, Row)]
#[row(table = 2, value = Certificate, resident)]
pub struct LastCertificate;

/// Local: the history of one epoch.
#[derive(Debug, Serialize, Deserialize, Row)]
#[row(table = 1, value = Record)]
pub struct History(pub Epoch);

/// Guardians' signatures on one result.
pub type Vouchers = BTreeMap<PeerId, IdentitySignature>;

/// What is needed to serve an epoch to a guardian that missed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// What was agreed.
    pub result: EpochResult,
    /// Our signature on it.
    pub signature: IdentitySignature,
    /// The signatures on it that were known when it was committed. Whoever took it over from others has f + 1, and can convince
    /// the next one.
    pub vouchers: Vouchers,
    /// The statements of the effective batch.
    pub statements: BTreeMap<PeerId, Statement>,
    /// Its transactions, which are rows of their own.
    pub transactions: Vec<TxId>,
}

/// Local: one input to the open epoch's agreement, in the order in which they were taken: the write-ahead log.
#[derive(Debug, Serialize, Deserialize, Row)]
#[row(table = 3, value = LogEntry, resident)]
pub struct Log(pub Epoch, pub u64);

/// An input to the agreement. Replaying all of them in order rebuilds it, and all messages sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogEntry {
    /// A payload, ours or another's: its encoding.
    Payload(#[serde(with = "hex_bytes")] Vec<u8>),
    /// A frame of a peer's stream.
    Frame(PeerId, #[serde(with = "hex_bytes")] Vec<u8>),
}

/// Local: the last epoch in which this guardian may have said what it does not know any more. One row.
#[derive(Debug, Serialize, Deserialize, Row)]
#[row(table = 5, value = Epoch, resident)]
pub struct Fenced;

/// Local: a transaction that waits for an epoch.
#[derive(Debug, Serialize, Deserialize, Row)]
#[row(table = 4, value = Transaction, resident)]
pub struct Pooled(pub TxId);

/// Local: where a guardian said last that it is.
#[derive(Debug, Serialize, Deserialize, Row)]
#[row(table = 6, value = Announcement, resident)]
pub struct Announced(pub PeerId);
