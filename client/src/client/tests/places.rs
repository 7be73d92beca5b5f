//! Guardians that move.

use guildmint_core::{Announcement, PeerId, Place};

use super::{
    fake::{identity, Mood},
    world::World,
};
use crate::{ApiRequest, Command};

/// What a guardian says about where it is; the number is the port and the time.
fn said(world: &World, peer: u16, number: u16) -> Announcement {
    let place = Place {
        p2p: Vec::new(),
        api: format!("http://127.0.0.1:{number}"),
    };
    let (peer, session) = (PeerId(peer), world.fake.genesis.session);
    Announcement::sign(place, peer, number.into(), None, session, &identity(peer))
}

fn asked_for_places(world: &World) -> usize {
    let asked = world.users[0].asked.iter();
    asked
        .filter(|(_, request)| *request == ApiRequest::Announcements)
        .count()
}

#[test]
fn a_guardian_that_has_moved_is_found_by_asking_any_other() {
    let mut world = World::standard();
    world.pass(0, 31_000);
    let at_start = asked_for_places(&world);
    world.fake.announcements = vec![said(&world, 2, 7)];
    world.fake.moods[2] = Mood::Down;
    world.command(0, Command::Info).unwrap();
    let found = |world: &World| world.users[0].apis.get(&PeerId(2)).cloned();
    assert_eq!(found(&world).as_deref(), Some("http://127.0.0.1:7"));
    let asked = asked_for_places(&world) - at_start;
    assert!((4..=16).contains(&asked), "{asked}: not at every failure");

    // A program that is started again knows it still, and an older announcement changes nothing.
    world.fake.announcements = vec![said(&world, 2, 6)];
    world.restart(0);
    world.pass(0, 40_000);
    world.command(0, Command::Info).unwrap();
    assert_eq!(found(&world).as_deref(), Some("http://127.0.0.1:7"));
    let knows = world.users[0].client.apis()[&PeerId(2)].clone();
    assert_eq!(knows, "http://127.0.0.1:7");
}

#[test]
fn nobody_can_move_another() {
    let mut world = World::standard();
    let mut forged = said(&world, 2, 7);
    forged.place.api = "http://evil".into();
    world.fake.announcements = vec![forged];
    world.fake.moods[2] = Mood::Down;
    world.command(0, Command::Info).unwrap();
    world.pass(0, 60_000);
    assert!(asked_for_places(&world) > 0);
    assert!(world.users[0].client.apis().is_empty());
}

#[test]
fn where_guardians_are_is_asked_once_a_day_also_if_all_is_well() {
    let mut world = World::standard();
    world.pass(0, 1_000);
    assert_eq!(asked_for_places(&world), 4);
    world.restart(0);
    world.pass(0, 1_000);
    assert_eq!(asked_for_places(&world), 4);
    world.now = world.now.after_ms(24 * 3_600_000);
    world.restart(0);
    world.pass(0, 1_000);
    assert_eq!(asked_for_places(&world), 8);
}
