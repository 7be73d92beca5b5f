//! Ready-made worlds: what `cargo sim` and the tests run.

use guildmint_client::{ClientError, Command};
use guildmint_core::{Amount, PeerId};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha12Rng;

use crate::{Faults, Outage, Setup, UserId, World};

/// One in so many worlds has users with bitcoin and e-cash, which takes much longer to compute.
const MONEY_EVERY: u64 = 20;

/// How long a world that suffers no more may take to come to rest, in milliseconds.
const PATIENCE_MS: u64 = 300_000;

/// How far clocks are apart at most, in milliseconds.
const CLOCKS_APART_MS: u64 = 20 * 60_000;

/// Makes a world that depends on the seed in every respect, lets it suffer, heals it, and checks that all is well in the end.
///
/// # Panics
/// If anything is not.
pub fn storm(seed: u64) {
    let mut rng = ChaCha12Rng::seed_from_u64(seed);
    if seed % MONEY_EVERY == MONEY_EVERY - 1 {
        return money(seed, &mut rng);
    }
    let guardians = [4, 4, 4, 5, 7, 7, 10][rng.gen_range(0..7)];
    let mut world = world(Setup::guardians(guardians), seed, &mut rng);
    // One that forgets counts as faulty, and so there must be a liar less than there may be.
    let may_forget = world.liars() < usize::from(guardians - 1) / 3;
    let forgets_at = (may_forget && rng.gen_bool(0.3)).then(|| rng.gen_range(0..8));
    let wanted = rng.gen_range(3..12);
    for name in 0..wanted {
        world.submit_play(name, rng.gen_range(1..1_000_000));
        world.run(rng.gen_range(0..2_000));
        if rng.gen_bool(0.1) {
            world.power_cut();
        }
        if forgets_at == Some(name) {
            forget(&mut world, PeerId(0), &mut rng);
        }
    }
    world.run(10_000);
    world.heal();
    world.run_until_settled(PATIENCE_MS);
    assert_eq!(world.accepted() as u64, wanted);
    assert_eq!(world.slander(), [""; 0]);
}

/// A world of faults: up to f liars, each with ideas of its own.
fn world(setup: Setup, seed: u64, rng: &mut ChaCha12Rng) -> World {
    let guardians = setup.guardians;
    let mut faults = Faults::lossy(rng.gen_range(0..=15));
    if rng.gen_bool(0.6) {
        let (crashes, outage_ms) = match setup.money {
            // Users wait for what they do, so there must be time in which a quorum is up.
            true => (1, rng.gen_range(50..2_000)),
            false => (rng.gen_range(1..=8), rng.gen_range(50..5_000)),
        };
        faults = faults.with_crashes(crashes, outage_ms);
    }
    if rng.gen_bool(0.5) {
        faults = faults.with_busy_guardians(rng.gen_range(1..=30));
    }
    if rng.gen_bool(0.5) {
        faults = faults.with_clocks_apart(rng.gen_range(1..=CLOCKS_APART_MS));
    }
    for liar in 0..rng.gen_range(0..=(guardians - 1) / 3) {
        faults = faults.with_a_liar(PeerId(guardians - 1 - liar));
    }
    let mut world = World::new(setup.with(faults), seed);
    if rng.gen_bool(0.9) {
        world.liars_are_inventive();
    }
    world
}

/// A guardian loses its disk, or gets an old copy of it.
fn forget(world: &mut World, who: PeerId, rng: &mut ChaCha12Rng) {
    world.counts_as_faulty(who);
    let copy = world.copy_disk(who);
    world.run(rng.gen_range(0..300));
    world.stop(who);
    match rng.gen_bool(0.5) {
        true => world.wipe(who),
        false => world.replace_disk(who, copy),
    }
    world.run(rng.gen_range(0..2_000));
    world.start(who);
}

/// Users with bitcoin and e-cash, who lose power, too.
fn money(seed: u64, rng: &mut ChaCha12Rng) {
    let guardians = [4, 4, 5, 7][rng.gen_range(0..4)];
    let mut world = world(Setup::guardians(guardians).with_money(), seed, rng);
    let users = [world.join(), world.join()];
    world.fund(users[0], 100_000);
    for _ in 0..rng.gen_range(2..6) {
        let amount = Amount::from_msat(rng.gen_range(1..8_000_000)).unwrap_or(Amount::ZERO);
        let (from, to) = (users[rng.gen_range(0..2)], users[rng.gen_range(0..2)]);
        let handed = hand_over(&mut world, from, to, amount, rng);
        let is_poor = matches!(handed, Err(ClientError::InsufficientFunds { .. }));
        assert!(handed.is_ok() || is_poor, "{handed:?}");
    }
    world.heal();
    world.run(60_000);
    let audit = world.audit();
    let in_wallets: u64 = users.iter().map(|user| world.balance(*user).msat()).sum();
    assert_eq!(
        audit.liabilities_msat, in_wallets,
        "what is owed is in wallets"
    );
    assert_eq!(in_wallets, 100_000_000);
    assert!(audit.assets_msat >= audit.liabilities_msat);
    assert_eq!(world.refused_broadcasts(), [""; 0]);
    assert_eq!(world.slander(), [""; 0]);
}

/// Notes go from one to another, whose program is killed meanwhile, perhaps.
fn hand_over(
    world: &mut World,
    from: UserId,
    to: UserId,
    amount: Amount,
    rng: &mut ChaCha12Rng,
) -> Result<(), ClientError> {
    let (_, notes) = world.send(from, amount)?;
    let before = world.balance(to);
    let reply = world.command(to, Command::Receive { notes })?;
    if rng.gen_bool(0.4) {
        world.run(rng.gen_range(0..300));
        world.kill_user(to);
    }
    let guildmint_client::Reply::Started { operation } = reply else {
        return Err(ClientError::Federation(format!("no operation: {reply:?}")));
    };
    world.finish(to, operation);
    let is_in = before.checked_add(amount) == Some(world.balance(to));
    assert!(is_in, "{amount} are not where they should be");
    Ok(())
}

/// What a power failure before each single action leads to. A short story is told once without failure, and then again for each
/// action of one guardian, or of all, with power lost just before; with the save under way lost, and with it on disk.
/// Returns how often that was.
///
/// # Panics
/// If any of these worlds does not come to a good end.
pub fn power_fails_everywhere(whose: Option<PeerId>, every: u64) -> u64 {
    let begin = || {
        let mut world = World::new(Setup::guardians(4), 22);
        world.run(1_000);
        world
    };
    let tell = |world: &mut World| {
        world.submit_play(1, 1_000);
        world.run(30);
        world.submit_play(2, 2_000);
        world.run_until_settled(60_000);
    };
    let mut world = begin();
    let first = world.actions(whose);
    tell(&mut world);
    let last = world.actions(whose);
    let mut failures = 0;
    for after_actions in (first..last).step_by(every.max(1) as usize) {
        for saves in [false, true] {
            let mut world = begin();
            world.plan(Outage {
                whose,
                after_actions,
                saves,
            });
            tell(&mut world);
            assert!(
                world.plan_is_over(),
                "there was no failure at {after_actions}"
            );
            assert_eq!(
                world.accepted(),
                2,
                "power lost at {after_actions}, {saves}"
            );
            assert_eq!(
                world.slander(),
                [""; 0],
                "power lost at {after_actions}, {saves}"
            );
            failures += 1;
        }
    }
    failures
}
