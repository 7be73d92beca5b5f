//! Messages and their hash to G1 (RFC 9380).

use std::fmt;

use bls12_381::hash_to_curve::{ExpandMsgXmd, HashToField, MapToCurve};
use bls12_381::G1Projective;
use sha2_v09::Sha256;

/// The signature suite, used as it stands as the domain separation tag of the hash to the curve: signatures in G1, keys
/// in G2, basic scheme (draft-irtf-cfrg-bls-signature, section 4.2.1).
pub const DST: &[u8] = b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_";

/// First byte of the message that a note signs. A later kind of nonce takes another value.
const NOTE_VERSION: u8 = 0x01;

/// An element of the base field, a type that the curve crate exports only through this trait.
pub(crate) type Fp = <G1Projective as MapToCurve>::Field;

/// What a signature signs: any bytes, hashed when they are needed.
///
/// For a note the message is the nonce, which would link its issue with its redemption, so `Debug` shows the length only.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Message(Vec<u8>);

impl Message {
    /// A message of arbitrary bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The message of a note: `0x01 ‖ nonce`, the nonce being an x-only public key (SPEC MIN-2).
    pub fn note(nonce: &[u8; 32]) -> Self {
        let mut bytes = Vec::with_capacity(33);
        bytes.push(NOTE_VERSION);
        bytes.extend_from_slice(nonce);
        Self(bytes)
    }

    /// The bytes that are hashed.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn hash(&self) -> G1Projective {
        hash_to_curve(&self.0, DST)
    }

    /// A point that [`clear_cofactor`] turns into the hash. Being linear, that step may follow a whole sum.
    pub(crate) fn map(&self) -> G1Projective {
        map_to_curve(&self.0, DST)
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Message({} bytes)", self.0.len())
    }
}

/// `hash_to_curve` of RFC 9380, section 3, for suite `BLS12381G1_XMD:SHA-256_SSWU_RO_`.
pub(crate) fn hash_to_curve(bytes: &[u8], dst: &[u8]) -> G1Projective {
    clear_cofactor(&map_to_curve(bytes, dst))
}

pub(crate) fn clear_cofactor(point: &G1Projective) -> G1Projective {
    point.clear_h()
}

fn map_to_curve(bytes: &[u8], dst: &[u8]) -> G1Projective {
    let mut u = [Fp::default(); 2];
    Fp::hash_to_field::<ExpandMsgXmd<Sha256>>(bytes, dst, &mut u);
    u.iter().map(G1Projective::map_to_curve).sum()
}

#[cfg(test)]
mod tests {
    use bls12_381::G1Affine;

    use super::*;

    #[test]
    fn the_suite_is_pinned() {
        assert_eq!(DST, b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_");
    }

    #[test]
    fn a_note_signs_version_and_nonce() {
        let message = Message::note(&[7; 32]);
        assert_eq!(message.as_bytes()[0], 1);
        assert_eq!(message.as_bytes()[1..], [7; 32]);
        assert_eq!(format!("{message:?}"), "Message(33 bytes)");
    }

    /// RFC 9380, appendix J.9.1.
    #[test]
    fn rfc_9380_vectors() {
        let text = include_str!("../tests/vectors/rfc9380_j9_1.json");
        let vectors: serde_json::Value = serde_json::from_str(text).expect("JSON");
        let dst = vectors["dst"].as_str().expect("dst").as_bytes();
        let cases = vectors["vectors"].as_array().expect("vectors");
        assert_eq!(cases.len(), 5);
        for case in cases {
            let message = case["msg"].as_str().expect("msg");
            let point = G1Affine::from(hash_to_curve(message.as_bytes(), dst)).to_uncompressed();
            assert_eq!(hex::encode(&point[..48]), case["x"], "{message}");
            assert_eq!(hex::encode(&point[48..]), case["y"], "{message}");
        }
    }
}
