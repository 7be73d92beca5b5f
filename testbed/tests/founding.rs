//! Four guardians whom nobody deals keys found a federation, with a chain, and it keeps its users' money.

#![allow(clippy::unwrap_used, clippy::panic)]

#[allow(dead_code, reason = "the other stories use the rest")]
#[path = "federation/town.rs"]
mod town;

use std::fs;

use guildmint_testbed::{federation::FINALITY_BLOCKS, network::Keys};
use town::Town;

/// Blocks that bury a payment which waits to be mined.
const BURIAL: u64 = FINALITY_BLOCKS + 1;

#[test]
fn bitcoin_becomes_e_cash_in_a_federation_that_nobody_dealt() {
    let town = Town::with_keys(Keys::Founded);
    for guardian in town.guardians() {
        // The seed of the founding is gone, and what comes of it is encrypted.
        assert!(!guardian.data_dir.join("founding").exists());
        let secrets = fs::read_to_string(guardian.data_dir.join("secrets")).unwrap();
        assert!(secrets.contains("argon2id"), "{secrets}");
    }
    town.deposit(1_000_000);
    town.hand_over(1_000);
    assert_eq!(town.balances(), (999_000_000, 1_000_000));
}
