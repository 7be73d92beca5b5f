//! Every route, and every status that it can have.
#![allow(clippy::unwrap_used)]

mod common;

use std::{sync::atomic::Ordering, time::Duration};

use common::{accepted, encoded, run, serve, serve_operator, token, transaction, Client, TXID};
use guildmint_api::{Access, Limits, MAX_BODY_BYTES};
use guildmint_core::{
    api::{mark, EpochEvent, Problem, TransactionStatus},
    limits::{MAX_TRANSACTION_BYTES, MAX_WAIT_SECONDS},
    module::Reject,
    Digest, Epoch, Wire as _,
};
use serde_json::json;

const BYTES: &str = "application/octet-stream";
const JSON: &str = "application/json";
const SUBMIT: &str = "/v1/transactions";

#[test]
fn a_submission_is_answered_by_what_became_of_it() {
    run(async {
        let (backend, serving) = serve(Limits::default()).await;
        let mut client = Client::connect(&serving).await;

        let answer = client.post(SUBMIT, BYTES, &encoded()).await;
        assert_eq!(answer.status, 202);
        let expected = json!({ "txid": TXID.to_string(), "status": "pending" });
        assert_eq!(answer.json(), expected);

        backend.say(Ok(accepted()));
        let answer = client.post(SUBMIT, BYTES, &encoded()).await;
        assert_eq!((answer.status, &answer.json()["epoch"]), (200, &json!(7)));

        for (reject, status) in [
            (Reject::permanent("note_spent", "spent"), 409),
            (Reject::permanent("unbalanced", "…"), 422),
            (Reject::retryable("pool_full", "…"), 503),
        ] {
            backend.say(Ok(TransactionStatus::Rejected(reject.clone())));
            let answer = client.post(SUBMIT, BYTES, &encoded()).await;
            assert!(answer.is_problem(status, &reject.code), "{answer:?}");
            assert_eq!(answer.json()["retryable"], json!(reject.retryable));
            assert_eq!(answer.headers.contains_key("retry-after"), status == 503);
        }

        backend.say(Err(Problem::new(429, "slow_down", "…", true)));
        let answer = client.post(SUBMIT, BYTES, &encoded()).await;
        assert!(answer.is_problem(429, "slow_down"));
        assert!(answer.headers.contains_key("retry-after"));
    });
}

#[test]
fn an_answer_that_the_client_has_is_waited_on_until_it_is_another() {
    run(async {
        let (backend, serving) = serve(Limits::default()).await;
        let mut client = Client::connect(&serving).await;
        let epoch = EpochEvent {
            epoch: Epoch(8),
            digest: Digest([7; 32]),
            transactions: 1,
        };
        let path = |seconds, known: &str| format!("/v1/name/x?a=1&wait={seconds}&known={known}");
        let first = client.get("/v1/name/x?a=1").await.json();
        assert_eq!(
            first,
            json!({ "name": "guild", "parameters": { "a": "1" } })
        );
        // Another than the one that it has: at once.
        assert_eq!(client.get(&path(60, "00")).await.json(), first);

        // The same: when an epoch has changed it. One that has not says nothing.
        while backend.waits.1.try_recv().is_ok() {}
        let wait = path(60, &mark(&first));
        let request = format!("GET {wait} HTTP/1.1\r\nHost: guardian\r\n\r\n");
        client.send(request).await;
        backend.waits.1.recv().await.unwrap();
        backend.events.publish(&epoch);
        backend.waits.1.recv().await.unwrap();
        *backend.name.lock().unwrap() = "another".into();
        backend.events.publish(&epoch);
        let second = client.answer().await.json();
        assert_eq!(second["name"], "another");

        // Or when the time is over.
        let late = client.get(&path(1, &mark(&second))).await.json();
        assert_eq!(late, second);
        let wrong = client.get("/v1/name/x?wait=soon&known=00").await;
        assert!(wrong.is_problem(400, "malformed"), "{wrong:?}");
    });
}

#[test]
fn a_transaction_may_come_as_bytes_or_as_json() {
    run(async {
        let (backend, serving) = serve(Limits::default()).await;
        let mut client = Client::connect(&serving).await;
        let largest = transaction(MAX_TRANSACTION_BYTES - 64);
        for transaction in [transaction(10), largest] {
            let json = serde_json::to_vec(&transaction).unwrap();
            assert!(json.len() <= MAX_BODY_BYTES);
            for (kind, body) in [(BYTES, transaction.encode()), (JSON, json)] {
                assert_eq!(client.post(SUBMIT, kind, &body).await.status, 202);
                let bytes = backend.submitted.lock().unwrap().pop();
                assert_eq!(bytes, Some(transaction.encode()));
            }
        }
    });
}

#[test]
fn what_is_no_transaction_does_not_reach_the_guardian() {
    run(async {
        let (backend, serving) = serve(Limits::default()).await;
        let mut client = Client::connect(&serving).await;
        let mut trailing = encoded();
        trailing.push(0);
        let large = vec![0; MAX_TRANSACTION_BYTES + 1];
        let large_json = serde_json::to_vec(&transaction(MAX_TRANSACTION_BYTES)).unwrap();
        for (kind, body, status, code) in [
            (BYTES, &b""[..], 400, "malformed"),
            (BYTES, &trailing, 400, "malformed"),
            (BYTES, &large, 413, "too_large"),
            (JSON, b"{", 400, "malformed"),
            (JSON, b"{}", 400, "malformed"),
            (JSON, &large_json, 413, "too_large"),
            ("text/plain", &encoded(), 415, "unsupported_type"),
        ] {
            let answer = client.post(SUBMIT, kind, body).await;
            assert!(answer.is_problem(status, code), "{answer:?}");
        }
        assert!(backend.submitted.lock().unwrap().is_empty());
    });
}

