//! What several tests need.
#![allow(dead_code, clippy::unwrap_used)]

use guildmint_tbs::{
    blind, combine_and_unblind, dealer, sign_share, BlindingKey, Message, PreparedKeySet,
    SecretKeyShare, ShareIndex, Signature, SignatureShare,
};
use rand_chacha::rand_core::SeedableRng;
use rand_chacha::ChaCha20Rng;

/// A federation with a dealt key.
pub struct Federation {
    pub keys: PreparedKeySet,
    pub guardians: Vec<SecretKeyShare>,
}

impl Federation {
    pub fn new(threshold: u16, guardians: u16, seed: u64) -> Self {
        let (keys, guardians) =
            dealer::deal(threshold, guardians, &mut ChaCha20Rng::seed_from_u64(seed)).unwrap();
        Self {
            keys: keys.into(),
            guardians,
        }
    }

    /// Every guardian's share of a signature on `message`, blinded with `key`.
    pub fn sign(&self, message: &Message, key: &BlindingKey) -> Vec<(ShareIndex, SignatureShare)> {
        let blinded = blind(message, key);
        self.guardians
            .iter()
            .map(|guardian| (guardian.index(), sign_share(guardian, &blinded)))
            .collect()
    }

    /// A finished signature on `message`.
    pub fn issue(&self, message: &Message) -> Signature {
        let key = blinding_key(7);
        combine_and_unblind(
            self.keys.keys().threshold(),
            &self.sign(message, &key),
            &key,
        )
        .unwrap()
    }
}

pub fn blinding_key(seed: u8) -> BlindingKey {
    BlindingKey::from_uniform_bytes(&[seed; 64]).unwrap()
}

pub fn index(number: u16) -> ShareIndex {
    ShareIndex::try_from(number).unwrap()
}
