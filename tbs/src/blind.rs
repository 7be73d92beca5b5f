//! Blinding a message and removing the blinding: multiplicative, as an oblivious PRF does it, so that nothing but the
//! client's own factor is needed to unblind.

use bls12_381::{G1Affine, G1Projective, Scalar};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::curve::{decode_g1_again, nonzero, normalize, point_type};
use crate::{glv, Message, PointError, ScalarError, Signature};

point_type!(
    /// A message hidden by a [`BlindingKey`], which is what guardians sign: B = r·H(m).
    BlindedMessage, G1Affine, decode_g1, 48
);

impl BlindedMessage {
    /// Decodes bytes that [`from_bytes`](Self::from_bytes) has accepted before, in half of its time: whether the point lies
    /// in the subgroup is not looked at again.
    ///
    /// ⚠ Never for bytes straight from outside: signing a point outside the subgroup reveals a part of the key.
    ///
    /// # Errors
    /// Refuses encodings that are not canonical, and the identity.
    pub fn from_accepted_bytes(bytes: &[u8; Self::LEN]) -> Result<Self, PointError> {
        decode_g1_again(bytes).map(Self)
    }
}

point_type!(
    /// Shares combined, the blinding still on: C = r·σ.
    BlindSignature, G1Affine, decode_g1, 48
);

/// The secret factor r that hides a message. Erased when dropped.
///
/// It is not encoded anywhere: derive it again from the seed that it came from.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct BlindingKey(Scalar);

impl BlindingKey {
    /// A factor from 64 bytes that are uniform, or look so (a key derivation function's output). Twice the size of a
    /// scalar, so that the reduction leaves no bias.
    ///
    /// # Errors
    /// [`ScalarError::Zero`] if they reduce to zero, which happens once in 2²⁵⁵.
    pub fn from_uniform_bytes(bytes: &[u8; 64]) -> Result<Self, ScalarError> {
        nonzero(Scalar::from_bytes_wide(bytes)).map(Self)
    }

    /// The multiplier that removes the blinding from a signature that is `factor` times too large.
    pub(crate) fn inverse(&self, factor: &Scalar) -> InverseKey {
        // Neither is zero; if they were, the product would fail its verification.
        let mut product = self.0 * factor;
        let inverse = product.invert().unwrap_or(Scalar::zero());
        product.zeroize();
        InverseKey(inverse)
    }
}

impl std::fmt::Debug for BlindingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BlindingKey(..)")
    }
}

/// r⁻¹, as secret as r.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct InverseKey(pub(crate) Scalar);

/// Hides `message`. The result is uniform and independent of the message.
pub fn blind(message: &Message, key: &BlindingKey) -> BlindedMessage {
    let hash = G1Affine::from(message.hash());
    BlindedMessage(glv::mul(&hash, &key.0).into())
}

/// [`blind`] for many messages, a little faster.
pub fn blind_many<'a>(
    messages: impl IntoIterator<Item = (&'a Message, &'a BlindingKey)>,
) -> Vec<BlindedMessage> {
    let (hashes, keys): (Vec<G1Projective>, Vec<&BlindingKey>) = messages
        .into_iter()
        .map(|(message, key)| (message.hash(), key))
        .unzip();
    let hashes = normalize(&hashes);
    let blinded: Vec<_> = hashes
        .iter()
        .zip(keys)
        .map(|(hash, key)| glv::mul(hash, &key.0))
        .collect();
    normalize(&blinded)
        .into_iter()
        .map(BlindedMessage)
        .collect()
}

/// Removes the blinding: σ = r⁻¹·C. The result is a signature only if every share was right: verify it.
pub fn unblind(signature: &BlindSignature, key: &BlindingKey) -> Signature {
    let inverse = key.inverse(&Scalar::one());
    Signature(glv::mul(&signature.0, &inverse.0).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::hash_to_curve;

    #[test]
    fn zero_is_refused() {
        let error = BlindingKey::from_uniform_bytes(&[0; 64]).err();
        assert_eq!(error, Some(ScalarError::Zero));
    }

    #[test]
    fn debug_hides_the_factor() {
        let key = BlindingKey::from_uniform_bytes(&[7; 64]).expect("not zero");
        assert_eq!(format!("{key:?}"), "BlindingKey(..)");
    }

    /// Another e-cash protocol with the same algebra and a domain separation tag of its own.
    #[test]
    fn cashu_v3_round_trip() {
        let text = include_str!("../tests/vectors/cashu_v3.json");
        let vector: serde_json::Value = serde_json::from_str(text).expect("JSON");
        let text = |name: &str| vector[name].as_str().expect("a string");
        let scalar = |name: &str| Scalar::from(vector[name].as_u64().expect("an integer"));
        let hash = hash_to_curve(text("secret").as_bytes(), text("dst").as_bytes());
        let hash = G1Affine::from(hash);
        assert_eq!(hex::encode(hash.to_compressed()), text("Y"));
        let blinded = G1Affine::from(glv::mul(&hash, &scalar("r")));
        assert_eq!(BlindedMessage(blinded).to_string(), text("B_"));
        let signed = BlindSignature(glv::mul(&blinded, &scalar("a")).into());
        assert_eq!(signed.to_string(), text("C_"));
        assert_eq!(
            unblind(&signed, &BlindingKey(scalar("r"))).to_string(),
            text("C")
        );
    }
}
