//! Notes that are spent.

use guildmint_mint::MintInput;

use crate::{canonical::wire, seeds};

/// As a guardian checks them.
pub fn target(bytes: &[u8]) {
    let decoded = wire::<MintInput>(bytes).is_some();
    let checked = seeds::check_input(seeds::MINT, bytes);
    assert!(decoded || !checked);
}
