//! Payments on the chain.

use guildmint_wallet::WalletOutput;

use crate::{canonical::wire, seeds};

/// As a guardian checks them.
pub fn target(bytes: &[u8]) {
    let decoded = wire::<WalletOutput>(bytes);
    let checked = seeds::check_output(seeds::WALLET, bytes);
    assert!(!checked || decoded.is_some_and(|peg_out| peg_out.total().is_ok()));
}
