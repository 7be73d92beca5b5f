//! Streams of events (SPEC API-1).
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{run, serve, Client, Scripted, PATIENCE};
use guildmint_api::{Limits, Serving};
use guildmint_core::{api::EpochEvent, Digest, Epoch};

const LISTEN: &str = "GET /v1/events HTTP/1.1\r\nHost: guardian\r\n\r\n";

fn epoch(number: u64) -> EpochEvent {
    EpochEvent {
        epoch: Epoch(number),
        digest: Digest([7; 32]),
        transactions: 3,
    }
}

/// Listens, and has heard the status.
async fn listen(serving: &Serving) -> Client {
    let mut client = Client::connect(serving).await;
    let head = client.send(LISTEN).await.head().await;
    assert_eq!(
        (head.status, head.headers["content-type"].as_str()),
        (200, "text/event-stream")
    );
    assert_eq!(head.headers["transfer-encoding"], "chunked");
    hear(&mut client, "event: status\ndata: {\"peer\":1,").await;
    client
}

/// Reads until this was said.
async fn hear(client: &mut Client, part: &str) {
    while !client.has_unread(part) {
        assert!(client.read_more().await > 0, "{part} was not said");
    }
}

#[test]
fn epochs_are_told_to_all_who_listen() {
    run(async {
        let (backend, serving) = serve(Limits::default()).await;
        let (mut first, mut second) = (listen(&serving).await, listen(&serving).await);
        for number in [8, 9] {
            backend.events.publish(&epoch(number));
            let digest = "07".repeat(32);
            let said = format!("event: epoch\ndata: {{\"epoch\":{number},\"digest\":\"{digest}\",\"transactions\":3}}\n\n");
            hear(&mut first, &said).await;
            hear(&mut second, &said).await;
        }
    });
}

/// ⚠ SPEC API-2: who does not read is cut, and costs no more memory than a few events until then.
#[test]
fn who_does_not_read_is_cut() {
    run(async {
        let limits = Limits {
            stream_write: Duration::from_millis(200),
            stop: PATIENCE,
            ..Limits::default()
        };
        let (backend, serving) = serve(limits).await;
        let (slow, mut quick) = (listen(&serving).await, listen(&serving).await);
        let mut number = 0;
        // The buffers of the system fill first.
        while serving.connections() > 1 {
            for _ in 0..16 {
                number += 1;
                backend.events.publish(&epoch(number));
            }
            hear(&mut quick, &format!("\"epoch\":{number},")).await;
            quick.forget();
        }
        drop(slow);
        serving.stop().await;
    });
}

#[test]
fn who_falls_behind_is_told_the_rest_and_let_go() {
    run(async {
        let (backend, serving) = serve(Limits::default()).await;
        let mut behind = listen(&serving).await;
        let mut number = 0;
        while serving.connections() > 0 {
            number += 1;
            backend.events.publish(&epoch(number));
        }
        while behind.read_more().await > 0 {}
        assert!(behind.has_unread("\"epoch\":1,"));
        assert!(behind.has_unread("\r\n0\r\n\r\n"), "the end is told");
    });
}

#[test]
fn streams_are_limited_and_end_when_the_guardian_stops() {
    run(async {
        let limits = Limits {
            streams: 2,
            stop: PATIENCE,
            ..Limits::default()
        };
        let (_, serving): (Scripted, Serving) = serve(limits).await;
        let (mut first, second) = (listen(&serving).await, listen(&serving).await);
        let mut third = Client::connect(&serving).await;
        let answer = third.send(LISTEN).await.answer().await;
        assert!(answer.is_problem(503, "busy"), "{answer:?}");
        drop(second);
        while serving.connections() > 2 {
            async_std::task::yield_now().await;
        }
        serving.stop().await;
        while first.read_more().await > 0 {}
    });
}
