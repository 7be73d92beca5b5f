//! A guardian that takes over everything from the others, on real sockets and databases.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::{
    fs,
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
    Amount, Item, Transaction, Wire as _,
};
use guildmint_mint::{
    client::{MasterSeed, MintClient, NoteRequest},
    Denomination, MintConfig,
};
use guildmintd::{modules, Guardian};

const LIMIT: Duration = Duration::from_secs(120);

/// Epochs of one transaction, and then transactions that share epochs.
const SINGLE: u64 = 100;
const TOGETHER: u64 = 300;

fn start(dealt: &Dealt, guardian: u16) -> Guardian {
    let registry = modules().with::<Gift>();
    block_on(Guardian::start(&registry, dealt.config(guardian))).unwrap()
}

fn get<T: serde::de::DeserializeOwned>(guardian: &Guardian, path: &str) -> T {
    let url = format!("http://{}/v1/{path}", guardian.api());
    let response = minreq::get(url).with_timeout(90).send().unwrap();
    serde_json::from_slice(response.as_bytes()).unwrap()
}

/// Gifts of 8 msat for notes of 8 msat.
struct Giver {
    client: MintClient,
    genesis: guildmint_core::GenesisConfig,
}

impl Giver {
    fn new(dealt: &Dealt) -> Self {
        let genesis = dealt.config(0).genesis;
        let (module, config) = genesis.module("mint").unwrap();
        let config = MintConfig::decode(&config.config).unwrap();
        let (id, quorum) = (genesis.id(), genesis.quorum().unwrap());
        let seed = MasterSeed::new([1; 64]);
        let client = MintClient::new(id, module, quorum, config, &seed).unwrap();
        Self { client, genesis }
    }

    /// Submits a gift to all of these.
    fn give(&self, guardians: &[Guardian], serial: u64) -> TransactionAnswer {
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

fn is_accepted(guardian: &Guardian, given: &TransactionAnswer) -> bool {
    let path = format!("transactions/{}?wait=60", given.txid);
    let answer: TransactionAnswer = get(guardian, &path);
    matches!(answer.status, TransactionStatus::Accepted { .. })
}

/// The largest memory that this process has had, in KiB: four guardians and this test.
fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.unwrap().split_whitespace().next().unwrap();
    number.parse().unwrap()
}

/// Scenario 23.
#[test]
fn a_guardian_without_a_database_takes_over_all_and_says_how_far_it_is() {
    let dealt = Dealt::new(4);
    let giver = Giver::new(&dealt);
    let mut guardians: Vec<_> = (0..4).map(|i| start(&dealt, i)).collect();
    for serial in 0..SINGLE {
        let given = giver.give(&guardians, serial);
        assert!(is_accepted(&guardians[0], &given));
    }
    let together = SINGLE..SINGLE + TOGETHER;
    let given: Vec<_> = together
        .map(|serial| giver.give(&guardians, serial))
        .collect();
    assert!(given.iter().all(|given| is_accepted(&guardians[0], given)));

    block_on(guardians.pop().unwrap().stop()).unwrap();
    for entry in fs::read_dir(dealt.data_dir(3)).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().contains(".sqlite") {
            fs::remove_file(path).unwrap();
        }
    }
    let before_kib = peak_kib();
    let lost = start(&dealt, 3);
    let (begun, mut reports) = (Instant::now(), Vec::new());
    let goal: StatusAnswer = get(&guardians[0], "status");
    let took = loop {
        let status: StatusAnswer = get(&lost, "status");
        reports.extend(status.catching_up);
        if status.committed >= goal.committed {
            break begun.elapsed();
        }
        assert!(begun.elapsed() < LIMIT, "{status:?}");
    };
    assert!(given.iter().all(|given| is_accepted(&lost, given)));
    assert!(
        reports.iter().any(|report| report.behind > SINGLE / 2),
        "{reports:?}"
    );
    let (epochs, transactions) = (goal.committed.unwrap().next().0, SINGLE + TOGETHER);
    let grown_kib = peak_kib() - before_kib;
    // Half a second of it passes before a guardian asks at all.
    println!("{epochs} epochs with {transactions} transactions in {took:?}; memory grew by {grown_kib} KiB");
    let last = reports.iter().rfind(|report| report.done > 0);
    println!(
        "the last that it said itself: {}",
        last.map_or_else(String::new, ToString::to_string)
    );
    guardians.push(lost);
    for stopped in block_on(join_all(guardians.into_iter().map(Guardian::stop))) {
        stopped.unwrap();
    }
}
