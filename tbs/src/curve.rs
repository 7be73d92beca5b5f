//! Strict decoding of points and scalars, and the newtypes built on it.
//!
//! A point from outside is accepted only when its encoding is canonical, the point lies in the subgroup of prime order
//! and it is not the identity. Signing a point of small order would reveal the key modulo that order; a signature with
//! a small-order part would pass one check and fail another; an identity key would accept any message.

use bls12_381::{G1Affine, G1Projective, G2Affine, Scalar};
use thiserror::Error;

/// Why an encoding is not a usable point. Each variant holds the encoding, in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PointError {
    /// Wrong flags, a coordinate not below the field's modulus, or no such point on the curve.
    #[error("not the canonical encoding of a curve point: {0}")]
    Malformed(String),
    /// On the curve, but outside the subgroup of prime order.
    #[error("not in the subgroup of prime order: {0}")]
    NotInSubgroup(String),
    /// The identity, which no honest party ever sends.
    #[error("the identity is not accepted: {0}")]
    Identity(String),
}

/// Why a string is not a usable point.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum ParsePointError {
    /// Not hexadecimal, or of the wrong length.
    #[error("point is not hexadecimal of the right length")]
    Hex(#[from] hex::FromHexError),
    /// The bytes are not an acceptable point.
    #[error(transparent)]
    Point(#[from] PointError),
}

/// Why bytes are not a usable secret scalar. The value is secret, so it is not part of the error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ScalarError {
    /// Not below the group order.
    #[error("scalar is not below the group order")]
    NotCanonical,
    /// Zero blinds nothing and signs nothing.
    #[error("scalar is zero")]
    Zero,
}

macro_rules! decoder {
    ($decode:ident, $affine:ty, $len:literal) => {
        pub(crate) fn $decode(bytes: &[u8; $len]) -> Result<$affine, PointError> {
            match Option::<$affine>::from(<$affine>::from_compressed(bytes)) {
                Some(point) if bool::from(point.is_identity()) => {
                    Err(PointError::Identity(hex::encode(bytes)))
                }
                Some(point) => Ok(point),
                // Decoded again without the subgroup check, only to name the reason.
                None if <$affine>::from_compressed_unchecked(bytes).is_some().into() => {
                    Err(PointError::NotInSubgroup(hex::encode(bytes)))
                }
                None => Err(PointError::Malformed(hex::encode(bytes))),
            }
        }
    };
}

decoder!(decode_g1, G1Affine, 48);
decoder!(decode_g2, G2Affine, 96);

/// The same for what was decoded before: without a look at the subgroup, which takes most of the time.
pub(crate) fn decode_g1_again(bytes: &[u8; 48]) -> Result<G1Affine, PointError> {
    match Option::<G1Affine>::from(G1Affine::from_compressed_unchecked(bytes)) {
        Some(point) if bool::from(point.is_identity()) => {
            Err(PointError::Identity(hex::encode(bytes)))
        }
        Some(point) => Ok(point),
        None => Err(PointError::Malformed(hex::encode(bytes))),
    }
}

/// Refuses zero.
pub(crate) fn nonzero(scalar: Scalar) -> Result<Scalar, ScalarError> {
    if scalar == Scalar::zero() {
        Err(ScalarError::Zero)
    } else {
        Ok(scalar)
    }
}

/// Affine forms of many points for the price of one field inversion.
pub(crate) fn normalize(points: &[G1Projective]) -> Vec<G1Affine> {
    let mut affine = vec![G1Affine::identity(); points.len()];
    G1Projective::batch_normalize(points, &mut affine);
    affine
}

/// Declares a public point type: strict decoding, 48 or 96 bytes, hexadecimal for people, ordered by encoding.
macro_rules! point_type {
    ($(#[$doc:meta])* $name:ident, $affine:ty, $decode:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub struct $name(pub(crate) $affine);

        impl $name {
            #[doc = concat!("Length of the encoding: ", stringify!($len), " bytes.")]
            pub const LEN: usize = $len;

            /// Decodes the compressed form.
            ///
            /// # Errors
            /// Refuses encodings that are not canonical, points outside the subgroup, and the identity.
            pub fn from_bytes(bytes: &[u8; $len]) -> Result<Self, $crate::PointError> {
                $crate::curve::$decode(bytes).map(Self)
            }

            /// The compressed form.
            pub fn to_bytes(&self) -> [u8; $len] {
                self.0.to_compressed()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&hex::encode(self.to_bytes()))
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::ParsePointError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let mut bytes = [0; $len];
                hex::decode_to_slice(text, &mut bytes)?;
                Ok(Self::from_bytes(&bytes)?)
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.0 == other.0
            }
        }

        impl Eq for $name {}

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
                Some(self.cmp(other))
            }
        }

        impl Ord for $name {
            fn cmp(&self, other: &Self) -> std::cmp::Ordering {
                self.to_bytes().cmp(&other.to_bytes())
            }
        }

        impl std::hash::Hash for $name {
            fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
                self.to_bytes().hash(state);
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    $crate::wire::serialize_array(&self.to_bytes(), serializer)
                }
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                use serde::de::Error;
                if deserializer.is_human_readable() {
                    let text = String::deserialize(deserializer)?;
                    text.parse().map_err(D::Error::custom)
                } else {
                    let bytes = $crate::wire::deserialize_array(deserializer)?;
                    Self::from_bytes(&bytes).map_err(D::Error::custom)
                }
            }
        }
    };
}
pub(crate) use point_type;

#[cfg(test)]
mod tests {
    use super::*;

    const VECTORS: &str = include_str!("../tests/vectors/g1_rejected.txt");

    #[test]
    fn every_point_outside_the_subgroup_is_named_as_such() {
        let mut seen = 0;
        for line in VECTORS.lines().filter(|line| !line.starts_with('#')) {
            let (order, encoding) = line.split_once(' ').expect("two columns");
            let mut bytes = [0; 48];
            hex::decode_to_slice(encoding.trim(), &mut bytes).expect("hexadecimal");
            let error = decode_g1(&bytes).expect_err(order);
            let encoding = hex::encode(bytes);
            let expected = match order {
                "identity" => PointError::Identity(encoding),
                "malformed" => PointError::Malformed(encoding),
                _ => PointError::NotInSubgroup(encoding),
            };
            assert_eq!(error, expected, "{order}");
            seen += 1;
        }
        assert!(seen >= 6, "the file has not been read");
    }

    /// What was never accepted must not come here; of that, only what costs nothing is noticed.
    #[test]
    fn decoding_again_gives_the_same_point() {
        let encoding = G1Affine::generator().to_compressed();
        assert_eq!(decode_g1_again(&encoding), decode_g1(&encoding));
        let identity = G1Affine::identity().to_compressed();
        assert_eq!(decode_g1_again(&identity), decode_g1(&identity));
        assert_eq!(decode_g1_again(&[0xff; 48]), decode_g1(&[0xff; 48]));
    }

    #[test]
    fn the_identity_of_g2_is_refused() {
        let bytes = G2Affine::identity().to_compressed();
        assert_eq!(
            decode_g2(&bytes),
            Err(PointError::Identity(hex::encode(bytes)))
        );
    }
}
