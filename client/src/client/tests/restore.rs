//! Scenario 29: a wallet comes back from its words alone.

use super::*;
use crate::error::ClientError;

/// Narrower than by default: these wallets have used few indices.
const GAP: u64 = 24;

const RESTORE: Command = Command::Restore { gap: GAP };

fn deposit(world: &mut World, amount_sat: u64) -> OperationId {
    let operation = world.start(0, Command::DepositAddress);
    let view = world.users[0].client.operation(operation).unwrap();
    world.pay(view.details["address"].as_str().unwrap(), amount_sat);
    operation
}

fn restored(world: &mut World) -> crate::View {
    let operation = world.start(0, RESTORE);
    world.end(0, operation)
}

/// A wallet with a life: deposits, some spent, some on their way, notes that went to others, and others that nobody took.
fn lived(world: &mut World) {
    world.fund(0, 5_000);
    world.fund(0, 3_000);
    let (_, notes) = handed(world, 0, 700);
    let received = world.start(1, Command::Receive { notes });
    world.end(1, received);
    let withdrawn = world.start(0, withdraw(FEE_SAT));
    world.end(0, withdrawn);
    let back = handed(world, 1, 200).1;
    let received = world.start(0, Command::Receive { notes: back });
    world.end(0, received);
}

fn kinds(world: &World) -> Vec<(&'static str, &'static str)> {
    let views = world.users[0].client.operations().into_iter();
    views.map(|view| (view.kind, view.state)).collect()
}

#[test]
fn words_alone_bring_back_notes_and_deposits() {
    let mut world = World::standard();
    lived(&mut world);
    let before = (world.balance(0), world.users[0].client.notes());
    world.fake.buried = false;
    deposit(&mut world, 2_500);
    world.lose(0);
    assert_eq!(world.balance(0), 0);
    let view = restored(&mut world);
    assert_eq!((world.balance(0), world.users[0].client.notes()), before);
    assert_eq!(view.details["amount_msat"], before.0);
    assert_eq!(view.details["deposits"], 3);
    assert!(view.details["spent_notes"].as_u64().unwrap() > 0);
    // What was on its way arrives by itself, and once.
    world.fake.buried = true;
    world.run(0, |user| !user.client.is_busy());
    assert_eq!(world.balance(0), before.0 + 2_500_000);
    let deposits = [("deposit", "claimed"); 3];
    assert_eq!(
        kinds(&world),
        [&[("restore", "restored")][..], &deposits].concat()
    );
    assert_eq!(world.fake.refusals, []);
}

#[test]
fn a_restored_wallet_goes_on_beyond_all_that_it_ever_used() {
    let mut world = World::standard();
    lived(&mut world);
    let address = |world: &mut World| {
        let operation = world.start(0, Command::DepositAddress);
        let view = world.users[0].client.operation(operation).unwrap();
        view.details["address"].as_str().unwrap().to_owned()
    };
    let old: Vec<_> = (0..3).map(|_| address(&mut world)).collect();
    let before = world.balance(0);
    for round in 1..4 {
        world.lose(0);
        // Wide enough for what a restored wallet leaves out.
        let operation = world.start(0, Command::Restore { gap: 72 });
        world.end(0, operation);
        assert!(!old.contains(&address(&mut world)));
        world.fund(0, 3_000);
        let (_, notes) = handed(&mut world, 0, 333);
        let operation = world.start(0, Command::Receive { notes });
        world.end(0, operation);
        assert_eq!(world.balance(0), before + round * 3_000_000);
    }
    assert_eq!(world.fake.refusals, []);
}

