//! What only a database on a server can suffer: lost connections, crashes, other writers; and that people can read it.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::{path::PathBuf, sync::mpsc, time::Duration};

use async_std::task::{block_on, spawn};
use common::Server;
use guildmint_core::{
    ledger::{Changes, Key},
    Amount, BatchHash, Digest, Epoch, ModuleId, TxId,
};
use guildmint_store::{
    AuditRecord, CoinPlace, CoinRecord, EpochRecord, PostgresStore, Projection, Read, Records,
    Store, StoreError, TransactionRecord,
};
use tempfile::TempDir;

/// A server, a database, and directories for those who use it.
struct Place {
    server: Server,
    database: String,
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let server = Server::start();
        let database = server.database();
        let folder = tempfile::tempdir().unwrap();
        Self {
            server,
            database,
            folder,
        }
    }

    fn directory(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn try_open(&self, directory: &str) -> Result<PostgresStore, StoreError> {
        let url = self.server.url(&self.database).parse().unwrap();
        block_on(PostgresStore::open(self.directory(directory), &url))
    }

    fn open(&self, directory: &str) -> PostgresStore {
        self.try_open(directory).unwrap()
    }

    fn refusal(&self, directory: &str) -> StoreError {
        match self.try_open(directory) {
            Ok(_) => panic!("not refused"),
            Err(error) => error,
        }
    }

    /// Ends the session of whoever has the lock.
    fn end_session(&self) {
        let mut client = self.server.client(&self.database);
        let end =
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_locks WHERE locktype = 'advisory'";
        assert_eq!(client.query(end, &[]).unwrap().len(), 1);
    }

    fn execute(&self, statement: &str) {
        let mut client = self.server.client(&self.database);
        client.batch_execute(statement).unwrap();
    }

    fn saves(&self) -> i64 {
        let mut client = self.server.client(&self.database);
        let row = client.query_one("SELECT saves FROM writer", &[]).unwrap();
        row.get(0)
    }
}

fn key(name: &str, number: u32) -> Key {
    Key([name.as_bytes(), &number.to_be_bytes()].concat())
}

fn pair(number: u32) -> Changes {
    let value = Some(number.to_be_bytes().to_vec());
    [
        (key("left", number), value.clone()),
        (key("right", number), value),
    ]
    .into()
}

fn save(store: &PostgresStore, number: u32) -> Result<(), StoreError> {
    block_on(store.save(pair(number)))
}

/// How many pairs there are. None is there by half.
fn pairs(store: &PostgresStore) -> u32 {
    let all = |prefix: &[u8]| block_on(store.load_prefix(prefix)).unwrap();
    let (left, right) = (all(b"left"), all(b"right"));
    assert!(left.values().eq(right.values()), "a save is half there");
    left.len() as u32
}

