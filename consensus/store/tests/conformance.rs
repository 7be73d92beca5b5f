//! Both stores against the suite, and against a map.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;

use async_std::task::block_on;
use guildmint_core::ledger::{Changes, Key, Memory};
use guildmint_store::{suite, MemoryStore, Read, SqliteStore, Store};
use proptest::{collection::vec, prelude::*};

#[test]
fn memory_conforms() {
    let names = [
        "values", "changes", "ranges", "prefixes", "large", "whole", "closed",
    ];
    let stores: BTreeMap<_, _> = names.map(|name| (name, MemoryStore::default())).into();
    let open = |name: &str| {
        let store = stores[name].clone();
        async move { Ok(store) }
    };
    block_on(suite::conformance(open)).unwrap();
}

#[test]
fn sqlite_conforms() {
    let directory = tempfile::tempdir().unwrap();
    let open = |name| SqliteStore::open(directory.path().join(name));
    block_on(suite::conformance(open)).unwrap();
}

/// Short keys of few bytes, so that they meet.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(prop_oneof![Just(0), Just(1), Just(254), Just(255)], 0..4)
}

fn changes() -> impl Strategy<Value = Changes> {
    let row = (bytes().prop_map(Key), proptest::option::of(bytes()));
    vec(row, 0..8).prop_map(|rows| rows.into_iter().collect())
}

fn read() -> impl Strategy<Value = Read> {
    let after = proptest::option::of(bytes().prop_map(Key));
    let range = (bytes(), after, 0..5_u32).prop_map(|(prefix, after, limit)| Read::Range {
        prefix,
        after,
        limit,
    });
    prop_oneof![bytes().prop_map(|key| Read::Key(Key(key))), range]
}

/// What a read means, as plainly as it can be said.
fn expected(rows: &Memory, read: &Read) -> BTreeMap<Key, Option<Vec<u8>>> {
    match read {
        Read::Key(key) => [(key.clone(), rows.0.get(key).cloned())].into(),
        Read::Range {
            prefix,
            after,
            limit,
        } => rows
            .0
            .iter()
            .filter(|(key, _)| key.0.starts_with(prefix))
            .filter(|(key, _)| after.as_ref().is_none_or(|after| *key > after))
            .take(*limit as usize)
            .map(|(key, value)| (key.clone(), Some(value.clone())))
            .collect(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn stores_do_what_a_map_does(steps in vec((changes(), read(), read()), 1..8)) {
        let directory = tempfile::tempdir().unwrap();
        block_on(async {
            let stores: [Box<dyn Store>; 2] = [
                Box::new(MemoryStore::default()),
                Box::new(SqliteStore::open(directory.path()).await.unwrap()),
            ];
            let mut rows = Memory::default();
            for (changes, first, second) in steps {
                rows.apply(changes.clone());
                // Of several reads the keys that are there win over those that are not: they are the same rows.
                let mut all = expected(&rows, &first);
                all.extend(expected(&rows, &second));
                for store in &stores {
                    store.save(changes.clone()).await.unwrap();
                    let loaded = store.load(vec![first.clone(), second.clone()]).await.unwrap();
                    assert_eq!(loaded, all);
                }
            }
        });
    }
}
