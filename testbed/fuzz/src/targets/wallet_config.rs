//! The wallet's part of a genesis config.

use guildmint_wallet::WalletConfig;

use crate::canonical::wire;

/// It decodes and is judged, or it does not.
pub fn target(bytes: &[u8]) {
    if let Some(config) = wire::<WalletConfig>(bytes) {
        let _ = config.validate(crate::seeds::quorum());
    }
}
