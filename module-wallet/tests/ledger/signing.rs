//! Signatures, confirmations, restarts: what a guardian that lies or sleeps can delay. Nothing.

use bitcoin::{hashes::Hash, secp256k1::ecdsa::Signature, Txid};
use guildmint_core::PeerId;
use guildmint_wallet::{Job, PegOutState, Signatures, Vote};

use crate::world::{address, script, World};

fn paying() -> (World, guildmint_core::TxId) {
    let mut world = World::funded(4, &[50_000]);
    let peg_out = world.quoted(&address(1), 20_000).unwrap();
    let txid = world.submit(peg_out).unwrap();
    (world, txid)
}

fn assert_paid(world: &mut World, txid: guildmint_core::TxId) {
    world.settle_down();
    assert_eq!(world.status(txid).unwrap().state, PegOutState::Signed);
    assert_eq!(world.chain.payments_to(&script(&address(1))), [20_000]);
}

#[test]
fn a_guardian_that_gives_wrong_signatures_delays_nothing() {
    let (mut world, txid) = paying();
    world.tamper = |peer, vote| {
        if peer == PeerId(0) {
            for signature in vote.signatures.iter_mut().flat_map(|s| &mut s.signatures) {
                let mut bytes = signature.serialize_compact();
                bytes[40] ^= 1;
                *signature = Signature::from_compact(&bytes).unwrap();
            }
        }
    };
    let epoch = world.epoch;
    assert_paid(&mut world, txid);
    assert_eq!(world.epoch, epoch + 1);
    assert_eq!(world.faults.len(), 1);
    assert_eq!(world.faults[0].peer, PeerId(0));
}

#[test]
fn a_guardian_that_signs_nothing_delays_nothing() {
    let (mut world, txid) = paying();
    world.tamper = |peer, vote| {
        if peer == PeerId(2) {
            vote.signatures.clear();
        }
    };
    assert_paid(&mut world, txid);
    assert!(world.faults.is_empty());
}

#[test]
fn signatures_that_nobody_asked_for_are_faults() {
    let (mut world, txid) = paying();
    world.tamper = |peer, vote: &mut Vote| match peer.0 {
        0 => vote
            .signatures
            .iter_mut()
            .for_each(|s| s.signatures.clear()),
        3 => vote.signatures.push(Signatures {
            txid: Txid::all_zeros(),
            signatures: vec![],
        }),
        _ => (),
    };
    assert_paid(&mut world, txid);
    let peers: Vec<PeerId> = world.faults.iter().map(|fault| fault.peer).collect();
    assert_eq!(peers, [PeerId(0), PeerId(3)]);
}

#[test]
fn two_signatures_of_four_are_not_enough() {
    let (mut world, txid) = paying();
    world.tamper = |peer, vote| {
        if peer.0 < 2 {
            vote.signatures.clear();
        }
    };
    world.observe();
    world.run(&[]);
    assert_eq!(world.status(txid).unwrap().state, PegOutState::Signing);
    world.tamper = |_, _| ();
    assert_paid(&mut world, txid);
}

#[test]
fn a_restarted_guardian_broadcasts_and_watches_again() {
    let (mut world, txid) = paying();
    world.settle_down();
    let jobs = world.guardians[2].read(|wallet, agreed, local| {
        use guildmint_core::module::ServerModule;
        wallet.resume(agreed, local)
    });
    let expected = world.status(txid).unwrap().txid.unwrap();
    assert!(matches!(&jobs[0], Job::Broadcast { txid, .. } if *txid == expected));
    assert!(matches!(&jobs[1], Job::Watch { pending, .. } if pending[0].txid == expected));
}

#[test]
fn a_confirmation_needs_a_proof_under_an_agreed_header() {
    let (mut world, txid) = paying();
    world.settle_down();
    world.chain.mine(vec![]);
    world.tamper = |_, vote| {
        for confirmation in &mut vote.confirmations {
            confirmation.header.nonce += 1;
        }
    };
    for _ in 0..3 {
        world.chain.mine_empty(1);
        for _ in 0..3 {
            world.observe();
            world.run(&[]);
        }
    }
    assert_eq!(world.status(txid).unwrap().state, PegOutState::Signed);
    assert!(!world.faults.is_empty());
    world.tamper = |_, vote| {
        for confirmation in &mut vote.confirmations {
            confirmation.merkle.position ^= 1;
        }
    };
    world.observe();
    world.run(&[]);
    assert_eq!(world.status(txid).unwrap().state, PegOutState::Signed);
    world.tamper = |_, _| ();
    world.settle_down();
    assert_eq!(world.status(txid).unwrap().state, PegOutState::Confirmed);
}

#[test]
fn one_guardian_that_sees_a_confirmation_is_enough() {
    let (mut world, txid) = paying();
    world.settle_down();
    world.chain.mine(vec![]);
    world.tamper = |peer, vote| {
        if peer != PeerId(1) {
            vote.confirmations.clear();
        }
    };
    world.bury();
    assert_eq!(world.status(txid).unwrap().state, PegOutState::Confirmed);
}

#[test]
fn what_is_not_confirmed_is_broadcast_again_with_every_block() {
    let (mut world, txid) = paying();
    world.settle_down();
    // The nodes have lost it. The coins come back, as nobody has spent them.
    let lost = std::mem::take(&mut world.chain.mempool);
    assert_eq!(lost.len(), 1);
    world.chain.forget(lost.values());
    world.chain.mine_empty(1);
    world.bury();
    assert_eq!(world.chain.payments_to(&script(&address(1))), [20_000]);
    world.chain.mine(vec![]);
    world.bury();
    assert_eq!(world.status(txid).unwrap().state, PegOutState::Confirmed);
}
