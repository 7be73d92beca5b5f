//! The client's part: combining guardians' shares into a signature, and finding out who cheated.

use std::collections::BTreeMap;

use bls12_381::{G1Affine, G1Projective};
use thiserror::Error;

use crate::{
    blind, glv, lagrange, verify, verify_share, BlindSignature, BlindingKey, Message,
    PreparedPublicKey, PublicKeySet, ShareIndex, Signature, SignatureShare,
};

/// Why shares do not combine.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CombineError {
    /// Fewer shares than the threshold.
    #[error("{have} signature shares, {need} needed")]
    NotEnough {
        /// Shares given.
        have: usize,
        /// The threshold.
        need: u16,
    },
    /// Two shares for one index.
    #[error("two signature shares have index {0}")]
    DuplicateIndex(ShareIndex),
    /// The shares add up to the identity, so at least one is wrong.
    #[error("signature shares add up to the identity")]
    Identity,
}

/// Why shares do not make a valid signature.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FinalizeError {
    /// The shares do not combine at all.
    #[error(transparent)]
    Combine(#[from] CombineError),
    /// No guardian has this index.
    #[error("no key share has index {0}")]
    UnknownIndex(ShareIndex),
    /// These shares are wrong. Drop them and finalize the rest, if enough are left.
    #[error("wrong signature shares from {culprits:?}")]
    WrongShares {
        /// The indices of the wrong shares, in ascending order.
        culprits: Vec<ShareIndex>,
    },
}

/// Combines the `threshold` shares with the lowest indices.
///
/// # Errors
/// If there are too few, two of one index, or they add up to the identity.
pub fn combine(
    threshold: u16,
    shares: &[(ShareIndex, SignatureShare)],
) -> Result<BlindSignature, CombineError> {
    let (sum, factor) = lagrange::at_zero::<G1Projective, _>(&select(threshold, shares)?);
    let inverse = factor.invert().unwrap_or(factor);
    Ok(BlindSignature(
        glv::mul(&not_identity(sum)?, &inverse).into(),
    ))
}

/// [`combine`] and [`unblind`](crate::unblind) in one, at little more than the price of the latter.
///
/// # Errors
/// As [`combine`].
pub fn combine_and_unblind(
    threshold: u16,
    shares: &[(ShareIndex, SignatureShare)],
    key: &BlindingKey,
) -> Result<Signature, CombineError> {
    let (sum, factor) = lagrange::at_zero::<G1Projective, _>(&select(threshold, shares)?);
    let inverse = key.inverse(&factor);
    Ok(Signature(glv::mul(&not_identity(sum)?, &inverse.0).into()))
}

fn not_identity(sum: G1Projective) -> Result<G1Affine, CombineError> {
    if sum.is_identity().into() {
        Err(CombineError::Identity)
    } else {
        Ok(sum.into())
    }
}

fn select(
    threshold: u16,
    shares: &[(ShareIndex, SignatureShare)],
) -> Result<BTreeMap<ShareIndex, G1Affine>, CombineError> {
    let mut selected = BTreeMap::new();
    for (index, share) in shares {
        if selected.insert(*index, share.0).is_some() {
            return Err(CombineError::DuplicateIndex(*index));
        }
    }
    if threshold == 0 || selected.len() < threshold.into() {
        return Err(CombineError::NotEnough {
            have: selected.len(),
            need: threshold,
        });
    }
    Ok(selected.into_iter().take(threshold.into()).collect())
}

/// A key set ready to finish many notes: its aggregate key is prepared.
#[derive(Clone, Debug)]
pub struct PreparedKeySet {
    keys: PublicKeySet,
    aggregate: PreparedPublicKey,
}

impl From<PublicKeySet> for PreparedKeySet {
    fn from(keys: PublicKeySet) -> Self {
        let aggregate = keys.aggregate().into();
        Self { keys, aggregate }
    }
}

impl PreparedKeySet {
    /// The key set.
    pub fn keys(&self) -> &PublicKeySet {
        &self.keys
    }

    /// The prepared aggregate key.
    pub fn aggregate(&self) -> &PreparedPublicKey {
        &self.aggregate
    }

    /// Makes a verified signature on `message` from guardians' shares on its blinded form.
    ///
    /// Verifies the result once. Only if that fails it verifies the shares one by one.
    ///
    /// # Errors
    /// If shares are too few, repeated or of no guardian; if they are wrong, which ones. After
    /// [`FinalizeError::WrongShares`] the others are right, and can be finalized if they are enough.
    pub fn finalize(
        &self,
        message: &Message,
        key: &BlindingKey,
        shares: &[(ShareIndex, SignatureShare)],
    ) -> Result<Signature, FinalizeError> {
        let known = |index: &ShareIndex| self.keys.shares().contains_key(index);
        if let Some((index, _)) = shares.iter().find(|(index, _)| !known(index)) {
            return Err(FinalizeError::UnknownIndex(*index));
        }
        match combine_and_unblind(self.keys.threshold(), shares, key) {
            Ok(signature) if verify(&self.aggregate, message, &signature) => Ok(signature),
            Ok(_) | Err(CombineError::Identity) => Err(FinalizeError::WrongShares {
                culprits: self.culprits(message, key, shares),
            }),
            Err(error) => Err(error.into()),
        }
    }

    fn culprits(
        &self,
        message: &Message,
        key: &BlindingKey,
        shares: &[(ShareIndex, SignatureShare)],
    ) -> Vec<ShareIndex> {
        let blinded = blind(message, key);
        let right = |(index, share): &(ShareIndex, SignatureShare)| {
            self.keys
                .share(*index)
                .is_some_and(|key| verify_share(key, &blinded, share))
        };
        let mut culprits: Vec<_> = shares
            .iter()
            .filter(|share| !right(share))
            .map(|(index, _)| *index)
            .collect();
        culprits.sort_unstable();
        culprits
    }
}
