//! Interpolation with small integers.
//!
//! The values of a polynomial of degree below m at m + 1 places satisfy one linear relation, Σ wᵢ·f(xᵢ) = 0 with
//! wᵢ = 1 / Πⱼ (xᵢ − xⱼ). Cleared of denominators the weights are small integers, some 30 bits for 20 guardians, so a
//! sum of multiples of points costs a few additions. One relation does all we need: with 0 among the places it
//! interpolates the secret, and applied to surplus places it checks a polynomial's degree.

use std::collections::BTreeMap;
use std::ops::{AddAssign, Neg};

use bls12_381::Scalar;
use group::Group;

use crate::msm::multi_scalar_mul;
use crate::ShareIndex;

/// The weights wᵢ at distinct places, cleared of denominators.
///
/// They fit: places are at most [`ShareIndex::MAX`] = 32, so each product divides 32! < 2¹¹⁸, and so does their least
/// common multiple.
pub(crate) fn weights(places: &[u8]) -> Vec<i128> {
    let product = |x: u8| -> i128 {
        let differences = places.iter().map(|&y| i128::from(x) - i128::from(y));
        differences.filter(|&difference| difference != 0).product()
    };
    let products: Vec<i128> = places.iter().map(|&x| product(x)).collect();
    let multiple = products
        .iter()
        .fold(1, |multiple, product| lcm(multiple, product.abs()));
    products
        .into_iter()
        .map(|product| multiple / product)
        .collect()
}

/// Σ wᵢ·Pᵢ over `points` at distinct places.
pub(crate) fn relation<G, A>(points: &[(u8, A)]) -> G
where
    G: Group + for<'a> AddAssign<&'a A>,
    A: Copy + Neg<Output = A>,
{
    let places: Vec<u8> = points.iter().map(|(place, _)| *place).collect();
    weighted_sum(&weights(&places), points.iter().map(|(_, point)| *point))
}

/// The value at zero, as a point and the small integer by which it is still too large.
///
/// Dividing by it is one multiplication by a full scalar, which a client shares with the removal of its blinding.
pub(crate) fn at_zero<G, A>(points: &BTreeMap<ShareIndex, A>) -> (G, Scalar)
where
    G: Group + for<'a> AddAssign<&'a A>,
    A: Copy + Neg<Output = A>,
{
    let places: Vec<u8> = std::iter::once(0)
        .chain(points.keys().map(|index| index.get()))
        .collect();
    let weights = weights(&places);
    let (own, others) = weights
        .split_first()
        .map_or((1, &[][..]), |(own, others)| (*own, others));
    (weighted_sum(others, points.values().copied()), -scalar(own))
}

fn weighted_sum<G, A>(weights: &[i128], points: impl Iterator<Item = A>) -> G
where
    G: Group + for<'a> AddAssign<&'a A>,
    A: Copy + Neg<Output = A>,
{
    let signed = |(weight, point): (&i128, A)| {
        let point = if *weight < 0 { -point } else { point };
        (point, weight.unsigned_abs())
    };
    multi_scalar_mul(&weights.iter().zip(points).map(signed).collect::<Vec<_>>())
}

fn scalar(integer: i128) -> Scalar {
    let magnitude = integer.unsigned_abs();
    let scalar = Scalar::from_raw([magnitude as u64, (magnitude >> 64) as u64, 0, 0]);
    if integer < 0 {
        -scalar
    } else {
        scalar
    }
}

fn lcm(a: i128, b: i128) -> i128 {
    let (mut gcd, mut rest) = (a, b);
    while rest != 0 {
        (gcd, rest) = (rest, gcd % rest);
    }
    a / gcd * b
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_relation_of_a_line() {
        // f(1) − 2·f(2) + f(3) = 0
        assert_eq!(weights(&[1, 2, 3]), [1, -2, 1]);
        assert_eq!(weights(&[5]), [1]);
    }

    #[test]
    fn the_largest_set_of_places_fits() {
        let all: Vec<u8> = (0..=ShareIndex::MAX).collect();
        let sum = |power: u32| -> i128 {
            let terms = weights(&all).into_iter().zip(&all);
            terms
                .map(|(w, x)| w.wrapping_mul(i128::from(*x).wrapping_pow(power)))
                .fold(0, i128::wrapping_add)
        };
        for power in 0..31 {
            assert_eq!(sum(power), 0, "power {power}");
        }
    }

    proptest! {
        #[test]
        fn any_places(places in proptest::sample::subsequence((0..=32u8).collect::<Vec<_>>(), 1..=33)) {
            let weights = weights(&places);
            // Modulo 2¹²⁸ the relation holds for every power below the number of places less one.
            for power in 0..places.len() as u32 - 1 {
                let sum = weights.iter().zip(&places)
                    .map(|(w, x)| w.wrapping_mul(i128::from(*x).wrapping_pow(power)))
                    .fold(0, i128::wrapping_add);
                prop_assert_eq!(sum, 0);
            }
        }
    }
}
