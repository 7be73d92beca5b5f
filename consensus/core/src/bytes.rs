//! Points and keys as they travel: undecoded, so that reading a transaction costs no curve arithmetic.

use std::{fmt, str::FromStr};

use serde::{
    de::{Deserializer, Error as _, SeqAccess, Visitor},
    ser::{SerializeTuple, Serializer},
    Deserialize, Serialize,
};
use thiserror::Error;

/// Exactly `N` bytes that are not yet known to mean anything: hexadecimal for people, bare bytes in binary formats.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes<const N: usize>(pub [u8; N]);

/// Text that is not so many bytes in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{text:?} is not {digits} hexadecimal digits")]
pub struct ParseBytesError {
    /// The beginning of the text.
    pub text: String,
    /// How many digits there should be.
    pub digits: usize,
}

impl<const N: usize> fmt::Display for Bytes<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl<const N: usize> fmt::Debug for Bytes<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<const N: usize> FromStr for Bytes<N> {
    type Err = ParseBytesError;

    fn from_str(text: &str) -> Result<Self, ParseBytesError> {
        let mut bytes = [0; N];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| ParseBytesError {
            text: text.chars().take(120).collect(),
            digits: 2 * N,
        })?;
        Ok(Self(bytes))
    }
}

impl<const N: usize> Serialize for Bytes<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.collect_str(self);
        }
        // A tuple has no length in front: one note would otherwise carry 16 bytes that say nothing.
        let mut tuple = serializer.serialize_tuple(N)?;
        for byte in &self.0 {
            tuple.serialize_element(byte)?;
        }
        tuple.end()
    }
}

impl<'de, const N: usize> Deserialize<'de> for Bytes<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            return text.parse().map_err(D::Error::custom);
        }
        deserializer.deserialize_tuple(N, Tuple)
    }
}

struct Tuple<const N: usize>;

impl<'de, const N: usize> Visitor<'de> for Tuple<N> {
    type Value = Bytes<N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{N} bytes")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Bytes<N>, A::Error> {
        let mut bytes = [0; N];
        for (position, byte) in bytes.iter_mut().enumerate() {
            *byte = sequence
                .next_element()?
                .ok_or_else(|| A::Error::invalid_length(position, &self))?;
        }
        Ok(Bytes(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_for_people_and_bare_for_machines() {
        let bytes = Bytes([0xab; 3]);
        assert_eq!(serde_json::to_string(&bytes).unwrap(), "\"ababab\"");
        assert_eq!(
            serde_json::from_str::<Bytes<3>>("\"ababab\"").unwrap(),
            bytes
        );
        let mut encoded = Vec::new();
        crate::encoding::write(&mut encoded, &bytes);
        assert_eq!(encoded, [0xab; 3]);
        assert_eq!(crate::encoding::read::<Bytes<3>>(&encoded), Ok(bytes));
    }

    #[test]
    fn refuses_other_lengths_and_digits() {
        for text in ["abab", "abababab", "ababxx", ""] {
            assert_eq!(
                text.parse::<Bytes<3>>().unwrap_err().to_string(),
                format!("{text:?} is not 6 hexadecimal digits")
            );
        }
        assert!(crate::encoding::read::<Bytes<3>>(&[1, 2]).is_err());
    }
}
