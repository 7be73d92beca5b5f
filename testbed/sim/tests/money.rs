//! The main job on the simulated bitcoin network, with the real client, mint and wallet on hbbft. The numbers are those of the
//! project's list of scenarios. In each the balance sheet comes out to the millisatoshi.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used)]

mod common;

use bitcoin::{hashes::Hash, Address, Network, PubkeyHash, ScriptBuf};
use guildmint_client::{Command, Phase, Reply, View};
use guildmint_core::{Amount, PeerId};
use guildmint_sim::{Faults, Setup, UserId, World};

use common::{check_books, outside, receive, sat};

fn world(seed: u64) -> World {
    let mut world = World::new(Setup::guardians(4).with_money(), seed);
    world.run(2_000);
    world
}

fn received(world: &mut World, script: &ScriptBuf) -> u64 {
    let paid = world.chain().paid(script);
    paid.into_iter().map(|(_, sat)| sat).sum()
}

/// Withdraws at the quoted fee; returns the fee.
fn withdraw(world: &mut World, user: UserId, address: &str, amount: Amount) -> (u64, View) {
    let address = address.to_owned();
    let quote = Command::Quote {
        address: address.clone(),
        amount,
    };
    // Too few guardians may answer for a moment, in bad weather.
    let ask = |_| match world.command(user, quote.clone()) {
        Ok(Reply::Quote { fee_sat, .. }) => Some(fee_sat),
        _ => {
            world.run(1_000);
            None
        }
    };
    let fee_sat = (0..30).find_map(ask).expect("no quote");
    let view = world
        .operate(
            user,
            Command::Withdraw {
                address,
                amount,
                fee: sat(fee_sat),
            },
        )
        .unwrap();
    (fee_sat, view)
}

/// Scenario 1.
#[test]
fn bitcoin_in_and_out_with_fees() {
    let mut world = world(1);
    let alice = world.join();
    world.fund(alice, 5_000);
    assert_eq!(world.balance(alice), sat(5_000));
    let (address, script) = outside(1);
    let (fee_sat, view) = withdraw(&mut world, alice, &address, sat(1_200));
    assert_eq!(view.phase, Phase::Done, "{view:?}");
    world.run(5_000);
    world.chain().mine(1);
    assert_eq!(received(&mut world, &script), 1_200);
    assert_eq!(world.balance(alice), sat(5_000 - 1_200 - fee_sat));
    world.chain().mine(3);
    world.run(20_000);
    let spread = world.surplus_sat();
    check_books(&mut world, &[alice], spread);
}

