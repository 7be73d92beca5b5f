//! Sums of many multiples of public points. Variable time: never for secrets.
//!
//! Two ways, and the cheaper is taken: each point's odd multiples in one common chain of doublings (Straus 1964) for few
//! points, or buckets by digit (Pippenger 1976) for many.

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
    let (chain_cost, chain_width) = cheapest(2..=5, |width| chain_cost(bits, terms.len(), width));
    let (bucket_cost, bucket_width) =
        cheapest(1..=12, |width| bucket_cost(bits, terms.len(), width));
    if chain_cost <= bucket_cost {
        in_one_chain(terms, chain_width)
    } else {
        in_buckets(terms, bits, bucket_width)
    }
}

fn cheapest(widths: std::ops::RangeInclusive<u32>, cost: impl Fn(u32) -> u64) -> (u64, u32) {
    let least = widths.map(|width| (cost(width), width)).min();
    least.unwrap_or((u64::MAX, 1))
}

/// Additions: a table of odd multiples for each point, and one for each digit that is not zero.
fn chain_cost(bits: u32, terms: usize, width: u32) -> u64 {
    terms as u64 * ((1 << (width - 2)) + u64::from(bits / (width + 1)))
}

/// Additions: each window adds every point once and every bucket twice.
fn bucket_cost(bits: u32, terms: usize, width: u32) -> u64 {
    u64::from(bits / width + 1) * (terms as u64 + (1 << width))
}

fn in_one_chain<G, A>(terms: &[(A, u128)], width: u32) -> G
where
    G: Group + for<'a> AddAssign<&'a A>,
    A: Copy,
{
    let digits: Vec<Vec<i8>> = terms
        .iter()
        .map(|(_, k)| sparse_digits(*k, width))
        .collect();
    let tables: Vec<Vec<G>> = terms.iter().map(|(a, _)| odd_multiples(a, width)).collect();
    let longest = digits.iter().map(Vec::len).max().unwrap_or(0);
    let mut sum = G::identity();
    for place in (0..longest).rev() {
        sum = sum.double();
        for (digits, table) in digits.iter().zip(&tables) {
            let digit = digits.get(place).copied().unwrap_or(0);
            if let Some(multiple) = table.get(usize::from(digit.unsigned_abs() / 2)) {
                match digit.signum() {
                    1 => sum += multiple,
                    -1 => sum -= multiple,
                    _ => {}
                }
            }
        }
    }
    sum
}

/// The multiples by 1, 3, 5, … below 2^(width−1).
fn odd_multiples<G, A>(point: &A, width: u32) -> Vec<G>
where
    G: Group + for<'a> AddAssign<&'a A>,
{
    let mut multiple = G::identity();
    multiple += point;
    let twice = multiple.double();
    let multiples = std::iter::successors(Some(multiple), |before| Some(*before + twice));
    multiples.take(1 << (width - 2)).collect()
}

/// Digits from the lowest on: zero, or odd and between −2^(width−1) and 2^(width−1), then followed by width − 1 zeros (wNAF).
fn sparse_digits(mut scalar: u128, width: u32) -> Vec<i8> {
    let mut digits = Vec::with_capacity(129);
    while scalar != 0 {
        let (mut digit, mut carry) = (0, false);
        if scalar & 1 == 1 {
            digit = (scalar & ((1 << width) - 1)) as i8;
            if digit < 1 << (width - 1) {
                scalar -= u128::from(digit.unsigned_abs());
            } else {
                digit -= 1 << width;
                (scalar, carry) = scalar.overflowing_add(u128::from(digit.unsigned_abs()));
            }
        }
        digits.push(digit);
        scalar = scalar >> 1 | u128::from(carry) << 127;
    }
    digits
}

fn in_buckets<G, A>(terms: &[(A, u128)], bits: u32, width: u32) -> G
where
    G: Group + for<'a> AddAssign<&'a A>,
    A: Copy + Neg<Output = A>,
{
    let mut sum = G::identity();
    for window in (0..=bits / width).rev() {
        for _ in 0..width {
            sum = sum.double();
        }
        sum += window_sum::<G, A>(terms, window * width, width);
    }
    sum
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

    /// Both ways, at every width.
    fn assert_right(terms: &[(G1Affine, u128)]) {
        let expected = naive(terms);
        assert_eq!(multi_scalar_mul::<G1Projective, _>(terms), expected);
        for width in 2..=5 {
            let sum: G1Projective = in_one_chain(terms, width);
            assert_eq!(sum, expected, "{terms:?} in a chain of width {width}");
        }
        for width in [1, 2, 5, 8] {
            let sum: G1Projective = in_buckets(terms, 128, width);
            assert_eq!(sum, expected, "{terms:?} in buckets of width {width}");
        }
    }

    #[test]
    fn edge_scalars() {
        assert_right(&[]);
        for k in [0, 1, 2, 3, 15, 16, u128::MAX, u128::MAX - 1, 1 << 127] {
            assert_right(&points(vec![k; 3]));
        }
    }

    #[test]
    fn many_terms_go_into_buckets() {
        let cheaper_in_a_chain = |terms| {
            let (chain, _) = cheapest(2..=5, |width| chain_cost(128, terms, width));
            let (buckets, _) = cheapest(1..=12, |width| bucket_cost(128, terms, width));
            chain <= buckets
        };
        assert!(cheaper_in_a_chain(1) && cheaper_in_a_chain(7) && !cheaper_in_a_chain(1_000));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn agrees_with_one_by_one(
            scalars in proptest::collection::vec(any::<u128>(), 0..20),
            bits in 1..=128u32,
        ) {
            assert_right(&points(scalars.into_iter().map(|k| k >> (128 - bits)).collect()));
        }
    }
}
