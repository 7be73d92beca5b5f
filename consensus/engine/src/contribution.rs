//! What a guardian contributes to an epoch, and what the epoch makes of all contributions.

use std::collections::{BTreeMap, BTreeSet};

use guildmint_core::{
    encoding::hex_bytes, limits, BatchHash, Epoch, GenesisConfig, IdentityKey, IdentitySignature,
    ModuleId, PayloadHash, PeerId, SessionId, Tagged, Transaction, TxId, Wire, WrongSignature,
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::upgrade::Known;

/// A guardian's contribution to one epoch (SPEC EPO-1).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = limits::MAX_CONTRIBUTION_BYTES)]
pub struct Contribution {
    /// Transactions that clients submitted.
    pub transactions: Vec<Transaction>,
    /// What is agreed besides: at most one vote for each module, and the chain's tip.
    pub statement: Statement,
}

/// The part of a contribution that is not transactions.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Statement {
    /// At most one vote for each module (SPEC EPO-2).
    pub votes: BTreeMap<ModuleId, Vote>,
    /// The height of the chain's tip as the guardian sees it (SPEC GEN-8).
    pub tip_height: Option<u32>,
    /// What the guardian's software knows, by module, where the agreed rows do not say so yet (SPEC GEN-4).
    pub versions: BTreeMap<ModuleId, Known>,
}

/// A module's vote in that module's own encoding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote(#[serde(with = "hex_bytes")] pub Vec<u8>);

/// A contribution as it travels: what is agreed on is the hash of all of this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = limits::MAX_CONTRIBUTION_BYTES + 256)]
pub struct Payload {
    /// Whose it is.
    pub author: PeerId,
    /// For which epoch.
    pub epoch: Epoch,
    /// The encoded [`Contribution`].
    #[serde(with = "hex_bytes")]
    pub contribution: Vec<u8>,
    /// The author's signature over all of the above.
    pub signature: IdentitySignature,
}

/// Why a payload is not its author's.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PayloadError {
    /// The author is not a guardian.
    #[error("{0} is not in the federation")]
    Stranger(PeerId),
    /// The author did not sign it.
    #[error(transparent)]
    Signature(#[from] WrongSignature),
    /// It is larger than contributions may be.
    #[error("a contribution of {0} bytes")]
    TooLarge(usize),
}

impl Payload {
    /// Signs a contribution.
    #[must_use]
    pub fn sign(
        contribution: &Contribution,
        author: PeerId,
        epoch: Epoch,
        session: SessionId,
        key: &IdentityKey,
    ) -> Self {
        let contribution = contribution.encode();
        let hash = signed_hash(session, author, epoch, &contribution);
        Self {
            author,
            epoch,
            contribution,
            signature: key.sign(&hash),
        }
    }

    /// Checks that the author signed it and that it is not too large.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn verify(&self, genesis: &GenesisConfig) -> Result<(), PayloadError> {
        if self.contribution.len() > limits::MAX_CONTRIBUTION_BYTES {
            return Err(PayloadError::TooLarge(self.contribution.len()));
        }
        let identity = genesis
            .identity(self.author)
            .ok_or(PayloadError::Stranger(self.author))?;
        let hash = signed_hash(genesis.session, self.author, self.epoch, &self.contribution);
        Ok(identity.verify(&hash, &self.signature)?)
    }

    /// The hash that the reliable broadcast agrees on.
    #[must_use]
    pub fn hash(&self) -> PayloadHash {
        PayloadHash(
            Tagged::new("guildmint/payload")
                .field(self.encode())
                .finish(),
        )
    }
}

fn signed_hash(session: SessionId, author: PeerId, epoch: Epoch, contribution: &[u8]) -> [u8; 32] {
    Tagged::new("guildmint/contribution")
        .add(session)
        .add(author.0.to_le_bytes())
        .add(epoch.0.to_le_bytes())
        .field(contribution)
        .finish()
}

/// What history keeps of an epoch: what had an effect, and nothing else (SPEC EPO-7). Processing it gives the same digest as
/// processing what was agreed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = usize::MAX)]
pub struct EffectiveBatch {
    /// The epoch.
    pub epoch: Epoch,
    /// The statements of those whose contributions count.
    pub statements: BTreeMap<PeerId, Statement>,
    /// The transactions that were accepted, in the order in which they were.
    pub transactions: Vec<Transaction>,
}

impl EffectiveBatch {
    /// The hash that guardians sign.
    #[must_use]
    pub fn hash(&self) -> BatchHash {
        BatchHash(Tagged::new("guildmint/batch").field(self.encode()).finish())
    }

    /// Whether anything came of the epoch.
    #[must_use]
    pub fn has_effect(&self) -> bool {
        !self.transactions.is_empty() || self.voters() > 0
    }

    /// How many guardians' votes changed something.
    #[must_use]
    pub fn voters(&self) -> usize {
        let statements = self.statements.values();
        statements.filter(|one| !one.votes.is_empty()).count()
    }
}

/// Keeps the first of each transaction.
pub(crate) fn without_duplicates<T>(
    transactions: impl IntoIterator<Item = T>,
    id: impl Fn(&T) -> TxId,
) -> Vec<T> {
    let mut seen = BTreeSet::new();
    transactions
        .into_iter()
        .filter(|transaction| seen.insert(id(transaction)))
        .collect()
}
