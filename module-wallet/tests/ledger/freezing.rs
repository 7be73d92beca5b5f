//! Scenario 27: reorganisations of the chain, shallower and deeper than finality.

use guildmint_core::PeerId;
use guildmint_wallet::{Block, ChainAnswer, Frozen, News, PegOutState, Stance};

use crate::{
    chain::START_HEIGHT,
    world::{address, script, World},
};

/// A federation whose blocks are final when three follow, and that holds a deposit.
fn world() -> World {
    let mut world = World::with(4, |config| config.finality_blocks = 3);
    world.fund(&[50_000]);
    world.chain.mine_empty(20);
    world.settle_down();
    world
}

fn chain(world: &World) -> ChainAnswer {
    serde_json::from_value(world.query("chain", &[]).unwrap()).unwrap()
}

/// The operators of these guardians say to go on.
fn unfreeze(world: &mut World, peers: std::ops::Range<u16>, number: u32) {
    for peer in peers {
        world.guardians[usize::from(peer)].hear(News::Unfreeze { number });
    }
    world.settle_down();
}

/// What a guardian with another chain than everybody sees.
fn other_chain(world: &World) -> News {
    let agreed = chain(world).agreed;
    let hash_at = |height: u32| {
        let hash = world.chain.hash(height)?;
        let other = world.chain.hash(START_HEIGHT)?;
        Some(if height < agreed.height { hash } else { other })
    };
    News::of_chain(agreed, agreed.height + 3, 3, hash_at).unwrap()
}

/// Only these see another chain.
fn mislead(world: &mut World, peers: std::ops::Range<usize>) {
    let news = other_chain(world);
    for peer in peers {
        world.guardians[peer].hear(news.clone());
    }
    world.run(&[]);
}

#[test]
fn nothing_happens_when_blocks_change_that_nobody_has_called_final() {
    let mut world = world();
    let agreed = chain(&world).agreed;
    for depth in 1..=3 {
        world.chain.reorganise(depth, &[]);
        world.settle_down();
        assert_eq!(chain(&world).frozen, None);
    }
    assert_eq!(chain(&world).agreed.height, agreed.height + 3);
    let proof = world.deposit(7, 5_000);
    world.bury();
    world.submit(proof).unwrap();
    assert!(world.faults.is_empty());
}

/// ⚠ SPEC WAL-5: or deposits would be credited that are no more.
#[test]
fn deposits_are_frozen_when_agreed_blocks_are_no_more_until_operators_have_looked() {
    let mut world = world();
    let proof = world.deposit(7, 5_000);
    world.bury();
    let gone = proof.claim().unwrap();
    let at = chain(&world).agreed;
    world.chain.reorganise(9, &[gone.outpoint.txid]);
    world.settle_down();
    assert_eq!(chain(&world).frozen, Some(Frozen { number: 1, at }));
    let reject = world.submit(proof.clone()).unwrap_err();
    assert_eq!((reject.code.as_str(), reject.retryable), ("frozen", true));

    // Payments go on.
    let peg_out = world.quoted(&address(1), 20_000).unwrap();
    let paid = world.submit(peg_out).unwrap();
    world.settle_down();
    assert_eq!(world.status(paid).unwrap().state, PegOutState::Signed);
    world.chain.mine(vec![]);
    world.bury();
    assert_eq!(chain(&world).agreed, at);

    // Two of four are not enough, and a word on another freeze is none on this one.
    unfreeze(&mut world, 0..2, 1);
    unfreeze(&mut world, 2..4, 2);
    assert_eq!(chain(&world).frozen, Some(Frozen { number: 1, at }));
    unfreeze(&mut world, 2..3, 1);
    assert_eq!(chain(&world).frozen, None);
    assert!(chain(&world).agreed.height > at.height);
    // ⚠ What was in the blocks that are no more proves nothing.
    let reject = world.submit(proof).unwrap_err();
    assert_eq!(
        (reject.code.as_str(), reject.retryable),
        ("not_buried", true)
    );
    assert_eq!(world.status(paid).unwrap().state, PegOutState::Confirmed);
    assert_eq!(world.chain.payments_to(&script(&address(1))), [20_000]);
    let again = world.deposit(8, 5_000);
    world.bury();
    world.submit(again).unwrap();
    assert!(world.faults.is_empty());
}

