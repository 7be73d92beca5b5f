//! Scenario 24: Byzantine guardians in all their ways. Users notice nothing, and the operators of the others see who it is.

#![allow(clippy::unwrap_used)]

use guildmint_core::{Epoch, PeerId, Wire as _};
use guildmint_engine::{Contribution, Message, Vote};
use guildmint_kit::play::{self, Seen};
use guildmint_sim::{aux, bval, runs, Faults, Setup, World};

const MINUTE_MS: u64 = 60_000;

/// As many as there may be, each with ideas of its own.
#[test]
fn liars_with_ideas_stop_nobody() {
    for (guardians, seeds) in [(4, 20), (7, 10), (10, 4)] {
        let liars = (guardians - 1) / 3;
        let mut blamed = 0;
        for seed in 0..seeds {
            let faults = (0..liars).fold(Faults::lossy(2), |faults, liar| {
                faults.with_a_liar(PeerId(guardians - 1 - liar))
            });
            let mut world = World::new(Setup::guardians(guardians).with(faults), seed);
            world.liars_are_inventive();
            for name in 0..6 {
                world.submit_play(name, 1_000);
                world.run(300);
            }
            world.run_until_settled(5 * MINUTE_MS);
            assert_eq!(world.accepted(), 6, "{guardians} guardians, seed {seed}");
            assert_eq!(
                world.slander(),
                [""; 0],
                "{guardians} guardians, seed {seed}"
            );
            blamed += u64::from(!world.blamed().is_empty());
        }
        // Silence and slowness are no fault that can be proven.
        assert!(blamed > seeds / 2, "{blamed} of {seeds} were seen");
    }
}

/// Losses, crashes, lies, lost memories and clocks that differ, all at once; and money in every twentieth world.
#[test]
fn storms_end_well() {
    for seed in 0..40 {
        runs::storm(seed);
    }
}

/// Two contributions to one epoch: at most one counts, and whoever hears of both tells.
#[test]
fn two_contributions_to_one_epoch_are_seen() {
    let faults = Faults::default().with_a_liar(PeerId(3));
    let mut world = World::new(Setup::guardians(4).with(faults), 24);
    world.liar_is_upright();
    world.run(1_000);
    for name in 0..4 {
        let epoch = Epoch(world.committed()[0].map_or(0, |epoch| epoch.0 + 1));
        world.submit_play(name, 1_000);
        world.run(20);
        // The liar's own contribution is on its way, too.
        let mut contribution = Contribution::default();
        contribution.statement.tip_height = Some(7);
        for to in 0..3 {
            world.liar_contributes_to(PeerId(to), epoch, &contribution);
        }
        world.run_until_settled(MINUTE_MS);
    }
    let told = world.blamed();
    let of_two = told.iter().filter(|it| it.starts_with("two contributions"));
    assert!(of_two.count() > 0, "{told:?}");
    assert_eq!((world.accepted(), world.slander()), (4, vec![]));
}

#[test]
fn who_signs_another_result_is_seen_and_strands_nobody() {
    let faults = Faults::default().with_a_liar(PeerId(3));
    let mut world = World::new(Setup::guardians(4).with(faults), 24);
    world.liar_signs_another_result();
    world.run(1_000);
    world.stop(PeerId(0));
    for name in 0..10 {
        world.submit_play(name, 1_000);
        world.run(300);
    }
    world.run_until_settled(MINUTE_MS);
    world.start(PeerId(0));
    world.run_until_settled(MINUTE_MS);
    assert_eq!(world.accepted(), 10);
    let another = world.blamed();
    let another = another
        .iter()
        .filter(|it| it.starts_with("signed another result"));
    assert!(another.count() > 0);
    assert_eq!(world.slander(), [""; 0]);
}

