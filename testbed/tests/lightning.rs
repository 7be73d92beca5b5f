//! Lightning nodes on the test network's chain.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "lightning/swap.rs"]
mod swap;

use std::time::Duration;

use bitcoin::{Amount, SignedAmount};
use guildmint_testbed::{
    cache::Cache,
    control::{control, Order},
    electrum::{self, Electrum},
    network::{Keys, Network, Options, Tools},
    process::Lifetime,
    servers::Servers,
    stop::Stop,
};

const LIMIT: Duration = Duration::from_secs(60);

fn wait_for(what: &str, mut probe: impl FnMut() -> bool) {
    let found = Stop::default().wait(LIMIT, || Ok::<_, ()>(probe().then_some(())));
    found.unwrap_or_else(|error| panic!("{what}: {error:?}"));
}

fn chain(folder: &tempfile::TempDir, cache: &Cache) -> Network {
    let tools = Tools {
        // Says `run cargo testbed servers` if they are not there.
        servers: Servers::find(cache).unwrap_or_else(|error| panic!("{error}")),
        programs: None,
    };
    let options = Options {
        directory: folder.path().join("net"),
        guardians: 0,
        databases: Default::default(),
        keys: Keys::Dealt,
        lifetime: Lifetime::Tethered,
    };
    Network::up(options, cache, &tools, &Stop::default()).unwrap()
}

fn confirmed(electrum: &Electrum) -> Amount {
    electrum.balance().unwrap().confirmed
}

#[test]
fn electrum_follows_the_chain_and_keeps_its_wallet_when_it_is_killed() {
    let (folder, cache) = (tempfile::tempdir().unwrap(), Cache::from_env().unwrap());
    let mut network = chain(&folder, &cache);
    let program = electrum::find().unwrap_or_else(|error| panic!("{error}"));
    let electrum = network.add_electrum(&program.path, &cache).unwrap();
    // Asked again, it is the same one.
    assert_eq!(
        network.add_electrum(&program.path, &cache).unwrap(),
        electrum
    );
    let (faucet, half) = (network.faucet().unwrap(), Amount::from_sat(50_000_000));
    faucet.pay(&electrum.address().unwrap(), half).unwrap();
    wait_for("money that waits for a block", || {
        electrum.balance().unwrap().unconfirmed == SignedAmount::from_sat(50_000_000)
    });
    faucet.mine(1).unwrap();
    wait_for("money", || confirmed(&electrum) == half);

    let uri = electrum.uri().unwrap();
    assert!(uri.ends_with(&electrum.lightning_address), "{uri}");
    assert!(electrum.channels().unwrap().is_empty());
    let invoice = electrum.invoice(Amount::from_sat(1000), "tea").unwrap();
    assert!(invoice.text.starts_with("lnbcrt10u1"), "{}", invoice.text);

    let directory = network.directory();
    let control = |order| control(directory, electrum::NAME, order, &Stop::default()).unwrap();
    control(Order::Kill);
    assert!(electrum.uri().is_err());
    faucet.mine(1).unwrap();
    control(Order::Start);
    // Ready means that it knows the block that came meanwhile.
    let state = network.state().unwrap();
    let height = state.bitcoind.as_ref().unwrap().rpc.tip().unwrap().height;
    assert!(electrum.has_seen(height).unwrap());
    assert_eq!((electrum.uri().unwrap(), confirmed(&electrum)), (uri, half));
    network.down().unwrap();
    assert!(electrum.uri().is_err());
}
