//! The keys of a whole federation at once. For tests: whoever runs this could spend alone.

use bitcoin::{secp256k1::SecretKey, Network};
use guildmint_core::Quorum;
use rand_core::{CryptoRng, RngCore};

use crate::config::{Block, WalletConfig, WalletSecret};

/// A config with the usual parameters, and each guardian's secret in the guardians' order.
pub fn deal(
    network: Network,
    start: Block,
    quorum: Quorum,
    rng: &mut (impl RngCore + CryptoRng),
) -> (WalletConfig, Vec<WalletSecret>) {
    let secrets: Vec<WalletSecret> = quorum
        .peers()
        .map(|_| WalletSecret::new(secret(rng)))
        .collect();
    let keys = secrets.iter().map(WalletSecret::public).collect();
    (WalletConfig::new(network, start, keys), secrets)
}

fn secret(rng: &mut impl RngCore) -> SecretKey {
    loop {
        let mut bytes = [0; 32];
        rng.fill_bytes(&mut bytes);
        // All but one in 2^128 are keys.
        if let Ok(key) = SecretKey::from_slice(&bytes) {
            return key;
        }
    }
}
