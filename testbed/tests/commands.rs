//! The command line as scripts see it: what goes to standard output, and how it exits.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::process::{Command, Output};

use guildmint_testbed::{cache::Cache, servers::Servers};
use serde_json::Value;

fn testbed(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_testbed"))
        .args(arguments)
        .output()
        .unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Value::String(format!("not one JSON document: {error}: {text}"))
    })
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_wrong_command_line_exits_with_2_and_help_with_0() {
    for wrong in [
        &["upp"][..],
        &["faucet", "bcrt1q", "1000"],
        &["guardian", "restart", "1"],
        &[],
    ] {
        let output = testbed(wrong);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
        assert!(
            output.stdout.is_empty() && !output.stderr.is_empty(),
            "{wrong:?}"
        );
    }
    assert!(stderr(&testbed(&["faucet", "bcrt1q", "1000"])).contains("1000sat"));
    let help = testbed(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&help.stdout).contains("demo"));
}

#[test]
fn a_failure_is_one_json_document_too() {
    let folder = tempfile::tempdir().unwrap();
    let output = testbed(&["status", "--json", "--dir", folder.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let document = json(&output);
    assert_eq!(document["error"]["code"], "FAILED", "{document}");
    assert!(
        document["error"]["message"]
            .as_str()
            .unwrap()
            .contains("cargo testbed up"),
        "{document}"
    );
}

#[test]
fn what_is_wrong_with_an_installed_server_is_said() {
    let no_program = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let output = Command::new(env!("CARGO_BIN_EXE_testbed"))
        .args(["servers", "--json"])
        .env("BITCOIND_EXE", no_program)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let document = json(&output);
    let message = document["error"]["message"].as_str().unwrap();
    for part in [no_program, "does not run", "BITCOIND_EXE"] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn a_detached_network_is_used_from_other_terminals() {
    Servers::find(&Cache::from_env().unwrap()).expect("run `cargo testbed servers` first");
    let folder = tempfile::tempdir().unwrap();
    let net = folder.path().join("net");
    let net = net.to_str().unwrap();
    let up = testbed(&["up", "--guardians", "0", "--detach", "--json", "--dir", net]);
    assert!(up.status.success(), "{}", stderr(&up));
    let status = testbed(&["status", "--json", "--dir", net]);
    assert_eq!(json(&up), json(&status));
    assert_eq!(json(&status)["ready"], true);
    assert!(json(&status)["electrs"]["pid"].is_u64());

    let height = json(&status)["bitcoind"]["height"].as_u64().unwrap();
    let mined = testbed(&["mine", "2", "--dir", net]);
    assert!(String::from_utf8_lossy(&mined.stdout).starts_with(&format!("{} ", height + 2)));
    let address = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
    let paid = testbed(&["faucet", address, "0.5btc", "--dir", net]);
    assert_eq!(String::from_utf8_lossy(&paid.stdout).trim().len(), 64);
    let other_chain = testbed(&[
        "faucet",
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
        "1sat",
        "--dir",
        net,
    ]);
    assert!(
        stderr(&other_chain).contains("regtest"),
        "{}",
        stderr(&other_chain)
    );
    assert!(
        String::from_utf8_lossy(&testbed(&["logs", "electrs", "--dir", net]).stdout)
            .contains("electrs")
    );

    let down = testbed(&["down", "--delete", "--dir", net]);
    assert!(
        stderr(&down).contains("stopped bitcoind, electrs"),
        "{}",
        stderr(&down)
    );
    assert!(!std::path::Path::new(net).exists());
}
