//! What guardians ask of the bitcoin network, which a process of its own may do.

use guildmint_wallet::Job;

use crate::canonical::wire;

/// It decodes or it does not.
pub fn target(bytes: &[u8]) {
    wire::<Job>(bytes);
}
