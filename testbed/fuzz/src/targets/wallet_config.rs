//! The wallet's part of a genesis config.

use guildmint_wallet::WalletConfig;

use crate::canonical::wire;

/// It decodes or it does not.
pub fn target(bytes: &[u8]) {
    wire::<WalletConfig>(bytes);
}