#[test]
fn a_transaction_can_be_asked_about_and_waited_for() {
    run(async {
        let (backend, serving) = serve(Limits::default()).await;
        let mut client = Client::connect(&serving).await;
        let path = format!("/v1/transactions/{TXID}");

        let answer = client.get(&path).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.json()["status"], "unknown");
        assert_eq!(backend.waits.1.recv().await, Ok(Duration::ZERO));

        for (asked, waited) in [("30", 30), ("18446744073709551615", MAX_WAIT_SECONDS)] {
            backend.news.0.send(()).await.unwrap();
            let answer = client.get(&format!("{path}?wait={asked}")).await;
            assert_eq!(answer.json()["outcomes"], json!(["share", null]));
            let waited = Duration::from_secs(waited);
            assert_eq!(backend.waits.1.recv().await, Ok(waited));
        }

        for path in [
            "/v1/transactions/xyz".to_owned(),
            format!("{path}?wait=soon"),
            format!("{path}?wait=-1"),
            format!("{path}?wait=1&wait=2"),
        ] {
            let answer = client.get(&path).await;
            assert!(answer.is_problem(400, "malformed"), "{path}");
        }
    });
}

#[test]
fn the_guardian_tells_about_itself() {
    run(async {
        let (_, serving) = serve(Limits::default()).await;
        let mut client = Client::connect(&serving).await;
        let config = client.get("/v1/config").await;
        assert_eq!(
            (config.status, &config.json()["genesis"]),
            (200, &json!("0102"))
        );
        let status = client.get("/v1/status").await;
        assert_eq!(
            (status.status, &status.json()["height"]),
            (200, &json!(800_000))
        );
        let audit = client.get("/v1/audit").await;
        assert_eq!(
            (audit.status, &audit.json()["net_msat"]),
            (200, &json!("2"))
        );
    });
}

#[test]
fn modules_are_asked_by_kind_path_and_parameters() {
    run(async {
        let (_, serving) = serve(Limits::default()).await;
        let mut client = Client::connect(&serving).await;
        let answer = client
            .get("/v1/mint/slices/3?from=a%20b%26&to=%C3%A9")
            .await;
        let expected = json!({
            "path": "slices/3",
            "parameters": { "from": "a b&", "to": "é" },
        });
        assert_eq!((answer.status, answer.json()), (200, expected));
        let answer = client.get("/v1/nothing/slices").await;
        assert!(answer.is_problem(404, "unknown_module"));
    });
}

#[test]
fn other_paths_and_methods_are_problems() {
    run(async {
        let (_, serving) = serve(Limits::default()).await;
        let mut client = Client::connect(&serving).await;
        for path in ["/v1", "/v2/status", "/metrics", "//", "/v1/status/../../x"] {
            let answer = client.get(path).await;
            assert!(answer.is_problem(404, "not_found"), "{path}");
        }
        for (method, path, allow) in [
            ("DELETE", "/v1/status", "GET, HEAD, OPTIONS"),
            ("POST", "/livez", "GET, HEAD, OPTIONS"),
            ("GET", SUBMIT, "POST, OPTIONS"),
        ] {
            let answer = client.ask(method, path).await;
            assert!(answer.is_problem(405, "method_not_allowed"), "{path}");
            assert_eq!(answer.headers["allow"], allow);
        }
        let head = client.ask("HEAD", "/v1/status").await;
        let get = client.get("/v1/status").await;
        assert_eq!(head.status, 200);
        assert_eq!(head.headers["content-length"], get.body.len().to_string());
        assert_eq!(client.ask("HEAD", "/nothing").await.status, 404);
    });
}

#[test]
fn browsers_of_any_origin_may_ask() {
    run(async {
        let (_, serving) = serve(Limits::default()).await;
        let mut client = Client::connect(&serving).await;
        let preflight = client.ask("OPTIONS", SUBMIT).await;
        assert_eq!(preflight.status, 204);
        assert!(preflight.headers["access-control-allow-methods"].contains("POST"));
        assert_eq!(
            preflight.headers["access-control-allow-headers"],
            "content-type"
        );
        for path in ["/v1/status", "/nothing", SUBMIT] {
            let answer = client.get(path).await;
            assert_eq!(answer.headers["access-control-allow-origin"], "*", "{path}");
        }
    });
}

#[test]
fn health_is_on_both_listeners() {
    run(async {
        let (public_backend, public) = serve(Limits::default()).await;
        let (admin_backend, admin) = serve_operator(Access::by_token(token())).await;
        for (backend, serving) in [(&public_backend, &public), (&admin_backend, &admin)] {
            let mut client = Client::connect(serving).await;
            assert_eq!(client.get("/livez").await.body, b"ok\n");

            backend.ready.store(true, Ordering::Relaxed);
            let ready = client.get("/readyz").await;
            assert_eq!((ready.status, &ready.json()["ready"]), (200, &json!(true)));

            backend.ready.store(false, Ordering::Relaxed);
            let ready = client.get("/readyz").await;
            assert_eq!(ready.status, 503);
            assert!(ready.headers.contains_key("retry-after"));
            let checks = json!([{ "name": "peers", "ok": false, "detail": "3 of 4" }]);
            assert_eq!(ready.json()["checks"], checks);
            assert_eq!(client.get("/livez").await.status, 200);
        }
    });
}
