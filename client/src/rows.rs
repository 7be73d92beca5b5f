//! What a wallet remembers: typed rows in memory, and the changes that are yet to be saved.

pub(crate) use guildmint_core::ledger::{DamagedRow, Rows};
use guildmint_core::{
    encoding::hex_bytes,
    ledger::{Memory, Row},
    Announcement, SignedRevision, TxId,
};
use guildmint_mint::client::{NoteRequest, SpendableNote};
use serde::{Deserialize, Serialize};

use crate::{
    errand::ErrandName,
    event::Millis,
    federation::Membership,
    operation::{List, OperationId, Record},
    payment::{Making, Payment},
};

/// The federation that this wallet has joined.
#[derive(Debug, Serialize, Deserialize, Row)]
#[row(table = 1, value = Membership, resident)]
pub(crate) struct Joined(pub ());

/// The next index that no note of a denomination has used (SPEC MIN-6).
#[derive(Debug, Serialize, Deserialize, Row)]
#[row(table = 2, value = u64, resident)]
pub(crate) struct NextNote(pub u8);

/// A note in the wallet.
#[derive(Debug, Serialize, Deserialize, Row)]
#[row(table = 3, value = Coin, resident)]
pub(crate) struct CoinRow(pub NoteRequest);

/// An operation.
#[derive(Debug, Serialize, Deserialize, Row)]
#[row(table = 4, value = Record, resident)]
pub(crate) struct OperationRow(pub OperationId);

/// A transaction that is not settled.
#[derive(Debug, Serialize, Deserialize, Row)]
#[row(table = 5, value = Payment, resident)]
pub(crate) struct PaymentRow(pub TxId);

/// The next operation's number.
#[derive(Debug, Serialize, Deserialize, Row)]
#[row(table = 6, value = u64, resident)]
pub(crate) struct NextOperation(pub ());

/// The next deposit address's index.
#[derive(Debug, Serialize, Deserialize, Row)]
#[row(table = 7, value = u64, resident)]
pub(crate) struct NextAddress(pub ());

/// When guardians last told where they are.
#[derive(Debug, Serialize, Deserialize, Row)]
#[row(table = 10, value = Millis, resident)]
pub(crate) struct Sought(pub ());

/// Where guardians have said that they are.
#[derive(Debug, Serialize, Deserialize, Row)]
#[row(table = 11, value = Vec<Announcement>, resident)]
pub(crate) struct Announced(pub ());

/// The newest revision of the federation's config that is known; verified.
#[derive(Debug, Serialize, Deserialize, Row)]
#[row(table = 12, value = SignedRevision, resident)]
pub(crate) struct RevisionRow(pub ());

/// What it takes to make a transaction that is not settled anew.
#[derive(Debug, Serialize, Deserialize, Row)]
#[row(table = 13, value = Making, resident)]
pub(crate) struct MakingRow(pub TxId);

/// The next index of secrets for Lightning.
#[derive(Debug, Serialize, Deserialize, Row)]
#[row(table = 14, value = u64, resident)]
pub(crate) struct NextLn(pub ());

/// The operation of an errand. For ever: whoever orders it again finds it.
#[derive(Debug, Serialize, Deserialize, Row)]
#[row(table = 20, value = OperationId, resident)]
pub(crate) struct ErrandRow(pub ErrandName);

/// A part of a list that is being searched.
#[derive(Debug, Serialize, Deserialize, Row)]
#[row(table = 8, value = Slice, resident)]
pub(crate) struct SliceRow {
    pub list: List,
    /// The place of its first prefix.
    pub from: u64,
}

/// Prefixes, one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Slice(#[serde(with = "hex_bytes")] pub Vec<u8>);

/// The words were used before, and what they had is not found again yet: nothing new may be derived from them.
#[derive(Debug, Serialize, Deserialize, Row)]
#[row(table = 9, value = (), resident)]
pub(crate) struct Unrestored(pub ());

/// A note that is ours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Coin {
    /// The note.
    pub note: SpendableNote,
    /// The transaction that spends it, if one is under way.
    pub spent_by: Option<TxId>,
}

/// Stored rows, every one of which must be readable: a note that is overlooked is money lost.
pub(crate) fn load(memory: Memory) -> Result<Rows, DamagedRow> {
    Rows::load(memory, |key, value| {
        Rows::reads::<Joined>(key, value)
            || Rows::reads::<NextNote>(key, value)
            || Rows::reads::<CoinRow>(key, value)
            || Rows::reads::<OperationRow>(key, value)
            || Rows::reads::<PaymentRow>(key, value)
            || Rows::reads::<NextOperation>(key, value)
            || Rows::reads::<NextAddress>(key, value)
            || Rows::reads::<Sought>(key, value)
            || Rows::reads::<Announced>(key, value)
            || Rows::reads::<RevisionRow>(key, value)
            || Rows::reads::<MakingRow>(key, value)
            || Rows::reads::<NextLn>(key, value)
            || Rows::reads::<ErrandRow>(key, value)
            || Rows::reads::<SliceRow>(key, value)
            || Rows::reads::<Unrestored>(key, value)
    })
}
