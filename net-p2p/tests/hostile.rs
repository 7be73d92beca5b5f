//! What comes from outside the federation.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use async_std::net::TcpStream;
use async_std::task::block_on;
use common::{config, connected, eventually, federation, seed, socket, within, Guardian};
use futures::{AsyncReadExt, AsyncWriteExt};
use guildmint_core::PeerId;
use guildmint_net_p2p::{public_key, Channel};

#[test]
fn a_stranger_who_knows_the_session_is_refused() {
    block_on(async {
        let mut guardians = federation(2, |_, _| true).await;
        // Pretends to be guardian 1, with a key of its own.
        let mut stranger = config(1, 2);
        stranger.identity_seed = seed(66).into();
        stranger.guardians[1].identity = public_key(&seed(66));
        stranger.guardians[0].addresses = vec![guardians[0].address()];
        let stranger = Guardian::start(stranger).await;
        let refused = || guardians[0].network.counters().refused;
        eventually("three refusals", || refused() >= 3).await;
        stranger.network.send(PeerId(0), b"hello".to_vec()).await;
        stranger
            .network
            .broadcast(Channel::Contributions, b"hello".to_vec())
            .await;
        eventually("a fourth refusal", || refused() >= 4).await;
        assert!(!stranger.is_connected(0));

        let bob = &guardians[1].network;
        bob.send(PeerId(0), b"friend".to_vec()).await;
        let (from, bytes) = guardians[0].message().await;
        let first = "the stranger's message did not come before";
        assert_eq!((from, &bytes[..]), (PeerId(1), &b"friend"[..]), "{first}");
    });
}

/// One that is no guardian any more still has its key, knows the session, everybody's keys and addresses.
#[test]
fn a_former_guardian_is_refused() {
    block_on(async {
        let mut guardians = federation(2, |_, _| true).await;
        let mut former = config(2, 3);
        for (known, guardian) in former.guardians.iter_mut().zip(&guardians) {
            known.addresses = vec![guardian.address()];
        }
        let former = Guardian::start(former).await;
        for guardian in &guardians {
            let refused = || guardian.network.counters().refused;
            eventually("three refusals", || refused() >= 3).await;
        }
        for peer in [0, 1] {
            assert!(!former.is_connected(peer));
            former.network.send(PeerId(peer), b"hello".to_vec()).await;
        }
        let bob = &guardians[1].network;
        bob.send(PeerId(0), b"friend".to_vec()).await;
        let (from, bytes) = guardians[0].message().await;
        assert_eq!((from, &bytes[..]), (PeerId(1), &b"friend"[..]));
    });
}

#[test]
fn a_guardian_of_another_session_is_refused() {
    block_on(async {
        let alice = Guardian::start(config(0, 2)).await;
        let mut other = config(1, 2);
        other.session_id = [8; 32];
        let other = Guardian::start(other).await;
        other.knows(0, alice.address()).await;
        alice.knows(1, other.address()).await;
        eventually("refusals on both sides", || {
            alice.network.counters().refused > 0 && other.network.counters().refused > 0
        })
        .await;
        assert!(!alice.is_connected(1) && !other.is_connected(0));
        other.network.stop().await;

        let bob = Guardian::start(config(1, 2)).await;
        bob.knows(0, alice.address()).await;
        connected((&alice, 0), (&bob, 1)).await;
    });
}

#[test]
fn garbage_and_silence_on_the_port_disturb_nobody() {
    block_on(async {
        let mut guardians = federation(2, |_, _| true).await;
        let bob = guardians.pop().unwrap();
        let mut alice = guardians.pop().unwrap();

        let mut garbage = TcpStream::connect(socket(&alice.address())).await.unwrap();
        let noise: Vec<u8> = (0..8192_u32).map(|i| (i * i % 251) as u8).collect();
        // It may be cut off while it still writes.
        let _ = garbage.write_all(&noise).await;
        let mut answer = Vec::new();
        let _ = within("the end of it", garbage.read_to_end(&mut answer)).await;
        eventually("a refusal", || alice.network.counters().refused > 0).await;

        let mut silent = Vec::new();
        for _ in 0..30 {
            silent.push(TcpStream::connect(socket(&alice.address())).await.unwrap());
        }
        bob.network.send(PeerId(0), b"still here".to_vec()).await;
        alice.hears(1, "still here").await;

        // All places for new inbound connections are taken; Alice dials Bob.
        bob.network.stop().await;
        let bob = Guardian::start(config(1, 2)).await;
        alice.knows(1, bob.address()).await;
        connected((&alice, 0), (&bob, 1)).await;
        drop(silent);
    });
}
