//! HKDF with SHA-256 (RFC 5869), for what must stay secret. The hash's inner state is on the stack and is not wiped.

use bls12_381::Scalar;
use sha2_v09::{Digest, Sha256};
use zeroize::Zeroizing;

/// Bytes that a hash takes in at a time.
const BLOCK: usize = 64;

/// A key from which others are derived.
pub(crate) type Key = Zeroizing<[u8; 32]>;

/// HMAC (RFC 2104). Keys here are no longer than a block.
fn hmac(key: &[u8], message: &[&[u8]]) -> Key {
    let pad = |with: u8| {
        let mut block = Zeroizing::new([with; BLOCK]);
        block.iter_mut().zip(key).for_each(|(b, k)| *b ^= k);
        block
    };
    let mut inner = Sha256::new();
    inner.update(pad(0x36).as_slice());
    for part in message {
        inner.update(part);
    }
    let outer = Sha256::new()
        .chain(pad(0x5c).as_slice())
        .chain(inner.finalize());
    Zeroizing::new(outer.finalize().into())
}

/// HKDF-Extract. The salt says what the key is for; it is a constant shorter than a block.
pub(crate) fn extract(salt: &'static [u8], secret: &[u8]) -> Key {
    debug_assert!(salt.len() <= BLOCK);
    hmac(salt, &[secret])
}

/// HKDF-Expand, to a length of at most 255·32 bytes.
pub(crate) fn expand<const N: usize>(key: &Key, info: &[u8]) -> Zeroizing<[u8; N]> {
    const { assert!(N <= 255 * 32) };
    let mut output = Zeroizing::new([0; N]);
    let mut before = None::<Key>;
    for (counter, chunk) in (1u8..).zip(output.chunks_mut(32)) {
        let first: &[u8] = before.as_ref().map_or(&[], |block| &block[..]);
        let block = hmac(&key[..], &[first, info, &[counter]]);
        chunk.copy_from_slice(&block[..chunk.len()]);
        before = Some(block);
    }
    output
}

/// A uniform scalar: 64 bytes reduced, which leaves no bias. Zero once in 2²⁵⁵.
pub(crate) fn expand_to_scalar(key: &Key, info: &[u8]) -> Zeroizing<Scalar> {
    Zeroizing::new(Scalar::from_bytes_wide(&expand(key, info)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 5869, appendices A.1 and A.3.
    #[test]
    fn rfc_5869_vectors() {
        let key = extract(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], &[0x0b; 22]);
        let info: Vec<u8> = (0xf0..=0xf9).collect();
        assert_eq!(
            hex::encode(*expand::<42>(&key, &info)),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
        );
        let key = extract(&[], &[0x0b; 22]);
        assert_eq!(
            hex::encode(*expand::<42>(&key, &[])),
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"
        );
    }
}
