//! Founding a federation, as operators do it: by programs and in a browser (SPEC SET-1, API-3).
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_std::{future::timeout, task};
use async_trait::async_trait;
use common::{browser::Browser, run, token, Client};
use guildmint_api::{
    done, serve_setup, Access, CodeStep, ConfirmStep, JoinStep, Limits, ProposeStep, Serving,
    SetupBackend, SetupGuardian, SetupProposal, SetupStage, SetupStatus, SetupStep,
};
use guildmint_core::{api::Problem, PeerId};
use serde_json::{json, Value as Json};

const HOSTILE: &str = "<script>pwned=1</script>\u{202e}";

const PHRASE: &str =
    "abandon ability able about above absent absorb abstract absurd abuse access accident";

/// A guardian that goes from step to step whatever it is told, but for one word that it refuses.
#[derive(Clone)]
struct Founder {
    status: Arc<Mutex<SetupStatus>>,
    steps: Arc<Mutex<Vec<SetupStep>>>,
}

impl Founder {
    fn new() -> Self {
        let status = SetupStatus {
            version: "1".into(),
            warning: None,
            stage: SetupStage::Code,
            next: "Make this guardian's setup code.".into(),
            code: None,
            guardians: Vec::new(),
            proposals: Vec::new(),
            confirmed: None,
            waiting_for: Vec::new(),
            keys: None,
            federation: None,
            failure: None,
        };
        Self {
            status: Arc::new(Mutex::new(status)),
            steps: Arc::default(),
        }
    }

    fn last(&self) -> SetupStep {
        self.steps.lock().unwrap().last().unwrap().clone()
    }
}

fn guardian(number: u16, name: &str) -> SetupGuardian {
    SetupGuardian {
        guardian: PeerId(number),
        name: name.into(),
        is_self: number == 0,
        connected: true,
        confirmed: None,
        done: false,
    }
}

#[async_trait]
impl SetupBackend for Founder {
    async fn status(&self) -> SetupStatus {
        self.status.lock().unwrap().clone()
    }

    async fn changed(&self, version: String, wait: Duration) -> SetupStatus {
        let changed = async {
            loop {
                let status = self.status().await;
                if status.version != version {
                    return status;
                }
                task::yield_now().await;
            }
        };
        match timeout(wait, changed).await {
            Ok(status) => status,
            Err(_) => self.status().await,
        }
    }

    async fn take(&self, step: SetupStep) -> Result<Json, Problem> {
        self.steps.lock().unwrap().push(step.clone());
        let mut status = self.status.lock().unwrap();
        match step {
            SetupStep::Code(step) if step.name == "refused" => {
                return Err(Problem::new(422, "code", "another name, please", false));
            }
            SetupStep::Code(_) => {
                status.stage = SetupStage::Join;
                status.code = Some("guildsetup1qqqq".into());
            }
            SetupStep::Join(_) => {
                status.stage = SetupStage::Propose;
                status.guardians = vec![guardian(0, "alice"), guardian(1, HOSTILE)];
            }
            SetupStep::Propose(_) => {
                status.stage = SetupStage::Confirm;
                status.proposals.push(SetupProposal {
                    by: PeerId(1),
                    session: "5e".repeat(32),
                    check_phrase: PHRASE.into(),
                    proposal: json!({ "name": HOSTILE }),
                    problem: None,
                });
            }
            SetupStep::Confirm(_) => {
                status.stage = SetupStage::Keys;
                status.confirmed = Some("5e".repeat(32));
                status.keys = Some(json!({ "phase": "dealing", "waiting_for": [1] }));
            }
            SetupStep::Close | SetupStep::Finish | SetupStep::Abort => {}
        }
        Ok(done())
    }
}

fn founder() -> (Founder, Serving) {
    let founder = Founder::new();
    let address = "127.0.0.1:0".parse().unwrap();
    let access = Access::by_token(token());
    let serving = serve_setup(founder.clone(), access, address, Limits::default());
    (founder, run(serving).unwrap())
}

