//! The module's part of the genesis config, and a guardian's secret.

use std::{collections::BTreeSet, fmt};

use bitcoin::{
    secp256k1::{PublicKey, SecretKey},
    BlockHash, Network,
};
use guildmint_core::{Amount, DecodeError, Quorum, Wire};
use secp256k1::SECP256K1;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    descriptor::{DescriptorError, FederationDescriptor},
    limits,
};

/// A block of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// How many blocks came before it.
    pub height: u32,
    /// Its hash.
    pub hash: BlockHash,
}

/// What fee rates the federation pays, whatever its guardians say, in satoshi per 1000 virtual bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeeRateBounds {
    /// Never less: nodes relay nothing below 1000.
    pub min_sat_per_kvb: u64,
    /// Never more.
    pub max_sat_per_kvb: u64,
}

impl FeeRateBounds {
    /// The nearest rate that is within the bounds.
    #[must_use]
    pub fn clamp(&self, sat_per_kvb: u64) -> u64 {
        sat_per_kvb
            .max(self.min_sat_per_kvb)
            .min(self.max_sat_per_kvb)
    }
}

/// Who may spend a coin that has not moved for long (SPEC WAL-1): a way out if too many guardians lose their keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryBranch {
    /// After so many blocks. Coins are moved by the federation before half of that is over.
    pub after_blocks: u16,
    /// How many of the keys must sign.
    pub threshold: u8,
    /// The keys; of no guardian.
    pub keys: Vec<PublicKey>,
}

impl RecoveryBranch {
    /// The age from which on coins are moved, and no deposit is credited any more.
    #[must_use]
    pub fn half(&self) -> u32 {
        u32::from(self.after_blocks / 2)
    }
}

/// The wallet's parameters and public keys; part of the genesis config.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WalletConfig {
    /// The bitcoin network.
    pub network: Network,
    /// The guardians' keys, in the guardians' order.
    pub guardians: Vec<PublicKey>,
    /// How many blocks must follow a block before guardians vote for it (SPEC WAL-5).
    pub finality_blocks: u32,
    /// The last block before the agreed chain. Deposits in it or before it are not credited.
    pub start: Block,
    /// The least deposit, in satoshi: at least what spending it costs.
    pub min_peg_in_sat: u64,
    /// What fee rates are paid.
    pub fee_rate_bounds: FeeRateBounds,
    /// The module's fee for a deposit.
    pub peg_in_fee: Amount,
    /// The module's fee for a peg-out, besides what miners are paid.
    pub peg_out_fee: Amount,
    /// Peg-outs that may wait at once.
    pub max_queue: u16,
    /// URLs of Electrum servers that clients may ask, such as `ssl://electrum.example.org:50002`.
    pub electrum: Vec<String>,
    /// A second way to spend, after a time; none by default.
    pub recovery: Option<RecoveryBranch>,
}

/// All but the last field: layout 1, which federations without a recovery branch keep for ever, since their ids are hashes of it.
#[derive(Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = limits::MAX_CONFIG_BYTES)]
struct WithoutRecovery {
    network: Network,
    guardians: Vec<PublicKey>,
    finality_blocks: u32,
    start: Block,
    min_peg_in_sat: u64,
    fee_rate_bounds: FeeRateBounds,
    peg_in_fee: Amount,
    peg_out_fee: Amount,
    max_queue: u16,
    electrum: Vec<String>,
}

/// Layout 2.
#[derive(Serialize, Deserialize, Wire)]
#[wire(version = 2, max_bytes = limits::MAX_CONFIG_BYTES)]
struct WithRecovery {
    rest: WithoutRecovery,
    recovery: RecoveryBranch,
}

impl Wire for WalletConfig {
    const VERSION: u8 = WithRecovery::VERSION;
    const MAX_BYTES: usize = limits::MAX_CONFIG_BYTES;

