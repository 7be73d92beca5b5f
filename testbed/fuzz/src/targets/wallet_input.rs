//! Proofs of deposits.

use guildmint_wallet::WalletInput;

use crate::{canonical::wire, seeds};

/// As a guardian checks them.
pub fn target(bytes: &[u8]) {
    let decoded = wire::<WalletInput>(bytes);
    let checked = seeds::check_input(seeds::WALLET, bytes);
    assert!(!checked || decoded.is_some_and(|proof| proof.claim().is_ok()));
}
