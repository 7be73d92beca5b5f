//! What guardians see of the bitcoin network.

use guildmint_wallet::News;

use crate::{canonical::wire, seeds};

/// A guardian that is told it says something that others can read, or nothing.
pub fn target(bytes: &[u8]) {
    let decoded = wire::<News>(bytes).is_some();
    assert_eq!(seeds::hear(bytes), decoded);
}
