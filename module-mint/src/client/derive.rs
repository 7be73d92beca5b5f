//! All secrets of a wallet's notes follow from its seed, so that the words bring the money back (SPEC MIN-6).
//!
//! A tree of HMAC-SHA512: each node is the key, and a label with what follows it the message.
//!
//! ```text
//! seed ── "guildmint/mint/federation" ‖ id ── "denomination" ‖ k ── "note" ‖ index ┬─ "spend key"
//!                                                                                  └─ "blinding key"
//! ```
//! The federation is in the path: two federations must never see the same nonce or blinded message, and a seed used with
//! both must not spend the notes of one by showing those of the other.

use guildmint_core::FederationId;
use guildmint_tbs::{BlindingKey, Message};
use hmac::{Hmac, Mac};
use secp256k1::{Keypair, SECP256K1};
use serde::{Deserialize, Serialize};
use sha2::Sha512;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::note;
use crate::Denomination;

/// The seed of a wallet, as BIP-39 makes it from words and passphrase: 64 bytes. Erased when dropped, never shown.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct MasterSeed([u8; 64]);

impl MasterSeed {
    /// The seed with these bytes.
    #[must_use]
    pub fn new(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    /// The bytes, for what else is derived from the seed.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl std::fmt::Debug for MasterSeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterSeed(..)")
    }
}

/// Which of a wallet's notes: all its secrets follow from this and the seed.
///
/// ⚠ An index is used once. A second note with it has the nonce of the first, and guardians refuse to sign it (SPEC MIN-4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NoteRequest {
    /// What it is worth.
    pub denomination: Denomination,
    /// Its place among the wallet's notes of this denomination, from 0.
    pub index: u64,
}

impl NoteRequest {
    /// The note of a denomination with an index.
    #[must_use]
    pub fn new(denomination: Denomination, index: u64) -> Self {
        Self {
            denomination,
            index,
        }
    }
}

/// A node of the tree.
#[derive(Zeroize, ZeroizeOnDrop)]
struct Node([u8; 64]);

impl Node {
    fn child(&self, label: &str, data: &[u8]) -> Self {
        child(&self.0, label, data)
    }
}

fn child(key: &[u8; 64], label: &str, data: &[u8]) -> Node {
    // HMAC fills its key up to the hash's block; done here, no key has a wrong length.
    let mut block = Zeroizing::new([0; 128]);
    block[..64].copy_from_slice(key);
    let mut mac = Hmac::<Sha512>::new((&*block).into());
    mac.update(label.as_bytes());
    mac.update(data);
    Node(mac.finalize().into_bytes().into())
}

/// What all of a wallet's notes in one federation are derived from.
pub(super) struct FederationSecret(Node);

impl FederationSecret {
    pub(super) fn new(seed: &MasterSeed, federation: FederationId) -> Self {
        Self(child(&seed.0, "guildmint/mint/federation", &federation.0))
    }

    pub(super) fn note(&self, request: &NoteRequest) -> NoteSecret {
        let denomination = [request.denomination.exponent()];
        NoteSecret(
            self.0
                .child("denomination", &denomination)
                .child("note", &request.index.to_be_bytes()),
        )
    }
}

/// The secrets of one note.
pub(super) struct NoteSecret(Node);

impl NoteSecret {
    /// The key that spends the note.
    pub(super) fn spend_key(&self) -> Keypair {
        let mut node = self.0.child("spend key", &[]);
        loop {
            // One hash in 2^128 is no key. Then the next one is taken.
            match Keypair::from_seckey_slice(SECP256K1, &node.0[..32]) {
                Ok(key) => return key,
                Err(_) => node = node.child("spend key", &[]),
            }
        }
    }

    /// The key that hides the nonce from the guardians.
    pub(super) fn blinding_key(&self) -> BlindingKey {
        let mut node = self.0.child("blinding key", &[]);
        loop {
            match BlindingKey::from_uniform_bytes(&node.0) {
                Ok(key) => return key,
                Err(_) => node = node.child("blinding key", &[]),
            }
        }
    }

    /// What the signature signs.
    pub(super) fn message(&self) -> Message {
        Message::note(&note::nonce(&self.spend_key()).0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::client::issue::blinded;

    #[derive(Deserialize)]
    struct Vector {
        seed: String,
        federation: FederationId,
        denomination: Denomination,
        index: u64,
        spend_key: String,
        nonce: String,
        blinding_key: String,
    }

    /// Made by an independent program. If this fails, existing wallets lose their notes.
    #[test]
    fn vectors() {
        let text = include_str!("../../tests/vectors/derivation.json");
        let vectors: Vec<Vector> = serde_json::from_str(text).unwrap();
        for vector in vectors {
            let seed: crate::Bytes<64> = vector.seed.parse().unwrap();
            let federation = FederationSecret::new(&MasterSeed::new(seed.0), vector.federation);
            let note = federation.note(&NoteRequest::new(vector.denomination, vector.index));
            let key = note.spend_key();
            assert_eq!(hex::encode(key.secret_bytes()), vector.spend_key);
            assert_eq!(note::nonce(&key).to_string(), vector.nonce);
            let uniform = note.0.child("blinding key", &[]);
            assert_eq!(hex::encode(uniform.0), vector.blinding_key);
        }
    }

    #[test]
    fn every_step_of_the_path_matters() {
        let mut seen = BTreeSet::new();
        for (seed, federation, exponent, index) in [
            (0, 0, 0, 0),
            (1, 0, 0, 0),
            (0, 1, 0, 0),
            (0, 0, 1, 0),
            (0, 0, 0, 1),
            (0, 0, 0, 256),
        ] {
            let seed = MasterSeed::new([seed; 64]);
            let secret = FederationSecret::new(&seed, FederationId([federation; 32]));
            let denomination = Denomination::new(exponent).unwrap();
            let request = NoteRequest::new(denomination, index);
            let nonce = note::nonce(&secret.note(&request).spend_key());
            assert!(seen.insert(nonce.to_string()));
            assert!(seen.insert(blinded(&secret, &[request])[0].blinded.to_string()));
        }
    }

    #[test]
    fn debug_hides_the_seed() {
        assert_eq!(format!("{:?}", MasterSeed::new([7; 64])), "MasterSeed(..)");
    }
}
