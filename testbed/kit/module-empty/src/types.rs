//! What clients and guardians say to each other about lockers.

use bitcoin::secp256k1::XOnlyPublicKey;
use guildmint_core::{Amount, OutPoint, Wire};
use serde::{Deserialize, Serialize};

/// The module's part of the genesis config.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = 64)]
pub struct LockersConfig {
    /// What locking costs.
    pub fee: Amount,
}

/// A guardian's secret: this module needs none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = 1)]
pub struct NoSecret;

/// An output: locks money under a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = 128)]
pub struct Lock {
    /// How much.
    pub amount: Amount,
    /// Who may take it out.
    pub key: XOnlyPublicKey,
}

/// An input: takes locked money out, all of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = 128)]
pub struct Unlock {
    /// The output that locked it.
    pub locked: OutPoint,
    /// The key that it was locked under, which must sign the transaction.
    pub key: XOnlyPublicKey,
}

/// Answer to `GET /v1/lockers/locked/{txid}:{index}`: null if nothing is locked there (any more).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockAnswer {
    /// How much.
    pub amount: Amount,
}

/// What is never said: this module has no votes, news and jobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = 1)]
pub enum Never {}
