//! Distributed key generation through its public interface: honest ceremonies, restarts, encodings, and a fixed one.
#![allow(clippy::unwrap_used)]

mod common;

use blst::min_sig;
use blst::BLST_ERROR::BLST_SUCCESS;
use common::{blinding_key, index};
use guildmint_tbs::dkg::{
    Ceremony, DealingError, EncryptionSecret, Event, FaultReason, Item, ItemKind, KeyPair, Params,
    Phase,
};
use guildmint_tbs::{
    blind, combine_and_unblind, sign_share, verify, BlindedMessage, Message, PreparedKeySet,
    PublicKeySet, ShareIndex, Signature, SignatureShare, DST,
};
use proptest::prelude::*;
use serde_json::{json, Value};

type Log = Vec<(ShareIndex, Item)>;

const CONFIG: [u8; 32] = [5; 32];

fn threshold(guardians: u16) -> u16 {
    guardians - (guardians - 1) / 3
}

fn encryption_secret(guardian: u16) -> EncryptionSecret {
    EncryptionSecret::from_uniform_bytes(&[guardian as u8; 64]).unwrap()
}

fn params(guardians: u16, keys: u16) -> Params {
    let encryption_keys = (1..=guardians).map(|i| encryption_secret(i).public_key());
    Params::new(
        [7; 32],
        threshold(guardians),
        encryption_keys.collect(),
        keys,
    )
    .unwrap()
}

fn ceremony(params: &Params, guardian: u16) -> Ceremony {
    Ceremony::new(
        params.clone(),
        encryption_secret(guardian),
        &[guardian as u8; 32],
    )
    .unwrap()
}

/// Runs a ceremony whose next speaker `choose` picks from those who have something to say.
fn run(params: &Params, mut choose: impl FnMut(usize) -> usize) -> (Vec<Ceremony>, Log) {
    let guardians = params.guardians().count() as u16;
    let mut ceremonies: Vec<_> = (1..=guardians).map(|i| ceremony(params, i)).collect();
    let mut log = Log::new();
    for kind in [ItemKind::Dealing, ItemKind::Verdict, ItemKind::Confirm] {
        let due = |ceremony: &Ceremony| match kind {
            ItemKind::Confirm => Item::Confirm(CONFIG),
            _ => ceremony.due().unwrap(),
        };
        let mut speakers: Vec<_> = ceremonies.iter().map(|c| (c.me(), due(c))).collect();
        while !speakers.is_empty() {
            let (from, item) = speakers.swap_remove(choose(speakers.len()));
            assert_eq!(item.kind(), kind);
            for ceremony in &mut ceremonies {
                let events = ceremony.handle(from, item.clone());
                assert_eq!(events[0], Event::Accepted(from, kind));
            }
            log.push((from, item));
        }
    }
    assert!(ceremonies.iter().all(|c| c.faults().is_empty()));
    (ceremonies, log)
}

fn key_pairs(ceremony: &Ceremony) -> &[KeyPair] {
    ceremony.outcome().unwrap().unwrap()
}

fn public(ceremony: &Ceremony) -> Vec<PublicKeySet> {
    key_pairs(ceremony)
        .iter()
        .map(|(keys, _)| keys.clone())
        .collect()
}

fn shares(
    ceremonies: &[Ceremony],
    key: usize,
    blinded: &BlindedMessage,
) -> Vec<(ShareIndex, SignatureShare)> {
    let sign = |ceremony: &Ceremony| {
        let (keys, share) = &key_pairs(ceremony)[key];
        assert_eq!(keys.share(share.index()), Some(&share.public_key_share()));
        (share.index(), sign_share(share, blinded))
    };
    ceremonies.iter().map(sign).collect()
}

fn blst_accepts(keys: &PublicKeySet, message: &Message, signature: &Signature) -> bool {
    let key = min_sig::PublicKey::key_validate(&keys.aggregate().to_bytes()).unwrap();
    let signature = min_sig::Signature::sig_validate(&signature.to_bytes(), true).unwrap();
    signature.verify(true, message.as_bytes(), DST, &[], &key, true) == BLST_SUCCESS
}

fn assert_honest_run(guardians: u16) {
    let params = params(guardians, 2);
    let (ceremonies, _) = run(&params, |_| 0);
    let keys = public(&ceremonies[0]);
    assert!(ceremonies.iter().all(|ceremony| public(ceremony) == keys));
    assert_ne!(keys[0].aggregate(), keys[1].aggregate());
    for (key, keys) in keys.iter().enumerate() {
        assert_eq!(keys.shares().len(), usize::from(guardians));
        assert_eq!(keys.threshold(), threshold(guardians));
        let (message, blinding) = (Message::note(&[key as u8; 32]), blinding_key(3));
        let blinded = blind(&message, &blinding);
        let mut shares = shares(&ceremonies, key, &blinded);
        let prepared = PreparedKeySet::from(keys.clone());
        for _ in 0..shares.len() {
            shares.rotate_left(1);
            let chosen = &shares[..usize::from(threshold(guardians))];
            let signature = prepared.finalize(&message, &blinding, chosen).unwrap();
            assert!(blst_accepts(keys, &message, &signature));
            // One fewer make another signature, under no key.
            let fewer = &chosen[1..];
            if let Ok(wrong) = combine_and_unblind(fewer.len() as u16, fewer, &blinding) {
                assert!(!verify(prepared.aggregate(), &message, &wrong));
            }
        }
    }
}

