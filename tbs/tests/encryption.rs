//! Threshold encryption: vectors of our own, what any shares make of it, and what tampering does.

#![allow(clippy::unwrap_used)]

mod common;

use bls12_381::{
    hash_to_curve::{ExpandMsgXmd, HashToCurve},
    G1Affine, G1Projective, G2Affine, Scalar,
};
use common::index;
use guildmint_tbs::{
    dealer,
    encryption::{
        combine, decryption_share, encrypt, Ciphertext, DecryptError, DecryptionKey,
        DecryptionShare, EphemeralSecret, ValidCiphertext, DST,
    },
    PublicKey, PublicKeySet, PublicKeyShare, SecretKeyShare, ShareIndex,
};
use proptest::prelude::*;
use rand_chacha::{rand_core::SeedableRng, ChaCha20Rng};
use serde_json::Value as Json;
use sha2_v09::Sha256;

const MESSAGE: [u8; 32] = [9; 32];
const DATA: &[u8] = b"federation, hash, amount, claim key, expiry";

fn secret(byte: u8) -> EphemeralSecret {
    EphemeralSecret::from_uniform_bytes(&[byte; 64]).unwrap()
}

fn deal(threshold: u16, guardians: u16) -> (PublicKeySet, Vec<SecretKeyShare>) {
    dealer::deal(threshold, guardians, &mut ChaCha20Rng::seed_from_u64(5)).unwrap()
}

type Shares = Vec<(ShareIndex, DecryptionShare)>;

fn shares(guardians: &[SecretKeyShare], ciphertext: &ValidCiphertext) -> Shares {
    let share = |key: &SecretKeyShare| (key.index(), decryption_share(key, ciphertext));
    guardians.iter().map(share).collect()
}

fn example() -> (PublicKeySet, Vec<SecretKeyShare>, ValidCiphertext) {
    let (keys, guardians) = deal(3, 4);
    let ciphertext = encrypt(keys.aggregate(), &MESSAGE, DATA, &secret(1));
    (keys, guardians, ciphertext.verify(DATA).unwrap())
}

/// Written once with this crate, and checked here step by step with the curve alone.
#[test]
fn our_own_vector() {
    let vector: Json = serde_json::from_str(include_str!("vectors/encryption.json")).unwrap();
    let text = |name: &str| vector[name].as_str().unwrap().to_owned();
    let bytes = |name: &str| hex::decode(text(name)).unwrap();
    assert_eq!(DST, text("dst").as_bytes());
    let number = |name: &str| Scalar::from(vector[name].as_u64().unwrap());
    let (r, f0) = (number("r"), number("secret_key"));
    let data = bytes("associated_data");
    let ciphertext = Ciphertext::from_parts(
        &bytes("U").try_into().unwrap(),
        &bytes("V").try_into().unwrap(),
        &bytes("W").try_into().unwrap(),
    )
    .unwrap();
    let (u, v, w) = ciphertext.to_parts();

    let by_hand = G2Affine::from(G2Affine::generator() * r);
    assert_eq!(u, by_hand.to_compressed());
    let hashed = [&u[..], &v, &data].concat();
    let hash = <G1Projective as HashToCurve<ExpandMsgXmd<Sha256>>>::hash_to_curve(hashed, DST);
    assert_eq!(w, G1Affine::from(hash * r).to_compressed());
    let key = G2Affine::from(G2Affine::generator() * f0);
    let shared = G2Affine::from(key * r).to_compressed();
    assert_eq!(hex::encode(shared), text("decryption_key"));

    let valid = ciphertext.verify(&data).unwrap();
    let key: PublicKey = text("public_key").parse().unwrap();
    let decryption_key = DecryptionKey::from_bytes(&shared).unwrap();
    assert!(valid.is_key(&key, &decryption_key));
    assert_eq!(valid.decrypt(&decryption_key).to_vec(), bytes("message"));
    let all = vector["decryption_shares"].as_array().unwrap();
    for (place, share) in (1u64..).zip(all) {
        // f(x) = 5 + 7x + 11x².
        let f = Scalar::from(5 + 7 * place + 11 * place * place);
        let mut secret = f.to_bytes();
        secret.reverse();
        let guardian = SecretKeyShare::from_bytes(index(place as u16), &secret).unwrap();
        let share: DecryptionShare = share.as_str().unwrap().parse().unwrap();
        assert_eq!(decryption_share(&guardian, &valid), share);
        assert!(valid.is_share(&guardian.public_key_share(), &share));
    }
}

