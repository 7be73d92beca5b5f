//! Coins that others could spend after a time are moved before (SPEC WAL-1).

use bitcoin::secp256k1::SecretKey;
use guildmint_core::Amount;
use guildmint_wallet::{CoinsAnswer, PegInProof, PegOutsAnswer, RecoveryBranch};
use secp256k1::SECP256K1;

use crate::world::World;

const AFTER_BLOCKS: u16 = 40;

/// A federation with coins, old enough in `AFTER_BLOCKS` for somebody else, and this surplus.
fn world(deposits_sat: &[u64], surplus_sat: u64) -> World {
    let fee_sat = surplus_sat / deposits_sat.len() as u64;
    let mut world = World::with(4, |config| {
        let key = SecretKey::from_slice(&[0x77; 32]).unwrap();
        config.recovery = Some(RecoveryBranch {
            after_blocks: AFTER_BLOCKS,
            threshold: 1,
            keys: vec![key.public_key(SECP256K1)],
        });
        config.peg_in_fee = Amount::from_sat(fee_sat).unwrap();
    });
    world.fund(deposits_sat);
    world
}

fn coins(world: &World) -> CoinsAnswer {
    serde_json::from_value(world.query("utxos", &[]).unwrap()).unwrap()
}

fn pending(world: &World) -> usize {
    let answer: PegOutsAnswer =
        serde_json::from_value(world.query("peg-outs", &[]).unwrap()).unwrap();
    answer.pending.len()
}

fn late_height(world: &World, proof: &PegInProof) -> u32 {
    let (height, ..) = world
        .chain
        .find(proof.claim().unwrap().outpoint.txid)
        .unwrap();
    height
}

fn mine(world: &mut World, blocks: u16) {
    for _ in 0..blocks {
        world.chain.mine(vec![]);
        world.settle_down();
    }
}

/// ⚠ Or the recovery keys could take what the federation owes to others.
#[test]
fn coins_are_moved_when_half_of_the_time_is_over_and_not_before() {
    let mut world = world(&[40_000, 50_000], 2_000);
    let before = coins(&world);
    mine(&mut world, AFTER_BLOCKS / 2 - 3);
    assert_eq!((pending(&world), coins(&world)), (0, before.clone()));
    mine(&mut world, 8);
    assert_eq!(pending(&world), 0);
    let after = coins(&world).utxos;
    assert!(after.iter().all(|coin| coin.confirmed));
    assert!(before.utxos.iter().all(|old| !after.contains(old)));
    let sum =
        |coins: &[guildmint_wallet::CoinAnswer]| coins.iter().map(|c| c.amount_sat).sum::<u64>();
    let paid_sat = sum(&before.utxos) - sum(&after);
    assert_eq!(world.net_msat(), i128::from(2_000 - paid_sat) * 1_000);
    // And again.
    mine(&mut world, AFTER_BLOCKS);
    assert!(coins(&world).utxos.iter().all(|coin| !after.contains(coin)));
    assert!(world.faults.is_empty());
}

/// ⚠ Or who has recovery keys could deposit, wait, take the coin back, and then have it credited.
#[test]
fn a_deposit_that_recovery_keys_may_have_taken_is_not_credited() {
    let mut world = world(&[40_000], 0);
    let (first, late) = (world.deposit(7, 5_000), world.deposit(8, 5_000));
    mine(&mut world, AFTER_BLOCKS / 2);
    let agreed = world.chain.tip().height - world.config.finality_blocks;
    assert_eq!(agreed - (late_height(&world, &late)), 19);
    world.submit(late.clone()).unwrap();
    let refused = world.submit(first.clone()).unwrap_err();
    assert_eq!(
        (refused.code.as_str(), refused.retryable),
        ("too_old", false)
    );
    mine(&mut world, AFTER_BLOCKS);
    assert_eq!(world.submit(first).unwrap_err().code, "too_old");
    assert_eq!(world.net_msat(), 0);
    assert!(world.faults.is_empty());
}

/// The coins back notes: without a surplus they stay where they are, and nothing breaks.
#[test]
fn without_a_surplus_coins_are_not_moved() {
    let mut world = world(&[40_000], 0);
    let before = coins(&world);
    mine(&mut world, AFTER_BLOCKS);
    assert_eq!((pending(&world), coins(&world)), (0, before));
    assert_eq!(world.net_msat(), 0);
}

/// As many as can be paid for.
#[test]
fn a_small_surplus_moves_the_oldest_coins_only() {
    let mut world = world(&[40_000, 50_000, 60_000], 480);
    let before = coins(&world).utxos;
    mine(&mut world, AFTER_BLOCKS);
    let after = coins(&world).utxos;
    let left: Vec<u64> = before
        .iter()
        .filter(|coin| after.contains(coin))
        .map(|c| c.amount_sat)
        .collect();
    assert_eq!(left, [60_000]);
    assert!(world.net_msat() >= 0);
}
