//! The chain and its index for real: mine, pay, look, and break things.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use bitcoin::{Address, Amount, Network as Chain};
use guildmint_testbed::{
    cache::Cache,
    control::{control, Order},
    electrs::Electrs,
    faucet::FaucetError,
    network::{down, Keys, Network, NetworkError, Options, Tools},
    process::Lifetime,
    programs::Programs,
    rpc::{Rpc, RpcError},
    servers::Servers,
    state::State,
    stop::Stop,
};
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(60);
const ADDRESS: &str = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";

struct Setting {
    folder: TempDir,
    cache: Cache,
    tools: Tools,
}

impl Setting {
    fn new() -> Self {
        let cache = Cache::from_env().unwrap();
        // Says `run cargo testbed servers` if they are not there.
        let servers = Servers::find(&cache).unwrap_or_else(|error| panic!("{error}"));
        Self {
            folder: tempfile::tempdir().unwrap(),
            cache,
            tools: Tools {
                servers,
                programs: None,
            },
        }
    }

    fn up(&self) -> Result<Network, NetworkError> {
        let directory = self.folder.path().join("net");
        let options = Options {
            directory,
            guardians: 0,
            databases: Default::default(),
            keys: Keys::Dealt,
            lifetime: Lifetime::Tethered,
        };
        Network::up(options, &self.cache, &self.tools, &Stop::default())
    }
}

fn address() -> Address {
    ADDRESS
        .parse::<Address<_>>()
        .unwrap()
        .require_network(Chain::Regtest)
        .unwrap()
}

fn parts(network: &Network) -> (Rpc, Electrs) {
    let state = network.state().unwrap();
    (state.bitcoind.unwrap().rpc, state.electrs.unwrap())
}

fn wait_for(what: &str, mut probe: impl FnMut() -> bool) {
    let found = Stop::default().wait(LIMIT, || Ok::<_, ()>(probe().then_some(())));
    found.unwrap_or_else(|error| panic!("{what}: {error:?}"));
}

#[test]
fn a_payment_is_seen_through_electrs_unconfirmed_then_confirmed() {
    let setting = Setting::new();
    let network = setting.up().unwrap();
    let (rpc, electrs) = parts(&network);
    let (faucet, script) = (network.faucet().unwrap(), address().script_pubkey());
    assert_eq!(electrs.height().unwrap(), rpc.tip().unwrap().height);

    let txid = faucet.pay(&address(), Amount::from_sat(50_000)).unwrap();
    assert_eq!(rpc.mempool().unwrap(), [txid]);
    wait_for("unconfirmed", || {
        electrs.balance_sat(&script).unwrap() == (0, 50_000)
    });
    faucet.mine(1).unwrap();
    wait_for("confirmed", || {
        electrs.balance_sat(&script).unwrap() == (50_000, 0)
    });
    let unspent = rpc.unspent(&script).unwrap();
    assert_eq!(
        (unspent.len(), unspent[0].amount, unspent[0].coinbase),
        (1, Amount::from_sat(50_000), false)
    );
    network.down().unwrap();
}

#[test]
fn the_faucet_pays_many_times_between_blocks_and_as_large_as_can_be() {
    let setting = Setting::new();
    let network = setting.up().unwrap();
    let (rpc, _) = parts(&network);
    let faucet = network.faucet().unwrap();
    for _ in 0..5 {
        faucet.pay(&address(), Amount::from_sat(1000)).unwrap();
    }
    let large = faucet
        .pay_large(&address(), Amount::from_sat(70_000))
        .unwrap();
    assert_eq!(rpc.mempool().unwrap().len(), 6);
    faucet.mine(1).unwrap();
    let block = rpc.block(rpc.tip().unwrap().hash).unwrap();
    let found = block
        .txdata
        .iter()
        .find(|transaction| transaction.compute_txid() == large)
        .unwrap();
    assert!(
        (98_000..=100_000).contains(&found.vsize()),
        "{}",
        found.vsize()
    );
    assert_eq!(rpc.unspent(&address().script_pubkey()).unwrap().len(), 6);

    // Block rewards go wherever they are wanted, too, and count only when mature.
    rpc.mine(1, &address()).unwrap();
    assert!(rpc
        .unspent(&address().script_pubkey())
        .unwrap()
        .iter()
        .any(|output| output.coinbase));
    let too_much = faucet
        .pay(&address(), Amount::from_int_btc(1_000_000))
        .unwrap_err();
    assert!(matches!(too_much, FaucetError::Empty { .. }), "{too_much}");
    network.down().unwrap();
}

