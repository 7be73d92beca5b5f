//! Vectors: our own for the whole scheme, and a real threshold network's for the suite.
#![allow(clippy::unwrap_used)]

use guildmint_tbs::{
    blind, combine, combine_and_unblind, sign_share, unblind, verify, verify_batch, verify_share,
    BlindingKey, Message, PreparedKeySet, PreparedPublicKey, PublicKey, PublicKeySet,
    SecretKeyShare, ShareIndex, Signature,
};
use serde_json::Value;

fn load(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn text<'a>(vector: &'a Value, name: &str) -> &'a str {
    vector[name].as_str().unwrap()
}

/// A small number as the uniform bytes that reduce to it.
fn small_blinding_key(number: u64) -> BlindingKey {
    let mut bytes = [0; 64];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    BlindingKey::from_uniform_bytes(&bytes).unwrap()
}

/// The shares f(1), f(2), … of the polynomial in the vector.
fn key_shares(vector: &Value) -> Vec<SecretKeyShare> {
    let coefficients: Vec<u64> = serde_json::from_value(vector["coefficients"].clone()).unwrap();
    let count = vector["signature_shares"].as_array().unwrap().len() as u16;
    (1..=count)
        .map(|index| {
            let value = coefficients
                .iter()
                .rev()
                .fold(0, |sum, a| sum * u64::from(index) + a);
            let mut bytes = [0; 32];
            bytes[24..].copy_from_slice(&value.to_be_bytes());
            SecretKeyShare::from_bytes(ShareIndex::try_from(index).unwrap(), &bytes).unwrap()
        })
        .collect()
}

#[test]
fn every_step_of_the_scheme() {
    let vector = load(include_str!("vectors/threshold.json"));
    let key_shares = key_shares(&vector);
    let threshold = vector["threshold"].as_u64().unwrap() as u16;
    let public_key: PublicKey = text(&vector, "public_key").parse().unwrap();
    let table = key_shares
        .iter()
        .map(|key| (key.index(), key.public_key_share()));
    let keys = PreparedKeySet::from(PublicKeySet::new(threshold, public_key, table).unwrap());

    let message = Message::new(hex::decode(text(&vector, "message")).unwrap());
    // Blinding with r = 1 shows the hash.
    assert_eq!(
        blind(&message, &small_blinding_key(1)).to_string(),
        text(&vector, "hash")
    );
    let blinding_key = small_blinding_key(vector["blinding_factor"].as_u64().unwrap());
    let blinded = blind(&message, &blinding_key);
    assert_eq!(blinded.to_string(), text(&vector, "blinded"));

    let shares: Vec<_> = key_shares
        .iter()
        .map(|key| (key.index(), sign_share(key, &blinded)))
        .collect();
    for ((index, share), expected) in shares
        .iter()
        .zip(vector["signature_shares"].as_array().unwrap())
    {
        assert_eq!(share.to_string(), *expected, "share {index}");
        assert!(verify_share(
            keys.keys().share(*index).unwrap(),
            &blinded,
            share
        ));
    }

    let signature: Signature = text(&vector, "signature").parse().unwrap();
    assert!(verify(keys.aggregate(), &message, &signature));
    assert_eq!(
        unblind(&combine(threshold, &shares).unwrap(), &blinding_key),
        signature
    );
    assert_eq!(
        combine_and_unblind(threshold, &shares[1..], &blinding_key).unwrap(),
        signature
    );
    assert_eq!(
        keys.finalize(&message, &blinding_key, &shares).unwrap(),
        signature
    );
}

#[test]
fn a_beacon_of_drand() {
    let vector = load(include_str!("vectors/drand_quicknet.json"));
    let key = PreparedPublicKey::from(&text(&vector, "public_key").parse::<PublicKey>().unwrap());
    let signature: Signature = text(&vector, "signature").parse().unwrap();
    let message = Message::new(hex::decode(text(&vector, "message")).unwrap());
    assert!(verify(&key, &message, &signature));
    assert!(verify_batch(&[
        (&key, &message, &signature),
        (&key, &message, &signature)
    ]));
    assert!(!verify(&key, &Message::new("another round"), &signature));
}
