//! What only a database on a disk can suffer: processes that die, and that come twice; full, damaged and absent disks.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::{
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

use async_std::task::block_on;
use guildmint_core::ledger::{Changes, Key};
use guildmint_store::{Read, SqliteStore, Store, StoreError};

const ROLE: &str = "GUILDMINT_STORE_TEST_ROLE";
const DIRECTORY: &str = "GUILDMINT_STORE_TEST_DIRECTORY";

/// Not a test: what the tests below run as another process. Without a role there is nothing to do.
#[test]
fn child() {
    let (Ok(role), Ok(directory)) = (std::env::var(ROLE), std::env::var(DIRECTORY)) else {
        return;
    };
    block_on(async {
        match (role.as_str(), SqliteStore::open(directory).await) {
            ("save", Ok(store)) => save_for_ever(&store).await,
            ("fill", Ok(store)) => fill(&store).await,
            (_, Ok(_)) => println!("result: opened"),
            (_, Err(error)) => println!("result: {error}"),
        }
    });
}

/// Each save is of two rows with the same number, and is acknowledged when it is done.
async fn save_for_ever(store: &SqliteStore) {
    let before = store.load_prefix(b"left").await.unwrap().len();
    for number in before as u32.. {
        store.save(pair(number)).await.unwrap();
        println!("saved: {number}");
    }
}

/// Saves until it fails, then says so and what is left.
async fn fill(store: &SqliteStore) {
    for number in 0_u32.. {
        let mut changes = pair(number);
        changes.insert(key("large", number), Some(vec![7; 64 * 1024]));
        if let Err(error) = store.save(changes).await {
            let left = store.load_prefix(b"left").await.unwrap().len();
            let right = store.load_prefix(b"right").await.unwrap().len();
            println!("result: {number} {left} {right} {error}");
            return;
        }
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

/// This test program again, by way of a shell that sets limits first.
fn spawn(role: &str, directory: &Path, limits: &str) -> (Child, BufReader<ChildStdout>) {
    let mut child = Command::new("sh")
        .args(["-c", &format!("{limits} exec \"$0\" \"$@\"")])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(ROLE, role)
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    (child, output)
}

/// What the child reports, when it has ended.
fn result(role: &str, directory: &Path, limits: &str) -> String {
    let (mut child, mut output) = spawn(role, directory, limits);
    let mut text = String::new();
    output.read_to_string(&mut text).unwrap();
    assert!(child.wait().unwrap().success(), "{text}");
    let line = text.lines().find_map(|line| line.split_once("result: "));
    line.unwrap_or_else(|| panic!("no result in {text:?}"))
        .1
        .to_owned()
}

/// ⚠ SPEC EPO-5: what was acknowledged before a kill is there after it.
#[test]
fn acknowledged_saves_survive_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let mut saved = 0;
    for _ in 0..3 {
        let (mut child, output) = spawn("save", directory.path(), "");
        let acknowledged = |line: std::io::Result<String>| {
            let line = line.unwrap();
            let (_, number) = line.split_once("saved: ")?;
            Some(number.parse::<u32>().unwrap())
        };
        let mut numbers = output.lines().filter_map(acknowledged);
        numbers.by_ref().nth(40).unwrap();
        child.kill().unwrap();
        let last = numbers.last();
        child.wait().unwrap();

        block_on(async {
            let store = SqliteStore::open(directory.path()).await.unwrap();
            let left = store.load_prefix(b"left").await.unwrap();
            let right = store.load_prefix(b"right").await.unwrap();
            assert!(left.values().eq(right.values()), "a save is half there");
            assert!(left.len() > saved + 40);
            assert!(last.is_none_or(|last| left.contains_key(&key("left", last))));
            saved = left.len();
            store.close().await.unwrap();
        });
    }
}

#[test]
fn a_second_process_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    block_on(async {
        let store = SqliteStore::open(directory.path()).await.unwrap();
        let refusal = result("open", directory.path(), "");
        let me = format!("(process {})", std::process::id());
        assert!(
            refusal.contains("locked by another process") && refusal.contains(&me),
            "{refusal}"
        );
        let again = SqliteStore::open(directory.path()).await;
        assert!(matches!(again, Err(StoreError::Locked { .. })), "{again:?}");
        store.save(pair(1)).await.unwrap();
        store.close().await.unwrap();
    });
    assert_eq!(result("open", directory.path(), ""), "opened");
}

#[test]
fn a_file_that_cannot_grow_is_an_error_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    // Blocks of 512 bytes. The signal would kill the process; ignored, it is an error of the write.
    let report = result("fill", directory.path(), "trap '' XFSZ; ulimit -f 2048;");
    let mut words = report.split(' ');
    let mut number = || words.next().unwrap().parse::<u32>().unwrap();
    let (failed, left, right) = (number(), number(), number());
    assert!(failed > 0);
    assert_eq!((left, right), (failed, failed), "{report}");
    assert!(
        report.contains(SqliteStore::FILE) && report.contains("limits on the size of files"),
        "{report}"
    );

    block_on(async {
        let store = SqliteStore::open(directory.path()).await.unwrap();
        assert_eq!(
            store.load_prefix(b"left").await.unwrap().len(),
            failed as usize
        );
        store.save(pair(failed)).await.unwrap();
        store.close().await.unwrap();
    });
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = block_on(SqliteStore::open(file.join("data"))).unwrap_err();
    assert!(matches!(error, StoreError::Directory { .. }), "{error}");
    assert!(error.to_string().contains("file/data"), "{error}");
}

#[test]
fn damaged_files_are_errors() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(SqliteStore::FILE);
    block_on(async {
        let store = SqliteStore::open(directory.path()).await.unwrap();
        for number in 0..200 {
            store.save(pair(number)).await.unwrap();
        }
        store.close().await.unwrap();
        let whole = std::fs::read(&path).unwrap();

        let mut no_header = whole.clone();
        no_header[..64].fill(0xaa);
        std::fs::write(&path, &no_header).unwrap();
        let error = SqliteStore::open(directory.path()).await.unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");

        let mut no_pages = whole.clone();
        no_pages[3 * 4096..].fill(0xaa);
        std::fs::write(&path, &no_pages).unwrap();
        let store = SqliteStore::open(directory.path()).await.unwrap();
        let error = store.load_prefix(b"").await.unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
        store.close().await.unwrap();

        std::fs::write(&path, &whole).unwrap();
        let store = SqliteStore::open(directory.path()).await.unwrap();
        let first = store.load(vec![Read::Key(key("left", 0))]).await.unwrap();
        assert!(first[&key("left", 0)].is_some());
        store.close().await.unwrap();
    });
}