#[test]
fn dust_is_refused_as_on_the_main_network() {
    let setting = Setting::new();
    let network = setting.up().unwrap();
    let error = network
        .faucet()
        .unwrap()
        .pay(&address(), Amount::from_sat(100))
        .unwrap_err();
    assert!(
        matches!(&error, FaucetError::Rpc(RpcError::Refused { message, .. }) if message.contains("dust")),
        "{error}"
    );
}

#[test]
fn servers_come_back_after_a_power_failure() {
    let setting = Setting::new();
    let network = setting.up().unwrap();
    let (rpc, electrs) = parts(&network);
    let (directory, stop) = (network.directory(), Stop::default());
    for name in ["electrs", "bitcoind"] {
        control(directory, name, Order::Kill, &stop).unwrap();
        assert_eq!(State::load(directory).unwrap().running(name), None);
    }
    assert!(matches!(rpc.tip(), Err(RpcError::Unreachable { .. })));
    for name in ["bitcoind", "electrs"] {
        control(directory, name, Order::Start, &stop).unwrap();
    }
    assert!(matches!(
        control(directory, "electrs", Order::Start, &stop),
        Err(NetworkError::RunsAlready(_))
    ));
    assert!(matches!(
        control(directory, "guardian-0", Order::Stop, &stop),
        Err(NetworkError::NoSuchServer { .. })
    ));
    assert_eq!(electrs.height().unwrap(), rpc.tip().unwrap().height);
    network.down().unwrap();
    assert!(rpc.tip().is_err());
}

#[test]
fn a_stopped_network_goes_on_where_it_was_and_a_running_one_is_not_disturbed() {
    let setting = Setting::new();
    let network = setting.up().unwrap();
    let height = parts(&network).0.tip().unwrap().height;
    assert!(matches!(setting.up(), Err(NetworkError::Running { .. })));
    network.down().unwrap();

    let network = setting.up().unwrap();
    let (rpc, _) = parts(&network);
    assert_eq!(rpc.tip().unwrap().height, height);
    // Dropped without a word, as when the testbed fails: nothing is left.
    drop(network);
    assert!(State::load(&setting.folder.path().join("net"))
        .unwrap()
        .running_names()
        .is_empty());
}

#[test]
fn an_interrupted_start_leaves_nothing_running() {
    let setting = Setting::new();
    let stop = Stop::default();
    stop.request();
    let directory = setting.folder.path().join("net");
    let options = Options {
        directory: directory.clone(),
        guardians: 0,
        databases: Default::default(),
        keys: Keys::Dealt,
        lifetime: Lifetime::Detached,
    };
    Network::up(options, &setting.cache, &setting.tools, &stop).unwrap_err();
    let state = State::load(&directory).unwrap();
    assert!(!state.complete && state.running_names().is_empty());
    // The half-made network is no obstacle to the next.
    let network = setting.up().unwrap();
    network.leave();
    assert_eq!(
        State::load(&directory).unwrap().running_names(),
        ["bitcoind", "electrs"]
    );
    down(&directory).unwrap();
}

#[test]
fn a_directory_with_something_else_in_it_is_left_alone() {
    let setting = Setting::new();
    let net = setting.folder.path().join("net");
    fs::create_dir(&net).unwrap();
    fs::write(net.join("thesis.txt"), "").unwrap();
    assert!(matches!(setting.up(), Err(NetworkError::NotOurs(_))));
    assert!(down(&net)
        .unwrap_err()
        .to_string()
        .contains("no test network"));
    assert!(net.join("thesis.txt").exists());
}

/// Stands in for Guildmint's programs.
fn script(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn a_federation_that_does_not_start_says_why_and_leaves_nothing_running() {
    let dealing = r#"echo '{"invite": "guild1x", "federation_id": "00"}'"#;
    for (dealer, reason) in [
        ("echo no such network >&2; exit 2", "no such network"),
        (dealing, "disk is full"),
    ] {
        let mut setting = Setting::new();
        let folder = setting.folder.path();
        setting.tools.programs = Some(Programs {
            guardian: script(folder, "guildmintd", "echo disk is full; exit 1"),
            dealer: script(folder, "guildmint-dealer", dealer),
            wallet: folder.join("guildmint"),
        });
        let directory = folder.join("net");
        let options = Options {
            directory: directory.clone(),
            guardians: 4,
            databases: Default::default(),
            keys: Keys::Dealt,
            lifetime: Lifetime::Detached,
        };
        let error = Network::up(options, &setting.cache, &setting.tools, &Stop::default())
            .unwrap_err()
            .to_string();
        assert!(error.contains(reason), "{error}");
        assert!(State::load(&directory).unwrap().running_names().is_empty());
    }
}
