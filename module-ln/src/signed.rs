//! Signatures of users and gateways: BIP-340 over tagged hashes.

use bitcoin::secp256k1::{schnorr::Signature, Keypair, Message, XOnlyPublicKey};
use secp256k1::SECP256K1;
use thiserror::Error;

/// A signature that its key did not make over what it stands under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not a signature of {0} over this")]
pub struct WrongSignature(pub XOnlyPublicKey);

pub(crate) fn sign(key: &Keypair, hash: [u8; 32]) -> Signature {
    SECP256K1.sign_schnorr_no_aux_rand(&Message::from_digest(hash), key)
}

pub(crate) fn verify(
    key: &XOnlyPublicKey,
    hash: [u8; 32],
    signature: &Signature,
) -> Result<(), WrongSignature> {
    SECP256K1
        .verify_schnorr(signature, &Message::from_digest(hash), key)
        .map_err(|_| WrongSignature(*key))
}
