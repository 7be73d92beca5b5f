//! Verification of one signature: e(σ, g₂) = e(H(m), PK), which is CoreVerify of draft-irtf-cfrg-bls-signature.

use std::sync::OnceLock;

use bls12_381::{multi_miller_loop, G1Affine, G2Affine, G2Prepared, Gt};

use crate::curve::point_type;
use crate::{Message, PublicKey};

point_type!(
    /// A finished signature, an ordinary BLS signature of the suite [`DST`](crate::DST): σ = f(0)·H(m).
    Signature, G1Affine, decode_g1, 48
);

/// A public key with the lines of its Miller loop computed once (about 20 kB). For keys that verify more than once.
#[derive(Clone)]
pub struct PreparedPublicKey {
    key: PublicKey,
    encoding: [u8; PublicKey::LEN],
    lines: G2Prepared,
}

impl PreparedPublicKey {
    /// The key itself.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    pub(crate) fn encoding(&self) -> &[u8; PublicKey::LEN] {
        &self.encoding
    }

    pub(crate) fn lines(&self) -> &G2Prepared {
        &self.lines
    }
}

impl From<&PublicKey> for PreparedPublicKey {
    fn from(key: &PublicKey) -> Self {
        Self {
            key: *key,
            encoding: key.to_bytes(),
            lines: prepare(&key.0),
        }
    }
}

impl std::fmt::Debug for PreparedPublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PreparedPublicKey({})", self.key)
    }
}

/// Whether `signature` is the signature on `message` under `key`.
pub fn verify(key: &PreparedPublicKey, message: &Message, signature: &Signature) -> bool {
    pairings_cancel(&signature.0, &[(message.hash().into(), &key.lines)])
}

pub(crate) fn prepare(key: &G2Affine) -> G2Prepared {
    G2Prepared::from(*key)
}

/// Whether e(signature, −g₂)·Π e(point, key) = 1: one Miller loop over all pairs and one final exponentiation.
pub(crate) fn pairings_cancel(signature: &G1Affine, pairs: &[(G1Affine, &G2Prepared)]) -> bool {
    static MINUS_GENERATOR: OnceLock<G2Prepared> = OnceLock::new();
    let minus_generator = MINUS_GENERATOR.get_or_init(|| prepare(&-G2Affine::generator()));
    let terms: Vec<(&G1Affine, &G2Prepared)> = std::iter::once((signature, minus_generator))
        .chain(pairs.iter().map(|(point, key)| (point, *key)))
        .collect();
    product_is_one(&terms)
}

/// Whether Π e(point, key) = 1.
pub(crate) fn product_is_one(pairs: &[(&G1Affine, &G2Prepared)]) -> bool {
    multi_miller_loop(pairs).final_exponentiation() == Gt::identity()
}
