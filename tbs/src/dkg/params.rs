//! What all guardians of a ceremony agree on before it begins.

use thiserror::Error;

use super::transcript::Transcript;
use super::EncryptionKey;
use crate::ShareIndex;

const CONTEXT_TAG: &[u8] = b"guildmint-tbs/dkg/context/1";

/// The parameters of a ceremony, the same for all guardians.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Params {
    threshold: u16,
    guardians: Vec<EncryptionKey>,
    keys: u16,
    context: [u8; 32],
}

/// Why parameters do not make a ceremony.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ParamsError {
    /// Nobody, or more than there are indices.
    #[error("{0} guardians, between 1 and {max} possible", max = ShareIndex::MAX)]
    Guardians(usize),
    /// The threshold is zero or larger than the number of guardians.
    #[error("threshold {threshold} of {guardians} guardians")]
    Threshold {
        /// The threshold given.
        threshold: u16,
        /// The number of guardians given.
        guardians: usize,
    },
    /// No key, or too many in one run.
    #[error("{0} keys, between 1 and {max} possible", max = Params::MAX_KEYS)]
    Keys(u16),
    /// Two guardians with one encryption key, so that one could read the other's shares.
    #[error("two guardians have the encryption key {0}")]
    DuplicateKey(EncryptionKey),
    /// The secret given belongs to no guardian of the ceremony.
    #[error("the encryption key {0} is no guardian's")]
    NotAGuardian(EncryptionKey),
}

impl Params {
    /// The largest number of keys in one run. It bounds the size of a dealing: see [`Item::max_len`](super::Item::max_len).
    pub const MAX_KEYS: u16 = 64;

    /// Parameters of the ceremony `session`: `keys` keys, each to be shared among the guardians so that any `threshold` of
    /// them can sign.
    ///
    /// Guardian i, counted from 1, has the i-th encryption key. Each key must have come with a
    /// [proof of possession](super::ProofOfPossession) that was verified. The session must be one that no other ceremony
    /// of these guardians has.
    ///
    /// # Errors
    /// If there are no guardians or more than [`ShareIndex::MAX`], if the threshold or the number of keys does not fit, or
    /// two encryption keys are the same.
    pub fn new(
        session: [u8; 32],
        threshold: u16,
        guardians: Vec<EncryptionKey>,
        keys: u16,
    ) -> Result<Self, ParamsError> {
        let count = guardians.len();
        if count == 0 || count > ShareIndex::MAX.into() {
            return Err(ParamsError::Guardians(count));
        }
        if threshold == 0 || usize::from(threshold) > count {
            return Err(ParamsError::Threshold {
                threshold,
                guardians: count,
            });
        }
        if keys == 0 || keys > Self::MAX_KEYS {
            return Err(ParamsError::Keys(keys));
        }
        let mut sorted = guardians.clone();
        sorted.sort_unstable();
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(ParamsError::DuplicateKey(pair[0]));
        }
        let mut context = Transcript::new(CONTEXT_TAG)
            .with(&session)
            .with_number(threshold.into())
            .with_number(keys.into())
            .with_number(count as u64);
        for key in &guardians {
            context.add(&key.to_bytes());
        }
        Ok(Self {
            threshold,
            guardians,
            keys,
            context: context.digest(),
        })
    }

    /// The number of shares that make a signature, and the least number of dealers.
    pub fn threshold(&self) -> u16 {
        self.threshold
    }

    /// The number of keys that are made.
    pub fn keys(&self) -> u16 {
        self.keys
    }

    /// All guardians, in ascending order.
    pub fn guardians(&self) -> impl Iterator<Item = ShareIndex> + '_ {
        let positions = 0..self.guardians.len() as u16;
        positions.filter_map(|position| ShareIndex::of_guardian(position).ok())
    }

    /// The encryption key of a guardian.
    pub fn encryption_key(&self, guardian: ShareIndex) -> Option<&EncryptionKey> {
        self.guardians.get(usize::from(guardian.get()) - 1)
    }

    /// The guardian with this encryption key.
    pub(super) fn find(&self, key: &EncryptionKey) -> Result<ShareIndex, ParamsError> {
        self.guardians()
            .find(|guardian| self.encryption_key(*guardian) == Some(key))
            .ok_or(ParamsError::NotAGuardian(*key))
    }

    /// A hash of all parameters, session included, which every proof and every derivation is bound to.
    pub(super) fn context(&self) -> &[u8; 32] {
        &self.context
    }
}