#[test]
fn every_three_of_four_read_it_and_no_two_do() {
    let (keys, guardians, ciphertext) = example();
    let all = shares(&guardians, &ciphertext);
    for left_out in 0..4 {
        let mut three = all.clone();
        three.remove(left_out);
        let key = combine(&keys, &ciphertext, &three).unwrap();
        assert_eq!(*ciphertext.decrypt(&key), MESSAGE);
        let error = combine(&keys, &ciphertext, &three[..2]).unwrap_err();
        assert_eq!(error, DecryptError::NotEnough { have: 2, need: 3 });
    }
}

#[test]
fn who_gives_a_wrong_share_is_named() {
    let (keys, guardians, ciphertext) = example();
    let right = shares(&guardians, &ciphertext);
    let mut wrong = right.clone();
    wrong[0].1 = right[1].1;
    wrong[2].1 = "93e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8".parse().unwrap();
    let error = combine(&keys, &ciphertext, &wrong).unwrap_err();
    let culprits = vec![index(1), index(3)];
    assert_eq!(error, DecryptError::WrongShares { culprits });
    let twice = [right[0], right[0], right[1]];
    let error = combine(&keys, &ciphertext, &twice).unwrap_err();
    assert_eq!(error, DecryptError::DuplicateIndex(index(1)));
    let stranger = [right[0], right[1], (index(5), right[2].1)];
    let error = combine(&keys, &ciphertext, &stranger).unwrap_err();
    assert_eq!(error, DecryptError::UnknownIndex(index(5)));
}

#[test]
fn shares_that_cancel_make_no_key() {
    let (keys, guardians, ciphertext) = example();
    let mut cancelling = shares(&guardians[..3], &ciphertext);
    // λ₁·D₁ + λ₂·D₂ + λ₃·D₃ with λ = 3, −3, 1: choose D₃ so that the sum is the identity.
    let point = |share: &DecryptionShare| {
        let bytes = share.to_bytes();
        G2Affine::from_compressed(&bytes).unwrap()
    };
    let three = Scalar::from(3);
    let third = point(&cancelling[1].1) * three - point(&cancelling[0].1) * three;
    let third = G2Affine::from(third).to_compressed();
    cancelling[2].1 = DecryptionShare::from_bytes(&third).unwrap();
    let error = combine(&keys, &ciphertext, &cancelling).unwrap_err();
    let culprits = vec![index(3)];
    assert_eq!(error, DecryptError::WrongShares { culprits });
}

#[test]
fn every_bit_of_the_ciphertext_and_of_the_data_counts() {
    let (_, _, ciphertext) = example();
    let (u, v, w) = ciphertext.ciphertext().to_parts();
    let holds = |u: &[u8; 96], v: &[u8; 32], w: &[u8; 48], data: &[u8]| {
        let ciphertext = Ciphertext::from_parts(u, v, w);
        ciphertext.is_ok_and(|ciphertext| ciphertext.verify(data).is_ok())
    };
    assert!(holds(&u, &v, &w, DATA));
    let flip = |bytes: &mut [u8], bit: usize| bytes[bit / 8] ^= 1 << (bit % 8);
    for bit in 0..u.len() * 8 {
        let mut u = u;
        flip(&mut u, bit);
        assert!(!holds(&u, &v, &w, DATA), "bit {bit} of U");
    }
    for bit in 0..v.len() * 8 {
        let mut v = v;
        flip(&mut v, bit);
        assert!(!holds(&u, &v, &w, DATA), "bit {bit} of V");
    }
    for bit in 0..w.len() * 8 {
        let mut w = w;
        flip(&mut w, bit);
        assert!(!holds(&u, &v, &w, DATA), "bit {bit} of W");
    }
    for bit in 0..DATA.len() * 8 {
        let mut data = DATA.to_vec();
        flip(&mut data, bit);
        assert!(!holds(&u, &v, &w, &data), "bit {bit} of the data");
    }
    assert!(!holds(&u, &v, &w, &DATA[1..]));
    assert!(!holds(&u, &v, &w, &[DATA, b"x"].concat()));
}

