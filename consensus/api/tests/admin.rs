//! The operator's listener, and those who are not the operator (SPEC API-3).
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::{
    atomic::{AtomicU8, Ordering},
    Arc,
};

use common::{run, serve_operator, token, Answer, Client};
use guildmint_api::{Access, Password, Serving};
use serde_json::json;

const PASSWORD: &str = "correct horse";

/// What is open to the operator alone.
const CLOSED: [&str; 5] = ["/", "/status", "/metrics", "/revisions", "/no/such/path"];

/// A password that can be changed to an equal one.
#[derive(Default)]
struct Changing(AtomicU8);

impl Password for Changing {
    fn generation(&self) -> Option<[u8; 32]> {
        Some([self.0.load(Ordering::Relaxed); 32])
    }

    fn is(&self, attempt: &str) -> bool {
        attempt == PASSWORD
    }
}

async fn serve() -> (Arc<Changing>, Serving) {
    let password = Arc::new(Changing::default());
    let access = Access {
        password: Arc::clone(&password) as Arc<dyn Password>,
        hosts: vec!["guardian.example".into()],
        ..Access::by_token(token())
    };
    (password, serve_operator(access).await.1)
}

fn bearer() -> String {
    format!("Bearer {}", token().reveal())
}

/// Logs in as a browser does.
async fn log_in(client: &mut Client, password: &str) -> Answer {
    let headers = [
        ("Host", "127.0.0.1:8175"),
        ("Origin", "http://127.0.0.1:8175"),
    ];
    let form = format!("password={}", password.replace(' ', "+"));
    client.send_form("POST", "/login", &headers, &form).await
}

/// The session that an answer opens, as a browser sends it back.
fn session(answer: &Answer) -> String {
    let cookie = &answer.headers["set-cookie"];
    cookie.split(';').next().unwrap().to_owned()
}

/// ⚠ SPEC API-3: without a token or a session there is nothing to see but health.
#[test]
fn nothing_of_the_operators_is_shown_to_strangers() {
    run(async {
        let (_, serving) = serve().await;
        let mut client = Client::connect(&serving).await;
        let wrong = format!("Bearer {}", "5b".repeat(32));
        let basic = format!("Basic {}", token().reveal());
        for headers in [
            &[("Host", "127.0.0.1")][..],
            &[("Host", "127.0.0.1"), ("Authorization", &wrong)],
            &[("Host", "127.0.0.1"), ("Authorization", "Bearer ")],
            &[("Host", "127.0.0.1"), ("Authorization", &basic)],
            &[("Host", "127.0.0.1"), ("Cookie", "guildmint-0=")],
        ] {
            for path in CLOSED {
                let answer = client.with("GET", path, headers).await;
                assert!(matches!(answer.status, 401 | 429), "{path} {answer:?}");
                assert!(!String::from_utf8_lossy(&answer.body).contains("800000"));
            }
        }
        let answer = client
            .with("GET", "/status", &[("Host", "127.0.0.1")])
            .await;
        assert!(answer.is_problem(401, "unauthorized"));
        assert!(answer.headers["www-authenticate"].starts_with("Bearer"));
    });
}

