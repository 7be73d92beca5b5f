//! How guardians found a wallet without a dealer: each announces a key of its own.

use bitcoin::{
    secp256k1::{PublicKey, SecretKey},
    Network,
};
use guildmint_core::{
    founding::{FoundedModule, KeyShare, Place, PublicKeys},
    Amount, Tagged, Wire,
};
use serde::{Deserialize, Serialize};

use crate::{limits, server::Wallet, Block, FeeRateBounds, WalletConfig, WalletSecret};

/// All of a wallet's config that is neither a key nor the network, with the same names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = limits::MAX_CONFIG_BYTES)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct WalletTerms {
    pub finality_blocks: u32,
    pub start: Block,
    pub min_peg_in_sat: u64,
    pub fee_rate_bounds: FeeRateBounds,
    pub peg_in_fee: Amount,
    pub peg_out_fee: Amount,
    pub max_queue: u16,
    pub electrum: Vec<String>,
}

impl WalletTerms {
    /// The usual terms of a wallet whose chain begins after `start`.
    #[must_use]
    pub fn new(network: Network, start: Block) -> Self {
        let usual = WalletConfig::new(network, start, Vec::new());
        Self {
            finality_blocks: usual.finality_blocks,
            start,
            min_peg_in_sat: usual.min_peg_in_sat,
            fee_rate_bounds: usual.fee_rate_bounds,
            peg_in_fee: usual.peg_in_fee,
            peg_out_fee: usual.peg_out_fee,
            max_queue: usual.max_queue,
            electrum: usual.electrum,
        }
    }

    fn config(self, network: Network, guardians: Vec<PublicKey>) -> WalletConfig {
        WalletConfig {
            finality_blocks: self.finality_blocks,
            min_peg_in_sat: self.min_peg_in_sat,
            fee_rate_bounds: self.fee_rate_bounds,
            peg_in_fee: self.peg_in_fee,
            peg_out_fee: self.peg_out_fee,
            max_queue: self.max_queue,
            electrum: self.electrum,
            ..WalletConfig::new(network, self.start, guardians)
        }
    }
}

/// The key that a uniform seed makes.
fn secret(seed: &[u8; 32]) -> WalletSecret {
    let mut bytes = *seed;
    loop {
        bytes = Tagged::new("guildmint/wallet/guardian-key")
            .add(bytes)
            .finish();
        // All but one hash in 2^128 are keys.
        if let Ok(key) = SecretKey::from_slice(&bytes) {
            return WalletSecret::new(key);
        }
    }
}

fn read(announcement: &[u8]) -> Result<PublicKey, String> {
    match announcement.len() {
        33 => PublicKey::from_slice(announcement).map_err(|error| error.to_string()),
        length => Err(format!("a key of {length} bytes instead of 33")),
    }
}

impl FoundedModule for Wallet {
    type Terms = WalletTerms;

    fn check_terms(terms: &WalletTerms, place: Place) -> Result<(), String> {
        // Any keys do: the rest is what counts.
        let key = |number: u16| {
            let mut seed = [0; 32];
            seed[..2].copy_from_slice(&number.to_le_bytes());
            secret(&seed).public()
        };
        let keys = place.quorum.peers().map(|peer| key(peer.0)).collect();
        let config = terms.clone().config(place.network, keys);
        config.validate(place.quorum).map_err(|e| e.to_string())
    }

    fn threshold_keys(_: &WalletTerms) -> u16 {
        0
    }

    fn announce(_: &WalletTerms, seed: &[u8; 32]) -> Vec<u8> {
        secret(seed).public().serialize().to_vec()
    }

    fn check_announcement(_: &WalletTerms, announcement: &[u8]) -> Result<(), String> {
        read(announcement).map(drop)
    }

    fn config(
        place: Place,
        terms: WalletTerms,
        announcements: &[Vec<u8>],
        _: &[PublicKeys],
    ) -> Result<WalletConfig, String> {
        let keys: Result<Vec<_>, _> = announcements.iter().map(|bytes| read(bytes)).collect();
        let config = terms.config(place.network, keys?);
        match config.validate(place.quorum) {
            Ok(()) => Ok(config),
            Err(error) => Err(error.to_string()),
        }
    }

    fn secret(
        _: Place,
        _: WalletTerms,
        seed: &[u8; 32],
        _: &[KeyShare],
    ) -> Result<WalletSecret, String> {
        Ok(secret(seed))
    }
}
