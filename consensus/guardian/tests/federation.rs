//! Four guardians in one process, on the loopback, with real networks and databases.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;
#[path = "../../store/tests/common/mod.rs"]
mod database;

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
    path::Path,
    time::{Duration, Instant},
};

use async_std::task::block_on;
use common::{
    gift::{Gift, Given},
    Dealt,
};
use futures::future::join_all;
use guildmint_core::{
    api::{
        AuditAnswer, Revise, RevisionReport, RevisionsAnswer, StatusAnswer, TransactionAnswer,
        TransactionStatus,
    },
    module::Registry,
    Amount, Digest, Epoch, GenesisConfig, Item, Latest, ModuleId, PeerId, Transaction, Wire as _,
};
use guildmint_mint::{
    client::{MasterSeed, MintClient, NoteRequest},
    Denomination, MintConfig, MintOutcome,
};
use guildmint_store::StoreError;
use guildmintd::{admin, modules, Database, Guardian, RunError};
use serde_json::{json, Value as Json};

const SECONDS: u64 = 90;

fn registry() -> Registry {
    modules().with::<Gift>()
}

fn start(dealt: &Dealt, guardian: u16) -> Result<Guardian, RunError> {
    block_on(Guardian::start(&registry(), dealt.config(guardian)))
}

fn get(url: String) -> (u16, Vec<u8>) {
    let response = minreq::get(url).with_timeout(SECONDS).send().unwrap();
    (response.status_code, response.into_bytes())
}

fn api<T: serde::de::DeserializeOwned>(guardian: &Guardian, path: &str) -> T {
    let (status, body) = get(format!("http://{}/v1/{path}", guardian.api()));
    let text = String::from_utf8_lossy(&body);
    assert_eq!(status, 200, "{path}: {text}");
    serde_json::from_slice(&body).unwrap_or_else(|error| panic!("{path}: {error}: {text}"))
}

/// What the operator sees, who has the cookie.
fn operators(guardian: &Guardian, data_dir: &Path, path: &str) -> Vec<u8> {
    let url = format!("http://{}/{path}", guardian.admin());
    assert_eq!(get(url.clone()).0, 401);
    let cookie = admin::read_cookie(data_dir).unwrap();
    let request =
        minreq::get(url).with_header("authorization", format!("Bearer {}", cookie.reveal()));
    let response = request.with_timeout(SECONDS).send().unwrap();
    assert_eq!(response.status_code, 200, "{:?}", response.as_str());
    response.into_bytes()
}

/// The lines of a guardian's events, after it has said how it is.
fn listen(guardian: &Guardian) -> impl Iterator<Item = std::io::Result<String>> {
    let mut stream = TcpStream::connect(guardian.api()).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(SECONDS)))
        .unwrap();
    stream
        .write_all(b"GET /v1/events HTTP/1.1\r\nHost: guardian\r\n\r\n")
        .unwrap();
    let mut lines = BufReader::new(stream).lines();
    assert!(lines.by_ref().any(|line| line.unwrap() == "event: status"));
    lines
}

fn submit(guardian: &Guardian, transaction: &Transaction) -> TransactionAnswer {
    let url = format!("http://{}/v1/transactions", guardian.api());
    let request = minreq::post(url).with_header("content-type", "application/octet-stream");
    let response = request
        .with_body(transaction.encode())
        .with_timeout(SECONDS);
    let response = response.send().unwrap();
    assert!(response.status_code < 300, "{:?}", response.as_str());
    serde_json::from_slice(response.as_bytes()).unwrap()
}

/// Waits for the transaction at every guardian, and returns what each says of the outputs.
fn outcomes(guardians: &[Guardian], transaction: &TransactionAnswer) -> Vec<Vec<Json>> {
    let path = format!("transactions/{}?wait=60", transaction.txid);
    let outcome = |guardian| match api::<TransactionAnswer>(guardian, &path).status {
        TransactionStatus::Accepted { outcomes, .. } => outcomes,
        other => panic!("{other:?}"),
    };
    guardians.iter().map(outcome).collect()
}

struct Wallet {
    genesis: GenesisConfig,
    client: MintClient,
}

impl Wallet {
    fn new(dealt: &Dealt) -> Self {
        let genesis = dealt.config(0).genesis;
        let (module, config) = genesis.module("mint").unwrap();
        let config = MintConfig::decode(&config.config).unwrap();
        let quorum = genesis.quorum().unwrap();
        let seed = MasterSeed::new([1; 64]);
        let client = MintClient::new(genesis.id(), module, quorum, config, &seed).unwrap();
        Self { genesis, client }
    }

