//! A guardian's part: its share of the secret key and the signature shares it gives.

use bls12_381::{G1Affine, G2Affine, Scalar};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::curve::{nonzero, normalize, point_type};
use crate::verify::{pairings_cancel, prepare};
use crate::{glv, BlindedMessage, PublicKeyShare, ScalarError, ShareIndex};

point_type!(
    /// One guardian's signature on a blinded message: Sᵢ = sᵢ·B.
    SignatureShare, G1Affine, decode_g1, 48
);

/// One guardian's share of a secret key, sᵢ = f(xᵢ). Erased when dropped, never shown.
///
/// It must sign nothing but blinded messages that consensus has accepted: it cannot know what it signs.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SecretKeyShare {
    #[zeroize(skip)]
    index: ShareIndex,
    scalar: Scalar,
}

impl SecretKeyShare {
    pub(crate) fn new(index: ShareIndex, scalar: Scalar) -> Result<Self, ScalarError> {
        Ok(Self {
            index,
            scalar: nonzero(scalar)?,
        })
    }

    /// Decodes a share, 32 bytes big-endian.
    ///
    /// # Errors
    /// If the number is zero or not below the group order.
    pub fn from_bytes(index: ShareIndex, bytes: &[u8; 32]) -> Result<Self, ScalarError> {
        let mut little_endian = Zeroizing::new(*bytes);
        little_endian.reverse();
        let scalar: Option<Scalar> = Scalar::from_bytes(&little_endian).into();
        Self::new(index, scalar.ok_or(ScalarError::NotCanonical)?)
    }

    /// The secret number, 32 bytes big-endian, to be stored encrypted.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        let mut bytes = Zeroizing::new(self.scalar.to_bytes());
        bytes.reverse();
        bytes
    }

    /// Where on the polynomial this share lies.
    pub fn index(&self) -> ShareIndex {
        self.index
    }

    /// The number, for what else may be done with it in this crate.
    pub(crate) fn scalar(&self) -> &Scalar {
        &self.scalar
    }

    /// The public key of this share.
    pub fn public_key_share(&self) -> PublicKeyShare {
        PublicKeyShare((G2Affine::generator() * self.scalar).into())
    }
}

impl std::fmt::Debug for SecretKeyShare {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretKeyShare")
            .field("index", &self.index)
            .finish_non_exhaustive()
    }
}

/// Signs a blinded message.
pub fn sign_share(key: &SecretKeyShare, message: &BlindedMessage) -> SignatureShare {
    SignatureShare(glv::mul(&message.0, &key.scalar).into())
}

/// [`sign_share`] for many messages, each with its own key, a little faster.
pub fn sign_many<'a>(
    messages: impl IntoIterator<Item = (&'a SecretKeyShare, &'a BlindedMessage)>,
) -> Vec<SignatureShare> {
    let sign =
        |(key, message): (&SecretKeyShare, &BlindedMessage)| glv::mul(&message.0, &key.scalar);
    let signed: Vec<_> = messages.into_iter().map(sign).collect();
    normalize(&signed).into_iter().map(SignatureShare).collect()
}

/// Whether a guardian's share is right: e(Sᵢ, g₂) = e(B, PKᵢ).
///
/// Rarely needed: combine first, verify the result, and come here only to find out who cheated.
pub fn verify_share(
    key: &PublicKeyShare,
    message: &BlindedMessage,
    share: &SignatureShare,
) -> bool {
    pairings_cancel(&share.0, &[(message.0, &prepare(&key.0))])
}
