//! The wallet's side, against real guardians.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{bad_points, client, denomination, World, DENOMINATIONS, FEDERATION, MODULE};
use guildmint_core::{encoding::write, FederationId, InviteCode, PeerId, TxId, Wire};
use guildmint_mint::{
    client::{
        FinalizeError, NoteRequest, NotesString, NotesStringError, OfflineError, SpendableNote,
        MAX_NOTES,
    },
    Bytes, MintInput, MintOutput, PointBytes,
};
use proptest::prelude::*;

fn request(exponent: u8, index: u64) -> NoteRequest {
    NoteRequest::new(denomination(exponent), index)
}

fn peers(peers: &[u16]) -> BTreeSet<PeerId> {
    peers.iter().copied().map(PeerId).collect()
}

/// An output that the guardians accepted, and their shares.
fn accepted(request: NoteRequest) -> (World, BTreeMap<PeerId, PointBytes>) {
    let mut world = World::new();
    let output = world.client.blinded(&[request])[0];
    world.accept(&output).unwrap();
    let shares = world.shares(&output);
    (world, shares)
}

#[test]
fn any_threshold_of_shares_makes_the_same_note() {
    let (world, shares) = accepted(request(1, 5));
    let all = world.client.finalize(&request(1, 5), &shares).unwrap();
    assert_eq!(all.note.nonce(), world.client.nonce(&request(1, 5)));
    for absent in shares.keys() {
        let mut some = shares.clone();
        some.remove(absent);
        assert_eq!(
            world.client.finalize(&request(1, 5), &some),
            Ok(all.clone())
        );
    }
    let few = shares.into_iter().take(2).collect();
    assert_eq!(
        world.client.finalize(&request(1, 5), &few),
        Err(FinalizeError::NotEnough {
            good: 2,
            need: 3,
            culprits: peers(&[])
        })
    );
}

#[test]
fn cheating_guardians_are_named_and_do_no_harm() {
    let (world, shares) = accepted(request(1, 0));
    let (_, others) = accepted(request(1, 1));
    let good = world.client.finalize(&request(1, 0), &shares).unwrap().note;
    let mut bad = bad_points();
    // Readable but wrong: the share on another note, and another guardian's share.
    bad.push(others[&PeerId(1)]);
    bad.push(shares[&PeerId(0)]);
    for wrong in bad {
        let mut shares = shares.clone();
        shares.insert(PeerId(1), wrong);
        let finalized = world.client.finalize(&request(1, 0), &shares).unwrap();
        assert_eq!((&finalized.note, finalized.culprits), (&good, peers(&[1])));
        shares.remove(&PeerId(3));
        assert_eq!(
            world.client.finalize(&request(1, 0), &shares),
            Err(FinalizeError::NotEnough {
                good: 2,
                need: 3,
                culprits: peers(&[1])
            })
        );
    }
    let mut stranger = shares.clone();
    stranger.insert(PeerId(9), shares[&PeerId(0)]);
    stranger.insert(PeerId(999), shares[&PeerId(0)]);
    let finalized = world.client.finalize(&request(1, 0), &stranger).unwrap();
    assert_eq!(
        (finalized.note, finalized.culprits),
        (good, peers(&[9, 999]))
    );
}

#[test]
fn notes_made_at_once_are_those_made_one_by_one() {
    let (mut world, shares) = accepted(request(1, 0));
    let mut asked = vec![(request(1, 0), shares)];
    for index in 1..7 {
        let denomination = [0, 1][index as usize % 2];
        let output = world.client.blinded(&[request(denomination, index)])[0];
        world.accept(&output).unwrap();
        asked.push((request(denomination, index), world.shares(&output)));
    }
    let one_by_one = |asked: &[(NoteRequest, BTreeMap<PeerId, PointBytes>)]| {
        let each = asked
            .iter()
            .map(|(request, shares)| world.client.finalize(request, shares));
        each.collect::<Result<Vec<_>, _>>()
    };
    assert_eq!(world.client.finalize_all(&asked), one_by_one(&asked));
    assert_eq!(world.client.finalize_all(&[]), Ok(vec![]));
    // One wrong share among all of them is found.
    let other = asked[2].1[&PeerId(0)];
    asked[3].1.insert(PeerId(0), other);
    let all = world.client.finalize_all(&asked).unwrap();
    assert_eq!(all, one_by_one(&asked).unwrap());
    assert_eq!(all[3].culprits, peers(&[0]));
    asked[3].1.remove(&PeerId(1));
    assert_eq!(world.client.finalize_all(&asked), one_by_one(&asked));
    assert!(world.client.finalize_all(&asked).is_err());
}

#[test]
fn an_unknown_denomination_is_named() {
    let unknown = denomination(DENOMINATIONS);
    assert_eq!(
        client(1).finalize(&NoteRequest::new(unknown, 0), &BTreeMap::new()),
        Err(FinalizeError::UnknownDenomination(unknown))
    );
}

#[test]
fn outputs_are_blinded_in_order() {
    let wallet = client(1);
    let requests = [request(3, 0), request(0, 7), request(3, 1)];
    let together = wallet.blinded(&requests);
    for (request, output) in requests.iter().zip(&together) {
        assert_eq!(wallet.blinded(&[*request]), [*output]);
        assert_eq!(output.denomination, request.denomination);
    }
    let items = wallet.outputs(&requests);
    for (item, output) in items.iter().zip(&together) {
        assert_eq!(item.module, MODULE);
        assert_eq!(MintOutput::decode(&item.bytes), Ok(*output));
    }
    assert!(wallet.outputs(&[]).is_empty());
}

