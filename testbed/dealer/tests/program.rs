//! The program as the testbed calls it.

#![allow(clippy::unwrap_used)]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use guildmint_core::InviteCode;
use guildmintd::{
    files::{read_toml, ConsensusFile, LocalFile},
    secrets::open,
};
use serde_json::{json, Value as Json};

const START: &str = "101:0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206";

fn deal(folder: &Path, start: &str) -> Output {
    let place = |i| {
        json!({
            "name": format!("guardian-{i}"),
            "api_url": format!("http://127.0.0.1:{}", 8000 + i),
            "api_listen": format!("127.0.0.1:{}", 8000 + i),
            "admin_listen": format!("127.0.0.1:{}", 8100 + i),
            "p2p_listen": format!("/ip4/127.0.0.1/tcp/{}", 8200 + i),
        })
    };
    let places: Vec<_> = (0..4).map(place).collect();
    Command::new(env!("CARGO_BIN_EXE_guildmint-dealer"))
        .arg("--out")
        .arg(folder)
        .args(["--network", "regtest", "--finality", "3", "--seed", "00"])
        .args([
            "--electrum",
            "tcp://127.0.0.1:50001",
            "--chain-start",
            start,
        ])
        .args(["--guardians", &json!(places).to_string()])
        .output()
        .unwrap()
}

fn document(output: &Output) -> Json {
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn writes_what_guardians_start_with_and_never_twice() {
    let folder = tempfile::tempdir().unwrap();
    let output = deal(folder.path(), START);
    assert!(output.status.success(), "{output:?}");
    let answer = document(&output);
    let invite: InviteCode = answer["invite"].as_str().unwrap().parse().unwrap();
    assert_eq!(
        invite.federation.to_string(),
        answer["federation_id"].as_str().unwrap()
    );

    let password = fs::read_to_string(folder.path().join("password")).unwrap();
    for i in 0..4 {
        let directory = folder.path().join(format!("guardian-{i}"));
        let consensus: ConsensusFile = read_toml(&directory.join("consensus.toml")).unwrap();
        let genesis = consensus.genesis().unwrap();
        assert_eq!(genesis.id(), invite.federation);
        assert_eq!(
            consensus.guardians[i].api,
            format!("http://127.0.0.1:{}", 8000 + i)
        );
        let local: LocalFile = read_toml(&directory.join("local.toml")).unwrap();
        assert_eq!(local.admin_listen, Some(format!("127.0.0.1:{}", 8100 + i)));
        let sealed = fs::read_to_string(directory.join("secrets")).unwrap();
        let secrets = open(&sealed, genesis.id(), password.trim()).unwrap();
        assert_eq!(secrets.identity().public(), genesis.guardians[i].identity);
    }

    let again = deal(folder.path(), START);
    assert_eq!(again.status.code(), Some(1));
    assert_eq!(document(&again)["error"]["code"], "deal");
}

#[test]
fn a_wrong_argument_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let output = deal(folder.path(), "101");
    assert_eq!(output.status.code(), Some(2));
    let message = document(&output)["error"]["message"].to_string();
    assert!(
        message.contains("chain-start") && message.contains("height:hash"),
        "{message}"
    );
}
