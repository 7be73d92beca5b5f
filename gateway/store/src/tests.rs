#![allow(clippy::unwrap_used)]

use std::{
    fs,
    sync::{
        atomic::{AtomicUsize, Ordering},
        Arc,
    },
    thread,
};

use guildmint_core::{ledger::Memory, FederationId};
use guildmint_store::StoreError;

use super::{witness::Witness, *};

fn key(name: &str) -> Key {
    Space::Gateway.key(name.as_bytes())
}

fn change(name: &str, value: u8) -> Changes {
    Changes::from([(key(name), Some(vec![value]))])
}

fn open(place: &Place) -> Result<GatewayStore, OpenError> {
    GatewayStore::open(place, Arc::new(|_| ()))
}

#[test]
fn what_was_saved_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::in_directory(folder.path());
    let store = open(&place).unwrap();
    store.save(change("a", 1)).unwrap();
    store
        .save(Changes::from([(key("b"), Some(vec![2])), (key("a"), None)]))
        .unwrap();
    store.close().unwrap();
    assert_eq!(store.save(change("a", 3)), Err(StoreLost::closed()));
    let store = open(&place).unwrap();
    assert_eq!(store.get(key("a")), Ok(None));
    assert_eq!(store.get(key("b")), Ok(Some(vec![2])));
    let rows = store.load_prefix(&key("").0).unwrap();
    assert_eq!(rows.len(), 1);
}

#[test]
fn each_federation_has_a_shelf_and_sees_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::in_directory(folder.path());
    let store = open(&place).unwrap();
    let (one, other) = (FederationId([1; 32]), FederationId([2; 32]));
    let row = |value| Changes::from([(Key(vec![7, 7]), Some(vec![value]))]);
    store.shelf(one).begin(row(1)).wait().unwrap();
    store.shelf(other).begin(row(2)).wait().unwrap();
    store.save(change("a", 3)).unwrap();
    store.close().unwrap();
    let store = open(&place).unwrap();
    let rows = |value| Memory([(Key(vec![7, 7]), vec![value])].into());
    assert_eq!(store.shelf(one).load(), Ok(rows(1)));
    assert_eq!(
        store.shelves(),
        Ok([(one, rows(1)), (other, rows(2))].into())
    );
    let gone = Changes::from([(Key(vec![7, 7]), None)]);
    store.shelf(one).begin(gone).wait().unwrap();
    assert_eq!(store.shelf(one).load(), Ok(Memory::default()));
    assert_eq!(store.shelf(other).load(), Ok(rows(2)));
    // The rows of all others are where they were.
    assert_eq!(store.get(key("a")), Ok(Some(vec![3])));
}

#[test]
fn saves_happen_in_the_order_in_which_they_were_begun() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&Place::in_directory(folder.path())).unwrap();
    let savings: Vec<Saving> = (0..=255)
        .map(|value| store.begin(change("a", value)))
        .collect();
    assert_eq!(store.get(key("a")), Ok(Some(vec![255])));
    for saving in savings.into_iter().rev() {
        saving.wait().unwrap();
    }
}

#[test]
fn many_threads_save_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&Place::in_directory(folder.path())).unwrap();
    thread::scope(|scope| {
        for thread in 0..8 {
            let store = &store;
            scope.spawn(move || {
                for value in 0..20 {
                    let name = format!("{thread}");
                    store.save(change(&name, value)).unwrap();
                    assert_eq!(store.get(key(&name)), Ok(Some(vec![value])));
                }
            });
        }
    });
}

#[test]
fn a_save_may_be_waited_for_within_an_executor_and_awaited() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&Place::in_directory(folder.path())).unwrap();
    futures::executor::block_on(async {
        store.save(change("a", 1)).unwrap();
        store.begin(change("a", 2)).await.unwrap();
        assert_eq!(store.get(key("a")), Ok(Some(vec![2])));
    });
}

#[test]
fn one_process_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::in_directory(folder.path());
    let store = open(&place).unwrap();
    assert!(matches!(open(&place), Err(OpenError::InUse(_))));
    store.close().unwrap();
    assert!(open(&place).is_ok());
}

