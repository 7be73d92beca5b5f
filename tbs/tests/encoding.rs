//! Encodings: fixed size, strict, and silent about secrets.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::{BTreeSet, HashSet};
use std::fmt::{Debug, Display};
use std::str::FromStr;

use common::{blinding_key, index, Federation};
use guildmint_tbs::{
    blind, combine, BlindedMessage, Message, PublicKey, PublicKeySet, ScalarError, SecretKeyShare,
    Signature, SignatureShare,
};
use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde::Serialize;

/// Round trips, sizes, and that a damaged encoding is refused in both kinds of format.
fn check<T>(value: &T, len: usize)
where
    T: Serialize + DeserializeOwned + PartialEq + Debug + Display + FromStr,
{
    let bytes = bincode::serialize(value).unwrap();
    assert_eq!(bytes.len(), len);
    assert_eq!(&bincode::deserialize::<T>(&bytes).unwrap(), value);
    assert_eq!(hex::encode(&bytes), value.to_string());
    let json = serde_json::to_string(value).unwrap();
    assert_eq!(json, format!("\"{value}\""));
    assert_eq!(&serde_json::from_str::<T>(&json).unwrap(), value);
    assert!(value
        .to_string()
        .parse::<T>()
        .is_ok_and(|parsed| &parsed == value));
    assert!(format!("{value:?}").contains(&value.to_string()));

    let mut identity = vec![0; len];
    identity[0] = 0xc0;
    for bad in [&bytes[1..], &identity, &vec![0xff; len]] {
        assert!(bincode::deserialize::<T>(bad).is_err());
        let text = hex::encode(bad);
        assert!(text.parse::<T>().is_err());
        assert!(serde_json::from_str::<T>(&format!("\"{text}\"")).is_err());
    }
    assert!("zz".repeat(len).parse::<T>().is_err());
}

#[test]
fn points_have_fixed_strict_encodings() {
    let federation = Federation::new(2, 3, 1);
    let message = Message::note(&[1; 32]);
    let key = blinding_key(2);
    let shares = federation.sign(&message, &key);
    check(&blind(&message, &key), BlindedMessage::LEN);
    check(&shares[0].1, SignatureShare::LEN);
    check(&combine(2, &shares).unwrap(), 48);
    check(&federation.issue(&message), Signature::LEN);
    check(federation.keys.keys().aggregate(), PublicKey::LEN);
    check(federation.keys.keys().share(index(1)).unwrap(), 96);
}

#[test]
fn points_are_ordered_by_encoding() {
    let federation = Federation::new(1, 9, 1);
    let shares = federation.sign(&Message::note(&[1; 32]), &blinding_key(2));
    assert_eq!(
        shares
            .iter()
            .map(|(_, share)| *share)
            .collect::<HashSet<_>>()
            .len(),
        1
    );
    let points: BTreeSet<_> = (0..20)
        .map(|nonce| blind(&Message::note(&[nonce; 32]), &blinding_key(3)))
        .collect();
    let encodings: BTreeSet<_> = points.iter().map(|point| point.to_bytes()).collect();
    assert_eq!(
        points
            .iter()
            .map(|point| point.to_bytes())
            .collect::<Vec<_>>(),
        Vec::from_iter(encodings)
    );
}

#[test]
fn key_sets_are_checked_when_decoded() {
    let federation = Federation::new(3, 4, 1);
    let keys = federation.keys.keys();
    let json = serde_json::to_value(keys).unwrap();
    assert_eq!(
        &serde_json::from_value::<PublicKeySet>(json.clone()).unwrap(),
        keys
    );
    let bytes = bincode::serialize(keys).unwrap();
    assert_eq!(&bincode::deserialize::<PublicKeySet>(&bytes).unwrap(), keys);

    for threshold in [2, 4] {
        let mut changed = json.clone();
        changed["threshold"] = threshold.into();
        assert!(serde_json::from_value::<PublicKeySet>(changed).is_err());
    }
    let mut changed = json.clone();
    changed["shares"]["1"] = json["shares"]["2"].clone();
    assert!(serde_json::from_value::<PublicKeySet>(changed).is_err());
    let mut changed = json.clone();
    changed["shares"]["0"] = json["shares"]["1"].clone();
    assert!(serde_json::from_value::<PublicKeySet>(changed).is_err());
}

#[test]
fn secret_shares_refuse_zero_and_overflow_and_stay_hidden() {
    let decode = |bytes: &[u8; 32]| {
        SecretKeyShare::from_bytes(index(3), bytes).map(|share| share.to_bytes())
    };
    let order = "73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001";
    let mut bytes = [0; 32];
    assert_eq!(decode(&bytes), Err(ScalarError::Zero));
    hex::decode_to_slice(order, &mut bytes).unwrap();
    assert_eq!(decode(&bytes), Err(ScalarError::NotCanonical));
    bytes[31] = 0;
    assert_eq!(*decode(&bytes).unwrap(), bytes);
    let share = SecretKeyShare::from_bytes(index(3), &bytes).unwrap();
    assert_eq!(
        format!("{share:?}"),
        "SecretKeyShare { index: ShareIndex(3), .. }"
    );
}

proptest! {
    #[test]
    fn one_changed_byte_is_refused(nonce in any::<[u8; 32]>(), position in 0..48usize, change in 1..=255u8) {
        let point = blind(&Message::note(&nonce), &blinding_key(2));
        let mut encoding = point.to_bytes();
        encoding[position] ^= change;
        match BlindedMessage::from_bytes(&encoding) {
            // The flag for the sign of y: the point's inverse, encoded canonically.
            Ok(decoded) => {
                prop_assert_eq!((position, change), (0, 0x20));
                prop_assert_eq!(decoded.to_bytes(), encoding);
            }
            Err(_) => prop_assert_ne!((position, change), (0, 0x20)),
        }
    }

    #[test]
    fn arbitrary_bytes_never_decode(bytes in any::<[[u8; 16]; 6]>()) {
        let mut encoding = [0; 96];
        encoding.copy_from_slice(bytes.as_flattened());
        prop_assert!(PublicKey::from_bytes(&encoding).is_err());
    }
}
