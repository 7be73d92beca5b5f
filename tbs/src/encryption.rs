//! Threshold encryption of 32 bytes, with data that the ciphertext authenticates (SPEC LN-2).
//!
//! Baek and Zheng's scheme, moved to a pairing with two groups and given associated data. PK = f(0)·g₂ is a key as for signatures,
//! shared in the same way, but ⚠ never one that also signs: shares here are multiples of points that a stranger chose.
//!
//! | step | who | what |
//! |---|---|---|
//! | [`encrypt`] | anyone | U = r·g₂, V = m ⊕ HKDF(r·PK; U), W = r·H(U ‖ V ‖ data) |
//! | [`Ciphertext::verify`] | guardian | e(W, g₂) = e(H, U): whoever made it knew r, and meant these data |
//! | [`decryption_share`] | guardian | Dᵢ = sᵢ·U, ⚠ of verified ciphertexts alone |
//! | [`combine`] | who may read it | D = Σ λᵢ·Dᵢ = r·PK over any t shares; m = V ⊕ HKDF(D; U) |
//! | [`ValidCiphertext::is_key`] | anyone | e(H, D) = e(W, PK): D is the one right key, whatever it decrypts to |
//!
//! A guardian whose share is wrong is found by e(H, Dᵢ) = e(W, PKᵢ). Because a ciphertext of different data, or a changed one, fails its
//! verification, shares of it are given to nobody, and an onlooker learns nothing from watching others decrypt: the
//! scheme withstands chosen ciphertexts, under the assumption of bilinear Diffie–Hellman, in the random oracle model.
//!
//! ```
//! use guildmint_tbs::{dealer, encryption::{combine, decryption_share, encrypt, EphemeralSecret}};
//! use rand_chacha::{rand_core::SeedableRng, ChaCha20Rng};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (keys, guardians) = dealer::deal(3, 4, &mut ChaCha20Rng::seed_from_u64(1))?;
//! // In earnest these bytes are random, or come from a key derivation function, and are used once.
//! let secret = EphemeralSecret::from_uniform_bytes(&[3; 64])?;
//! let ciphertext = encrypt(keys.aggregate(), &[7; 32], b"for whom", &secret);
//!
//! assert!(ciphertext.verify(b"for another").is_err());
//! let ciphertext = ciphertext.verify(b"for whom")?;
//! let shares: Vec<_> = guardians[1..]
//!     .iter()
//!     .map(|key| (key.index(), decryption_share(key, &ciphertext)))
//!     .collect();
//! let key = combine(&keys, &ciphertext, &shares)?;
//! assert_eq!(*ciphertext.decrypt(&key), [7; 32]);
//! # Ok(())
//! # }
//! ```

use std::collections::BTreeMap;
use std::fmt;

use bls12_381::{G1Affine, G2Affine, G2Projective, Scalar};
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::curve::{decode_g1, decode_g2, nonzero, point_type};
use crate::hash::hash_to_curve;
use crate::verify::{pairings_cancel, prepare, product_is_one};
use crate::{
    glv, kdf, lagrange, PointError, PublicKey, PublicKeySet, PublicKeyShare, ScalarError,
    SecretKeyShare, ShareIndex,
};

/// Domain separation tag of the hash to the curve, another than that of signatures (RFC 9380, section 3.1).
pub const DST: &[u8] = b"GUILDMINT-ENCRYPTION-V01-with-BLS12381G1_XMD:SHA-256_SSWU_RO_";

const PAD_TAG: &[u8] = b"guildmint-tbs/encryption/pad/1";

/// Bytes of a message, and of the ciphertext's part that hides it.
pub const MESSAGE_LEN: usize = 32;

/// The secret number r of one ciphertext. Erased when dropped. ⚠ Used once: two messages under one would have one pad.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct EphemeralSecret(Scalar);

impl EphemeralSecret {
    /// A number from 64 bytes that are uniform, or look so (a key derivation function's output).
    ///
    /// # Errors
    /// [`ScalarError::Zero`] if they reduce to zero, which happens once in 2²⁵⁵.
    pub fn from_uniform_bytes(bytes: &[u8; 64]) -> Result<Self, ScalarError> {
        nonzero(Scalar::from_bytes_wide(bytes)).map(Self)
    }
}

impl fmt::Debug for EphemeralSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EphemeralSecret(..)")
    }
}

/// An encrypted message, decoded and not verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ciphertext {
    u: G2Affine,
    v: [u8; MESSAGE_LEN],
    w: G1Affine,
}

/// A ciphertext that its maker did not make, or not for these data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the ciphertext does not hold for these data")]
pub struct InvalidCiphertext;