/// ⚠ An onlooker who could change a ciphertext, or hang it on other data, would have it decrypted as its own.
#[test]
fn a_ciphertext_that_is_derived_from_anothers_does_not_hold() {
    let (_, _, ciphertext) = example();
    let (u, v, w) = ciphertext.ciphertext().to_parts();
    let two = Scalar::from(2);
    let double_u = G2Affine::from(G2Affine::from_compressed(&u).unwrap() * two).to_compressed();
    let double_w = G1Affine::from(G1Affine::from_compressed(&w).unwrap() * two).to_compressed();
    for (u, w) in [(double_u, w), (u, double_w), (double_u, double_w)] {
        let derived = Ciphertext::from_parts(&u, &v, &w).unwrap();
        assert!(derived.verify(DATA).is_err());
    }
}

#[test]
fn points_are_decoded_strictly() {
    let (_, _, ciphertext) = example();
    let (u, v, w) = ciphertext.ciphertext().to_parts();
    let identity_1 = G1Affine::identity().to_compressed();
    let identity_2 = G2Affine::identity().to_compressed();
    assert!(Ciphertext::from_parts(&identity_2, &v, &w).is_err());
    assert!(Ciphertext::from_parts(&u, &v, &identity_1).is_err());
    assert!(DecryptionKey::from_bytes(&identity_2).is_err());
    assert!(DecryptionShare::from_bytes(&identity_2).is_err());
    for line in include_str!("vectors/g1_rejected.txt").lines() {
        let Some(encoding) = line
            .split_whitespace()
            .last()
            .filter(|word| word.len() == 96)
        else {
            continue;
        };
        let w: [u8; 48] = hex::decode(encoding).unwrap().try_into().unwrap();
        assert!(Ciphertext::from_parts(&u, &v, &w).is_err(), "{encoding}");
    }
}

#[test]
fn another_ciphertexts_key_and_shares_are_wrong_for_this_one() {
    let (keys, guardians, ciphertext) = example();
    let other = encrypt(keys.aggregate(), &MESSAGE, DATA, &secret(2));
    let other = other.verify(DATA).unwrap();
    let key = combine(&keys, &other, &shares(&guardians, &other)).unwrap();
    assert!(!ciphertext.is_key(keys.aggregate(), &key));
    assert_ne!(*ciphertext.decrypt(&key), MESSAGE);
    let first: &PublicKeyShare = keys.share(index(1)).unwrap();
    assert!(!ciphertext.is_share(first, &decryption_share(&guardians[0], &other)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn what_is_encrypted_is_read_by_any_threshold(
        message: [u8; 32],
        data in proptest::collection::vec(any::<u8>(), 0..80),
        bytes in proptest::collection::vec(1u8.., 64),
        (threshold, guardians) in (1u16..6).prop_flat_map(|n| (1..=n, Just(n))),
        first in 0usize..5,
    ) {
        let (keys, secrets) = deal(threshold, guardians);
        let secret = EphemeralSecret::from_uniform_bytes(&bytes.try_into().unwrap()).unwrap();
        let ciphertext = encrypt(keys.aggregate(), &message, &data, &secret);
        let (u, v, w) = ciphertext.to_parts();
        prop_assert_eq!(Ciphertext::from_parts(&u, &v, &w).unwrap(), ciphertext);
        let valid = ciphertext.verify(&data).unwrap();
        let mut all = shares(&secrets, &valid);
        all.rotate_left(first % usize::from(guardians));
        all.truncate(threshold.into());
        let key = combine(&keys, &valid, &all).unwrap();
        prop_assert_eq!(*valid.decrypt(&key), message);
    }
}
