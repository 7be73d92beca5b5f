//! What the node keeps beside LDK: payments, what is held, requests, events that wait, peers.
//!
//! Whatever happens becomes a row here, together with the event that tells it, in one save.

mod tables;
#[cfg(test)]
mod tests;

use std::sync::{
    atomic::{AtomicU64, Ordering},
    Mutex, MutexGuard, PoisonError,
};

use guildmint_core::encoding::{read, write};
use guildmint_gateway::node::{Delivery, Event, NodeId, PaymentHash, RequestId, Wake, MAX_LISTED};
use guildmint_gateway_store::{Changes, GatewayStore, Key, Read, Space, StoreLost};
use serde::{de::DeserializeOwned, Serialize};

pub(crate) use tables::{
    FetchAnswer, FetchRow, FundingRow, HeldRow, HeldState, Paid, SentEnd, SentRow,
};

/// Why rows cannot be had.
pub(crate) type RowError = StoreLost;

/// A table: the byte that its keys start with, and what is in it.
pub(crate) trait Table: Serialize + DeserializeOwned {
    const TABLE: u8;
    type Name: AsRef<[u8]>;
}

impl Table for SentRow {
    const TABLE: u8 = b'p';
    type Name = [u8; 32];
}
impl Table for HeldRow {
    const TABLE: u8 = b'h';
    type Name = [u8; 32];
}
impl Table for FetchRow {
    const TABLE: u8 = b'f';
    type Name = [u8; 32];
}
/// Where a peer is.
impl Table for String {
    const TABLE: u8 = b'a';
    type Name = [u8; 33];
}

impl Table for FundingRow {
    const TABLE: u8 = b'x';
    type Name = [u8; 16];
}

/// The index of payments whose end is not known, and of HTLCs that are held.
const OPEN_SENT: u8 = b'o';
const OPEN_HELD: u8 = b'q';
const EVENTS: u8 = b'e';
const STARTED: &[u8] = b"started";

fn key(table: u8, name: &[u8]) -> Key {
    let mut rest = vec![table];
    rest.extend_from_slice(name);
    Space::Node.key(&rest)
}

/// Changes to rows that are made together, and the events that tell them.
#[derive(Debug, Default)]
pub(crate) struct Edit {
    changes: Changes,
    events: Vec<Event>,
}

impl Edit {
    pub(crate) fn tell(mut self, event: Event) -> Self {
        self.events.push(event);
        self
    }

    pub(crate) fn sent(mut self, hash: PaymentHash, row: &SentRow) -> Self {
        self.put(&hash.0, row);
        let open = row.end.is_none().then(Vec::new);
        self.changes.insert(key(OPEN_SENT, &hash.0), open);
        self.events.extend(row.event(hash));
        self
    }

    pub(crate) fn held(mut self, hash: PaymentHash, row: &HeldRow) -> Self {
        self.put(&hash.0, row);
        let open = row.is_open().then(Vec::new);
        self.changes.insert(key(OPEN_HELD, &hash.0), open);
        self
    }

    pub(crate) fn fetched(mut self, row: &FetchRow) -> Self {
        self.put(&row.order.request.0, row);
        self.events.extend(row.event());
        self
    }

    pub(crate) fn peer(mut self, id: NodeId, address: Option<&String>) -> Self {
        match address {
            Some(address) => self.put(&id.0, address),
            None => {
                self.changes.insert(key(String::TABLE, &id.0), None);
            }
        }
        self
    }

    pub(crate) fn funding(mut self, channel: u128, row: Option<&FundingRow>) -> Self {
        let name = channel.to_be_bytes();
        match row {
            Some(row) => self.put(&name, row),
            None => {
                self.changes.insert(key(FundingRow::TABLE, &name), None);
            }
        }
        self
    }

    pub(crate) fn not_fetched(mut self, request: RequestId) -> Self {
        self.changes.insert(key(FetchRow::TABLE, &request.0), None);
        self
    }

    fn put<T: Table>(&mut self, name: &T::Name, row: &T) {
        let mut value = vec![1];
        write(&mut value, row);
        self.changes
            .insert(key(T::TABLE, name.as_ref()), Some(value));
    }
}

