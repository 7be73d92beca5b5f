//! Scenarios of a federation's life that need no real money. The numbers are those of the project's list of scenarios.

#![allow(clippy::unwrap_used)]

use guildmint_core::{limits, Amount, Item, ModuleId, PeerId, Transaction, Wire};
use guildmint_engine::{Contribution, Vote};
use guildmint_kit::play::{self, Burn, Mint, Seen};
use guildmint_sim::{play_money, Faults, Setup, World};

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;

fn peers(range: std::ops::Range<u16>) -> impl Iterator<Item = PeerId> {
    range.map(PeerId)
}

/// Scenario 12.
#[test]
fn one_guardian_alone_four_seven_ten() {
    for guardians in [1, 4, 7, 10] {
        let mut world = World::new(Setup::guardians(guardians), 1);
        for name in 0..5 {
            world.submit_play(name, 1_000);
            world.run(30);
        }
        world.run_until_settled(MINUTE_MS);
        assert_eq!(world.accepted(), 5, "{guardians} guardians");
        assert_eq!(world.slander(), [""; 0], "{guardians} guardians");
    }
}

/// Scenario 11.
#[test]
fn consensus_runs_when_there_is_a_reason_and_not_otherwise() {
    let mut world = World::new(Setup::guardians(4), 2);
    world.run(HOUR_MS);
    assert_eq!(world.committed(), [None; 4], "nothing has happened yet");
    assert_eq!(world.rows_written(), 0);

    world.submit_play(1, 1_000);
    world.run_until_settled(MINUTE_MS);
    let after_transaction = world.committed();
    assert!(after_transaction[0].is_some(), "a transaction is a reason");

    for peer in peers(0..4) {
        world.sees(peer, 100);
    }
    world.run(MINUTE_MS);
    let after_block = world.committed();
    assert!(after_block > after_transaction, "a block is a reason");

    // The same block again says nothing new.
    for peer in peers(0..4) {
        world.sees(peer, 100);
    }
    let written = world.rows_written();
    world.run(HOUR_MS);
    assert_eq!(world.committed(), after_block, "an idle hour has no epoch");
    assert_eq!(world.rows_written(), written, "and writes no row");
}

/// Scenario 14.
#[test]
fn an_accepted_transaction_sent_again_gives_its_status() {
    let mut world = World::new(Setup::guardians(4), 3);
    let first = world.submit_play(1, 1_000);
    world.run_until_settled(MINUTE_MS);
    let epochs = world.committed();
    let again = world.submit_play(1, 1_000);
    assert_eq!(first, again);
    world.run_until_settled(MINUTE_MS);
    assert_eq!((world.accepted(), world.committed()), (1, epochs));
}

/// Scenario 7, as far as the engine goes: of two transactions that spend the same, one wins everywhere.
#[test]
fn the_same_money_spent_twice_at_once_is_spent_once() {
    for seed in 0..20 {
        let mut world = World::new(Setup::guardians(4), seed);
        // Different transactions, the same name.
        world.submit_play(1, 1_000);
        world.submit_play(1, 2_000);
        world.run(10_000);
        assert_eq!(world.accepted(), 1, "seed {seed}");
        world.give_up();
        world.run_until_settled(MINUTE_MS);
    }
}

/// A world whose liar always contributes this; another transaction is accepted all the same. What the liar is blamed for.
fn blamed_for(contribution: Contribution) -> Vec<String> {
    let mut world = World::new(
        Setup::guardians(4).with(Faults::default().with_a_liar(PeerId(3))),
        5,
    );
    world.liar_contributes(contribution);
    world.submit_play(2, 1_000);
    world.run_until_settled(MINUTE_MS);
    assert_eq!(world.accepted(), 1);
    assert_eq!(world.slander(), [""; 0]);
    world.blamed().into_iter().map(str::to_owned).collect()
}

fn with_vote(module: ModuleId, bytes: usize) -> Contribution {
    let mut contribution = Contribution::default();
    let votes = &mut contribution.statement.votes;
    votes.insert(module, Vote(vec![1; bytes]));
    contribution
}

