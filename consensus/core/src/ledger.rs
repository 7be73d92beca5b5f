//! Rows, and how pure code reads and changes them.
//!
//! Pure code cannot wait for a database. It is given the rows that are loaded, names the ones it lacks, and is run again
//! from the start once they are there. Changes pile up in layers: a transaction's on top of the epoch's, so that a
//! transaction that fails leaves nothing behind.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use serde::{de::DeserializeOwned, Deserialize, Serialize};

use crate::{
    encoding::{read, read_ordered, write, write_ordered},
    ModuleId,
};

mod rows;

pub use guildmint_derive::Row;
pub use rows::{DamagedRow, Rows};

/// A database key. Its first bytes say whose it is: residency, space, owner, table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key(pub Vec<u8>);

impl Key {
    /// Length of the part before the row's own bytes: residency, space, owner, table.
    pub const PREFIX: usize = 5;

    /// What the keys of all resident rows start with, so that they can be loaded at once.
    pub const RESIDENT: u8 = b'r';

    /// What the keys of all other rows start with.
    pub const STORED: u8 = b's';

    /// The bytes that all keys of one table start with.
    #[must_use]
    pub fn table<R: Row>(scope: Scope) -> [u8; Self::PREFIX] {
        let residency = if R::RESIDENT {
            Self::RESIDENT
        } else {
            Self::STORED
        };
        let [high, low] = scope.owner.to_be_bytes();
        [residency, scope.space as u8, high, low, R::TABLE]
    }

    /// Whether the row is in a table that is held in memory whole.
    #[must_use]
    pub fn is_resident(&self) -> bool {
        self.0.first() == Some(&Self::RESIDENT)
    }

    /// Whether the row is agreed, and so part of the digest.
    #[must_use]
    pub fn is_agreed(&self) -> bool {
        self.0.get(1) == Some(&(Space::Agreed as u8))
    }
}

/// New values of rows; `None` deletes.
pub type Changes = BTreeMap<Key, Option<Vec<u8>>>;

/// Agreed rows are bit-identical on every guardian and part of the digest; local rows are neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Space {
    /// The same on every guardian.
    Agreed = b'a',
    /// This guardian's own.
    Local = b'l',
}

/// Whose rows: the engine's or a module's, agreed or local.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope {
    space: Space,
    owner: u16,
}

impl Scope {
    /// The engine's own rows.
    #[must_use]
    pub const fn engine(space: Space) -> Self {
        Self {
            space,
            owner: u16::MAX,
        }
    }

    /// A module's rows.
    #[must_use]
    pub const fn module(space: Space, module: ModuleId) -> Self {
        Self {
            space,
            owner: module.0,
        }
    }
}

/// A typed database row: the type is the key, `Value` what is stored under it. Derive it:
/// `#[derive(Row)] #[row(table = 1, value = Amount)]`, with `resident` added for small tables that are held in memory
/// whole and can be scanned.
pub trait Row: Serialize + DeserializeOwned {
    /// What is stored.
    type Value: Serialize + DeserializeOwned;
    /// The table's number, unique in its scope.
    const TABLE: u8;
    /// Whether the whole table is held in memory.
    const RESIDENT: bool;

    /// The row that a database key names, if it is of this table.
    fn from_key(key: &Key) -> Option<Self> {
        read_ordered(key.0.get(Key::PREFIX..)?).ok()
    }

    /// The database key of this row.
    fn key(&self, scope: Scope) -> Key {
        let mut bytes = Key::table::<Self>(scope).to_vec();
        write_ordered(&mut bytes, self);
        Key(bytes)
    }
}

/// Where unchanged rows come from.
pub trait Base {
    /// The row, if it is known whether it exists: `None` when it must be loaded first, `Some(None)` when it does not
    /// exist.
    fn get(&self, key: &Key) -> Option<Option<&[u8]>>;

    /// All rows of a resident table whose keys start with `prefix`, in order.
    fn scan<'a>(&'a self, prefix: &[u8]) -> Box<dyn Iterator<Item = (&'a Key, &'a [u8])> + 'a>;
}

/// A whole database in memory: every row is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory(pub BTreeMap<Key, Vec<u8>>);

impl Memory {
    /// Makes the changes.
    pub fn apply(&mut self, changes: Changes) {
        for (key, value) in changes {
            match value {
                Some(value) => self.0.insert(key, value),
                None => self.0.remove(&key),
            };
        }
    }
}

impl Base for Memory {
    fn get(&self, key: &Key) -> Option<Option<&[u8]>> {
        Some(self.0.get(key).map(Vec::as_slice))
    }

