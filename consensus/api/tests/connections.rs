//! Clients that are slow, rude, broken or many (SPEC API-2), and a server that stops.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::{Duration, Instant};

use async_std::{
    future::timeout,
    io::{ReadExt as _, WriteExt as _},
    net::{Shutdown, TcpStream},
    task,
};
use common::{encoded, post, run, serve, token, Client, TXID};
use futures::future::join_all;
use guildmint_api::{serve_admin, serve_public, Access, Limits, ServeError};

const SOON: Duration = Duration::from_millis(200);

const HALF_A_HEAD: &str = "GET /livez HTTP/1.1\r\nHost: gua";

/// ⚠ SPEC API-2: a body beyond the limit is not read, and the client learns why even if it sends on.
#[test]
fn a_large_body_is_refused_unread() {
    run(async {
        let (_, serving) = serve(Limits::default()).await;
        let mut client = Client::connect(&serving).await;
        client
            .send(post(
                "/v1/transactions",
                "application/json",
                &vec![b' '; 4 * 1024 * 1024],
            ))
            .await;
        let answer = client.answer().await;
        assert!(answer.is_problem(413, "too_large"));
        assert_eq!(answer.headers["connection"], "close");
        assert!(client.is_closed().await);
    });
}

/// ⚠ SPEC API-2: connections that hold back their heads take nothing from others, and end.
#[test]
fn slow_heads_block_nobody_and_end() {
    run(async {
        let limits = Limits {
            head: SOON,
            ..Limits::default()
        };
        let (_, serving) = serve(limits).await;
        let mut slow = Vec::new();
        for _ in 0..50 {
            let mut client = Client::connect(&serving).await;
            client.send(HALF_A_HEAD).await;
            slow.push(client);
        }
        let mut quick = Client::connect(&serving).await;
        for _ in 0..10 {
            assert_eq!(quick.get("/livez").await.status, 200);
        }
        let answers = slow.iter_mut().map(Client::answer);
        for answer in join_all(answers).await {
            assert!(answer.is_problem(408, "too_slow"));
        }
    });
}

#[test]
fn slow_bodies_end() {
    run(async {
        let limits = Limits {
            body: SOON,
            ..Limits::default()
        };
        let (backend, serving) = serve(limits).await;
        let mut client = Client::connect(&serving).await;
        let mut request = post("/v1/transactions", "application/octet-stream", &encoded());
        request.pop();
        let answer = client.send(request).await.answer().await;
        assert!(answer.is_problem(408, "too_slow"));
        assert!(backend.submitted.lock().unwrap().is_empty());
    });
}

#[test]
fn idle_connections_end() {
    run(async {
        let limits = Limits {
            idle: SOON,
            ..Limits::default()
        };
        let (_, serving) = serve(limits).await;
        let mut never = Client::connect(&serving).await;
        let mut once = Client::connect(&serving).await;
        assert_eq!(once.get("/livez").await.status, 200);
        assert!(once.is_closed().await);
        assert!(never.is_closed().await);
    });
}

#[test]
fn clients_that_do_not_read_their_answers_are_cut() {
    run(async {
        let limits = Limits {
            response: SOON,
            stop: common::PATIENCE,
            ..Limits::default()
        };
        let (_, serving) = serve(limits).await;
        let mut client = Client::connect(&serving).await;
        client
            .send("GET /v1/large/x HTTP/1.1\r\nHost: guardian\r\n\r\n")
            .await;
        client.head().await;
        // Returns once the connection is closed; the deadline for stopping is longer than the test may take.
        serving.stop().await;
    });
}

#[test]
fn a_request_without_an_answer_in_time_is_told_so() {
    run(async {
        let limits = Limits {
            request: SOON,
            ..Limits::default()
        };
        let (_, serving) = serve(limits).await;
        let mut client = Client::connect(&serving).await;
        let answer = client.get("/v1/slow/x").await;
        assert!(answer.is_problem(503, "timed_out"));
        assert_eq!(client.get("/livez").await.status, 200);
    });
}