    /// A gift of 8 msat for a note of 8 msat.
    fn transaction(&self, serial: u64) -> (NoteRequest, Transaction) {
        let request = NoteRequest::new(Denomination::new(3).unwrap(), serial);
        let (gift, _) = self.genesis.module(Gift::KIND).unwrap();
        let (mint, _) = self.genesis.module("mint").unwrap();
        let amount = Amount::from_msat(8).unwrap();
        let given = Given { amount, serial };
        let outputs = self.client.blinded(&[request]);
        let outputs = outputs.iter().map(|output| Item::new(mint, output));
        let transaction = Transaction {
            inputs: vec![Item::new(gift, &given)],
            outputs: outputs.collect(),
            signatures: vec![None],
        };
        (request, transaction)
    }

    fn combine(&self, request: &NoteRequest, outcomes: Vec<Vec<Json>>) {
        let shares: BTreeMap<_, _> = (0..)
            .map(PeerId)
            .zip(outcomes)
            .map(|(peer, mut outcomes)| {
                let outcome: MintOutcome = serde_json::from_value(outcomes.remove(0)).unwrap();
                (peer, outcome.share)
            })
            .collect();
        let note = self.client.finalize(request, &shares).unwrap().note;
        assert_eq!(note.note().amount().msat(), 8);
    }
}

#[test]
fn a_transaction_becomes_a_note_and_all_agree_also_after_a_restart() {
    let dealt = Dealt::new(4);
    let wallet = Wallet::new(&dealt);
    let mut guardians: Vec<Guardian> = (0..4).map(|i| start(&dealt, i).unwrap()).collect();

    let (request, transaction) = wallet.transaction(0);
    // Whatever the guardians' connections are up to: what was submitted is not lost.
    let answers: Vec<_> = guardians
        .iter()
        .map(|guardian| submit(guardian, &transaction))
        .collect();
    wallet.combine(&request, outcomes(&guardians, &answers[0]));

    let second = start(&dealt, 2);
    let Err(RunError::Store(StoreError::Locked { .. })) = second else {
        panic!("two processes as one guardian");
    };

    let third = guardians.pop().unwrap();
    block_on(third.stop()).unwrap();
    guardians.push(start(&dealt, 3).unwrap());
    let (request, transaction) = wallet.transaction(1);
    let mut events = listen(&guardians[3]);
    let answer = submit(&guardians[3], &transaction);
    let mut told = events
        .by_ref()
        .map(Result::unwrap)
        .filter(|line| line.starts_with("data: {\"epoch\":"));
    assert!(told.any(|line| line.ends_with("\"transactions\":1}")));
    wallet.combine(&request, outcomes(&guardians, &answer));

    let audits = guardians
        .iter()
        .map(|guardian| api::<AuditAnswer>(guardian, "audit"));
    for (audit, guardian) in audits.zip(&guardians) {
        assert_eq!((audit.assets_msat, audit.liabilities_msat), (16, 16));
        let status: StatusAnswer = api(guardian, "status");
        assert!(status.committed >= audit.epoch && audit.epoch.is_some());
        assert_eq!((status.not_ready, status.halted), (None, None));
        assert_eq!(get(format!("http://{}/readyz", guardian.api())).0, 200);
        let metrics = operators(guardian, &dealt.data_dir(status.peer.0), "metrics");
        let metrics = String::from_utf8(metrics).unwrap();
        assert!(
            metrics.contains("guildmint_liabilities_msat{module=\"mint\"} 16"),
            "{metrics}"
        );
        assert!(
            metrics.contains("guildmint_peer_connected{guardian="),
            "{metrics}"
        );
        let overview = operators(guardian, &dealt.data_dir(status.peer.0), "status");
        let overview: Json = serde_json::from_slice(&overview).unwrap();
        assert_eq!(overview["ready"], true, "{overview}");
        assert_eq!(overview["guardians"][0]["name"], "guardian-0");
        assert_eq!(overview["audit"]["assets_msat"], "16");
        assert!(overview["last_epoch_seconds"].is_u64() && overview["database"]["bytes"].is_u64());
        assert!(
            overview["guardians"]
                .as_array()
                .unwrap()
                .iter()
                .all(|one| one["connected"] == true),
            "{overview}"
        );
    }
    ask_for_setup(&guardians[0], &dealt.data_dir(0));
    rename(&dealt, &guardians);
    for stopped in block_on(join_all(guardians.into_iter().map(Guardian::stop))) {
        stopped.unwrap();
    }
}

/// What an operator says about revisions.
fn revise(guardian: &Guardian, data_dir: &Path, said: &Revise) -> RevisionReport {
    let cookie = admin::read_cookie(data_dir).unwrap();
    let request = minreq::post(format!("http://{}/revisions", guardian.admin()))
        .with_header("authorization", format!("Bearer {}", cookie.reveal()))
        .with_body(serde_json::to_vec(said).unwrap());
    let response = request.with_timeout(SECONDS).send().unwrap();
    assert_eq!(response.status_code, 200, "{:?}", response.as_str());
    serde_json::from_slice(response.as_bytes()).unwrap()
}

