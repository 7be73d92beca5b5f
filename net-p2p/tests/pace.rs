//! Guardians that send more than they have to (SPEC NET-7).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::time::{Duration, Instant};

use async_std::task::block_on;
use common::federation;
use guildmint_core::{limits, PeerId};
use guildmint_net_p2p::NetworkEvent;

/// SPEC NET-7, scenario 34: a guardian that sends without end is read at its pace, and keeps its connection.
#[test]
fn a_guardian_that_floods_is_slowed_and_named_and_others_are_heard() {
    /// What it may send at once, and a second's worth beyond that.
    const MESSAGES: usize = 8_000 + 4_000;
    /// As many as an honest guardian may send without being slowed, however fast the machine is.
    const OF_BOB: usize = 1_000;

    block_on(async {
        let mut guardians = federation(3, |_, _| true).await;
        let networks: Vec<_> = guardians.iter().map(|it| it.network.clone()).collect();
        let begun = Instant::now();
        for _ in 0..MESSAGES {
            networks[2].send(PeerId(0), vec![2]).await;
        }
        networks[1].send(PeerId(0), vec![1]).await;
        let (mut of_bob, mut of_flood) = (0, 0);
        while of_flood < MESSAGES {
            let (from, _) = guardians[0].message().await;
            if from == PeerId(1) {
                of_bob += 1;
                if of_bob < OF_BOB {
                    networks[1].send(PeerId(0), vec![1]).await;
                }
            } else {
                of_flood += 1;
            }
        }
        // Each of his came before a thousand of the flood had passed by.
        assert!(of_bob > MESSAGES / 1_000, "{of_bob}");
        assert!(begun.elapsed() > Duration::from_millis(900));
        let slowed: Vec<_> = networks[0].peers().iter().map(|it| it.slowed_ms).collect();
        assert!(slowed[0] == 0 && slowed[1] > 0, "{slowed:?}");
        assert_eq!(networks[2].counters().unsent, 0);
    });
}

/// What waits to be handled is bounded for each guardian, however long it is not handled.
#[test]
fn what_one_guardian_can_fill_is_bounded_and_leaves_room_for_others() {
    block_on(async {
        let mut guardians = federation(3, |_, _| true).await;
        let networks: Vec<_> = guardians.iter().map(|it| it.network.clone()).collect();
        let packet = vec![5; limits::MAX_PACKET_BYTES / 2];
        while networks[2].counters().unsent == 0 {
            networks[2].send(PeerId(0), packet.clone()).await;
            async_std::task::yield_now().await;
        }
        let mut held = Vec::new();
        let mut bytes = 0;
        loop {
            networks[1].send(PeerId(0), vec![1]).await;
            let Some((event, room)) = guardians[0].events.recv_held().await else {
                panic!("the network runs");
            };
            match event {
                NetworkEvent::Message {
                    from: PeerId(2),
                    bytes: read,
                } => {
                    bytes += read.len();
                    held.push(room);
                }
                NetworkEvent::Message { .. } if held.len() >= 3 => break,
                _ => {}
            }
        }
        // All that fits has come; no more does before some is handled.
        for _ in 0..20 {
            networks[1].send(PeerId(0), vec![1]).await;
            guardians[0].hears(1, "\u{1}").await;
        }
        assert!(bytes <= 5 * 1024 * 1024, "{bytes}");
        drop(held);
        let more = |event| match event {
            NetworkEvent::Message { from, .. } => (from == PeerId(2)).then_some(()),
            _ => None,
        };
        guardians[0].next("more once that is handled", more).await;
    });
}
