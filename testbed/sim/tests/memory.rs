//! Guardians that lose their memory: a database that is gone, or an old copy (SPEC EPO-5).
//!
//! In every world it is checked that no guardian ever says two things in one place, and none speaks before it contributes.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;

use guildmint_core::{module::Query, Epoch, PeerId, Wire as _};
use guildmint_engine::node::{Reply, Request};
use guildmint_sim::{play_money, Faults, Setup, World};
use serde_json::json;

const MINUTE_MS: u64 = 60_000;

/// The guardian that forgets.
const FORGETFUL: PeerId = PeerId(0);

/// A world in which transactions never end for a while, at some instant of an epoch.
fn world_in_an_epoch(seed: u64, faults: Faults) -> World {
    let mut world = World::new(Setup::guardians(4).with(faults), seed);
    world.run(1_000);
    for name in 0..3 {
        world.submit_play(name, 1_000);
        world.run(40);
    }
    world.run(seed % 60);
    world
}

/// Whatever it was in the midst of, the others go on with it, and all are equal in the end.
fn goes_on(world: &mut World, seed: u64) {
    for name in 10..14 {
        world.submit_play(name, 1_000);
        world.run(300);
    }
    world.run_until_settled(2 * MINUTE_MS);
    assert_eq!(world.accepted(), 7, "seed {seed}");
    assert_eq!(
        world.fenced(FORGETFUL),
        None,
        "seed {seed}: it takes part again"
    );
}

/// Scenarios 23 and 38.
#[test]
fn a_guardian_that_loses_its_disk_contradicts_nobody() {
    let mut fenced = 0;
    for seed in 0..120 {
        let mut world = world_in_an_epoch(seed, Faults::default());
        world.stop(FORGETFUL);
        world.wipe(FORGETFUL);
        world.run(20 + seed);
        world.start(FORGETFUL);
        world.run(200);
        fenced += u32::from(world.fenced(FORGETFUL).is_some());
        goes_on(&mut world, seed);
    }
    assert!(
        fenced > 10,
        "only {fenced} were in the midst of an epoch that went on"
    );
}

/// Scenario 38.
#[test]
fn a_guardian_with_an_old_copy_of_its_disk_contradicts_nobody() {
    for seed in 0..120 {
        let mut world = world_in_an_epoch(seed, Faults::default());
        let copy = world.copy_disk(FORGETFUL);
        world.run(10 + seed % 90);
        world.stop(FORGETFUL);
        world.replace_disk(FORGETFUL, copy);
        world.run(20 + seed);
        world.start(FORGETFUL);
        goes_on(&mut world, seed);
    }
}

/// The same where messages are lost, repeated and overtake each other.
#[test]
fn a_guardian_that_loses_its_disk_contradicts_nobody_on_a_bad_network() {
    for seed in 0..60 {
        let mut world = world_in_an_epoch(seed, Faults::lossy(5).with_busy_guardians(seed % 20));
        world.stop(FORGETFUL);
        world.wipe(FORGETFUL);
        world.run(1_000 + seed);
        world.start(FORGETFUL);
        goes_on(&mut world, seed);
    }
}

/// The proof may come when its first words wait for a slow disk.
#[test]
fn what_waits_for_the_disk_when_the_proof_comes_is_not_said() {
    for seed in 0..200 {
        let faults = Faults::default().with_slow_disk(FORGETFUL, 60);
        let mut world = world_in_an_epoch(seed, faults);
        world.stop(FORGETFUL);
        world.wipe(FORGETFUL);
        world.run(20 + seed);
        world.start(FORGETFUL);
        goes_on(&mut world, seed);
    }
}

/// A guardian that remembers everything is not fenced, however often it starts.
#[test]
fn a_guardian_that_remembers_takes_part_at_once() {
    for seed in 0..60 {
        let mut world = world_in_an_epoch(seed, Faults::default());
        for _ in 0..5 {
            world.blink(FORGETFUL);
            world.run(37);
            assert_eq!(world.fenced(FORGETFUL), None, "seed {seed}");
        }
        goes_on(&mut world, seed);
    }
}

/// Scenario 38.
#[test]
fn what_one_guardian_claims_fences_nobody() {
    let liar = PeerId(3);
    let mut world = World::new(
        Setup::guardians(4).with(Faults::default().with_a_liar(liar)),
        38,
    );
    world.liar_is_upright();
    world.run(1_000);
    for epoch in 0..20 {
        for to in 0..3 {
            world.liar_claims_to_have_heard(PeerId(to), Epoch(epoch), 1_000);
        }
        world.submit_play(epoch, 1_000);
        world.run_until_settled(MINUTE_MS);
        for peer in 0..3 {
            assert_eq!(world.fenced(PeerId(peer)), None);
        }
    }
    assert_eq!(world.accepted(), 20);
}

