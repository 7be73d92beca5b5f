//! Guardians among themselves: gossip, direct messages, restarts, cut wires.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use async_std::task::block_on;
use common::{config, connected, eventually, federation, Guardian, Wire};
use guildmint_core::{limits, PeerId};
use guildmint_net_p2p::{Channel, Network, NetworkEvent, StartError};

#[test]
fn four_guardians_gossip_and_send_to_each_other() {
    block_on(async {
        let mut guardians = federation(4, |_, _| true).await;
        for (i, guardian) in guardians.iter().enumerate() {
            for channel in Channel::ALL {
                let text = format!("{channel:?} of {i}");
                guardian.network.broadcast(channel, text.into()).await;
            }
            for j in (0..4).filter(|j| *j != i) {
                let to = PeerId(j as u16);
                guardian
                    .network
                    .send(to, format!("{i} to {j}").into())
                    .await;
            }
        }
        for (j, guardian) in guardians.iter_mut().enumerate() {
            let mut expected = BTreeSet::new();
            for i in (0..4).filter(|i| *i != j) {
                let texts = Channel::ALL.map(|channel| format!("{channel:?} of {i}"));
                let from = PeerId(i as u16);
                expected.extend(texts.map(|text| (from, text.into_bytes())));
                expected.insert((from, format!("{i} to {j}").into_bytes()));
            }
            while !expected.is_empty() {
                let message = guardian.message().await;
                assert!(
                    expected.remove(&message),
                    "{message:?} once, and from its author"
                );
            }
        }
    });
}

#[test]
fn comings_and_goings_are_reported() {
    block_on(async {
        let mut guardians = federation(2, |_, _| true).await;
        let bob = guardians.pop().unwrap();
        let mut alice = guardians.pop().unwrap();
        assert_eq!(
            alice.events.recv().await,
            Some(NetworkEvent::Connected(PeerId(1)))
        );
        eventually("a ping", || {
            alice.network.peers()[0].round_trip_ms.is_some()
        })
        .await;
        assert!(alice.network.peers()[0]
            .address
            .as_ref()
            .unwrap()
            .contains("127.0.0.1"));
        bob.network.stop().await;
        assert_eq!(
            alice.events.recv().await,
            Some(NetworkEvent::Disconnected(PeerId(1)))
        );
        assert!(!alice.is_connected(1));

        alice.network.send(PeerId(1), b"lost".to_vec()).await;
        alice
            .network
            .broadcast(Channel::Certificates, b"lost".to_vec())
            .await;
        eventually("both count as unsent", || {
            alice.network.counters().unsent == 2
        })
        .await;
    });
}

#[test]
fn direct_messages_arrive_in_order() {
    block_on(async {
        let mut guardians = federation(2, |_, _| true).await;
        for i in 0..2_000_u32 {
            let bytes = i.to_be_bytes().to_vec();
            guardians[0].network.send(PeerId(1), bytes).await;
        }
        for i in 0..2_000_u32 {
            let message = guardians[1].message().await;
            assert_eq!(message, (PeerId(0), i.to_be_bytes().to_vec()));
        }
    });
}

#[test]
fn the_largest_messages_pass_and_larger_ones_do_not_start() {
    block_on(async {
        let mut guardians = federation(3, |_, _| true).await;
        let contribution = vec![1; limits::MAX_CONTRIBUTION_BYTES];
        let packet = vec![2; limits::MAX_PACKET_BYTES];
        let network = guardians[0].network.clone();
        // Twice the same at once: the second begins in the buffer of the first.
        for bytes in [contribution, packet.clone()] {
            for _ in 0..2 {
                network
                    .broadcast(Channel::Contributions, bytes.clone())
                    .await;
            }
            for guardian in &mut guardians[1..] {
                for _ in 0..2 {
                    assert!(guardian.message().await == (PeerId(0), bytes.clone()));
                }
            }
        }
        network.send(PeerId(1), packet.clone()).await;
        assert!(guardians[1].message().await == (PeerId(0), packet));

        let too_large = vec![3; limits::MAX_PACKET_BYTES + 1];
        network
            .broadcast(Channel::Contributions, too_large.clone())
            .await;
        network.send(PeerId(1), too_large).await;
        assert_eq!(network.counters().unsent, 2);
        network.send(PeerId(1), b"after".to_vec()).await;
        guardians[1].hears(0, "after").await;
    });
}

#[test]
fn gossip_survives_being_busy() {
    block_on(async {
        let mut guardians = federation(4, |_, _| true).await;
        let start = Instant::now();
        // Some heartbeats long: gossipsub then announces what was said since the last ones, which is a lot.
        while start.elapsed() < Duration::from_secs(4) {
            for guardian in &guardians {
                let network = &guardian.network;
                network.broadcast(Channel::Certificates, vec![0; 100]).await;
            }
            for guardian in &mut guardians {
                let mut authors = BTreeSet::new();
                while authors.len() < 3 {
                    let (author, _) = guardian.message().await;
                    assert!(authors.insert(author), "{author} twice");
                }
            }
        }
    });
}

#[test]
fn gossip_goes_around_a_cut_wire() {
    block_on(async {
        let mut guardians = federation(4, |a, b| b == a + 1).await;
        let first = guardians[0].network.clone();
        first
            .broadcast(Channel::Contributions, b"from one end".to_vec())
            .await;
        guardians[3].hears(0, "from one end").await;
        let last = guardians[3].network.clone();
        last.broadcast(Channel::Contributions, b"from the other".to_vec())
            .await;
        guardians[0].hears(3, "from the other").await;
        assert!(!guardians[0].is_connected(2) && !guardians[0].is_connected(3));
    });
}

