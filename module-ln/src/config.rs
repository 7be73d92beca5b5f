//! The module's key and fees.

use guildmint_core::{Amount, PeerId, Quorum, Wire};
use guildmint_tbs::{PublicKeySet, SecretKeyShare, ShareIndex};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::limits;

/// What the federation charges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LnFees {
    /// For storing an offer. ⚠ It is what keeps strangers from filling the federation with offers.
    pub offer: Amount,
    /// For funding a contract; its offer may come with it.
    pub contract: Amount,
    /// For spending one.
    pub spend: Amount,
    /// For listing a gateway.
    pub announcement: Amount,
}

/// All of the config that is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = 256)]
#[serde(deny_unknown_fields)]
pub struct LnTerms {
    /// What the federation charges.
    pub fees: LnFees,
}

impl Default for LnTerms {
    /// Contracts cost nothing; what is stored without money in it, a satoshi.
    fn default() -> Self {
        let sat = Amount::from_sat(1).unwrap_or_default();
        Self {
            fees: LnFees {
                offer: sat,
                contract: Amount::ZERO,
                spend: Amount::ZERO,
                announcement: sat,
            },
        }
    }
}

/// The module's part of the genesis config.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = limits::MAX_CONFIG_BYTES)]
pub struct LnConfig {
    /// The key to which preimages are encrypted. ⚠ A key of its own: it signs nothing.
    pub key: PublicKeySet,
    /// What the federation charges.
    pub fees: LnFees,
}

/// A config that the Lightning module of no such federation can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// Another number of guardians can decrypt.
    #[error("preimages can be read by {threshold} guardians, not {expected}")]
    Threshold {
        /// How many the key needs.
        threshold: u16,
        /// How many the federation's rules demand.
        expected: usize,
    },
    /// Key shares that are not exactly one for each guardian.
    #[error("the key shares for preimages are not those of the federation's guardians")]
    Guardians,
}

impl LnConfig {
    /// Checks what decoding cannot: that the key is that of `quorum`.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn validate(&self, quorum: Quorum) -> Result<(), ConfigError> {
        let guardians = quorum.peers().filter_map(share_index);
        if usize::from(self.key.threshold()) != quorum.threshold() {
            return Err(ConfigError::Threshold {
                threshold: self.key.threshold(),
                expected: quorum.threshold(),
            });
        }
        match self.key.shares().keys().copied().eq(guardians) {
            true => Ok(()),
            false => Err(ConfigError::Guardians),
        }
    }
}

/// The index of a guardian's key share; `None` beyond the largest federation.
#[must_use]
pub fn share_index(peer: PeerId) -> Option<ShareIndex> {
    ShareIndex::of_guardian(peer.0).ok()
}

/// One guardian's share of the key. Erased when dropped, never shown.
#[derive(Debug, Clone, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = 64)]
pub struct LnSecret {
    /// The share.
    #[serde(with = "share")]
    pub share: SecretKeyShare,
}

/// A key share has no encoding of its own, lest one is written by accident. Writing an [`LnSecret`] is meant.
mod share {
    use serde::{de::Error as _, Deserializer, Serializer};
    use zeroize::Zeroizing;

    use super::*;

    pub fn serialize<S: Serializer>(
        share: &SecretKeyShare,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        (share.index(), &*share.to_bytes()).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<SecretKeyShare, D::Error> {
        let (index, bytes) = Deserialize::deserialize(deserializer)?;
        SecretKeyShare::from_bytes(index, &Zeroizing::new(bytes)).map_err(D::Error::custom)
    }
}
