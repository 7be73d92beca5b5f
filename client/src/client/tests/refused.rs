//! Wallets with notes that are spent: those that were restored from an old copy, for instance.

use super::*;

/// A wallet that has forgotten that it handed over 1,000 of its 5,000 sat. Returns what it can really spend.
fn forgetful(world: &mut World) -> u64 {
    world.fund(0, 5_000);
    let old = world.users[0].store.clone();
    let (_, notes) = handed(world, 0, 1_000);
    let operation = world.start(1, Command::Receive { notes });
    assert_eq!(world.end(1, operation).phase, Phase::Done);
    let left = world.balance(0);
    world.users[0].store = old;
    world.restart(0);
    assert_eq!(world.balance(0), 5_000_000);
    left
}

/// Pays more than it can really spend.
fn withdraw_too_much() -> Command {
    Command::Withdraw {
        address: ADDRESS.into(),
        amount: sat(4_500),
        fee: sat(FEE_SAT),
    }
}

#[test]
fn notes_that_guardians_call_spent_leave_the_wallet() {
    let mut world = World::standard();
    let left = forgetful(&mut world);
    let mut before = world.balance(0);
    while let Ok(Reply::Started { operation }) = world.command(0, withdraw_too_much()) {
        let view = world.end(0, operation);
        assert_eq!(view.details["problem"]["code"], "note_spent");
        let now = world.balance(0);
        assert!(now < before, "the same notes are picked again and again");
        before = now;
    }
    assert!((left..4_600_000).contains(&before), "{before} of {left}");
}

#[test]
fn what_f_liars_call_spent_stays() {
    let mut world = World::standard();
    world.fund(0, 5_000);
    world.fake.moods[0] = Mood::Refuses;
    let operation = world.start(0, withdraw(FEE_SAT));
    assert_eq!(world.end(0, operation).phase, Phase::Done);
    assert_eq!(world.fake.owed_msat(), world.balance(0));
}

#[test]
fn a_crash_while_guardians_are_asked_which_notes_are_spent_loses_nothing() {
    for save in 0..6 {
        let mut world = World::standard();
        let left = forgetful(&mut world);
        let operation = world.start(0, withdraw_too_much());
        world.users[0].crash(Crash::BeforeSave(save));
        world.pass(0, 60_000);
        world.restart(0);
        let view = world.end(0, operation);
        assert_eq!(view.phase, Phase::Failed);
        assert!(
            (left..5_000_000).contains(&world.balance(0)),
            "{}",
            world.balance(0)
        );
    }
}
