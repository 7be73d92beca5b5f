//! Withdrawals: followed until they are in a block, and given up while they are refused.

use super::*;

pub fn withdraw(fee_sat: u64) -> Command {
    Command::Withdraw {
        address: ADDRESS.into(),
        amount: sat(1_200),
        fee: sat(fee_sat),
    }
}

#[test]
fn a_withdrawal_is_followed_to_the_network() {
    let mut world = World::standard();
    world.fund(0, 5_000);
    world.fake.signs = false;
    world.fake.moods[2] = Mood::Greedy;
    let quote = world.command(
        0,
        Command::Quote {
            address: ADDRESS.into(),
            amount: sat(1_200),
        },
    );
    let Ok(Reply::Quote { fee_sat, .. }) = quote else {
        panic!("{quote:?}");
    };
    // One liar cannot push the price, in either direction.
    assert_eq!(fee_sat, FEE_SAT);
    world.fake.moods[2] = Mood::Cheap;
    let operation = world.start(0, withdraw(fee_sat));
    world.pass(0, 60_000);
    assert_eq!(
        world.users[0].client.operation(operation).unwrap().state,
        "accepted"
    );
    world.fake.signs = true;
    let view = world.end(0, operation);
    assert_eq!(view.state, "signed");
    assert_eq!(view.details["fee_msat"], FEE_SAT * 1000);
    assert_eq!(world.fake.paid_out.len(), 1);
    assert_eq!(world.balance(0), (5_000 - 1_200 - FEE_SAT) * 1000);
}

#[test]
fn a_lying_fee_is_refused_and_the_notes_come_back() {
    let mut world = World::standard();
    world.fund(0, 5_000);
    let operation = world.start(0, withdraw(FEE_SAT - 1));
    assert_eq!(world.balance(0), 5_000_000 - spent(&world));
    let view = world.end(0, operation);
    assert_eq!((view.state, view.phase), ("failed", Phase::Failed));
    assert_eq!(view.details["problem"]["code"], "fee_too_low");
    assert_eq!(world.balance(0), 5_000_000);
    let refused = [
        ("nonsense", sat(1_000), "invalid_address"),
        (ADDRESS, sat(1), "amount_too_small"),
    ];
    for (address, amount, code) in refused {
        let command = Command::Withdraw {
            address: address.into(),
            amount,
            fee: sat(FEE_SAT),
        };
        assert_eq!(world.command(0, command).unwrap_err().code(), code);
    }
}

fn spent(world: &World) -> u64 {
    let coins = world.users[0].client.rows.scan::<crate::rows::CoinRow>();
    let spent = coins.iter().filter(|(_, coin)| coin.spent_by.is_some());
    spent.map(|(row, _)| row.0.denomination.msat()).sum()
}

/// A withdrawal on its way to guardians whose price has just risen beyond its offer.
fn refused(world: &mut World) -> OperationId {
    world.fund(0, 5_000);
    world.fake.dear = true;
    let operation = world.start(0, withdraw(FEE_SAT));
    world.pass(0, 60_000);
    let view = world.users[0].client.operation(operation).unwrap();
    assert_eq!((view.state, view.phase), ("submitted", Phase::Pending));
    assert!(spent(world) > 0);
    operation
}

#[test]
fn a_signed_withdrawal_follows_its_replacement_into_a_block() {
    let mut world = World::standard();
    world.fund(0, 5_000);
    let operation = world.start(0, withdraw(FEE_SAT));
    let first = world.end(0, operation).details["txid"].clone();
    assert_eq!(first, world.fake.payer.0.to_string());
    let bumped: bitcoin::Txid = "11".repeat(32).parse().unwrap();
    world.fake.payer = (bumped, false);
    world.pass(0, 120_000);
    let view = world.users[0].client.operation(operation).unwrap();
    assert_eq!(view.details["txid"], bumped.to_string());
    assert_eq!((view.state, view.phase), ("signed", Phase::Done));
    // Also by a wallet that was not running.
    world.fake.payer = (bumped, true);
    world.restart(0);
    world.pass(0, 1_000);
    let view = world.users[0].client.operation(operation).unwrap();
    assert_eq!(view.state, "confirmed");
    let asked = world.users[0].asked.len();
    world.restart(0);
    world.pass(0, 120_000);
    let about = |request: &ApiRequest| matches!(request, ApiRequest::Transaction { .. });
    let again = &world.users[0].asked[asked.min(world.users[0].asked.len())..];
    assert!(!again.iter().any(|(_, request)| about(request)));
}

#[test]
fn a_withdrawal_whose_price_rose_can_be_given_up() {
    let mut world = World::standard();
    let operation = refused(&mut world);
    world.command(0, Command::Cancel { operation }).unwrap();
    let view = world.end(0, operation);
    assert_eq!((view.state, view.phase), ("cancelled", Phase::Done));
    assert_eq!(world.balance(0), 5_000_000);
    // Even if the price falls again, what was given up is not paid.
    world.fake.dear = false;
    world.pass(0, 120_000);
    assert_eq!(world.fake.paid_out.len(), 0);
    assert_eq!(world.balance(0), world.fake.owed_msat());
    assert!(world.users[0]
        .client
        .rows
        .scan::<crate::rows::PaymentRow>()
        .is_empty());
}

#[test]
fn a_withdrawal_that_was_accepted_before_it_was_given_up_is_paid_once() {
    let mut world = World::standard();
    let operation = refused(&mut world);
    world.fake.dear = false;
    // Its notes are spent the moment that the refund is made.
    world
        .command(0, Command::Resume { operation: None })
        .unwrap();
    world.command(0, Command::Cancel { operation }).unwrap();
    assert_eq!(world.end(0, operation).phase, Phase::Done);
    world.pass(0, 120_000);
    let paid = world.fake.paid_out.len() as u64;
    assert_eq!(world.balance(0), (5_000 - paid * (1_200 + FEE_SAT)) * 1_000);
    assert_eq!(world.balance(0), world.fake.owed_msat());
    let state = world.users[0].client.operation(operation).unwrap().state;
    assert_eq!(state, if paid == 1 { "signed" } else { "cancelled" });
}

#[test]
fn giving_up_survives_a_crash_at_every_instant() {
    for instant in 0..12 {
        for crash in [
            Crash::BeforeSave(instant),
            Crash::AfterSave(instant),
            Crash::AfterRequest(instant),
        ] {
            let mut world = World::standard();
            let operation = refused(&mut world);
            world.users[0].crash(crash);
            world.give(Command::Cancel { operation });
            world.pass(0, 60_000);
            world.users[0].crash(Crash::Never);
            let view = world.users[0].client.operation(operation).unwrap();
            if view.state == "submitted" {
                world.command(0, Command::Cancel { operation }).unwrap();
            }
            assert_eq!(world.end(0, operation).state, "cancelled", "{crash:?}");
            world.pass(0, 60_000);
            assert_eq!(world.balance(0), 5_000_000, "{crash:?}");
            assert_eq!(world.balance(0), world.fake.owed_msat());
        }
    }
}

#[test]
fn only_a_withdrawal_that_is_not_accepted_can_be_given_up() {
    let mut world = World::standard();
    world.fund(0, 5_000);
    let operation = world.start(0, withdraw(FEE_SAT));
    world.end(0, operation);
    let late = world.command(0, Command::Cancel { operation });
    assert_eq!(late.unwrap_err().code(), "wrong_operation");
    let (operation, _) = handed(&mut world, 0, 1_000);
    let other = world.command(0, Command::Cancel { operation });
    assert_eq!(other.unwrap_err().code(), "wrong_operation");
}
