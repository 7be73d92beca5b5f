//! Any t shares make the signature; fewer or wrong ones do not, and the wrong are named.
#![allow(clippy::unwrap_used)]

mod common;

use common::{blinding_key, index, Federation};
use guildmint_tbs::{
    blind, blind_many, combine, combine_and_unblind, sign_many, sign_share, unblind, verify,
    verify_share, BlindingKey, CombineError, FinalizeError, KeySetError, Message, PublicKeySet,
    SecretKeyShare, ShareIndex,
};
use proptest::prelude::*;

#[test]
fn every_subset_of_t_gives_the_same_signature() {
    for (threshold, n) in [
        (1, 1),
        (1, 2),
        (2, 3),
        (3, 4),
        (4, 5),
        (5, 6),
        (5, 7),
        (7, 7),
    ] {
        let federation = Federation::new(threshold, n, 1);
        let message = Message::note(&[n as u8; 32]);
        let key = blinding_key(5);
        let shares = federation.sign(&message, &key);
        let signature = federation.keys.finalize(&message, &key, &shares).unwrap();
        for subset in 0u32..1 << n {
            let chosen: Vec<_> = shares
                .iter()
                .enumerate()
                .filter(|(i, _)| subset >> i & 1 == 1)
                .map(|(_, s)| *s)
                .collect();
            let combined = combine_and_unblind(threshold, &chosen, &key);
            if chosen.len() >= threshold.into() {
                assert_eq!(
                    combined,
                    Ok(signature),
                    "{threshold} of {n}, subset {subset:b}"
                );
            } else {
                let error = CombineError::NotEnough {
                    have: chosen.len(),
                    need: threshold,
                };
                assert_eq!(combined, Err(error));
                if !chosen.is_empty() {
                    // Pretending that they are enough makes something else.
                    let forged = combine_and_unblind(chosen.len() as u16, &chosen, &key).unwrap();
                    assert!(!verify(federation.keys.aggregate(), &message, &forged));
                }
            }
        }
    }
}

#[test]
fn the_largest_federation() {
    let federation = Federation::new(22, 32, 2);
    let message = Message::note(&[9; 32]);
    let key = blinding_key(5);
    let shares = federation.sign(&message, &key);
    let signature = federation
        .keys
        .finalize(&message, &key, &shares[..22])
        .unwrap();
    assert_eq!(combine_and_unblind(22, &shares[10..], &key), Ok(signature));
}

#[test]
fn wrong_shares_are_named() {
    let federation = Federation::new(3, 4, 3);
    let message = Message::note(&[1; 32]);
    let key = blinding_key(5);
    let mut shares = federation.sign(&message, &key);
    let other = federation.sign(&Message::note(&[2; 32]), &key);
    let signature = federation.keys.finalize(&message, &key, &shares).unwrap();

    shares[1] = other[1];
    let culprits = |numbers: &[u16]| FinalizeError::WrongShares {
        culprits: numbers.iter().map(|n| index(*n)).collect(),
    };
    assert_eq!(
        federation.keys.finalize(&message, &key, &shares),
        Err(culprits(&[2]))
    );
    shares[3] = other[3];
    shares.reverse();
    assert_eq!(
        federation.keys.finalize(&message, &key, &shares),
        Err(culprits(&[2, 4]))
    );
    shares.retain(|(index, _)| index.get() != 2);
    assert_eq!(
        federation.keys.finalize(&message, &key, &shares),
        Err(culprits(&[4]))
    );

    // Enough right shares are left once a single culprit is dropped.
    let honest: Vec<_> = federation
        .sign(&message, &key)
        .into_iter()
        .filter(|(i, _)| i.get() != 2)
        .collect();
    assert_eq!(
        federation.keys.finalize(&message, &key, &honest),
        Ok(signature)
    );
}

#[test]
fn shares_under_another_index_or_blinding_are_wrong() {
    let federation = Federation::new(2, 3, 4);
    let message = Message::note(&[1; 32]);
    let key = blinding_key(5);
    let mut shares = federation.sign(&message, &key);
    let (first, second) = (shares[0].1, shares[1].1);
    (shares[0].1, shares[1].1) = (second, first);
    let error = FinalizeError::WrongShares {
        culprits: vec![index(1), index(2)],
    };
    assert_eq!(
        federation.keys.finalize(&message, &key, &shares),
        Err(error)
    );

    let shares = federation.sign(&message, &blinding_key(6));
    let error = FinalizeError::WrongShares {
        culprits: vec![index(1), index(2), index(3)],
    };
    assert_eq!(
        federation.keys.finalize(&message, &key, &shares),
        Err(error)
    );
}

#[test]
fn shares_that_cancel_are_wrong_too() {
    // With t = 2 the weights of shares 1 and 2 are 2 and −1: a second share twice the first cancels it.
    let federation = Federation::new(2, 3, 5);
    let message = Message::note(&[1; 32]);
    let key = blinding_key(5);
    let mut shares = federation.sign(&message, &key);
    let mut two = [0; 32];
    two[31] = 2;
    let double = SecretKeyShare::from_bytes(index(2), &two).unwrap();
    let blinded_again = guildmint_tbs::BlindedMessage::from_bytes(&shares[0].1.to_bytes()).unwrap();
    shares[1].1 = sign_share(&double, &blinded_again);
    assert_eq!(combine(2, &shares), Err(CombineError::Identity));
    let error = FinalizeError::WrongShares {
        culprits: vec![index(2)],
    };
    assert_eq!(
        federation.keys.finalize(&message, &key, &shares),
        Err(error)
    );
}

