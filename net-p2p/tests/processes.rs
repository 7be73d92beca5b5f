//! Processes of one guardian: one after the other, two at once, and where they are.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::time::Duration;

use async_std::task::block_on;
use common::{config, connected, federation, Guardian, Wire};
use guildmint_core::PeerId;
use guildmint_net_p2p::NetworkEvent;

/// SPEC NET-6. Neither says anything of the other, and both look for the same peers.
#[test]
fn two_processes_with_the_same_secrets_are_found_out_by_all_and_told() {
    block_on(async {
        let mut guardians = federation(3, |_, _| true).await;
        let mut bob = guardians.remove(1);
        let mut twin = Guardian::start(config(1, 3)).await;
        for (peer, guardian) in [(0, &guardians[0]), (2, &guardians[1])] {
            bob.knows(peer, guardian.address()).await;
            twin.knows(peer, guardian.address()).await;
        }
        let told_of = |of, seen_by| NetworkEvent::RunsTwice {
            of: PeerId(of),
            seen_by: PeerId(seen_by),
        };
        for (me, guardian) in [(0, 0), (2, 1)] {
            let seen = told_of(1, me);
            let is_seen = |event| (event == seen).then_some(());
            guardians[guardian].next("two to be seen", is_seen).await;
        }
        for process in [&mut bob, &mut twin] {
            let is_told = |event| match event {
                NetworkEvent::RunsTwice { of, .. } => Some(of),
                _ => None,
            };
            assert_eq!(process.next("word of the other", is_told).await, PeerId(1));
        }
    });
}

/// Several times, at the same place, and with connections that die without a word.
#[test]
fn a_guardian_that_is_started_again_is_no_twin() {
    block_on(async {
        let mut alice = Guardian::start(config(0, 2)).await;
        for round in 0..4 {
            let bob = Guardian::start(config(1, 2)).await;
            let wire = Wire::to(&alice.address(), Duration::ZERO).await;
            bob.knows(0, wire.address.clone()).await;
            alice.knows(1, bob.address()).await;
            let is_bob = |event| match event {
                NetworkEvent::RunsTwice { .. } => panic!("a twin in round {round}"),
                NetworkEvent::Message { bytes, .. } => (bytes == [round]).then_some(()),
                _ => None,
            };
            connected((&alice, 0), (&bob, 1)).await;
            bob.network.send(PeerId(0), vec![round]).await;
            alice.next("bob", is_bob).await;
            if round % 2 == 0 {
                wire.cut();
            }
            bob.network.stop().await;
        }
    });
}

/// SPEC NET-4: neither the config nor an announcement says where he is.
#[test]
fn who_has_been_here_is_found_where_it_said_that_it_listens() {
    block_on(async {
        let mut alice = Guardian::start(config(0, 2)).await;
        let bob = Guardian::start(config(1, 2)).await;
        bob.knows(0, alice.address()).await;
        connected((&alice, 0), (&bob, 1)).await;
        let place = bob.address();
        bob.network.stop().await;
        let gone = |event| (event == NetworkEvent::Disconnected(PeerId(1))).then_some(());
        alice.next("goodbye", gone).await;
        // He listens where he did, and has forgotten where she is.
        let mut again = config(1, 2);
        again.listen = vec![place];
        let bob = Guardian::start(again).await;
        connected((&alice, 0), (&bob, 1)).await;
    });
}
