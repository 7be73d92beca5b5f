//! Wallets from their words.

use super::*;

#[test]
fn words_are_read_and_never_said_on_the_command_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("wallet");
    let invite = federation::invite(&nobody());
    run(&path, &["restore"]).bad(4, "not_joined");
    run_with_input(&path, &["restore", &invite], "one two").bad(3, "invalid_words");
    run(&path, &["restore", &invite, "--words-file", "/nowhere"]).bad(2, "unreadable_input");
    run(&path, &["restore", &invite, "abandon", "abandon"]).bad(2, "usage");
    assert!(!path.exists(), "a failed restore left something behind");
}

#[test]
fn what_is_interrupted_goes_on_with_the_words_that_are_there() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("wallet");
    let invite = federation::invite(&nobody());
    run_with_input(&path, &["restore", &invite], WORDS).bad(6, "too_few_guardians");
    assert_eq!(words::read(&path).unwrap().to_string(), WORDS);
    // Neither asked for again nor exchanged for others.
    run(&path, &["restore", &invite]).bad(6, "too_few_guardians");
    let others = words::generate().unwrap().to_string();
    let other = ["restore", &invite, "--words-file", "-"];
    run_with_input(&path, &other, &others).bad(1, "wallet_exists");
    run_with_input(&path, &other, WORDS).bad(6, "too_few_guardians");
    run(&path, &["restore"]).bad(4, "not_joined");
}

#[test]
fn a_wallet_of_used_words_makes_nothing_new_before_it_is_restored() {
    let wallet = joined(&nobody());
    block_on(async {
        let (mut store, _) = Store::open(wallet.path()).await.unwrap();
        store.save(&guildmint_client::unrestored()).await.unwrap();
        store.close().await.unwrap();
    });
    for command in [&["deposit", "address"][..], &["send", "1sat"]] {
        let error = run(wallet.path(), command).bad(1, "not_restored");
        assert!(error["remediation"].as_str().unwrap().contains("restore"));
    }
    run(wallet.path(), &["balance"]).good();
    run(wallet.path(), &["restore"]).bad(2, "no_electrum_server");
    let late = [
        "--electrum",
        "tcp://127.0.0.1:9",
        "restore",
        "--timeout",
        "1s",
    ];
    let error = run(wallet.path(), &late).bad(8, "pending");
    assert_eq!(error["details"]["state"], "downloading");
}