    fn scan<'a>(&'a self, prefix: &[u8]) -> Box<dyn Iterator<Item = (&'a Key, &'a [u8])> + 'a> {
        let prefix = prefix.to_vec();
        let start = Key(prefix.clone());
        Box::new(
            self.0
                .range(start..)
                .take_while(move |(key, _)| key.0.starts_with(&prefix))
                .map(|(key, value)| (key, value.as_slice())),
        )
    }
}

/// Rows and the changes made to them so far.
pub struct Ledger<'a> {
    base: &'a dyn Base,
    settled: Changes,
    scratch: Option<Changes>,
    claimed: BTreeSet<Key>,
    missing: RefCell<BTreeSet<Key>>,
    corrupt: RefCell<Option<Key>>,
}

/// What prevents a pass over a ledger from counting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// These rows must be loaded first.
    Missing(BTreeSet<Key>),
    /// This stored row does not decode: the database is damaged.
    Corrupt(Key),
}

impl<'a> Ledger<'a> {
    /// A ledger with no changes yet.
    #[must_use]
    pub fn new(base: &'a dyn Base) -> Self {
        Self {
            base,
            settled: Changes::new(),
            scratch: None,
            claimed: BTreeSet::new(),
            missing: RefCell::default(),
            corrupt: RefCell::default(),
        }
    }

    /// From here on changes can be taken back, until [`Ledger::keep`] or [`Ledger::discard`].
    pub fn begin(&mut self) {
        self.scratch = Some(Changes::new());
        self.claimed.clear();
    }

    /// Rows that were [inserted](View::insert) or [removed](View::remove) since [`Ledger::begin`]. Two transactions that
    /// claim the same row are in conflict: it can be new only once, and gone only once.
    #[must_use]
    pub fn claimed(&self) -> &BTreeSet<Key> {
        &self.claimed
    }

    /// Whether any row differs from what it was at [`Ledger::begin`]. ⚠ If that hangs on rows that are not loaded, they are
    /// missing: the answer must not depend on what happens to be in a guardian's memory.
    #[must_use]
    pub fn has_changed(&self) -> bool {
        let mut unknown = BTreeSet::new();
        for (key, value) in self.scratch.iter().flatten() {
            let before = match self.settled.get(key) {
                Some(before) => Some(before.as_deref()),
                None => self.base.get(key),
            };
            match before {
                Some(before) if before == value.as_deref() => {}
                Some(_) => return true,
                None => {
                    unknown.insert(key.clone());
                }
            }
        }
        self.missing.borrow_mut().extend(unknown);
        false
    }

    /// Keeps the changes since [`Ledger::begin`].
    pub fn keep(&mut self) {
        if let Some(scratch) = self.scratch.take() {
            self.settled.extend(scratch);
        }
    }

    /// Takes back the changes since [`Ledger::begin`].
    pub fn discard(&mut self) {
        self.scratch = None;
    }

    /// The rows of one owner.
    pub fn view(&mut self, scope: Scope) -> View<'_, 'a> {
        View {
            ledger: self,
            scope,
        }
    }

    /// Whether a row that had to be read is not loaded. What was computed from it so far is void.
    #[must_use]
    pub fn lacks_rows(&self) -> bool {
        !self.missing.borrow().is_empty()
    }

    /// All changes that were kept.
    ///
    /// # Errors
    /// If a row was missing or damaged: the pass does not count.
    pub fn finish(self) -> Result<Changes, Obstacle> {
        if let Some(key) = self.corrupt.into_inner() {
            return Err(Obstacle::Corrupt(key));
        }
        let missing = self.missing.into_inner();
        if !missing.is_empty() {
            return Err(Obstacle::Missing(missing));
        }
        Ok(self.settled)
    }

    fn get(&self, key: &Key) -> Option<Vec<u8>> {
        let layers = self.scratch.iter().chain([&self.settled]);
        if let Some(value) = layers.filter_map(|layer| layer.get(key)).next() {
            return value.clone();
        }
        match self.base.get(key) {
            Some(value) => value.map(<[u8]>::to_vec),
            None => {
                self.missing.borrow_mut().insert(key.clone());
                None
            }
        }
    }

    fn set(&mut self, key: Key, value: Option<Vec<u8>>) {
        self.scratch
            .as_mut()
            .unwrap_or(&mut self.settled)
            .insert(key, value);
    }