/// Encrypts 32 bytes to a key, for whoever any t holders of its shares will let read it.
///
/// Neither the message nor `secret` is in the time that this takes.
pub fn encrypt(
    key: &PublicKey,
    message: &[u8; MESSAGE_LEN],
    associated_data: &[u8],
    secret: &EphemeralSecret,
) -> Ciphertext {
    let u = G2Affine::from(G2Affine::generator() * secret.0);
    let shared = DecryptionKey(G2Affine::from(key.0 * secret.0));
    let v = *shared.pad(&u, message);
    let hash = hash(&u, &v, associated_data);
    let w = glv::mul(&hash, &secret.0).into();
    Ciphertext { u, v, w }
}

fn hash(u: &G2Affine, v: &[u8; MESSAGE_LEN], associated_data: &[u8]) -> G1Affine {
    // U and V have one length each, so the data may have any.
    let bytes = [&u.to_compressed()[..], v, associated_data].concat();
    hash_to_curve(&bytes, DST).into()
}

impl Ciphertext {
    /// Decodes U, V and W.
    ///
    /// # Errors
    /// Refuses encodings of points that are not canonical, points outside the subgroup, and the identity.
    pub fn from_parts(
        u: &[u8; 96],
        v: &[u8; MESSAGE_LEN],
        w: &[u8; 48],
    ) -> Result<Self, PointError> {
        Ok(Self {
            u: decode_g2(u)?,
            v: *v,
            w: decode_g1(w)?,
        })
    }

    /// The encodings of U, V and W.
    pub fn to_parts(&self) -> ([u8; 96], [u8; MESSAGE_LEN], [u8; 48]) {
        (self.u.to_compressed(), self.v, self.w.to_compressed())
    }

    /// Checks that whoever made it knew its secret, and meant it for these data.
    ///
    /// # Errors
    /// If not.
    pub fn verify(self, associated_data: &[u8]) -> Result<ValidCiphertext, InvalidCiphertext> {
        let hash = hash(&self.u, &self.v, associated_data);
        match pairings_cancel(&self.w, &[(hash, &prepare(&self.u))]) {
            true => Ok(ValidCiphertext {
                ciphertext: self,
                hash,
            }),
            false => Err(InvalidCiphertext),
        }
    }
}

/// A ciphertext that holds for its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValidCiphertext {
    ciphertext: Ciphertext,
    hash: G1Affine,
}

point_type!(
    /// One guardian's part of a decryption: Dᵢ = sᵢ·U. Fewer than t of them say nothing about the message.
    DecryptionShare, G2Affine, decode_g2, 96
);

/// What decrypts one ciphertext, and nothing else: D = r·PK = f(0)·U. Erased when dropped, never shown.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct DecryptionKey(G2Affine);

impl DecryptionKey {
    /// Decodes the compressed form, 96 bytes.
    ///
    /// # Errors
    /// Refuses encodings that are not canonical, points outside the subgroup, and the identity.
    pub fn from_bytes(bytes: &[u8; 96]) -> Result<Self, PointError> {
        decode_g2(bytes).map(Self)
    }

    /// The compressed form.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 96]> {
        Zeroizing::new(self.0.to_compressed())
    }

    /// The bytes with the pad put on or taken off.
    fn pad(&self, u: &G2Affine, bytes: &[u8; MESSAGE_LEN]) -> Zeroizing<[u8; MESSAGE_LEN]> {
        let key = kdf::extract(PAD_TAG, &*self.to_bytes());
        let mut padded = kdf::expand::<MESSAGE_LEN>(&key, &u.to_compressed());
        padded.iter_mut().zip(bytes).for_each(|(pad, b)| *pad ^= b);
        padded
    }
}

impl fmt::Debug for DecryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DecryptionKey(..)")
    }
}

/// A guardian's share of the decryption, in constant time.
///
/// ⚠ That the ciphertext holds is what makes this safe; that the asker may read it is for the guardian to know.
pub fn decryption_share(key: &SecretKeyShare, ciphertext: &ValidCiphertext) -> DecryptionShare {
    DecryptionShare((ciphertext.ciphertext.u * key.scalar()).into())
}

/// Why shares do not decrypt.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecryptError {
    /// Fewer shares than the threshold.
    #[error("{have} decryption shares, {need} needed")]
    NotEnough {
        /// Shares given.
        have: usize,
        /// The threshold.
        need: u16,
    },
    /// Two shares for one index.
    #[error("two decryption shares have index {0}")]
    DuplicateIndex(ShareIndex),
    /// No guardian has this index.
    #[error("no key share has index {0}")]
    UnknownIndex(ShareIndex),
    /// These shares are wrong. Drop them and combine the rest, if enough are left.
    #[error("wrong decryption shares from {culprits:?}")]
    WrongShares {
        /// The indices of the wrong shares, in ascending order.
        culprits: Vec<ShareIndex>,
    },
}