#[test]
fn one_guardian() {
    assert_honest_run(1);
}

#[test]
fn four_guardians() {
    assert_honest_run(4);
}

#[test]
fn five_guardians() {
    assert_honest_run(5);
}

#[test]
fn seven_guardians() {
    assert_honest_run(7);
}

#[test]
fn ten_guardians() {
    assert_honest_run(10);
}

#[test]
fn events_and_progress_tell_how_far_it_is() {
    let params = params(1, 1);
    let mut ceremony = ceremony(&params, 1);
    let me = ceremony.me();
    for (phase, kind) in [
        (Phase::Verdicts, ItemKind::Dealing),
        (Phase::Confirming, ItemKind::Verdict),
        (Phase::Done, ItemKind::Confirm),
    ] {
        assert_eq!(ceremony.progress().phase, kind.phase());
        assert_eq!(ceremony.progress().waiting_for, [me]);
        assert!(ceremony.outcome().is_none());
        let item = ceremony.due().unwrap_or(Item::Confirm(CONFIG));
        let events = ceremony.handle(me, item);
        assert_eq!(events, [Event::Accepted(me, kind), Event::Phase(phase)]);
        let known = ceremony.public_keys().map(Iterator::count);
        assert_eq!(known, (phase > Phase::Verdicts).then_some(1));
    }
    assert_eq!(ceremony.progress().waiting_for, []);
}

#[test]
fn a_guardian_that_restarts_says_the_same_again() {
    let params = params(4, 1);
    let (ceremonies, log) = run(&params, |_| 0);
    let mut running = ceremony(&params, 2);
    for length in 0..=log.len() {
        let mut restarted = ceremony(&params, 2);
        for (from, item) in &log[..length] {
            restarted.handle(*from, item.clone());
        }
        let bytes = |item: Option<Item>| bincode::serialize(&item).unwrap();
        assert_eq!(bytes(restarted.due()), bytes(running.due()));
        assert_eq!(restarted.progress(), running.progress());
        assert_eq!(restarted.deal(), running.deal());
        if let Some((from, item)) = log.get(length) {
            let events = restarted.handle(*from, item.clone());
            assert_eq!(events, running.handle(*from, item.clone()));
        } else {
            assert_eq!(public(&restarted), public(&ceremonies[0]));
            let share = |ceremony: &Ceremony| *key_pairs(ceremony)[0].1.to_bytes();
            assert_eq!(share(&restarted), share(&ceremonies[1]));
        }
    }
}

#[test]
fn another_seed_or_session_gives_other_keys() {
    let params = params(1, 2);
    let keys = |params: &Params, seed: u8| {
        let mut ceremony =
            Ceremony::new(params.clone(), encryption_secret(1), &[seed; 32]).unwrap();
        let me = ceremony.me();
        for _ in 0..2 {
            let item = ceremony.due().unwrap();
            ceremony.handle(me, item);
        }
        ceremony.handle(me, Item::Confirm(CONFIG));
        public(&ceremony)
    };
    let guardian = vec![encryption_secret(1).public_key()];
    let session = Params::new([8; 32], 1, guardian.clone(), 2).unwrap();
    let more = Params::new([7; 32], 1, guardian, 3).unwrap();
    let all = [
        keys(&params, 1),
        keys(&params, 2),
        keys(&session, 1),
        keys(&more, 1),
    ];
    let mut aggregates: Vec<_> = all.iter().flatten().map(|k| *k.aggregate()).collect();
    aggregates.sort_unstable();
    aggregates.dedup();
    assert_eq!(aggregates.len(), 9);
}

#[test]
fn items_are_no_longer_than_said() {
    for (guardians, keys) in [(1, 1), (4, 3), (10, 1)] {
        let (_, log) = run(&params(guardians, keys), |_| 0);
        let max = Item::max_len(threshold(guardians), guardians, keys);
        let len = |(_, item): &(_, Item)| bincode::serialized_size(item).unwrap() as usize;
        assert_eq!(log.iter().map(len).max(), Some(max));
    }
    const { assert!(Item::MAX_LEN < 300_000) };
}

#[test]
fn items_have_one_form_for_people_and_one_for_machines() {
    let (_, log) = run(&params(4, 1), |_| 0);
    for (_, item) in log.into_iter().chain([(index(1), Item::Close)]) {
        let bytes = bincode::serialize(&item).unwrap();
        assert_eq!(bincode::deserialize::<Item>(&bytes).unwrap(), item);
        let text = serde_json::to_string(&item).unwrap();
        assert_eq!(serde_json::from_str::<Item>(&text).unwrap(), item);
    }
}

