//! `guildmintd recover-wallet`: scenario 31, as far as files go. What is written is imported and spent in the tests of the
//! wallet module.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use bitcoin::{hashes::Hash as _, BlockHash, Network, OutPoint, Txid};
use guildmint_core::{
    ledger::{Ledger, Memory, Scope, Space},
    ModuleId,
};
use guildmint_dealer::{
    deal, deal_wallet,
    files::{write, Place},
    Parameters,
};
use guildmint_store::{SqliteStore, Store as _};
use guildmint_wallet::{
    server::{Coin, CoinAt},
    Block, CoinAnswer, CoinsAnswer, Tweak,
};
use rand_chacha::{rand_core::SeedableRng, ChaCha20Rng};
use serde_json::Value as Json;
use tempfile::TempDir;

const GUARDIANS: usize = 4;

/// Four guardians' files, and no guardian.
fn dealt() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let parameters = Parameters {
        name: "gone".into(),
        network: Network::Regtest,
        guardians: (0..GUARDIANS).map(|i| format!("guardian-{i}")).collect(),
        epoch_floor_ms: 10,
    };
    let start = Block {
        height: 0,
        hash: BlockHash::all_zeros(),
    };
    let quorum = parameters.quorum().unwrap();
    let wallet = deal_wallet(quorum, Network::Regtest, start, |_| (), &mut rng);
    let (genesis, secrets) = deal(&parameters, vec![wallet], &mut rng).unwrap();
    let place = |index: usize| Place {
        name: format!("guardian-{index}"),
        api_url: "http://127.0.0.1:0".into(),
        api_listen: "127.0.0.1:0".into(),
        admin_listen: "127.0.0.1:0".into(),
        p2p_listen: "/ip4/127.0.0.1/tcp/0".into(),
    };
    let places: Vec<Place> = (0..GUARDIANS).map(place).collect();
    write(folder.path(), &genesis, &secrets, &places, &[], &mut rng).unwrap();
    folder
}

fn coin(byte: u8) -> (OutPoint, u64, Tweak) {
    let outpoint = OutPoint::new(Txid::from_byte_array([byte; 32]), 0);
    (outpoint, 10_000, Tweak([byte; 32]))
}

/// Answers of a guardian, in two pages.
fn coins_files(folder: &Path) -> Vec<PathBuf> {
    let page = |byte| {
        let (outpoint, amount_sat, tweak) = coin(byte);
        let answer = CoinsAnswer {
            utxos: vec![CoinAnswer {
                outpoint,
                amount_sat,
                tweak,
                confirmed: true,
            }],
            next: None,
        };
        let path = folder.join(format!("coins-{byte}.json"));
        fs::write(&path, serde_json::to_string(&answer).unwrap()).unwrap();
        path
    };
    vec![page(1), page(2)]
}

/// Runs it with the files of the first guardians.
fn recover(folder: &Path, guardians: usize, coins: &[PathBuf], output: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_guildmintd"));
    command
        .env_clear()
        .stdin(Stdio::null())
        .arg("recover-wallet");
    for index in 0..guardians {
        command
            .arg("--data-dir")
            .arg(folder.join(format!("guardian-{index}")));
        command.arg("--password-file").arg(folder.join("password"));
    }
    for path in coins {
        command.arg("--coins").arg(path);
    }
    command.arg("--output").arg(output).output().unwrap()
}

fn said(output: &Output) -> Json {
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn descriptors_go_into_a_private_file_and_nowhere_else() {
    let folder = dealt();
    let folder = folder.path();
    let output = folder.join("descriptors.json");
    let done = recover(folder, 3, &coins_files(folder), &output);
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
    let summary = said(&done);
    assert_eq!(
        (&summary["secrets"], &summary["needed"]),
        (&3.into(), &3.into())
    );
    assert_eq!(summary["confirmed_sat"], 20_000);

    let mode = fs::metadata(&output).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = fs::read_to_string(&output).unwrap();
    let list: Json = serde_json::from_str(&text).unwrap();
    assert_eq!(list.as_array().unwrap().len(), 2);
    for one in list.as_array().unwrap() {
        let descriptor = one["desc"].as_str().unwrap();
        let (body, _) = descriptor.rsplit_once('#').unwrap();
        let keys = body
            .trim_start_matches("wsh(sortedmulti(3,")
            .trim_end_matches("))");
        // Private keys of regtest begin with a c, public ones with 02 or 03.
        assert_eq!(
            keys.split(',').filter(|key| key.starts_with('c')).count(),
            3
        );
        for key in keys.split(',').filter(|key| key.starts_with('c')) {
            for shown in [&done.stdout, &done.stderr] {
                assert!(!String::from_utf8_lossy(shown).contains(key));
            }
        }
    }

    // What is there is not overwritten.
    let again = recover(folder, 3, &coins_files(folder), &output);
    assert_ne!(again.status.code(), Some(0));
    assert_eq!(fs::read_to_string(&output).unwrap(), text);
}

#[test]
fn what_several_guardians_tell_of_is_counted_once() {
    let folder = dealt();
    let folder = folder.path();
    let output = folder.join("descriptors.json");
    let coins = coins_files(folder);
    let twice = [&coins[..], &coins[..]].concat();
    let done = recover(folder, 3, &twice, &output);
    assert_eq!(said(&done)["confirmed_sat"], 20_000);
    assert_eq!(said(&done)["descriptors"], 2);

    // A liar's sums are no reason to stop.
    let text = fs::read_to_string(&coins[0]).unwrap();
    let boast = text.replace("10000", &u64::MAX.to_string());
    fs::write(&coins[0], boast).unwrap();
    let done = recover(folder, 3, &coins, &folder.join("again.json"));
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
}

#[test]
fn a_guardians_database_knows_the_coins() {
    let folder = dealt();
    let folder = folder.path();
    let output = folder.join("descriptors.json");
    let none = recover(folder, 4, &[], &output);
    assert_eq!(none.status.code(), Some(1));
    assert!(said(&none)["error"]["message"]
        .as_str()
        .unwrap()
        .contains("no coins"));

    let rows = Memory::default();
    let mut ledger = Ledger::new(&rows);
    for byte in [3, 4, 5] {
        let (outpoint, amount_sat, tweak) = coin(byte);
        let coin = Coin {
            amount_sat,
            tweak,
            slot: None,
            height: 7,
        };
        let mut view = ledger.view(Scope::module(Space::Agreed, ModuleId(0)));
        view.put(&CoinAt(outpoint), &coin);
    }
    let changes = ledger.finish().unwrap();
    async_std::task::block_on(async {
        let store = SqliteStore::open(&folder.join("guardian-0")).await.unwrap();
        store.save(changes).await.unwrap();
        store.close().await.unwrap();
    });
    let done = recover(folder, 4, &[], &output);
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
    assert_eq!(said(&done)["descriptors"], 3);
}

#[test]
fn what_is_wrong_is_said() {
    let folder = dealt();
    let folder = folder.path();
    let output = folder.join("descriptors.json");
    let coins = coins_files(folder);
    let broken = folder.join("broken.json");
    fs::write(&broken, "{}").unwrap();
    let wrong = recover(folder, 1, &[broken], &output);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(said(&wrong)["error"]["message"]
        .as_str()
        .unwrap()
        .contains("broken.json"));

    fs::write(folder.join("password"), "another\n").unwrap();
    let wrong = recover(folder, 1, &coins, &output);
    assert_eq!(wrong.status.code(), Some(3));
    let wrong = recover(folder, 0, &coins, &output);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(!output.exists());
}
