//! Stories of wallets and a federation of which up to f guardians lie, with crashes at every instant.

use proptest::prelude::*;

use super::*;
use crate::{ApiRequest, Command, NotesString, Phase};

mod fake;
mod gateway;
mod lightning;
mod places;
mod refused;
mod restore;
mod revisions;
mod withdraw;
mod world;

use fake::{Fake, Mood, FEE_SAT};
use withdraw::withdraw;
use world::{sat, Crash, World};

const ADDRESS: &str = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
const LIARS: [Mood; 8] = [
    Mood::Honest,
    Mood::Down,
    Mood::Refuses,
    Mood::Forgets,
    Mood::WrongShares,
    Mood::Garbage,
    Mood::Boasts,
    Mood::Slow,
];

fn send(amount_sat: u64) -> Command {
    Command::Send {
        amount: sat(amount_sat),
        reclaim_after_ms: 3_600_000,
    }
}

/// Hands out single millisatoshi until there is no such note left and change must be made.
fn exchanging(world: &mut World, user: usize) -> OperationId {
    loop {
        let operation = world.start(user, send_msat(1));
        if world.users[user].client.operation(operation).unwrap().state == "exchanging" {
            return operation;
        }
    }
}

fn send_msat(msat: u64) -> Command {
    Command::Send {
        amount: guildmint_core::Amount::from_msat(msat).unwrap(),
        reclaim_after_ms: 3_600_000,
    }
}

fn handed(world: &mut World, user: usize, amount_sat: u64) -> (OperationId, NotesString) {
    let operation = world.start(user, send(amount_sat));
    let view = world.end(user, operation);
    assert_eq!(view.state, "sent");
    (
        operation,
        view.details["notes"].as_str().unwrap().parse().unwrap(),
    )
}

#[test]
fn a_deposit_is_claimed_by_itself() {
    let mut world = World::standard();
    world.fake.buried = false;
    let operation = world.start(0, Command::DepositAddress);
    let view = world.users[0].client.operation(operation).unwrap();
    assert_eq!((view.state, view.phase), ("waiting", Phase::Pending));
    world.pay(view.details["address"].as_str().unwrap(), 5_000);
    // Nothing is submitted before guardians agree on the block.
    world.pass(0, 60_000);
    assert_eq!(
        world.users[0].client.operation(operation).unwrap().state,
        "seen"
    );
    assert_eq!(world.users[0].client.balance().pending, sat(5_000));
    assert_eq!(submissions(&world), 0);
    world.fake.buried = true;
    let view = world.end(0, operation);
    assert_eq!(view.state, "claimed");
    assert_eq!(view.details["amount_msat"], 5_000_000);
    assert_eq!(
        (world.balance(0), world.fake.owed_msat()),
        (5_000_000, 5_000_000)
    );
}

#[test]
fn who_looks_for_a_deposit_looks_until_it_is_claimed() {
    let mut world = World::standard();
    let operation = world.start(0, Command::DepositAddress);
    let view = world.users[0].client.operation(operation).unwrap();
    world.pay(view.details["address"].as_str().unwrap(), 5_000);
    // A program that ends when nothing is looked for any more sees the claim begin.
    let looks = Command::Deposits { operation: None };
    world.command(0, looks).unwrap();
    world.run(0, |user| !user.client.is_looking(operation));
    let view = world.users[0].client.operation(operation).unwrap();
    assert!(["claiming", "claimed"].contains(&view.state), "{view:?}");
}

fn submissions(world: &World) -> usize {
    let asked = world.users[0].asked.iter();
    asked
        .filter(|(_, request)| matches!(request, ApiRequest::Submit(_)))
        .count()
}

#[test]
fn a_source_that_makes_up_blocks_makes_the_wallet_claim_nothing() {
    let mut world = World::standard();
    world.fake.moods[2] = Mood::Boasts;
    let operation = world.start(0, Command::DepositAddress);
    let view = world.users[0].client.operation(operation).unwrap();
    world.pay(view.details["address"].as_str().unwrap(), 5_000);
    let true_deposits = world.deposits.clone();
    // The same payment in one block after the other, none of which exists, and in two at a time.
    for nonce in 1..40 {
        let sightings = world.deposits.values_mut().next().unwrap();
        let mut other = sightings[0].clone();
        other.outpoint.vout = 7;
        *sightings = vec![sightings[0].clone(), other];
        for (sighting, nonce) in sightings.iter_mut().zip([nonce, nonce + 1_000]) {
            let header = &mut sighting.burial.as_mut().unwrap().header;
            header.nonce = nonce;
            let block = header.block_hash().to_string();
            world.fake.unknown_blocks.insert(block);
        }
        world.pass(0, 5_000);
    }
    assert_eq!(submissions(&world), 0);
    // What is true is claimed all the same.
    world.deposits = true_deposits;
    assert_eq!(world.end(0, operation).details["amount_msat"], 5_000_000);
}

