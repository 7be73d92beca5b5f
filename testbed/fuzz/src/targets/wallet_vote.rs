//! What guardians tell each other about the bitcoin network.

use guildmint_wallet::Vote;

use crate::{canonical::wire, seeds};

/// Counted as the vote of one guardian, if it decodes.
pub fn target(bytes: &[u8]) {
    let decoded = wire::<Vote>(bytes).is_some();
    assert_eq!(seeds::count(bytes), decoded);
}
