//! The contract with programs: one JSON document, always, and an exit status that says what kind of failure it was.

#![allow(clippy::unwrap_used, clippy::panic)]

mod federation;
mod restore;
mod revised;
mod sample;

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Output, Stdio},
};

use async_std::task::block_on;
use guildmint_client::Membership;
use guildmint_client_store::{words, Store};
use serde_json::Value as Json;
use tempfile::TempDir;

const WORDS: &str =
    "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";

/// What a run of the program gave.
struct Answer {
    code: i32,
    document: Json,
    stderr: String,
}

impl Answer {
    fn of(output: &Output) -> Self {
        let stdout = String::from_utf8(output.stdout.clone()).unwrap();
        let stderr = String::from_utf8(output.stderr.clone()).unwrap();
        let document = serde_json::from_str(&stdout);
        Self {
            code: output.status.code().unwrap(),
            document: document.unwrap_or_else(|_| panic!("no JSON: {stdout:?}; {stderr:?}")),
            stderr,
        }
    }

    /// Succeeded and said nothing else.
    fn good(self) -> Json {
        assert_eq!(
            (self.code, self.stderr.as_str()),
            (0, ""),
            "{}",
            self.document
        );
        self.document
    }

    /// Failed as it should; gives the error.
    fn bad(self, exit: i32, code: &str) -> Json {
        let error = self.document["error"].clone();
        assert_eq!(
            (self.code, error["code"].as_str()),
            (exit, Some(code)),
            "{error} {}",
            self.stderr
        );
        assert!(!error["message"].as_str().unwrap().is_empty());
        assert!(error["retryable"].is_boolean() && error["details"].is_object());
        assert!(error.as_object().unwrap().contains_key("remediation"));
        assert_eq!(self.stderr.lines().count(), 1, "{}", self.stderr);
        assert!(self.stderr.starts_with("guildmint: "));
        error
    }
}

fn program(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_guildmint"));
    command
        .env_clear()
        .env("GUILDMINT_DATA_DIR", directory)
        .stdin(Stdio::null());
    command
}

fn run(directory: &Path, arguments: &[&str]) -> Answer {
    Answer::of(&program(directory).args(arguments).output().unwrap())
}

fn run_with_input(directory: &Path, arguments: &[&str], input: &str) -> Answer {
    let mut command = program(directory);
    let pipes = command.args(arguments).stdin(Stdio::piped());
    let mut child = pipes
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The program may answer without reading.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    Answer::of(&child.wait_with_output().unwrap())
}

/// A wallet that has joined a federation at these addresses.
fn joined(apis: &[String]) -> TempDir {
    joined_to(&federation::membership(apis))
}

fn joined_to(membership: &Membership) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    words::write(directory.path(), &words::parse(WORDS).unwrap()).unwrap();
    block_on(async {
        let (mut store, _) = Store::open(directory.path()).await.unwrap();
        let changes = guildmint_client::join(membership);
        store.save(&changes).await.unwrap();
        store.close().await.unwrap();
    });
    directory
}

/// Addresses at which nobody listens.
fn nobody() -> Vec<String> {
    vec!["http://127.0.0.1:9".to_owned(); 4]
}

#[test]
fn help_and_version_are_answers() {
    for argument in ["--help", "--version", "withdraw --help"] {
        let arguments: Vec<_> = argument.split(' ').collect();
        let output = program(Path::new("/nowhere"))
            .args(arguments)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{argument}");
        assert!(!output.stdout.is_empty() && output.stderr.is_empty());
    }
    let output = program(Path::new("/nowhere"))
        .args(["completions", "bash"])
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("_guildmint"));
}

#[test]
fn usage_errors_say_what_is_wrong() {
    for arguments in [
        &["--nonsense"] as &[&str],
        &[],
        &["send"],
        &["send", "1000"],
        &["send", "1sat", "--reclaim-after", "3"],
        &["operations", "show", "7"],
        &["completions", "cobol"],
        &["--output", "xml", "balance"],
        &["withdraw", "x", "1sat", "--wait", "--no-wait"],
    ] {
        run(Path::new("/nowhere"), arguments).bad(2, "usage");
    }
    for (arguments, part) in [
        (&["send", "1000"] as &[&str], "no unit"),
        (&["send"], "<amount>"),
        (&["withdraw"], "<address> <amount>"),
        (&["blance"], "Did you mean 'balance'?"),
        (&["deposit"], "no command"),
        (&[], "no command"),
    ] {
        let error = run(Path::new("/nowhere"), arguments).bad(2, "usage");
        let message = error["message"].as_str().unwrap();
        assert!(
            message.contains(part) && !message.contains("USAGE"),
            "{error}"
        );
    }
}

