//! A guardian that takes over everything from the others, on real sockets and databases.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::{
    fs,
    time::{Duration, Instant},
};

use async_std::task::block_on;
use common::{
    giver::{get, is_accepted, peak_kib, start, Giver},
    Dealt,
};
use futures::future::join_all;
use guildmint_core::api::StatusAnswer;
use guildmintd::Guardian;

const LIMIT: Duration = Duration::from_secs(120);

/// Epochs of one transaction, and then transactions that share epochs.
const SINGLE: u64 = 100;
const TOGETHER: u64 = 300;

/// Scenario 23.
#[test]
fn a_guardian_without_a_database_takes_over_all_and_says_how_far_it_is() {
    let dealt = Dealt::new(4);
    let giver = Giver::new(&dealt);
    let mut guardians: Vec<_> = (0..4).map(|i| start(&dealt, i)).collect();
    for serial in 0..SINGLE {
        let given = giver.give(&guardians, serial);
        assert!(is_accepted(&guardians[0], &given));
    }
    let together = SINGLE..SINGLE + TOGETHER;
    let given: Vec<_> = together
        .map(|serial| giver.give(&guardians, serial))
        .collect();
    assert!(given.iter().all(|given| is_accepted(&guardians[0], given)));

    block_on(guardians.pop().unwrap().stop()).unwrap();
    for entry in fs::read_dir(dealt.data_dir(3)).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().contains(".sqlite") {
            fs::remove_file(path).unwrap();
        }
    }
    let before_kib = peak_kib();
    let lost = start(&dealt, 3);
    let (begun, mut reports) = (Instant::now(), Vec::new());
    let goal: StatusAnswer = get(&guardians[0], "status");
    let took = loop {
        let status: StatusAnswer = get(&lost, "status");
        reports.extend(status.catching_up);
        if status.committed >= goal.committed {
            break begun.elapsed();
        }
        assert!(begun.elapsed() < LIMIT, "{status:?}");
    };
    assert!(given.iter().all(|given| is_accepted(&lost, given)));
    assert!(
        reports.iter().any(|report| report.behind > SINGLE / 2),
        "{reports:?}"
    );
    let (epochs, transactions) = (goal.committed.unwrap().next().0, SINGLE + TOGETHER);
    let grown_kib = peak_kib() - before_kib;
    // Half a second of it passes before a guardian asks at all.
    println!("{epochs} epochs with {transactions} transactions in {took:?}; memory grew by {grown_kib} KiB");
    let last = reports.iter().rfind(|report| report.done > 0);
    println!(
        "the last that it said itself: {}",
        last.map_or_else(String::new, ToString::to_string)
    );
    guardians.push(lost);
    for stopped in block_on(join_all(guardians.into_iter().map(Guardian::stop))) {
        stopped.unwrap();
    }
}
