//! Payments from end to end, on real guardians' rules and a Lightning network in memory. The numbers are those of the project's list of
//! scenarios. Everything is said twice, late and in any order, programs restart at any time, and in the end the money adds up.
#![allow(clippy::unwrap_used, clippy::panic)]

mod gateway;
mod world;

use gateway::Manners;
use guildmint_ln::{
    client::{PayState, ReceiveState},
    EncryptedPreimage, Offer, Preimage,
};
use guildmint_tbs::encryption::{encrypt, EphemeralSecret};
use world::{invoice, key, sat, Story, World};

const SEEDS: std::ops::Range<u64> = 0..6;

fn paid(world: &World, user: usize) -> bool {
    matches!(&world.users[user].story, Story::Pay(pay) if matches!(pay.state, PayState::Paid(_)))
}

fn refunded(world: &World, user: usize) -> bool {
    matches!(&world.users[user].story, Story::Pay(pay) if matches!(pay.state, PayState::Refunded(_)))
}

fn claimed(world: &World, user: usize) -> bool {
    matches!(&world.users[user].story, Story::Receive(receive) if matches!(receive.state, ReceiveState::Claimed { .. }))
}

/// Nothing is locked any more, and everybody's money adds up.
fn check_books(world: &World, lightning_sat: i64, gateway_sat: i64, users_sat: &[i64]) {
    assert_eq!(world.locked_msat(), 0);
    assert_eq!(world.lightning.balance_msat(), lightning_sat * 1_000);
    assert_eq!(world.gateway_msat(), gateway_sat * 1_000);
    for (user, sat) in users_sat.iter().enumerate() {
        assert_eq!(world.user_msat(user), sat * 1_000, "user {user}");
    }
    assert_eq!(users_sat.iter().sum::<i64>() + gateway_sat, 0, "in e-cash");
}

/// Scenario 40: the payer's cost is the invoice and the announced fee.
#[test]
fn a_user_pays_an_invoice_from_elsewhere() {
    for seed in SEEDS {
        let mut world = World::new(seed, Manners::Honest);
        let preimage = Preimage::from([9; 32]);
        world.lightning.expects(preimage.hash().0 .0, preimage.0 .0);
        let payer = world.pay(&invoice(&key(3), preimage.hash(), sat(1_000)));
        world.until("paid", |world| {
            paid(world, payer) && world.locked_msat() == 0
        });
        check_books(&world, -1_000, 1_011, &[-1_011]);
    }
}

/// Scenario 41.
#[test]
fn a_user_is_paid_from_elsewhere() {
    for seed in SEEDS {
        let mut world = World::new(seed, Manners::Honest);
        let payee = world.receive(sat(5_000), 30);
        world.until("shown", |world| world.shown(payee).is_some());
        let Story::Receive(receive) = &world.users[payee].story else {
            panic!()
        };
        let (hash, asked) = (receive.offer.offer.hash, receive.invoice_amount.msat());
        assert_eq!(asked, 5_002_000);
        let deadline = world.tip + 105;
        world.lightning.pay_in(hash.0 .0, asked, deadline);
        let settled = |world: &World| world.lightning.was_claimed(&hash.0 .0) == Some(true);
        world.until("claimed", |world| claimed(world, payee) && settled(world));
        check_books(&world, 5_002, -5_000, &[5_000]);
    }
}

/// Scenario 42: payer and payee in one federation, and no payment over Lightning.
#[test]
fn a_user_pays_another_of_the_federation() {
    for seed in SEEDS {
        let mut world = World::new(seed, Manners::Honest);
        let payee = world.receive(sat(1_000), 30);
        world.until("shown", |world| world.shown(payee).is_some());
        let shown = world.shown(payee).unwrap();
        let payer = world.pay(&shown);
        world.until("swapped", |world| {
            claimed(world, payee) && paid(world, payer) && world.locked_msat() == 0
        });
        let Story::Receive(receive) = &world.users[payee].story else {
            panic!()
        };
        assert!(!world.lightning.was_paid(&receive.offer.offer.hash.0 .0));
        // 1,002 sat asked, and 1 sat and 1 % of that for the gateway.
        let cost_msat = 1_002_000 + 1_000 + 10_020;
        assert_eq!(world.user_msat(payer), -cost_msat);
        assert_eq!(world.user_msat(payee), 1_000_000);
        assert_eq!(world.gateway_msat(), cost_msat - 1_000_000);
        assert_eq!(world.lightning.balance_msat(), 0);
    }
}

/// Scenario 43: whoever pays to it has the money back, the gateway has its own back, and the author of the offer has nothing.
#[test]
fn an_offer_that_hides_nothing_costs_nobody_anything() {
    for seed in SEEDS {
        let mut world = World::new(seed, Manners::Honest);
        let (hash, amount) = (Preimage::from([1; 32]).hash(), sat(700));
        let claim_key = key(5).x_only_public_key().0;
        let data = Offer::associate(world.federation, hash, amount, &claim_key, 130);
        let secret = EphemeralSecret::from_uniform_bytes(&[6; 64]).unwrap();
        let ciphertext = encrypt(world.config.key.aggregate(), &[2; 32], &data, &secret);
        let offer = Offer {
            hash,
            amount,
            preimage: EncryptedPreimage::from(&ciphertext),
            claim_key,
            expires_at: 130,
        };
        world
            .gateway
            .register(0, offer.sign(world.federation, &key(5)));
        let deadline = world.tip + 105;
        world.lightning.pay_in(hash.0 .0, 702_000, deadline);
        let failed = |world: &World| world.lightning.was_claimed(&hash.0 .0) == Some(false);
        world.until("back", |world| failed(world) && world.locked_msat() == 0);
        check_books(&world, 0, 0, &[]);
    }
}