/// Scenario 17.
#[test]
fn a_contribution_with_a_false_proof_is_empty_and_stops_nobody() {
    let amount = Amount::from_sat(5).unwrap();
    let forged = Mint {
        name: 1,
        amount,
        key: None,
        honest: false,
    };
    let padding = Vec::new();
    let transaction = Transaction {
        inputs: vec![Item::new(play::MODULE, &forged)],
        outputs: vec![Item::new(play::MODULE, &Burn { amount, padding })],
        signatures: vec![None],
    };
    let blamed = blamed_for(Contribution {
        transactions: vec![transaction],
        ..Contribution::default()
    });
    assert!(
        blamed
            .iter()
            .any(|kind| kind.contains("transaction that is wrong")),
        "{blamed:?}"
    );
}

/// SPEC EPO-2.
#[test]
fn votes_that_nobody_asked_for_are_named_and_not_counted() {
    let blamed = blamed_for(with_vote(ModuleId(77), 10));
    assert!(
        blamed.iter().any(|kind| kind.contains("does not exist")),
        "{blamed:?}"
    );
    let blamed = blamed_for(with_vote(play::MODULE, 3));
    assert!(
        blamed
            .iter()
            .any(|kind| kind.contains("vote cannot be read")),
        "{blamed:?}"
    );
    let blamed = blamed_for(with_vote(play::MODULE, limits::MAX_VOTE_BYTES + 1));
    assert!(
        blamed.iter().any(|kind| kind.contains("cannot be read")),
        "{blamed:?}"
    );
}

/// Two copies of one transaction that differ in a signature: which of them is stored must not depend on which of them a
/// guardian had in its pool.
#[test]
fn two_copies_in_one_contribution_fork_nobody() {
    let secp = secp256k1::SECP256K1;
    let owner = secp256k1::Keypair::from_seckey_slice(secp, &[7; 32]).unwrap();
    let amount = Amount::from_sat(5).unwrap();
    // Only some names make guardians 0 and 1 leave it to others to propose the transaction.
    for name in 0..40 {
        let faults = Faults::default().with_a_liar(PeerId(3));
        let mut world = World::new(Setup::guardians(4).with(faults), name);
        world.run(1_000);
        let mint = Mint {
            name,
            amount,
            key: Some(owner.x_only_public_key().0),
            honest: true,
        };
        let padding = Vec::new();
        let mut copy = Transaction {
            inputs: vec![Item::new(play::MODULE, &mint)],
            outputs: vec![Item::new(play::MODULE, &Burn { amount, padding })],
            signatures: vec![None],
        };
        let message = secp256k1::Message::from_digest(world.txid(&copy).0);
        copy.signatures = vec![Some(secp.sign_schnorr_no_aux_rand(&message, &owner))];
        let mut other = copy.clone();
        let another = secp.sign_schnorr_with_aux_rand(&message, &owner, &[9; 32]);
        other.signatures = vec![Some(another)];
        assert_ne!(copy, other);
        world.liar_contributes(Contribution {
            transactions: vec![copy, other.clone()],
            ..Contribution::default()
        });
        // The second copy waits in the pools of two guardians when the liar's contribution arrives.
        world.submit_to(&[PeerId(0), PeerId(1)], other);
        world.submit_play(1_000, 1_000);
        world.run(20_000);
        world.give_up();
        world.run_until_settled(MINUTE_MS);
    }
}

/// SPEC TX-5: the signatures are not part of the id, so a copy with wrong ones must not spoil the good one.
#[test]
fn a_copy_with_a_wrong_signature_makes_no_verdict() {
    let secp = secp256k1::SECP256K1;
    let owner = secp256k1::Keypair::from_seckey_slice(secp, &[7; 32]).unwrap();
    let amount = Amount::from_sat(5).unwrap();
    let mint = Mint {
        name: 1,
        amount,
        key: Some(owner.x_only_public_key().0),
        honest: true,
    };
    let padding = Vec::new();
    let mut world = World::new(Setup::guardians(4), 12);
    let mut transaction = Transaction {
        inputs: vec![Item::new(play::MODULE, &mint)],
        outputs: vec![Item::new(play::MODULE, &Burn { amount, padding })],
        signatures: vec![None],
    };
    let id = world.txid(&transaction);
    let sign = |digest| {
        let message = secp256k1::Message::from_digest(digest);
        Some(secp.sign_schnorr_no_aux_rand(&message, &owner))
    };
    transaction.signatures = vec![sign([1; 32])];
    world.submit(transaction.clone());
    world.run(3_000);
    assert_eq!(world.accepted(), 0);
    world.give_up();
    transaction.signatures = vec![sign(id.0)];
    world.submit(transaction);
    world.run_until_settled(MINUTE_MS);
    assert_eq!(world.accepted(), 1);
}

