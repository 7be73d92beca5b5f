//! What every [`Store`] must do. Panics, as tests do, where a store does not.

use std::future::Future;

use futures::future::try_join;
use guildmint_core::ledger::{Changes, Key};

use crate::{Loaded, Read, Store, StoreError, MAX_RANGE_ROWS};

/// Runs every case. `open` gets a name: a new one stands for an empty database, one that was given before for the same database
/// again.
///
/// # Errors
/// If the store fails where it should not.
pub async fn conformance<S, F, Fut>(open: F) -> Result<(), StoreError>
where
    S: Store,
    F: Fn(&'static str) -> Fut,
    Fut: Future<Output = Result<S, StoreError>>,
{
    values_come_back(&open("values").await?).await?;
    changes_replace_and_delete(&open("changes").await?).await?;
    ranges_are_in_order_and_in_pages(&open("ranges").await?).await?;
    prefixes_end_where_they_should(&open("prefixes").await?).await?;
    large_saves_are_possible(&open("large").await?).await?;
    saves_are_seen_whole(&open("whole").await?).await?;
    rows_survive(open("closed").await?, || open("closed")).await
}

fn key(bytes: impl AsRef<[u8]>) -> Key {
    Key(bytes.as_ref().to_vec())
}

fn put(rows: &[(&[u8], &[u8])]) -> Changes {
    rows.iter()
        .map(|(name, value)| (key(name), Some(value.to_vec())))
        .collect()
}

fn range(prefix: &[u8], after: Option<&[u8]>, limit: u32) -> Vec<Read> {
    vec![Read::Range {
        prefix: prefix.to_vec(),
        after: after.map(key),
        limit,
    }]
}

fn names(loaded: &Loaded) -> Vec<&[u8]> {
    loaded.keys().map(|key| key.0.as_slice()).collect()
}

async fn values_come_back(store: &impl Store) -> Result<(), StoreError> {
    let every_byte: Vec<u8> = (0..=255).collect();
    let megabyte = vec![7; 1024 * 1024];
    let rows = put(&[
        (b"empty", b""),
        (b"bytes", &every_byte),
        (&every_byte, b"by bytes"),
        (b"megabyte", &megabyte),
    ]);
    store.save(rows.clone()).await?;
    let mut expected: Loaded = rows;
    expected.insert(key("absent"), None);
    let reads = expected.keys().cloned().map(Read::Key).collect();
    assert_eq!(store.load(reads).await?, expected);
    assert_eq!(store.load(vec![]).await?, Loaded::new());
    Ok(())
}

async fn changes_replace_and_delete(store: &impl Store) -> Result<(), StoreError> {
    store.save(put(&[(b"a", b"1"), (b"b", b"1")])).await?;
    let mut second = put(&[(b"a", b"2"), (b"c", b"2")]);
    second.insert(key("b"), None);
    second.insert(key("never there"), None);
    store.save(second).await?;
    store.save(Changes::new()).await?;
    let rows = store.load(range(b"", None, 10)).await?;
    assert_eq!(rows, put(&[(b"a", b"2"), (b"c", b"2")]));
    Ok(())
}

async fn ranges_are_in_order_and_in_pages(store: &impl Store) -> Result<(), StoreError> {
    // In the order of bytes: a key goes before its extensions, and 0x80 and more after ASCII.
    let ordered: [&[u8]; 6] = [b"t", b"t\0", b"t\0\xff", b"tA", b"ta", b"t\x80"];
    let rows: Vec<(&[u8], &[u8])> = ordered.iter().rev().map(|name| (*name, *name)).collect();
    store.save(put(&rows)).await?;
    store.save(put(&[(b"s\xff", b""), (b"u", b"")])).await?;
    assert_eq!(names(&store.load(range(b"t", None, 100)).await?), ordered);

    let first = store.load(range(b"t", None, 2)).await?;
    assert_eq!(names(&first), ordered[..2]);
    let second = store.load(range(b"t", Some(ordered[1]), 3)).await?;
    assert_eq!(names(&second), ordered[2..5]);
    let last = store.load(range(b"t", Some(ordered[4]), 3)).await?;
    assert_eq!(names(&last), ordered[5..]);

    for (after, rows) in [(&b"a"[..], 6), (b"t\x80", 0), (b"z", 0)] {
        let page = store.load(range(b"t", Some(after), 100)).await?;
        assert_eq!(page.len(), rows, "after {after:?}");
    }
    assert!(store.load(range(b"t", None, 0)).await?.is_empty());

    let mut mixed = range(b"u", None, 9);
    mixed.extend([
        Read::Key(key("t")),
        Read::Key(key("v")),
        Read::Key(key("u")),
    ]);
    let mut expected: Loaded = put(&[(b"t", b"t"), (b"u", b"")]);
    expected.insert(key("v"), None);
    assert_eq!(store.load(mixed).await?, expected);
    Ok(())
}

async fn prefixes_end_where_they_should(store: &impl Store) -> Result<(), StoreError> {
    let rows: [&[u8]; 5] = [b"a\xff", b"a\xff\xff", b"b", b"\xff", b"\xff\xff"];
    let named: Vec<(&[u8], &[u8])> = rows.iter().map(|name| (*name, *name)).collect();
    store.save(put(&named)).await?;
    for (prefix, expected) in [
        (&b""[..], &rows[..]),
        (b"a\xff", &rows[..2]),
        (b"\xff", &rows[3..]),
        (b"\xff\xff", &rows[4..]),
        (b"\xff\xff\xff", &[]),
    ] {
        let page = store.load(range(prefix, None, 100)).await?;
        assert_eq!(names(&page), expected, "prefix {prefix:?}");
        let all = store.load_prefix(prefix).await?;
        assert!(all.keys().eq(page.keys()), "prefix {prefix:?}");
    }
    Ok(())
}

async fn large_saves_are_possible(store: &impl Store) -> Result<(), StoreError> {
    let count = 3 * MAX_RANGE_ROWS + 1;
    let rows: Changes = (0..count)
        .map(|number| (key(number.to_be_bytes()), Some(vec![1])))
        .collect();
    store.save(rows.clone()).await?;
    let reads = rows.keys().cloned().map(Read::Key).collect();
    assert!(store.load(reads).await? == rows);
    assert_eq!(store.load_prefix(b"").await?.len(), count as usize);
    let page = store.load(range(b"", None, u32::MAX)).await?;
    assert_eq!(page.len(), MAX_RANGE_ROWS as usize);

    let deleted = rows.into_keys().map(|key| (key, None)).collect();
    store.save(deleted).await?;
    assert!(store.load(range(b"", None, 1)).await?.is_empty());
    Ok(())
}

/// Two rows always change together, and are only ever seen equal: within a load, and in a range beside a key.
async fn saves_are_seen_whole(store: &impl Store) -> Result<(), StoreError> {
    store.save(put(&[(b"x", &[0]), (b"y", &[0])])).await?;
    let writing = async {
        for number in 1..=50 {
            let rows = put(&[(b"x", &[number]), (b"y", &[number])]);
            store.save(rows).await?;
            // What was saved is there for whoever looks afterwards.
            let now = store.load(vec![Read::Key(key("x"))]).await?;
            assert_eq!(now[&key("x")], Some(vec![number]));
        }
        Ok(())
    };
    let reading = async {
        for _ in 0..50 {
            let mut reads = range(b"x", None, 1);
            reads.push(Read::Key(key("y")));
            let rows = store.load(reads).await?;
            assert_eq!(rows[&key("x")], rows[&key("y")]);
        }
        Ok(())
    };
    try_join(writing, reading).await.map(drop)
}

async fn rows_survive<S, Fut>(store: S, reopen: impl Fn() -> Fut) -> Result<(), StoreError>
where
    S: Store,
    Fut: Future<Output = Result<S, StoreError>>,
{
    let rows = put(&[(b"a", b"1"), (b"b", b"2")]);
    store.save(rows.clone()).await?;
    store.close().await?;
    store.close().await?;
    let closed = |result| matches!(result, Err(StoreError::Closed));
    assert!(closed(store.save(rows.clone()).await));
    assert!(closed(store.load(vec![]).await.map(drop)));
    for _ in 0..2 {
        let store = reopen().await?;
        assert_eq!(store.load(range(b"", None, 10)).await?, rows);
        store.close().await?;
    }
    Ok(())
}
