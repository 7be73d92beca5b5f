//! The guardians' side, through the core's ledger.
#![allow(clippy::unwrap_used)]

mod common;

use common::{bad_points, denomination, guardian, keys, quorum, World, DENOMINATIONS, SCOPE};
use guildmint_core::{
    ledger::{Base, Ledger},
    module::{BuildError, Registry, ServerModule},
    slices::SliceAnswer,
    Amount, PeerId, Quorum, Wire,
};
use guildmint_mint::{
    client::NoteRequest, dealer, spent_prefix, Bytes, ConfigError, Denomination,
    DenominationTotals, Mint, MintConfig, MintOutput, MintSecret, Note, PlacedShare, SharesAnswer,
    SpentAnswer, MAX_NONCES, SHARES_PAGE,
};
use rand_chacha::{rand_core::SeedableRng, ChaCha20Rng};
use serde_json::json;

fn request(exponent: u8, index: u64) -> NoteRequest {
    NoteRequest::new(denomination(exponent), index)
}

fn code<T: std::fmt::Debug>(result: Result<T, guildmint_core::module::Reject>) -> String {
    let reject = result.unwrap_err();
    // A guardian that lags knows fewer notes than there are; all else is final.
    assert_eq!(reject.retryable, reject.code == "mint_exhausted");
    reject.code
}

#[test]
fn a_note_is_spent_once() {
    let mut world = World::new();
    let note = *world.issue(request(2, 0)).note();
    world.issue(request(2, 1));
    let spent = world.spend(&note).unwrap();
    assert_eq!(spent.amount, Amount::from_msat(4).unwrap());
    assert_eq!(code(world.spend(&note)), "note_spent");
    assert_eq!(world.audit().liabilities_msat, 4);
}

#[test]
fn a_note_is_spent_once_in_a_transaction() {
    let mut world = World::new();
    let note = *world.issue(request(2, 0)).note();
    world.issue(request(2, 1));
    let at = guildmint_core::module::At {
        epoch: guildmint_core::Epoch(1),
        height: 1,
        version: 1,
    };
    let mut ledger = Ledger::new(&world.rows);
    ledger.begin();
    assert!(world
        .mint()
        .spend(&mut ledger.view(SCOPE), &note, at)
        .is_ok());
    let second = world.mint().spend(&mut ledger.view(SCOPE), &note, at);
    assert_eq!(code(second), "note_spent");
}

#[test]
fn a_blinded_message_is_signed_once() {
    let mut world = World::new();
    let output = world.client.blinded(&[request(0, 0)])[0];
    world.accept(&output).unwrap();
    assert_eq!(code(world.accept(&output)), "already_issued");
    let other = MintOutput {
        denomination: denomination(1),
        ..output
    };
    world.accept(&other).unwrap();
    assert_eq!(world.audit().liabilities_msat, 3);
}

#[test]
fn no_share_without_acceptance() {
    let mut world = World::new();
    let output = world.client.blinded(&[request(0, 0)])[0];
    assert!(world.shares(&output).is_empty());
    world.accept(&output).unwrap();
    assert_eq!(world.shares(&output).len(), 4);
    let other = MintOutput {
        denomination: denomination(1),
        ..output
    };
    assert!(world.shares(&other).is_empty());
}

#[test]
fn forged_notes_do_not_pass() {
    let mut world = World::new();
    let [a, b] = [0, 1].map(|index| *world.issue(request(1, index)).note());
    let swapped = Note {
        signature: b.signature,
        ..a
    };
    let dearer = Note {
        denomination: denomination(3),
        ..a
    };
    let renamed = Note {
        nonce: b.nonce,
        ..a
    };
    for forged in [swapped, dearer, renamed] {
        assert!(!world.mint().proofs_hold(&[forged]));
        assert!(!world.mint().proofs_hold(&[a, forged, b]));
        assert_eq!(code(world.spend(&forged)), "bad_proof");
    }
    // Errors that would cancel in a plain sum.
    let crossed = Note {
        signature: a.signature,
        ..b
    };
    assert!(!world.mint().proofs_hold(&[swapped, crossed]));
    assert!(world.mint().proofs_hold(&[a, b]));
    assert!(world.mint().proofs_hold(&[]));
}

#[test]
fn bad_points_are_refused() {
    let mut world = World::new();
    let note = *world.issue(request(0, 0)).note();
    let points = bad_points();
    assert!(points.len() >= 5);
    for point in points {
        let output = MintOutput {
            denomination: denomination(0),
            blinded: point,
        };
        assert_eq!(code(world.accept(&output)), "bad_blinded_message");
        let input = Note {
            signature: point,
            ..note
        };
        assert!(!world.mint().proofs_hold(&[input]));
        assert!(!world.mint().proofs_hold(&[note, input]));
    }
    let no_key = Note {
        nonce: Bytes([0xff; 32]),
        ..note
    };
    assert_eq!(code(world.spend(&no_key)), "bad_nonce");
}

