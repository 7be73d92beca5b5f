//! All stores against the suite, and against a map.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::{collections::BTreeMap, sync::Mutex};

use async_std::task::block_on;
use common::Server;
use guildmint_core::ledger::{Changes, Key, Memory};
use guildmint_store::{suite, MemoryStore, PostgresStore, Read, SqliteStore, Store};
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

#[test]
fn postgres_conforms() {
    let server = Server::start();
    let directory = tempfile::tempdir().unwrap();
    let databases = Mutex::new(BTreeMap::new());
    let open = |name: &'static str| {
        let mut databases = databases.lock().unwrap();
        let database = databases.entry(name).or_insert_with(|| server.database());
        let url = server.url(database).parse().unwrap();
        let directory = directory.path().join(name);
        async move { PostgresStore::open(directory, &url).await }
    };
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

fn steps() -> impl Strategy<Value = Vec<(Changes, Read, Read)>> {
    vec((changes(), read(), read()), 1..8)
}

async fn does_what_a_map_does(stores: &[Box<dyn Store>], steps: Vec<(Changes, Read, Read)>) {
    let mut rows = Memory::default();
    for (changes, first, second) in steps {
        rows.apply(changes.clone());
        // Of several reads the keys that are there win over those that are not: they are the same rows.
        let mut all = expected(&rows, &first);
        all.extend(expected(&rows, &second));
        for store in stores {
            store.save(changes.clone()).await.unwrap();
            let reads = vec![first.clone(), second.clone()];
            let loaded = store.load(reads).await.unwrap();
            assert_eq!(loaded, all);
        }
    }
}

#[test]
fn stores_do_what_a_map_does() {
    let server = Server::start();
    let config = ProptestConfig {
        source_file: Some(file!()),
        ..ProptestConfig::with_cases(24)
    };
    proptest!(config, |(steps in steps())| {
        let directory = tempfile::tempdir().unwrap();
        let url = server.url(&server.database()).parse().unwrap();
        block_on(async {
            let stores: [Box<dyn Store>; 3] = [
                Box::new(MemoryStore::default()),
                Box::new(SqliteStore::open(directory.path().join("sqlite")).await.unwrap()),
                Box::new(PostgresStore::open(directory.path(), &url).await.unwrap()),
            ];
            does_what_a_map_does(&stores, steps).await;
        });
    });
}
