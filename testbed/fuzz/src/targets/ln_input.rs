//! Contracts to be spent, with what shows that they may be.

use guildmint_core::module::ServerModule;
use guildmint_ln::LnInput;

use crate::{canonical::wire, seeds};

/// As a guardian checks them.
pub fn target(bytes: &[u8]) {
    if let Some(input) = wire::<LnInput>(bytes) {
        if seeds::ln::module().check_input(&input).is_ok() {
            let _ = seeds::ln::module().proofs_hold(&[input]);
        }
    }
}