#[test]
fn notes_go_from_hand_to_hand() {
    let mut world = World::standard();
    world.fund(0, 5_000);
    let (_, notes) = handed(&mut world, 0, 3_500);
    assert_eq!((notes.total(), world.balance(0)), (sat(3_500), 1_500_000));
    let operation = world.start(
        1,
        Command::Receive {
            notes: notes.clone(),
        },
    );
    // The same notes given again are the same operation.
    assert_eq!(world.start(1, Command::Receive { notes }), operation);
    let view = world.end(1, operation);
    assert_eq!((view.state, world.balance(1)), ("received", 3_500_000));
    assert_eq!(world.fake.owed_msat(), 5_000_000);
}

#[test]
fn fees_balance_to_the_millisatoshi() {
    let mut world = World::new(Fake::new(7), 2, 1);
    world.fund(0, 50_000);
    let operation = exchanging(&mut world, 0);
    let view = world.end(0, operation);
    assert!(view.details["fee_msat"].as_u64().unwrap() > 0);
    let before = world.balance(0);
    let (operation, notes) = handed(&mut world, 0, 12_345);
    let view = world.users[0].client.operation(operation).unwrap();
    let fee = view.details["fee_msat"].as_u64().unwrap();
    assert_eq!(world.balance(0), before - fee - 12_345_000);
    let operation = world.start(1, Command::Receive { notes });
    let view = world.end(1, operation);
    let (amount, fee) = (&view.details["amount_msat"], &view.details["fee_msat"]);
    assert!(fee.as_u64().unwrap() > 0);
    assert_eq!(amount.as_u64().unwrap() + fee.as_u64().unwrap(), 12_345_000);
    assert_eq!(world.balance(1), amount.as_u64().unwrap());
}

#[test]
fn what_is_not_taken_comes_back() {
    let mut world = World::standard();
    world.fund(0, 5_000);
    let (operation, notes) = handed(&mut world, 0, 2_000);
    // Half of them are taken by hand-crafted theft: only the rest comes back.
    let mut stolen = notes.clone().into_notes();
    stolen.truncate(1);
    let value = stolen[0].note().amount();
    let part = NotesString::new(world.fake.genesis.id(), None, stolen).unwrap();
    let theft = world.start(1, Command::Receive { notes: part });
    world.end(1, theft);
    let refused = world.start(1, Command::Receive { notes });
    let view = world.end(1, refused);
    assert_eq!(view.details["problem"]["code"], "note_spent");
    world.command(0, Command::Reclaim { operation }).unwrap();
    world.run(0, |one| !one.client.is_busy());
    let view = world.users[0].client.operation(operation).unwrap();
    assert_eq!(view.state, "reclaimed");
    assert_eq!(world.balance(0), 5_000_000 - value.msat());
    assert_eq!(world.balance(1), value.msat());
}

#[test]
fn reclaim_comes_by_itself_and_fails_cleanly_when_late() {
    let mut world = World::standard();
    world.fund(0, 5_000);
    let (kept, _) = handed(&mut world, 0, 1_000);
    let (taken, notes) = handed(&mut world, 0, 500);
    let operation = world.start(1, Command::Receive { notes });
    world.end(1, operation);
    world.restart(0);
    world.pass(0, 3_500_000);
    assert_eq!(world.balance(0), 3_500_000);
    world.pass(0, 200_000);
    assert_eq!(
        world.users[0].client.operation(kept).unwrap().state,
        "reclaimed"
    );
    assert_eq!(
        world.users[0].client.operation(taken).unwrap().state,
        "taken"
    );
    assert_eq!((world.balance(0), world.balance(1)), (4_500_000, 500_000));
}

