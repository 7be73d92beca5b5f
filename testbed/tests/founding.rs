//! Four guardians whom nobody deals keys found a federation, with a chain, and it keeps its users' money.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;

use bitcoin::{Address, Amount};
use guildmint_testbed::{
    cache::Cache,
    federation::FINALITY_BLOCKS,
    network::{Keys, Network, Options, Tools},
    postgres::Databases,
    process::Lifetime,
    programs::{Build, Programs},
    servers::Servers,
    stop::Stop,
    wallet::Wallet,
};

const DEPOSIT: Amount = Amount::from_sat(1_000_000);

#[test]
fn bitcoin_becomes_e_cash_in_a_federation_that_nobody_dealt() {
    let (cache, stop) = (Cache::from_env().unwrap(), Stop::default());
    let programs =
        Programs::build(&cache, Build::Test, &stop).unwrap_or_else(|error| panic!("{error}"));
    let tools = Tools {
        servers: Servers::find(&cache).unwrap_or_else(|error| panic!("{error}")),
        programs: Some(programs.clone()),
    };
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        directory: folder.path().join("net"),
        guardians: 4,
        databases: Databases::Sqlite,
        keys: Keys::Founded,
        lifetime: Lifetime::Tethered,
    };
    let network =
        Network::up(options, &cache, &tools, &stop).unwrap_or_else(|error| panic!("{error}"));
    let state = network.state().unwrap();
    for guardian in &state.guardians {
        // The seed of the founding is gone, and what comes of it is encrypted.
        assert!(!guardian.data_dir.join("founding").exists());
        let secrets = fs::read_to_string(guardian.data_dir.join("secrets")).unwrap();
        assert!(secrets.contains("argon2id"), "{secrets}");
    }
    let alice = Wallet::new(&programs.wallet, folder.path(), "alice", &stop).unwrap();
    alice.run(&["init"]).unwrap();
    let invite = &state.federation.as_ref().unwrap().invite;
    alice.run(&["join", invite]).unwrap();
    let deposit = alice.run(&["deposit", "address"]).unwrap();
    let address: Address<_> = deposit.text("address").unwrap().parse().unwrap();
    let faucet = network.faucet().unwrap();
    faucet.pay(&address.assume_checked(), DEPOSIT).unwrap();
    faucet.mine(FINALITY_BLOCKS + 1).unwrap();
    let operation = deposit.text("operation").unwrap();
    let words = ["deposit", "status", &operation, "--wait"];
    alice.run(&words).unwrap();
    let deposited_msat = DEPOSIT.to_sat() * 1_000;
    assert_eq!(alice.balance_msat().unwrap(), deposited_msat);
    network.down().unwrap_or_else(|error| panic!("{error}"));
}
