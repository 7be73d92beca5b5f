//! Backups of guardians: the program's commands, a guardian that comes back, and samples of every layout there ever was.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use async_std::task::block_on;
use common::{
    gift::{Gift, Given},
    Dealt,
};
use futures::future::join_all;
use guildmint_core::{
    api::{StatusAnswer, TransactionAnswer, TransactionStatus},
    module::Registry,
    Amount, GenesisConfig, Item, Transaction, Wire as _,
};
use guildmint_mint::{
    client::{MasterSeed, MintClient, NoteRequest},
    Denomination, MintConfig,
};
use guildmintd::{
    admin, backup,
    config::{read_local, Config, Settings, Sources},
    modules,
    secrets::Cost,
    Guardian,
};
use serde_json::Value as Json;

const LIMIT: Duration = Duration::from_secs(120);

/// Transactions before the guardian is lost.
const GIFTS: u64 = 50;

fn registry() -> Registry {
    modules().with::<Gift>()
}

fn start(config: Config) -> Guardian {
    block_on(Guardian::start(&registry(), config)).unwrap()
}

fn get<T: serde::de::DeserializeOwned>(guardian: &Guardian, path: &str) -> T {
    let url = format!("http://{}/v1/{path}", guardian.api());
    let response = minreq::get(url).with_timeout(90).send().unwrap();
    serde_json::from_slice(response.as_bytes()).unwrap()
}

/// Gifts of 8 msat for notes of 8 msat.
struct Giver {
    client: MintClient,
    genesis: GenesisConfig,
}

impl Giver {
    fn new(genesis: GenesisConfig) -> Self {
        let (module, config) = genesis.module("mint").unwrap();
        let config = MintConfig::decode(&config.config).unwrap();
        let (id, quorum) = (genesis.id(), genesis.quorum().unwrap());
        let seed = MasterSeed::new([1; 64]);
        let client = MintClient::new(id, module, quorum, config, &seed).unwrap();
        Self { client, genesis }
    }

    /// A gift that all of these are told of, and that the first of them says is accepted.
    fn give(&self, guardians: &[&Guardian], serial: u64) {
        let request = NoteRequest::new(Denomination::new(3).unwrap(), serial);
        let (gift, _) = self.genesis.module(Gift::KIND).unwrap();
        let (mint, _) = self.genesis.module("mint").unwrap();
        let amount = Amount::from_msat(8).unwrap();
        let outputs = self.client.blinded(&[request]);
        let outputs = outputs.iter().map(|output| Item::new(mint, output));
        let transaction = Transaction {
            inputs: vec![Item::new(gift, &Given { amount, serial })],
            outputs: outputs.collect(),
            signatures: vec![None],
        };
        let mut txid = String::new();
        for guardian in guardians {
            let url = format!("http://{}/v1/transactions", guardian.api());
            let request = minreq::post(url).with_header("content-type", "application/octet-stream");
            let request = request.with_body(transaction.encode()).with_timeout(90);
            let response = request.send().unwrap();
            assert!(response.status_code < 300, "{:?}", response.as_str());
            let answer: TransactionAnswer = serde_json::from_slice(response.as_bytes()).unwrap();
            txid = answer.txid.to_string();
        }
        let answer: TransactionAnswer = get(guardians[0], &format!("transactions/{txid}?wait=60"));
        let is_accepted = matches!(answer.status, TransactionStatus::Accepted { .. });
        assert!(is_accepted, "{:?}", answer.status);
    }
}

fn password(dealt: &Dealt) -> String {
    let password = fs::read_to_string(dealt.password_file()).unwrap();
    password.trim().to_owned()
}

/// The configuration in a directory that no dealer wrote.
fn config(data_dir: &Path, password: &str) -> Config {
    let sources = Sources {
        file: read_local(data_dir).unwrap().settings(),
        ..Sources::default()
    };
    let settings = Settings::resolve(&sources).unwrap();
    Config::load(data_dir, password, settings).unwrap()
}