/// Scenario 21.
#[test]
fn a_guardian_that_was_away_catches_up_and_is_needed() {
    let mut world = World::new(Setup::guardians(4), 6);
    world.run(1_000);
    world.stop(PeerId(3));
    for name in 0..30 {
        world.submit_play(name, 1_000);
        world.run(200);
    }
    world.run_until_settled(MINUTE_MS);
    world.start(PeerId(3));
    world.run_until_settled(MINUTE_MS);
    world.stop(PeerId(0));
    world.submit_play(100, 1_000);
    world.run_until_settled(MINUTE_MS);
    assert_eq!(world.accepted(), 31);
}

/// Scenario 22.
#[test]
fn all_guardians_lose_power_at_once_again_and_again() {
    for seed in 0..30 {
        let mut world = World::new(Setup::guardians(4), seed);
        world.run(1_000);
        for name in 0..6 {
            world.submit_play(name, 1_000);
            // Every millisecond of an epoch is a different place to stop in.
            world.run(seed * 5 + name * 7);
            world.power_cut();
            world.run(500);
        }
        world.run_until_settled(MINUTE_MS);
        assert_eq!(world.accepted(), 6, "seed {seed}");
    }
}

/// Four transactions while one guardian is gone for good, so that the other three are all needed; and one of these loses
/// power whenever it saves a commit. All settles within this time after the last.
fn blink_at_commits(faults: &Faults, seed: u64, settles_in_ms: u64) {
    let mut world = World::new(Setup::guardians(4).with(faults.clone()), seed);
    world.run(1_000);
    world.stop(PeerId(3));
    for name in 0..4 {
        world.submit_play(name, 1_000);
        world.run_until_one_commits(PeerId(0), MINUTE_MS);
        world.blink(PeerId(0));
    }
    world.run_until_settled(settles_in_ms);
    assert_eq!(world.accepted(), 4, "seed {seed}");
}

#[test]
fn a_guardian_that_blinks_at_its_commit_stops_nobody_while_another_is_gone() {
    // On a slow disk much of what is said hangs on the save that commits.
    let faults = Faults::default().with_slow_disk(PeerId(0), 100);
    for seed in 0..100 {
        blink_at_commits(&faults, seed, MINUTE_MS);
    }
}

/// SPEC EPO-5: what the others still lack of a guardian's last epoch comes from its log, also after a crash.
#[test]
fn what_was_lost_on_the_way_is_said_again_after_a_crash_at_commit() {
    for seed in 0..60 {
        blink_at_commits(&Faults::lossy(25), seed, 2 * MINUTE_MS);
    }
}

/// SPEC EPO-7: an epoch whose only reason is a guardian that has nothing to say is put off, longer and longer.
#[test]
fn a_vote_that_changes_nothing_keeps_nobody_busy() {
    let mut world = World::new(
        Setup::guardians(4).with(Faults::default().with_a_liar(PeerId(3))),
        13,
    );
    let mut contribution = Contribution::default();
    let votes = &mut contribution.statement.votes;
    votes.insert(play::MODULE, Vote(Seen(7).encode()));
    world.liar_contributes(contribution);
    world.run(1_000);
    let before = world.committed()[0].map_or(0, |epoch| epoch.0);
    for height in 0..600 {
        // Reason enough for the liar, but all it says is what it has said before.
        world.sees(PeerId(3), 1_000 + height);
        world.run(1_000);
    }
    let epochs = world.committed()[0].map_or(0, |epoch| epoch.0) - before;
    assert!((1..100).contains(&epochs), "{epochs} epochs in ten minutes");
}

/// Checks are what costs most.
#[test]
fn a_transaction_is_checked_once_by_each_guardian_whoever_brings_it() {
    let mut world = World::new(Setup::guardians(4), 15);
    world.run(1_000);
    for name in 0..20 {
        world.submit_play(name, 1_000);
        world.run(name * 3);
    }
    world.run_until_settled(MINUTE_MS);
    assert_eq!((world.accepted(), world.transactions_checked()), (20, 80));
}