#[test]
fn nothing_new_is_derived_before_the_old_is_known() {
    let mut world = World::standard();
    world.fund(0, 5_000);
    let notes = handed(&mut world, 0, 1_000).1;
    world.lose(0);
    let receive = Command::Receive { notes };
    let commands = [Command::DepositAddress, send(1), receive, withdraw(FEE_SAT)];
    for command in commands.clone() {
        let refused = world.command(0, command).unwrap_err();
        assert_eq!(
            (&refused, refused.code()),
            (&ClientError::NotRestored, "not_restored".into())
        );
        assert!(refused.remediation().unwrap().contains("restore"));
    }
    // While the search is under way as well; addresses until the chain has been searched.
    let operation = world.start(0, RESTORE);
    for command in commands {
        assert_eq!(world.command(0, command), Err(ClientError::NotRestored));
    }
    world.run(0, |user| {
        user.client.operation(operation).unwrap().state == "looking_for_deposits"
    });
    assert!(world.command(0, send(1)).is_ok());
    assert_eq!(
        world.command(0, Command::DepositAddress),
        Err(ClientError::NotRestored)
    );
    world.end(0, operation);
    assert!(world.command(0, Command::DepositAddress).is_ok());
}

#[test]
fn notes_that_nobody_took_come_back_as_ones_own() {
    let mut world = World::standard();
    world.fund(0, 5_000);
    let (_, notes) = handed(&mut world, 0, 700);
    world.lose(0);
    restored(&mut world);
    assert_eq!(world.balance(0), 5_000_000);
    // Whoever has the text may still be quicker; then they leave the wallet.
    let received = world.start(1, Command::Receive { notes });
    world.end(1, received);
    while world.balance(0) > 4_300_000 {
        let all = Command::Withdraw {
            address: ADDRESS.into(),
            amount: sat(world.balance(0) / 1_000 - FEE_SAT),
            fee: sat(FEE_SAT),
        };
        let operation = world.start(0, all);
        assert_eq!(world.end(0, operation).phase, Phase::Failed);
    }
    assert_eq!(world.balance(0), 4_300_000);
}

#[test]
fn a_wallet_that_has_lost_nothing_finds_nothing() {
    let mut world = World::standard();
    lived(&mut world);
    handed(&mut world, 0, 700);
    let before = (world.balance(0), kinds(&world));
    let view = restored(&mut world);
    assert_eq!(
        (
            view.details["notes"].clone(),
            view.details["deposits"].clone()
        ),
        (0.into(), 0.into())
    );
    let after = kinds(&world);
    assert_eq!(
        (world.balance(0), &after[..after.len() - 1]),
        (before.0, &before.1[..])
    );
    // Notes on their way back are counted once as well.
    let sent = world.users[0].client.operations();
    let sent = sent
        .iter()
        .rfind(|view| view.state == "sent")
        .unwrap()
        .operation;
    world
        .command(0, Command::Reclaim { operation: sent })
        .unwrap();
    restored(&mut world);
    world.run(0, |user| !user.client.is_busy());
    assert_eq!(world.balance(0), before.0 + 700_000);
}

#[test]
fn a_wallet_that_never_had_anything_is_restored_too() {
    let mut world = World::standard();
    world.fund(1, 5_000);
    world.lose(0);
    let view = restored(&mut world);
    assert_eq!(view.details["notes"], 0);
    let (_, notes) = handed(&mut world, 1, 500);
    let received = world.start(0, Command::Receive { notes });
    world.end(0, received);
    assert_eq!(world.balance(0), 500_000);
}

#[test]
fn one_liar_neither_hides_nor_invents_anything() {
    for mood in LIARS.into_iter().chain([Mood::Invents]) {
        let mut world = World::standard();
        lived(&mut world);
        let before = world.balance(0);
        world.fake.moods[2] = mood;
        world.lose(0);
        let view = restored(&mut world);
        assert_eq!(world.balance(0), before, "{mood:?}");
        assert_eq!(view.details["deposits"], 2, "{mood:?}");
        world.run(0, |user| !user.client.is_busy());
        assert_eq!(kinds(&world)[1..], [("deposit", "claimed"); 2], "{mood:?}");
    }
}

#[test]
fn what_is_in_the_way_is_said_and_passes() {
    let mut world = World::standard();
    world.fund(0, 5_000);
    world.fake.moods = vec![Mood::Down; 4];
    world.lose(0);
    let operation = world.start(0, RESTORE);
    world.pass(0, 60_000);
    let obstacle = world.users[0].client.obstacle(operation);
    assert_eq!(obstacle.unwrap().code(), "too_few_guardians");
    world.fake.moods = vec![Mood::Honest; 4];
    world.end(0, operation);
    assert_eq!(
        (world.balance(0), world.users[0].client.obstacle(operation)),
        (5_000_000, None)
    );
}