#[test]
fn an_operator_founds_a_federation_in_a_browser() {
    let (founder, serving) = founder();
    let mut browser = Browser::start();
    browser.open(&format!("http://{}/", serving.address()));
    let set = |field: &str, value: &str| {
        format!("document.querySelector('[name={field}]').value = {value:?};")
    };
    let submit = |action: &str| {
        format!("document.querySelector('form[action=\"/setup/{action}\"] button').click()")
    };
    let text = "document.querySelector('main').innerText";
    browser.follow(&format!(
        "{} document.querySelector('button').click()",
        set("password", token().reveal())
    ));
    let addresses = set("p2p", "/dns4/a/tcp/1 /dns4/b/tcp/2") + &set("api", "https://a");
    browser.follow(&[set("name", "refused"), addresses.clone(), submit("code")].concat());
    let wrong = browser.evaluate("document.querySelector('[role=alert]').textContent");
    assert_eq!(wrong, json!("another name, please"));
    browser.follow(&[set("name", "alice"), addresses, submit("code")].concat());
    let expected = CodeStep {
        name: "alice".into(),
        p2p: vec!["/dns4/a/tcp/1".into(), "/dns4/b/tcp/2".into()],
        api: "https://a".into(),
    };
    assert_eq!(founder.last(), SetupStep::Code(expected));
    let code = browser.evaluate("document.querySelector('.copy textarea').value");
    assert_eq!(code, json!("guildsetup1qqqq"));
    assert_eq!(
        browser.evaluate("document.querySelectorAll('svg.qr').length"),
        json!(1)
    );

    browser.follow(&(set("codes", "guildsetup1a\nguildsetup1b") + &submit("join")));
    let codes = vec!["guildsetup1a".into(), "guildsetup1b".into()];
    assert_eq!(founder.last(), SetupStep::Join(JoinStep { codes }));
    assert_eq!(browser.evaluate("typeof pwned"), json!("undefined"));
    let network = "document.querySelector('[name=network]').value = 'signet';";
    let electrum = set("electrum", "ssl://a:1\nssl://b:2");
    browser.follow(
        &[
            set("name", "Mint"),
            network.into(),
            electrum,
            submit("propose"),
        ]
        .concat(),
    );
    let expected = ProposeStep {
        name: Some("Mint".into()),
        network: Some("signet".into()),
        electrum: vec!["ssl://a:1".into(), "ssl://b:2".into()],
        ..ProposeStep::default()
    };
    assert_eq!(founder.last(), SetupStep::Propose(expected));
    let shown = browser.evaluate(text);
    let shown = shown.as_str().unwrap();
    assert!(
        shown.contains(PHRASE) && !shown.contains('\u{202e}'),
        "{shown}"
    );

    browser.follow(&submit("confirm"));
    let phrase = PHRASE.into();
    assert_eq!(founder.last(), SetupStep::Confirm(ConfirmStep { phrase }));
    let shown = browser.evaluate(text);
    assert!(shown.as_str().unwrap().contains("dealing"), "{shown}");
    browser.follow(&submit("close"));
    assert_eq!(founder.last(), SetupStep::Close);
    // Nobody does anything in the browser.
    let mut status = founder.status.lock().unwrap();
    status.next = "Something happened.".into();
    status.warning = Some("None may fail.".into());
    status.version = "2".into();
    drop(status);
    let shown = loop {
        let there = browser.glance();
        if let Some(there) = there.filter(|there| there.contains("Something happened.")) {
            break there;
        }
    };
    assert!(shown.contains("None may fail."), "{shown}");
    assert_eq!(browser.evaluate("typeof pwned"), json!("undefined"));
    let complaints = browser.complaints();
    let about_pages = complaints.iter().filter(|text| !text.contains("favicon"));
    // The refused step was answered 422.
    let others: Vec<_> = about_pages.filter(|text| !text.contains("422")).collect();
    assert!(others.iter().all(|text| text.contains("404")), "{others:?}");
}

#[test]
fn programs_take_steps_with_the_token_and_strangers_take_none() {
    let (founder, serving) = founder();
    run(async {
        let mut client = Client::connect(&serving).await;
        let host = ("Host", "127.0.0.1");
        let stranger = client.with("GET", "/v1/setup", &[host]).await;
        assert!(stranger.is_problem(401, "unauthorized"));
        let body = json!({ "phrase": PHRASE }).to_string();
        let kind = "application/json";
        let stranger = client
            .post("/v1/setup/confirm", kind, body.as_bytes())
            .await;
        assert_ne!(stranger.status, 200);
        assert!(founder.steps.lock().unwrap().is_empty());

        let bearer = format!("Bearer {}", token().reveal());
        let headers = [host, ("Authorization", bearer.as_str())];
        let status = client.with("GET", "/v1/setup", &headers).await;
        let status: SetupStatus = serde_json::from_value(status.json()).unwrap();
        assert_eq!(status, founder.status().await);
        let path = "/v1/setup?wait=30&version=0";
        let at_once = client.with("GET", path, &headers).await.json();
        assert_eq!(at_once["version"], "1");
        let later = task::spawn({
            let founder = founder.clone();
            async move {
                task::yield_now().await;
                founder.status.lock().unwrap().version = "2".into();
            }
        });
        let path = "/v1/setup?wait=30&version=1";
        let changed = client.with("GET", path, &headers).await.json();
        assert_eq!(changed["version"], "2");
        later.await;
        let wrong = client.with("GET", "/v1/setup?wait=x", &headers).await;
        assert_eq!(wrong.status, 400);
        let status = client.with("GET", "/status", &headers).await.json();
        assert_eq!(
            (&status["ready"], &status["stage"]),
            (&json!(false), &json!("code"))
        );
        let revisions = client.with("GET", "/revisions", &headers).await;
        assert!(revisions.is_problem(409, "founding"));
        let ready = client.get("/readyz").await;
        assert!(ready.is_problem(503, "founding"));
        assert_eq!(client.get("/livez").await.status, 200);
    });
}