#[test]
fn unknown_denominations_are_refused() {
    let mut world = World::new();
    let note = *world.issue(request(0, 0)).note();
    let unknown = denomination(DENOMINATIONS);
    let input = Note {
        denomination: unknown,
        ..note
    };
    assert_eq!(code(world.spend(&input)), "unknown_denomination");
    assert!(!world.mint().proofs_hold(&[input]));
    let output = world.client.blinded(&[NoteRequest::new(unknown, 0)])[0];
    assert_eq!(code(world.accept(&output)), "unknown_denomination");
}

#[test]
fn more_notes_than_were_issued_are_refused() {
    // Notes that the federation signed in another life, on empty rows: as if its keys had been stolen.
    let stolen = *World::new().issue(request(2, 0)).note();
    let mut world = World::new();
    assert_eq!(code(world.spend(&stolen)), "mint_exhausted");
    let rows = world.rows.clone();
    assert_eq!(rows, Default::default(), "a refused note changes nothing");
    let honest = *world.issue(request(2, 1)).note();
    world.issue(request(3, 0));
    world.spend(&stolen).unwrap();
    assert_eq!(code(world.spend(&honest)), "mint_exhausted");
    assert_eq!(world.audit().liabilities_msat, 8);
}

#[test]
fn fees_are_those_of_the_config() {
    let msat = |msat| Amount::from_msat(msat).unwrap();
    let mut world = World::with(MintConfig {
        input_fee: msat(3),
        output_fee: msat(5),
        ..keys().0.clone()
    });
    let output = world.client.blinded(&[request(3, 0)])[0];
    let charge = world.accept(&output).unwrap();
    assert_eq!((charge.amount, charge.fee), (msat(8), msat(5)));
    let shares = world.shares(&output);
    let note = world.client.finalize(&request(3, 0), &shares).unwrap().note;
    let spent = world.spend(note.note()).unwrap();
    assert_eq!((spent.amount, spent.fee), (msat(8), msat(3)));
}

fn list(world: &World, path: &str) -> Vec<[u8; 8]> {
    let ask = |to: &str| {
        let answer = world.query(path, &[("from", "0"), ("to", to)]).unwrap();
        serde_json::from_value::<SliceAnswer>(answer.unwrap()).unwrap()
    };
    let all = ask(&ask("0").count.to_string()).prefixes;
    all.chunks(8).map(|one| one.try_into().unwrap()).collect()
}

fn page(world: &World, page: u64) -> Vec<PlacedShare> {
    let answer = world.query("shares", &[("page", &page.to_string())]);
    let answer: SharesAnswer = serde_json::from_value(answer.unwrap().unwrap()).unwrap();
    assert_eq!(answer.page, page);
    answer.shares
}

#[test]
fn what_was_issued_and_spent_is_listed_in_its_order_and_nothing_else() {
    let mut world = World::new();
    let requests = [request(2, 0), request(0, 5), request(2, 1)];
    let outputs = world.client.blinded(&requests);
    let notes = requests.map(|request| world.issue(request));
    // What is refused is in no list.
    assert_eq!(code(world.accept(&outputs[0])), "already_issued");
    world.spend(notes[2].note()).unwrap();
    assert_eq!(code(world.spend(notes[2].note())), "note_spent");
    world.spend(notes[1].note()).unwrap();
    let issued: Vec<_> = outputs.iter().map(MintOutput::prefix).collect();
    assert_eq!(list(&world, "issued-prefixes"), issued);
    let spent = [2, 1].map(|place: usize| spent_prefix(&notes[place].nonce()));
    assert_eq!(list(&world, "spent-prefixes"), spent);
}

#[test]
fn shares_are_given_by_fixed_pages_and_only_on_what_was_accepted() {
    let mut world = World::new();
    assert!(page(&world, 0).is_empty());
    let requests: Vec<_> = (0..=SHARES_PAGE).map(|index| request(1, index)).collect();
    let outputs = world.client.blinded(&requests);
    for output in &outputs {
        world.accept(output).unwrap();
    }
    let (first, second) = (page(&world, 0), page(&world, 1));
    assert_eq!((first.len() as u64, second.len()), (SHARES_PAGE, 1));
    for (placed, output) in first.iter().chain(&second).zip(&outputs) {
        assert_eq!(placed.output, *output);
        assert_eq!(placed.share, world.shares(output)[&PeerId(0)]);
    }
    assert!(page(&world, 2).is_empty());
    for wrong in ["", "x", "-1", &u64::MAX.to_string()] {
        let refused = world.query("shares", &[("page", wrong)]).unwrap();
        assert_eq!(code(refused), "bad_parameter");
    }
}