#[test]
fn a_search_that_is_killed_goes_on_where_it_was() {
    let mut world = World::standard();
    lived(&mut world);
    let before = world.balance(0);
    world.lose(0);
    let (mut kills, mut number) = (0, 1);
    let operation = world.start(0, RESTORE);
    let state = |world: &World| world.users[0].client.operation(operation).unwrap();
    while state(&world).phase == Phase::Pending {
        let asks = ["downloading", "fetching"].contains(&state(&world).state);
        world.users[0].crash(match number % 3 {
            0 if asks => Crash::AfterRequest(1 + number % 2),
            1 => Crash::BeforeSave(1 + number % 4),
            _ => Crash::AfterSave(1 + number % 2),
        });
        let lives = world.lives();
        while world.lives() == lives && state(&world).phase == Phase::Pending {
            world.advance();
        }
        kills += u64::from(world.lives() != lives);
        number += 1;
    }
    assert!(kills > 40, "only {kills}");
    assert_eq!(world.balance(0), before);
    assert_eq!(world.users[0].client.operations().len(), 3);
}

#[test]
fn what_guardians_see_does_not_depend_on_what_is_found() {
    // The requests of a wallet that owns everything, and of one that owns nothing, differ in the pages of shares alone.
    let asked = |user: usize| {
        let mut world = World::standard();
        lived(&mut world);
        world.lose(user);
        let before = world.users[user].asked.len();
        let operation = world.start(user, RESTORE);
        let has_notes = |one: &world::User| one.client.operation(operation).unwrap().state;
        world.run(user, |one| has_notes(one) == "looking_for_deposits");
        let asked = world.users[user].asked[before..].iter();
        let paths: std::collections::BTreeSet<String> =
            asked.map(|(_, request)| request.path()).collect();
        paths
    };
    let (ours, theirs) = (asked(0), asked(1));
    let lists = |paths: &std::collections::BTreeSet<String>| {
        let lists = paths.iter().filter(|path| !path.contains("/shares?"));
        lists.cloned().collect::<Vec<_>>()
    };
    assert_eq!(lists(&ours), lists(&theirs));
    assert_eq!(lists(&ours).len(), 6);
    // No nonce, no blinded message, no place.
    let pages = ours.iter().filter(|path| path.contains("/shares?"));
    assert!(pages.clone().count() > 0);
    assert!(pages
        .into_iter()
        .all(|path| path.len() < "/v1/mint/shares?page=".len() + 3));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10))]

    /// The model: what is in the wallet, and what it handed out that nobody took.
    #[test]
    fn what_comes_back_is_what_was_there(
        steps in proptest::collection::vec((0..4u8, 1..400u64), 1..8),
        seed in 0..1_000u64,
        fee_msat in 0..2u64,
    ) {
        let mut world = World::new(Fake::new(fee_msat), 2, seed);
        world.fund(0, 2_000);
        world.fund(1, 2_000);
        let mut untaken = 0;
        for (what, amount_sat) in steps {
            let other = usize::from(what % 2);
            let from = if what < 2 { 0 } else { other };
            let Ok(Reply::Started { operation }) = world.command(from, send(amount_sat)) else {
                continue;
            };
            let view = world.end(from, operation);
            let Some(Ok(notes)) = view.details["notes"].as_str().map(str::parse) else {
                continue;
            };
            if what == 0 {
                untaken += amount_sat * 1_000;
            } else {
                let received = world.start(1 - from, Command::Receive { notes });
                world.end(1 - from, received);
            }
        }
        let before = world.balance(0);
        world.lose(0);
        world.fake.moods[(seed % 4) as usize] = LIARS[(seed % 8) as usize];
        restored(&mut world);
        prop_assert_eq!(world.balance(0), before + untaken);
    }
}
