//! What may change about a federation: revisions of its config, numbered, each naming the one before it, and signed by t
//! guardians with the keys of the genesis config (SPEC GEN-6).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    config::GenesisConfig,
    encoding::{hex_bytes, Wire},
    hash::{RevisionHash, SessionId, Tagged},
    identity::{IdentityKey, IdentitySignature, WrongSignature},
    limits::{
        MAX_FEDERATION_NAME_BYTES, MAX_GUARDIAN_NAME_BYTES, MAX_REVISIONS, MAX_REVISION_BYTES,
    },
    ModuleId, PeerId,
};

/// All that may change about a federation, as it is from one revision to the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Values {
    /// What the federation calls itself. Hostile text.
    pub name: String,
    /// What each guardian calls itself, in their order. Hostile text.
    pub guardians: Vec<String>,
    /// The conditions of each module that has any.
    pub conditions: BTreeMap<ModuleId, Conditions>,
}

/// A module's conditions, the part of its config that may change, in its own encoding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conditions(#[serde(with = "hex_bytes")] pub Vec<u8>);

/// A revision of the config: not a difference, but all values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = MAX_REVISION_BYTES)]
pub struct Revision {
    /// Counted from 1; what the federation was founded with is 0.
    pub number: u32,
    /// The hash of the revision before; for the first, the federation's id.
    pub previous: RevisionHash,
    /// What counts from here on.
    pub values: Values,
}

impl Revision {
    /// Its name, which binds all revisions before it and the federation.
    #[must_use]
    pub fn hash(&self) -> RevisionHash {
        let hash = Tagged::new("guildmint/revision").field(self.encode());
        RevisionHash(hash.finish())
    }

    /// Signs what guardians have agreed on. ⚠ Never to be used on a mere proposal: of two revisions with one number an honest
    /// guardian signs one.
    #[must_use]
    pub fn sign(&self, session: SessionId, key: &IdentityKey) -> IdentitySignature {
        key.sign(&signed_hash(session, self.hash()))
    }

    /// Checks that a guardian signed it.
    ///
    /// # Errors
    /// If it did not, or is none.
    pub fn check_signature(
        &self,
        genesis: &GenesisConfig,
        peer: PeerId,
        signature: &IdentitySignature,
    ) -> Result<(), RevisionError> {
        let identity = genesis
            .identity(peer)
            .ok_or(RevisionError::Stranger(peer))?;
        Ok(identity.verify(&signed_hash(genesis.session, self.hash()), signature)?)
    }

    /// Checks that it follows the latest, and all of it but the modules' own part.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn check(&self, genesis: &GenesisConfig, latest: Latest) -> Result<(), RevisionError> {
        if self.number > MAX_REVISIONS || self.number.checked_sub(1) != Some(latest.number) {
            return Err(RevisionError::Number {
                found: self.number,
                latest: latest.number,
            });
        }
        if self.previous != latest.hash {
            return Err(RevisionError::Previous(self.number));
        }
        self.values.check(genesis)?;
        match self.encode().len() {
            bytes if bytes > MAX_REVISION_BYTES => Err(RevisionError::TooLarge(bytes)),
            _ => Ok(()),
        }
    }
}

impl Values {
    fn check(&self, genesis: &GenesisConfig) -> Result<(), RevisionError> {
        let (names, guardians) = (self.guardians.len(), genesis.guardians.len());
        if names != guardians {
            return Err(RevisionError::Guardians { names, guardians });
        }
        let limits = std::iter::repeat(MAX_GUARDIAN_NAME_BYTES);
        let all = self.guardians.iter().zip(limits);
        for (name, most) in all.chain([(&self.name, MAX_FEDERATION_NAME_BYTES)]) {
            if !(1..=most).contains(&name.len()) {
                let bytes = name.len();
                return Err(RevisionError::Name { bytes, most });
            }
        }
        let strange = |module: &&ModuleId| !genesis.modules.contains_key(module);
        match self.conditions.keys().find(strange) {
            Some(module) => Err(RevisionError::Module(*module)),
            None => Ok(()),
        }
    }
}

fn signed_hash(session: SessionId, revision: RevisionHash) -> [u8; 32] {
    Tagged::new("guildmint/revision-signature")
        .add(session)
        .add(revision)
        .finish()
}

/// How far a chain of revisions goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Latest {
    /// The number of the last; 0 if there is none.
    pub number: u32,
    /// Its hash; that of the genesis config if there is none.
    pub hash: RevisionHash,
}

impl Latest {
    /// No revision yet.
    #[must_use]
    pub fn founding(genesis: &GenesisConfig) -> Self {
        Self {
            number: 0,
            hash: RevisionHash(genesis.id().0),
        }
    }

    /// After a revision.
    #[must_use]
    pub fn of(revision: &Revision) -> Self {
        Self {
            number: revision.number,
            hash: revision.hash(),
        }
    }
}

/// A revision with the signatures of guardians: proof that it was agreed, for anybody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = MAX_REVISION_BYTES + 4096)]
pub struct SignedRevision {
    /// The revision.
    pub revision: Revision,
    /// Signatures on it.
    pub signatures: BTreeMap<PeerId, IdentitySignature>,
}

impl SignedRevision {
    /// Checks that it is the one after `latest`, signed by t guardians and with no wrong signature. Whoever has verified all
    /// before it knows then that no other has its number: of t guardians f + 1 are honest, and sign one alone.
    ///
    /// # Errors
    /// Says why it proves nothing.
    pub fn verify(&self, genesis: &GenesisConfig, latest: Latest) -> Result<Latest, RevisionError> {
        self.revision.check(genesis, latest)?;
        let need = genesis.quorum().map_or(usize::MAX, |q| q.threshold());
        let have = self.signatures.len();
        if have < need {
            return Err(RevisionError::TooFew { have, need });
        }
        for (peer, signature) in &self.signatures {
            self.revision.check_signature(genesis, *peer, signature)?;
        }
        Ok(Latest::of(&self.revision))
    }
}

/// Why a revision counts for nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RevisionError {
    /// Not the next one, or beyond the last that there may be.
    #[error("it has the number {found}; the latest is {latest}, and {MAX_REVISIONS} the last that there may be")]
    Number {
        /// Its number.
        found: u32,
        /// The latest one's.
        latest: u32,
    },
    /// It follows another.
    #[error("number {0} follows another revision than the one that is known, or is of another federation")]
    Previous(u32),
    /// A name for each guardian, no more and no fewer.
    #[error("{names} names for {guardians} guardians")]
    Guardians {
        /// How many names.
        names: usize,
        /// How many guardians.
        guardians: usize,
    },
    /// No name, or too long a one.
    #[error("a name of {bytes} bytes; between 1 and {most} are allowed")]
    Name {
        /// Its length.
        bytes: usize,
        /// What is allowed.
        most: usize,
    },
    /// Conditions of a module that does not exist.
    #[error("there is no {0}, so it has no conditions")]
    Module(ModuleId),
    /// More than is agreed on.
    #[error("{0} bytes, where at most {MAX_REVISION_BYTES} are allowed")]
    TooLarge(usize),
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

#[cfg(test)]
mod tests;