#[test]
fn validation_asks_nobody_to_give_anything_away() {
    let mut world = World::standard();
    world.fund(0, 5_000);
    let (operation, notes) = handed(&mut world, 0, 1_001);
    for liar in [Mood::Refuses, Mood::Down, Mood::Slow] {
        world.fake.moods[1] = liar;
        let reply = world.command(
            1,
            Command::Validate {
                notes: notes.clone(),
            },
        );
        assert!(
            matches!(reply, Ok(Reply::Validation { spent: 0, .. })),
            "{liar:?} {reply:?}"
        );
    }
    world.command(0, Command::Reclaim { operation }).unwrap();
    world.run(0, |one| !one.client.is_busy());
    let count = notes.notes().len();
    let reply = world.command(1, Command::Validate { notes });
    assert!(matches!(reply, Ok(Reply::Validation { spent, .. }) if spent == count));
}

#[test]
fn notes_of_others_and_too_much_money_are_named() {
    let mut world = World::standard();
    world.fund(0, 3_000);
    assert_eq!(
        world.command(0, send(3_001)),
        Err(ClientError::InsufficientFunds {
            needed: sat(3_001),
            available: sat(3_000)
        })
    );
    assert!(matches!(
        world.command(0, send(0)),
        Err(ClientError::TooLittle(_))
    ));
    let (_, notes) = handed(&mut world, 0, 5);
    let other = guildmint_core::FederationId([1; 32]);
    let foreign = NotesString::new(other, None, notes.clone().into_notes()).unwrap();
    assert!(matches!(
        world.command(1, Command::Receive { notes: foreign }),
        Err(ClientError::OtherFederation { .. })
    ));
    let unknown = OperationId(99);
    assert_eq!(
        world.command(0, Command::Reclaim { operation: unknown }),
        Err(ClientError::NoSuchOperation(unknown))
    );
    // A command that failed left nothing behind.
    assert_eq!(world.users[1].client.operations().len(), 0);
}

#[test]
fn up_to_f_liars_change_nothing() {
    for liar in LIARS {
        for place in [0, 3] {
            let mut world = World::standard();
            world.fake.moods[place] = liar;
            world.fund(0, 5_000);
            let (_, notes) = handed(&mut world, 0, 1_234);
            let operation = world.start(1, Command::Receive { notes });
            assert_eq!(world.end(1, operation).state, "received", "{liar:?}");
            let operation = world.start(
                1,
                Command::Withdraw {
                    address: ADDRESS.into(),
                    amount: sat(600),
                    fee: sat(FEE_SAT),
                },
            );
            assert_eq!(world.end(1, operation).state, "signed", "{liar:?}");
            assert_eq!(world.balance(0) + world.balance(1), world.fake.owed_msat());
        }
    }
}

#[test]
fn f_liars_free_no_note() {
    let mut world = World::standard();
    world.fund(0, 5_000);
    world.fake.moods = vec![Mood::Down, Mood::Refuses, Mood::Down, Mood::Down];
    let operation = exchanging(&mut world, 0);
    world.pass(0, 120_000);
    assert_eq!(
        world.users[0].client.operation(operation).unwrap().state,
        "exchanging"
    );
    assert!(matches!(
        world.users[0].client.obstacle(operation),
        Some(ClientError::TooFewGuardians {
            answered: 1,
            needed: 3
        })
    ));
    // The same bytes again, to the same transaction, when they are back.
    world.fake.moods = vec![Mood::Honest; 4];
    assert_eq!(world.end(0, operation).state, "sent");
    let submitted: std::collections::BTreeSet<_> = world.users[0]
        .asked
        .iter()
        .filter_map(|(_, request)| request.body().map(<[u8]>::to_vec))
        .collect();
    assert_eq!(
        submitted.len(),
        2,
        "one for the deposit, one for the exchange"
    );
}

#[test]
fn slow_guardians_are_not_waited_for() {
    for slow in 0..4 {
        let mut world = World::standard();
        world.fake.moods[slow] = Mood::Slow;
        world.fund(0, 5_000);
        let begun = world.now;
        let operation = exchanging(&mut world, 0);
        world.end(0, operation);
        assert!(
            world.now.0 - begun.0 < 2_500,
            "guardian {slow}: {} ms",
            world.now.0 - begun.0
        );
    }
}

