//! The one encoding of everything that is hashed, signed, sent or stored (SPEC GEN-4).

use bincode::Options;
use serde::{de::DeserializeOwned, Deserialize, Serialize};
use thiserror::Error;

pub use guildmint_derive::Wire;

/// A type with one canonical, bounded, versioned encoding: a version byte, then bincode with fixed-width little-endian
/// integers. Derive it: `#[derive(Wire)] #[wire(version = 1, max_bytes = 1024)]`.
pub trait Wire: Serialize + DeserializeOwned {
    /// The first byte of every encoding. A reader that knows another version refuses.
    const VERSION: u8;
    /// The longest encoding that is read, in bytes, the version byte included.
    const MAX_BYTES: usize;

    /// The canonical encoding.
    fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![Self::VERSION];
        write(&mut bytes, self);
        bytes
    }

    /// Reads a canonical encoding.
    ///
    /// # Errors
    /// If the bytes are too long, of another version, malformed, or not the canonical encoding of what they mean.
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > Self::MAX_BYTES {
            return Err(DecodeError::TooLong {
                bytes: bytes.len(),
                max: Self::MAX_BYTES,
            });
        }
        let (version, body) = bytes.split_first().ok_or(DecodeError::Empty)?;
        if *version != Self::VERSION {
            return Err(DecodeError::UnknownVersion(*version));
        }
        let value: Self = read(body)?;
        // Whatever decodes must have exactly one encoding, or one transaction would have two ids.
        if value.encode() != bytes {
            return Err(DecodeError::NotCanonical);
        }
        Ok(value)
    }
}

/// Why bytes were refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// There were no bytes at all.
    #[error("empty encoding")]
    Empty,
    /// More bytes than the type may have.
    #[error("{bytes} bytes where at most {max} are allowed")]
    TooLong {
        /// How many there were.
        bytes: usize,
        /// How many are allowed.
        max: usize,
    },
    /// A version that this software does not know.
    #[error("unknown version {0}")]
    UnknownVersion(u8),
    /// The bytes do not describe a value.
    #[error("malformed: {0}")]
    Malformed(String),
    /// The bytes describe a value that is written differently.
    #[error("not the canonical encoding")]
    NotCanonical,
}

fn options() -> impl Options {
    bincode::DefaultOptions::new()
        .with_fixint_encoding()
        .with_little_endian()
        .reject_trailing_bytes()
}

/// Appends the bare encoding of a value, without a version byte: for parts of something that has one.
pub fn write<T: Serialize + ?Sized>(bytes: &mut Vec<u8>, value: &T) {
    #[allow(clippy::expect_used)]
    options().serialize_into(bytes, value).expect(
        "writing to memory fails only for sequences of unknown length, which no type here has",
    );
}

/// Reads a bare encoding, refusing trailing bytes.
///
/// # Errors
/// If the bytes do not describe a `T`.
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    options()
        .with_limit(bytes.len() as u64)
        .deserialize(bytes)
        .map_err(|error| DecodeError::Malformed(error.to_string()))
}

/// Appends an encoding whose byte order is the order of the values: for database keys.
pub fn write_ordered<T: Serialize + ?Sized>(bytes: &mut Vec<u8>, value: &T) {
    #[allow(clippy::expect_used)]
    options()
        .with_big_endian()
        .serialize_into(bytes, value)
        .expect(
            "writing to memory fails only for sequences of unknown length, which no type here has",
        );
}

/// Reads what [`write_ordered`] wrote.
///
/// # Errors
/// If the bytes do not describe a `T`.
pub fn read_ordered<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, DecodeError> {
    options()
        .with_big_endian()
        .with_limit(bytes.len() as u64)
        .deserialize(bytes)
        .map_err(|error| DecodeError::Malformed(error.to_string()))
}

/// A number that is a decimal string in JSON, whose readers may know no integers beyond 2^53, and raw in bytes:
/// `#[serde(with = "decimal")]` (SPEC API-1).
pub mod decimal {
    use serde::{de, Deserialize, Deserializer, Serialize, Serializer};

    /// Writes the number.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(number)
        } else {
            number.serialize(serializer)
        }
    }

    /// Reads the number.
    ///
    /// # Errors
    /// If it is no decimal string, or those of the deserializer.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            text.parse().map_err(de::Error::custom)
        } else {
            u64::deserialize(deserializer)
        }
    }
}

