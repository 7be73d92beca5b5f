//! A batch is right exactly when each of its signatures is.
#![allow(clippy::unwrap_used)]

mod common;

use common::Federation;
use guildmint_tbs::{find_invalid, verify, verify_batch, Message, PreparedPublicKey, Signature};
use proptest::prelude::*;

struct Notes {
    keys: Vec<PreparedPublicKey>,
    notes: Vec<(usize, Message, Signature)>,
}

impl Notes {
    /// `count` notes of two denominations in turn.
    fn new(count: usize) -> Self {
        let tiers = [Federation::new(1, 1, 1), Federation::new(2, 3, 2)];
        let notes = (0..count).map(|i| {
            let message = Message::note(&[i as u8; 32]);
            let signature = tiers[i % 2].issue(&message);
            (i % 2, message, signature)
        });
        Self {
            notes: notes.collect(),
            keys: tiers
                .iter()
                .map(|tier| tier.keys.aggregate().clone())
                .collect(),
        }
    }

    fn claims(&self) -> Vec<(&PreparedPublicKey, &Message, &Signature)> {
        self.notes
            .iter()
            .map(|(tier, message, signature)| (&self.keys[*tier], message, signature))
            .collect()
    }

    fn one_by_one(&self) -> Vec<usize> {
        let claims = self.claims().into_iter().enumerate();
        claims
            .filter(|(_, (key, message, signature))| !verify(key, message, signature))
            .map(|(i, _)| i)
            .collect()
    }

    fn check(&self, expected: &[usize]) {
        assert_eq!(verify_batch(&self.claims()), expected.is_empty());
        assert_eq!(find_invalid(&self.claims()), expected);
        assert_eq!(self.one_by_one(), expected);
    }
}

#[test]
fn right_batches_of_any_size() {
    for count in [0, 1, 2, 3, 17] {
        Notes::new(count).check(&[]);
    }
}

#[test]
fn one_bad_signature() {
    for bad in 0..5 {
        let mut notes = Notes::new(5);
        notes.notes[bad].1 = Message::note(&[99; 32]);
        notes.check(&[bad]);
    }
}

#[test]
fn swapped_signatures_of_one_key() {
    // Their plain sum is still right: only the weights tell.
    let mut notes = Notes::new(6);
    (notes.notes[1].2, notes.notes[3].2) = (notes.notes[3].2, notes.notes[1].2);
    notes.check(&[1, 3]);
}

#[test]
fn a_signature_of_another_denomination() {
    let mut notes = Notes::new(4);
    notes.notes[2].0 = 1;
    notes.check(&[2]);
}

#[test]
fn repeated_claims_are_not_the_batch_s_business() {
    let mut notes = Notes::new(1);
    notes.notes.push(notes.notes[0].clone());
    notes.check(&[]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn agrees_with_one_by_one(swaps in proptest::collection::vec((0..6usize, 0..6usize), 0..3)) {
        let mut notes = Notes::new(6);
        for (a, b) in swaps {
            (notes.notes[a].2, notes.notes[b].2) = (notes.notes[b].2, notes.notes[a].2);
        }
        notes.check(&notes.one_by_one());
    }
}