#[test]
fn an_old_copy_is_refused_unless_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::in_directory(folder.path());
    let file = folder.path().join("gateway.sqlite");
    open(&place).unwrap().close().unwrap();
    let copy = fs::read(&file).unwrap();
    open(&place).unwrap().close().unwrap();
    fs::write(&file, copy).unwrap();
    let refused = open(&place).err().unwrap();
    assert!(
        matches!(
            refused,
            OpenError::OldCopy {
                counted: 2,
                found: 1,
                ..
            }
        ),
        "{refused}"
    );
    let accepted = Place {
        accept_copy: true,
        ..place.clone()
    };
    open(&accepted).unwrap().close().unwrap();
    open(&place).unwrap().close().unwrap();
}

#[test]
fn a_copy_of_the_same_start_is_refused_too_however_little_came_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::in_directory(folder.path());
    let copy = folder.path().join("copy");
    fs::create_dir(&copy).unwrap();
    let files = ["gateway.sqlite", "gateway.sqlite-wal"];
    let store = open(&place).unwrap();
    store.save(change("a", 1)).unwrap();
    for file in files {
        // As of a backup while it runs.
        fs::copy(folder.path().join(file), copy.join(file)).unwrap();
    }
    store.save(change("a", 2)).unwrap();
    store.close().unwrap();
    for file in files {
        fs::copy(copy.join(file), folder.path().join(file)).unwrap();
    }
    let refused = open(&place).err().unwrap();
    assert!(
        matches!(
            refused,
            OpenError::OldCopy {
                counted: 3,
                found: 2,
                ..
            }
        ),
        "{refused}"
    );
}

#[test]
fn a_save_whose_witness_cannot_be_written_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::in_directory(folder.path());
    let told = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&told);
    let on_loss: OnLoss = Arc::new(move |_| {
        counting.fetch_add(1, Ordering::SeqCst);
    });
    let store = async_std::task::block_on(SqliteStore::open_as(&place.directory, PROGRAM));
    let witness = Witness::read_only(folder.path());
    let store = writer::start(Box::new(store.unwrap()), witness, on_loss).unwrap();
    assert!(store.save(change("a", 1)).is_err());
    assert_eq!(told.load(Ordering::SeqCst), 1);
}

#[test]
fn a_database_without_its_witness_is_refused_and_a_crash_between_the_two_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::in_directory(folder.path());
    let witness = folder.path().join("gateway.saves");
    for _ in 0..2 {
        open(&place).unwrap().close().unwrap();
    }
    fs::write(&witness, "1\n").unwrap();
    open(&place).unwrap().close().unwrap();
    let counted = fs::read_to_string(&witness).unwrap();
    assert_eq!(counted, "00000000000000000003\n");
    fs::remove_file(&witness).unwrap();
    assert!(matches!(
        open(&place),
        Err(OpenError::NoWitness { found: 3, .. })
    ));
    fs::write(&witness, "three").unwrap();
    assert!(matches!(open(&place), Err(OpenError::Witness { .. })));
}

#[test]
fn a_loss_is_told_once_and_nothing_is_saved_after_it() {
    let (saves, told) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counting = Arc::clone(&told);
    let on_loss: OnLoss = Arc::new(move |_| {
        counting.fetch_add(1, Ordering::SeqCst);
    });
    let failing = Box::new(Failing(Arc::clone(&saves)));
    let store = writer::start(failing, Witness::detached(), on_loss).unwrap();
    for _ in 0..3 {
        let lost = store.save(change("a", 1)).unwrap_err();
        assert!(!lost.to_string().contains("guardian"), "{lost}");
    }
    assert!(store.get(key("a")).is_err());
    let count = |counter: &AtomicUsize| counter.load(Ordering::SeqCst);
    assert_eq!((count(&saves), count(&told)), (1, 1));
}

/// A database on a full disk, and how often it was asked to save.
struct Failing(Arc<AtomicUsize>);

#[async_trait::async_trait]
impl Store for Failing {
    async fn load(&self, _: Vec<Read>) -> Result<Loaded, StoreError> {
        Ok(Loaded::new())
    }

    async fn save(&self, _: Changes) -> Result<(), StoreError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        let (database, detail) = ("x".to_owned(), "full".to_owned());
        Err(StoreError::Full { database, detail })
    }

    async fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
