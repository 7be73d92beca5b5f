//! A bitcoind on regtest, and deposits that are in its chain as well as in the one in memory.

use bitcoin::{Address, Amount, Network as Chain, ScriptBuf, Transaction, TxOut};
use guildmint_testbed::{
    cache::Cache,
    faucet::Faucet,
    network::{Keys, Network, Options, Tools},
    process::Lifetime,
    rpc::Rpc,
    servers::Servers,
    stop::Stop,
};
use guildmint_wallet::Tweak;
use tempfile::TempDir;

use crate::world::World;

pub struct Real {
    pub rpc: Rpc,
    pub faucet: Faucet,
    _network: Network,
    _folder: TempDir,
}

impl Real {
    pub fn start() -> Self {
        let cache = Cache::from_env().unwrap();
        // Says `run cargo testbed servers` if they are not there.
        let servers = Servers::find(&cache).unwrap_or_else(|error| panic!("{error}"));
        let tools = Tools {
            servers,
            programs: None,
        };
        let folder = tempfile::tempdir().unwrap();
        let options = Options {
            directory: folder.path().join("net"),
            guardians: 0,
            databases: Default::default(),
            keys: Keys::Dealt,
            lifetime: Lifetime::Tethered,
        };
        let network = Network::up(options, &cache, &tools, &Stop::default()).unwrap();
        Self {
            rpc: network.state().unwrap().bitcoind.unwrap().rpc,
            faucet: network.faucet().unwrap(),
            _network: network,
            _folder: folder,
        }
    }

    /// A payment in a block of the real chain.
    pub fn pay(&self, script_pubkey: ScriptBuf, sat: u64) -> Transaction {
        let output = TxOut {
            value: Amount::from_sat(sat),
            script_pubkey,
        };
        let transaction = self.faucet.prepare(vec![output]).unwrap();
        self.rpc.send(&transaction).unwrap();
        self.faucet.mine(1).unwrap();
        transaction
    }

    /// Deposits, each in a block of either chain, and credited.
    pub fn fund(&self, world: &mut World, deposits_sat: &[u64]) {
        for (index, sat) in (0..).zip(deposits_sat) {
            let script = world.client.script_pubkey(index).unwrap();
            let transaction = self.pay(script.clone(), *sat);
            let mut outputs = transaction.output.iter();
            let output = outputs.position(|output| output.script_pubkey == script);
            world.chain.mine(vec![transaction.clone()]);
            let proof = world.prove(index, &transaction, output.unwrap() as u32);
            world.bury();
            world.submit(proof).unwrap();
        }
    }

    /// What is in blocks for a script.
    pub fn received_sat(&self, script: &ScriptBuf) -> u64 {
        let unspent = self.rpc.unspent(script).unwrap();
        unspent.iter().map(|one| one.amount.to_sat()).sum()
    }
}

/// What the keys of a deposit address are tweaked by.
pub fn tweak(world: &World, index: u64) -> Tweak {
    let key = world.client.deposit_key(index).unwrap();
    key.x_only_public_key().0.into()
}

/// An address of nobody.
pub fn elsewhere(number: u16) -> Address {
    let script = crate::world::script(&crate::world::address(number));
    Address::from_script(&script, Chain::Regtest).unwrap()
}
