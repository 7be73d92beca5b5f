//! The mint's keys and fees.

use std::collections::{BTreeMap, BTreeSet};

use guildmint_core::{Amount, PeerId, Quorum, Wire};
use guildmint_tbs::{PublicKeySet, SecretKeyShare, ShareIndex};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::Denomination;

/// The mint's part of the genesis config: a threshold key for each denomination, and what it charges.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = 128 * 1024)]
pub struct MintConfig {
    /// The keys. A note's value is the key that signed it, so there are no notes of other denominations.
    pub keys: BTreeMap<Denomination, PublicKeySet>,
    /// What redeeming one note costs.
    pub input_fee: Amount,
    /// What issuing one note costs.
    pub output_fee: Amount,
}

/// A config that no mint of the federation can have.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// No denomination at all.
    #[error("the mint has no denomination")]
    Empty,
    /// A key that another number of guardians can use.
    #[error("notes of {denomination} need {threshold} guardians, not {expected}")]
    Threshold {
        /// The denomination.
        denomination: Denomination,
        /// How many guardians the key needs.
        threshold: u16,
        /// How many the federation's rules demand.
        expected: usize,
    },
    /// Key shares that are not exactly one for each guardian.
    #[error("the key shares of notes of {0} are not those of the federation's guardians")]
    Guardians(Denomination),
    /// Two denominations with one key: a cheap note would also be a dear one.
    #[error("notes of {0} have the key of a smaller denomination")]
    SameKey(Denomination),
}

impl MintConfig {
    /// Checks what decoding cannot: that the keys are those of `quorum`, and all different.
    ///
    /// # Errors
    /// Names the first denomination that is wrong.
    pub fn validate(&self, quorum: Quorum) -> Result<(), ConfigError> {
        if self.keys.is_empty() {
            return Err(ConfigError::Empty);
        }
        let guardians: Vec<ShareIndex> = quorum.peers().filter_map(share_index).collect();
        let mut seen = BTreeSet::new();
        for (denomination, keys) in &self.keys {
            if usize::from(keys.threshold()) != quorum.threshold() {
                return Err(ConfigError::Threshold {
                    denomination: *denomination,
                    threshold: keys.threshold(),
                    expected: quorum.threshold(),
                });
            }
            if !keys.shares().keys().eq(&guardians) {
                return Err(ConfigError::Guardians(*denomination));
            }
            if !seen.insert(keys.aggregate().to_bytes()) {
                return Err(ConfigError::SameKey(*denomination));
            }
        }
        Ok(())
    }
}

/// The index of a guardian's key shares; `None` beyond the largest federation.
pub(crate) fn share_index(peer: PeerId) -> Option<ShareIndex> {
    ShareIndex::of_guardian(peer.0).ok()
}

/// One guardian's share of each denomination's key. Erased when dropped, never shown.
#[derive(Debug, Clone, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = 2048)]
pub struct MintSecret {
    /// The shares.
    #[serde(with = "shares")]
    pub shares: BTreeMap<Denomination, SecretKeyShare>,
}

/// Key shares have no encoding of their own, lest one is written by accident. Writing a [`MintSecret`] is meant.
mod shares {
    use serde::{de::Error as _, Deserializer, Serializer};
    use zeroize::Zeroizing;

    use super::*;

    struct Stored<'a>(&'a SecretKeyShare);

    impl Serialize for Stored<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            (self.0.index(), &*self.0.to_bytes()).serialize(serializer)
        }
    }

    struct Loaded(SecretKeyShare);

    impl<'de> Deserialize<'de> for Loaded {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let (index, bytes) = Deserialize::deserialize(deserializer)?;
            SecretKeyShare::from_bytes(index, &Zeroizing::new(bytes))
                .map(Self)
                .map_err(D::Error::custom)
        }
    }

    pub fn serialize<S: Serializer>(
        shares: &BTreeMap<Denomination, SecretKeyShare>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(shares.iter().map(|(key, share)| (key, Stored(share))))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<Denomination, SecretKeyShare>, D::Error> {
        let shares = BTreeMap::<Denomination, Loaded>::deserialize(deserializer)?;
        Ok(shares
            .into_iter()
            .map(|(key, share)| (key, share.0))
            .collect())
    }
}
