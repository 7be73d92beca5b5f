//! LDK's key-value store on the gateway's.
//!
//! ⚠ The contract that funds hang on: a write is durable when it returns; writes and removals of one key happen in the order in which they were asked for;
//! and only a row that is not there is `NotFound`. LDK reads monitor updates one after the other until one is not found, so a failed read
//! taken for one would load an old state.

use std::time::{SystemTime, UNIX_EPOCH};

use guildmint_gateway_store::{Changes, GatewayStore, Key, Space, StoreLost};
use lightning::{
    io::{self, ErrorKind},
    util::persist::{
        KVStoreSync, CHANNEL_MANAGER_PERSISTENCE_KEY,
        CHANNEL_MANAGER_PERSISTENCE_PRIMARY_NAMESPACE,
        CHANNEL_MONITOR_PERSISTENCE_PRIMARY_NAMESPACE,
        CHANNEL_MONITOR_UPDATE_PERSISTENCE_PRIMARY_NAMESPACE,
    },
};
use thiserror::Error;

/// By how much the last write of a monitor may be younger than that of the manager. A crash leaves moments between them; more than this is
/// a copy that lacks the manager's last writes.
pub const MAX_LAG_S: u64 = 120;

/// ⚠ The manager is older than the monitors: LDK would close all channels whose monitors know more.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "the channel manager in the database is {lag_s} s older than the channel monitors: it is not the newest copy, and starting would close \
     channels. Find the newest copy, or start with `--accept-old-copy`"
)]
pub struct Stale {
    /// By how much.
    pub lag_s: u64,
}

/// LDK's rows.
#[derive(Clone)]
pub(crate) struct KvStore(GatewayStore);

/// Rows that say when something was last written.
const MANAGER_WRITTEN: &[u8] = b"\0manager";
const MONITOR_WRITTEN: &[u8] = b"\0monitor";

impl KvStore {
    pub(crate) fn new(store: GatewayStore) -> Self {
        Self(store)
    }

    /// Checks that no part of the database is older than the rest.
    pub(crate) fn lag(&self) -> Result<Option<Stale>, StoreLost> {
        let manager_s = self.written_s(MANAGER_WRITTEN)?;
        let monitor_s = self.written_s(MONITOR_WRITTEN)?;
        let lag_s = monitor_s.saturating_sub(manager_s);
        Ok((manager_s > 0 && lag_s > MAX_LAG_S).then_some(Stale { lag_s }))
    }

    fn written_s(&self, name: &[u8]) -> Result<u64, StoreLost> {
        let value = self.0.get(Space::Library.key(name))?;
        let bytes = value.and_then(|value| value.try_into().ok());
        Ok(bytes.map_or(0, u64::from_be_bytes))
    }
}

/// A key, with the length of each part before it, so that no two are the same bytes.
fn key(parts: [&str; 3]) -> Key {
    let [primary, secondary, name] = parts;
    let mut key = prefix(primary, secondary);
    key.extend_from_slice(name.as_bytes());
    Space::Library.key(&key)
}

fn prefix(primary: &str, secondary: &str) -> Vec<u8> {
    // LDK's names are at most 120 bytes. 1 is added because a key that starts with 0 is ours.
    let mut prefix = Vec::new();
    for part in [primary, secondary] {
        prefix.push(part.len().min(254) as u8 + 1);
        prefix.extend_from_slice(part.as_bytes());
    }
    prefix
}

fn mark(primary: &str, name: &str) -> Option<&'static [u8]> {
    match primary {
        CHANNEL_MONITOR_PERSISTENCE_PRIMARY_NAMESPACE
        | CHANNEL_MONITOR_UPDATE_PERSISTENCE_PRIMARY_NAMESPACE => Some(MONITOR_WRITTEN),
        CHANNEL_MANAGER_PERSISTENCE_PRIMARY_NAMESPACE
            if name == CHANNEL_MANAGER_PERSISTENCE_KEY =>
        {
            Some(MANAGER_WRITTEN)
        }
        _ => None,
    }
}

fn lost(error: StoreLost) -> io::Error {
    io::Error::new(ErrorKind::Other, error.to_string())
}

impl KVStoreSync for KvStore {
    fn read(&self, primary: &str, secondary: &str, name: &str) -> Result<Vec<u8>, io::Error> {
        let value = self.0.get(key([primary, secondary, name])).map_err(lost)?;
        value.ok_or_else(|| io::Error::new(ErrorKind::NotFound, "no such row"))
    }

