//! Guardians' votes on gateways.

use guildmint_ln::{limits, Vouching};

use crate::canonical::wire;

/// One that decodes is within its limit.
pub fn target(bytes: &[u8]) {
    if let Some(vouching) = wire::<Vouching>(bytes) {
        assert!(vouching.gateways.len() <= limits::MAX_VOUCHED);
    }
}
