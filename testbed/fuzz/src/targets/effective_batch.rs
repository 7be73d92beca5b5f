//! The history of an epoch, as a guardian that catches up gets it.

use guildmint_engine::EffectiveBatch;

use crate::canonical::wire;

/// One that decodes has a hash.
pub fn target(bytes: &[u8]) {
    if let Some(batch) = wire::<EffectiveBatch>(bytes) {
        let _ = batch.hash();
        let _ = batch.has_effect();
    }
}
