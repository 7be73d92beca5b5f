//! Scenario 8: notes and blinded messages that come twice.

use guildmint_client::Phase;
use guildmint_core::{Amount, PeerId, Wire};
use guildmint_engine::node::Request;

use crate::{
    common::{check_books, receive},
    race,
    raw::{code, refuse, Scribe, Stage::Ordered},
    world,
};

#[test]
fn of_two_sets_of_notes_that_overlap_one_is_spent() {
    let (mut world, alice, bob) = world(1);
    let mut scribe = Scribe::new(&world, 1);
    for _ in 0..4 {
        let notes = scribe.fund(&mut world, alice, &[20; 3]);
        let [left, right] = [&notes[..2], &notes[1..]];
        let requests = [[20; 2]; 2].map(|exponents| scribe.requests(&exponents));
        let drafts = [
            scribe.exchange(left, &requests[0]),
            scribe.exchange(right, &requests[1]),
        ];
        let [one, other] = drafts.map(|draft| draft.sign(scribe.federation));
        let (winner, code) = race(&mut world, &one, &other);
        assert_eq!(code, "note_spent");

        // The note that only the loser wanted to spend is as good as before.
        let (loser, won) = match winner == world.txid(&one) {
            true => (&notes[2], &requests[0]),
            false => (&notes[0], &requests[1]),
        };
        let mut good = scribe.collect(&mut world, winner, won);
        good.push(loser.clone());
        let view = receive(&mut world, bob, scribe.string(&good)).unwrap();
        assert_eq!(view.phase, Phase::Done, "{view:?}");
    }
    assert_eq!(world.balance(bob).msat(), 12 << 20);
    check_books(&mut world, &[alice, bob], 0);
}

#[test]
fn what_comes_twice_is_refused_and_the_rest_stays_good() {
    let (mut world, alice, bob) = world(2);
    let mut scribe = Scribe::new(&world, 1);
    let requests = scribe.requests(&[20; 2]);
    let spent = scribe.fund(&mut world, alice, &[20; 2]);
    let draft = scribe.exchange(&spent, &requests);
    let txid = scribe.accept(&mut world, &draft);
    let mut good = scribe.collect(&mut world, txid, &requests);
    good.extend(scribe.fund(&mut world, alice, &[20; 2]));

    let fresh = scribe.requests(&[20; 4]);
    let half_spent = [&spent[..], &good[..2]].concat();
    let one_twice = [good[0].clone(), good[0].clone()];
    let tries = [
        (
            "a note twice",
            scribe.exchange(&one_twice, &fresh[..2]),
            "note_spent",
        ),
        (
            "half of the notes are spent",
            scribe.exchange(&half_spent, &fresh),
            "note_spent",
        ),
        (
            "a message twice",
            scribe.exchange(&good[..2], &[fresh[0], fresh[0]]),
            "already_issued",
        ),
        (
            "a message was signed",
            scribe.exchange(&good[..2], &[fresh[0], requests[0]]),
            "already_issued",
        ),
    ];
    for (what, draft, code) in tries {
        refuse(
            &mut world,
            what,
            &draft.sign(scribe.federation),
            code,
            Ordered,
        );
    }

    let view = receive(&mut world, bob, scribe.string(&half_spent)).unwrap();
    assert_eq!(view.phase, Phase::Failed, "{view:?}");
    assert_eq!(view.details["problem"]["code"], "note_spent");
    assert_eq!(world.balance(bob), Amount::ZERO);
    let view = receive(&mut world, bob, scribe.string(&good)).unwrap();
    assert_eq!(view.phase, Phase::Done, "{view:?}");
    assert_eq!(world.balance(bob).msat(), 4 << 20);
    check_books(&mut world, &[alice, bob], 0);
}

/// Of what comes twice only one waits.
#[test]
fn a_note_that_waits_to_be_spent_cannot_be_promised_to_another() {
    let (mut world, alice, bob) = world(3);
    let mut scribe = Scribe::new(&world, 1);
    let notes = scribe.fund(&mut world, alice, &[20; 2]);
    let requests = scribe.requests(&[20, 20]);
    let first = scribe.exchange(&notes[..1], &requests[..1]);
    let same_note = scribe.exchange(&notes[..1], &requests[1..]);
    let same_message = scribe.exchange(&notes[1..], &requests[..1]);
    let [first, same_note, same_message] =
        [first, same_note, same_message].map(|draft| draft.sign(scribe.federation));
    // Two are away, so nothing is decided.
    world.stop(PeerId(1));
    world.stop(PeerId(2));
    for (transaction, expected) in [
        (&first, "(pending)"),
        (&same_note, "in_conflict"),
        (&same_message, "in_conflict"),
    ] {
        let request = Request::Submit(transaction.encode());
        let replies = world.question(&[PeerId(0)], &request);
        assert_eq!(code(&replies[0]), expected);
    }
    world.start(PeerId(1));
    world.start(PeerId(2));
    let txid = world.submit(first);
    world.run_until_settled(60_000);
    refuse(
        &mut world,
        "the same note",
        &same_note,
        "note_spent",
        Ordered,
    );
    refuse(
        &mut world,
        "the same message",
        &same_message,
        "already_issued",
        Ordered,
    );
    let mut good = scribe.collect(&mut world, txid, &requests[..1]);
    good.push(notes[1].clone());
    receive(&mut world, bob, scribe.string(&good)).unwrap();
    assert_eq!(world.balance(bob).msat(), 2 << 20);
    check_books(&mut world, &[alice, bob], 0);
}
