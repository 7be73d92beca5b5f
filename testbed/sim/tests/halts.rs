//! Scenario 35: what is known to have stopped federations for ever, each as an adversary. None of it stops ours.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use guildmint_core::{api::TransactionStatus, Epoch, PeerId, Transaction};
use guildmint_engine::{
    node::{Reply, Request},
    Message,
};
use guildmint_sim::{aux, bval, play_money, Faults, Setup, World};

const MINUTE_MS: u64 = 60_000;

fn is_accepted(world: &mut World, at: PeerId, transaction: &Transaction) -> bool {
    let question = Request::Transaction {
        txid: world.txid(transaction),
        wait_ms: 0,
    };
    let answers = world.question(&[at], &question);
    let accepted = |answer: &Reply| match answer {
        Reply::Transaction(answer) => matches!(answer.status, TransactionStatus::Accepted { .. }),
        _ => false,
    };
    answers.iter().all(accepted)
}

/// Scenario 35, first part. Where payloads are split into shards, shards that are no code word stop some for ever; here a
/// payload can at worst be told to some only.
#[test]
fn a_contribution_told_to_some_only_stops_nobody() {
    for (guardians, confidants) in [(4, 1), (4, 2), (7, 3), (7, 4)] {
        let liar = PeerId(guardians - 1);
        let mut counted = 0;
        for seed in 0..6 {
            let faults = Faults::default().with_a_liar(liar);
            let mut world = World::new(Setup::guardians(guardians).with(faults), seed);
            world.liar_is_upright();
            world.liar_confides_in((0..confidants).map(PeerId));
            world.run(1_000);
            for name in 0..5 {
                // What the liar alone was given is in its contributions and in no others.
                let secret = play_money(100 + name, 1_000);
                world.submit_to(&[liar], secret.clone());
                world.submit_play(name, 1_000);
                world.run_until_settled(10_000);
                // That of the guardian that it is never told of.
                let last = PeerId(guardians - 2);
                counted += u32::from(is_accepted(&mut world, last, &secret));
            }
            assert_eq!(
                world.slander(),
                [""; 0],
                "{confidants} of {guardians}, seed {seed}"
            );
        }
        // With n - f who have it, the liar included, a contribution can count, and those who lack it ask for it.
        let quorum = guardians - (guardians - 1) / 3;
        let can_count = confidants + 1 >= quorum;
        assert_eq!(
            counted > 0,
            can_count,
            "{confidants} of {guardians}: {counted}"
        );
    }
}

/// Scenario 35, second part. hbbft keeps a `Term` that comes a round too early for when that round begins, and drops it if
/// that round is over before its turn has come; as its sender has no more to say, a ballot can then be one voice short
/// for ever. It takes a guardian that is not heard by another for a while, and a liar that chooses its words:
///
/// - `quick` does not hear `doubter`, so it sees only yes in round 0 of the ballot on the liar, ends it, and says `Term` for
///   round 1;
/// - `late` is kept in round 0 by a no that it has heard of too rarely. There it gets that `Term`, and the others' words of
///   round 1;
/// - then the liar says to it the no that was missing: round 0 ends, and round 1 is over before all its words are read.
#[test]
fn a_term_that_comes_early_is_not_lost_when_a_round_advances() {
    let [liar, late, doubter, quick] = [0, 1, 2, 3].map(PeerId);
    let faults = Faults::default()
        .with_a_liar(liar)
        .with_frames_lost(doubter, quick);
    let mut world = World::new(Setup::guardians(4).with(faults), 35);
    world.liar_is_mute();
    world.liar_confides_in([late, quick]);
    world.run(1_000);
    world.submit_play(1, 1_000);
    world.run(1_000);
    let epoch = Epoch(0);
    let payload = |world: &World, author| world.contribution(author, epoch).unwrap();

    // The liar helps two to count the others' contributions, so that they vote no on its own.
    for proposer in [late, doubter, quick] {
        let hash = payload(&world, proposer);
        let help = [
            Message::Ready(proposer, hash),
            bval(proposer, 0, true),
            aux(proposer, 0, true),
        ];
        world.liar_says(late, epoch, &help);
        world.liar_says(doubter, epoch, &help);
    }
    world.run(500);
    assert_eq!(world.undecided(late), [liar]);
    assert_eq!(world.undecided(doubter), [liar]);
    assert_eq!(world.undecided(quick).len(), 4);

    // The third is told enough of the liar's contribution to vote yes on it.
    let hash = payload(&world, liar);
    let [echo, ready] = [Message::Echo(liar, hash), Message::Ready(liar, hash)];
    world.liar_says(doubter, epoch, &[bval(liar, 0, false)]);
    world.liar_says(quick, epoch, &[echo, ready.clone()]);
    world.liar_says(late, epoch, &[ready]);
    world.run(500);
    world.liar_says(late, epoch, &[bval(liar, 0, true)]);
    world.liar_says(quick, epoch, &[bval(liar, 0, true), aux(liar, 0, true)]);
    world.run(500);
    assert!(
        !world.undecided(quick).contains(&liar),
        "it has said its `Term`"
    );

    let next_round = [bval(liar, 1, true), aux(liar, 1, true)];
    world.liar_says(doubter, epoch, &next_round);
    world.liar_says(late, epoch, &next_round);
    world.run(500);
    assert_eq!(world.undecided(late), [liar]);
    world.liar_says(late, epoch, &[bval(liar, 0, false)]);
    world.run(500);

    // From here on the liar is silent, and what was lost is said again.
    world.heal();
    world.run_until_settled(MINUTE_MS);
    assert_eq!(world.accepted(), 1);
    assert_eq!(world.slander(), [""; 0]);
}

/// Scenario 35, third part: a liar that withholds its signatures cannot strand a guardian that lags.
#[test]
fn withheld_signatures_strand_nobody() {
    let faults = Faults::default().with_a_liar(PeerId(3));
    let mut world = World::new(Setup::guardians(4).with(faults), 9);
    world.liar_withholds_signatures();
    world.run(1_000);
    world.stop(PeerId(0));
    for name in 0..10 {
        world.submit_play(name, 1_000);
        world.run(300);
    }
    world.run_until_settled(2 * MINUTE_MS);
    world.start(PeerId(0));
    world.run_until_settled(2 * MINUTE_MS);
    let heads: BTreeMap<_, _> = world.committed().into_iter().zip(0..).collect();
    assert!(heads.keys().all(Option::is_some));
}

/// What a guardian says as an epoch ends is sent even if nothing follows: others may be waiting for just that.
#[test]
fn the_last_words_of_an_epoch_are_said() {
    for seed in 0..60 {
        let faults = Faults::default().with_busy_guardians(20);
        let mut world = World::new(Setup::guardians(4).with(faults), seed);
        world.run(2_000);
        // All three are needed.
        world.stop(PeerId(3));
        for height in 1..6 {
            for peer in 0..3 {
                world.sees(PeerId(peer), 100 + height);
            }
            // An epoch without a transaction is processed at once.
            world.run(15_000);
            let committed = world.committed();
            assert!(committed[0].is_some(), "seed {seed}");
            assert_eq!(committed[0], committed[1], "seed {seed}, height {height}");
            assert_eq!(committed[0], committed[2], "seed {seed}, height {height}");
        }
    }
}