/// Bytes that are hexadecimal where people read and raw where machines do: `#[serde(with = "hex_bytes")]`.
pub mod hex_bytes {
    use serde::{de, Deserialize, Deserializer, Serialize, Serializer};

    /// Writes the bytes.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            hex::encode(bytes).serialize(serializer)
        } else {
            serializer.serialize_bytes(bytes)
        }
    }

    /// Reads the bytes.
    ///
    /// # Errors
    /// If they are no hexadecimal string, or those of the deserializer.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            hex::decode(text).map_err(de::Error::custom)
        } else {
            deserializer.deserialize_byte_buf(Bytes)
        }
    }

    struct Bytes;

    impl de::Visitor<'_> for Bytes {
        type Value = Vec<u8>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("bytes")
        }

        fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
            Ok(bytes.to_vec())
        }

        fn visit_byte_buf<E: de::Error>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
            Ok(bytes)
        }
    }
}

/// The same for arrays: `#[serde(with = "hex_array")]`.
pub mod hex_array {
    use serde::{de, Deserializer, Serializer};

    /// Writes the bytes.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer, const N: usize>(
        bytes: &[u8; N],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        super::hex_bytes::serialize(bytes, serializer)
    }

    /// Reads the bytes.
    ///
    /// # Errors
    /// If there are not `N` of them, or those of the deserializer.
    pub fn deserialize<'de, D: Deserializer<'de>, const N: usize>(
        deserializer: D,
    ) -> Result<[u8; N], D::Error> {
        let bytes = super::hex_bytes::deserialize(deserializer)?;
        bytes.try_into().map_err(|bytes: Vec<u8>| {
            de::Error::invalid_length(bytes.len(), &"exactly as many bytes as the type has")
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Wire)]
    #[wire(version = 3, max_bytes = 100)]
    struct Sample {
        set: BTreeSet<u8>,
        map: BTreeMap<u8, u16>,
        #[serde(with = "hex_bytes")]
        bytes: Vec<u8>,
    }

    fn sample() -> Sample {
        Sample {
            set: [1, 2].into(),
            map: [(7, 8)].into(),
            bytes: vec![9],
        }
    }

    #[test]
    fn round_trip() {
        let bytes = sample().encode();
        assert_eq!(bytes[0], 3);
        assert_eq!(Sample::decode(&bytes), Ok(sample()));
        let json = serde_json::to_string(&sample()).unwrap();
        assert!(json.contains("\"09\""));
        assert_eq!(serde_json::from_str::<Sample>(&json).unwrap(), sample());
    }

    #[test]
    fn refuses_what_is_not_canonical() {
        let mut unsorted = sample().encode();
        unsorted.swap(9, 10);
        assert_eq!(Sample::decode(&unsorted), Err(DecodeError::NotCanonical));
        let mut duplicate = sample().encode();
        duplicate[10] = 1;
        assert_eq!(Sample::decode(&duplicate), Err(DecodeError::NotCanonical));
    }

    #[test]
    fn refuses_trailing_bytes_other_versions_and_excess() {
        let mut bytes = sample().encode();
        bytes.push(0);
        assert!(matches!(
            Sample::decode(&bytes),
            Err(DecodeError::Malformed(_))
        ));
        bytes[0] = 4;
        assert_eq!(Sample::decode(&bytes), Err(DecodeError::UnknownVersion(4)));
        assert_eq!(
            Sample::decode(&[3; 101]),
            Err(DecodeError::TooLong {
                bytes: 101,
                max: 100
            })
        );
        assert_eq!(Sample::decode(&[]), Err(DecodeError::Empty));
    }

    #[test]
    fn a_length_that_lies_allocates_nothing() {
        let mut bytes = vec![3];
        bytes.extend([0xff; 8]);
        assert!(matches!(
            Sample::decode(&bytes),
            Err(DecodeError::Malformed(_))
        ));
    }

    #[test]
    fn ordered_encoding_keeps_the_order() {
        let key = |n: u64| {
            let mut bytes = Vec::new();
            write_ordered(&mut bytes, &n);
            bytes
        };
        assert!(key(1) < key(256));
        assert_eq!(read_ordered::<u64>(&key(256)), Ok(256));
    }
}
