//! Pages as browsers get them, without a browser.
#![allow(clippy::unwrap_used)]

mod common;

use common::{overview::ADDRESS, run, serve, serve_operator, token, Answer, Client};
use guildmint_api::{Access, Limits, Serving};

/// A name that tries to be more than a name.
const HOSTILE: &str =
    "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>\u{202e}\u{200b}\n&amp;";

fn text(answer: &Answer) -> String {
    String::from_utf8(answer.body.clone()).unwrap()
}

async fn operators(serving: &Serving) -> Answer {
    let bearer = format!("Bearer {}", token().reveal());
    let mut client = Client::connect(serving).await;
    let headers = [("Host", "127.0.0.1"), ("Authorization", bearer.as_str())];
    client.with("GET", "/", &headers).await
}

#[test]
fn the_operators_page_shows_all_that_there_is_to_know() {
    run(async {
        let (_, serving) = serve_operator(Access::by_token(token())).await;
        let answer = operators(&serving).await;
        assert_eq!(answer.status, 200);
        let page = text(&answer);
        for part in [
            "guild (this one)",
            ADDRESS,
            "42 ms",
            "last: wrong share guild",
            "runs twice",
            "None may fail.",
            "slowed for 61 s",
            "not reached",
            "stopped for good",
            "block 800000",
            "1,234,567 sat",
            "567 sat",
            "−1,234,000 sat",
            "2,000 sat per 1000 vB",
            "signing",
            "7 seconds ago",
            "made 2 days ago",
            "40 KiB",
            "href=\"/metrics\"",
            "<svg class=\"qr\"",
            "guild1qqqq",
        ] {
            assert!(page.contains(part), "{part} is not in {page}");
        }
        assert_eq!(answer.headers["cache-control"], "no-store");
        assert!(answer.headers.contains_key("refresh"));
    });
}

#[test]
fn everybodys_page_shows_what_is_public_and_no_more() {
    run(async {
        let (_, serving) = serve(Limits::default()).await;
        let mut client = Client::connect(&serving).await;
        let page = text(&client.get("/").await);
        for part in [
            "guild (this one)",
            "online",
            "not reached",
            "1,234,567 sat",
            "guild1qqqq",
            "<svg class=\"qr\"",
        ] {
            assert!(page.contains(part), "{part} is not in {page}");
        }
        for part in [
            ADDRESS,
            "42 ms",
            "wrong share",
            "KiB",
            "backup",
            "stopped for good",
        ] {
            assert!(!page.contains(part), "{part} is in {page}");
        }
        assert_eq!(
            client.get("/style.css").await.headers["content-type"],
            "text/css; charset=utf-8"
        );
        assert_eq!(client.get("/status").await.status, 404);
    });
}

/// ⚠ SPEC API-3: whatever guardians call themselves, it stays a name.
#[test]
fn names_of_strangers_are_text_and_nothing_else() {
    run(async {
        let (public_backend, public) = serve(Limits::default()).await;
        let (admin_backend, admin) = serve_operator(Access::by_token(token())).await;
        *public_backend.name.lock().unwrap() = HOSTILE.into();
        *admin_backend.name.lock().unwrap() = HOSTILE.into();
        let public = Client::connect(&public).await.get("/").await;
        for page in [text(&public), text(&operators(&admin).await)] {
            let scripts: Vec<_> = page.matches("<script").collect();
            assert_eq!(scripts.len(), 1, "{page}");
            for part in [
                "<img",
                "\"'>",
                "\u{202e}",
                "\u{200b}",
                "href=\"<",
                "href=\"&lt;",
            ] {
                assert!(!page.contains(part), "{part:?} is in {page}");
            }
            assert!(
                page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"),
                "{page}"
            );
        }
    });
}

/// ⚠ SPEC API-3: nothing from elsewhere is loaded, nothing that is written into a page runs, and no other page frames it.
#[test]
fn browsers_are_told_what_to_refuse() {
    run(async {
        let (_, public) = serve(Limits::default()).await;
        let (_, admin) = serve_operator(Access::by_token(token())).await;
        let public = Client::connect(&public).await.get("/").await;
        for answer in [public, operators(&admin).await] {
            let policy = &answer.headers["content-security-policy"];
            assert!(policy.starts_with("default-src 'none'"), "{policy}");
            for part in [
                "form-action 'self'",
                "base-uri 'none'",
                "frame-ancestors 'none'",
                "script-src 'self'",
            ] {
                assert!(policy.contains(part), "{policy}");
            }
            assert!(
                !policy.contains("unsafe") && !policy.contains('*'),
                "{policy}"
            );
            assert_eq!(answer.headers["x-frame-options"], "DENY");
            assert_eq!(answer.headers["referrer-policy"], "same-origin");
            assert_eq!(answer.headers["x-content-type-options"], "nosniff");
            let page = text(&answer);
            for part in [
                " style=",
                "<style",
                " onclick",
                "javascript:",
                "http://",
                "https://",
                "//",
            ] {
                let found = page.replace("http://www.w3.org/2000/svg", "");
                assert!(!found.contains(part), "{part} is in {page}");
            }
        }
    });
}