/// Scenario 23: epochs come many at a time, or a guardian that lost everything would need as many round trips as there were epochs.
#[test]
fn a_guardian_with_an_empty_disk_takes_over_many_epochs_at_a_time() {
    let mut world = World::new(Setup::guardians(4), 23);
    for name in 0..300 {
        world.submit_play(name, 1_000);
        world.run(500);
    }
    world.run_until_settled(MINUTE_MS);
    let epochs = world.committed()[0].unwrap().0;
    assert!(epochs >= 200, "{epochs} epochs");
    world.stop(FORGETFUL);
    world.wipe(FORGETFUL);
    world.run(1_000);
    world.start(FORGETFUL);
    let began_ms = world.now_ms();
    while world.committed()[0] != world.committed()[1] {
        world.run(10);
        assert!(
            world.now_ms() - began_ms < MINUTE_MS,
            "{:?}",
            world.committed()
        );
    }
    let took_ms = world.now_ms() - began_ms;
    // Half a second passes before it asks at all. Asking for one at a time would take more than twenty milliseconds for each.
    assert!(
        took_ms < 500 + epochs * 10,
        "{epochs} epochs took {took_ms} ms"
    );
}

/// The same among lies: a liar can slow it down, and no more.
#[test]
fn a_liar_cannot_keep_a_guardian_from_catching_up() {
    for seed in 0..10 {
        let faults = Faults::default().with_a_liar(PeerId(3));
        let mut world = World::new(Setup::guardians(4).with(faults), seed);
        world.run(1_000);
        for name in 0..40 {
            world.submit_play(name, 1_000);
            world.run(150);
        }
        // In the midst of an epoch it would be needed, and one that has forgotten what it said cannot help.
        world.run_until_settled(MINUTE_MS);
        world.stop(FORGETFUL);
        world.wipe(FORGETFUL);
        world.run(1_000);
        world.start(FORGETFUL);
        world.run_until_settled(5 * MINUTE_MS);
        assert_eq!(world.accepted(), 40, "seed {seed}");
    }
}

/// Its database is that of the first day, and says so for none to hear.
#[test]
fn who_catches_up_answers_nothing_from_the_past() {
    let mut world = World::new(Setup::guardians(4), 29);
    for name in 0..100 {
        world.submit_play(name, 1_000);
        world.run(500);
    }
    world.run_until_settled(MINUTE_MS);
    world.stop(FORGETFUL);
    world.wipe(FORGETFUL);
    world.run(1_000);
    world.start(FORGETFUL);
    let query = Request::Query {
        kind: "play".into(),
        query: Query {
            path: "minted/0".into(),
            parameters: BTreeMap::new(),
        },
    };
    let submit = Request::Submit(play_money(0, 1_000).encode());
    let (mut refused, mut reports) = (0, Vec::new());
    while world.committed()[0] != world.committed()[1] {
        for request in [&query, &submit] {
            match &world.question(&[FORGETFUL], request)[0] {
                Reply::Problem(problem) if problem.code == "not_ready" => refused += 1,
                Reply::Query(minted) => assert_eq!(*minted, json!(true)),
                Reply::Transaction(_) => {}
                other => panic!("{other:?}"),
            }
        }
        if let Reply::Status(status) = &world.question(&[FORGETFUL], &Request::Status)[0] {
            reports.extend(status.catching_up);
        }
    }
    assert!(refused > 4, "{refused}");
    let (first, last) = (reports[0], reports[reports.len() - 1]);
    assert!(
        first.behind > 50 && last.behind < first.behind,
        "{first:?} {last:?}"
    );
    assert!(
        last.done > 0 && last.to_string().contains("a second"),
        "{last}"
    );
    assert_eq!(
        world.question(&[FORGETFUL], &query),
        [Reply::Query(json!(true))]
    );
}

/// Where nobody has a reason for an epoch, the one in which it keeps silent may be long in coming; clients need not wait for that.
#[test]
fn a_guardian_that_has_caught_up_serves_clients_though_it_still_keeps_silent() {
    // Whether it learns of the open epoch before it has caught up is chance.
    let silent = (0..40)
        .filter(|seed| keeps_silent_and_serves(*seed))
        .count();
    assert!(silent > 0, "it never kept silent");
}

/// Whether it still keeps silent when it has caught up; if so, it must serve clients.
fn keeps_silent_and_serves(seed: u64) -> bool {
    let mut world = World::new(Setup::guardians(4), seed);
    for name in 0..10 {
        world.submit_play(name, 1_000);
        world.run(200);
    }
    world.run_until_settled(MINUTE_MS);
    world.stop(FORGETFUL);
    world.wipe(FORGETFUL);
    world.start(FORGETFUL);
    while world.committed()[0] != world.committed()[1] {
        world.run(10);
    }
    if world.fenced(FORGETFUL).is_none() {
        return false;
    }
    world.run(100);
    let answers = world.question(&[FORGETFUL], &Request::Status);
    let [Reply::Status(status)] = &answers[..] else {
        panic!("{answers:?}")
    };
    assert_eq!(status.not_ready, None, "seed {seed}");
    // The next epoch is over without it.
    world.submit_play(100, 1_000);
    world.run_until_settled(MINUTE_MS);
    assert_eq!(world.fenced(FORGETFUL), None, "seed {seed}");
    true
}