/// The tables. Clones of the store see the same rows; whoever changes a row that it has read holds [`Rows::lock`] in between.
pub(crate) struct Rows {
    store: GatewayStore,
    next_event: AtomicU64,
    lock: Mutex<()>,
    wake: Mutex<Option<Wake>>,
}

impl Rows {
    pub(crate) fn open(store: GatewayStore) -> Result<Self, RowError> {
        let events = store.load_prefix(&key(EVENTS, &[]).0)?;
        let last = events.last_key_value().and_then(|(key, _)| number(key));
        Ok(Self {
            store,
            next_event: AtomicU64::new(last.unwrap_or(0) + 1),
            lock: Mutex::new(()),
            wake: Mutex::new(None),
        })
    }

    /// For reading rows and then changing them.
    pub(crate) fn lock(&self) -> MutexGuard<'_, ()> {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn wake_with(&self, wake: Wake) {
        *self.wake.lock().unwrap_or_else(PoisonError::into_inner) = Some(wake);
    }

    /// Makes changes and events durable, and wakes whoever waits for events.
    pub(crate) fn save(&self, edit: Edit) -> Result<(), RowError> {
        let Edit {
            mut changes,
            events,
        } = edit;
        let has_events = !events.is_empty();
        for event in events {
            let number = self.next_event.fetch_add(1, Ordering::Relaxed);
            changes.insert(
                key(EVENTS, &number.to_be_bytes()),
                Some(guildmint_core::encoding::Wire::encode(&event)),
            );
        }
        self.store.save(changes)?;
        if has_events {
            let wake = self.wake.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(wake) = wake.clone() {
                wake();
            }
        }
        Ok(())
    }

    /// A payment has ended. If its invoice was fetched, that is gone from here on, and its name stays. ⚠ Held: [`Rows::lock`].
    pub(crate) fn end(&self, hash: PaymentHash, row: &SentRow) -> Result<(), RowError> {
        let mut edit = Edit::default().sent(hash, row);
        if let Paid::Fetched(request) = row.paid {
            if let Some(fetched) = self.get::<FetchRow>(&request.0)? {
                edit = edit.fetched(&fetched.spent(hash));
            }
        }
        self.save(edit)
    }

    pub(crate) fn get<T: Table>(&self, name: &T::Name) -> Result<Option<T>, RowError> {
        let value = self.store.get(key(T::TABLE, name.as_ref()))?;
        value.map(|value| decode(&value)).transpose()
    }

    /// Whether what LDK tells under a name and a hash is about a payment that was sent. ⚠ Both must be that payment's: who issues offers can ask
    /// for two payments on one hash, and when the request for the second is given up, that is told with the hash of the first.
    pub(crate) fn is_sent(&self, name: [u8; 32], hash: PaymentHash) -> Result<bool, RowError> {
        let row = self.get::<SentRow>(&hash.0)?;
        Ok(row.is_some_and(|row| row.name(hash) == name))
    }

    /// Hashes of open rows after one, and their rows.
    fn open_rows<T: Table<Name = [u8; 32]>>(
        &self,
        index: u8,
        after: Option<PaymentHash>,
    ) -> Result<Vec<(PaymentHash, T)>, RowError> {
        let page = Read::Range {
            prefix: key(index, &[]).0,
            after: after.map(|after| key(index, &after.0)),
            limit: MAX_LISTED as u32,
        };
        let loaded = self.store.load(vec![page])?;
        let mut rows = Vec::new();
        for Key(key) in loaded.keys() {
            let hash: Option<[u8; 32]> = key.get(2..).and_then(|hash| hash.try_into().ok());
            let hash = hash.ok_or_else(|| damaged("an index"))?;
            if let Some(row) = self.get::<T>(&hash)? {
                rows.push((PaymentHash(hash), row));
            }
        }
        Ok(rows)
    }

    pub(crate) fn open_sent(
        &self,
        after: Option<PaymentHash>,
    ) -> Result<Vec<(PaymentHash, SentRow)>, RowError> {
        self.open_rows(OPEN_SENT, after)
    }

    pub(crate) fn open_held(
        &self,
        after: Option<PaymentHash>,
    ) -> Result<Vec<(PaymentHash, HeldRow)>, RowError> {
        self.open_rows(OPEN_HELD, after)
    }

    /// All open rows, page by page.
    pub(crate) fn all<T>(
        &self,
        page: impl Fn(&Self, Option<PaymentHash>) -> Result<Vec<(PaymentHash, T)>, RowError>,
    ) -> Result<Vec<(PaymentHash, T)>, RowError> {
        let mut all = Vec::new();
        loop {
            let next = page(self, all.last().map(|(hash, _)| *hash))?;
            if next.is_empty() {
                return Ok(all);
            }
            all.extend(next);
        }
    }

    pub(crate) fn events(&self, limit: usize) -> Result<Vec<Delivery>, RowError> {
        let page = Read::Range {
            prefix: key(EVENTS, &[]).0,
            after: None,
            limit: limit.min(MAX_LISTED) as u32,
        };
        let loaded = self.store.load(vec![page])?;
        let delivery = |(key, value): (&Key, &Option<Vec<u8>>)| {
            let value = value.as_deref().unwrap_or_default();
            let event = guildmint_core::encoding::Wire::decode(value);
            Some(Delivery {
                number: number(key)?,
                event: event.ok()?,
            })
        };
        let events: Option<Vec<Delivery>> = loaded.iter().map(delivery).collect();
        events.ok_or_else(|| damaged("an event"))
    }

    pub(crate) fn handled(&self, number: u64) -> Result<(), RowError> {
        let gone = (key(EVENTS, &number.to_be_bytes()), None);
        self.store.save(Changes::from([gone]))
    }

    pub(crate) fn peers(&self) -> Result<Vec<(NodeId, String)>, RowError> {
        let rows = self.store.load_prefix(&key(String::TABLE, &[]).0)?;
        rows.into_iter()
            .map(|(Key(key), value)| {
                let id = key.get(2..).and_then(|id| id.try_into().ok());
                let id = id.ok_or_else(|| damaged("a peer"))?;
                Ok((NodeId(id), decode(&value)?))
            })
            .collect()
    }

    /// Transactions that were to fund channels.
    pub(crate) fn fundings(&self) -> Result<Vec<(u128, FundingRow)>, RowError> {
        let rows = self.store.load_prefix(&key(FundingRow::TABLE, &[]).0)?;
        rows.into_iter()
            .map(|(Key(key), value)| {
                let channel = key.get(2..).and_then(|name| name.try_into().ok());
                let channel = channel.ok_or_else(|| damaged("a funding"))?;
                Ok((u128::from_be_bytes(channel), decode(&value)?))
            })
            .collect()
    }

    /// A time of start that no start had before, in nanoseconds: LDK's keys are drawn from it (two starts with one time would
    /// draw the same).
    pub(crate) fn start_ns(&self, now_ns: u64) -> Result<u64, RowError> {
        let key = Space::Node.key(STARTED);
        let before = self.store.get(key.clone())?;
        let before = before.and_then(|value| value.try_into().ok());
        let before = before.map_or(0, u64::from_be_bytes);
        let start_ns = now_ns.max(before + 1);
        self.store.save(Changes::from([(
            key,
            Some(start_ns.to_be_bytes().to_vec()),
        )]))?;
        Ok(start_ns)
    }
}

fn number(Key(key): &Key) -> Option<u64> {
    let bytes = key.get(2..)?.try_into().ok()?;
    Some(u64::from_be_bytes(bytes))
}

fn decode<T: DeserializeOwned>(value: &[u8]) -> Result<T, RowError> {
    match value.split_first() {
        Some((1, body)) => read(body).map_err(|error| damaged(&format!("a row ({error})"))),
        _ => Err(damaged("a row of another version")),
    }
}

fn damaged(what: &str) -> RowError {
    StoreLost(format!("{what} of the node is damaged"))
}