#[test]
fn lists_have_limits() {
    let dealing = serde_json::to_value(ceremony(&params(4, 1), 1).deal()).unwrap();
    let with = |list: &str, length: usize| {
        let mut dealing = dealing.clone();
        let entry = dealing[list][0].clone();
        dealing[list] = vec![entry; length].into();
        serde_json::from_value::<guildmint_tbs::dkg::Dealing>(dealing).map(drop)
    };
    for (list, limit) in [
        ("commitments", 2048),
        ("constant_proofs", 64),
        ("shares", 2048),
    ] {
        assert!(with(list, limit).is_ok(), "{list}");
        let error = with(list, limit + 1).unwrap_err().to_string();
        assert!(
            error.contains(&format!("at most {limit} entries")),
            "{error}"
        );
    }
    // A length that memory would not suffice for, in a binary format.
    let mut bytes = bincode::serialize(&Item::Confirm(CONFIG)).unwrap();
    bytes[..4].fill(0);
    bytes[4..12].fill(0xff);
    assert!(bincode::deserialize::<Item>(&bytes).is_err());
}

/// A ceremony of four guardians as a file. It pins derivations, encodings and hashes: it may change with a version only.
#[test]
fn a_fixed_ceremony() {
    let vector: Value = serde_json::from_str(include_str!("vectors/dkg.json")).unwrap();
    let params = params(4, 2);
    let (ceremonies, log) = run(&params, |_| 0);
    let items: Vec<_> = log
        .iter()
        .map(|(from, item)| json!([from, hex::encode(bincode::serialize(item).unwrap())]))
        .collect();
    assert_eq!(vector["items"], Value::from(items));
    for (key, keys) in public(&ceremonies[0]).iter().enumerate() {
        assert_eq!(vector["keys"][key], serde_json::to_value(keys).unwrap());
        let shares = ceremonies
            .iter()
            .map(|ceremony| hex::encode(*key_pairs(ceremony)[key].1.to_bytes()));
        assert_eq!(vector["secret_shares"][key], Value::from_iter(shares));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn the_order_of_the_log_does_not_change_the_keys(choices in any::<[u16; 12]>()) {
        let params = params(4, 1);
        let (reference, _) = run(&params, |_| 0);
        let mut choices = choices.into_iter().map(usize::from).cycle();
        let (ceremonies, _) = run(&params, |n| choices.next().unwrap_or(0) % n);
        for ceremony in &ceremonies {
            prop_assert_eq!(public(ceremony), public(&reference[0]));
        }
    }

    /// Whatever is changed in a dealing, everybody sees it, or somebody can show it.
    #[test]
    fn no_byte_of_a_dealing_can_be_changed(position in any::<prop::sample::Index>(), change in 1..=u8::MAX) {
        let params = params(4, 1);
        let mut ceremonies: Vec<_> = (1..=4).map(|i| ceremony(&params, i)).collect();
        let mut bytes = bincode::serialize(&ceremonies[0].deal()).unwrap();
        let position = position.index(bytes.len());
        bytes[position] ^= change;
        let Ok(dealing) = bincode::deserialize(&bytes) else { return Ok(()) };
        for from in 2..=4 {
            let dealing = ceremonies[usize::from(from) - 1].deal();
            for ceremony in &mut ceremonies {
                ceremony.handle(index(from), Item::Dealing(dealing.clone()));
            }
        }
        let mut accused = 0;
        for ceremony in &mut ceremonies {
            ceremony.handle(index(1), Item::Dealing(guildmint_tbs::dkg::Dealing::clone(&dealing)));
            accused += ceremony.verdict().unwrap().accused().filter(|dealer| *dealer == index(1)).count();
        }
        let faults = ceremonies[0].faults();
        prop_assert!(ceremonies.iter().all(|ceremony| ceremony.faults() == faults));
        let visible = faults.iter().any(|fault| fault.guardian == index(1));
        prop_assert!(visible != (accused > 0), "{faults:?}, {accused} accused");
    }

    #[test]
    fn arbitrary_bytes_are_no_item_that_does_harm(bytes in any::<Vec<u8>>(), from in 1..=32u16) {
        if let Ok(item) = bincode::deserialize::<Item>(&bytes) {
            let mut ceremony = ceremony(&params(4, 1), 1);
            for event in ceremony.handle(index(from), item) {
                if let Event::Fault(fault) = event {
                    prop_assert_eq!(fault.guardian, index(from));
                }
            }
        }
    }
}

#[test]
fn faults_are_sentences() {
    let mut ceremony = ceremony(&params(4, 1), 1);
    let mut other = serde_json::to_value(ceremony.deal()).unwrap();
    other["shares"] = json!([]);
    let item = Item::Dealing(serde_json::from_value(other).unwrap());
    ceremony.handle(index(3), item);
    let fault = &ceremony.faults()[0];
    let error = DealingError::Shares { have: 0, need: 4 };
    assert_eq!(fault.reason, FaultReason::Dealing(error));
    assert_eq!(fault.to_string(), "guardian 3: 0 shares, 4 needed");
}
