//! `cargo testbed demo --lightning`, as people run it.

#![allow(clippy::unwrap_used)]

use std::process::Command;

/// Scenarios 40, 41, 42, 45 and 50, and of 47 the middle of a payment.
#[test]
fn users_pay_over_lightning_and_lose_nothing_when_gateways_fail() {
    let output = Command::new(env!("CARGO_BIN_EXE_testbed"))
        .args(["demo", "--lightning"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{errors}");
    assert!(said.contains("Every figure is right."), "{said}");
}
