//! Tagged SHA-256 (BIP-340) and the identifiers made of it.

use sha2::{Digest as _, Sha256};

/// A SHA-256 with a domain: `SHA-256(SHA-256(tag) ‖ SHA-256(tag) ‖ data)`, as in BIP-340.
#[derive(Clone)]
pub struct Tagged(Sha256);

impl Tagged {
    /// Starts a hash in the domain `tag`.
    #[must_use]
    pub fn new(tag: &str) -> Self {
        let tag = Sha256::digest(tag.as_bytes());
        Self(Sha256::new().chain_update(tag).chain_update(tag))
    }

    /// Adds bytes of a fixed length, or the last ones.
    #[must_use]
    #[allow(clippy::should_implement_trait)] // a hash is not a number
    pub fn add(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.0.update(bytes);
        self
    }

    /// Adds bytes of any length: their number goes before them, so that two fields cannot be read as others.
    #[must_use]
    pub fn field(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.0.update((bytes.as_ref().len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    /// The hash.
    #[must_use]
    pub fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub [u8; 32]);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}({})", stringify!($name), hex::encode(&self.0[..6]))
            }
        }

        impl std::str::FromStr for $name {
            type Err = ParseHashError;

            fn from_str(text: &str) -> Result<Self, ParseHashError> {
                let mut bytes = [0; 32];
                hex::decode_to_slice(text, &mut bytes)
                    .map_err(|_| ParseHashError(text.chars().take(80).collect()))?;
                Ok(Self(bytes))
            }
        }

        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    self.0.serialize(serializer)
                }
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    let text = String::deserialize(deserializer)?;
                    text.parse().map_err(serde::de::Error::custom)
                } else {
                    <[u8; 32]>::deserialize(deserializer).map(Self)
                }
            }
        }
    };
}

/// Text that is not 32 bytes in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not 64 hexadecimal digits")]
pub struct ParseHashError(pub String);

identifier! {
    /// Names a federation: the hash of its genesis config (SPEC GEN-6).
    FederationId
}
identifier! {
    /// Names the meeting in which a federation is founded, and its network ever after (SPEC GEN-6).
    SessionId
}
identifier! {
    /// Names a transaction; covers all but its signatures (SPEC TX-2).
    TxId
}
identifier! {
    /// The state of the federation after an epoch: a hash chain over everything agreed.
    Digest
}
identifier! {
    /// The hash of a revision of the config; for what comes before the first, the federation's id (SPEC GEN-6).
    RevisionHash
}
identifier! {
    /// The hash of an effective batch (SPEC EPO-7).
    BatchHash
}
identifier! {
    /// The hash of a contribution's payload (SPEC EPO-1).
    PayloadHash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tagged_hash_is_that_of_bip_340() {
        // The tag hash of "BIP0340/challenge" starts so in the BIP's reference code, for empty data.
        use bitcoin::hashes::{sha256, Hash, HashEngine};
        let tag = sha256::Hash::hash(b"guildmint/test");
        let mut engine = sha256::Hash::engine();
        engine.input(tag.as_byte_array());
        engine.input(tag.as_byte_array());
        engine.input(b"abc");
        assert_eq!(
            Tagged::new("guildmint/test").add(b"abc").finish(),
            sha256::Hash::from_engine(engine).to_byte_array()
        );
    }

    #[test]
    fn fields_cannot_run_into_each_other() {
        let one = Tagged::new("t").field(b"ab").field(b"c").finish();
        let two = Tagged::new("t").field(b"a").field(b"bc").finish();
        assert_ne!(one, two);
    }

    #[test]
    fn identifiers_are_hexadecimal_for_people() {
        let id = TxId([0xab; 32]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(
            serde_json::from_str::<TxId>(&serde_json::to_string(&id).unwrap()).unwrap(),
            id
        );
        assert!("xyz".parse::<TxId>().is_err());
    }
}
