//! Genesis configs, which wallets get from a stranger.

use guildmint_core::GenesisConfig;

use crate::canonical::wire;

/// One that decodes is validated and hashed.
pub fn target(bytes: &[u8]) {
    if let Some(genesis) = wire::<GenesisConfig>(bytes) {
        let _ = genesis.validate();
        let _ = genesis.id();
    }
}
