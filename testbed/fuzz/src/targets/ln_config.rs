//! The Lightning module's part of a genesis config.

use guildmint_ln::LnConfig;

use crate::{canonical::wire, seeds};

/// One that decodes is validated.
pub fn target(bytes: &[u8]) {
    if let Some(config) = wire::<LnConfig>(bytes) {
        let _ = config.validate(seeds::quorum());
    }
}