/// Scenario 2.
#[test]
fn peg_outs_that_cannot_be_are_refused_and_cost_nothing() {
    let mut world = world(2);
    let alice = world.join();
    world.fund(alice, 50_000);
    let (address, _) = outside(1);
    let mainnet = Address::p2pkh(PubkeyHash::from_byte_array([1; 20]), Network::Bitcoin);
    let tries = [
        (address.clone(), sat(1_000), sat(1)),
        (address.clone(), sat(100), sat(5_000)),
        (mainnet.to_string(), sat(1_000), sat(5_000)),
        (address.clone(), sat(60_000), sat(5_000)),
        ("nowhere".to_owned(), sat(1_000), sat(5_000)),
    ];
    for (address, amount, fee) in tries {
        let command = Command::Withdraw {
            address: address.clone(),
            amount,
            fee,
        };
        match world.operate(alice, command) {
            Ok(view) => assert_eq!(view.phase, Phase::Failed, "{address} {amount}: {view:?}"),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
        assert_eq!(world.balance(alice), sat(50_000), "{address} {amount}");
    }
    check_books(&mut world, &[alice], 0);
}

/// Scenario 3.
#[test]
fn several_peg_outs_share_a_transaction_and_more_follow_while_it_is_unconfirmed() {
    let mut world = world(3);
    let users: Vec<UserId> = (0..3).map(|_| world.join()).collect();
    for user in &users {
        world.fund(*user, 100_000);
    }
    let mut started = Vec::new();
    for (byte, user) in (1..).zip(&users) {
        let (address, _) = outside(byte);
        let command = Command::Withdraw {
            address,
            amount: sat(20_000),
            fee: sat(2_000),
        };
        // Started together, so that they meet in one epoch.
        let Ok(Reply::Started { operation }) = world.command(*user, command) else {
            panic!("not started");
        };
        started.push((*user, operation));
    }
    for (user, operation) in started {
        assert_eq!(world.finish(user, operation).phase, Phase::Done);
    }
    let (address, script) = outside(9);
    let (_, view) = withdraw(&mut world, users[0], &address, sat(30_000));
    assert_eq!(view.phase, Phase::Done);
    world.run(5_000);
    world.chain().mine(4);
    for byte in 1..=3 {
        let (_, script) = outside(byte);
        assert_eq!(received(&mut world, &script), 20_000);
    }
    assert_eq!(received(&mut world, &script), 30_000);
    world.run(20_000);
    let spread = world.surplus_sat();
    check_books(&mut world, &users, spread);
}

/// Scenario 28.
#[test]
fn a_stuck_withdrawal_is_bumped_and_arrives_once() {
    let mut world = world(28);
    let alice = world.join();
    world.fund(alice, 100_000);
    // Miners want more than what was estimated.
    world.chain().miners_sat_per_kvb = 3_000;
    let (address, script) = outside(1);
    let command = Command::Withdraw {
        address,
        amount: sat(20_000),
        fee: sat(5_000),
    };
    let view = world.operate(alice, command).unwrap();
    assert_eq!(view.phase, Phase::Done, "{view:?}");
    world.run(5_000);
    let stuck = world.chain().pool()[0].clone();
    // The finality, and the blocks that guardians wait.
    for _ in 0..1 + 6 {
        assert_eq!(world.chain().pool()[0].compute_txid(), stuck.compute_txid());
        world.chain().mine(1);
        world.run(5_000);
    }
    let bumped = world.chain().pool()[0].clone();
    assert_eq!(
        bumped.input[0].previous_output,
        stuck.input[0].previous_output
    );
    world.chain().mine(1);
    assert!(world.chain().place(stuck.compute_txid()).is_none());
    assert_eq!(received(&mut world, &script), 20_000);
    world.chain().mine(3);
    world.run(20_000);
    let surplus_sat = world.surplus_sat();
    check_books(&mut world, &[alice], surplus_sat);
}

/// Scenario 4.
#[test]
fn a_deposit_that_is_not_buried_is_claimed_later_by_itself() {
    let mut world = world(4);
    let alice = world.join();
    let script = world.deposit_address(alice);
    world.chain().pay(script, 7_000);
    world.run(20_000);
    assert_eq!(world.balance(alice), Amount::ZERO, "in no block");
    world.chain().mine(1);
    world.run(20_000);
    assert_eq!(world.balance(alice), Amount::ZERO, "no block follows");
    world.chain().mine(1);
    world.run(60_000);
    assert_eq!(world.balance(alice), sat(7_000));
    check_books(&mut world, &[alice], 0);
}

/// Scenario 4b.
#[test]
fn a_deposit_in_a_huge_transaction_is_claimed() {
    let mut world = world(5);
    let alice = world.join();
    let script = world.deposit_address(alice);
    // 3,190 outputs of 31 bytes: 99 kB.
    world.chain().pay_among(script, 7_000, 3_190);
    world.chain().mine(3);
    world.run(60_000);
    assert_eq!(world.balance(alice), sat(7_000));
    check_books(&mut world, &[alice], 0);
}

/// Scenario 6.
#[test]
fn e_cash_goes_from_hand_to_hand() {
    let mut world = world(6);
    let alice = world.join();
    let bob = world.join();
    world.cut_off(bob, PeerId(2));
    world.fund(alice, 5_000);
    let (_, notes) = world.send(alice, sat(3_500)).unwrap();
    let view = receive(&mut world, bob, notes).unwrap();
    assert_eq!(view.phase, Phase::Done, "{view:?}");
    assert_eq!(world.balance(alice), sat(1_500));
    assert_eq!(world.balance(bob), sat(3_500));
    check_books(&mut world, &[alice, bob], 0);
}

/// Scenario 7.
#[test]
fn the_same_notes_received_by_two_are_one_s() {
    for seed in 0..5 {
        let mut world = world(100 + seed);
        let alice = world.join();
        let bob = world.join();
        let carol = world.join();
        world.fund(alice, 5_000);
        let (_, notes) = world.send(alice, sat(3_500)).unwrap();
        let start = |world: &mut World, user, notes| {
            let Ok(Reply::Started { operation }) = world.command(user, Command::Receive { notes })
            else {
                panic!("not started");
            };
            operation
        };
        let for_bob = start(&mut world, bob, notes.clone());
        let for_carol = start(&mut world, carol, notes);
        let phases = [
            world.finish(bob, for_bob).phase,
            world.finish(carol, for_carol).phase,
        ];
        assert!(
            phases.contains(&Phase::Done) && phases.contains(&Phase::Failed),
            "{phases:?}"
        );
        let sum = world.balance(bob).checked_add(world.balance(carol));
        assert_eq!(sum, Some(sat(3_500)));
        check_books(&mut world, &[alice, bob, carol], 0);
    }
}

/// Scenario 16.
#[test]
fn notes_that_nobody_takes_are_taken_back() {
    let mut world = world(8);
    let alice = world.join();
    let bob = world.join();
    world.fund(alice, 5_000);
    let (operation, _) = world.send(alice, sat(3_500)).unwrap();
    assert_eq!(world.balance(alice), sat(1_500));
    world.run(4 * 24 * 3_600_000);
    assert_eq!(world.finish(alice, operation).phase, Phase::Done);
    assert_eq!(
        world.balance(alice),
        sat(5_000),
        "by itself, after three days"
    );

    let (operation, notes) = world.send(alice, sat(2_000)).unwrap();
    receive(&mut world, bob, notes).unwrap();
    let taken = world.command(alice, Command::Reclaim { operation });
    world.run(60_000);
    assert_eq!(world.balance(alice), sat(3_000), "{taken:?}");
    assert_eq!(world.balance(bob), sat(2_000));
    check_books(&mut world, &[alice, bob], 0);
}

/// Scenario 18.
#[test]
fn a_fee_spike_makes_withdrawals_wait_and_breaks_nothing() {
    let mut world = world(9);
    let alice = world.join();
    for _ in 0..8 {
        world.fund(alice, 6_000);
    }
    let (address, script) = outside(1);
    let quote = Command::Quote {
        address: address.clone(),
        amount: sat(20_000),
    };
    let Ok(Reply::Quote { fee_sat, .. }) = world.command(alice, quote) else {
        panic!("no quote");
    };
    world.chain().fee_rate_sat_per_kvb = 100_000;
    world.run(10_000);
    world.chain().mine(1);
    world.run(10_000);
    // The old quote is too low now: refused, and nothing is lost.
    let command = Command::Withdraw {
        address: address.clone(),
        amount: sat(20_000),
        fee: sat(fee_sat),
    };
    let refused = world.operate(alice, command);
    assert!(
        !matches!(&refused, Ok(view) if view.phase == Phase::Done),
        "{refused:?}"
    );
    assert_eq!(world.balance(alice), sat(48_000));
    world.chain().fee_rate_sat_per_kvb = 2_000;
    world.run(10_000);
    world.chain().mine(1);
    world.run(10_000);
    let (_, view) = withdraw(&mut world, alice, &address, sat(20_000));
    assert_eq!(view.phase, Phase::Done, "{view:?}");
    world.run(5_000);
    world.chain().mine(4);
    world.run(20_000);
    assert_eq!(received(&mut world, &script), 20_000);
    let spread = world.surplus_sat();
    check_books(&mut world, &[alice], spread);
}

/// Scenario 19.
#[test]
fn a_coinbase_deposit_waits_until_it_is_spendable() {
    let mut world = world(10);
    let alice = world.join();
    let script = world.deposit_address(alice);
    world.chain().mine_paying(script);
    world.chain().mine(3);
    world.run(60_000);
    assert_eq!(world.balance(alice), Amount::ZERO);
    world.chain().mine(110);
    world.run(120_000);
    assert_eq!(world.balance(alice), sat(5_000_000_000));
    check_books(&mut world, &[alice], 0);
}

/// Whatever instant a wallet is killed at, nothing is lost.
#[test]
fn a_wallet_may_be_killed_at_any_instant() {
    for seed in 0..15 {
        let mut world = world(200 + seed);
        let alice = world.join();
        let bob = world.join();
        world.fund(alice, 50_000);
        let (operation, notes) = world.send(alice, sat(13_370)).unwrap();
        let Ok(Reply::Started { .. }) = world.command(bob, Command::Receive { notes }) else {
            panic!("not started");
        };
        for _ in 0..6 {
            world.run(seed * 11);
            world.kill_user(bob);
            world.kill_user(alice);
        }
        world.run(120_000);
        let _ = operation;
        assert_eq!(world.balance(bob), sat(13_370), "seed {seed}");
        assert_eq!(world.balance(alice), sat(50_000 - 13_370), "seed {seed}");
        check_books(&mut world, &[alice, bob], 0);
    }
}

/// The main job in bad weather: losses, crashes, a guardian that lies.
#[test]
fn the_main_job_in_bad_weather() {
    for seed in 0..6 {
        let faults = Faults::lossy(5)
            .with_crashes(3, 2_000)
            .with_a_liar(PeerId(3));
        let setup = Setup::guardians(4).with_money().with(faults);
        let mut world = World::new(setup, 300 + seed);
        world.run(5_000);
        let alice = world.join();
        let bob = world.join();
        world.fund(alice, 50_000);
        let (_, notes) = world.send(alice, sat(20_000)).unwrap();
        let view = receive(&mut world, bob, notes).unwrap();
        assert_eq!(view.phase, Phase::Done, "{view:?}");
        let (address, script) = outside(1);
        let (_, view) = withdraw(&mut world, bob, &address, sat(10_000));
        assert_eq!(view.phase, Phase::Done, "{view:?}");
        world.heal();
        world.run(30_000);
        world.chain().mine(4);
        world.run(60_000);
        assert_eq!(received(&mut world, &script), 10_000, "seed {seed}");
        let spread = world.surplus_sat();
        check_books(&mut world, &[alice, bob], spread);
    }
}