/// Combines the t shares with the lowest indices, and verifies the result once. Only if that fails it verifies the shares one by one.
///
/// # Errors
/// If shares are too few, repeated or of no guardian; if they are wrong, which ones. After [`DecryptError::WrongShares`] the others are
/// right, and can be combined if they are enough.
pub fn combine(
    keys: &PublicKeySet,
    ciphertext: &ValidCiphertext,
    shares: &[(ShareIndex, DecryptionShare)],
) -> Result<DecryptionKey, DecryptError> {
    let selected = select(keys, shares)?;
    let (sum, factor) = lagrange::at_zero::<G2Projective, _>(&selected);
    let inverse = factor.invert().unwrap_or(factor);
    let key = DecryptionKey((sum * inverse).into());
    // The identity is no key: it would pass the equation of no valid ciphertext, since neither W nor PK is the identity.
    if ciphertext.is_key(keys.aggregate(), &key) {
        return Ok(key);
    }
    let right = |(index, share): &(ShareIndex, DecryptionShare)| {
        keys.share(*index)
            .is_some_and(|key| ciphertext.is_share(key, share))
    };
    let wrong = shares.iter().filter(|share| !right(share));
    let mut culprits: Vec<_> = wrong.map(|(index, _)| *index).collect();
    culprits.sort_unstable();
    Err(DecryptError::WrongShares { culprits })
}

fn select(
    keys: &PublicKeySet,
    shares: &[(ShareIndex, DecryptionShare)],
) -> Result<BTreeMap<ShareIndex, G2Affine>, DecryptError> {
    let mut selected = BTreeMap::new();
    for (index, share) in shares {
        if keys.share(*index).is_none() {
            return Err(DecryptError::UnknownIndex(*index));
        }
        if selected.insert(*index, share.0).is_some() {
            return Err(DecryptError::DuplicateIndex(*index));
        }
    }
    let need = keys.threshold();
    match selected.len() < need.into() {
        true => Err(DecryptError::NotEnough {
            have: selected.len(),
            need,
        }),
        false => Ok(selected.into_iter().take(need.into()).collect()),
    }
}

impl ValidCiphertext {
    /// The ciphertext.
    pub fn ciphertext(&self) -> &Ciphertext {
        &self.ciphertext
    }

    /// Whether a guardian's share is right: e(H, Dᵢ) = e(W, PKᵢ).
    pub fn is_share(&self, key: &PublicKeyShare, share: &DecryptionShare) -> bool {
        self.same(&share.0, &key.0)
    }

    /// Whether `decryption_key` is what t right shares combine to: e(H, D) = e(W, PK). There is one such key, so what it decrypts to is what
    /// was encrypted, be it sense or nonsense.
    pub fn is_key(&self, key: &PublicKey, decryption_key: &DecryptionKey) -> bool {
        self.same(&decryption_key.0, &key.0)
    }

    fn same(&self, multiple: &G2Affine, key: &G2Affine) -> bool {
        let minus_w = -self.ciphertext.w;
        product_is_one(&[(&self.hash, &prepare(multiple)), (&minus_w, &prepare(key))])
    }

    /// What was encrypted, if the key is [the right one](Self::is_key).
    pub fn decrypt(&self, key: &DecryptionKey) -> Zeroizing<[u8; MESSAGE_LEN]> {
        key.pad(&self.ciphertext.u, &self.ciphertext.v)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown_and_not_zero() {
        let secret = EphemeralSecret::from_uniform_bytes(&[7; 64]).expect("not zero");
        assert_eq!(format!("{secret:?}"), "EphemeralSecret(..)");
        let zero = EphemeralSecret::from_uniform_bytes(&[0; 64]).err();
        assert_eq!(zero, Some(ScalarError::Zero));
        let key = DecryptionKey(G2Affine::generator());
        assert_eq!(format!("{key:?}"), "DecryptionKey(..)");
    }

    #[test]
    fn the_tag_is_pinned_and_another_than_that_of_signatures() {
        let expected = b"GUILDMINT-ENCRYPTION-V01-with-BLS12381G1_XMD:SHA-256_SSWU_RO_";
        assert_eq!(DST, expected);
        assert_ne!(DST, crate::DST);
    }
}
