//! The keys: what the qualified dealers dealt, added up.

use std::collections::BTreeMap;

use bls12_381::{G2Affine, G2Projective, Scalar};
use zeroize::Zeroizing;

use super::dealing::{CheckedDealing, Shares};
use super::{KeyError, KeyPair, Params};
use crate::polynomial::evaluate_in_exponent;
use crate::{PublicKey, PublicKeySet, PublicKeyShare, SecretKeyShare, ShareIndex};

/// A dealing and our own shares of it, or the first key of which ours is wrong.
pub(super) struct Dealt {
    pub(super) public: CheckedDealing,
    pub(super) own: Result<Shares, u16>,
}

/// Every key with our share of it.
///
/// # Errors
/// The key, and what is wrong with it.
pub(super) fn add_up(
    params: &Params,
    me: ShareIndex,
    dealers: &BTreeMap<ShareIndex, Dealt>,
) -> Result<Vec<KeyPair>, (u16, KeyError)> {
    let key_pair = |key: u16| {
        let public = public_keys(params, &sum_commitments(params, key, dealers))?;
        let secret = own_share(me, key, dealers)?;
        let right = public.share(me) == Some(&secret.public_key_share());
        right.then_some((public, secret)).ok_or(KeyError::OwnShare)
    };
    (0..params.keys())
        .map(|key| key_pair(key).map_err(|error| (key, error)))
        .collect()
}

/// The commitments to the sum of the polynomials of one key.
fn sum_commitments(
    params: &Params,
    key: u16,
    dealers: &BTreeMap<ShareIndex, Dealt>,
) -> Vec<G2Affine> {
    let mut sums = vec![G2Projective::identity(); params.threshold().into()];
    let polynomials = dealers
        .values()
        .filter_map(|dealt| dealt.public.commitments().get(usize::from(key)));
    for polynomial in polynomials {
        sums.iter_mut()
            .zip(polynomial)
            .for_each(|(sum, a)| *sum += a);
    }
    normalize(&sums)
}

fn public_keys(params: &Params, commitments: &[G2Affine]) -> Result<PublicKeySet, KeyError> {
    let constant = commitments.first().copied().unwrap_or_default();
    if constant.is_identity().into() {
        return Err(KeyError::Identity);
    }
    let values: Vec<G2Projective> = params
        .guardians()
        .map(|guardian| evaluate_in_exponent(commitments, guardian.get()))
        .collect();
    let shares: Vec<(ShareIndex, PublicKeyShare)> = params
        .guardians()
        .zip(normalize(&values).into_iter().map(PublicKeyShare))
        .collect();
    if let Some((guardian, _)) = shares.iter().find(|(_, key)| key.0.is_identity().into()) {
        return Err(KeyError::IdentityShare(*guardian));
    }
    Ok(PublicKeySet::new(
        params.threshold(),
        PublicKey(constant),
        shares,
    )?)
}

fn own_share(
    me: ShareIndex,
    key: u16,
    dealers: &BTreeMap<ShareIndex, Dealt>,
) -> Result<SecretKeyShare, KeyError> {
    let mut sum = Zeroizing::new(Scalar::zero());
    for dealt in dealers.values() {
        let shares = dealt.own.as_ref().map_err(|_| KeyError::OwnShare)?;
        let share = shares.get(usize::from(key)).ok_or(KeyError::OwnShare)?;
        *sum += share;
    }
    SecretKeyShare::new(me, *sum).map_err(|_| KeyError::OwnShare)
}

fn normalize(points: &[G2Projective]) -> Vec<G2Affine> {
    let mut affine = vec![G2Affine::identity(); points.len()];
    G2Projective::batch_normalize(points, &mut affine);
    affine
}