#[test]
fn secrets_given_by_mistake_as_an_argument_are_shown_nowhere() {
    let (notes, invite) = ("guildnote1qqsecret", "guild1qq");
    for arguments in [
        &["receive", "-", notes][..],
        &["receive", "--notes", notes],
        &["balance", notes],
        &[notes],
        &["send", notes],
        &["receive", notes],
        &["validate", notes],
        &["decode", notes],
        &["restore", invite, "secret", "words"],
        &["init", "secret", "words"],
    ] {
        let answer = run(Path::new("/nowhere"), arguments);
        assert_eq!(answer.code, 2, "{arguments:?}");
        let shown = format!("{} {}", answer.document, answer.stderr);
        assert!(
            !shown.contains("secret words") && !shown.contains("qqsecret"),
            "{shown}"
        );
        assert!(!shown.contains("'secret'"), "{shown}");
    }
}

#[test]
fn usage_errors_come_in_the_format_that_is_asked_for() {
    for arguments in [
        &["--output", "human", "send"] as &[&str],
        &["send", "--output=human"],
    ] {
        let output = program(Path::new("/nowhere"))
            .args(arguments)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(output.stdout.is_empty() && !output.stderr.is_empty());
    }
}

#[test]
fn a_wallet_is_made_once_and_its_words_are_shown_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("wallet");
    run(&path, &["balance"]).bad(4, "no_wallet");
    assert!(!path.exists(), "asking created something");
    let document = run(&path, &["init"]).good();
    let words = document["words"].as_str().unwrap().to_owned();
    assert_eq!(words.split(' ').count(), 12);
    run(&path, &["init"]).bad(1, "wallet_exists");
    for command in [
        &["balance"] as &[&str],
        &["send", "1sat"],
        &["info"],
        &["notes"],
    ] {
        run(&path, command).bad(4, "not_joined");
    }
    let other = directory.path().join("other");
    run_with_input(&other, &["init", "--words-file", "-"], "one two").bad(3, "invalid_words");
    assert!(!other.exists(), "a failed restore left something behind");
    let restored = run_with_input(&other, &["init", "--words-file", "-"], &words).good();
    assert_eq!(
        (restored["restored"].as_bool(), restored.get("words")),
        (Some(true), None)
    );
    assert_eq!(words::read(&other).unwrap().to_string(), words);
}

#[test]
fn joining_says_why_it_fails() {
    let directory = tempfile::tempdir().unwrap();
    run(directory.path(), &["init"]).good();
    run(directory.path(), &["join", "guild1qqqq"]).bad(2, "invalid_invite");
    let invite = federation::invite(&nobody());
    run(directory.path(), &["join", &invite]).bad(6, "too_few_guardians");
    let joined = joined(&nobody());
    // The same again is no error, and needs nobody.
    let document = run(joined.path(), &["join", &invite]).good();
    assert_eq!(document["guardians"], 4);
    let other = federation::other_invite(&nobody());
    run(joined.path(), &["join", &other]).bad(1, "already_joined");
}

#[test]
fn looking_needs_no_federation() {
    let wallet = joined(&nobody());
    let path = wallet.path();
    let balance = run(path, &["balance"]).good();
    assert_eq!(
        (&balance["balance_msat"], &balance["pending_msat"]),
        (&Json::from(0), &Json::from(0))
    );
    assert_eq!(run(path, &["notes"]).good()["notes"], Json::Array(vec![]));
    let deposit = run(path, &["deposit", "address"]).good();
    assert_eq!(deposit["operation"], "op-1");
    assert!(deposit["address"].as_str().unwrap().starts_with("bcrt1q"));
    let list = run(path, &["operations", "list"]).good();
    assert_eq!(list["operations"][0]["state"], "waiting");
    let shown = run(path, &["operations", "show", "op-1"]).good();
    assert_eq!(shown["address"], deposit["address"]);
    run(path, &["operations", "show", "op-2"]).bad(4, "operation_not_found");
    let human = program(path)
        .args(["--output", "human", "balance"])
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&human.stdout),
        "balance: 0 sat\npending: 0 sat\n"
    );
}

#[test]
fn money_that_is_not_there_and_notes_that_are_not_ours() {
    let wallet = joined(&nobody());
    let path = wallet.path();
    let error = run(path, &["send", "25sat"]).bad(1, "insufficient_funds");
    assert_eq!(error["details"]["needed_msat"], 25_000);
    run(path, &["send", "0sat"]).bad(1, "amount_too_small");
    run(path, &["receive", "guildnote1xyz"]).bad(2, "invalid_notes_string");
    run_with_input(path, &["receive", "-"], "nonsense").bad(2, "invalid_notes_string");
    let (foreign, forged) = (federation::foreign_notes(), federation::forged_notes());
    run_with_input(path, &["receive", "-"], &foreign).bad(7, "other_federation");
    run(path, &["receive", &forged]).bad(7, "invalid_notes");
    run(path, &["validate", &forged]).bad(7, "invalid_notes");
    let decoded = run(path, &["decode", &forged]).good();
    assert_eq!(decoded["of_this_federation"], true);
    let note = &decoded["notes"][0];
    assert_eq!(note["public_key"].as_str().unwrap().len(), 192);
    assert_eq!(note["nonce"].as_str().unwrap().len(), 64);
    assert_eq!(note["signature"].as_str().unwrap().len(), 96);
    run(path, &["withdraw", "nonsense", "1000sat"]).bad(2, "invalid_address");
    run(path, &["withdraw", federation::ADDRESS, "1msat"]).bad(2, "not_whole_satoshi");
    run(path, &["reclaim", "op-1"]).bad(4, "operation_not_found");
    assert_eq!(run(path, &["reclaim"]).good()["reclaimed_msat"], 0);
}

