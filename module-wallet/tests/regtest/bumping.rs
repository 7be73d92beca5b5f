//! Scenario 28.

use bitcoin::Transaction;
use guildmint_core::Amount;
use guildmint_wallet::limits::BUMP_AFTER_BLOCKS;

use crate::{
    real::{elsewhere, Real},
    world::World,
};

#[test]
fn bitcoind_takes_every_version_in_place_of_the_one_before() {
    let real = Real::start();
    let mut world = World::with(4, |config| {
        config.peg_in_fee = Amount::from_sat(5_000).unwrap();
    });
    real.fund(&mut world, &[60_000, 60_000, 60_000]);
    world.chain.miners_sat_per_kvb = 1_000_000_000;
    let pay = |world: &mut World, number: u16, amount_sat: u64| {
        let peg_out = world.quoted(&elsewhere(number).to_string(), amount_sat);
        world.submit(peg_out.unwrap()).unwrap();
        world.settle_down();
    };
    // Two coins in one transaction, whose change the next one spends.
    pay(&mut world, 1, 100_000);
    pay(&mut world, 2, 10_000);
    let by_size = |world: &World| -> Vec<Transaction> {
        let mut all: Vec<Transaction> = world.chain.mempool.values().cloned().collect();
        all.sort_by_key(|one| std::cmp::Reverse(one.input.len()));
        all
    };
    let mut before = Vec::new();
    for rate in [1_000, 4_000, 4_000, 9_000] {
        for sent in by_size(&world) {
            real.rpc.send(&sent).unwrap();
        }
        let mut expected: Vec<_> = world.chain.mempool.keys().copied().collect();
        let mut mempool = real.rpc.mempool().unwrap();
        expected.sort_unstable();
        mempool.sort_unstable();
        assert_eq!(mempool, expected);
        assert_ne!(mempool, before);
        before = mempool;
        world.set_fee_rate(rate);
        for _ in 0..world.config.finality_blocks + BUMP_AFTER_BLOCKS {
            world.chain.mine(vec![]);
            world.settle_down();
        }
    }
    real.faucet.mine(1).unwrap();
    assert!(real.rpc.mempool().unwrap().is_empty());
    assert_eq!(real.received_sat(&elsewhere(1).script_pubkey()), 100_000);
    assert_eq!(real.received_sat(&elsewhere(2).script_pubkey()), 10_000);
}
