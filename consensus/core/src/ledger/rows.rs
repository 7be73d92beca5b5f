//! What one program alone remembers, such as a wallet or a gateway: typed rows in memory, and the changes that are yet to be saved.

use thiserror::Error;

use super::{Base, Changes, Key, Memory, Row, Scope, Space};
use crate::encoding::{read, write};

const SCOPE: Scope = Scope::engine(Space::Local);

/// A stored row that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the row {} cannot be read: the database is damaged, or newer software has written it", hex::encode(&.0 .0))]
pub struct DamagedRow(pub Key);

/// All resident rows, and what has changed since changes were last taken. It reads its own changes at once; whoever owns it lets nothing out that
/// rests on them before they are saved.
#[derive(Debug, Default)]
pub struct Rows {
    memory: Memory,
    changes: Changes,
}

impl Rows {
    /// Takes the stored rows that are resident. `readable` knows every resident table, by [`Rows::reads`].
    ///
    /// # Errors
    /// At the first row that is not readable: one that is overlooked may be money lost.
    pub fn load(
        mut memory: Memory,
        readable: impl Fn(&Key, &[u8]) -> bool,
    ) -> Result<Self, DamagedRow> {
        memory
            .0
            .retain(|key, _| key.0.first() != Some(&Key::STORED));
        let mut rows = memory.0.iter();
        if let Some((key, _)) = rows.find(|(key, value)| !readable(key, value)) {
            return Err(DamagedRow(key.clone()));
        }
        let changes = Changes::new();
        Ok(Self { memory, changes })
    }

    /// Whether a stored row is of this table, and readable.
    #[must_use]
    pub fn reads<R: Row>(key: &Key, value: &[u8]) -> bool {
        let of_table = key.0.starts_with(&Self::table::<R>());
        of_table && R::from_key(key).is_some() && read::<R::Value>(value).is_ok()
    }

    /// What the keys of a table start with.
    #[must_use]
    pub fn table<R: Row>() -> [u8; Key::PREFIX] {
        Key::table::<R>(SCOPE)
    }

    /// Where a row is stored.
    #[must_use]
    pub fn key<R: Row>(row: &R) -> Key {
        row.key(SCOPE)
    }

    /// What is stored under a resident row.
    #[must_use]
    pub fn get<R: Row>(&self, row: &R) -> Option<R::Value> {
        // What is in memory was readable when it was loaded, or was written by `put`.
        read(self.memory.0.get(&Self::key(row))?).ok()
    }

    /// Whether a resident row exists.
    #[must_use]
    pub fn contains<R: Row>(&self, row: &R) -> bool {
        self.memory.0.contains_key(&Self::key(row))
    }

    /// Writes a row. One that is not resident is only saved, and cannot be read here.
    pub fn put<R: Row>(&mut self, row: &R, value: &R::Value) {
        let mut bytes = Vec::new();
        write(&mut bytes, value);
        if R::RESIDENT {
            self.memory.0.insert(Self::key(row), bytes.clone());
        }
        self.changes.insert(Self::key(row), Some(bytes));
    }

    /// Deletes a row.
    pub fn remove<R: Row>(&mut self, row: &R) {
        self.memory.0.remove(&Self::key(row));
        self.changes.insert(Self::key(row), None);
    }

    /// All rows of a resident table, in the order of their keys.
    #[must_use]
    pub fn scan<R: Row>(&self) -> Vec<(R, R::Value)> {
        self.memory
            .scan(&Self::table::<R>())
            .filter_map(|(key, value)| Some((R::from_key(key)?, read(value).ok()?)))
            .collect()
    }

    /// The value of a counter, which is one higher afterwards; `None` if it cannot go higher.
    pub fn count_up<R: Row<Value = u64>>(&mut self, row: &R) -> Option<u64> {
        let value = self.get(row).unwrap_or(0);
        self.put(row, &value.checked_add(1)?);
        Some(value)
    }

    /// What has changed since this was last called.
    pub fn take_changes(&mut self) -> Changes {
        std::mem::take(&mut self.changes)
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize, Row)]
    #[row(table = 1, value = u64, resident)]
    struct Counter(u8);

    #[derive(Debug, PartialEq, Serialize, Deserialize, Row)]
    #[row(table = 2, value = u64)]
    struct Entry(u8);

    fn load(memory: Memory) -> Result<Rows, DamagedRow> {
        Rows::load(memory, Rows::reads::<Counter>)
    }

    fn saved(rows: &mut Rows) -> Memory {
        let mut memory = Memory::default();
        memory.apply(rows.take_changes());
        memory
    }

    #[test]
    fn counters_count_and_changes_are_taken_once() {
        let mut rows = Rows::default();
        assert_eq!(rows.count_up(&Counter(3)), Some(0));
        assert_eq!(rows.count_up(&Counter(3)), Some(1));
        assert_eq!(rows.count_up(&Counter(4)), Some(0));
        let changes = rows.take_changes();
        assert_eq!(changes.len(), 2);
        assert!(rows.take_changes().is_empty());
        let mut memory = Memory::default();
        memory.apply(changes);
        let mut rows = load(memory).unwrap();
        assert_eq!(rows.scan(), [(Counter(3), 2), (Counter(4), 1)]);
        rows.put(&Counter(3), &u64::MAX);
        assert_eq!(rows.count_up(&Counter(3)), None);
    }

    #[test]
    fn what_is_removed_is_gone_here_and_when_it_is_saved() {
        let mut rows = Rows::default();
        rows.count_up(&Counter(3));
        let mut memory = saved(&mut rows);
        rows.remove(&Counter(3));
        assert!(!rows.contains(&Counter(3)));
        memory.apply(rows.take_changes());
        assert_eq!(memory, Memory::default());
    }

    #[test]
    fn damaged_rows_are_not_overlooked() {
        let mut rows = Rows::default();
        rows.count_up(&Counter(3));
        let mut memory = saved(&mut rows);
        assert!(load(memory.clone()).is_ok());
        let key = Rows::key(&Counter(3));
        memory.0.insert(key.clone(), vec![1]);
        assert_eq!(load(memory).unwrap_err(), DamagedRow(key.clone()));
        let longer = Key([key.0, vec![0]].concat());
        let strange = Memory([(longer, vec![0; 8])].into());
        assert!(load(strange).is_err());
        for start in [Key::RESIDENT, 9] {
            let newer = Memory([(Key(vec![start, 9]), vec![])].into());
            assert!(load(newer).is_err());
        }
    }

    #[test]
    fn rows_that_are_not_resident_are_saved_and_not_kept() {
        let mut rows = Rows::default();
        rows.put(&Entry(1), &5);
        assert!(!rows.contains(&Entry(1)));
        let memory = saved(&mut rows);
        assert_eq!(memory.0.len(), 1);
        assert!(load(memory).unwrap().memory.0.is_empty());
    }
}
