//! What the operator is told of fees that do not cover what federations take (SPEC GW-6).

use guildmint_gateway::{federation::Costs, Charge, Command, Settings, Warning};
use guildmint_ln::FeeSchedule;

use crate::world::{msat, settings, World};

fn costs(fund: u64, claim: u64) -> Costs {
    Costs {
        fund: msat(fund),
        claim: msat(claim),
    }
}

fn charging(receive: u64, margin: u64) -> Settings {
    let flat = |base| FeeSchedule {
        base: msat(base),
        parts_per_million: 0,
    };
    Settings {
        receive_fees: flat(receive),
        send_margin: flat(margin),
        ..settings()
    }
}

/// What is told from here on: whose fee, which, what it brings, and what it must cover.
fn told(world: &mut World) -> Vec<(usize, Charge, u64, u64)> {
    world.settle();
    let warnings = std::mem::take(&mut world.warnings).into_iter();
    let told = warnings.map(|warning| match warning {
        Warning::FeesTooLow {
            federation,
            charge,
            charged,
            costs,
        } => {
            let mut all = world.federations.iter();
            let place = all.position(|one| one.id() == federation).unwrap();
            (place, charge, charged.msat(), costs.msat())
        }
        other => panic!("{other:?}"),
    });
    told.collect()
}

#[test]
fn fees_that_do_not_cover_what_the_federation_takes_are_told_when_they_are_set_or_it_takes_more() {
    let mut world = World::new(1);
    world.serve(0, charging(0, 0));
    assert_eq!(told(&mut world), [], "it takes nothing");
    world.federations[0].set_costs(costs(200, 100));
    let both = [(0, Charge::Receive, 0, 300), (0, Charge::Margin, 0, 100)];
    assert_eq!(told(&mut world), both);
    assert_eq!(told(&mut world), [], "it is told once");
    // ⚠ A swap pays for both of its contracts.
    world.serve(0, charging(299, 100));
    assert_eq!(told(&mut world), [(0, Charge::Receive, 299, 300)]);
    world.serve(0, charging(300, 100));
    assert_eq!(told(&mut world), []);
    world.federations[0].set_costs(costs(201, 100));
    assert_eq!(told(&mut world), [(0, Charge::Receive, 300, 301)]);
    // Whoever starts it again is told again.
    world.fail();
    assert_eq!(told(&mut world), [(0, Charge::Receive, 300, 301)]);
}

#[test]
fn who_is_paid_in_one_federation_may_be_paid_out_of_a_dearer_one() {
    let mut world = World::new(2);
    for place in 0..2 {
        world.serve(place, charging(300, 500));
    }
    world.federations[0].set_costs(costs(200, 100));
    assert_eq!(told(&mut world), []);
    world.federations[1].set_costs(costs(0, 500));
    let both = [
        (0, Charge::Receive, 300, 700),
        (1, Charge::Receive, 300, 500),
    ];
    assert_eq!(told(&mut world), both);
    // The operator is told which to raise, and by what.
    let federation = world.federations[0].id();
    let warning = Warning::FeesTooLow {
        federation,
        charge: Charge::Receive,
        charged: msat(300),
        costs: msat(700),
    };
    let text = warning.to_string();
    for part in ["700 msat", "300 msat", "set-fees --receive-base"] {
        assert!(text.contains(part), "{text}");
    }
    // One that was left is no payer any more.
    let federation = world.federations[1].id();
    world.ask(Command::Leave { federation });
    world.serve(0, charging(299, 100));
    assert_eq!(told(&mut world), [(0, Charge::Receive, 299, 300)]);
}