#[test]
fn too_few_guardians_and_too_little_time() {
    let wallet = joined(&nobody());
    let path = wallet.path();
    let error = run(path, &["info"]).bad(6, "too_few_guardians");
    assert_eq!(error["retryable"], true);
    run(path, &["deposit", "address"]).good();
    run(path, &["deposit", "status"]).bad(2, "no_electrum_server");
    let electrum = ["--electrum", "tcp://127.0.0.1:9"];
    let status = ["deposit", "status", "op-1", "--wait", "--timeout", "1s"];
    let error = run(path, &[&electrum[..], &status].concat()).bad(8, "pending");
    assert_eq!(
        (&error["details"]["operation"], &error["details"]["state"]),
        (&Json::from("op-1"), &Json::from("waiting"))
    );
    run(path, &["--electrum", "http://x", "deposit", "status"]).bad(2, "invalid_electrum_url");
}

#[test]
fn a_withdrawal_must_be_confirmed() {
    let wallet = joined(&federation::quoting(777));
    let path = wallet.path();
    let withdraw = ["withdraw", federation::ADDRESS, "1000sat"];
    let error = run(path, &withdraw).bad(5, "confirmation_needed");
    assert_eq!(error["details"]["quote"]["fee_sat"], 777);
    let price = run(path, &[&withdraw[..], &["--dry-run"]].concat()).good();
    assert_eq!(
        (&price["fee_sat"], &price["fee_msat"]),
        (&Json::from(777), &Json::from(777_000))
    );
    run(path, &[&withdraw[..], &["--yes"]].concat()).bad(1, "insufficient_funds");
    assert_eq!(
        run(path, &["operations", "list"]).good()["operations"],
        Json::Array(vec![])
    );
}

#[test]
fn a_directory_is_used_by_one_process_and_must_be_writable() {
    let wallet = joined(&nobody());
    let (store, _) = block_on(Store::open(wallet.path())).unwrap();
    let error = run(wallet.path(), &["balance"]).bad(1, "wallet_busy");
    assert_eq!(error["retryable"], true);
    drop(store);
    run(wallet.path(), &["balance"]).good();
    let file = wallet.path().join("wallet.seed");
    run(&file.join("below"), &["init"]).bad(1, "data_dir_unwritable");
}

#[test]
fn ctrl_c_ends_with_a_document_too() {
    let wallet = joined(&nobody());
    run(wallet.path(), &["deposit", "address"]).good();
    // An Electrum server that never answers: whoever asks it is in the middle of its work.
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("tcp://{}", server.local_addr().unwrap());
    let mut command = program(wallet.path());
    let arguments = ["--electrum", &url, "deposit", "status", "--wait"];
    let pipes = command.args(arguments).stdout(Stdio::piped());
    let child = pipes.stderr(Stdio::piped()).spawn().unwrap();
    let _asked = server.accept().unwrap();
    let killed = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
    Answer::of(&child.wait_with_output().unwrap()).bad(130, "interrupted");
    let list = run(wallet.path(), &["operations", "list"]).good();
    assert_eq!(list["operations"][0]["state"], "waiting");
}

#[test]
fn what_cannot_be_paid_over_lightning_is_told_before_anybody_is_asked() {
    let wallet = joined(&nobody());
    let path = wallet.path();
    for invoice in ["lnbc1", "guildnote1", "lightning:", federation::ADDRESS] {
        run(path, &["ln", "pay", invoice]).bad(2, "invalid_invoice");
    }
    run(path, &["ln", "pay", "lno1"]).bad(2, "invalid_offer");
    run(path, &["ln", "pay"]).bad(2, "usage");
    run(path, &["ln", "pay", "lnbc1", "--max-fee", "5"]).bad(2, "usage");
    run(path, &["ln", "pay", "lnbc1", "--gateway", "00"]).bad(2, "usage");
    run(path, &["ln", "invoice", "25"]).bad(2, "usage");
    run(path, &["ln", "invoice", "25sat", "--expiry", "2d"]).bad(1, "no_lightning");
    run(path, &["ln", "gateways"]).bad(1, "no_lightning");
    run(path, &["ln", "status", "op-1"]).bad(4, "operation_not_found");
    run(path, &["ln", "refund", "op-1"]).bad(4, "operation_not_found");
    let deposit = run(path, &["deposit", "address"]).good();
    let operation = deposit["operation"].as_str().unwrap();
    run(path, &["ln", "status", operation]).bad(2, "wrong_operation");
    run(path, &["ln", "refund", operation]).bad(2, "wrong_operation");
    let refunds = run(path, &["ln", "refund"]).good();
    assert_eq!(refunds["operations"], Json::Array(vec![]));
}