#[test]
fn questions_are_answered() {
    let mut world = World::new();
    let [spent, kept] = [0, 1].map(|index| world.issue(request(1, index)));
    world.spend(spent.note()).unwrap();
    let is_spent = |nonce| -> bool {
        let answer = world.query(&format!("notes/{nonce}"), &[]).unwrap();
        serde_json::from_value::<SpentAnswer>(answer.unwrap())
            .unwrap()
            .spent
    };
    assert!(is_spent(spent.nonce()));
    assert!(!is_spent(kept.nonce()));

    let (a, b) = (spent.nonce().to_string(), kept.nonce().to_string());
    let both = world.query("spent", &[("nonces", &format!("{a},{b}"))]);
    assert_eq!(both, Some(Ok(json!({ a.clone(): true, b: false }))));

    let totals = world.query("denominations", &[]).unwrap().unwrap();
    let totals: Vec<DenominationTotals> = serde_json::from_value(totals).unwrap();
    let expected = DenominationTotals {
        denomination: denomination(1),
        issued: 2,
        redeemed: 1,
    };
    assert_eq!(totals, [expected]);

    let many = vec![a.as_str(); MAX_NONCES + 1].join(",");
    let refused = world.query("spent", &[("nonces", &many)]).unwrap();
    assert_eq!(code(refused), "too_many_nonces");
    assert!(world
        .query("spent", &[("nonces", &many[..MAX_NONCES * 65 - 1])])
        .unwrap()
        .is_ok());
    for (path, parameters) in [
        ("notes/xyz", vec![]),
        ("spent", vec![("nonces", "ab,,")]),
        ("spent", vec![]),
    ] {
        assert_eq!(code(world.query(path, &parameters).unwrap()), "bad_nonce");
    }
    assert_eq!(world.query("notes", &[]), None);
    assert_eq!(world.query("", &[]), None);
}

#[test]
fn hints_name_the_rows_that_are_written() {
    let mut world = World::new();
    let output = world.client.blinded(&[request(1, 0)])[0];
    let row = world.mint().output_rows(SCOPE, &output).remove(0);
    assert_eq!(world.rows.get(&row), Some(None));
    let note = world.issue(request(1, 0));
    assert!(matches!(world.rows.get(&row), Some(Some(_))));
    let row = world.mint().input_rows(SCOPE, note.note()).remove(0);
    assert_eq!(world.rows.get(&row), Some(None));
    world.spend(note.note()).unwrap();
    assert!(matches!(world.rows.get(&row), Some(Some(_))));
}

#[test]
fn config_secret_and_federation_must_fit() {
    let (config, secrets) = keys();
    let build = |me, config: &MintConfig, secret: &MintSecret| {
        Mint::new(guardian(PeerId(me)), config.clone(), secret.clone())
            .map(|_| ())
            .map_err(|error| matches!(error, BuildError::Contradiction { .. }))
    };
    assert_eq!(build(0, config, &secrets[0]), Ok(()));
    assert_eq!(build(1, config, &secrets[0]), Err(true));
    let mut absent = secrets[0].clone();
    absent.shares.remove(&denomination(0));
    assert_eq!(build(0, config, &absent), Err(true));
    let mut swapped = secrets[0].clone();
    let share = swapped.shares[&denomination(0)].clone();
    swapped.shares.insert(denomination(1), share);
    assert_eq!(build(0, config, &swapped), Err(true));

    let mut same = config.clone();
    let key = same.keys[&denomination(0)].clone();
    same.keys.insert(denomination(1), key);
    assert_eq!(
        same.validate(quorum()),
        Err(ConfigError::SameKey(denomination(1)))
    );
    let other = Quorum::new(7).unwrap();
    assert!(matches!(
        config.validate(other),
        Err(ConfigError::Threshold { .. })
    ));
    let rng = &mut ChaCha20Rng::seed_from_u64(2);
    // Three guardians have the threshold of four.
    let three = dealer::deal(Quorum::new(3).unwrap(), [Denomination::MIN], rng)
        .unwrap()
        .0;
    assert_eq!(
        three.validate(quorum()),
        Err(ConfigError::Guardians(Denomination::MIN))
    );
    let mut empty = config.clone();
    empty.keys.clear();
    assert_eq!(empty.validate(quorum()), Err(ConfigError::Empty));
}

#[test]
fn config_and_secret_are_encoded() {
    let (config, secrets) = keys();
    assert_eq!(MintConfig::decode(&config.encode()).as_ref(), Ok(config));
    let bytes = secrets[1].encode();
    let decoded = MintSecret::decode(&bytes).unwrap();
    assert_eq!(decoded.encode(), bytes);
    let shown = format!("{:?}", secrets[1]);
    let share = hex(&*secrets[1].shares[&denomination(0)].to_bytes());
    assert!(
        !shown.contains(&share) && !shown.contains(&share[..16]),
        "{shown}"
    );
    let _ = Registry::default().with::<Mint>();
}

/// The largest federation with all denominations: what the limits must allow.
#[test]
fn the_largest_mint_fits() {
    let quorum = Quorum::new(20).unwrap();
    let rng = &mut ChaCha20Rng::seed_from_u64(2);
    let (mut config, mut secrets) = dealer::deal(quorum, [Denomination::MIN], rng).unwrap();
    let keys = config.keys[&Denomination::MIN].clone();
    let share = secrets[19].shares[&Denomination::MIN].clone();
    for denomination in Denomination::all() {
        config.keys.insert(denomination, keys.clone());
        secrets[19].shares.insert(denomination, share.clone());
    }
    assert!(config.encode().len() <= MintConfig::MAX_BYTES);
    assert!(secrets[19].encode().len() <= MintSecret::MAX_BYTES);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
