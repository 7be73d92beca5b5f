//! What guardians say to each other, and what the module says to this guardian.

use guildmint_core::{encoding::hex_bytes, limits, SessionId, Wire};
use guildmint_tbs::dkg::{EncryptionKey, Item};
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

/// What all guardians know beforehand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = 8 * 1024)]
pub struct KeyGenerationConfig {
    /// The session of the federation to be.
    pub session: SessionId,
    /// How many keys are made.
    pub keys: u16,
    /// To whom shares are encrypted, in the guardians' order.
    pub guardians: Vec<EncryptionKey>,
}

/// The seed of this guardian. Wiped from memory when dropped; never printed.
#[derive(Clone, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = 64)]
pub struct KeyGenerationSecret {
    pub(crate) seed: [u8; 32],
}

impl Drop for KeyGenerationSecret {
    fn drop(&mut self) {
        self.seed.zeroize();
    }
}

impl std::fmt::Debug for KeyGenerationSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyGenerationSecret(..)")
    }
}

/// An item of the ceremony.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = limits::MAX_VOTE_BYTES)]
pub struct KeyGenerationVote(pub Item);

/// What the outside world tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = 64)]
pub enum KeyGenerationNews {
    /// The operator wants to wait for no more dealings.
    Close,
    /// This guardian has made the federation's config with the keys; its hash.
    Confirm([u8; 32]),
}

/// What the outside world is asked for. May be asked again.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = limits::MAX_CONFIG_BYTES)]
pub enum KeyGenerationJob {
    /// Make the federation's config with these public keys, and tell its hash.
    MakeConfig {
        /// The keys in their order, as `guildmint_tbs::PublicKeySet` is encoded.
        keys: Vec<EncodedKey>,
    },
    /// All have confirmed the same config: save it, with these shares of the keys. ⚠ Secret, and nowhere in the database.
    Finish {
        /// The keys in their order.
        keys: Vec<EncodedKey>,
        /// This guardian's shares of them.
        shares: Vec<[u8; 32]>,
    },
    /// There will be no keys.
    GiveUp {
        /// Why.
        failure: String,
    },
}

/// The public side of a threshold key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncodedKey(#[serde(with = "hex_bytes")] pub Vec<u8>);

impl Drop for KeyGenerationJob {
    fn drop(&mut self) {
        if let Self::Finish { shares, .. } = self {
            shares.zeroize();
        }
    }
}

impl std::fmt::Debug for KeyGenerationJob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::MakeConfig { .. } => "MakeConfig",
            Self::Finish { .. } => "Finish",
            Self::GiveUp { .. } => "GiveUp",
        })
    }
}

/// What does not exist: the module has no inputs and outputs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = 1)]
pub enum Never {}