#[test]
fn a_panic_costs_one_answer() {
    run(async {
        let (_, serving) = serve(Limits::default()).await;
        let mut client = Client::connect(&serving).await;
        for _ in 0..20 {
            let answer = client.get("/v1/panic/x").await;
            assert!(answer.is_problem(500, "internal"));
        }
        assert_eq!(client.get("/livez").await.status, 200);
    });
}

/// ⚠ Each of these makes `async-h1`'s own loop read without end, panic, or take what follows for another request.
#[test]
fn heads_that_cannot_be_understood_in_one_way_are_refused() {
    let large = format!(
        "GET /livez HTTP/1.1\r\nHost: guardian\r\nX: {}",
        "x".repeat(9_000)
    );
    run(async {
        let (_, serving) = serve(Limits::default()).await;
        for (head, status, code) in [
            (large.as_str(), 431, "head_too_large"),
            (&"x".repeat(9_000), 431, "head_too_large"),
            ("GET /livez HTTP/1.1\r\nHost: guardian\r\nX: é\r\n\r\n", 400, "malformed"),
            ("GET /livez HTTP/1.1\r\n\r\n", 400, "malformed"),
            ("GET /livez HTTP/1.0\r\nHost: guardian\r\n\r\n", 400, "malformed"),
            ("GET livez HTTP/1.1\r\nHost: guardian\r\n\r\n", 400, "malformed"),
            ("NONE /livez HTTP/1.1\r\nHost: guardian\r\n\r\n", 400, "malformed"),
            ("\r\n\r\n", 400, "malformed"),
            ("POST /v1/transactions HTTP/1.1\r\nHost: guardian\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411, "length_required"),
            ("POST /v1/transactions HTTP/1.1\r\nHost: guardian\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 411, "length_required"),
            ("POST /v1/transactions HTTP/1.1\r\nHost: guardian\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, "malformed"),
            ("POST /v1/transactions HTTP/1.1\r\nHost: guardian\r\nContent-Length: +1\r\n\r\n", 400, "malformed"),
            ("POST /v1/transactions HTTP/1.1\r\nHost: guardian\r\nContent-Length: 18446744073709551615\r\n\r\n", 413, "too_large"),
        ] {
            let mut client = Client::connect(&serving).await;
            let answer = client.send(head).await.answer().await;
            assert!(answer.is_problem(status, code), "{head:?}: {answer:?}");
            assert!(client.is_closed().await, "{head:?}");
        }
    });
}

#[test]
fn garbage_ends_its_own_connection_only() {
    run(async {
        let (_, serving) = serve(Limits::default()).await;
        let mut noise = Noise(0x2545_f491_4f6c_dd1d);
        for round in 0..1000 {
            let bytes = noise.request();
            let mut stream = TcpStream::connect(serving.address()).await.unwrap();
            // Refused early, it may be closed before everything is sent.
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown(Shutdown::Write);
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer).await;
            let is_http = answer.is_empty() || answer.starts_with(b"HTTP/1.1 ");
            assert!(is_http, "{round}: {bytes:?}");
        }
        let mut client = Client::connect(&serving).await;
        assert_eq!(client.get("/livez").await.status, 200);
        drop(client);
        serving.stop().await;
    });
}

/// Bytes that look random and are always the same: noise, and requests with some bytes changed.
struct Noise(u64);

impl Noise {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % below
    }

    fn request(&mut self) -> Vec<u8> {
        if self.next(3) == 0 {
            let length = self.next(600);
            return (0..length).map(|_| self.next(256) as u8).collect();
        }
        let mut bytes = post(
            "/v1/transactions?a=b",
            "application/json",
            b"{\"inputs\":[]}",
        );
        for _ in 0..=self.next(6) {
            let at = self.next(bytes.len());
            match self.next(3) {
                0 => bytes[at] = self.next(256) as u8,
                1 => drop(bytes.remove(at)),
                _ => bytes.insert(at, b"\r\n :%\0\xff/"[self.next(8)]),
            }
        }
        bytes
    }
}

/// ⚠ `async-h1`'s own loop loses what is sent ahead.
#[test]
fn requests_sent_ahead_are_answered_in_order() {
    run(async {
        let (backend, serving) = serve(Limits::default()).await;
        let mut client = Client::connect(&serving).await;
        let submit = post("/v1/transactions", "application/octet-stream", &encoded());
        let get = b"GET /v1/mint/first HTTP/1.1\r\nHost: guardian\r\n\r\n";
        let none = b"GET /nothing HTTP/1.1\r\nHost: guardian\r\nConnection: close\r\n\r\n";
        client
            .send([&get[..], &submit, &submit, none].concat())
            .await;
        assert_eq!(client.answer().await.json()["path"], "first");
        assert_eq!(client.answer().await.status, 202);
        assert_eq!(client.answer().await.status, 202);
        let last = client.answer().await;
        assert_eq!(
            (last.status, last.headers["connection"].as_str()),
            (404, "close")
        );
        assert!(client.is_closed().await);
        assert_eq!(backend.submitted.lock().unwrap().len(), 2);
    });
}

#[test]
fn a_client_that_asks_whether_to_send_its_body_is_told() {
    run(async {
        let (_, serving) = serve(Limits::default()).await;
        let mut client = Client::connect(&serving).await;
        let length = encoded().len();
        let head = format!(
            "POST /v1/transactions HTTP/1.1\r\nHost: guardian\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
        );
        assert_eq!(client.send(head).await.head().await.status, 100);
        assert_eq!(client.send(encoded()).await.answer().await.status, 202);
        assert_eq!(client.get("/livez").await.status, 200);
    });
}

/// ⚠ SPEC API-2: connections and requests are limited, for all and for one.
#[test]
fn connections_and_requests_are_limited() {
    run(async {
        let (backend, serving) = serve(Limits {
            connections: 2,
            ..Limits::default()
        })
        .await;
        let (mut first, mut second) = (
            Client::connect(&serving).await,
            Client::connect(&serving).await,
        );
        // Both wait for an answer.
        for client in [&mut first, &mut second] {
            client.send(wait_for_news()).await;
            backend.waits.1.recv().await.unwrap();
        }
        let refused = Client::connect(&serving).await.answer().await;
        assert!(refused.is_problem(503, "busy"));
        assert!(refused.headers.contains_key("retry-after"));

        let one = Limits {
            connections_per_address: 1,
            limit_loopback: true,
            ..Limits::default()
        };
        let (_, serving) = serve(one).await;
        let mut first = Client::connect(&serving).await;
        assert_eq!(first.get("/livez").await.status, 200);
        let refused = Client::connect(&serving).await.answer().await;
        assert!(refused.is_problem(429, "too_many_requests"));

        let rare = Limits {
            requests_per_second: 1,
            burst: 2,
            limit_loopback: true,
            ..Limits::default()
        };
        let (_, serving) = serve(rare).await;
        let mut client = Client::connect(&serving).await;
        let pipelined = "GET /livez HTTP/1.1\r\nHost: guardian\r\n\r\n".repeat(3);
        client.send(pipelined).await;
        assert_eq!(client.answer().await.status, 200);
        assert_eq!(client.answer().await.status, 200);
        assert!(client.answer().await.is_problem(429, "too_many_requests"));
    });
}

#[test]
fn stopping_lets_a_waiting_client_have_its_answer() {
    run(async {
        let (backend, serving) = serve(Limits {
            stop: common::PATIENCE,
            ..Limits::default()
        })
        .await;
        let mut idle = Client::connect(&serving).await;
        assert_eq!(idle.get("/livez").await.status, 200);
        let mut waiting = Client::connect(&serving).await;
        waiting.send(wait_for_news()).await;
        backend.waits.1.recv().await.unwrap();
        assert_eq!((serving.in_flight(), serving.connections()), (1, 2));

        let address = serving.address();
        let stopping = task::spawn(serving.stop());
        assert!(idle.is_closed().await);
        backend.news.0.send(()).await.unwrap();
        let answer = waiting.answer().await;
        assert_eq!(
            (answer.status, answer.headers["connection"].as_str()),
            (200, "close")
        );
        assert!(waiting.is_closed().await);
        drop(waiting);
        stopping.await;
        assert!(TcpStream::connect(address).await.is_err());
    });
}

#[test]
fn stopping_does_not_wait_for_ever() {
    run(async {
        let (backend, serving) = serve(Limits {
            stop: SOON,
            ..Limits::default()
        })
        .await;
        let mut half = Client::connect(&serving).await;
        half.send(HALF_A_HEAD).await;
        let mut waiting = Client::connect(&serving).await;
        waiting.send(wait_for_news()).await;
        backend.waits.1.recv().await.unwrap();
        assert_eq!(serving.connections(), 2);
        let begin = Instant::now();
        serving.stop().await;
        let took = begin.elapsed();
        assert!(took >= SOON && took < Limits::default().head, "{took:?}");
        assert!(waiting.is_closed().await);
        assert!(half.is_closed().await);
    });
}

/// A request that is answered when the scripted guardian has news.
fn wait_for_news() -> String {
    format!("GET /v1/transactions/{TXID}?wait=30 HTTP/1.1\r\nHost: guardian\r\n\r\n")
}

#[test]
fn an_address_in_use_is_named() {
    run(async {
        let (backend, serving) = serve(Limits::default()).await;
        let address = serving.address();
        let second = serve_public(backend, address, Limits::default()).await;
        let ServeError::Bind { address: named, .. } = second.unwrap_err();
        assert_eq!(named, address);
    });
}

/// The operator's listener is as hard to tie up as the other (SPEC API-2).
#[test]
fn the_operators_listener_bears_the_same() {
    run(async {
        let limits = Limits {
            head: SOON,
            body: SOON,
            ..Limits::default()
        };
        let address = "127.0.0.1:0".parse().unwrap();
        let access = Access::by_token(token());
        let serving = serve_admin(common::Scripted::default(), access, address, limits);
        let serving = serving.await.unwrap();
        let mut slow = Vec::new();
        for _ in 0..50 {
            let mut client = Client::connect(&serving).await;
            client.send(HALF_A_HEAD).await;
            slow.push(client);
        }
        let mut half_a_body = Client::connect(&serving).await;
        let mut request = post("/login", "application/x-www-form-urlencoded", b"password=1");
        request.pop();
        half_a_body.send(request).await;
        let mut quick = Client::connect(&serving).await;
        assert_eq!(quick.get("/livez").await.status, 200);
        let answers = slow.iter_mut().map(Client::answer);
        for answer in join_all(answers).await {
            assert!(answer.is_problem(408, "too_slow"));
        }
        assert!(half_a_body.answer().await.is_problem(408, "too_slow"));
        let mut large = Client::connect(&serving).await;
        large
            .send(post(
                "/login",
                "application/x-www-form-urlencoded",
                &vec![b'x'; 4 * 1024 * 1024],
            ))
            .await;
        assert!(large.answer().await.is_problem(413, "too_large"));
        let mut noise = Noise(0x5eed);
        for _ in 0..200 {
            let mut client = Client::connect(&serving).await;
            let _ = client.stream.write_all(&noise.request()).await;
        }
        assert_eq!(quick.get("/livez").await.status, 200);
    });
}

/// ⚠ SPEC API-2: a client that keeps all of its turns busy keeps none of another's.
#[test]
fn a_client_with_all_turns_keeps_nobody_waiting() {
    run(async {
        let limits = Limits {
            turns: 4,
            turns_per_client: 2,
            trusted_proxies: vec!["127.0.0.1".parse().unwrap()],
            request: common::PATIENCE,
            ..Limits::default()
        };
        let (_, serving) = serve(limits).await;
        let ask = |path: &str, from: &str| {
            format!("GET {path} HTTP/1.1\r\nHost: guardian\r\nX-Forwarded-For: {from}\r\n\r\n")
        };
        let mut flood = Vec::new();
        for _ in 0..40 {
            let mut client = Client::connect(&serving).await;
            client.send(ask("/v1/slow/x", "192.0.2.1")).await;
            flood.push(client);
        }
        while serving.in_flight() < 40 {
            task::yield_now().await;
        }
        let mut other = Client::connect(&serving).await;
        for _ in 0..10 {
            other.send(ask("/v1/status", "192.0.2.2")).await;
            assert_eq!(other.answer().await.status, 200);
        }
        // Its own further requests wait.
        let mut own = Client::connect(&serving).await;
        own.send(ask("/v1/status", "192.0.2.1")).await;
        assert!(timeout(SOON, own.answer()).await.is_err());
        drop(flood);
    });
}
