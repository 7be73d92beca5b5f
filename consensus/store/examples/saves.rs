//! How many saves of ten small rows a database takes in a second, one after the other: `cargo run --example saves -- DIRECTORY`, or
//! `postgres://…` instead of the directory.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use guildmint_core::ledger::{Changes, Key};
use guildmint_store::{PostgresStore, SqliteStore, Store};

fn main() {
    let place = std::env::args().nth(1).unwrap_or_else(|| ".".to_owned());
    async_std::task::block_on(async {
        let store: Box<dyn Store> = match place.parse() {
            Ok(url) => Box::new(PostgresStore::open(".", &url).await.unwrap()),
            Err(_) => Box::new(SqliteStore::open(place).await.unwrap()),
        };
        let mut slowest = Duration::ZERO;
        let begin = Instant::now();
        const SAVES: u32 = 2_000;
        for number in 0..SAVES {
            let one = Instant::now();
            store.save(rows(number)).await.unwrap();
            slowest = slowest.max(one.elapsed());
        }
        let mean = begin.elapsed() / SAVES;
        let each_second = 1.0 / mean.as_secs_f64();
        println!("{each_second:.0} saves a second, {mean:?} each, the slowest {slowest:?}");
        store.close().await.unwrap();
    });
}

/// Frames of an epoch's log: written at increasing keys, the ones of an earlier epoch deleted.
fn rows(number: u32) -> Changes {
    let key =
        |number: u32, row: u8| Key([b"slc\xff\x01", &number.to_be_bytes()[..], &[row]].concat());
    let written = (0..10).map(|row| (key(number, row), Some(vec![row; 200])));
    let deleted = (0..10).filter_map(|row| Some((key(number.checked_sub(100)?, row), None)));
    written.chain(deleted).collect()
}
