//! Notes as their owner holds them.

use std::fmt;

use guildmint_core::TxId;
use secp256k1::{schnorr::Signature, Keypair, Message, SECP256K1};
use serde::{de::Error as _, Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use crate::{Bytes, Denomination, Nonce, Note, PointBytes};

/// A note and the key that spends it. Whoever has these bytes has the money.
///
/// Serializing one is meant, for wallets must store it and notes strings carry it. It is 81 bytes: denomination, spend
/// key, signature; the nonce follows from the key. `Debug` shows the denomination only.
#[derive(Clone)]
pub struct SpendableNote {
    note: Note,
    key: Keypair,
}

/// The x-only public key.
pub(super) fn nonce(key: &Keypair) -> Nonce {
    Bytes(key.x_only_public_key().0.serialize())
}

impl SpendableNote {
    pub(super) fn new(denomination: Denomination, key: Keypair, signature: PointBytes) -> Self {
        let note = Note {
            denomination,
            nonce: nonce(&key),
            signature,
        };
        Self { note, key }
    }

    /// What guardians may see of it.
    #[must_use]
    pub fn note(&self) -> &Note {
        &self.note
    }

    /// What it is worth.
    #[must_use]
    pub fn denomination(&self) -> Denomination {
        self.note.denomination
    }

    /// Its name.
    #[must_use]
    pub fn nonce(&self) -> Nonce {
        self.note.nonce
    }

    /// Signs a transaction that spends it. The same transaction always gets the same signature, so that submitting it again
    /// submits the same bytes (SPEC TX-6).
    #[must_use]
    pub fn sign(&self, id: TxId) -> Signature {
        SECP256K1.sign_schnorr_no_aux_rand(&Message::from_digest(id.0), &self.key)
    }
}

impl Drop for SpendableNote {
    fn drop(&mut self) {
        self.key.non_secure_erase();
    }
}

impl PartialEq for SpendableNote {
    fn eq(&self, other: &Self) -> bool {
        self.note == other.note
    }
}

impl Eq for SpendableNote {}

impl fmt::Debug for SpendableNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SpendableNote({}, ..)", self.note.denomination)
    }
}

impl Serialize for SpendableNote {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let key = Zeroizing::new(self.key.secret_bytes());
        let fields = (self.note.denomination, Bytes(*key), self.note.signature);
        fields.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SpendableNote {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (denomination, key, signature): (_, Bytes<32>, _) =
            Deserialize::deserialize(deserializer)?;
        let key = Zeroizing::new(key.0);
        // The error does not quote the key.
        let key = Keypair::from_seckey_slice(SECP256K1, &*key)
            .map_err(|_| D::Error::custom("a note's spend key is not a secp256k1 key"))?;
        Ok(Self::new(denomination, key, signature))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note() -> SpendableNote {
        let key = Keypair::from_seckey_slice(SECP256K1, &[0x77; 32]).unwrap();
        SpendableNote::new(Denomination::MIN, key, Bytes([0xc5; 48]))
    }

    #[test]
    fn round_trip_in_both_kinds_of_format() {
        let mut bytes = Vec::new();
        guildmint_core::encoding::write(&mut bytes, &note());
        assert_eq!(bytes.len(), 81);
        let read: SpendableNote = guildmint_core::encoding::read(&bytes).unwrap();
        assert_eq!((read.note(), read.key), (note().note(), note().key));
        let json = serde_json::to_string(&note()).unwrap();
        assert_eq!(
            serde_json::from_str::<SpendableNote>(&json).unwrap(),
            note()
        );
    }

    #[test]
    fn refuses_what_is_no_key_without_showing_it() {
        let mut bytes = Vec::new();
        guildmint_core::encoding::write(&mut bytes, &note());
        bytes[1..33].fill(0xff);
        let error = guildmint_core::encoding::read::<SpendableNote>(&bytes).unwrap_err();
        assert!(!error.to_string().contains("ff"), "{error}");
    }

    #[test]
    fn debug_hides_key_and_nonce() {
        assert_eq!(format!("{:?}", note()), "SpendableNote(1 msat, ..)");
    }
}
