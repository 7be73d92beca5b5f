//! Guardians of which two processes run, and who is told (SPEC NET-6). What proves it is looked at in the network's own tests.

#![allow(clippy::unwrap_used)]

use guildmint_core::PeerId;
use guildmint_sim::{Faults, Setup, World};

const TWIN: PeerId = PeerId(3);
const MINUTE_MS: u64 = 60_000;

fn world() -> World {
    let mut world = World::new(Setup::guardians(4).with(Faults::default()), 1);
    world.run(2_000);
    world
}

/// Who believes that the guardian runs twice.
fn believers(world: &mut World) -> Vec<PeerId> {
    let all = (0..4).map(PeerId);
    all.filter(|peer| world.twins(*peer) == [TWIN]).collect()
}

#[test]
fn who_sees_two_tells_all_and_it_is_over_a_minute_after_the_last_word() {
    let mut world = world();
    for witness in [0, 1].map(PeerId) {
        world.notices_a_twin(witness, TWIN, witness);
    }
    world.run(1_000);
    // One that has seen nothing, and the guardian itself, too.
    assert_eq!(believers(&mut world), [0, 1, 2, 3].map(PeerId));
    let told = world.slander();
    let of_others = |it: &&String| it.contains("runs twice");
    assert_eq!(told.iter().filter(of_others).count(), 3, "{told:?}");
    let of_itself = |it: &&String| it.contains("another process runs with this guardian's secrets");
    assert!(told.iter().any(|it| of_itself(&it)), "{told:?}");

    world.run(MINUTE_MS + 1_000);
    assert_eq!(believers(&mut world), [PeerId(0); 0]);
}

#[test]
fn the_word_of_f_convinces_nobody_else_but_the_guardian_hears_of_it() {
    let mut world = world();
    world.notices_a_twin(PeerId(0), TWIN, PeerId(0));
    world.run(1_000);
    assert_eq!(believers(&mut world), [PeerId(0)]);
    let told = world.slander();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told.iter().any(|it| it.contains("seen by guardians 0")),
        "{told:?}"
    );
}

/// As one does that cannot connect: by what it is told in a handshake.
#[test]
fn a_process_that_nobody_lets_in_is_told_too() {
    let mut world = world();
    for witness in [0, 1].map(PeerId) {
        world.notices_a_twin(TWIN, TWIN, witness);
    }
    world.run(100);
    assert_eq!(believers(&mut world), [TWIN]);
}

#[test]
fn what_goes_on_is_not_told_without_end() {
    let mut world = world();
    for _ in 0..600 {
        world.notices_a_twin(PeerId(0), TWIN, PeerId(0));
        world.run(100);
    }
    let told = world.slander();
    // Each ten seconds by the witness, and by the guardian that it tells.
    assert!((10..=14).contains(&told.len()), "{} times", told.len());
}
