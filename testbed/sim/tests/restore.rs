//! Scenario 29: a wallet comes back from its words alone, from guardians that lose messages and power, and one of which lies.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use guildmint_client::{Command, Phase, Reply};
use guildmint_core::PeerId;
use guildmint_sim::{Faults, Setup, World};

use common::{check_books, outside, receive, sat};

#[test]
fn a_wallet_comes_back_from_its_words_while_it_and_guardians_are_killed() {
    let faults = Faults::lossy(2).with_a_liar(PeerId(3));
    let mut world = World::new(Setup::guardians(4).with_money().with(faults), 29);
    world.run(2_000);
    let (alice, bob) = (world.join(), world.join());
    for sat in [50_000, 20_000] {
        world.fund(alice, sat);
    }
    let (address, _) = outside(1);
    let withdraw = Command::Withdraw {
        address,
        amount: sat(10_000),
        fee: sat(2_000),
    };
    assert_eq!(world.operate(alice, withdraw).unwrap().phase, Phase::Done);
    let (_, notes) = world.send(alice, sat(12_345)).unwrap();
    receive(&mut world, bob, notes).unwrap();
    // One deposit is on its way, in no block yet, and notes are in nobody's hands.
    let script = world.deposit_address(alice);
    world.chain().pay(script, 30_000);
    world.send(alice, sat(777)).unwrap();
    let lost = world.balance(alice);

    world.lose_wallet(alice);
    let Ok(Reply::Started { operation }) = world.command(alice, Command::Restore { gap: 24 })
    else {
        panic!("not started");
    };
    let mut kills = 0;
    while world.operation(alice, operation).phase == Phase::Pending && kills < 40 {
        world.kill_user(alice);
        if kills % 10 == 3 {
            world.stop(PeerId(kills / 10));
        }
        world.run(100);
        if kills % 10 == 5 {
            world.start(PeerId(kills / 10));
        }
        kills += 1;
    }
    world.finish(alice, operation);
    assert!(kills > 10, "only {kills}");
    assert_eq!(world.balance(alice), lost.checked_add(sat(777)).unwrap());

    world.chain().mine(3);
    world.run(30_000);
    let total = sat(50_000 + 20_000 + 30_000 - 12_000 - 12_345);
    assert_eq!(world.balance(alice), total);
    let (_, notes) = world.send(alice, sat(1_000)).unwrap();
    receive(&mut world, bob, notes).unwrap();
    let spread = world.surplus_sat();
    check_books(&mut world, &[alice, bob], spread);
}