/// How old the operator is told that the backup is.
fn backup_age(guardian: &Guardian, data_dir: &Path) -> i64 {
    let cookie = admin::read_cookie(data_dir).unwrap();
    let request = minreq::get(format!("http://{}/metrics", guardian.admin()))
        .with_header("authorization", format!("Bearer {}", cookie.reveal()));
    let response = request.with_timeout(90).send().unwrap();
    let text = response.as_str().unwrap();
    let lines = &mut text.lines();
    let age = lines.find_map(|line| line.strip_prefix("guildmint_backup_age_seconds "));
    age.unwrap().parse().unwrap()
}

/// SPEC SET-6, scenario 30.
#[test]
fn a_guardian_whose_directory_is_gone_comes_back_from_its_backup_and_is_needed() {
    let dealt = Dealt::new(4);
    let password = password(&dealt);
    let folder = tempfile::tempdir().unwrap();
    let (file, new) = (folder.path().join("backup"), folder.path().join("new"));
    let giver = Giver::new(dealt.config(0).genesis);
    let mut guardians: Vec<_> = (0..4).map(|i| start(dealt.config(i))).collect();
    let all = |guardians: &[Guardian], serials: std::ops::Range<u64>| {
        let guardians: Vec<_> = guardians.iter().collect();
        serials.for_each(|serial| giver.give(&guardians, serial));
    };
    all(&guardians, 0..GIFTS / 2);

    // While it runs, and before much of what happens.
    let old = dealt.data_dir(3);
    assert_eq!(backup_age(&guardians[3], &old), -1);
    let begun = Instant::now();
    backup::create(&old, &file, &password, Cost::STRONG, &registry()).unwrap();
    let created = begun.elapsed();
    // What operators are told is a little old.
    while backup_age(&guardians[3], &old) == -1 {
        assert!(begun.elapsed() < LIMIT, "nobody is told of the backup");
    }
    all(&guardians, GIFTS / 2..GIFTS);

    block_on(guardians.pop().unwrap().stop()).unwrap();
    fs::remove_dir_all(&old).unwrap();
    let goal: StatusAnswer = get(&guardians[0], "status");
    let begun = Instant::now();
    let opened = backup::read(&file, &password, &registry()).unwrap();
    backup::restore(&opened, &new).unwrap();
    let restored = begun.elapsed();
    let back = start(config(&new, &password));
    loop {
        let status: StatusAnswer = get(&back, "status");
        if status.committed >= goal.committed {
            break;
        }
        assert!(begun.elapsed() < LIMIT, "{status:?}");
    }
    println!(
        "created in {created:?}, restored in {restored:?}, caught up on {GIFTS} transactions after {:?}, {} bytes",
        begun.elapsed(),
        fs::metadata(&file).unwrap().len()
    );

    // In the epoch that was open it may have spoken before: it is one of three only after that.
    let others: Vec<_> = guardians.iter().collect();
    giver.give(&others, GIFTS);
    block_on(guardians.remove(0).stop()).unwrap();
    let (first, second) = (&guardians[0], &guardians[1]);
    giver.give(&[&back, first, second], GIFTS + 1);
    let status: StatusAnswer = get(&back, "status");
    assert_eq!((status.peer.0, status.halted), (3, None));
    guardians.push(back);
    for stopped in block_on(join_all(guardians.into_iter().map(Guardian::stop))) {
        stopped.unwrap();
    }
}

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples")
}

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_guildmintd"));
    command.env_clear().stdin(Stdio::null());
    command.arg("backup").args(arguments);
    command
}