#[test]
fn outcomes_are_asked_of_no_more_guardians_than_needed() {
    let mut world = World::standard();
    world.fund(0, 5_000);
    let is_wait =
        |(_, request): &&(PeerId, ApiRequest)| matches!(request, ApiRequest::Transaction { .. });
    assert_eq!(world.users[0].asked.iter().filter(is_wait).count(), 3);
}

#[test]
fn information_survives_a_guardian_that_is_down() {
    let mut world = World::standard();
    world.fake.moods[3] = Mood::Down;
    let Ok(Reply::Info { guardians, audit }) = world.command(0, Command::Info) else {
        panic!("no information");
    };
    assert_eq!(guardians.as_object().unwrap().len(), 3);
    assert_eq!(audit["liabilities_msat"], 0);
    world.fake.moods = vec![Mood::Down; 4];
    assert!(matches!(
        world.command(0, Command::Info),
        Err(ClientError::TooFewGuardians { answered: 0, .. })
    ));
}

/// Money that a story moves, with a wallet that dies at one instant. Nothing may be lost or made.
fn story(crash: Crash, liar: (usize, Mood), seed: u64) {
    let mut world = World::new(Fake::new(0), 2, seed);
    world.fake.moods[liar.0] = liar.1;
    world.users[0].crash(crash);
    let deposit = Command::DepositAddress;
    let address = started(&mut world, deposit);
    let view = world.users[0].client.operation(address).unwrap();
    world.pay(view.details["address"].as_str().unwrap(), 5_000);
    world.end(0, address);
    assert_eq!(world.balance(0), 5_000_000);
    let sent = started(&mut world, send(1_234));
    let text = world.end(0, sent).details["notes"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(world.balance(0), 5_000_000 - 1_234_000);
    let notes = text.parse().unwrap();
    let received = started(&mut world, Command::Receive { notes });
    world.end(0, received);
    assert_eq!(world.balance(0), 5_000_000);
    for _ in 0..3 {
        let sent = started(&mut world, send_msat(1));
        world.end(0, sent);
    }
    assert_eq!(world.balance(0), 4_999_997);
    let withdrawn = started(&mut world, withdraw(FEE_SAT));
    world.end(0, withdrawn);
    assert_eq!(world.balance(0), (5_000 - 1_200 - FEE_SAT) * 1000 - 3);
    assert_eq!(world.fake.paid_out.len(), 1);
    assert_eq!(world.balance(0) + 3, world.fake.owed_msat());
    assert_eq!(world.users[0].client.balance().pending, sat(0));
    // Nothing was ever refused: no note was spent twice, no index used twice.
    assert_eq!(world.fake.refusals, []);
}

/// Starts an operation, as a user does who looks what came of it when the process died.
fn started(world: &mut World, command: Command) -> OperationId {
    let before = world.users[0].client.operations().len();
    loop {
        let lives = world.users[0].crash;
        if let Some(operation) = world.try_start(command.clone()) {
            return operation;
        }
        assert_ne!(lives, Crash::Never, "no reply and no crash");
        if let Some(view) = world.users[0].client.operations().get(before) {
            return view.operation;
        }
    }
}

impl World {
    /// `None` if the process died before the reply.
    fn try_start(&mut self, command: Command) -> Option<OperationId> {
        let (ticket, before) = self.give(command);
        loop {
            if let Some(reply) = self.users[0].replies.remove(&ticket) {
                let Ok(Reply::Started { operation }) = reply else {
                    panic!("{reply:?}");
                };
                return Some(operation);
            }
            if self.lives() != before {
                return None;
            }
            self.advance();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn a_crash_at_any_instant_loses_nothing(
        kind in 0..3u8,
        number in 1..60u64,
        place in 0..4usize,
        mood in 0..LIARS.len(),
        seed: u64,
    ) {
        let crash = match kind {
            0 => Crash::BeforeSave(1 + number % 26),
            1 => Crash::AfterSave(1 + number % 26),
            _ => Crash::AfterRequest(number),
        };
        story(crash, (place, LIARS[mood]), seed);
    }
}

#[test]
fn a_crash_at_every_save_loses_nothing() {
    for number in 1..=25 {
        let crash = match number % 2 {
            0 => Crash::BeforeSave(number),
            _ => Crash::AfterSave(number),
        };
        story(crash, (0, Mood::Honest), number);
    }
}
