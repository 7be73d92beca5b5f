//! The mint's part of a genesis config.

use guildmint_mint::MintConfig;

use crate::{canonical::wire, seeds};

/// One that decodes is validated.
pub fn target(bytes: &[u8]) {
    if let Some(config) = wire::<MintConfig>(bytes) {
        let _ = config.validate(seeds::quorum());
    }
}