#[test]
fn unusable_sets_of_shares() {
    let federation = Federation::new(2, 3, 6);
    let message = Message::note(&[1; 32]);
    let key = blinding_key(5);
    let mut shares = federation.sign(&message, &key);
    let too_few = CombineError::NotEnough { have: 1, need: 2 };
    assert_eq!(
        federation.keys.finalize(&message, &key, &shares[..1]),
        Err(too_few.into())
    );
    let twice = [shares[0], shares[0]];
    let error = CombineError::DuplicateIndex(index(1));
    assert_eq!(
        federation.keys.finalize(&message, &key, &twice),
        Err(error.into())
    );
    shares[0].0 = index(4);
    assert_eq!(
        federation.keys.finalize(&message, &key, &shares),
        Err(FinalizeError::UnknownIndex(index(4)))
    );
}

#[test]
fn key_tables_are_checked() {
    let federation = Federation::new(3, 5, 7);
    let other = Federation::new(3, 5, 8);
    let higher = Federation::new(4, 5, 9);
    let lower = Federation::new(2, 5, 10);
    let check = |threshold, from: &Federation, shares: Vec<_>| {
        PublicKeySet::new(threshold, *from.keys.keys().aggregate(), shares)
    };
    let table = |from: &Federation| -> Vec<_> {
        from.keys
            .keys()
            .shares()
            .iter()
            .map(|(index, key)| (*index, *key))
            .collect()
    };
    assert_eq!(
        check(3, &federation, table(&federation)).as_ref(),
        Ok(federation.keys.keys())
    );
    // Three shares of five are a table too.
    assert!(check(3, &federation, table(&federation)[2..].to_vec()).is_ok());

    let aggregate = Box::new(*other.keys.keys().aggregate());
    assert_eq!(
        check(3, &other, table(&federation)),
        Err(KeySetError::Aggregate(aggregate))
    );
    let mut swapped = table(&federation);
    (swapped[3].1, swapped[4].1) = (swapped[4].1, swapped[3].1);
    assert_eq!(
        check(3, &federation, swapped),
        Err(KeySetError::Inconsistent(index(4)))
    );
    let mut replaced = table(&federation);
    replaced[4].1 = table(&other)[4].1;
    assert_eq!(
        check(3, &federation, replaced),
        Err(KeySetError::Inconsistent(index(5)))
    );
    assert!(matches!(
        check(3, &higher, table(&higher)),
        Err(KeySetError::Aggregate(_))
    ));
    assert_eq!(
        check(3, &lower, table(&lower)),
        Err(KeySetError::DegreeTooLow(3))
    );
    let mut repeated = table(&federation);
    repeated[4].0 = index(1);
    assert_eq!(
        check(3, &federation, repeated),
        Err(KeySetError::DuplicateIndex(index(1)))
    );
    for threshold in [0, 6] {
        let error = KeySetError::Threshold {
            threshold,
            shares: 5,
        };
        assert_eq!(
            check(threshold, &federation, table(&federation)),
            Err(error)
        );
    }
}

#[test]
fn share_indices_have_bounds() {
    assert_eq!(ShareIndex::of_guardian(0).unwrap().get(), 1);
    assert_eq!(ShareIndex::of_guardian(31).unwrap().get(), ShareIndex::MAX);
    for number in [0, 33, u16::MAX] {
        assert!(ShareIndex::try_from(number).is_err(), "{number}");
    }
    assert!(ShareIndex::of_guardian(u16::MAX).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn the_batch_forms_agree(messages in proptest::collection::vec(any::<Vec<u8>>(), 0..5), seed in any::<u64>()) {
        let federation = Federation::new(2, 3, seed);
        let messages: Vec<_> = messages.into_iter().map(Message::new).collect();
        let keys: Vec<_> = (1..=messages.len() as u8).map(blinding_key).collect();
        let blinded = blind_many(messages.iter().zip(&keys));
        let one_by_one: Vec<_> = messages.iter().zip(&keys).map(|(m, k)| blind(m, k)).collect();
        prop_assert_eq!(&blinded, &one_by_one);
        let guardian = &federation.guardians[0];
        let shares = sign_many(blinded.iter().map(|message| (guardian, message)));
        let expected: Vec<_> = blinded.iter().map(|message| sign_share(guardian, message)).collect();
        prop_assert_eq!(&shares, &expected);
        let key = guardian.public_key_share();
        prop_assert!(blinded.iter().zip(&shares).all(|(message, share)| verify_share(&key, message, share)));
    }

    #[test]
    fn blinding_leaves_no_trace(message in any::<Vec<u8>>(), r in any::<[[u8; 32]; 2]>(), s in any::<[[u8; 32]; 2]>()) {
        prop_assume!(r != s);
        let federation = Federation::new(2, 2, 11);
        let message = Message::new(message);
        let key = |halves: [[u8; 32]; 2]| {
            let mut bytes = [0; 64];
            bytes.copy_from_slice(halves.as_flattened());
            BlindingKey::from_uniform_bytes(&bytes).unwrap()
        };
        let (r, s) = (key(r), key(s));
        prop_assert_ne!(blind(&message, &r), blind(&message, &s));
        let combined = combine(2, &federation.sign(&message, &r)).unwrap();
        prop_assert_eq!(unblind(&combined, &r), federation.keys.finalize(&message, &s, &federation.sign(&message, &s)).unwrap());
    }
}
