//! `cargo testbed soak`, as the suite has time for it: a federation half on SQLite and half on PostgreSQL, under load, of which
//! guardians and the database server are killed.

#![allow(clippy::unwrap_used)]

use std::process::Command;

/// Scenarios 21, 22 and 32.
#[test]
fn twenty_kills_under_load_lose_nothing() {
    let output = Command::new(env!("CARGO_BIN_EXE_testbed"))
        .args([
            "soak",
            "--kills",
            "20",
            "--database",
            "mixed",
            "--seed",
            "5",
        ])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{errors}");
    assert!(said.contains("Nothing was lost."), "{said}");
    let figure = |what: &str| {
        let line = said.lines().find(|line| line.contains(what)).unwrap();
        let words = line.split_whitespace();
        words.last().unwrap().parse::<u64>().unwrap()
    };
    assert_eq!(
        figure("guardians killed") + figure("database servers killed"),
        20
    );
    // The seed was chosen for it.
    assert!(figure("of these, all at once") > 0, "{said}");
    assert!(figure("database servers killed") > 0, "{said}");
    assert!(figure("payments between users") > 0, "{said}");
}
