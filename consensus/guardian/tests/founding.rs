//! Four guardians in one process found a federation on the loopback: through the operator's listener, over real networks, into
//! files with which they then run.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use async_std::task;
use futures::channel::oneshot;
use guildmint_api::{SetupStage, SetupStatus};
use guildmint_founding::{Seed, SetupCode};
use guildmintd::{
    admin::read_cookie,
    config::{keys, Config, Settings, Sources},
    founding::{found_until, founders, is_due, FoundError, Founded, Founding},
    modules,
    secrets::Cost,
    Guardian,
};
use serde_json::{json, Value as Json};
use tempfile::TempDir;
use zeroize::Zeroizing;

const PASSPHRASE: &str = "correct horse battery staple";

/// Whatever is waited for comes within this, also on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(180);

type Thread = JoinHandle<Result<Founded, FoundError>>;

struct Operator {
    folder: TempDir,
    p2p: String,
    admin: String,
    running: Option<(Thread, oneshot::Sender<()>)>,
}

/// A port that is free, at a loopback address that no other process of tests uses: it is some time until it is listened on.
fn free_address() -> SocketAddr {
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let address = Ipv4Addr::new(127, high.max(1), low, 1);
    let socket = TcpListener::bind((address, 0)).unwrap();
    socket.local_addr().unwrap()
}

impl Operator {
    fn new() -> Self {
        let p2p = free_address();
        Self {
            folder: tempfile::tempdir().unwrap(),
            p2p: format!("/ip4/{}/tcp/{}", p2p.ip(), p2p.port()),
            admin: free_address().to_string(),
            running: None,
        }
    }

    fn data_dir(&self) -> &Path {
        self.folder.path()
    }

    fn settings(&self) -> Settings {
        let flags = [
            (keys::API_LISTEN, "127.0.0.1:0".to_owned()),
            (keys::ADMIN_LISTEN, self.admin.clone()),
            (keys::P2P_LISTEN, self.p2p.clone()),
        ];
        let sources = Sources {
            flags: flags
                .into_iter()
                .map(|(key, value)| (key.name, value))
                .collect(),
            ..Sources::default()
        };
        Settings::resolve(&sources).unwrap()
    }

