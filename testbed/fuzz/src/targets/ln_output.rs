//! Offers, contracts and announcements.

use guildmint_core::module::ServerModule;
use guildmint_ln::LnOutput;

use crate::{canonical::wire, seeds};

/// As a guardian checks them.
pub fn target(bytes: &[u8]) {
    if let Some(output) = wire::<LnOutput>(bytes) {
        let _ = seeds::ln::module().check_output(&output);
    }
}