/// Only one that has said nothing in the epoch yet hears the last word that decides: what it then has to say is needed by all.
#[test]
fn a_last_word_for_one_that_has_not_contributed_stops_nobody() {
    let [liar, quiet] = [3, 0].map(PeerId);
    for seed in 0..40 {
        let faults = Faults::default().with_a_liar(liar);
        let mut world = World::new(Setup::guardians(4).with(faults), seed);
        world.liar_is_mute();
        world.run(1_000);
        // One epoch before, so that who has nothing to say waits, and does not begin with the others.
        world.submit_play(100, 1_000);
        world.run_until_settled(MINUTE_MS);
        let epoch = Epoch(world.committed()[0].unwrap().0 + 1);
        // A reason for two; the liar tells its contribution to all.
        for peer in [1, 2] {
            world.sees(PeerId(peer), 10);
        }
        world.run(3 + seed % 40);
        let proposers = [1, 2, 3].map(PeerId);
        for proposer in proposers {
            let Some(hash) = world.contribution(proposer, epoch) else {
                continue;
            };
            let words = [
                Message::Echo(proposer, hash),
                Message::Ready(proposer, hash),
                bval(proposer, 0, true),
                aux(proposer, 0, true),
            ];
            world.liar_says(quiet, epoch, &words);
            // Of the last word the others hear nothing.
            for other in [1, 2] {
                world.liar_says(PeerId(other), epoch, &words[..2]);
            }
        }
        world.run(10_000);
        world.submit_play(1, 1_000);
        world.run_until_settled(2 * MINUTE_MS);
        assert_eq!(world.accepted(), 2, "seed {seed}");
        assert_eq!(world.slander(), [""; 0], "seed {seed}");
    }
}

/// SPEC NET-7: a short question, and a long answer from the disk.
#[test]
fn who_asks_for_history_without_end_gets_so_much_of_it_and_payments_go_on() {
    let (liar, asked) = (PeerId(3), PeerId(0));
    let mut world = World::new(
        Setup::guardians(4).with(Faults::default().with_a_liar(liar)),
        1,
    );
    world.liar_is_upright();
    for name in 0..5 {
        world.submit_play(name, 1_000);
        world.run_until_settled(MINUTE_MS);
    }
    let before = world.loads(asked);
    let seconds = 10;
    world.submit_play(100, 1_000);
    for _ in 0..seconds * 1_000 {
        for _ in 0..4 {
            world.liar_wants_history(asked, Epoch(0));
        }
        world.run(1);
    }
    assert_eq!(world.accepted(), 6);
    // A hundred answers in a second and those that it may have at once, of two looks at the disk each; and what the payment needs.
    let loads = world.loads(asked) - before;
    let most = 2 * (seconds * 100 + 200) + 50;
    assert!((500..=most).contains(&loads), "{loads} of {most}");
    assert_eq!(world.slander(), [""; 0]);
}

/// Clocks that differ by minutes are no matter: no guardian compares its own with another's.
#[test]
fn clocks_may_differ_by_minutes() {
    for seed in 0..10 {
        let faults = Faults::lossy(3)
            .with_clocks_apart(20 * MINUTE_MS)
            .with_crashes(3, 1_000);
        let mut world = World::new(Setup::guardians(4).with(faults), seed);
        for name in 0..6 {
            world.submit_play(name, 1_000);
            world.run(500);
        }
        world.heal();
        // As long as with clocks that agree.
        world.run_until_settled(MINUTE_MS);
        assert_eq!(world.accepted(), 6, "seed {seed}");
        assert_eq!(world.slander(), [""; 0], "seed {seed}");
    }
}

/// SPEC EPO-7: what it says changes a row, and nothing that matters to anybody.
#[test]
fn a_liar_that_always_has_something_new_to_say_keeps_nobody_busy() {
    let faults = Faults::default().with_a_liar(PeerId(3));
    let mut world = World::new(Setup::guardians(4).with(faults), 13);
    world.liar_is_upright();
    world.run(1_000);
    let before = world.committed()[0].map_or(0, |epoch| epoch.0);
    for height in 0..2_400 {
        let mut contribution = Contribution::default();
        let votes = &mut contribution.statement.votes;
        votes.insert(play::MODULE, Vote(Seen(height).encode()));
        world.liar_contributes(contribution);
        world.sees(PeerId(3), 10_000 + height);
        world.run(250);
    }
    let epochs = world.committed()[0].map_or(0, |epoch| epoch.0) - before;
    assert!((1..100).contains(&epochs), "{epochs} epochs in ten minutes");
}
