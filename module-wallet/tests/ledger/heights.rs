//! The agreed chain, the agreed fee rate, and when guardians have nothing to say.

use bitcoin::{hashes::Hash, BlockHash};
use guildmint_core::PeerId;
use guildmint_wallet::{ChainAnswer, News, Vote};

use crate::{
    chain::START_HEIGHT,
    world::{address, script, World},
};

fn chain(world: &World) -> ChainAnswer {
    serde_json::from_value(world.query("chain", &[]).unwrap()).unwrap()
}

#[test]
fn a_height_is_agreed_at_a_depth_and_by_t_guardians() {
    let mut world = World::new(4);
    world.chain.mine_empty(3);
    world.settle_down();
    assert_eq!(chain(&world).agreed.height, START_HEIGHT + 2);
    let hash = chain(&world).agreed.hash.to_string();
    let block = world.query("block", &[("hash", &hash)]).unwrap();
    assert_eq!(block["height"], START_HEIGHT + 2);

    world.tamper = |peer, vote| {
        if peer.0 < 2 {
            vote.hashes
                .iter_mut()
                .for_each(|hash| *hash = BlockHash::all_zeros());
        }
    };
    world.chain.mine_empty(1);
    for _ in 0..3 {
        world.observe();
        world.run(&[]);
    }
    assert_eq!(chain(&world).agreed.height, START_HEIGHT + 2);
    world.tamper = |_, _| ();
    // Honest again, the two see that what they said last is not what they see.
    world.settle_down();
    assert_eq!(chain(&world).agreed.height, START_HEIGHT + 3);
}

#[test]
fn one_liar_changes_nothing() {
    let mut world = World::new(4);
    world.tamper = |peer, vote| {
        if peer == PeerId(3) {
            vote.hashes = vec![BlockHash::all_zeros(); 144];
            vote.fee_rate_sat_per_kvb = Some(u64::MAX);
        }
    };
    world.chain.mine_empty(300);
    for _ in 0..10 {
        world.observe();
        world.run(&[]);
    }
    assert_eq!(chain(&world).agreed.height, START_HEIGHT + 299);
    assert_eq!(chain(&world).fee_rate_sat_per_kvb, Some(1_000));
}

#[test]
fn malformed_votes_are_faults_and_not_counted() {
    let mut world = World::new(4);
    world.chain.mine_empty(2);
    world.tamper = |peer, vote: &mut Vote| match peer.0 {
        0 => vote.first_height += 1,
        1 => vote.hashes = vec![BlockHash::all_zeros(); 145],
        _ => (),
    };
    world.observe();
    world.run(&[]);
    assert_eq!(world.faults.len(), 2);
    assert_eq!(world.faults[0].peer, PeerId(0));
    assert_eq!(chain(&world).agreed.height, START_HEIGHT);
    assert_eq!(chain(&world).fee_rate_sat_per_kvb, None);
}

#[test]
fn the_fee_rate_is_a_median_within_bounds() {
    let mut world = World::new(4);
    world.settle_down();
    for (guardian, rate) in world
        .guardians
        .iter_mut()
        .zip([1, 9_000, 8_000, 90_000_000])
    {
        guardian.fee_rate_sat_per_kvb = rate;
    }
    world.settle_down();
    assert_eq!(chain(&world).fee_rate_sat_per_kvb, Some(9_000));
    world.set_fee_rate(90_000_000);
    world.settle_down();
    assert_eq!(chain(&world).fee_rate_sat_per_kvb, Some(1_000_000));
}

/// SPEC EPO-7.
#[test]
fn nobody_speaks_without_a_reason() {
    let mut world = World::new(4);
    world.chain.mine_empty(5);
    world.settle_down();
    world.set_fee_rate(1_240);
    world.observe();
    assert!(world.votes().is_empty());
    world.set_fee_rate(1_250);
    world.observe();
    assert_eq!(world.votes().len(), 4);
    world.settle_down();
    let epoch = world.epoch;
    // A block that is not deep enough for the others, and then the same news again.
    world.observe();
    world.observe();
    world.settle_down();
    assert_eq!(world.epoch, epoch);
}

#[test]
fn the_same_news_changes_no_row() {
    let mut world = World::new(4);
    world.observe();
    let before = world.guardians[0].memory.clone();
    world.observe();
    assert!(world.guardians[0].memory == before);
}

#[test]
fn a_guardian_on_another_chain_is_silent_about_it() {
    let mut world = World::new(4);
    world.chain.mine_empty(4);
    let other: Vec<BlockHash> = (1..4)
        .map(|n| BlockHash::from_byte_array([n; 32]))
        .collect();
    world.guardians[0].hear(News::Chain {
        tip_height: START_HEIGHT + 4,
        first_height: START_HEIGHT + 1,
        hashes: other,
    });
    for _ in 0..5 {
        let news = world.guardians[0].memory.clone();
        world.observe();
        world.guardians[0].memory = news;
        world.run(&[]);
    }
    assert_eq!(chain(&world).agreed.height, START_HEIGHT + 3);
    let vote = world.guardians[0].vote();
    assert!(vote.is_none_or(|vote| vote.hashes.is_empty()));
}

#[test]
fn an_old_block_is_still_agreed() {
    let mut world = World::new(1);
    let proof = world.deposit(0, 5_000);
    world.chain.mine_empty(400);
    world.settle_down();
    world.submit(proof).unwrap();
    let peg_out = world.quoted(&address(0), 1_000).unwrap();
    world.submit(peg_out).unwrap();
    world.settle_down();
    assert_eq!(world.chain.payments_to(&script(&address(0))), [1_000]);
}