#[test]
fn two_writers_are_refused() {
    let place = Place::new();
    let first = place.open("first");
    let refusal = place.refusal("second");
    assert!(matches!(refusal, StoreError::InUse { .. }), "{refusal}");
    let text = refusal.to_string();
    for part in [
        "in use by another guardian",
        "guildmint-store",
        "pg_terminate_backend(",
    ] {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
    let refusal = place.refusal("first");
    assert!(matches!(refusal, StoreError::Locked { .. }), "{refusal}");

    save(&first, 1).unwrap();
    block_on(first.close()).unwrap();
    assert_eq!(pairs(&place.open("second")), 1);
}

#[test]
fn a_connection_that_is_lost_between_saves_is_made_anew() {
    let place = Place::new();
    let store = place.open("data");
    save(&store, 1).unwrap();
    place.server.down();
    place.server.up();
    save(&store, 2).unwrap();
    place.server.crash();
    place.server.up();
    assert_eq!(pairs(&store), 2);
    place.end_session();
    save(&store, 3).unwrap();
    let refusal = place.refusal("other");
    assert!(matches!(refusal, StoreError::InUse { .. }), "{refusal}");
    assert_eq!((pairs(&store), place.saves()), (3, 3));
}

#[test]
fn a_save_waits_for_a_server_that_comes_back() {
    let place = Place::new();
    let store = place.open("data");
    place.server.down();
    let saved = spawn(async move {
        store.save(pair(1)).await.unwrap();
        store
    });
    place.server.up();
    assert_eq!(pairs(&block_on(saved)), 1);
}

/// ⚠ SPEC EPO-5: what was acknowledged before a crash is there after it, and nothing twice.
#[test]
fn a_server_elsewhere_is_spoken_to_in_secret_and_must_prove_who_it_is() {
    let place = Place::new();
    let port = place.server.up_with_tls();
    let certificate = place.server.certificate();
    let open = |host: &str, more: &str| {
        let database = &place.database;
        let url = format!("postgres://guildmint@{host}:{port}/{database}?{more}");
        block_on(PostgresStore::open(
            place.directory("guardian"),
            &url.parse().unwrap(),
        ))
    };
    // The server takes nobody without TLS, so this shows that it is used.
    let refused = open("localhost", "sslmode=disable").err();
    assert!(matches!(refused, Some(StoreError::Refused { .. })));
    let trusted = format!("sslmode=verify-full&sslrootcert={}", certificate.display());
    // Not the name that the certificate is for.
    let misnamed = open("127.0.0.1", &trusted).err();
    assert!(matches!(misnamed, Some(StoreError::Untrusted { .. })));
    // Nobody that this machine trusts has signed it.
    let unknown = open("localhost", "sslmode=verify-full").err();
    assert!(matches!(unknown, Some(StoreError::Untrusted { .. })));
    let store = open("localhost", &trusted).unwrap();
    save(&store, 1).unwrap();
    assert_eq!(pairs(&store), 1);
}

#[test]
fn crashes_in_the_middle_of_saves_lose_nothing() {
    const CRASHES: u32 = 3;
    const BETWEEN: u32 = 150;
    let place = Place::new();
    let store = place.open("data");
    let (acknowledge, acknowledged) = mpsc::channel();
    let saving = spawn(async move {
        let mut number = 0;
        while acknowledge.send(number).is_ok() {
            store.save(pair(number)).await.unwrap();
            number += 1;
        }
        (store, number)
    });
    for crash in 1..=CRASHES {
        let enough = acknowledged.iter().find(|number| number % BETWEEN == crash);
        enough.unwrap();
        place.server.crash();
        place.server.up();
    }
    acknowledged.iter().nth(BETWEEN as usize).unwrap();
    drop(acknowledged);
    let (store, saved) = block_on(saving);
    assert!(saved >= BETWEEN);
    assert_eq!((pairs(&store), place.saves()), (saved, saved.into()));
    block_on(store.close()).unwrap();
    assert_eq!(pairs(&place.open("data")), saved);
}

#[test]
fn a_save_that_was_given_up_is_made_whole_or_not_at_all() {
    let place = Place::new();
    let store = place.open("data");
    for number in 0..20 {
        let given_up = async_std::future::timeout(Duration::ZERO, store.save(pair(number)));
        assert!(block_on(given_up).is_err());
        save(&store, 100 + number).unwrap();
    }
    assert_eq!(i64::from(pairs(&store)), place.saves());
    assert!(pairs(&store) >= 20);
}

/// ⚠ Two processes must never be one guardian, and a guardian never goes on from an old copy.
#[test]
fn a_database_that_somebody_else_used_or_that_is_an_old_copy_is_refused() {
    let replaced = |result| matches!(result, Err(StoreError::Replaced { .. }));
    let place = Place::new();

    let first = place.open("first");
    place.end_session();
    block_on(place.open("second").close()).unwrap();
    assert!(replaced(save(&first, 1)), "another process was here");
    block_on(first.close()).unwrap();

    let store = place.open("first");
    save(&store, 2).unwrap();
    place.end_session();
    place.execute("UPDATE writer SET saves = saves - 1");
    assert!(replaced(save(&store, 3)), "a save is missing");
    block_on(store.close()).unwrap();

    let store = place.open("first");
    place.execute("UPDATE writer SET term = term + 1");
    assert!(replaced(save(&store, 4)), "another term began");
    block_on(store.close()).unwrap();
    assert_eq!(pairs(&place.open("first")), 1);
}

#[test]
fn what_an_operator_must_change_is_said_and_no_password_is() {
    let place = Place::new();
    let url = place.server.url("nowhere");
    let url = url.replace("guildmint@", "guildmint:hunter2@");
    let opened = block_on(PostgresStore::open(
        place.directory("data"),
        &url.parse().unwrap(),
    ));
    let Err(refusal) = opened else {
        panic!("not refused")
    };
    assert!(matches!(refusal, StoreError::Refused { .. }), "{refusal}");
    let text = format!("{refusal} {refusal:?}");
    assert!(text.contains("PGPASSWORD") && text.contains("/nowhere"));
    assert!(!text.contains("hunter2"), "{text}");

    block_on(place.open("data").close()).unwrap();
    place.execute("INSERT INTO schema_version VALUES (99)");
    let refusal = place.refusal("data");
    assert!(matches!(refusal, StoreError::Newer { .. }), "{refusal}");

    place.execute("ALTER SYSTEM SET fsync = off");
    place.server.down();
    place.server.up();
    let refusal = place.refusal("data").to_string();
    assert!(refusal.contains("Set fsync = on"), "{refusal}");
}

/// Says the same of every save.
struct Says(Records);

impl Projection for Says {
    fn records(&self, _: &Changes) -> Records {
        self.0.clone()
    }
}

fn sat(sat: u64) -> Amount {
    Amount::from_sat(sat).unwrap()
}

fn records() -> Records {
    let coin = |vout| CoinPlace {
        txid: [7; 32],
        vout,
    };
    let epoch = |number| EpochRecord {
        epoch: Epoch(number),
        batch: BatchHash([number as u8; 32]),
        digest: Digest([0xd1; 32]),
        transactions: 1,
    };
    Records {
        epochs: vec![epoch(4), epoch(5)],
        transactions: vec![TransactionRecord {
            txid: TxId([3; 32]),
            epoch: Epoch(4),
            inputs: 2,
            outputs: 30,
        }],
        coins: [0, 1, u32::MAX]
            .map(|vout| CoinRecord {
                place: coin(vout),
                amount: sat(5000),
            })
            .into(),
        spent: vec![coin(1)],
        audit: vec![AuditRecord {
            epoch: Epoch(5),
            module: ModuleId(2),
            assets: Amount::MAX,
            liabilities: sat(1),
        }],
    }
}

/// With the domain's own types, from another library than the one that wrote them.
#[test]
fn tables_can_be_read_with_other_libraries() {
    let place = Place::new();
    let store = place.open("data").with_projection(Says(records()));
    save(&store, 1).unwrap();
    save(&store, 2).unwrap();
    let mut client = place.server.client(&place.database);

    let rows = client
        .query("SELECT * FROM epochs ORDER BY epoch", &[])
        .unwrap();
    let epochs = rows.iter().map(|row| EpochRecord {
        epoch: row.get("epoch"),
        batch: row.get("batch"),
        digest: row.get("digest"),
        transactions: row.get::<_, i32>("transactions") as u32,
    });
    assert!(epochs.eq(records().epochs));

    let by_id = "SELECT epoch, inputs, outputs FROM transactions WHERE txid = $1";
    let row = client.query_one(by_id, &[&TxId([3; 32])]).unwrap();
    let found: (Epoch, i32, i32) = (row.get(0), row.get(1), row.get(2));
    assert_eq!(found, (Epoch(4), 2, 30));

    let coins = "SELECT vout, amount_msat, encode(txid, 'hex') FROM utxos ORDER BY vout";
    let rows = client.query(coins, &[]).unwrap();
    let coins = rows
        .iter()
        .map(|row| (row.get(0), row.get::<_, Amount>(1), row.get(2)));
    let txid = "07".repeat(32);
    let expected = [0, i64::from(u32::MAX)].map(|vout| (vout, sat(5000), txid.clone()));
    assert!(coins.eq(expected));

    let row = client.query_one("SELECT * FROM audit", &[]).unwrap();
    let audit = AuditRecord {
        epoch: row.get("epoch"),
        module: row.get("module"),
        assets: row.get("assets_msat"),
        liabilities: row.get("liabilities_msat"),
    };
    assert_eq!(audit, records().audit[0]);
}

#[test]
fn keys_can_be_read_by_people() {
    let place = Place::new();
    let store = place.open("data");
    let row = |key: &[u8]| (Key(key.to_vec()), Some(b"value".to_vec()));
    let rows = [row(b"ra\0\x03\x06field"), row(b"sl\xff\xff\x01"), row(b"x")];
    block_on(store.save(rows.into())).unwrap();
    let mut client = place.server.client(&place.database);
    let statement =
        "SELECT residency, space, owner, \"table\", fields, value FROM readable_rows ORDER BY owner DESC";
    let rows = client.query(statement, &[]).unwrap();
    let words = |at: usize| {
        let row = &rows[at];
        let [residency, space, owner]: [String; 3] = [0, 1, 2].map(|column| row.get(column));
        let (table, fields): (i32, Vec<u8>) = (row.get(3), row.get(4));
        (format!("{residency} {space} {owner} {table}"), fields)
    };
    assert_eq!(rows.len(), 2);
    assert_eq!(
        words(0),
        ("resident agreed module 3 6".into(), b"field".to_vec())
    );
    assert_eq!(words(1), ("stored local engine 1".into(), vec![]));
    let loaded = block_on(store.load(vec![Read::Key(Key(b"x".to_vec()))])).unwrap();
    assert_eq!(loaded.len(), 1);
}