    fn encode(&self) -> Vec<u8> {
        let rest = WithoutRecovery {
            network: self.network,
            guardians: self.guardians.clone(),
            finality_blocks: self.finality_blocks,
            start: self.start,
            min_peg_in_sat: self.min_peg_in_sat,
            fee_rate_bounds: self.fee_rate_bounds,
            peg_in_fee: self.peg_in_fee,
            peg_out_fee: self.peg_out_fee,
            max_queue: self.max_queue,
            electrum: self.electrum.clone(),
        };
        match self.recovery.clone() {
            None => rest.encode(),
            Some(recovery) => WithRecovery { rest, recovery }.encode(),
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (rest, recovery) = match bytes.first() {
            Some(&WithoutRecovery::VERSION) => (WithoutRecovery::decode(bytes)?, None),
            _ => {
                let WithRecovery { rest, recovery } = WithRecovery::decode(bytes)?;
                (rest, Some(recovery))
            }
        };
        Ok(Self {
            network: rest.network,
            guardians: rest.guardians,
            finality_blocks: rest.finality_blocks,
            start: rest.start,
            min_peg_in_sat: rest.min_peg_in_sat,
            fee_rate_bounds: rest.fee_rate_bounds,
            peg_in_fee: rest.peg_in_fee,
            peg_out_fee: rest.peg_out_fee,
            max_queue: rest.max_queue,
            electrum: rest.electrum,
            recovery,
        })
    }
}

/// A config that no federation can have.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WalletConfigError {
    /// The keys make no descriptor.
    #[error(transparent)]
    Descriptor(#[from] DescriptorError),
    /// One key in two places.
    #[error("the key {0} is named twice")]
    SameKey(PublicKey),
    /// A parameter out of its range.
    #[error("{parameter} is {value}, which is outside {min} to {max}")]
    OutOfRange {
        /// Its name.
        parameter: &'static str,
        /// What it is.
        value: u64,
        /// The least it may be.
        min: u64,
        /// The most it may be.
        max: u64,
    },
}

/// Nodes relay nothing that pays less.
const MIN_RELAY_SAT_PER_KVB: u64 = 1_000;
/// A bitcoin for a large transaction: surely a mistake.
const MAX_SANE_SAT_PER_KVB: u64 = 10_000_000;
/// Finality beyond a week helps nobody.
const MAX_FINALITY_BLOCKS: u64 = 1_008;
/// A month: coins are moved when half of that is over, and what pays for it must be found in time.
const MIN_RECOVERY_BLOCKS: u64 = 4_320;

impl WalletConfig {
    /// The usual parameters. On regtest a block is final as soon as one follows it; elsewhere, after ten.
    #[must_use]
    pub fn new(network: Network, start: Block, guardians: Vec<PublicKey>) -> Self {
        Self {
            network,
            guardians,
            finality_blocks: if network == Network::Regtest { 1 } else { 10 },
            start,
            min_peg_in_sat: 2_000,
            fee_rate_bounds: FeeRateBounds {
                min_sat_per_kvb: MIN_RELAY_SAT_PER_KVB,
                max_sat_per_kvb: 1_000_000,
            },
            peg_in_fee: Amount::ZERO,
            peg_out_fee: Amount::ZERO,
            max_queue: 256,
            electrum: Vec::new(),
            recovery: None,
        }
    }

    /// The federation's descriptor.
    ///
    /// # Errors
    /// If the keys are not as many as the guardians.
    pub fn descriptor(&self, quorum: Quorum) -> Result<FederationDescriptor, DescriptorError> {
        FederationDescriptor::new(&self.guardians, quorum, self.recovery.as_ref())
    }