    fn write(
        &self,
        primary: &str,
        secondary: &str,
        name: &str,
        value: Vec<u8>,
    ) -> Result<(), io::Error> {
        let mut changes = Changes::from([(key([primary, secondary, name]), Some(value))]);
        if let Some(mark) = mark(primary, name) {
            let since = SystemTime::now().duration_since(UNIX_EPOCH);
            let now_s = since.map_or(0, |since| since.as_secs());
            changes.insert(Space::Library.key(mark), Some(now_s.to_be_bytes().to_vec()));
        }
        self.0.save(changes).map_err(lost)
    }

    fn remove(
        &self,
        primary: &str,
        secondary: &str,
        name: &str,
        lazy: bool,
    ) -> Result<(), io::Error> {
        let removing = self
            .0
            .begin(Changes::from([(key([primary, secondary, name]), None)]));
        match lazy {
            // It is in the order of writes already, and may be lost.
            true => Ok(()),
            false => removing.wait().map_err(lost),
        }
    }

    fn list(&self, primary: &str, secondary: &str) -> Result<Vec<String>, io::Error> {
        let prefix = Space::Library.key(&prefix(primary, secondary)).0;
        let rows = self.0.load_prefix(&prefix).map_err(lost)?;
        let name = |Key(key): &Key| {
            let name = key.get(prefix.len()..).unwrap_or_default();
            String::from_utf8(name.to_vec())
                .map_err(|_| io::Error::new(ErrorKind::InvalidData, "a name is not text"))
        };
        rows.keys().map(name).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use guildmint_gateway_store::Place;

    use super::*;

    fn open(folder: &tempfile::TempDir) -> (GatewayStore, KvStore) {
        let place = Place::in_directory(folder.path());
        let store = GatewayStore::open(&place, Arc::new(|_| ())).unwrap();
        (store.clone(), KvStore::new(store))
    }

    #[test]
    fn names_are_apart_and_listed_by_namespace() {
        let folder = tempfile::tempdir().unwrap();
        let (_, kv) = open(&folder);
        for (primary, secondary, name) in [
            ("", "", "a"),
            ("a", "", "b"),
            ("a", "b", "c"),
            ("ab", "", "c"),
        ] {
            let value = format!("{primary}/{secondary}/{name}").into_bytes();
            kv.write(primary, secondary, name, value).unwrap();
        }
        assert_eq!(kv.read("a", "b", "c").unwrap(), b"a/b/c");
        assert_eq!(kv.list("a", "").unwrap(), ["b"]);
        assert_eq!(kv.list("a", "b").unwrap(), ["c"]);
        assert_eq!(kv.list("", "").unwrap(), ["a"]);
        assert_eq!(kv.list("x", "").unwrap(), [""; 0]);
    }

    #[test]
    fn only_what_is_not_there_is_not_found() {
        let folder = tempfile::tempdir().unwrap();
        let (store, kv) = open(&folder);
        kv.write("a", "", "b", vec![1]).unwrap();
        kv.remove("a", "", "b", true).unwrap();
        assert_eq!(
            kv.read("a", "", "b").unwrap_err().kind(),
            ErrorKind::NotFound
        );
        kv.remove("a", "", "b", false).unwrap();
        store.close().unwrap();
        assert_eq!(kv.read("a", "", "b").unwrap_err().kind(), ErrorKind::Other);
        assert!(kv.write("a", "", "b", vec![1]).is_err());
    }

    #[test]
    fn a_manager_that_is_much_older_than_a_monitor_is_stale() {
        let folder = tempfile::tempdir().unwrap();
        let (store, kv) = open(&folder);
        kv.write("monitors", "", "x", vec![1]).unwrap();
        assert_eq!(kv.lag(), Ok(None));
        kv.write("", "", "manager", vec![1]).unwrap();
        kv.write("monitor_updates", "x", "1", vec![1]).unwrap();
        assert_eq!(kv.lag(), Ok(None), "as a crash leaves it");
        let written = Space::Library.key(MANAGER_WRITTEN);
        let before = kv.written_s(MONITOR_WRITTEN).unwrap() - MAX_LAG_S - 1;
        let older = Changes::from([(written, Some(before.to_be_bytes().to_vec()))]);
        store.save(older).unwrap();
        assert_eq!(
            kv.lag(),
            Ok(Some(Stale {
                lag_s: MAX_LAG_S + 1
            }))
        );
    }
}
