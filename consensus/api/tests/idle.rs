//! Connections on which nothing is asked (SPEC API-2).
#![allow(clippy::unwrap_used)]

mod common;

use common::{run, serve, Client, TXID};
use guildmint_api::Limits;

const HALF_A_HEAD: &str = "GET /livez HTTP/1.1\r\nHost: gua";

fn wait_for_news() -> String {
    format!("GET /v1/transactions/{TXID}?wait=30 HTTP/1.1\r\nHost: guardian\r\n\r\n")
}

/// ⚠ SPEC API-2: who keeps connections and asks nothing keeps nobody out, whether it says nothing at all or half of something.
#[test]
fn the_connection_that_has_been_idle_longest_makes_room_for_a_new_one() {
    run(async {
        let (backend, serving) = serve(Limits {
            connections: 3,
            ..Limits::default()
        })
        .await;
        let mut idle = Client::connect(&serving).await;
        assert_eq!(idle.get("/livez").await.status, 200);
        let mut half = Client::connect(&serving).await;
        half.send(HALF_A_HEAD).await;
        let mut waiting = Client::connect(&serving).await;
        waiting.send(wait_for_news()).await;
        backend.waits.1.recv().await.unwrap();

        let mut new = Client::connect(&serving).await;
        assert_eq!(new.get("/livez").await.status, 200);
        let mut newer = Client::connect(&serving).await;
        assert_eq!(newer.get("/livez").await.status, 200);
        assert!(idle.is_closed().await && half.is_closed().await);
        assert_eq!(serving.connections(), 3);
        // Not the one for which an answer is on its way.
        backend.news.0.send(()).await.unwrap();
        assert_eq!(waiting.answer().await.status, 200);
        // The next is the longest idle of those that are left.
        let mut newest = Client::connect(&serving).await;
        assert_eq!(newest.get("/livez").await.status, 200);
        assert!(new.is_closed().await);
        assert_eq!(newer.get("/livez").await.status, 200);
    });
}