    /// Checks what decoding cannot.
    ///
    /// # Errors
    /// Names the first rule that is broken.
    pub fn validate(&self, quorum: Quorum) -> Result<(), WalletConfigError> {
        let descriptor = self.descriptor(quorum)?;
        let mut keys = BTreeSet::new();
        let recovery = self.recovery.iter().flat_map(|branch| &branch.keys);
        let mut all = self.guardians.iter().chain(recovery);
        if let Some(key) = all.find(|key| !keys.insert(**key)) {
            return Err(WalletConfigError::SameKey(*key));
        }
        let FeeRateBounds {
            min_sat_per_kvb: low,
            max_sat_per_kvb: high,
        } = self.fee_rate_bounds;
        let input_vbytes = descriptor.input_weight().to_vbytes_ceil();
        let spending_sat = input_vbytes.saturating_mul(low).div_ceil(1000);
        let most = MAX_SANE_SAT_PER_KVB;
        let queue = u64::from(limits::MAX_QUEUE);
        let urls = limits::MAX_ELECTRUM_URLS as u64;
        let ranges = [
            ("min_sat_per_kvb", low, MIN_RELAY_SAT_PER_KVB, most),
            ("max_sat_per_kvb", high, low, most),
            (
                "finality_blocks",
                self.finality_blocks.into(),
                1,
                MAX_FINALITY_BLOCKS,
            ),
            (
                "min_peg_in_sat",
                self.min_peg_in_sat,
                spending_sat.max(330),
                100_000_000,
            ),
            ("max_queue", self.max_queue.into(), 1, queue),
            ("electrum URLs", self.electrum.len() as u64, 0, urls),
        ];
        let recovery = self.recovery.iter().flat_map(|branch| {
            let shortest = if self.network == Network::Regtest {
                2
            } else {
                MIN_RECOVERY_BLOCKS
            };
            let keys = branch.keys.len() as u64;
            [
                ("recovery keys", keys, 1, limits::MAX_RECOVERY_KEYS as u64),
                ("recovery threshold", branch.threshold.into(), 1, keys),
                (
                    "recovery blocks",
                    branch.after_blocks.into(),
                    shortest,
                    u16::MAX.into(),
                ),
            ]
        });
        for (parameter, value, min, max) in ranges.into_iter().chain(recovery) {
            if !(min..=max).contains(&value) {
                return Err(WalletConfigError::OutOfRange {
                    parameter,
                    value,
                    min,
                    max,
                });
            }
        }
        Ok(())
    }
}

/// A guardian's secret key. Wiped from memory when dropped; never printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = 64)]
pub struct WalletSecret(SecretKey);

impl WalletSecret {
    /// Wraps a secret key.
    #[must_use]
    pub fn new(key: SecretKey) -> Self {
        Self(key)
    }

    /// The secret key itself.
    #[must_use]
    pub fn key(&self) -> &SecretKey {
        &self.0
    }

    /// The public key, for the config.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        self.0.public_key(SECP256K1)
    }
}

impl Drop for WalletSecret {
    fn drop(&mut self) {
        self.0.non_secure_erase();
    }
}

impl fmt::Debug for WalletSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WalletSecret(of {})", self.public())
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::hashes::Hash;

    use super::*;

    fn secret(byte: u8) -> WalletSecret {
        WalletSecret::new(SecretKey::from_slice(&[byte; 32]).unwrap())
    }

    fn config() -> WalletConfig {
        let start = Block {
            height: 100,
            hash: BlockHash::all_zeros(),
        };
        let keys = (1..=4).map(|byte| secret(byte).public()).collect();
        WalletConfig::new(Network::Regtest, start, keys)
    }

    #[test]
    fn round_trip() {
        assert_eq!(WalletConfig::decode(&config().encode()), Ok(config()));
        assert_eq!(config().encode()[0], 1);
        let branch = RecoveryBranch {
            after_blocks: 1_000,
            threshold: 1,
            keys: vec![secret(9).public()],
        };
        let with_branch = WalletConfig {
            recovery: Some(branch),
            ..config()
        };
        let encoded = with_branch.encode();
        assert_eq!(encoded[0], 2);
        assert_eq!(WalletConfig::decode(&encoded), Ok(with_branch));
        assert_eq!(WalletSecret::decode(&secret(5).encode()), Ok(secret(5)));
    }

    #[test]
    fn the_secret_is_never_printed() {
        assert!(!format!("{:?}", secret(0xab)).contains("abababab"));
    }

    #[test]
    fn the_usual_parameters_are_valid_and_mistakes_are_named() {
        let quorum = Quorum::new(4).unwrap();
        assert_eq!(config().validate(quorum), Ok(()));
        let broken = |change: fn(&mut WalletConfig)| {
            let mut config = config();
            change(&mut config);
            match config.validate(quorum) {
                Err(WalletConfigError::OutOfRange { parameter, .. }) => parameter,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(
            broken(|c| c.fee_rate_bounds.min_sat_per_kvb = 999),
            "min_sat_per_kvb"
        );
        assert_eq!(
            broken(|c| c.fee_rate_bounds.max_sat_per_kvb = 999),
            "max_sat_per_kvb"
        );
        assert_eq!(broken(|c| c.min_peg_in_sat = 100), "min_peg_in_sat");
        assert_eq!(broken(|c| c.finality_blocks = 0), "finality_blocks");
        assert_eq!(broken(|c| c.max_queue = 0), "max_queue");
        let mut twice = config();
        twice.guardians[3] = twice.guardians[0];
        assert_eq!(
            twice.validate(quorum),
            Err(WalletConfigError::SameKey(twice.guardians[0]))
        );
    }
}