/// What is asked of a guardian that founds is answered by one that does not any more.
fn ask_for_setup(guardian: &Guardian, data_dir: &Path) {
    let cookie = admin::read_cookie(data_dir).unwrap();
    let url = |path: &str| format!("http://{}/v1/setup{path}", guardian.admin());
    let ask = |request: minreq::Request| {
        let request = request.with_header("authorization", format!("Bearer {}", cookie.reveal()));
        let response = request.with_timeout(SECONDS).send().unwrap();
        let answer: Json = serde_json::from_slice(response.as_bytes()).unwrap();
        (response.status_code, answer)
    };
    let (code, status) = ask(minreq::get(url("")));
    assert_eq!(
        (code, &status["stage"]),
        (200, &json!("founded")),
        "{status}"
    );
    assert!(status["federation"].is_string(), "{status}");
    let (code, answer) = ask(minreq::post(url("/join")).with_body("{}"));
    assert_eq!(
        (code, &answer["code"]),
        (409, &json!("founded")),
        "{answer}"
    );
}

/// Asks until the answer is as it should be.
fn until<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(began.elapsed().as_secs() < SECONDS, "nothing comes of it");
    }
}

/// Operators give the federation another name, with no restart.
fn rename(dealt: &Dealt, guardians: &[Guardian]) {
    let said = |peer: u16, said: &Revise| {
        let guardian = &guardians[usize::from(peer)];
        revise(guardian, &dealt.data_dir(peer), said)
    };
    let told = said(0, &Revise::Propose(json!({ "name": "renamed" })));
    let proposed = told.approves.unwrap();
    assert_eq!(proposed.changes[0].to, json!("renamed"));
    for peer in [1, 3] {
        let proposal = until(|| said(peer, &Revise::Show).proposals.pop());
        assert_eq!(proposal.hash, proposed.hash);
        let told = said(peer, &Revise::Approve(proposal.hash.to_string()));
        assert_eq!(told.approves.unwrap().hash, proposed.hash);
    }
    let genesis = dealt.config(0).genesis;
    for guardian in guardians {
        let mut signed = until(|| {
            api::<RevisionsAnswer>(guardian, "revisions")
                .revisions
                .pop()
        });
        signed.verify(&genesis, Latest::founding(&genesis)).unwrap();
        assert_eq!(signed.revision.values.name, "renamed");
        signed.revision.values.name = "another".into();
        assert!(signed.verify(&genesis, Latest::founding(&genesis)).is_err());
        assert_eq!(api::<StatusAnswer>(guardian, "status").revision, 1);
    }
}

/// With a client library that knows nothing of the guardian, and the words of the core.
#[test]
fn what_a_guardian_has_done_can_be_read_from_its_tables() {
    let server = database::Server::start();
    let name = server.database();
    let dealt = Dealt::new(1);
    let wallet = Wallet::new(&dealt);
    let mut transactions = Vec::new();
    // The second time it goes on where it was.
    for serial in 0..2 {
        let mut config = dealt.config(0);
        config.settings.database = Database::parse(&server.url(&name)).unwrap();
        let guardian = block_on(Guardian::start(&registry(), config)).unwrap();
        let (request, transaction) = wallet.transaction(serial);
        let answer = submit(&guardian, &transaction);
        let guardians = [guardian];
        wallet.combine(&request, outcomes(&guardians, &answer));
        let [guardian] = guardians;
        block_on(guardian.stop()).unwrap();
        transactions.push(answer.txid);
    }
    let mut client = server.client(&name);
    let mut epochs = Vec::new();
    for txid in transactions {
        let joined =
            "SELECT epoch, digest, inputs, outputs FROM transactions JOIN epochs USING (epoch) \
            WHERE txid = $1 AND committed_at <= now()";
        let row = client.query_one(joined, &[&txid]).unwrap();
        let (epoch, digest): (Epoch, Digest) = (row.get(0), row.get(1));
        assert_ne!(digest, Digest::default());
        assert_eq!((row.get::<_, i32>(2), row.get::<_, i32>(3)), (1, 1));
        epochs.push(epoch);
    }
    let (mint, _) = wallet.genesis.module("mint").unwrap();
    let audit = "SELECT epoch, module, assets_msat, liabilities_msat FROM audit WHERE module = $1 ORDER BY epoch";
    let rows = client.query(audit, &[&mint]).unwrap();
    let found = rows.iter().map(|row| {
        let (module, liabilities): (ModuleId, Amount) = (row.get(1), row.get(3));
        assert_eq!(module, mint);
        (row.get(0), liabilities.msat())
    });
    assert!(found.eq([(epochs[0], 8), (epochs[1], 16)]));
    let engine = "SELECT count(*) FROM readable_rows WHERE owner = 'engine' AND space = 'local'";
    assert!(client.query_one(engine, &[]).unwrap().get::<_, i64>(0) > 2);
}
