//! What guardians may agree to change about the wallet (SPEC GEN-6).

use guildmint_core::{Amount, Quorum, Wire};
use serde::{Deserialize, Serialize};

use crate::{
    config::{FeeRateBounds, WalletConfig},
    limits,
};

/// The part of the wallet's config that a revision may change, with the same names. Not among it are the keys; where the chain
/// starts, since blocks are agreed on it; and finality, on which deposits were credited and by which observers go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = guildmint_core::limits::MAX_CONDITIONS_BYTES)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct WalletConditions {
    pub min_peg_in_sat: u64,
    pub fee_rate_bounds: FeeRateBounds,
    pub peg_in_fee: Amount,
    pub peg_out_fee: Amount,
    pub max_queue: u16,
    pub electrum: Vec<String>,
}

impl From<&WalletConfig> for WalletConditions {
    fn from(config: &WalletConfig) -> Self {
        Self {
            min_peg_in_sat: config.min_peg_in_sat,
            fee_rate_bounds: config.fee_rate_bounds,
            peg_in_fee: config.peg_in_fee,
            peg_out_fee: config.peg_out_fee,
            max_queue: config.max_queue,
            electrum: config.electrum.clone(),
        }
    }
}

impl WalletConfig {
    /// The config as it would be with other conditions.
    #[must_use]
    pub fn with(&self, conditions: WalletConditions) -> Self {
        Self {
            min_peg_in_sat: conditions.min_peg_in_sat,
            fee_rate_bounds: conditions.fee_rate_bounds,
            peg_in_fee: conditions.peg_in_fee,
            peg_out_fee: conditions.peg_out_fee,
            max_queue: conditions.max_queue,
            electrum: conditions.electrum,
            ..self.clone()
        }
    }

    /// Whether the federation that has this genesis config could go by other conditions.
    ///
    /// # Errors
    /// Says what is wrong with them.
    pub fn allows(&self, conditions: &WalletConditions, quorum: Quorum) -> Result<(), String> {
        let (least, founding) = (conditions.min_peg_in_sat, self.min_peg_in_sat);
        // What is below it is refused before any row is looked at.
        if least < founding {
            return Err(format!(
                "min_peg_in_sat is {least}; it may never be below the {founding} of the founding"
            ));
        }
        let long = |url: &&String| url.len() > limits::MAX_URL_BYTES;
        if let Some(url) = conditions.electrum.iter().find(long) {
            let bytes = url.len();
            return Err(format!("the URL of an Electrum server has {bytes} bytes"));
        }
        let config = self.with(conditions.clone());
        config.validate(quorum).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::{
        hashes::Hash as _,
        secp256k1::{PublicKey, SecretKey, SECP256K1},
        BlockHash, Network,
    };

    use super::*;
    use crate::Block;

    fn config() -> WalletConfig {
        let hash = BlockHash::all_zeros();
        let key = |byte| {
            let secret = SecretKey::from_slice(&[byte; 32]).unwrap();
            PublicKey::from_secret_key(SECP256K1, &secret)
        };
        let start = Block { height: 100, hash };
        WalletConfig::new(Network::Regtest, start, (1..=4).map(key).collect())
    }

    #[test]
    fn what_may_change_is_bounded_and_all_else_stays() {
        let (config, quorum) = (config(), Quorum::new(4).unwrap());
        let founding = WalletConditions::from(&config);
        assert_eq!(config.with(founding.clone()), config);
        let allows = |change: fn(&mut WalletConditions)| {
            let mut conditions = founding.clone();
            change(&mut conditions);
            config.allows(&conditions, quorum)
        };
        assert_eq!(allows(|_| {}), Ok(()));
        assert_eq!(allows(|c| c.min_peg_in_sat += 1), Ok(()));
        assert_eq!(
            allows(|c| c.peg_out_fee = Amount::from_sat(3).unwrap()),
            Ok(())
        );
        assert!(allows(|c| c.min_peg_in_sat -= 1).is_err());
        assert!(allows(|c| c.max_queue = 0).is_err());
        assert!(allows(|c| c.fee_rate_bounds.max_sat_per_kvb = 0).is_err());
        assert!(allows(|c| c.electrum = vec!["x".repeat(limits::MAX_URL_BYTES + 1)]).is_err());
        assert!(
            allows(|c| c.electrum = vec![String::new(); limits::MAX_ELECTRUM_URLS + 1]).is_err()
        );
    }
}
