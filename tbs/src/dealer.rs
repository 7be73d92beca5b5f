//! A trusted dealer, for tests and examples only: whoever runs it knows every secret.

use bls12_381::{G2Affine, Scalar};
use rand_core::{CryptoRng, RngCore};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::polynomial::evaluate;
use crate::{
    IndexError, KeySetError, PublicKey, PublicKeySet, ScalarError, SecretKeyShare, ShareIndex,
};

/// Why keys cannot be dealt.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DealError {
    /// More guardians than there are indices.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// A share came out zero, once in 2²⁵⁵.
    #[error(transparent)]
    Scalar(#[from] ScalarError),
    /// The threshold does not fit the number of guardians.
    #[error(transparent)]
    Keys(#[from] KeySetError),
}

/// Deals a random key to `guardians` guardians, any `threshold` of whom can sign. Shares come in order of index.
///
/// # Errors
/// If the threshold is zero or above the number of guardians, or these are more than [`ShareIndex::MAX`].
pub fn deal(
    threshold: u16,
    guardians: u16,
    rng: &mut (impl RngCore + CryptoRng),
) -> Result<(PublicKeySet, Vec<SecretKeyShare>), DealError> {
    let mut coefficient = || {
        let mut bytes = Zeroizing::new([0; 64]);
        rng.fill_bytes(&mut *bytes);
        Scalar::from_bytes_wide(&bytes)
    };
    let coefficients = Zeroizing::new((0..threshold).map(|_| coefficient()).collect::<Vec<_>>());
    let shares = (0..guardians)
        .map(|position| {
            let index = ShareIndex::of_guardian(position)?;
            Ok(SecretKeyShare::new(
                index,
                evaluate(&coefficients, index.get()),
            )?)
        })
        .collect::<Result<Vec<_>, DealError>>()?;
    let aggregate = PublicKey((G2Affine::generator() * evaluate(&coefficients, 0)).into());
    let keys = shares
        .iter()
        .map(|share| (share.index(), share.public_key_share()));
    Ok((PublicKeySet::new(threshold, aggregate, keys)?, shares))
}
