//! Names of things on Lightning, as bytes. In text they are hexadecimal.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Why text is not the name of something.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is not {1} bytes in hexadecimal")]
pub struct ParseIdError(String, usize);

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $bytes:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(#[serde(with = "hexadecimal")] pub [u8; $bytes]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), hex::encode(&self.0[..6]))
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                let mut bytes = [0; $bytes];
                hex::decode_to_slice(text, &mut bytes)
                    .map_err(|_| ParseIdError(text.chars().take(80).collect(), $bytes))?;
                Ok(Self(bytes))
            }
        }
    };
}

id!(
    /// The SHA-256 of a preimage. It names a payment.
    PaymentHash,
    32
);
id!(
    /// A node's public key, compressed.
    NodeId,
    33
);
id!(
    /// A channel. It keeps this name until it is closed and forgotten.
    ChannelId,
    32
);
id!(
    /// What the gateway calls a request for the invoice of an offer. Drawn at random.
    RequestId,
    32
);
id!(
    /// A transaction of bitcoin, in the order in which people write it.
    ChainTxid,
    32
);

/// What a payee gives up when it is paid. Whoever has it can claim, so it is not shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub struct Preimage(#[serde(with = "hexadecimal")] pub [u8; 32]);

impl Preimage {
    /// The payment that it is for.
    #[must_use]
    pub fn hash(&self) -> PaymentHash {
        PaymentHash(Sha256::digest(self.0).into())
    }
}

impl fmt::Debug for Preimage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Preimage(of {:?})", self.hash())
    }
}

/// Bytes of a known number: hexadecimal for people, raw otherwise.
mod hexadecimal {
    use serde::{de::Error as _, Deserialize as _, Deserializer, Serialize as _, Serializer};

    pub(super) fn serialize<S: Serializer, const N: usize>(
        bytes: &[u8; N],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            hex::encode(bytes).serialize(serializer)
        } else {
            use serde::ser::SerializeTuple as _;
            let mut tuple = serializer.serialize_tuple(N)?;
            for byte in bytes {
                tuple.serialize_element(byte)?;
            }
            tuple.end()
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>, const N: usize>(
        deserializer: D,
    ) -> Result<[u8; N], D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            let mut bytes = [0; N];
            hex::decode_to_slice(&text, &mut bytes).map_err(D::Error::custom)?;
            Ok(bytes)
        } else {
            deserializer.deserialize_tuple(N, Bytes::<N>)
        }
    }

    struct Bytes<const N: usize>;

    impl<'de, const N: usize> serde::de::Visitor<'de> for Bytes<N> {
        type Value = [u8; N];

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "{N} bytes")
        }

        fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<[u8; N], A::Error> {
            let mut bytes = [0; N];
            for (place, byte) in bytes.iter_mut().enumerate() {
                let next = seq.next_element()?;
                *byte = next.ok_or_else(|| A::Error::invalid_length(place, &self))?;
            }
            Ok(bytes)
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        let node = NodeId([2; 33]);
        assert_eq!(node.to_string().parse(), Ok(node));
        for bad in ["", "00", "zz", &"00".repeat(34)] {
            assert!(bad.parse::<NodeId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_preimage_is_not_shown() {
        let preimage = Preimage([0x5a; 32]);
        assert!(!format!("{preimage:?}").contains("5a5a"));
        // Both by sha256sum.
        assert_eq!(
            Preimage([0; 32]).hash().to_string(),
            "66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925"
        );
    }
}
