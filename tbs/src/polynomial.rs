//! Polynomials over the scalars, and the same in the exponent of g₂.

use bls12_381::{G2Affine, G2Projective, Scalar};

/// The value at `x`, in constant time.
pub(crate) fn evaluate(coefficients: &[Scalar], x: u8) -> Scalar {
    let x = Scalar::from(u64::from(x));
    let step = |sum, coefficient: &Scalar| sum * x + coefficient;
    coefficients.iter().rev().fold(Scalar::zero(), step)
}

/// The value at `x` of a polynomial whose coefficients are given as multiples of g₂, as a multiple of g₂.
///
/// Horner's rule with a small x takes some eight additions a step. Variable time: for public points.
pub(crate) fn evaluate_in_exponent(commitments: &[G2Affine], x: u8) -> G2Projective {
    let step = |sum: G2Projective, commitment: &G2Affine| small_multiple(&sum, x) + commitment;
    commitments
        .iter()
        .rev()
        .fold(G2Projective::identity(), step)
}

fn small_multiple(point: &G2Projective, x: u8) -> G2Projective {
    let mut multiple = G2Projective::identity();
    for bit in (0..u8::BITS - x.leading_zeros()).rev() {
        multiple = multiple.double();
        if x >> bit & 1 == 1 {
            multiple += point;
        }
    }
    multiple
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponent_follows_the_polynomial() {
        let coefficients: Vec<Scalar> = [5, 7, 11].map(Scalar::from).to_vec();
        let g = G2Affine::generator();
        let commitments: Vec<G2Affine> = coefficients.iter().map(|a| (g * a).into()).collect();
        for x in [0, 1, 2, 3, 20, 32, u8::MAX] {
            let value = 5 + 7 * u64::from(x) + 11 * u64::from(x) * u64::from(x);
            assert_eq!(evaluate(&coefficients, x), Scalar::from(value));
            let point = evaluate_in_exponent(&commitments, x);
            assert_eq!(point, g * Scalar::from(value), "at {x}");
        }
        assert_eq!(evaluate(&[], 1), Scalar::zero());
    }
}