/// An operator who was not needed, and the next freeze: each is a decision of its own.
#[test]
fn the_next_freeze_needs_the_next_decision() {
    let mut world = world();
    for number in 1..3 {
        world.chain.reorganise(6, &[]);
        world.settle_down();
        assert_eq!(chain(&world).frozen.map(|f| f.number), Some(number));
        world.chain.mine_empty(3);
        world.settle_down();
        assert_eq!(chain(&world).frozen.map(|f| f.number), Some(number));
        unfreeze(&mut world, 0..4, number);
        assert_eq!(chain(&world).frozen, None);
    }
}

#[test]
fn f_guardians_freeze_nothing_and_f_keep_nothing_frozen() {
    let mut world = world();
    mislead(&mut world, 0..1);
    assert_eq!(chain(&world).frozen, None);
    // Its server comes back, and it says so.
    world.settle_down();
    mislead(&mut world, 1..2);
    assert_eq!(chain(&world).frozen, None);
    mislead(&mut world, 1..3);
    assert_eq!(chain(&world).frozen.map(|f| f.number), Some(1));
    // All see the agreed chain again; one will never say so.
    world.tamper = |peer, vote| {
        if peer == PeerId(3) {
            vote.stance = vote.stance.map(|_| Stance::Follow);
        }
    };
    for peer in 0..4 {
        world.guardians[peer].hear(News::Unfreeze { number: 1 });
    }
    for _ in 0..3 {
        world.observe();
        world.run(&[]);
    }
    assert_eq!(chain(&world).frozen, None);
}

/// They would freeze or unfreeze at what only they can see.
#[test]
fn blocks_that_are_not_agreed_freeze_and_unfreeze_nothing() {
    let mut world = world();
    let nowhere = |world: &World| Block {
        height: chain(world).agreed.height,
        hash: world.chain.hash(START_HEIGHT).unwrap(),
    };
    assert_ne!(nowhere(&world), chain(&world).agreed);
    world.tamper = |_, vote| {
        if let Some(Stance::Freeze(block) | Stance::Unfreeze(block)) = &mut vote.stance {
            block.height += 1;
        }
    };
    mislead(&mut world, 0..4);
    assert_eq!(chain(&world).frozen, None);
    assert_eq!(world.faults.len(), 4);
}

/// What guardians named before they saw another chain still stands in their latest votes: it must not count any more.
#[test]
fn the_agreed_chain_stands_still_while_deposits_are_frozen() {
    let mut world = world();
    let at = chain(&world).agreed;
    world.chain.mine_empty(1);
    let next = News::of_chain(at, at.height + 4, 3, |height| world.chain.hash(height)).unwrap();
    for peer in 0..2 {
        world.guardians[peer].hear(next.clone());
    }
    world.run(&[]);
    mislead(&mut world, 0..2);
    assert!(chain(&world).frozen.is_some());
    world.guardians[2].hear(next);
    world.run(&[]);
    assert_eq!(chain(&world).agreed, at);
    assert!(world.faults.is_empty());
}

/// A freeze, and guardians whose servers do not agree on what is left: nobody goes on.
#[test]
fn guardians_go_on_after_a_block_that_t_of_them_see() {
    let mut world = world();
    mislead(&mut world, 0..4);
    let at = chain(&world).agreed;
    for peer in 0..4 {
        world.guardians[peer].hear(News::Unfreeze { number: 1 });
    }
    // Two see all of the agreed chain, two all but its last block.
    let same = News::of_chain(at, at.height + 3, 3, |height| world.chain.hash(height)).unwrap();
    for peer in 0..2 {
        world.guardians[peer].hear(same.clone());
    }
    world.run(&[]);
    world.run(&[]);
    assert!(chain(&world).frozen.is_some());
    world.guardians[2].hear(same);
    world.run(&[]);
    assert_eq!((chain(&world).frozen, chain(&world).agreed), (None, at));
}

#[test]
fn the_chain_before_the_agreed_one_is_not_left() {
    let mut world = World::with(4, |config| config.finality_blocks = 3);
    world.chain.mine_empty(10);
    world.settle_down();
    world.chain.reorganise(10, &[]);
    world.settle_down();
    assert!(chain(&world).frozen.is_some());
    unfreeze(&mut world, 0..4, 1);
    assert_eq!(chain(&world).frozen, None);
    let agreed = chain(&world).agreed;
    assert_eq!(Some(agreed.hash), world.chain.hash(agreed.height));
}
