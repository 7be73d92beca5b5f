//! Guardians of two versions (SPEC GEN-4).
//!
//! In every world it is checked that guardians with the same epoch have the same digest.

#![allow(clippy::unwrap_used, clippy::panic)]

use guildmint_core::{Amount, Item, ModuleId, PeerId, Transaction, Wire as _};
use guildmint_engine::{
    node::{Reply, Request},
    Contribution, Known,
};
use guildmint_kit::play::{self, Burn, Mint, SECOND_KIND};
use guildmint_sim::{Faults, Setup, World};

const MINUTE_MS: u64 = 60_000;
const ALL: [PeerId; 4] = [PeerId(0), PeerId(1), PeerId(2), PeerId(3)];

/// Play money that goes into an output of the kind that the second version brings.
fn of_the_second_kind(name: u64) -> Transaction {
    let amount = Amount::from_sat(3).unwrap();
    let mint = Mint {
        name,
        amount,
        key: None,
        honest: true,
    };
    let padding = SECOND_KIND.to_vec();
    Transaction {
        inputs: vec![Item::new(play::MODULE, &mint)],
        outputs: vec![Item::new(play::MODULE, &Burn { amount, padding })],
        signatures: vec![None],
    }
}

/// Why each guardian does not take the transaction; `None` for one that does.
fn refusals(world: &mut World, peers: &[PeerId], transaction: &Transaction) -> Vec<Option<String>> {
    let replies = world.question(peers, &Request::Submit(transaction.encode()));
    let refusal = |reply| match reply {
        Reply::Transaction(_) => None,
        Reply::Problem(problem) => Some(problem.code),
        other => panic!("{other:?}"),
    };
    replies.into_iter().map(refusal).collect()
}

fn all_refuse(world: &mut World, peers: &[PeerId]) {
    for refusal in refusals(world, peers, &of_the_second_kind(50)) {
        let why = refusal.unwrap();
        assert!(
            ["undecodable", "version_not_agreed"].contains(&why.as_str()),
            "{why}"
        );
    }
}

fn all_say_that_all_know_the_second(world: &mut World) {
    for reply in world.question(&ALL, &Request::Status) {
        let Reply::Status(status) = reply else {
            panic!("{reply:?}");
        };
        let (play, engine) = (&status.versions["play"], &status.versions["engine"]);
        assert_eq!((play.agreed, &play.known[..]), (2, &[2; 4][..]));
        assert_eq!((engine.agreed, &engine.known[..]), (1, &[1; 4][..]));
    }
}

/// A guardian's operator installs newer software.
fn upgrade(world: &mut World, peer: PeerId) {
    world.stop(peer);
    world.upgrade(peer);
    world.run(100);
    world.start(peer);
    world.run(5_000);
}

/// Scenario 37.
#[test]
fn a_new_kind_of_item_is_refused_by_all_until_all_know_it_and_taken_by_all_from_then_on() {
    for seed in 0..10 {
        let mut world = World::new(Setup::guardians(4), seed);
        world.run(1_000);
        for (name, peer) in (0..).zip(ALL) {
            all_refuse(&mut world, &ALL);
            world.submit_play(name, 1_000);
            upgrade(&mut world, peer);
        }
        world.run_until_settled(MINUTE_MS);
        all_say_that_all_know_the_second(&mut world);
        let transaction = of_the_second_kind(50);
        assert_eq!(
            refusals(&mut world, &ALL, &transaction),
            [None, None, None, None]
        );
        world.submit(transaction);
        world.submit_play(60, 1_000);
        world.run_until_settled(MINUTE_MS);
        assert_eq!(world.accepted(), 6, "seed {seed}");
        // Who comes later, from nothing, makes the same of all of it.
        world.stop(PeerId(2));
        world.wipe(PeerId(2));
        world.start(PeerId(2));
        world.run_until_settled(MINUTE_MS);
    }
}

/// Of modules that do not exist there are thousands: to speak of all of them must cost nobody much.
#[test]
fn versions_that_cannot_be_are_one_fault() {
    let faults = Faults::default().with_a_liar(PeerId(3));
    let mut world = World::new(Setup::guardians(4).with(faults), 1);
    world.liar_is_upright();
    let mut contribution = Contribution::default();
    let known = Known {
        version: 1,
        insists: 0,
    };
    let versions = &mut contribution.statement.versions;
    versions.extend((1_000..6_000).map(|module| (ModuleId(module), known)));
    world.liar_contributes(contribution);
    world.run(1_000);
    world.submit_play(1, 1_000);
    world.run_until_settled(MINUTE_MS);
    let blamed = world.blamed();
    let of_versions = blamed.iter().filter(|kind| kind.contains("versions"));
    assert!((1..100).contains(&of_versions.count()), "{}", blamed.len());
    assert_eq!(world.accepted(), 1);
}

/// To half of the guardians it is readable, to the others it is not; to all of them it must be nothing.
#[test]
fn what_is_not_agreed_forks_nobody_whoever_proposes_it() {
    for seed in 0..20 {
        let faults = Faults::default().with_a_liar(PeerId(3));
        let mut world = World::new(Setup::guardians(4).with(faults), seed);
        world.run(1_000);
        world.liar_is_upright();
        upgrade(&mut world, PeerId(0));
        upgrade(&mut world, PeerId(1));
        world.liar_contributes(Contribution {
            transactions: vec![of_the_second_kind(50)],
            ..Contribution::default()
        });
        for name in 0..3 {
            world.submit_play(name, 1_000);
            world.run(1_000);
        }
        world.run_until_settled(MINUTE_MS);
        assert_eq!(world.accepted(), 3, "seed {seed}");
        let committed = world.committed();
        assert_eq!(committed[0], committed[2], "seed {seed}");
        all_refuse(&mut world, &ALL[..3]);
    }
}

/// One guardian will not, or cannot, get newer software.
#[test]
fn t_operators_can_go_on_without_who_stays_behind_and_that_one_stops_until_it_follows() {
    for seed in 0..10 {
        let mut world = World::new(Setup::guardians(4), seed);
        world.run(1_000);
        for peer in &ALL[..3] {
            upgrade(&mut world, *peer);
        }
        for peer in &ALL[..2] {
            world.insist(*peer);
            world.run(5_000);
        }
        all_refuse(&mut world, &ALL);
        assert_eq!(world.halted(PeerId(3)), None);
        world.expect_halts();
        world.insist(PeerId(2));
        world.run(15_000);
        let why = world.halted(PeerId(3)).unwrap();
        assert!(why.contains("version 2 of the play rules"), "{why}");
        let transaction = of_the_second_kind(50);
        assert_eq!(
            refusals(&mut world, &ALL[..3], &transaction),
            [None, None, None]
        );
        world.submit(transaction);
        upgrade(&mut world, PeerId(3));
        world.run_until_settled(MINUTE_MS);
        assert_eq!(
            (world.halted(PeerId(3)), world.accepted()),
            (None, 1),
            "seed {seed}"
        );
    }
}

/// What nobody else says is nothing: versions are said once, and an idle federation stays idle.
#[test]
fn what_is_known_is_said_once() {
    let mut world = World::new(Setup::guardians(4), 3);
    world.run(1_000);
    upgrade(&mut world, PeerId(1));
    world.run(10_000);
    let before = (world.committed(), world.rows_written());
    world.run(10 * MINUTE_MS);
    assert_eq!((world.committed(), world.rows_written()), before);
}