fn answer(output: &Output) -> (Option<i32>, Json) {
    let document = serde_json::from_slice(&output.stdout).unwrap();
    (output.status.code(), document)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// ⚠ SPEC SET-6. If this fails, somebody's guardian does not come back: mend the program, never the samples.
#[test]
fn backups_of_every_layout_are_restored() {
    let mut layouts = 0;
    for sample in fs::read_dir(samples()).unwrap() {
        let sample = sample.unwrap().path();
        if !sample.is_dir() {
            continue;
        }
        layouts += 1;
        let (file, password) = (sample.join("backup"), sample.join("password"));
        let options = ["--from", text(&file), "--password-file", text(&password)];
        let folder = tempfile::tempdir().unwrap();
        let new = folder.path().join("new");

        let (code, verified) = answer(&program(&["verify"]).args(options).output().unwrap());
        assert_eq!(code, Some(0), "{verified}");
        let expected = fs::read(sample.join("verified.json")).unwrap();
        let mut expected: Json = serde_json::from_slice(&expected).unwrap();
        expected["backup"] = text(&file).into();
        assert_eq!(verified, expected);
        let mut restore = program(&["restore", "--data-dir", text(&new)]);
        let (code, restored) = answer(&restore.args(options).output().unwrap());
        assert_eq!(code, Some(0), "{restored}");
        for name in ["consensus.toml", "local.toml", "secrets"] {
            let (found, expected) = (fs::read(new.join(name)), fs::read(sample.join(name)));
            assert_eq!(found.unwrap(), expected.unwrap(), "{name}");
        }
        // And it is what a guardian starts with.
        let password = fs::read_to_string(password).unwrap();
        let config = config(&new, password.trim());
        assert_eq!(verified["guardian"], config.me.0);
    }
    assert_eq!(layouts, 1, "a sample for each layout");
}

#[test]
fn the_program_makes_a_backup_says_whose_it_is_and_restores_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let sample = samples().join("layout-1");
    let (old, new, file) = (path("old"), path("new"), path("backup"));
    fs::create_dir(&old).unwrap();
    for name in ["consensus.toml", "local.toml", "secrets"] {
        fs::copy(sample.join(name), old.join(name)).unwrap();
    }
    let wrong = path("wrong");
    fs::write(&wrong, "wrong\n").unwrap();
    let password = sample.join("password");
    let run = |arguments: &[&str], password: &Path| {
        let mut command = program(arguments);
        answer(
            &command
                .args(["--password-file", text(password)])
                .output()
                .unwrap(),
        )
    };
    let create = ["create", "--data-dir", text(&old), "--to", text(&file)];
    let verify = ["verify", "--from", text(&file)];
    let restore = ["restore", "--from", text(&file), "--data-dir", text(&new)];
    let refused = |(code, document): (Option<i32>, Json), expected: i32, part: &str| {
        let message = document["error"]["message"].as_str().unwrap();
        assert!(
            code == Some(expected) && message.contains(part),
            "{code:?}: {message}"
        );
    };

    refused(run(&create, &wrong), 3, "the passphrase is wrong");
    assert!(!file.exists() && !old.join("backup.stamp").exists());
    let (code, made) = run(&create, &password);
    assert_eq!((code, &made["name"]), (Some(0), &"guardian-1".into()));
    assert!(old.join("backup.stamp").exists());
    refused(run(&create, &password), 2, "overwrites nothing");

    refused(run(&verify, &wrong), 3, "the passphrase is wrong");
    refused(
        answer(&program(&verify).output().unwrap()),
        3,
        "GUILDMINT_PASSWORD_FILE",
    );
    assert_eq!(run(&verify, &password), (Some(0), made.clone()));

    refused(run(&restore, &wrong), 3, "the passphrase is wrong");
    let (code, restored) = run(&restore, &password);
    assert_eq!(code, Some(0), "{restored}");
    let next = restored["next"].as_str().unwrap();
    assert!(next.contains("never run") && next.contains("guildmintd run"));
    refused(run(&restore, &password), 2, "is in this data directory");

    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    refused(run(&verify, &password), 2, "damaged");
    fs::remove_file(&file).unwrap();
    refused(run(&verify, &password), 2, text(&file));
    refused(
        answer(&program(&["create", "--to", text(&file)]).output().unwrap()),
        2,
        "GUILDMINT_DATA_DIR",
    );
}
