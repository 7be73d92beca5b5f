//! Proof of what an epoch agreed on, for those who were not there (SPEC EPO-3).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    config::GenesisConfig,
    encoding::Wire,
    hash::{BatchHash, Digest, SessionId, Tagged},
    identity::{IdentityKey, IdentitySignature, WrongSignature},
    Epoch, PeerId,
};

/// What guardians sign after each epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EpochResult {
    /// The epoch.
    pub epoch: Epoch,
    /// The state before it.
    pub previous: Digest,
    /// The effective batch that led from there to `digest`.
    pub batch: BatchHash,
    /// The state after it.
    pub digest: Digest,
}

impl EpochResult {
    /// The hash that is signed.
    #[must_use]
    pub fn hash(&self, session: SessionId) -> [u8; 32] {
        Tagged::new("guildmint/epoch")
            .add(session)
            .add(self.epoch.0.to_le_bytes())
            .add(self.previous)
            .add(self.batch)
            .add(self.digest)
            .finish()
    }

    /// Signs the result as a guardian.
    #[must_use]
    pub fn sign(&self, session: SessionId, key: &IdentityKey) -> IdentitySignature {
        key.sign(&self.hash(session))
    }
}

/// An epoch's result with the signatures of guardians. t of them are the public certificate; f + 1 suffice for a guardian
/// that catches up, since one of them is honest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = 4096)]
pub struct Certificate {
    /// What is certified.
    pub result: EpochResult,
    /// By whom.
    pub signatures: BTreeMap<PeerId, IdentitySignature>,
}

/// Why a certificate proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CertificateError {
    /// Fewer signatures than needed.
    #[error("{have} signatures where {need} are needed")]
    TooFew {
        /// How many there are.
        have: usize,
        /// How many are needed.
        need: usize,
    },
    /// A signature by nobody in the federation.
    #[error("{0} is not in the federation")]
    Stranger(PeerId),
    /// A signature that its guardian did not make.
    #[error(transparent)]
    Signature(#[from] WrongSignature),
}

impl Certificate {
    /// Checks that at least `need` guardians signed the result, and no signature is wrong.
    ///
    /// # Errors
    /// Says why it proves nothing.
    pub fn verify(&self, genesis: &GenesisConfig, need: usize) -> Result<(), CertificateError> {
        if self.signatures.len() < need {
            return Err(CertificateError::TooFew {
                have: self.signatures.len(),
                need,
            });
        }
        let hash = self.result.hash(genesis.session);
        for (peer, signature) in &self.signatures {
            let identity = genesis
                .identity(*peer)
                .ok_or(CertificateError::Stranger(*peer))?;
            identity.verify(&hash, signature)?;
        }
        Ok(())
    }
}
