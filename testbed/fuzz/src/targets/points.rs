//! Points of the curve, in every role.

use guildmint_tbs::{
    BlindSignature, BlindedMessage, PublicKey, PublicKeyShare, Signature, SignatureShare,
};

macro_rules! same_bytes {
    ($bytes:expr, $text:expr, $($point:ty)*) => {
        $(
            if let Ok(bytes) = $bytes.try_into() {
                if let Ok(point) = <$point>::from_bytes(bytes) {
                    assert_eq!(&point.to_bytes(), bytes);
                }
            }
            if let Ok(point) = $text.parse::<$point>() {
                assert_eq!(point.to_string(), $text.to_lowercase());
            }
        )*
    };
}

/// Whatever is a point is so in one encoding only, in bytes and in hexadecimal.
pub fn target(bytes: &[u8]) {
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    same_bytes!(bytes, text,
        BlindSignature BlindedMessage PublicKey PublicKeyShare Signature SignatureShare
    );
}