#[test]
fn the_token_opens_everything() {
    run(async {
        let (_, serving) = serve().await;
        let mut client = Client::connect(&serving).await;
        let bearer = bearer();
        let headers = [
            ("Host", "127.0.0.1:8175"),
            ("Authorization", bearer.as_str()),
        ];
        let status = client.with("GET", "/status", &headers).await;
        assert_eq!(
            (status.status, &status.json()["ready"]),
            (200, &json!(true))
        );
        assert_eq!(status.headers["cache-control"], "no-store");
        let metrics = client.with("GET", "/metrics", &headers).await;
        assert!(metrics.body.starts_with(b"guildmint_epochs_total 7"));
        assert!(metrics.headers["content-type"].starts_with("application/openmetrics-text"));
        assert_eq!(client.with("GET", "/", &headers).await.status, 200);
        let answer = client.with("GET", "/v1/status", &headers).await;
        assert!(answer.is_problem(404, "not_found"));
        let shown = client.with("GET", "/revisions", &headers).await.json();
        assert_eq!(shown["present"], json!({ "said": "show" }));
        let change = r#"{"propose":{"name":"x"}}"#;
        let said = client.send_form("POST", "/revisions", &headers, change);
        let said = said.await.json();
        assert_eq!(said["present"]["said"]["propose"]["name"], "x");
        for (wrong, status, code) in [
            (r#"{"approve":"7"}"#, 422, "cannot_revise"),
            (r#"{"sign":"7"}"#, 400, "malformed"),
        ] {
            let answer = client.send_form("POST", "/revisions", &headers, wrong);
            assert!(answer.await.is_problem(status, code), "{wrong}");
        }
        // Without the token nobody says anything for the operator.
        let host = &headers[..1];
        let stranger = client.send_form("POST", "/revisions", host, change).await;
        assert!(matches!(stranger.status, 401 | 403), "{stranger:?}");
    });
}

#[test]
fn metrics_can_be_opened_and_nothing_else_with_them() {
    run(async {
        let access = Access {
            open_metrics: true,
            ..Access::by_token(token())
        };
        let (_, serving) = serve_operator(access).await;
        let mut client = Client::connect(&serving).await;
        let host = [("Host", "[::1]:8175")];
        assert_eq!(client.with("GET", "/metrics", &host).await.status, 200);
        assert_eq!(client.with("POST", "/metrics", &host).await.status, 403);
        assert_eq!(client.with("GET", "/status", &host).await.status, 401);
    });
}

/// ⚠ SPEC API-3: a page whose name was made to point here for a moment is refused by its name.
#[test]
fn other_names_than_its_own_are_refused() {
    run(async {
        let (_, serving) = serve().await;
        let mut client = Client::connect(&serving).await;
        let bearer = bearer();
        for (host, is_known) in [
            ("127.0.0.1:8175", true),
            ("127.0.0.1", true),
            ("[::1]:8175", true),
            ("localhost:8175", true),
            ("LOCALHOST", true),
            ("guardian.example", true),
            ("evil.example", false),
            ("evil.example:8175", false),
            ("127.0.0.1.evil.example", false),
            ("guardian.example.evil.example", false),
            ("localhost.evil.example:8175", false),
        ] {
            for path in ["/status", "/login", "/page.js"] {
                let headers = [("Host", host), ("Authorization", bearer.as_str())];
                let answer = client.with("GET", path, &headers).await;
                match is_known {
                    true => assert_eq!(answer.status, 200, "{host}"),
                    false => assert!(answer.is_problem(421, "wrong_host"), "{host}"),
                }
            }
        }
        // Supervisors may ask under any name how it is.
        assert_eq!(
            client
                .with("GET", "/livez", &[("Host", "guardian")])
                .await
                .status,
            200
        );
    });
}

#[test]
fn people_are_shown_where_to_log_in() {
    run(async {
        let (_, serving) = serve().await;
        let mut client = Client::connect(&serving).await;
        let headers = [("Host", "127.0.0.1:8175"), ("Accept", "text/html,*/*")];
        let answer = client.with("GET", "/", &headers).await;
        assert_eq!(
            (answer.status, answer.headers["location"].as_str()),
            (303, "/login")
        );
        let answer = client.with("GET", "/login", &headers).await;
        assert_eq!(answer.status, 200);
        assert!(String::from_utf8_lossy(&answer.body).contains("type=\"password\""));
    });
}

#[test]
fn a_password_opens_a_session_that_scripts_and_other_sites_cannot_use() {
    run(async {
        let (_, serving) = serve().await;
        let mut client = Client::connect(&serving).await;
        let answer = log_in(&mut client, PASSWORD).await;
        assert_eq!(
            (answer.status, answer.headers["location"].as_str()),
            (303, "/")
        );
        let cookie = &answer.headers["set-cookie"];
        for part in [
            "guildmint-8175=",
            "; HttpOnly",
            "; SameSite=Strict",
            "; Path=/",
        ] {
            assert!(cookie.contains(part), "{cookie}");
        }
        let session = session(&answer);
        let headers = [("Host", "127.0.0.1:8175"), ("Cookie", session.as_str())];
        let page = client.with("GET", "/", &headers).await;
        assert_eq!(page.status, 200);
        assert!(String::from_utf8_lossy(&page.body).contains("action=\"/logout\""));

        let out = [headers[0], headers[1], ("Origin", "http://127.0.0.1:8175")];
        let answer = client.with("POST", "/logout", &out).await;
        assert_eq!(answer.status, 303);
        assert!(answer.headers["set-cookie"].contains("Max-Age=0"));
        assert_eq!(client.with("GET", "/status", &headers).await.status, 401);
    });
}

#[test]
fn behind_https_the_session_goes_nowhere_else() {
    run(async {
        let (_, serving) = serve().await;
        let mut client = Client::connect(&serving).await;
        let headers = [
            ("Host", "guardian.example"),
            ("Origin", "https://guardian.example"),
        ];
        let form = "password=correct+horse";
        let answer = client.send_form("POST", "/login", &headers, form).await;
        assert!(
            answer.headers["set-cookie"].ends_with("; Secure"),
            "{answer:?}"
        );
    });
}

/// ⚠ SPEC API-3: what another page makes a browser send is refused, be the session right or not.
#[test]
fn forms_of_other_pages_are_refused() {
    run(async {
        let (_, serving) = serve().await;
        let mut client = Client::connect(&serving).await;
        let session = session(&log_in(&mut client, PASSWORD).await);
        let ours = [("Host", "127.0.0.1:8175"), ("Cookie", session.as_str())];
        for origin in [
            &[][..],
            &[("Origin", "null")],
            &[("Origin", "http://evil.example")],
            &[("Origin", "http://127.0.0.1:3000")],
            &[("Origin", "http://127.0.0.1:8175.evil.example")],
            &[
                ("Origin", "http://127.0.0.1:8175"),
                ("Sec-Fetch-Site", "same-site"),
            ],
            &[
                ("Origin", "http://127.0.0.1:8175"),
                ("Origin", "http://evil.example"),
            ],
        ] {
            let headers = [&ours[..], origin].concat();
            for (path, form) in [
                ("/logout", ""),
                ("/login", "password=correct+horse"),
                ("/status", ""),
            ] {
                let answer = client.send_form("POST", path, &headers, form).await;
                assert!(
                    answer.is_problem(403, "foreign_origin"),
                    "{path} {origin:?} {answer:?}"
                );
            }
        }
        assert_eq!(
            client.with("GET", "/status", &ours).await.status,
            200,
            "still logged in"
        );
    });
}

#[test]
fn a_changed_password_ends_sessions() {
    run(async {
        let (password, serving) = serve().await;
        let mut client = Client::connect(&serving).await;
        let by_password = session(&log_in(&mut client, PASSWORD).await);
        let by_token = session(&log_in(&mut client, token().reveal()).await);
        password.0.store(1, Ordering::Relaxed);
        for (session, status) in [(by_password, 401), (by_token, 200)] {
            let headers = [("Host", "127.0.0.1:8175"), ("Cookie", session.as_str())];
            assert_eq!(client.with("GET", "/status", &headers).await.status, status);
        }
    });
}

/// ⚠ SPEC API-3: guessing is slow, and keeps nobody out who has the token.
#[test]
fn who_guesses_must_wait_and_who_knows_the_token_need_not() {
    run(async {
        let (_, serving) = serve().await;
        let mut client = Client::connect(&serving).await;
        let mut statuses = Vec::new();
        for guess in 0..7 {
            let answer = log_in(&mut client, &format!("guess {guess}")).await;
            assert!(!answer.headers.contains_key("set-cookie"));
            statuses.push(answer.status);
        }
        assert_eq!(statuses, [403, 403, 403, 403, 403, 429, 429]);
        assert_eq!(
            log_in(&mut client, PASSWORD).await.status,
            429,
            "right, but too soon"
        );
        let wrong = [("Host", "127.0.0.1"), ("Authorization", "Bearer x")];
        assert_eq!(client.with("GET", "/status", &wrong).await.status, 429);
        assert_eq!(log_in(&mut client, token().reveal()).await.status, 303);
        let bearer = bearer();
        let right = [("Host", "127.0.0.1"), ("Authorization", bearer.as_str())];
        assert_eq!(client.with("GET", "/status", &right).await.status, 200);
    });
}

#[test]
fn without_a_password_no_password_is_right() {
    run(async {
        let (_, serving) = serve_operator(Access::by_token(token())).await;
        let mut client = Client::connect(&serving).await;
        for guess in ["", PASSWORD] {
            assert_eq!(log_in(&mut client, guess).await.status, 403);
        }
        assert_eq!(log_in(&mut client, token().reveal()).await.status, 303);
    });
}

#[test]
fn what_is_no_login_form_is_refused() {
    run(async {
        let (_, serving) = serve().await;
        let mut client = Client::connect(&serving).await;
        let large = format!("password={}", "x".repeat(5_000));
        let headers = [
            ("Host", "127.0.0.1:8175"),
            ("Origin", "http://127.0.0.1:8175"),
        ];
        for (form, status) in [
            ("", 415),
            ("password=a&password=b", 400),
            (large.as_str(), 413),
            ("other=1", 403),
        ] {
            let answer = client.send_form("POST", "/login", &headers, form).await;
            assert_eq!(answer.status, status, "{form:.20}");
        }
    });
}
