//! Public keys: one guardian's, the federation's, and the checked table of both.

use std::collections::BTreeMap;

use bls12_381::{G2Affine, G2Projective};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::curve::point_type;
use crate::lagrange;

point_type!(
    /// A key under which signatures verify: PK = f(0)·g₂. Nobody holds its secret.
    PublicKey, G2Affine, decode_g2, 96
);

point_type!(
    /// The key of one guardian's share: PKᵢ = f(xᵢ)·g₂.
    PublicKeyShare, G2Affine, decode_g2, 96
);

/// The place xᵢ at which a share was taken from the secret polynomial: 1 to [`ShareIndex::MAX`], never 0, where the
/// secret itself is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct ShareIndex(u8);

/// No such share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("share index {0} is not between 1 and {max}", max = ShareIndex::MAX)]
pub struct IndexError(pub u32);

impl ShareIndex {
    /// The largest index. It bounds the size of interpolation weights (128 bits); federations stay well below.
    pub const MAX: u8 = 32;

    /// The index of the guardian at `position` (counted from 0) in the federation's order.
    ///
    /// # Errors
    /// If the position is not below [`ShareIndex::MAX`].
    pub fn of_guardian(position: u16) -> Result<Self, IndexError> {
        let index = u32::from(position) + 1;
        match u8::try_from(index) {
            Ok(small) if small <= Self::MAX => Ok(Self(small)),
            _ => Err(IndexError(index)),
        }
    }

    /// The number.
    pub fn get(self) -> u8 {
        self.0
    }
}

impl TryFrom<u16> for ShareIndex {
    type Error = IndexError;

    fn try_from(index: u16) -> Result<Self, IndexError> {
        let position = index.checked_sub(1).ok_or(IndexError(0))?;
        Self::of_guardian(position)
    }
}

impl From<ShareIndex> for u16 {
    fn from(index: ShareIndex) -> u16 {
        index.0.into()
    }
}

impl std::fmt::Display for ShareIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// The public side of one shared key: threshold, aggregate key and every guardian's key, known to belong together.
///
/// All keys lie on one polynomial of degree exactly `threshold` − 1, so any `threshold` right shares combine into the
/// same signature and fewer say nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "UncheckedKeySet")]
pub struct PublicKeySet {
    threshold: u16,
    aggregate: PublicKey,
    shares: BTreeMap<ShareIndex, PublicKeyShare>,
}

/// Why keys do not make a key set.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeySetError {
    /// The threshold is zero or larger than the number of shares.
    #[error("threshold {threshold} with {shares} key shares")]
    Threshold {
        /// The threshold given.
        threshold: u16,
        /// The number of key shares given.
        shares: usize,
    },
    /// Two keys for one index.
    #[error("two key shares have index {0}")]
    DuplicateIndex(ShareIndex),
    /// The first shares do not interpolate to the aggregate key.
    #[error("key shares do not interpolate to the aggregate key {0}")]
    Aggregate(Box<PublicKey>),
    /// A share that is not on the polynomial of the first shares: the degree is higher than the threshold says.
    #[error("key share {0} is not on the polynomial of the others")]
    Inconsistent(ShareIndex),
    /// Fewer shares than the threshold would do.
    #[error("the degree of the key polynomial is less than threshold {0} requires")]
    DegreeTooLow(u16),
}

impl PublicKeySet {
    /// Checks that the keys belong together.
    ///
    /// # Errors
    /// If the threshold does not fit, an index occurs twice, or the keys do not lie on one polynomial of degree
    /// exactly `threshold` − 1 whose value at zero is the aggregate key.
    pub fn new(
        threshold: u16,
        aggregate: PublicKey,
        shares: impl IntoIterator<Item = (ShareIndex, PublicKeyShare)>,
    ) -> Result<Self, KeySetError> {
        let mut table = BTreeMap::new();
        for (index, share) in shares {
            if table.insert(index, share).is_some() {
                return Err(KeySetError::DuplicateIndex(index));
            }
        }
        if threshold == 0 || usize::from(threshold) > table.len() {
            return Err(KeySetError::Threshold {
                threshold,
                shares: table.len(),
            });
        }
        let set = Self {
            threshold,
            aggregate,
            shares: table,
        };
        set.check_polynomial()?;
        Ok(set)
    }

    /// The first t keys determine a polynomial of degree below t; each further key must lie on it, and so must the
    /// aggregate key at zero.
    fn check_polynomial(&self) -> Result<(), KeySetError> {
        let mut keys = self.shares.iter().map(|(index, key)| (index.get(), key.0));
        let mut basis: Vec<(u8, G2Affine)> = keys.by_ref().take(self.threshold.into()).collect();
        if holds(&basis) {
            return Err(KeySetError::DegreeTooLow(self.threshold));
        }
        basis.push((0, self.aggregate.0));
        if !holds(&basis) {
            return Err(KeySetError::Aggregate(Box::new(self.aggregate)));
        }
        for (index, key) in self.shares.iter().skip(self.threshold.into()) {
            basis.pop();
            basis.push((index.get(), key.0));
            if !holds(&basis) {
                return Err(KeySetError::Inconsistent(*index));
            }
        }
        Ok(())
    }

    /// The number of shares that make a signature.
    pub fn threshold(&self) -> u16 {
        self.threshold
    }

    /// The key under which signatures verify.
    pub fn aggregate(&self) -> &PublicKey {
        &self.aggregate
    }

    /// The key of the share with this index.
    pub fn share(&self, index: ShareIndex) -> Option<&PublicKeyShare> {
        self.shares.get(&index)
    }

    /// Every guardian's key, by index.
    pub fn shares(&self) -> &BTreeMap<ShareIndex, PublicKeyShare> {
        &self.shares
    }
}

/// Whether the keys lie on one polynomial of degree below their number less one.
fn holds(keys: &[(u8, G2Affine)]) -> bool {
    lagrange::relation::<G2Projective, _>(keys)
        .is_identity()
        .into()
}

#[derive(Deserialize)]
struct UncheckedKeySet {
    threshold: u16,
    aggregate: PublicKey,
    shares: BTreeMap<ShareIndex, PublicKeyShare>,
}

impl TryFrom<UncheckedKeySet> for PublicKeySet {
    type Error = KeySetError;

    fn try_from(set: UncheckedKeySet) -> Result<Self, KeySetError> {
        Self::new(set.threshold, set.aggregate, set.shares)
    }
}