/// Both reach each other by gossip and directly.
async fn talk(a: (&mut Guardian, u16), b: (&mut Guardian, u16), round: usize) {
    connected((a.0, a.1), (b.0, b.1)).await;
    for (from, to) in [(&a, &b), (&b, &a)] {
        let network = &from.0.network;
        network
            .broadcast(Channel::Contributions, format!("gossip {round}").into())
            .await;
        network
            .send(PeerId(to.1), format!("direct {round}").into())
            .await;
    }
    for (to, from) in [(a.0, b.1), (b.0, a.1)] {
        let mut texts = BTreeSet::from([format!("gossip {round}"), format!("direct {round}")]);
        while !texts.is_empty() {
            let (peer, bytes) = to.message().await;
            assert_eq!(peer, PeerId(from));
            texts.remove(&String::from_utf8(bytes).unwrap());
        }
    }
}

async fn restarts(stayer: u16, restarter: u16, graceful: bool) {
    let mut guardians = federation(2, |_, _| true).await;
    let mut guardian = guardians.remove(usize::from(restarter));
    let mut other = guardians.remove(0);
    for round in 0..6 {
        talk((&mut other, stayer), (&mut guardian, restarter), round).await;
        let address = guardian.address();
        if graceful {
            guardian.network.clone().stop().await;
        } else {
            // The port must be free before the next one can have it.
            let (network, mut events) = (guardian.network, guardian.events);
            drop(network);
            while events.recv().await.is_some() {}
        }
        let mut again = config(restarter, 2);
        again.guardians[usize::from(stayer)].addresses = vec![other.address()];
        again.listen = vec![address];
        guardian = Guardian::start(again).await;
    }
    talk((&mut other, stayer), (&mut guardian, restarter), 6).await;
}

#[test]
fn a_restarted_guardian_is_reached_again() {
    block_on(async {
        restarts(0, 1, true).await;
        restarts(1, 0, true).await;
        restarts(0, 1, false).await;
        restarts(1, 0, false).await;
    });
}

#[test]
fn a_restart_that_the_peer_did_not_notice_is_no_obstacle() {
    block_on(async {
        let mut alice = Guardian::start(config(0, 2)).await;
        let mut bob = Guardian::start(config(1, 2)).await;
        let wire = Wire::to(&alice.address(), Duration::ZERO).await;
        bob.knows(0, wire.address.clone()).await;
        talk((&mut alice, 0), (&mut bob, 1), 0).await;

        wire.cut();
        bob.network.stop().await;
        assert!(alice.is_connected(1), "nobody told her");
        let mut bob = Guardian::start(config(1, 2)).await;
        bob.knows(0, alice.address()).await;
        alice
            .next("the old connection goes", |event| {
                (event == NetworkEvent::Disconnected(PeerId(1))).then_some(())
            })
            .await;
        talk((&mut alice, 0), (&mut bob, 1), 1).await;
    });
}

#[test]
fn nor_is_one_in_the_middle_of_a_flood() {
    block_on(async {
        let mut alice = Guardian::start(config(0, 2)).await;
        let mut bob = Guardian::start(config(1, 2)).await;
        let wire = Wire::to(&alice.address(), Duration::ZERO).await;
        bob.knows(0, wire.address.clone()).await;
        talk((&mut alice, 0), (&mut bob, 1), 0).await;

        wire.cut();
        let packet = vec![5; limits::MAX_PACKET_BYTES / 4];
        while alice.network.counters().unsent == 0 {
            alice.network.send(PeerId(1), packet.clone()).await;
            // Gives the connection a chance to fill the system's buffers.
            async_std::task::yield_now().await;
        }
        bob.network.stop().await;
        let mut bob = Guardian::start(config(1, 2)).await;
        bob.knows(0, alice.address()).await;
        talk((&mut alice, 0), (&mut bob, 1), 1).await;
    });
}

#[test]
fn of_two_connections_made_at_once_one_stays() {
    block_on(async {
        let mut alice = Guardian::start(config(0, 2)).await;
        let mut bob = Guardian::start(config(1, 2)).await;
        // Alice dials first, but over a slow wire: Bob is through before her.
        let slow = Wire::to(&bob.address(), Duration::from_millis(800)).await;
        alice.knows(1, slow.address.clone()).await;
        bob.knows(0, alice.address()).await;
        eventually("the second is refused", || {
            bob.network.counters().refused > 0
        })
        .await;
        talk((&mut alice, 0), (&mut bob, 1), 0).await;
    });
}

#[test]
fn a_guardian_that_does_not_read_disturbs_nobody() {
    block_on(async {
        let mut guardians = federation(3, |_, _| true).await;
        let network = guardians[0].network.clone();
        let packet = vec![5; limits::MAX_PACKET_BYTES / 4];
        // Guardian 1 reads nothing; in the end everything between the two is full.
        while network.counters().unsent == 0 {
            network.send(PeerId(1), packet.clone()).await;
            network.send(PeerId(2), b"ping".to_vec()).await;
            guardians[2].hears(0, "ping").await;
        }
        network
            .broadcast(Channel::Contributions, b"gossip".to_vec())
            .await;
        guardians[2].hears(0, "gossip").await;
        guardians[1].hears(0, "gossip").await;
    });
}

#[test]
fn an_address_in_use_is_named() {
    block_on(async {
        let first = Guardian::start(config(0, 2)).await;
        let mut second = config(1, 2);
        second.listen = vec![first.address()];
        let error = Network::start(second).await.err().unwrap();
        assert!(matches!(error, StartError::Listen { .. }));
        let text = error.to_string();
        assert!(
            text.contains(&first.address()) && text.contains("in use"),
            "{text}"
        );
    });
}