#[test]
fn transactions_are_signed_by_the_notes() {
    let mut world = World::new();
    let notes = [request(0, 0), request(2, 0)].map(|request| world.issue(request));
    let outputs = world.client.outputs(&[request(0, 1)]);
    let transaction = world.client.transaction(&notes, outputs.clone());
    transaction.check_structure().unwrap();
    assert_eq!(transaction.outputs, outputs);
    let keys: Vec<_> = transaction
        .inputs
        .iter()
        .map(|item| {
            let note = MintInput::decode(&item.bytes).unwrap();
            world.spend(&note).unwrap().key
        })
        .collect();
    let id = transaction.id(FEDERATION);
    assert_eq!(transaction.check_signatures(id, &keys), Ok(()));
    assert!(transaction
        .check_signatures(TxId::default(), &keys)
        .is_err());
    // Submitting again must submit the same bytes.
    assert_eq!(transaction, world.client.transaction(&notes, outputs));
}

#[test]
fn debug_hides_secrets() {
    let note = World::new().issue(request(0, 0));
    let mut bytes = Vec::new();
    write(&mut bytes, &note);
    let key: String = bytes[1..33]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let string = NotesString::new(FEDERATION, None, vec![note]).unwrap();
    for shown in [format!("{string:?}"), format!("{:?}", client(1))] {
        assert!(!shown.contains(&key[..12]), "{shown}");
    }
}

fn invite(federation: FederationId) -> InviteCode {
    InviteCode {
        federation,
        apis: [(PeerId(1), "https://mint.example".to_owned())].into(),
    }
}

/// Genuine notes, made once.
fn notes() -> &'static [SpendableNote] {
    static NOTES: std::sync::OnceLock<Vec<SpendableNote>> = std::sync::OnceLock::new();
    NOTES.get_or_init(|| {
        let mut world = World::new();
        (0..6).map(|index| world.issue(request(2, index))).collect()
    })
}

#[test]
fn a_notes_string_comes_back() {
    for invite in [None, Some(invite(FEDERATION))] {
        let string = NotesString::new(FEDERATION, invite.clone(), notes().to_vec()).unwrap();
        let text = format!("\n {string}\t");
        let parsed: NotesString = text.parse().unwrap();
        assert_eq!(parsed, string);
        assert_eq!(parsed.total().msat(), 24);
        assert_eq!(parsed.invite(), invite.as_ref());
        assert!(parsed.is_of(FEDERATION));
        assert_eq!(client(9).verify_offline(&parsed), Ok(()));
        // The secrets came through.
        let transaction = client(9).transaction(&parsed.into_notes(), Vec::new());
        assert_eq!(transaction, client(1).transaction(notes(), Vec::new()));
    }
}

#[test]
fn forged_notes_in_a_string_are_named() {
    let mut forged = notes().to_vec();
    forged[1] = with_signature(&forged[1], notes()[0].note().signature);
    forged[4] = with_signature(&forged[4], bad_points()[0]);
    let string = NotesString::new(FEDERATION, None, forged).unwrap();
    assert_eq!(
        client(1).verify_offline(&string),
        Err(OfflineError::Forged(vec![1, 4]))
    );
    let elsewhere = NotesString::new(FederationId([9; 32]), None, notes().to_vec()).unwrap();
    assert_eq!(
        client(1).verify_offline(&elsewhere),
        Err(OfflineError::OtherFederation(Bytes([9; 8])))
    );
}

/// The same note with another signature.
fn with_signature(note: &SpendableNote, signature: PointBytes) -> SpendableNote {
    let mut bytes = Vec::new();
    write(&mut bytes, note);
    bytes[33..].copy_from_slice(&signature.0);
    guildmint_core::encoding::read(&bytes).unwrap()
}

#[test]
fn notes_strings_have_rules() {
    let string = |notes: Vec<_>| NotesString::new(FEDERATION, None, notes).map(|_| ());
    assert_eq!(string(vec![]), Err(NotesStringError::Count(0)));
    let twice = vec![notes()[0].clone(); 2];
    assert_eq!(string(twice), Err(NotesStringError::Duplicate));
    let many = vec![notes()[0].clone(); MAX_NOTES + 1];
    assert_eq!(string(many), Err(NotesStringError::Count(MAX_NOTES + 1)));
    let elsewhere = Some(invite(FederationId([9; 32])));
    assert!(matches!(
        NotesString::new(FEDERATION, elsewhere, notes().to_vec()),
        Err(NotesStringError::OtherInvite { .. })
    ));
}

#[test]
fn other_text_is_told_apart() {
    let parse = |text: &str| text.parse::<NotesString>().unwrap_err();
    assert_eq!(parse(""), NotesStringError::OtherKind);
    assert_eq!(parse("guild1qqqq"), NotesStringError::OtherKind);
    assert_eq!(parse("guildnote1"), NotesStringError::Damaged);
    assert_eq!(parse("guildnote1AAAA"), NotesStringError::Damaged);
    let long = format!("guildnote1{}", "A".repeat(200_000));
    assert_eq!(parse(&long), NotesStringError::TooLong(long.len()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_damaged_character_is_noticed(position in any::<prop::sample::Index>(), other in any::<char>()) {
        let string = NotesString::new(FEDERATION, None, notes()[..2].to_vec()).unwrap().to_string();
        let position = position.index(string.len());
        prop_assume!(!string[position..].starts_with(other));
        let damaged = format!("{}{other}{}", &string[..position], &string[position + 1..]);
        prop_assert!(damaged.parse::<NotesString>().is_err());
        let lost = format!("{}{}", &string[..position], &string[position + 1..]);
        prop_assert!(lost.parse::<NotesString>().is_err());
    }

    #[test]
    fn any_text_is_read_or_refused(text in "guildnote1[A-Za-z0-9_-]{0,200}") {
        prop_assert!(text.parse::<NotesString>().is_err());
    }
}
