//! What a federation has changed since it was founded, and wallets that do not know it yet.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use super::*;

static ALWAYS: AtomicBool = AtomicBool::new(true);

/// Guardians that have agreed on an Electrum server since, at which nobody listens.
fn guardians() -> Vec<String> {
    federation::revised(&[], "tcp://127.0.0.1:9", &ALWAYS)
}

#[test]
fn who_joins_knows_what_has_changed_since_the_federation_was_founded() {
    let directory = tempfile::tempdir().unwrap();
    run(directory.path(), &["init"]).good();
    let invite = federation::invite(&guardians());
    let document = run(directory.path(), &["join", &invite]).good();
    assert_eq!(document["name"], "revised");
    // And still does when it asks nobody.
    let deposits = run(directory.path(), &["deposit", "status"]).good();
    assert_eq!(deposits["operations"], Json::Array(vec![]));
}

#[test]
fn guardians_are_asked_for_an_electrum_server_before_the_user_is() {
    let wallet = joined(&guardians());
    let deposits = run(wallet.path(), &["deposit", "status"]).good();
    assert_eq!(deposits["operations"], Json::Array(vec![]));
    let wallet = joined(&guardians());
    let restore = ["restore", "--timeout", "1s"];
    let error = run(wallet.path(), &restore).bad(8, "pending");
    assert_eq!(error["details"]["state"], "downloading");
}

#[test]
fn what_the_federation_names_and_is_no_server_is_left_out() {
    let apis = federation::revised(&[], "electrum.example.org", &ALWAYS);
    let directory = tempfile::tempdir().unwrap();
    run(directory.path(), &["init"]).good();
    run(directory.path(), &["join", &federation::invite(&apis)]).good();
    run(directory.path(), &["deposit", "address"]).good();
    run(directory.path(), &["deposit", "status"]).bad(2, "no_electrum_server");
}

#[test]
fn an_electrum_server_that_fails_is_left_for_the_one_that_guardians_name_now() {
    static ASKED: AtomicBool = AtomicBool::new(false);
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let old = format!("tcp://{}", server.local_addr().unwrap());
    // It says nothing. Guardians name the other one once a wallet has found that out.
    std::thread::spawn(move || {
        while server.accept().is_ok() {
            ASKED.store(true, SeqCst);
        }
    });
    let apis = federation::revised(std::slice::from_ref(&old), "tcp://127.0.0.1:9", &ASKED);
    let wallet = joined_to(&federation::membership_with(&apis, &old));
    run(wallet.path(), &["deposit", "address"]).good();
    let deposits = run(wallet.path(), &["deposit", "status"]).good();
    let obstacle = &deposits["operations"][0]["obstacle"]["message"];
    assert!(
        obstacle.as_str().unwrap().contains("127.0.0.1:9"),
        "{deposits}"
    );
}
