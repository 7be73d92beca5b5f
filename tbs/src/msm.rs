//! Sums of many multiples of public points (Pippenger's buckets, signed digits). Variable time: never for secrets.

use std::ops::{AddAssign, Neg};

use group::Group;

/// Σ scalar·point. `A` is the affine or the projective form of `G`.
pub(crate) fn multi_scalar_mul<G, A>(terms: &[(A, u128)]) -> G
where
    G: Group + for<'a> AddAssign<&'a A>,
    A: Copy + Neg<Output = A>,
{
    let bits = terms
        .iter()
        .map(|(_, k)| u128::BITS - k.leading_zeros())
        .max()
        .unwrap_or(0);
    let width = window_width(bits, terms.len());
    let mut sum = G::identity();
    for window in (0..=bits / width).rev() {
        for _ in 0..width {
            sum = sum.double();
        }
        sum += window_sum::<G, A>(terms, window * width, width);
    }
    sum
}

/// The width that costs the fewest additions: each window adds every point once and every bucket twice.
fn window_width(bits: u32, terms: usize) -> u32 {
    let cost = |width: &u32| u64::from(bits / width + 1) * (terms as u64 + (1 << width));
    (1..=12).min_by_key(cost).unwrap_or(1)
}

/// Σ digit·point over the digits at bit `shift`.
fn window_sum<G, A>(terms: &[(A, u128)], shift: u32, width: u32) -> G
where
    G: Group + for<'a> AddAssign<&'a A>,
    A: Copy + Neg<Output = A>,
{
    let mut buckets = vec![G::identity(); 1 << (width - 1)];
    for (point, scalar) in terms {
        let digit = signed_digit(*scalar, shift, width);
        let bucket = (digit.unsigned_abs() as usize)
            .checked_sub(1)
            .and_then(|i| buckets.get_mut(i));
        if let Some(bucket) = bucket {
            if digit < 0 {
                *bucket += &-*point;
            } else {
                *bucket += point;
            }
        }
    }
    let (mut running, mut sum) = (G::identity(), G::identity());
    for bucket in buckets.iter().rev() {
        running += bucket;
        sum += running;
    }
    sum
}

/// The digit at bit `shift`, between −2^(width−1) and 2^(width−1) (Booth): a window whose top bit is set counts as
/// negative, and the window above sees that bit and makes up for it.
fn signed_digit(scalar: u128, shift: u32, width: u32) -> i32 {
    let window = match shift.checked_sub(1) {
        None => scalar << 1,
        Some(below) => scalar >> below,
    };
    let window = (window & ((2 << width) - 1)) as i32;
    (window >> 1) + (window & 1) - ((window >> width) << width)
}

#[cfg(test)]
mod tests {
    use bls12_381::{G1Affine, G1Projective, Scalar};
    use proptest::prelude::*;

    use super::*;

    fn naive(terms: &[(G1Affine, u128)]) -> G1Projective {
        let scalar = |k: u128| Scalar::from_raw([k as u64, (k >> 64) as u64, 0, 0]);
        terms.iter().map(|(point, k)| point * scalar(*k)).sum()
    }

    fn points(scalars: Vec<u128>) -> Vec<(G1Affine, u128)> {
        let g = G1Affine::generator();
        let point = |i: usize| G1Affine::from(g * Scalar::from(i as u64 + 1));
        scalars
            .into_iter()
            .enumerate()
            .map(|(i, k)| (point(i), k))
            .collect()
    }

    #[test]
    fn edge_scalars() {
        assert_eq!(
            multi_scalar_mul::<G1Projective, G1Affine>(&[]),
            G1Projective::identity()
        );
        for k in [0, 1, 2, 3, 15, 16, u128::MAX, u128::MAX - 1, 1 << 127] {
            let terms = points(vec![k; 3]);
            assert_eq!(
                multi_scalar_mul::<G1Projective, _>(&terms),
                naive(&terms),
                "{k}"
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn agrees_with_one_by_one(
            scalars in proptest::collection::vec(any::<u128>(), 0..40),
            bits in 1..=128u32,
        ) {
            let terms = points(scalars.into_iter().map(|k| k >> (128 - bits)).collect());
            prop_assert_eq!(multi_scalar_mul::<G1Projective, _>(&terms), naive(&terms));
        }
    }
}
