//! Gifts that are submitted to guardians, and what comes of them.

use std::fs;

use async_std::task::block_on;
use guildmint_core::{
    api::{TransactionAnswer, TransactionStatus},
    Amount, Item, Transaction, Wire as _,
};
use guildmint_mint::{
    client::{MasterSeed, MintClient, NoteRequest},
    Denomination, MintConfig,
};
use guildmintd::{modules, Guardian};

use super::{
    gift::{Gift, Given},
    Dealt,
};

pub fn start(dealt: &Dealt, guardian: u16) -> Guardian {
    let registry = modules().with::<Gift>();
    block_on(Guardian::start(&registry, dealt.config(guardian))).unwrap()
}

pub fn get<T: serde::de::DeserializeOwned>(guardian: &Guardian, path: &str) -> T {
    let url = format!("http://{}/v1/{path}", guardian.api());
    let response = minreq::get(url).with_timeout(90).send().unwrap();
    serde_json::from_slice(response.as_bytes()).unwrap()
}

/// Gifts of 8 msat for notes of 8 msat.
pub struct Giver {
    client: MintClient,
    genesis: guildmint_core::GenesisConfig,
}

impl Giver {
    pub fn new(dealt: &Dealt) -> Self {
        let genesis = dealt.config(0).genesis;
        let (module, config) = genesis.module("mint").unwrap();
        let config = MintConfig::decode(&config.config).unwrap();
        let (id, quorum) = (genesis.id(), genesis.quorum().unwrap());
        let seed = MasterSeed::new([1; 64]);
        let client = MintClient::new(id, module, quorum, config, &seed).unwrap();
        Self { client, genesis }
    }

    /// Submits a gift to all of these.
    pub fn give(&self, guardians: &[Guardian], serial: u64) -> TransactionAnswer {
        let request = NoteRequest::new(Denomination::new(3).unwrap(), serial);
        let (gift, _) = self.genesis.module(Gift::KIND).unwrap();
        let (mint, _) = self.genesis.module("mint").unwrap();
        let amount = Amount::from_msat(8).unwrap();
        let outputs = self.client.blinded(&[request]);
        let transaction = Transaction {
            inputs: vec![Item::new(gift, &Given { amount, serial })],
            outputs: outputs
                .iter()
                .map(|output| Item::new(mint, output))
                .collect(),
            signatures: vec![None],
        };
        let submit = |guardian: &Guardian| {
            let url = format!("http://{}/v1/transactions", guardian.api());
            let request = minreq::post(url).with_header("content-type", "application/octet-stream");
            let request = request.with_body(transaction.encode()).with_timeout(90);
            let response = request.send().unwrap();
            assert!(response.status_code < 300, "{:?}", response.as_str());
            serde_json::from_slice(response.as_bytes()).unwrap()
        };
        let mut answers: Vec<TransactionAnswer> = guardians.iter().map(submit).collect();
        answers.swap_remove(0)
    }
}

pub fn is_accepted(guardian: &Guardian, given: &TransactionAnswer) -> bool {
    let path = format!("transactions/{}?wait=60", given.txid);
    let answer: TransactionAnswer = get(guardian, &path);
    matches!(answer.status, TransactionStatus::Accepted { .. })
}

/// The largest memory that this process has had, in KiB: all guardians and the test itself.
pub fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.unwrap().split_whitespace().next().unwrap();
    number.parse().unwrap()
}
