//! What a gateway remembers: typed rows in memory, and the changes that are yet to be saved.

use bitcoin::Network;
use guildmint_core::{
    encoding::{read, read_ordered, write},
    ledger::{Base, Changes, Key, Memory, Row, Scope, Space},
    FederationId,
};
use guildmint_ln::{ContractId, PaymentHash};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    announce::Announced,
    event::Millis,
    ledger::{Entry, Totals},
    node::RequestId,
    operation::{ContractKey, Fetch, Incoming, Outgoing},
    settings::Settings,
};

const SCOPE: Scope = Scope::engine(Space::Local);

/// A federation that is or was served.
#[derive(Debug, Serialize, Deserialize, Row)]
#[row(table = 1, value = Served, resident)]
pub(crate) struct ServedRow(pub FederationId);

/// A contract that a user has funded to have an invoice paid.
#[derive(Debug, Serialize, Deserialize, Row)]
#[row(table = 2, value = Outgoing, resident)]
pub(crate) struct OutgoingRow(pub FederationId, pub ContractId);

/// ⚠ Which contract an invoice on this hash was, is, or will be paid for: one for ever, over all federations (SPEC GW-3).
#[derive(Debug, Serialize, Deserialize, Row)]
#[row(table = 3, value = ContractKey, resident)]
pub(crate) struct IntentRow(pub PaymentHash);

/// A payment that a user wants to receive.
#[derive(Debug, Serialize, Deserialize, Row)]
#[row(table = 4, value = Incoming, resident)]
pub(crate) struct IncomingRow(pub PaymentHash);

/// HTLCs that nobody waits for, and whether they have gone back. ⚠ It stays: the news of them may come again, and must not be taken for that of
/// others.
#[derive(Debug, Serialize, Deserialize, Row)]
#[row(table = 5, value = bool, resident)]
pub(crate) struct StrayRow(pub PaymentHash);

/// An invoice that is being fetched, or waits for its contract.
#[derive(Debug, Serialize, Deserialize, Row)]
#[row(table = 6, value = Fetch, resident)]
pub(crate) struct FetchRow(pub RequestId);

/// What a federation was last told about us.
#[derive(Debug, Serialize, Deserialize, Row)]
#[row(table = 7, value = Announced, resident)]
pub(crate) struct AnnouncedRow(pub FederationId);

/// What was spent in a federation's period.
#[derive(Debug, Serialize, Deserialize, Row)]
#[row(table = 8, value = Spending, resident)]
pub(crate) struct SpendingRow(pub FederationId);

/// What all payments brought and cost.
#[derive(Debug, Serialize, Deserialize, Row)]
#[row(table = 9, value = Totals, resident)]
pub(crate) struct TotalsRow(pub ());

/// What one payment brought and cost. Written once, and read by people alone.
#[derive(Debug, Serialize, Deserialize, Row)]
#[row(table = 10, value = Entry)]
pub(crate) struct EntryRow(pub u64);

/// A federation that is or was served.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Served {
    pub network: Network,
    pub settings: Settings,
    /// Nothing new is begun in it.
    pub left: bool,
}

/// What was spent since then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Spending {
    pub since: Millis,
    pub spent_msat: u64,
}

/// A stored row that cannot be read: the database is damaged, or newer software has written it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the row {} cannot be read: the gateway's database is damaged, or newer software has written it", hex::encode(&.0 .0))]
pub struct DamagedRow(pub Key);

/// All rows that are read, and what has changed since they were last saved.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    memory: Memory,
    changes: Changes,
}

impl Rows {
    /// Takes stored resident rows, every one of which must be readable: a payment that is overlooked is money lost.
    pub(crate) fn load(mut memory: Memory) -> Result<Self, DamagedRow> {
        memory.0.retain(|key, _| key.is_resident());
        for (key, value) in &memory.0 {
            let readable = reads::<ServedRow>(key, value)
                || reads::<OutgoingRow>(key, value)
                || reads::<IntentRow>(key, value)
                || reads::<IncomingRow>(key, value)
                || reads::<StrayRow>(key, value)
                || reads::<FetchRow>(key, value)
                || reads::<AnnouncedRow>(key, value)
                || reads::<SpendingRow>(key, value)
                || reads::<TotalsRow>(key, value);
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

    pub(crate) fn contains<R: Row>(&self, row: &R) -> bool {
        self.memory.0.contains_key(&row.key(SCOPE))
    }

    pub(crate) fn put<R: Row>(&mut self, row: &R, value: &R::Value) {
        let mut bytes = Vec::new();
        write(&mut bytes, value);
        if R::RESIDENT {
            self.memory.0.insert(row.key(SCOPE), bytes.clone());
        }
        self.changes.insert(row.key(SCOPE), Some(bytes));
    }

    pub(crate) fn remove<R: Row>(&mut self, row: &R) {
        self.memory.0.remove(&row.key(SCOPE));
        self.changes.insert(row.key(SCOPE), None);
    }

    /// All rows of a resident table, in the order of their keys.
    pub(crate) fn scan<R: Row>(&self) -> Vec<(R, R::Value)> {
        self.memory
            .scan(&Key::table::<R>(SCOPE))
            .filter_map(|(key, value)| Some((R::from_key(key)?, read(value).ok()?)))
            .collect()
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

/// Where the entry with this number is stored.
#[must_use]
pub fn entry_key(number: u64) -> Key {
    EntryRow(number).key(SCOPE)
}

/// The entry that a stored row holds, if it is one: what a page of the last payments reads.
#[must_use]
pub fn entry(key: &Key, value: &[u8]) -> Option<Entry> {
    key.0.strip_prefix(&Key::table::<EntryRow>(SCOPE))?;
    read(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_rows_are_not_overlooked() {
        let mut rows = Rows::default();
        rows.put(&StrayRow(PaymentHash::from([1; 32])), &false);
        rows.put(&TotalsRow(()), &Totals::default());
        let mut memory = Memory::default();
        memory.apply(rows.take_changes());
        assert!(Rows::load(memory.clone()).is_ok());
        let key = memory.0.keys().next_back().unwrap().clone();
        memory.0.insert(key.clone(), vec![1]);
        assert_eq!(Rows::load(memory).unwrap_err(), DamagedRow(key));
        let strange = Memory([(Key(vec![b'r', 9]), vec![])].into());
        assert!(Rows::load(strange).is_err());
    }
}
