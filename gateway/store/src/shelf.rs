//! The rows of the gateway's client in one federation: a part of the one database, so that one witness guards all of it.

use std::collections::BTreeMap;

use guildmint_core::{
    ledger::{Changes, Key, Memory},
    FederationId,
};

use crate::{GatewayStore, Saving, Space, StoreLost};

/// Where the rows of one federation's client are. ⚠ Whoever writes here sees no other federation's.
#[derive(Clone)]
pub struct Shelf {
    store: GatewayStore,
    federation: FederationId,
}

impl GatewayStore {
    /// The rows of one federation's client.
    #[must_use]
    pub fn shelf(&self, federation: FederationId) -> Shelf {
        let store = self.clone();
        Shelf { store, federation }
    }

    /// All federations of which there are rows, with them.
    ///
    /// # Errors
    /// If the database is lost.
    pub fn shelves(&self) -> Result<BTreeMap<FederationId, Memory>, StoreLost> {
        let mut shelves: BTreeMap<FederationId, Memory> = BTreeMap::new();
        for (key, value) in self.load_prefix(&Space::Federation.key(&[]).0)? {
            let Some((federation, rest)) = key.0.get(1..).and_then(|rest| rest.split_first_chunk())
            else {
                let odd = format!("it has a row of no federation, {:?}", key.0);
                return Err(StoreLost(odd));
            };
            let shelf = shelves.entry(FederationId(*federation)).or_default();
            shelf.0.insert(Key(rest.to_vec()), value);
        }
        Ok(shelves)
    }
}

impl Shelf {
    /// All rows.
    ///
    /// # Errors
    /// If the database is lost.
    pub fn load(&self) -> Result<Memory, StoreLost> {
        let prefix = self.key(&[]).0;
        let rows = self.store.load_prefix(&prefix)?.into_iter();
        let own = |(key, value): (Key, Vec<u8>)| (Key(key.0[prefix.len()..].to_vec()), value);
        Ok(Memory(rows.map(own).collect()))
    }

    /// Begins a save, in its order among all others of the database.
    pub fn begin(&self, changes: Changes) -> Saving {
        let changes = changes.into_iter();
        let changes = changes.map(|(key, value)| (self.key(&key.0), value));
        self.store.begin(changes.collect())
    }

    fn key(&self, rest: &[u8]) -> Key {
        Space::Federation.key(&[&self.federation.0, rest].concat())
    }
}
