//! Blinded messages to be signed.

use guildmint_mint::MintOutput;

use crate::{canonical::wire, seeds};

/// As a guardian checks them.
pub fn target(bytes: &[u8]) {
    let decoded = wire::<MintOutput>(bytes).is_some();
    let checked = seeds::check_output(seeds::MINT, bytes);
    assert!(decoded || !checked);
}