    fn start(&mut self) {
        let founding = Founding {
            data_dir: self.data_dir().to_owned(),
            settings: self.settings(),
            passphrase: Zeroizing::new(PASSPHRASE.to_owned()),
            cost: Cost::CHEAP,
            founders: founders(),
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = async move {
            let _ = stopped.await;
        };
        let thread = thread::spawn(|| task::block_on(found_until(founding, stopped)));
        self.running = Some((thread, stop));
        self.wait_for("the listener", |one| one.status().is_some());
    }

    fn stop(&mut self) {
        let (running, stop) = self.running.take().unwrap();
        let _ = stop.send(());
        assert_eq!(running.join().unwrap().unwrap(), Founded::Stopped);
    }

    fn end(&mut self) -> Founded {
        let (running, _stop) = self.running.take().unwrap();
        let began = Instant::now();
        let mut version = String::new();
        while !running.is_finished() {
            let status = self.changed(&version);
            assert!(began.elapsed() < PATIENCE, "no federation: {status:?}");
            match status {
                Some(status) => version = status.version,
                // It has closed its listener, and is about to end.
                None => break,
            }
        }
        running.join().unwrap().unwrap()
    }

    fn request(&self, request: minreq::Request) -> Option<(u16, Json)> {
        let token = read_cookie(self.data_dir()).ok()?;
        let request = request
            .with_header("authorization", format!("Bearer {}", token.reveal()))
            .with_timeout(60);
        let response = request.send().ok()?;
        let answer = serde_json::from_slice(response.as_bytes()).ok()?;
        Some((response.status_code, answer))
    }

    fn status(&self) -> Option<SetupStatus> {
        let url = format!("http://{}/v1/setup", self.admin);
        let (_, json) = self.request(minreq::get(url))?;
        serde_json::from_value(json).ok()
    }

    /// How far it is once that is another version.
    fn changed(&self, version: &str) -> Option<SetupStatus> {
        let url = format!("http://{}/v1/setup?wait=10&version={version}", self.admin);
        let (_, json) = self.request(minreq::get(url))?;
        serde_json::from_value(json).ok()
    }

    fn try_step(&self, step: &str, body: &Json) -> (u16, Json) {
        let url = format!("http://{}/v1/setup/{step}", self.admin);
        self.request(minreq::post(url).with_body(body.to_string()))
            .unwrap()
    }

    fn step(&self, step: &str, body: Json) -> Json {
        let (code, answer) = self.try_step(step, &body);
        assert_eq!(code, 200, "{step}: {answer}");
        answer
    }

    fn code(&self, name: &str) -> String {
        let body = json!({ "name": name, "p2p": [self.p2p], "api": "http://127.0.0.1:1" });
        self.step("code", body)["code"].as_str().unwrap().to_owned()
    }

    fn wait_for(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let began = Instant::now();
        let mut version = String::new();
        while !holds(self) {
            let status = self.changed(&version);
            assert!(
                began.elapsed() < PATIENCE,
                "{what} has not come: {status:?}"
            );
            match status {
                Some(status) => version = status.version,
                // There is no listener yet, or none any more.
                None => thread::yield_now(),
            }
        }
    }

    fn wait_for_stage(&self, stage: SetupStage) {
        let is_there = |one: &Self| one.status().is_some_and(|status| status.stage == stage);
        self.wait_for(&format!("{stage:?}"), is_there);
    }
}

fn proposal(name: &str) -> Json {
    let mint = json!({ "denominations": [0, 1, 2], "input_fee": 0, "output_fee": 0 });
    json!({ "proposal": {
        "name": name, "network": "regtest", "epoch_floor_ms": 10,
        "modules": [{ "kind": "mint", "terms": mint }],
    }})
}

fn operators(number: usize) -> Vec<Operator> {
    let mut operators: Vec<_> = (0..number).map(|_| Operator::new()).collect();
    operators.iter_mut().for_each(Operator::start);
    operators
}

fn join(operators: &[Operator]) {
    let codes = operators.iter().enumerate();
    let codes: Vec<_> = codes
        .map(|(i, one)| one.code(&format!("guardian-{i}")))
        .collect();
    for operator in operators {
        operator.step("join", json!({ "codes": codes }));
    }
}

fn propose(operators: &[Operator]) -> String {
    let proposed = operators[0].step("propose", proposal("test"));
    let phrase = proposed["check_phrase"].as_str().unwrap();
    for operator in operators {
        operator.wait_for("the proposal", |one| {
            let proposals = one.status().map(|status| status.proposals);
            proposals
                .unwrap_or_default()
                .iter()
                .any(|one| one.check_phrase == phrase)
        });
    }
    phrase.to_owned()
}

#[test]
fn four_strangers_found_a_federation_and_run_it() {
    let mut operators = operators(4);
    join(&operators);
    let phrase = propose(&operators);
    for operator in &operators {
        operator.step("confirm", json!({ "phrase": phrase.to_uppercase() }));
    }
    let founded: Vec<_> = operators.iter_mut().map(Operator::end).collect();
    assert!(matches!(founded[0], Founded::Federation(_)));
    assert!(founded.iter().all(|one| *one == founded[0]), "{founded:?}");
    let configs: Vec<_> = operators
        .iter()
        .map(|operator| {
            assert!(!is_due(operator.data_dir()), "the seed is still there");
            Config::load(operator.data_dir(), PASSPHRASE, operator.settings()).unwrap()
        })
        .collect();
    assert!(configs
        .iter()
        .all(|config| config.federation == configs[0].federation));
    let run = |config| task::block_on(Guardian::start(&modules(), config)).unwrap();
    let guardians: Vec<_> = configs.into_iter().map(run).collect();
    for guardian in &guardians {
        let url = format!("http://{}/readyz", guardian.api());
        let began = Instant::now();
        while minreq::get(&url).send().unwrap().status_code != 200 {
            assert!(began.elapsed() < PATIENCE, "not ready");
            thread::sleep(Duration::from_millis(50));
        }
    }
    for guardian in guardians {
        task::block_on(guardian.stop()).unwrap();
    }
}

#[test]
fn guardians_that_are_stopped_at_any_step_go_on_where_they_were() {
    let mut operators = operators(4);
    let codes: Vec<_> = operators.iter().map(|one| one.code("somebody")).collect();
    let restart = |operator: &mut Operator| {
        operator.stop();
        operator.start();
    };
    restart(&mut operators[1]);
    assert_eq!(operators[1].code("somebody"), codes[1]);
    join_with(&operators, &codes);
    restart(&mut operators[1]);
    let phrase = propose(&operators);
    restart(&mut operators[1]);
    for operator in &operators[..3] {
        operator.step("confirm", json!({ "phrase": phrase }));
    }
    restart(&mut operators[1]);
    operators[3].step("confirm", json!({ "phrase": phrase }));
    operators[1].wait_for("the coin", |one| {
        let stage = one.status().map(|status| status.stage);
        matches!(stage, None | Some(SetupStage::Keys | SetupStage::Waiting))
    });
    if operators[1]
        .status()
        .is_some_and(|status| status.stage == SetupStage::Keys)
    {
        restart(&mut operators[1]);
    }
    let founded: Vec<_> = operators.iter_mut().map(Operator::end).collect();
    assert!(founded.iter().all(|one| *one == founded[0]), "{founded:?}");
}

fn join_with(operators: &[Operator], codes: &[String]) {
    for operator in operators {
        operator.step("join", json!({ "codes": codes }));
    }
}

#[test]
fn mistakes_are_told_and_change_nothing() {
    let mut operators = operators(2);
    let refused = |operator: &Operator, step: &str, body: Json| {
        let (code, answer) = operator.try_step(step, &body);
        assert!((400..500).contains(&code), "{step}: {code} {answer}");
        answer["detail"].as_str().unwrap().to_owned()
    };
    let early = refused(&operators[0], "join", json!({ "codes": [] }));
    assert!(early.contains("setup code"), "{early}");
    let address = json!({ "name": "a", "p2p": ["example.org:8173"], "api": "http://a" });
    assert!(refused(&operators[0], "code", address).contains("/tcp/8173"));
    let url = json!({ "name": "a", "p2p": ["/dns4/a/tcp/1"], "api": "a" });
    assert!(refused(&operators[0], "code", url).contains("https://"));
    let codes: Vec<_> = operators.iter().map(|one| one.code("one")).collect();
    let renamed = json!({ "name": "two", "p2p": ["/dns4/a/tcp/1"], "api": "http://a" });
    assert!(refused(&operators[0], "code", renamed).contains("abort"));
    let typo = json!({ "codes": [codes[1].replace("guildsetup1q", "guildsetup1p")] });
    assert!(refused(&operators[0], "join", typo).contains("code 1"));
    for (p2p, api) in [
        ("/ip4/1.2.3.4/udp/1", "http://a"),
        ("/dns4/a/tcp/1", "javascript:alert(1)"),
    ] {
        let seed = Seed::new([9; 32]);
        let nowhere = SetupCode::new(&seed, "mallory".into(), vec![p2p.into()], api.into());
        let nowhere = json!({ "codes": [nowhere.unwrap().to_string()] });
        let named = refused(&operators[0], "join", nowhere);
        assert!(named.contains("mallory"), "{named}");
    }
    operators[0].step("join", json!({ "codes": codes }));
    let warning = operators[0].status().unwrap().warning.unwrap();
    assert!(warning.contains("none may fail"), "{warning}");
    let proposed = operators[0].step("propose", proposal("two"));
    assert_eq!(proposed["warning"], json!(warning));
    let others = refused(&operators[0], "join", json!({ "codes": [] }));
    assert!(others.contains("other codes"), "{others}");
    let nobodys = ["abandon"; 12].join(" ");
    let words = json!({ "phrase": nobodys });
    assert!(refused(&operators[0], "confirm", words).contains("do not confirm"));
    let nameless = json!({ "name": "", "network": "regtest" });
    assert!(refused(&operators[0], "propose", nameless).contains("name"));
    assert!(refused(&operators[0], "finish", json!({})).contains("no keys"));
    assert!(refused(&operators[0], "close", json!({})).contains("no keys"));

    // What is forgotten is forgotten.
    operators[0].step("abort", json!({}));
    assert_eq!(operators[0].status().unwrap().stage, SetupStage::Code);
    assert_ne!(operators[0].code("one"), codes[0]);
    operators.iter_mut().for_each(Operator::stop);
}

/// Power may fail while everything is being erased: nothing of it may get into the next founding.
#[test]
fn what_was_not_quite_forgotten_is_forgotten_at_the_next_start() {
    let mut operators = operators(2);
    join(&operators);
    propose(&operators);
    operators.iter_mut().for_each(Operator::stop);
    let folder = operators[0].data_dir().join("founding");
    let length = std::fs::metadata(folder.join("seed")).unwrap().len();
    std::fs::write(folder.join("seed"), vec![0; length as usize]).unwrap();
    operators[0].start();
    assert_eq!(operators[0].status().unwrap().stage, SetupStage::Code);
    operators[0].code("one");
    operators[0].stop();
    operators[0].start();
    assert_eq!(operators[0].status().unwrap().stage, SetupStage::Join);
    operators[0].stop();
}

#[test]
fn who_joined_with_a_wrong_list_joins_again_until_something_is_proposed() {
    let mut operators = operators(3);
    let codes: Vec<_> = operators.iter().map(|one| one.code("somebody")).collect();
    operators[0].step("join", json!({ "codes": codes[..2] }));
    assert_eq!(operators[0].status().unwrap().guardians.len(), 2);
    operators[0].stop();
    operators[0].start();
    join_with(&operators, &codes);
    let all = |one: &Operator| {
        let guardians = one.status().map(|status| status.guardians);
        let guardians = guardians.unwrap_or_default();
        let reached = guardians.iter().filter(|one| one.connected || one.is_self);
        reached.count() == 3
    };
    operators[0].wait_for("the others", all);
    operators[0].stop();
    operators[0].start();
    assert_eq!(operators[0].status().unwrap().guardians.len(), 3);
    propose(&operators);
    let again = json!({ "codes": codes[..2] });
    let (code, answer) = operators[0].try_step("join", &again);
    assert_eq!(code, 409, "{answer}");
    assert_eq!(operators[0].status().unwrap().guardians.len(), 3);
    operators.iter_mut().for_each(Operator::stop);
}

/// A proposal with a wallet, for which wallets get these Electrum servers.
fn with_wallet(electrum: &Json) -> Json {
    let hash = "00".repeat(32);
    let terms = json!({
        "finality_blocks": 6, "start": { "height": 0, "hash": hash }, "min_peg_in_sat": 10_000,
        "fee_rate_bounds": { "min_sat_per_kvb": 1_000, "max_sat_per_kvb": 500_000 },
        "peg_in_fee": 0, "peg_out_fee": 0, "max_queue": 100, "electrum": electrum, "recovery": null,
    });
    let mut proposal = proposal("with a wallet");
    let modules = proposal["proposal"]["modules"].as_array_mut().unwrap();
    modules.push(json!({ "kind": "wallet", "terms": terms }));
    proposal
}

#[test]
fn a_proposal_without_an_electrum_server_for_wallets_is_warned_of() {
    let mut operators = operators(4);
    join(&operators);
    let one = &operators[0];
    let named = one.step("propose", with_wallet(&json!(["ssl://a:1"])));
    assert_eq!(named["warning"], Json::Null);
    assert_eq!(one.status().unwrap().warning, None);
    let warned = one.step("propose", with_wallet(&json!([])));
    let warning = warned["warning"].as_str().unwrap();
    assert!(warning.contains("--electrum-for-wallets"), "{warning}");
    assert_eq!(one.status().unwrap().warning.as_deref(), Some(warning));
    let wrong = json!({ "name": "x", "network": "regtest", "electrum": ["a:1"] });
    let (code, answer) = one.try_step("propose", &wrong);
    assert_eq!(
        (code, &answer["code"]),
        (422, &json!("electrum")),
        "{answer}"
    );
    operators.iter_mut().for_each(Operator::stop);
}

#[test]
fn another_proposal_is_another_phrase_and_nothing_is_written() {
    let mut operators = operators(4);
    join(&operators);
    let phrase = propose(&operators);
    assert_eq!(operators[0].status().unwrap().warning, None);
    let other = operators[3].step("propose", proposal("changed"));
    let other = other["check_phrase"].as_str().unwrap();
    assert_ne!(other, phrase);
    for operator in &operators[..3] {
        operator.step("confirm", json!({ "phrase": phrase }));
    }
    operators[3].step("confirm", json!({ "phrase": other }));
    operators[0].wait_for("the other confirmation", |one| {
        let guardians = one
            .status()
            .map(|status| status.guardians)
            .unwrap_or_default();
        let confirmed: BTreeMap<_, usize> =
            guardians
                .iter()
                .fold(BTreeMap::new(), |mut counts, guardian| {
                    *counts.entry(guardian.confirmed.clone()).or_default() += 1;
                    counts
                });
        confirmed.values().any(|count| *count == 3) && !confirmed.contains_key(&None)
    });
    operators[0].wait_for_stage(SetupStage::Confirm);
    let status = operators[0].status().unwrap();
    assert_eq!(status.waiting_for.len(), 1);
    for operator in &mut operators {
        operator.stop();
        assert!(!operator.data_dir().join("consensus.toml").exists());
        assert!(!operator.data_dir().join("secrets").exists());
    }
}

/// SPEC SET-2: it has its keys, has told so, and loses power before it hears of the others.
#[test]
fn a_guardian_that_was_away_when_the_others_left_finds_out_by_itself() {
    let mut operators = operators(4);
    join(&operators);
    let phrase = propose(&operators);
    for operator in &operators {
        operator.step("confirm", json!({ "phrase": phrase }));
    }
    let mut last = operators.pop().unwrap();
    let folder = last.data_dir().join("founding");
    let me = last
        .status()
        .unwrap()
        .guardians
        .iter()
        .position(|one| one.is_self);
    let knows = |other: &Operator| {
        // Without a listener it has all that it needs.
        let Some(status) = other.status() else {
            return true;
        };
        status
            .guardians
            .get(me.unwrap())
            .is_some_and(|one| one.done)
    };
    // Quickly: it leaves three seconds after it knows that all have their keys.
    let began = Instant::now();
    while !operators.iter().all(knows) {
        assert!(began.elapsed() < PATIENCE, "no keys");
    }
    last.stop();
    let _ = std::fs::remove_file(folder.join("all-done"));
    assert!(is_due(last.data_dir()), "it has erased its seed already");
    let founded: Vec<_> = operators.iter_mut().map(Operator::end).collect();

    // Nobody is left who could tell it.
    last.start();
    let run = |operator: &Operator| {
        let config = Config::load(operator.data_dir(), PASSPHRASE, operator.settings()).unwrap();
        task::block_on(Guardian::start(&modules(), config)).unwrap()
    };
    let guardians: Vec<_> = operators.iter().map(run).collect();
    assert_eq!(last.end(), founded[0]);
    for guardian in guardians {
        task::block_on(guardian.stop()).unwrap();
    }
}
