//! Pay-to-contract: keys that commit to bytes (SPEC WAL-1).

use bitcoin::secp256k1::{PublicKey, Scalar, SecretKey, XOnlyPublicKey};
use guildmint_core::encoding::hex_array;
use hmac::{Hmac, Mac};
use secp256k1::SECP256K1;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use thiserror::Error;

/// What a key of the federation is tweaked by: a depositor's x-only key, or a hash for the federation's own change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Tweak(#[serde(with = "hex_array")] pub [u8; 32]);

impl From<XOnlyPublicKey> for Tweak {
    fn from(key: XOnlyPublicKey) -> Self {
        Self(key.serialize())
    }
}

/// A tweak that turns a key into none. Nobody will ever find one: its chance is 2^-128.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the tweak {} gives no key", hex(.0))]
pub struct TweakError(pub Tweak);

fn hex(tweak: &Tweak) -> String {
    tweak.0.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// HMAC-SHA256 with the key P over the tweak, as a number.
fn scalar(key: &PublicKey, tweak: &Tweak) -> Result<Scalar, TweakError> {
    let mac = Hmac::<Sha256>::new_from_slice(&key.serialize()).map_err(|_| TweakError(*tweak))?;
    let bytes = mac.chain_update(tweak.0).finalize().into_bytes().into();
    Scalar::from_be_bytes(bytes).map_err(|_| TweakError(*tweak))
}

/// P' = P + HMAC-SHA256(P, tweak)·G.
///
/// # Errors
/// If there is no such key, which does not happen.
pub fn tweak_public(key: &PublicKey, tweak: &Tweak) -> Result<PublicKey, TweakError> {
    key.add_exp_tweak(SECP256K1, &scalar(key, tweak)?)
        .map_err(|_| TweakError(*tweak))
}

/// The secret key of [`tweak_public`].
///
/// # Errors
/// If there is no such key, which does not happen.
pub fn tweak_secret(secret: &SecretKey, tweak: &Tweak) -> Result<SecretKey, TweakError> {
    let public = secret.public_key(SECP256K1);
    secret
        .add_tweak(&scalar(&public, tweak)?)
        .map_err(|_| TweakError(*tweak))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_and_public_tweaks_agree() {
        for byte in 1..20 {
            let secret = SecretKey::from_slice(&[byte; 32]).unwrap();
            let tweak = Tweak([byte ^ 0x55; 32]);
            assert_eq!(
                tweak_secret(&secret, &tweak).unwrap().public_key(SECP256K1),
                tweak_public(&secret.public_key(SECP256K1), &tweak).unwrap()
            );
        }
    }

    #[test]
    fn the_tweak_is_an_hmac_of_the_compressed_key() {
        use bitcoin::hashes::{hmac, sha256, Hash, HashEngine};
        let secret = SecretKey::from_slice(&[7; 32]).unwrap();
        let public = secret.public_key(SECP256K1);
        let mut engine = hmac::HmacEngine::<sha256::Hash>::new(&public.serialize());
        engine.input(&[9; 32]);
        let mac = hmac::Hmac::<sha256::Hash>::from_engine(engine).to_byte_array();
        let expected = public.combine(&SecretKey::from_slice(&mac).unwrap().public_key(SECP256K1));
        assert_eq!(
            tweak_public(&public, &Tweak([9; 32])),
            Ok(expected.unwrap())
        );
    }
}
