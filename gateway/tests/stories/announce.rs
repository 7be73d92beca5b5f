//! The gateway is found as long as it serves, and not for longer.

use guildmint_gateway::{federation::News, Command, Event, Settings, Warning};

use crate::world::{msat, settings, World};

fn announced() -> Settings {
    Settings {
        api_url: Some("https://gateway.example.org".into()),
        ..settings()
    }
}

#[test]
fn it_announces_itself_and_again_before_it_is_forgotten() {
    let mut world = World::new(1);
    assert!(world.federations[0].announcements().is_empty());
    world.serve(0, announced());
    world.settle();
    let first = world.federations[0].announcements()[0].clone();
    assert!(first.verify(world.federations[0].id()).is_ok());
    assert_eq!(first.announcement.valid_until, 200 + 144);
    assert!(first.announcement.node_key.is_some());
    // Half of its time is not over.
    world.mine(71);
    world.fail();
    world.settle();
    assert_eq!(world.federations[0].announcements().len(), 1);
    world.mine(1);
    world.settle();
    let second = world.federations[0].announcements()[0].clone();
    assert_eq!(second.announcement.valid_until, 272 + 144);
    assert!(second.announcement.number > first.announcement.number);
}

#[test]
fn new_fees_are_announced_at_once_and_a_federation_that_is_left_is_told_nothing() {
    let mut world = World::new(1);
    world.serve(0, announced());
    world.settle();
    let mut dearer = announced();
    dearer.send_fees.parts_per_million = 20_000;
    world.serve(0, dearer);
    world.settle();
    let told = world.federations[0].announcements();
    assert_eq!(told.len(), 2);
    assert_eq!(told[0].announcement.send_fees.parts_per_million, 20_000);
    let federation = world.federations[0].id();
    world.ask(Command::Leave { federation });
    world.mine(144);
    world.settle();
    assert_eq!(world.federations[0].announcements().len(), 2);
}

#[test]
fn what_it_says_next_holds_no_shorter_whatever_was_heard_last_of_the_height() {
    let mut world = World::new(1);
    world.serve(0, announced());
    world.settle();
    let mut late = world.federations[0].state();
    late.height -= 10;
    let federation = world.federations[0].id();
    let news = News::State(late);
    world.feed(Event::Federation { federation, news });
    let mut dearer = announced();
    dearer.send_fees.parts_per_million = 20_000;
    world.serve(0, dearer);
    world.settle();
    let told = world.federations[0].announcements();
    let until = told.iter().map(|signed| signed.announcement.valid_until);
    assert_eq!(until.collect::<Vec<_>>(), [344, 344]);
}

#[test]
fn an_announcement_that_the_power_line_lost_is_made_again() {
    let mut world = World::new(1);
    world.serve(0, announced());
    world.fail();
    world.serve(0, announced());
    world.settle();
    assert!(!world.federations[0].announcements().is_empty());
}

/// Why wallets do not see it.
fn unseen(world: &World) -> Option<String> {
    world.gateway.federations()[0].unseen.clone()
}

#[test]
fn a_gateway_that_wallets_do_not_see_says_why_and_what_to_do() {
    let mut world = World::new(1);
    world.serve(0, settings());
    world.settle();
    assert!(unseen(&world).unwrap().contains("api_url"));
    let mut poor = world.federations[0].state();
    poor.ecash = msat(0);
    let federation = world.federations[0].id();
    let news = News::State(poor);
    world.feed(Event::Federation { federation, news });
    world.serve(0, announced());
    let why = unseen(&world).unwrap();
    let remedy = format!("ecash deposit {federation}");
    assert!(why.contains(&remedy), "{why}");
    world.settle();
    assert_eq!(unseen(&world), None);
    // Guardians have refused nothing: what is told of it must not say so.
    let warning = Warning::NotAnnounced(federation, "this needs 1 sat".into()).to_string();
    assert!(
        !warning.contains("refuse") && warning.contains(&remedy),
        "{warning}"
    );
}
