//! What a wallet remembers: typed rows in memory, and the changes that are yet to be saved.

use guildmint_core::{
    encoding::{hex_bytes, read, read_ordered, write},
    ledger::{Base, Changes, Key, Memory, Row, Scope, Space},
    Announcement, SignedRevision, TxId,
};
use guildmint_mint::client::{NoteRequest, SpendableNote};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    errand::ErrandName,
    event::Millis,
    federation::Membership,
    operation::{List, OperationId, Record},
    payment::{Making, Payment},
};

const SCOPE: Scope = Scope::engine(Space::Local);

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

/// A stored row that cannot be read: the file is damaged, or newer software has written it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the row {} cannot be read: the wallet's file is damaged, or newer software has written it", hex::encode(&.0 .0))]
pub struct DamagedRow(pub Key);

/// All rows, and what has changed since they were last saved.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    memory: Memory,
    changes: Changes,
}

impl Rows {
    /// Takes stored rows, every one of which must be readable: a note that is overlooked is money lost.
    pub(crate) fn load(memory: Memory) -> Result<Self, DamagedRow> {
        for (key, value) in &memory.0 {
            let readable = reads::<Joined>(key, value)
                || reads::<NextNote>(key, value)
                || reads::<CoinRow>(key, value)
                || reads::<OperationRow>(key, value)
                || reads::<PaymentRow>(key, value)
                || reads::<NextOperation>(key, value)
                || reads::<NextAddress>(key, value)
                || reads::<Sought>(key, value)
                || reads::<Announced>(key, value)
                || reads::<RevisionRow>(key, value)
                || reads::<MakingRow>(key, value)
                || reads::<NextLn>(key, value)
                || reads::<ErrandRow>(key, value)
                || reads::<SliceRow>(key, value)
                || reads::<Unrestored>(key, value);
            if !readable {
                return Err(DamagedRow(key.clone()));
            }
        }
        let changes = Changes::new();
        Ok(Self { memory, changes })
    }

    pub(crate) fn get<R: Row>(&self, row: &R) -> Option<R::Value> {
        // What is in memory was readable when it was loaded, or was written by `put`.
        read(self.memory.0.get(&row.key(SCOPE))?).ok()
    }

    pub(crate) fn put<R: Row>(&mut self, row: &R, value: &R::Value) {
        let mut bytes = Vec::new();
        write(&mut bytes, value);
        self.memory.0.insert(row.key(SCOPE), bytes.clone());
        self.changes.insert(row.key(SCOPE), Some(bytes));
    }

    pub(crate) fn remove<R: Row>(&mut self, row: &R) {
        self.memory.0.remove(&row.key(SCOPE));
        self.changes.insert(row.key(SCOPE), None);
    }

    /// All rows of a table, in the order of their keys.
    pub(crate) fn scan<R: Row>(&self) -> Vec<(R, R::Value)> {
        self.memory
            .scan(&Key::table::<R>(SCOPE))
            .filter_map(|(key, value)| {
                Some((read_ordered(&key.0[Key::PREFIX..]).ok()?, read(value).ok()?))
            })
            .collect()
    }

    /// The value of a counter, which is one higher afterwards; `None` if it cannot go higher.
    pub(crate) fn count_up<R: Row<Value = u64>>(&mut self, row: &R) -> Option<u64> {
        let value = self.get(row).unwrap_or(0);
        self.put(row, &value.checked_add(1)?);
        Some(value)
    }

    /// What has changed since this was last called.
    pub(crate) fn take_changes(&mut self) -> Changes {
        std::mem::take(&mut self.changes)
    }
}

fn reads<R: Row>(key: &Key, value: &[u8]) -> bool {
    let Some(rest) = key.0.strip_prefix(&Key::table::<R>(SCOPE)) else {
        return false;
    };
    read_ordered::<R>(rest).is_ok() && read::<R::Value>(value).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_count_and_changes_are_taken_once() {
        let mut rows = Rows::default();
        assert_eq!(rows.count_up(&NextNote(3)), Some(0));
        assert_eq!(rows.count_up(&NextNote(3)), Some(1));
        assert_eq!(rows.count_up(&NextNote(4)), Some(0));
        let changes = rows.take_changes();
        assert_eq!(changes.len(), 2);
        assert!(rows.take_changes().is_empty());
        let mut memory = Memory::default();
        memory.apply(changes);
        let mut rows = Rows::load(memory).unwrap();
        assert_eq!(rows.count_up(&NextNote(3)), Some(2));
    }

    #[test]
    fn damaged_rows_are_not_overlooked() {
        let mut rows = Rows::default();
        rows.count_up(&NextAddress(()));
        let mut memory = Memory::default();
        memory.apply(rows.take_changes());
        let key = memory.0.keys().next().unwrap().clone();
        memory.0.insert(key.clone(), vec![1]);
        assert_eq!(Rows::load(memory).unwrap_err(), DamagedRow(key));
        let strange = Memory([(Key(vec![9, 9]), vec![])].into());
        assert!(Rows::load(strange).is_err());
    }
}
