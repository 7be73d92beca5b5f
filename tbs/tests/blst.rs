//! Both directions against an independent implementation of the suite.
#![allow(clippy::unwrap_used)]

mod common;

use bls12_381::{pairing, G1Affine, G1Projective, G2Affine};
use blst::min_sig;
use blst::BLST_ERROR::BLST_SUCCESS;
use common::Federation;
use guildmint_tbs::{
    verify, verify_batch, Message, PointError, PreparedPublicKey, PublicKey, SecretKeyShare,
    ShareIndex, Signature, DST,
};
use proptest::prelude::*;

fn blst_accepts(key: &PublicKey, message: &Message, signature: &Signature) -> bool {
    let key = min_sig::PublicKey::key_validate(&key.to_bytes()).unwrap();
    let signature = min_sig::Signature::sig_validate(&signature.to_bytes(), true).unwrap();
    signature.verify(true, message.as_bytes(), DST, &[], &key, true) == BLST_SUCCESS
}

#[test]
fn a_point_of_small_order_cannot_ride_along() {
    let text = include_str!("vectors/g1_rejected.txt");
    let message = Message::note(&[4; 32]);
    let federation = Federation::new(2, 3, 1);
    let signature = federation.issue(&message);
    let signature = G1Affine::from_compressed(&signature.to_bytes()).unwrap();
    let mut added = 0;
    for line in text
        .lines()
        .filter(|line| line.starts_with(|c: char| c.is_ascii_digit()))
    {
        let mut torsion = [0; 48];
        hex::decode_to_slice(line.split(' ').nth(1).unwrap(), &mut torsion).unwrap();
        let torsion = G1Affine::from_compressed_unchecked(&torsion).unwrap();
        let sum = G1Affine::from(G1Projective::from(signature) + torsion);
        let encoding = sum.to_compressed();
        // The bare pairing equation cannot tell.
        assert_eq!(
            pairing(&sum, &G2Affine::generator()),
            pairing(&signature, &G2Affine::generator())
        );
        assert_eq!(
            Signature::from_bytes(&encoding),
            Err(PointError::NotInSubgroup(hex::encode(encoding)))
        );
        assert!(min_sig::Signature::sig_validate(&encoding, true).is_err());
        added += 1;
    }
    assert_eq!(added, 5);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn blst_verifies_ours(message in any::<Vec<u8>>(), seed in any::<u64>()) {
        let federation = Federation::new(3, 4, seed);
        let message = Message::new(message);
        let signature = federation.issue(&message);
        prop_assert!(blst_accepts(federation.keys.keys().aggregate(), &message, &signature));
        prop_assert!(!blst_accepts(federation.keys.keys().aggregate(), &Message::new("other"), &signature));
    }

    #[test]
    fn we_verify_blst_s(message in any::<Vec<u8>>(), seed in any::<[u8; 32]>()) {
        let secret = min_sig::SecretKey::key_gen(&seed, &[]).unwrap();
        let signature = Signature::from_bytes(&secret.sign(&message, DST, &[]).to_bytes()).unwrap();
        let key = PublicKey::from_bytes(&secret.sk_to_pk().to_bytes()).unwrap();
        let message = Message::new(message);
        let prepared = PreparedPublicKey::from(&key);
        prop_assert!(verify(&prepared, &message, &signature));
        prop_assert!(verify_batch(&[(&prepared, &message, &signature); 2]));
        prop_assert!(!verify(&prepared, &Message::new("other"), &signature) || message.as_bytes() == b"other");
    }

    #[test]
    fn secret_keys_have_blst_s_encoding(seed in any::<[u8; 32]>()) {
        let secret = min_sig::SecretKey::key_gen(&seed, &[]).unwrap();
        let ours = SecretKeyShare::from_bytes(ShareIndex::of_guardian(0).unwrap(), &secret.to_bytes()).unwrap();
        prop_assert_eq!(ours.public_key_share().to_bytes(), secret.sk_to_pk().to_bytes());
        prop_assert_eq!(*ours.to_bytes(), secret.to_bytes());
    }
}
