//! Scenarios 5 and 14: what was done once and is asked for again.

use guildmint_client::{Command, Phase};
use guildmint_core::{Transaction, Wire};
use guildmint_engine::node::Request;
use guildmint_sim::{Setup, World};
use guildmint_wallet::PegInProof;

use crate::{
    common::{check_books, outside, receive, sat},
    race,
    raw::{code, everyone, exponents, refuse, Draft, Scribe, Stage::Ordered},
    world,
};

fn refuse_claim(world: &mut World, what: &str, claim: &Transaction) {
    refuse(world, what, claim, "already_claimed", Ordered);
}

/// Scenario 5.
#[test]
fn a_deposit_that_is_claimed_twice_at_once_is_credited_once() {
    let (mut world, alice, bob) = world(5);
    let mut scribe = Scribe::new(&world, 1);
    let mut in_one_epoch = 0;
    for address in 0..8 {
        let deposit = scribe.pay(&mut world, address, 5_000);
        world.chain().mine(3);
        world.run(10_000);
        let proof = scribe.proof(&mut world, address, deposit);
        let requests = [(); 2].map(|()| scribe.requests(&exponents(sat(5_000))));
        let claims = [0, 1].map(|way| Draft {
            inputs: vec![scribe.claim(address, &proof)],
            outputs: scribe.outputs(&requests[way]),
        });
        let [one, other] = claims.map(|draft| draft.sign(scribe.federation));
        let before = world.committed()[0].unwrap();
        let (winner, code) = race(&mut world, &one, &other);
        assert_eq!(code, "already_claimed");
        in_one_epoch += u32::from(world.committed()[0] == Some(before.next()));

        let won = &requests[usize::from(winner != world.txid(&one))];
        let notes = scribe.collect(&mut world, winner, won);
        receive(&mut world, bob, scribe.string(&notes)).unwrap();
    }
    assert!(in_one_epoch > 0, "both were in one epoch");
    assert_eq!(world.balance(bob), sat(40_000));
    check_books(&mut world, &[alice, bob], 0);
}

/// Scenario 5.
#[test]
fn a_deposit_is_credited_once_whatever_proves_it() {
    let (mut world, alice, bob) = world(6);
    let mut scribe = Scribe::new(&world, 1);
    // The last of three transactions of its block. As there is no fourth, the tree has the third once more in its place.
    scribe.pay(&mut world, 99, 5_000);
    let deposit = scribe.pay(&mut world, 0, 100_000);
    world.chain().mine(3);
    world.run(10_000);
    let proof = scribe.proof(&mut world, 0, deposit);
    let mut another = proof.clone();
    assert_eq!(proof.merkle.position, 2);
    another.merkle.position = 3;

    let claim = |scribe: &mut Scribe, proofs: &[&PegInProof]| {
        let worth = sat(100_000 * proofs.len() as u64);
        let requests = scribe.requests(&exponents(worth));
        let draft = Draft {
            inputs: proofs.iter().map(|one| scribe.claim(0, one)).collect(),
            outputs: scribe.outputs(&requests),
        };
        (draft.sign(scribe.federation), requests)
    };
    for proofs in [[&proof, &proof], [&proof, &another], [&another, &proof]] {
        let (claim, _) = claim(&mut scribe, &proofs);
        refuse_claim(&mut world, "claimed twice", &claim);
    }
    let (accepted, requests) = claim(&mut scribe, &[&another]);
    let txid = world.submit(accepted);
    world.run_until_settled(60_000);
    let notes = scribe.collect(&mut world, txid, &requests);
    receive(&mut world, bob, scribe.string(&notes)).unwrap();
    for proof in [&proof, &another] {
        let (claim, _) = claim(&mut scribe, &[proof]);
        refuse_claim(&mut world, "claimed before", &claim);
    }

    // Also when the federation has spent it.
    let (address, _) = outside(1);
    let command = Command::Withdraw {
        address,
        amount: sat(60_000),
        fee: sat(5_000),
    };
    assert_eq!(world.operate(bob, command).unwrap().phase, Phase::Done);
    world.run(5_000);
    let mut inputs = world.chain().pool().iter().flat_map(|paid| &paid.input);
    assert!(inputs.any(|input| input.previous_output == deposit));
    world.chain().mine(4);
    world.run(10_000);
    for proof in [&proof, &another] {
        let (claim, _) = claim(&mut scribe, &[proof]);
        refuse_claim(&mut world, "claimed and spent", &claim);
    }
    let spread = world.surplus_sat();
    check_books(&mut world, &[alice, bob], spread);
}

/// Scenario 14, second half.
#[test]
fn a_client_that_remembers_nothing_asks_again_and_is_told() {
    let (mut world, alice, bob) = world(14);
    let (_, given) = world.send(alice, sat(1_000)).unwrap();
    let exchange = |world: &mut World| {
        let mut scribe = Scribe::new(world, 1);
        let requests = scribe.requests(&exponents(sat(1_000)));
        let draft = scribe.exchange(given.notes(), &requests);
        (scribe, draft, requests)
    };
    let (scribe, draft, _) = exchange(&mut world);
    let txid = scribe.accept(&mut world, &draft);
    world.run(5_000);
    let (before, epochs) = (world.agreed_rows(), world.committed());

    // The same words make the same transaction, and whoever asks is told what the guardians signed.
    let (scribe, again, requests) = exchange(&mut world);
    let bytes = again.sign(scribe.federation).encode();
    let peers = everyone(&world);
    for reply in world.question(&peers, &Request::Submit(bytes)) {
        assert_eq!(code(&reply), "(accepted)");
    }
    let notes = scribe.collect(&mut world, txid, &requests);
    world.run(5_000);
    assert!(world.agreed_rows() == before && world.committed() == epochs);
    receive(&mut world, bob, scribe.string(&notes)).unwrap();
    assert_eq!(world.balance(bob), sat(1_000));
    check_books(&mut world, &[alice, bob], 0);
}

/// Scenario 14, second half, with the real client: it claims its deposit a second time.
#[test]
fn a_wallet_that_was_wiped_gets_its_deposit_s_notes_again() {
    let mut world = World::new(Setup::guardians(4).with_money(), 15);
    world.run(2_000);
    let alice = world.join();
    world.fund(alice, 50_000);
    world.run(5_000);
    let (before, epochs) = (world.agreed_rows(), world.committed());
    let accepted = world.accepted();

    world.wipe_user(alice);
    assert_eq!(world.balance(alice), sat(0));
    world.deposit_address(alice);
    world.run(60_000);
    assert_eq!(world.balance(alice), sat(50_000));
    assert_eq!(world.accepted(), accepted, "it is the same transaction");
    assert!(world.agreed_rows() == before && world.committed() == epochs);

    // The notes are good.
    let bob = world.join();
    let (_, notes) = world.send(alice, sat(12_345)).unwrap();
    assert_eq!(receive(&mut world, bob, notes).unwrap().phase, Phase::Done);
    check_books(&mut world, &[alice, bob], 0);
}
