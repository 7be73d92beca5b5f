//! Multiplication by a secret scalar in constant time, about twice as fast as the curve crate's own.
//!
//! G1 has the endomorphism φ(x, y) = (β·x, y), which acts on the subgroup of prime order as multiplication by
//! λ = −z², z being the parameter of the curve (Gallant, Lambert, Vanstone 2001). Dividing the scalar by z² gives
//! k = k₁ + k₂·z², both halves below 2¹²⁸, so that k·P = k₁·P + k₂·(−φ(P)) takes half the doublings.
//!
//! Outside the subgroup φ is something else: every point given to [`mul`] must have passed strict decoding, or be a hash.

use bls12_381::{G1Affine, G1Projective, Scalar};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use zeroize::Zeroizing;

use crate::hash::Fp;

/// The square of the curve's parameter z = −0xd201000000010000.
const Z_SQUARED: u128 = 0xd201_0000_0001_0000 * 0xd201_0000_0001_0000;

/// The cube root of unity in the base field that belongs to λ = −z², big-endian.
const BETA: [u8; 48] = [
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x5f, 0x19, 0x67, 0x2f, 0xdf, 0x76, 0xce, 0x51,
    0xba, 0x69, 0xc6, 0x07, 0x6a, 0x0f, 0x77, 0xea, 0xdd, 0xb3, 0xa9, 0x3b, 0xe6, 0xf8, 0x96, 0x88,
    0xde, 0x17, 0xd8, 0x13, 0x62, 0x0a, 0x00, 0x02, 0x2e, 0x01, 0xff, 0xff, 0xff, 0xfe, 0xff, 0xfe,
];

const WINDOW_BITS: u32 = 4;
const WINDOWS: u32 = u128::BITS / WINDOW_BITS;

/// The multiples 0·P … 15·P.
type Table = [G1Projective; 1 << WINDOW_BITS];

/// `scalar · point`, in constant time. The point must be in the subgroup of prime order.
pub(crate) fn mul(point: &G1Affine, scalar: &Scalar) -> G1Projective {
    let halves = split(scalar);
    let tables = [multiples(point), multiples(&-endomorphism(point))];
    let mut product = G1Projective::identity();
    for window in (0..WINDOWS).rev() {
        for _ in 0..WINDOW_BITS {
            product = product.double();
        }
        for (half, table) in halves.iter().zip(&tables) {
            product += select(table, (half >> (window * WINDOW_BITS)) as u8 & 0x0f);
        }
    }
    product
}

/// φ(x, y) = (β·x, y), for every point of the curve. The coordinates pass through bytes, the only way the curve crate lets them out.
pub(crate) fn endomorphism(point: &G1Affine) -> G1Affine {
    if point.is_identity().into() {
        return *point; // has no coordinates, and stays where it is
    }
    let mut encoding = point.to_uncompressed();
    let mut x = [0; 48];
    x.copy_from_slice(&encoding[..48]);
    // Both are canonical, so the defaults are never taken.
    let beta = Fp::from_bytes(&BETA).unwrap_or(Fp::one());
    let product = Fp::from_bytes(&x).unwrap_or(Fp::one()) * beta;
    encoding[..48].copy_from_slice(&product.to_bytes());
    G1Affine::from_uncompressed_unchecked(&encoding).unwrap_or(*point)
}

/// Remainder and quotient of the scalar by z², by long division.
fn split(scalar: &Scalar) -> Zeroizing<[u128; 2]> {
    let bytes = Zeroizing::new(scalar.to_bytes());
    let mut halves = Zeroizing::new([0u128; 2]);
    let [remainder, quotient] = &mut *halves;
    for byte in bytes.iter().rev() {
        for bit in (0..8).rev() {
            let carry = (*remainder >> 127) as u8;
            *remainder = (*remainder << 1) | u128::from((byte >> bit) & 1);
            let (difference, borrow) = remainder.overflowing_sub(Z_SQUARED);
            let subtract = Choice::from(carry | !u8::from(borrow) & 1);
            remainder.conditional_assign(&difference, subtract);
            *quotient = (*quotient << 1) | u128::from(subtract.unwrap_u8());
        }
    }
    halves
}

fn multiples(point: &G1Affine) -> Table {
    let mut table = [G1Projective::identity(); 1 << WINDOW_BITS];
    table[1] = point.into();
    for i in 2..table.len() {
        table[i] = if i % 2 == 0 {
            table[i / 2].double()
        } else {
            table[i - 1] + point
        };
    }
    table
}

/// The entry at `digit`, reading all of them so that memory access tells nothing.
fn select(table: &Table, digit: u8) -> G1Projective {
    let mut selected = G1Projective::identity();
    for (i, entry) in (0u8..).zip(table) {
        selected.conditional_assign(entry, i.ct_eq(&digit));
    }
    selected
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn z_squared() -> Scalar {
        let z = Scalar::from(0xd201_0000_0001_0000);
        z * z
    }

    #[test]
    fn the_endomorphism_multiplies_by_minus_z_squared() {
        let g = G1Affine::generator();
        assert_eq!(G1Projective::from(endomorphism(&g)), g * -z_squared());
        assert_eq!(endomorphism(&G1Affine::identity()), G1Affine::identity());
    }

    #[test]
    fn edge_scalars() {
        let g = G1Affine::generator();
        let z2 = z_squared();
        let one = Scalar::one();
        for k in [
            Scalar::zero(),
            one,
            -one,
            z2,
            z2 - one,
            z2 + one,
            -z2,
            z2 * z2,
            one.double(),
        ] {
            assert_eq!(mul(&g, &k), g * k);
        }
        assert_eq!(mul(&G1Affine::identity(), &z2), G1Projective::identity());
    }

    proptest! {
        #[test]
        fn agrees_with_the_curve_crate(point in any::<[u8; 32]>(), scalar in any::<[[u8; 32]; 2]>()) {
            let mut wide = [0; 64];
            wide.copy_from_slice(scalar.as_flattened());
            let k = Scalar::from_bytes_wide(&wide);
            let p = G1Affine::from(crate::Message::new(point).hash());
            prop_assert_eq!(mul(&p, &k), p * k);
            let [low, high] = *split(&k);
            let join = |half: u128| Scalar::from_raw([half as u64, (half >> 64) as u64, 0, 0]);
            prop_assert!(low < Z_SQUARED && high < Z_SQUARED);
            prop_assert_eq!(join(low) + join(high) * z_squared(), k);
        }
    }
}
