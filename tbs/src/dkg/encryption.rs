//! The keys to which shares are encrypted, and the encryption: hashed ElGamal with one ephemeral key for a whole dealing.
//!
//! No tag authenticates a ciphertext: what comes out is checked against the dealer's commitments.

use bls12_381::{G1Affine, Scalar};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::proof::{prove, verify, Claim, Proof};
use super::transcript::Transcript;
use super::Params;
use crate::curve::{nonzero, point_type};
use crate::wire::Bytes;
use crate::{glv, kdf, ScalarError, ShareIndex};

const POSSESSION_TAG: &[u8] = b"guildmint-tbs/dkg/possession/1";
const SHARE_TAG: &[u8] = b"guildmint-tbs/dkg/share/1";

point_type!(
    /// The key to which a guardian's shares are encrypted: P = p·g₁. Fixed by the guardian's setup code.
    EncryptionKey, G1Affine, decode_g1, 48
);

/// The secret p of an [`EncryptionKey`]. Erased when dropped, never shown.
///
/// It is not encoded anywhere: derive it again from the seed that it came from. Together with the log of a ceremony it
/// restores a guardian's shares.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct EncryptionSecret(Scalar);

impl EncryptionSecret {
    /// A secret from 64 bytes that are uniform, or look so (a key derivation function's output).
    ///
    /// # Errors
    /// [`ScalarError::Zero`] if they reduce to zero, which happens once in 2²⁵⁵.
    pub fn from_uniform_bytes(bytes: &[u8; 64]) -> Result<Self, ScalarError> {
        nonzero(Scalar::from_bytes_wide(bytes)).map(Self)
    }

    /// The public key.
    pub fn public_key(&self) -> EncryptionKey {
        EncryptionKey(glv::mul(&G1Affine::generator(), &self.0).into())
    }

    /// Proves that the secret is known, to whoever reads the public key in this context: in a setup code, the rest of it.
    pub fn prove_possession(&self, context: &[u8]) -> ProofOfPossession {
        let claim = Claim::InG1(&self.public_key().0);
        let purpose = Transcript::new(POSSESSION_TAG).with(context);
        ProofOfPossession(prove(purpose, &claim, &self.0))
    }

    /// D = p·E.
    pub(super) fn shared_point(&self, ephemeral: &G1Affine) -> G1Affine {
        glv::mul(ephemeral, &self.0).into()
    }

    /// Proves `claim` with the secret as its witness.
    pub(super) fn prove(&self, purpose: Transcript, claim: &Claim<'_>) -> Proof {
        prove(purpose, claim, &self.0)
    }
}

impl std::fmt::Debug for EncryptionSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EncryptionSecret(..)")
    }
}

/// A proof that the secret of an [`EncryptionKey`] is known: 48 bytes, which mean nothing before they are verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProofOfPossession(Proof);

impl ProofOfPossession {
    /// Length of the encoding: 48 bytes.
    pub const LEN: usize = Proof::LEN;

    /// A proof as it was sent. Any bytes will do, until they are verified.
    pub fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(Proof(Bytes(bytes)))
    }

    /// The encoding.
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        self.0 .0 .0
    }

    /// Whether whoever made the proof, for this context, knew the secret of `key`.
    pub fn verify(&self, key: &EncryptionKey, context: &[u8]) -> bool {
        let purpose = Transcript::new(POSSESSION_TAG).with(context);
        verify(purpose, &Claim::InG1(&key.0), &self.0)
    }
}

/// The pads of one dealer's shares for one recipient, a pad for each key, from the shared point D = e·P = p·E.
pub(super) struct Pads {
    key: kdf::Key,
    info: Transcript,
}

impl Pads {
    pub(super) fn new(
        params: &Params,
        (dealer, ephemeral): (ShareIndex, &G1Affine),
        recipient: ShareIndex,
        shared: &G1Affine,
    ) -> Self {
        let secret = Zeroizing::new(shared.to_compressed());
        Self {
            key: kdf::extract(SHARE_TAG, &*secret),
            info: Transcript::new(SHARE_TAG)
                .with(params.context())
                .with(&ephemeral.to_compressed())
                .with_index(dealer)
                .with_index(recipient),
        }
    }

    /// The 32 bytes with the pad for this key put on or taken off.
    pub(super) fn apply(&self, key: usize, bytes: &[u8; 32]) -> Zeroizing<[u8; 32]> {
        let info = self.info.clone().with_number(key as u64).digest();
        let mut padded = kdf::expand::<32>(&self.key, &info);
        padded.iter_mut().zip(bytes).for_each(|(pad, b)| *pad ^= b);
        padded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn possession_is_proved_for_one_key_and_context() {
        let secret = EncryptionSecret::from_uniform_bytes(&[1; 64]).expect("not zero");
        let other = EncryptionSecret::from_uniform_bytes(&[2; 64]).expect("not zero");
        let proof = secret.prove_possession(b"code");
        let again = ProofOfPossession::from_bytes(proof.to_bytes());
        assert!(again.verify(&secret.public_key(), b"code"));
        assert!(!proof.verify(&secret.public_key(), b"another"));
        assert!(!proof.verify(&other.public_key(), b"code"));
        assert!(!ProofOfPossession::from_bytes([0; 48]).verify(&secret.public_key(), b"code"));
    }

    #[test]
    fn secrets_are_not_shown_and_not_zero() {
        let secret = EncryptionSecret::from_uniform_bytes(&[1; 64]).expect("not zero");
        assert_eq!(format!("{secret:?}"), "EncryptionSecret(..)");
        let zero = EncryptionSecret::from_uniform_bytes(&[0; 64]).err();
        assert_eq!(zero, Some(ScalarError::Zero));
    }
}
