//! Guardians that move, and find each other again (SPEC NET-4).

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use guildmint_core::PeerId;
use guildmint_sim::{Faults, Setup, World};

/// A morning.
const NOW_MS: u64 = 1_700_000_000_000;

fn world(faults: Faults, seed: u64) -> World {
    let mut world = World::new(Setup::guardians(4).with(faults), seed);
    world.run(100);
    for peer in 0..4 {
        world.locate(PeerId(peer), peer.into(), NOW_MS);
    }
    world.run(8_000);
    world
}

/// Everybody knows where everybody is.
fn all_know(world: &mut World, places: [u32; 4]) {
    let places: BTreeMap<_, _> = (0..).map(PeerId).zip(places).collect();
    for peer in (0..4).map(PeerId) {
        assert_eq!(world.places(peer), places, "{peer}");
    }
}

#[test]
fn all_hear_where_all_are_also_who_comes_later_and_who_was_there_before() {
    for seed in 0..20 {
        let mut world = world(Faults::default(), seed);
        all_know(&mut world, [0, 1, 2, 3]);
        world.stop(PeerId(3));
        world.locate(PeerId(1), 11, NOW_MS + 10_000);
        world.run(8_000);
        // Who told it first is gone: it hears of it from others.
        world.stop(PeerId(1));
        world.start(PeerId(3));
        world.run(8_000);
        assert_eq!(world.places(PeerId(3))[&PeerId(1)], 11, "seed {seed}");
        world.start(PeerId(1));
        world.run(8_000);
        all_know(&mut world, [0, 11, 2, 3]);
    }
}

#[test]
fn who_has_lost_its_database_and_its_clock_is_found_again() {
    for seed in 0..20 {
        let mut world = world(Faults::default(), seed);
        world.stop(PeerId(2));
        world.wipe(PeerId(2));
        world.start(PeerId(2));
        // After it has heard where it was, or before: then it must take back what it has just said.
        world.run(100 * (seed % 2));
        world.locate(PeerId(2), 22, 5);
        world.run(20_000);
        all_know(&mut world, [0, 1, 22, 3]);
    }
}

/// Two processes with one guardian's keys: each corrects what the other says, but not without pause.
#[test]
fn two_that_contradict_each_other_for_ever_keep_nobody_busy() {
    let mut world = world(Faults::default(), 1);
    let before = world.rows_written();
    let minutes = 10;
    for turn in 0..minutes * 60 * 10 {
        world.locate(PeerId(2), 30 + turn % 2, NOW_MS);
        world.run(100);
    }
    let written = world.rows_written() - before;
    // Each of four writes one row every five seconds.
    let most = u64::from(minutes) * 60 / 5 * 4 + 20;
    assert!(
        (2..=most).contains(&written),
        "{written} rows, where {most} are enough"
    );
}