    fn scan(&self, prefix: &[u8]) -> BTreeMap<Key, Vec<u8>> {
        let mut rows: BTreeMap<Key, Vec<u8>> = self
            .base
            .scan(prefix)
            .map(|(key, value)| (key.clone(), value.to_vec()))
            .collect();
        for layer in [&self.settled].into_iter().chain(&self.scratch) {
            let changed = layer
                .range(Key(prefix.to_vec())..)
                .take_while(|(key, _)| key.0.starts_with(prefix));
            for (key, value) in changed {
                match value {
                    Some(value) => rows.insert(key.clone(), value.clone()),
                    None => rows.remove(key),
                };
            }
        }
        rows
    }

    fn damaged(&self, key: &Key) {
        self.corrupt.borrow_mut().get_or_insert_with(|| key.clone());
    }
}

/// One owner's rows in a [`Ledger`]: all that a module can see and change.
pub struct View<'v, 'a> {
    ledger: &'v mut Ledger<'a>,
    scope: Scope,
}

/// A row was to be new, but it exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the row exists already")]
pub struct Occupied;

impl<'a> View<'_, 'a> {
    /// The value of a row, if it exists.
    #[must_use]
    pub fn get<R: Row>(&self, row: &R) -> Option<R::Value> {
        let key = row.key(self.scope);
        let bytes = self.ledger.get(&key)?;
        let value = read(&bytes).ok();
        if value.is_none() {
            self.ledger.damaged(&key);
        }
        value
    }

    /// Whether a row exists.
    #[must_use]
    pub fn contains<R: Row>(&self, row: &R) -> bool {
        self.ledger.get(&row.key(self.scope)).is_some()
    }

    /// Writes a row, whether or not it exists.
    pub fn put<R: Row>(&mut self, row: &R, value: &R::Value) {
        let mut bytes = Vec::new();
        write(&mut bytes, value);
        self.ledger.set(row.key(self.scope), Some(bytes));
    }

    /// Writes a row that must be new (SPEC TX-5).
    ///
    /// # Errors
    /// If it exists.
    pub fn insert<R: Row>(&mut self, row: &R, value: &R::Value) -> Result<(), Occupied> {
        if self.contains(row) {
            return Err(Occupied);
        }
        self.put(row, value);
        self.ledger.claimed.insert(row.key(self.scope));
        Ok(())
    }

    /// Deletes a row.
    pub fn remove<R: Row>(&mut self, row: &R) {
        let key = row.key(self.scope);
        self.ledger.claimed.insert(key.clone());
        self.ledger.set(key, None);
    }

    /// All rows of a resident table, in the order of their keys.
    ///
    /// A table that is not resident has no rows here: scanning it is a mistake that the conformance suite finds.
    #[must_use]
    pub fn scan<R: Row>(&self) -> Vec<(R, R::Value)> {
        debug_assert!(R::RESIDENT, "only resident tables can be scanned");
        let rows = self.ledger.scan(&Key::table::<R>(self.scope));
        let mut decoded = Vec::with_capacity(rows.len());
        for (key, value) in rows {
            match (read_ordered(&key.0[Key::PREFIX..]), read(&value)) {
                (Ok(row), Ok(value)) => decoded.push((row, value)),
                _ => self.ledger.damaged(&key),
            }
        }
        decoded
    }

    /// The same rows, for a helper that takes the view by value.
    pub fn reborrow(&mut self) -> View<'_, 'a> {
        View {
            ledger: self.ledger,
            scope: self.scope,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Amount;

    #[derive(Debug, PartialEq, Serialize, Deserialize, Row)]
    #[row(table = 1, value = Amount)]
    struct Balance(u32);

    #[derive(Debug, PartialEq, Serialize, Deserialize, Row)]
    #[row(table = 2, value = u8, resident)]
    struct Listed(u16);

    /// Knows nothing: every row must be loaded.
    struct Nothing;

    impl Base for Nothing {
        fn get(&self, _: &Key) -> Option<Option<&[u8]>> {
            None
        }

        fn scan<'a>(&'a self, _: &[u8]) -> Box<dyn Iterator<Item = (&'a Key, &'a [u8])> + 'a> {
            Box::new(std::iter::empty())
        }
    }

    const SCOPE: Scope = Scope::module(Space::Agreed, ModuleId(7));

    fn sat(sat: u64) -> Amount {
        Amount::from_sat(sat).unwrap()
    }

    #[test]
    fn a_discarded_layer_leaves_nothing() {
        let base = Memory::default();
        let mut ledger = Ledger::new(&base);
        ledger.view(SCOPE).put(&Balance(1), &sat(5));
        ledger.begin();
        ledger.view(SCOPE).put(&Balance(1), &sat(9));
        ledger.view(SCOPE).put(&Balance(2), &sat(9));
        assert_eq!(ledger.view(SCOPE).get(&Balance(1)), Some(sat(9)));
        ledger.discard();
        assert_eq!(ledger.view(SCOPE).get(&Balance(1)), Some(sat(5)));
        assert_eq!(ledger.view(SCOPE).get(&Balance(2)), None);
        assert_eq!(ledger.finish().unwrap().len(), 1);
    }

    #[test]
    fn a_kept_layer_stays() {
        let base = Memory::default();
        let mut ledger = Ledger::new(&base);
        ledger.begin();
        ledger.view(SCOPE).insert(&Balance(1), &sat(9)).unwrap();
        ledger.keep();
        assert_eq!(
            ledger.view(SCOPE).insert(&Balance(1), &sat(1)),
            Err(Occupied)
        );
        ledger.view(SCOPE).remove(&Balance(1));
        assert!(!ledger.view(SCOPE).contains(&Balance(1)));
    }

    #[test]
    fn rows_that_are_not_loaded_are_named() {
        let mut ledger = Ledger::new(&Nothing);
        assert_eq!(ledger.view(SCOPE).get(&Balance(1)), None);
        assert!(ledger.lacks_rows());
        assert_eq!(
            ledger.finish(),
            Err(Obstacle::Missing([Balance(1).key(SCOPE)].into()))
        );
    }

    #[test]
    fn what_is_written_again_is_no_change() {
        let base = {
            let mut ledger = Ledger::new(&Nothing);
            ledger.view(SCOPE).put(&Balance(1), &sat(5));
            Memory(BTreeMap::from_iter(
                ledger
                    .settled
                    .into_iter()
                    .filter_map(|(k, v)| Some((k, v?))),
            ))
        };
        let changed = |write: fn(&mut View<'_, '_>)| {
            let mut ledger = Ledger::new(&base);
            ledger.view(SCOPE).put(&Balance(2), &sat(7));
            ledger.begin();
            write(&mut ledger.view(SCOPE));
            ledger.has_changed()
        };
        assert!(!changed(|_| {}));
        assert!(!changed(|view| view.put(&Balance(1), &sat(5))));
        assert!(!changed(|view| view.put(&Balance(2), &sat(7))));
        assert!(!changed(|view| view.remove(&Balance(3))));
        assert!(changed(|view| view.put(&Balance(1), &sat(6))));
        assert!(changed(|view| view.remove(&Balance(2))));
        assert!(changed(|view| view.put(&Balance(3), &sat(0))));
    }

    #[test]
    fn whether_something_changed_does_not_depend_on_what_is_loaded() {
        let mut ledger = Ledger::new(&Nothing);
        ledger.begin();
        ledger.view(SCOPE).put(&Balance(1), &sat(5));
        let _ = ledger.has_changed();
        ledger.keep();
        assert_eq!(
            ledger.finish(),
            Err(Obstacle::Missing([Balance(1).key(SCOPE)].into()))
        );
    }

    #[test]
    fn what_two_claim_is_named() {
        let base = Memory::default();
        let mut ledger = Ledger::new(&base);
        ledger.begin();
        ledger.view(SCOPE).put(&Balance(1), &sat(5));
        ledger.view(SCOPE).insert(&Balance(2), &sat(5)).unwrap();
        ledger.view(SCOPE).remove(&Balance(3));
        let claimed = [Balance(2), Balance(3)].map(|row| row.key(SCOPE));
        assert_eq!(*ledger.claimed(), BTreeSet::from(claimed));
        ledger.begin();
        assert!(ledger.claimed().is_empty());
    }

    #[test]
    fn a_damaged_row_is_named() {
        let base = Memory([(Balance(1).key(SCOPE), vec![1])].into());
        let mut ledger = Ledger::new(&base);
        assert_eq!(ledger.view(SCOPE).get(&Balance(1)), None);
        assert_eq!(
            ledger.finish(),
            Err(Obstacle::Corrupt(Balance(1).key(SCOPE)))
        );
    }

    #[test]
    fn a_scan_sees_every_layer_in_order() {
        let mut base = Memory::default();
        let mut first = Ledger::new(&base);
        for n in [1, 300, 2] {
            first.view(SCOPE).put(&Listed(n), &0);
        }
        let changes = first.finish().unwrap();
        base.apply(changes);
        let mut ledger = Ledger::new(&base);
        ledger.view(SCOPE).remove(&Listed(2));
        ledger.begin();
        ledger.view(SCOPE).put(&Listed(4), &1);
        assert_eq!(
            ledger.view(SCOPE).scan::<Listed>(),
            [(Listed(1), 0), (Listed(4), 1), (Listed(300), 0)]
        );
    }
}