/// SPEC GEN-5: what holds alone but is refused is free to make, so it must not be remembered.
#[test]
fn refused_transactions_leave_nothing_behind() {
    let mut world = World::new(Setup::guardians(4), 16);
    world.submit_play(1, 1_000);
    world.run_until_settled(MINUTE_MS);
    world.submit_play(2, 1_000);
    world.run_until_settled(MINUTE_MS);
    let before = world.remembered(PeerId(0));
    for msat in 2_000..2_100 {
        // The name was used before.
        world.submit_play(1, msat);
        world.run(20);
        world.give_up();
    }
    world.run(5_000);
    assert_eq!(world.accepted(), 2);
    assert!(world.remembered(PeerId(0)) <= before);
}

/// SPEC TX-6: one note is good for one place in the pool.
#[test]
fn the_same_money_waits_only_once() {
    let mut world = World::new(Setup::guardians(4), 14);
    world.run(1_000);
    world.stop(PeerId(2));
    world.stop(PeerId(3));
    for msat in 1..50 {
        world.submit_to(&[PeerId(0), PeerId(1)], play_money(1, msat));
    }
    assert_eq!(world.pooled(PeerId(0)), 1);
    world.start(PeerId(2));
    // What came first is what waits.
    world.submit(play_money(1, 1));
    world.run_until_settled(MINUTE_MS);
    assert_eq!(world.accepted(), 1);
}

/// Scenario 25.
#[test]
fn two_halves_make_no_progress_and_no_divergence() {
    let faults = Faults::default().with_partition([PeerId(0), PeerId(1)], 5_000, 65_000);
    let mut world = World::new(Setup::guardians(4).with(faults), 7);
    world.submit_play(1, 1_000);
    world.run(4_000);
    assert_eq!(world.accepted(), 1);
    let before = world.committed();
    world.submit_play(2, 1_000);
    world.run(1_000);
    world.submit_play(3, 1_000);
    world.run(55_000);
    assert_eq!(world.committed(), before, "no half can go on alone");
    world.run_until_settled(MINUTE_MS);
    assert_eq!(world.accepted(), 3);
}

/// Scenario 36.
#[test]
fn an_hour_of_a_network_that_loses_repeats_and_reorders() {
    for guardians in [4, 7, 10] {
        let mut world = World::new(Setup::guardians(guardians).with(Faults::lossy(5)), 8);
        let mut wanted = 0;
        while world.now_ms() < HOUR_MS {
            wanted += 1;
            world.submit_play(wanted, 1_000);
            world.run_until_settled(MINUTE_MS);
            world.run(MINUTE_MS);
        }
        assert_eq!(world.accepted() as u64, wanted, "{guardians} guardians");
        assert_eq!(world.slander(), [""; 0]);
    }
}

/// Scenario 24, as far as the engine goes: one guardian garbles, swallows and cuts what it says.
#[test]
fn one_byzantine_guardian_is_seen_and_stops_nobody() {
    for seed in 0..10 {
        let faults = Faults::lossy(2).with_a_liar(PeerId(3));
        let mut world = World::new(Setup::guardians(4).with(faults), seed);
        for name in 0..10 {
            world.submit_play(name, 1_000);
            world.run(300);
        }
        world.run_until_settled(2 * MINUTE_MS);
        assert_eq!(world.accepted(), 10, "seed {seed}");
        assert_eq!(world.slander(), [""; 0], "seed {seed}");
        assert!(!world.blamed().is_empty(), "seed {seed}");
    }
}

/// A world is decided by its seed alone.
#[test]
fn the_same_seed_is_the_same_world() {
    let history = |seed| {
        let faults = Faults::lossy(10)
            .with_crashes(5, 1_000)
            .with_a_liar(PeerId(3));
        let mut world = World::new(Setup::guardians(4).with(faults), seed);
        for name in 0..5 {
            world.submit_play(name, 1_000);
            world.run(1_000);
        }
        (
            world.committed(),
            world.rows_written(),
            world.blamed().len(),
        )
    };
    assert_eq!(history(1), history(1));
    assert_ne!(history(1), history(2));
}

/// Scenario 13: a planted hole in the balance sheet.
#[test]
fn an_insolvent_epoch_is_committed_by_nobody() {
    let mut world = World::new(Setup::guardians(4).insolvent_above(10_000), 10);
    world.submit_play(1, 9_000);
    world.run_until_settled(MINUTE_MS);
    let before = world.committed();
    world.submit_play(2, 11_000);
    world.run_until_halted(MINUTE_MS);
    assert_eq!(world.committed(), before);
}
