//! What guardians refuse: each refusal says why, and leaves nothing behind. The numbers are those of the project's list of
//! scenarios.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "../common/mod.rs"]
mod common;
mod deposits;
mod errors;
mod notes;
mod points;
mod raw;

use guildmint_core::{PeerId, Transaction, TxId, Wire};
use guildmint_engine::node::Request;
use guildmint_sim::{Faults, Setup, UserId, World};

use raw::{code, everyone};

/// A world whose last guardian proposes what no correct one would, a user with 50,000 sat, and another with nothing.
fn world(seed: u64) -> (World, UserId, UserId) {
    let faults = Faults::default().with_a_liar(PeerId(3));
    let mut world = World::new(Setup::guardians(4).with_money().with(faults), seed);
    world.liar_is_upright();
    world.run(2_000);
    let alice = world.join();
    let bob = world.join();
    world.fund(alice, 50_000);
    (world, alice, bob)
}

/// Submits two transactions at the same instant, each to one half of the guardians, and lets them be decided on. The id of the one
/// that is accepted, and the code with which all refuse the other.
fn race(world: &mut World, one: &Transaction, other: &Transaction) -> (TxId, String) {
    let half = |world: &mut World, peers: [u16; 2], transaction: &Transaction| {
        let request = Request::Submit(transaction.encode());
        world.put(&peers.map(PeerId), &request)
    };
    let questions = [half(world, [0, 1], one), half(world, [2, 3], other)];
    let said = questions.map(|question| world.answers(&question));
    world.run_until_settled(60_000);
    world.run(2_000);
    let peers = everyone(world);
    let ids = [one, other].map(|transaction| world.txid(transaction));
    let mut codes = [one, other].map(|transaction| {
        let again = world.question(&peers, &Request::Submit(transaction.encode()));
        let mut codes: Vec<String> = again.iter().map(code).collect();
        codes.dedup();
        assert_eq!(codes.len(), 1, "all say the same: {codes:?}");
        codes.remove(0)
    });
    for (said, code_at_last) in said.iter().zip(&codes) {
        // Who has agreed on one before it looks at the other refuses that at once.
        let known = |said: &String| said == "(pending)" || said == code_at_last;
        assert!(said.iter().map(code).all(|said| known(&said)), "{said:?}");
    }
    if codes[0] == "(accepted)" {
        (ids[0], std::mem::take(&mut codes[1]))
    } else {
        assert_eq!(codes[1], "(accepted)");
        (ids[1], std::mem::take(&mut codes[0]))
    }
}