/// Scenario 45: a gateway that fails gives the contract up, and the user has the money back without waiting for the time limit.
#[test]
fn a_payment_that_fails_is_refunded_at_once() {
    for seed in SEEDS {
        let mut world = World::new(seed, Manners::Honest);
        let payer = world.pay(&invoice(
            &key(3),
            Preimage::from([9; 32]).hash(),
            sat(1_000),
        ));
        world.until("refunded", |world| refunded(world, payer));
        assert_eq!(world.height(), 100);
        check_books(&world, 0, 0, &[0]);
    }
}

/// Scenario 45: a gateway that vanishes keeps nothing.
#[test]
fn a_gateway_that_vanishes_is_refunded_after_the_time_limit() {
    for seed in SEEDS {
        let mut world = World::new(seed, Manners::Vanishes);
        let payer = world.pay(&invoice(
            &key(3),
            Preimage::from([9; 32]).hash(),
            sat(1_000),
        ));
        world.until("locked", |world| world.locked_msat() > 0);
        for _ in 0..20 {
            world.tick();
        }
        let timelock = 100 + guildmint_ln::limits::OUTGOING_BLOCKS;
        world.tip = timelock - 1;
        for _ in 0..20 {
            world.tick();
        }
        assert!(world.locked_msat() > 0 && !refunded(&world, payer));
        world.tip = timelock;
        world.until("refunded", |world| refunded(world, payer));
        check_books(&world, 0, 0, &[0]);
    }
}

/// Scenario 46 and 52: the clock stands still, then jumps; what was to be funded before is refused, and the payer has the money back.
/// SPEC LN-3: without that rule the gateway would be short of what it locked.
#[test]
fn a_contract_that_is_held_up_on_its_way_is_refused_when_the_clock_has_jumped() {
    for seed in SEEDS {
        let mut world = World::new(seed, Manners::Honest);
        let payee = world.receive(sat(5_000), 1_000);
        world.until("shown", |world| world.shown(payee).is_some());
        let Story::Receive(receive) = &world.users[payee].story else {
            panic!()
        };
        let (hash, asked) = (receive.offer.offer.hash, receive.invoice_amount.msat());
        world.held_back.insert("gateway funds".into());
        let deadline = world.tip + 105;
        world.lightning.pay_in(hash.0 .0, asked, deadline);
        for _ in 0..30 {
            world.tick();
        }
        world.tip = deadline + 1;
        for _ in 0..5 {
            world.tick();
        }
        world.held_back.clear();
        for _ in 0..30 {
            world.tick();
        }
        assert_eq!(world.lightning.was_claimed(&hash.0 .0), Some(false));
        assert!(!claimed(&world, payee));
        check_books(&world, 0, 0, &[0]);
    }
}

/// Scenario 52: a gateway that has paid is paid, however late its claim comes, as long as nobody has taken the money back.
#[test]
fn a_gateway_with_the_preimage_is_paid_after_the_clock_has_jumped() {
    for seed in SEEDS {
        let mut world = World::new(seed, Manners::Honest);
        let preimage = Preimage::from([9; 32]);
        world.lightning.expects(preimage.hash().0 .0, preimage.0 .0);
        world.held_back.insert("gateway claims".into());
        let payer = world.pay(&invoice(&key(3), preimage.hash(), sat(1_000)));
        world.until("paid", |world| paid(world, payer));
        world.tip = 100 + 10 * guildmint_ln::limits::OUTGOING_BLOCKS;
        for _ in 0..10 {
            world.tick();
        }
        assert!(world.locked_msat() > 0);
        world.held_back.clear();
        world.until("claimed", |world| world.locked_msat() == 0);
        check_books(&world, -1_000, 1_011, &[-1_011]);
    }
}

/// Scenario 51: two users pay one invoice; one of them has the money back.
#[test]
fn an_invoice_is_paid_once_and_whoever_else_paid_it_is_refunded() {
    for seed in SEEDS {
        let mut world = World::new(seed, Manners::Honest);
        let preimage = Preimage::from([9; 32]);
        world.lightning.expects(preimage.hash().0 .0, preimage.0 .0);
        let text = invoice(&key(3), preimage.hash(), sat(1_000));
        let payers = [world.pay(&text), world.pay(&text)];
        world.until("over", |world| {
            payers.iter().all(|payer| world.is_over(*payer)) && world.locked_msat() == 0
        });
        let many = payers.iter().filter(|payer| paid(&world, **payer)).count();
        assert_eq!(many, 1);
        assert_eq!(world.lightning.balance_msat(), -1_000_000);
        assert_eq!(world.gateway_msat(), 1_011_000);
    }
}

/// Nobody pays: nothing happens, and the wallet stops waiting when the offer is over.
#[test]
fn an_offer_that_nobody_pays_expires() {
    let mut world = World::new(1, Manners::Honest);
    let payee = world.receive(sat(5_000), 30);
    world.until("shown", |world| world.shown(payee).is_some());
    world.tip = 131;
    world.until("over", |world| world.is_over(payee));
    assert!(!claimed(&world, payee));
    check_books(&world, 0, 0, &[0]);
}
