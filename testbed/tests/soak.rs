//! `cargo testbed soak`, as the suite has time for it: a federation half on SQLite and half on PostgreSQL, under load, of which
//! guardians and the database server are killed.

#![allow(clippy::unwrap_used)]

use std::process::Command;

/// What a soak printed when it had ended well.
struct Said(String);

impl Said {
    fn of(arguments: &[&str]) -> Self {
        let output = Command::new(env!("CARGO_BIN_EXE_testbed"))
            .arg("soak")
            .args(arguments)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}{errors}");
        assert!(said.contains("Nothing was lost."), "{said}");
        Self(said)
    }

    fn figure(&self, what: &str) -> u64 {
        let line = self.0.lines().find(|line| line.contains(what)).unwrap();
        line.split_whitespace().last().unwrap().parse().unwrap()
    }
}

/// Scenarios 21, 22 and 32.
#[test]
fn twenty_kills_under_load_lose_nothing() {
    let said = Said::of(&["--kills", "20", "--database", "mixed", "--seed", "5"]);
    let killed = said.figure("guardians killed") + said.figure("database servers killed");
    assert_eq!(killed, 20);
    // The seed was chosen for it.
    assert!(said.figure("of these, all at once") > 0, "{}", said.0);
    assert!(said.figure("database servers killed") > 0, "{}", said.0);
    assert!(said.figure("payments between users") > 0, "{}", said.0);
}

/// Scenario 47: with Electrum on the other side, and between two gateways.
#[test]
fn twenty_kills_under_payments_over_lightning_lose_nothing() {
    let said = Said::of(&[
        "--lightning",
        "--kills",
        "20",
        "--database",
        "sqlite",
        "--seed",
        "5",
    ]);
    let killed = said.figure("guardians killed") + said.figure("gateways killed");
    assert_eq!(killed, 20);
    // The seed was chosen for it.
    assert!(said.figure("guardians killed") > 0, "{}", said.0);
    assert!(said.figure("gateways killed") > 5, "{}", said.0);
    assert!(said.figure("payments that users made") > 0, "{}", said.0);
    assert!(said.figure("payments that users got") > 0, "{}", said.0);
}
