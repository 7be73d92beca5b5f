//! Signed contributions.

use guildmint_engine::Payload;

use crate::{canonical::wire, seeds};

/// One that decodes is verified.
pub fn target(bytes: &[u8]) {
    if let Some(payload) = wire::<Payload>(bytes) {
        let _ = payload.verify(&seeds::genesis());
        let _ = payload.hash();
    }
}
