//! Guardians' identity keys: Ed25519, the same that authenticate their connections (SPEC GEN-9).

use std::fmt;

use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::encoding::hex_array;

/// A guardian's secret identity key. Wiped from memory when dropped; never printed.
#[derive(Clone)]
pub struct IdentityKey(SigningKey);

impl IdentityKey {
    /// The key with this secret seed (RFC 8032).
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The secret seed, for the secrets file and the network's own copy.
    #[must_use]
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> IdentityPublicKey {
        IdentityPublicKey(self.0.verifying_key().to_bytes())
    }

    /// Signs a tagged hash.
    #[must_use]
    pub fn sign(&self, hash: &[u8; 32]) -> IdentitySignature {
        IdentitySignature(self.0.sign(hash).to_bytes())
    }
}

impl fmt::Debug for IdentityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IdentityKey(of {})", self.public())
    }
}

/// A guardian's public identity key, 32 bytes of RFC 8032.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IdentityPublicKey(#[serde(with = "hex_array")] pub [u8; 32]);

impl IdentityPublicKey {
    /// Checks a signature over a tagged hash, by the strict rule that all verifiers share.
    ///
    /// # Errors
    /// If the key is no key or the signature is not its signature over the hash.
    pub fn verify(
        &self,
        hash: &[u8; 32],
        signature: &IdentitySignature,
    ) -> Result<(), WrongSignature> {
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        VerifyingKey::from_bytes(&self.0)
            .and_then(|key| key.verify_strict(hash, &signature))
            .map_err(|_| WrongSignature(*self))
    }
}

impl fmt::Display for IdentityPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for IdentityPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IdentityPublicKey({})", hex::encode(&self.0[..6]))
    }
}

/// A signature that a guardian did not make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not a signature of {0}")]
pub struct WrongSignature(pub IdentityPublicKey);

/// A guardian's signature, 64 bytes of RFC 8032.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct IdentitySignature(#[serde(with = "hex_array")] pub [u8; 64]);

impl fmt::Debug for IdentitySignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IdentitySignature({})", hex::encode(&self.0[..6]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_of_one_key_over_one_hash() {
        let key = IdentityKey::from_seed(&[1; 32]);
        let signature = key.sign(&[2; 32]);
        assert_eq!(key.public().verify(&[2; 32], &signature), Ok(()));
        assert!(key.public().verify(&[3; 32], &signature).is_err());
        let other = IdentityKey::from_seed(&[9; 32]).public();
        assert_eq!(
            other.verify(&[2; 32], &signature),
            Err(WrongSignature(other))
        );
    }

    #[test]
    fn the_secret_is_never_printed() {
        let shown = format!("{:?}", IdentityKey::from_seed(&[0xab; 32]));
        assert!(!shown.contains(&hex::encode([0xab; 4])));
    }

    #[test]
    fn rfc_8032_test_1() {
        let seed = hex::decode("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
        let key = IdentityKey::from_seed(&seed.unwrap().try_into().unwrap());
        assert_eq!(
            key.public().to_string(),
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
        );
    }
}
