//! A guardian that answers by script, and a client that says exactly what it is told to.
#![allow(dead_code, reason = "not every test uses all of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod browser;
pub mod overview;

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc, Mutex,
    },
    time::Duration,
};

use async_std::{
    channel::{unbounded, Receiver, Sender},
    future::timeout,
    io::{ReadExt as _, WriteExt as _},
    net::TcpStream,
};
use async_trait::async_trait;
use guildmint_api::{
    serve_admin, serve_public, Access, Backend, Check, EventHub, Limits, Overview, Serving, Token,
};
use guildmint_core::{
    api::{
        AnnouncementsAnswer, AuditAnswer, ConfigAnswer, Problem, Revise, RevisionReport,
        RevisionsAnswer, StatusAnswer, TransactionAnswer, TransactionStatus,
    },
    module::Query,
    Conditions, Epoch, FederationId, IdentitySignature, Item, ModuleId, PeerId, Revision,
    RevisionHash, SignedRevision, Transaction, TxId, Values, Wire as _,
};
use serde_json::{json, Value as Json};

pub const TXID: TxId = TxId([0xab; 32]);

/// Answers by script.
#[derive(Clone)]
pub struct Scripted {
    /// What a submission is answered.
    pub verdict: Arc<Mutex<Result<TransactionStatus, Problem>>>,
    pub submitted: Arc<Mutex<Vec<Vec<u8>>>>,
    pub ready: Arc<AtomicBool>,
    /// How long clients asked to wait.
    pub waits: (Sender<Duration>, Receiver<Duration>),
    /// Ends a wait.
    pub news: (Sender<()>, Receiver<()>),
    /// What federation and guardians call themselves.
    pub name: Arc<Mutex<String>>,
    /// Whom events are told.
    pub events: EventHub,
}

impl Default for Scripted {
    fn default() -> Self {
        Self {
            verdict: Arc::new(Mutex::new(Ok(TransactionStatus::Pending))),
            submitted: Arc::default(),
            ready: Arc::new(AtomicBool::new(true)),
            waits: unbounded(),
            news: unbounded(),
            name: Arc::new(Mutex::new("guild".into())),
            events: EventHub::default(),
        }
    }
}

impl Scripted {
    pub fn say(&self, verdict: Result<TransactionStatus, Problem>) {
        *self.verdict.lock().unwrap() = verdict;
    }
}

pub fn accepted() -> TransactionStatus {
    TransactionStatus::Accepted {
        epoch: Epoch(7),
        outcomes: vec![json!("share"), Json::Null],
    }
}

/// What a module says of its questions.
const QUESTIONS: &str = r##"{
    "paths": {
        "/v1/mint/spent": { "get": { "responses": { "200": { "description": "…" } } } },
        "/v1/status": { "get": "not a module's" }
    },
    "schemas": { "MintSpent": { "type": "boolean" }, "Hash": "not a module's" }
}"##;

#[async_trait]
impl Backend for Scripted {
    async fn submit(&self, bytes: Vec<u8>) -> Result<TransactionAnswer, Problem> {
        self.submitted.lock().unwrap().push(bytes);
        let status = self.verdict.lock().unwrap().clone()?;
        Ok(TransactionAnswer { txid: TXID, status })
    }

    async fn transaction(&self, txid: TxId, wait: Duration) -> Result<TransactionAnswer, Problem> {
        self.waits.0.send(wait).await.unwrap();
        let status = if wait.is_zero() {
            TransactionStatus::Unknown
        } else {
            self.news.1.recv().await.unwrap();
            accepted()
        };
        Ok(TransactionAnswer { txid, status })
    }

    async fn audit(&self) -> Result<AuditAnswer, Problem> {
        Ok(AuditAnswer {
            epoch: Some(Epoch(7)),
            assets_msat: 5,
            liabilities_msat: 3,
            net_msat: 2,
            modules: BTreeMap::new(),
            certificate: None,
        })
    }

    async fn status(&self) -> StatusAnswer {
        StatusAnswer {
            peer: PeerId(1),
            version: "1.2.3".into(),
            committed: Some(Epoch(7)),
            height: 800_000,
            pool: 0,
            not_ready: None,
            catching_up: None,
            runs_twice: Vec::new(),
            versions: BTreeMap::new(),
            revision: 0,
            halted: None,
        }
    }

    async fn config(&self) -> ConfigAnswer {
        ConfigAnswer {
            federation: FederationId([1; 32]),
            genesis: vec![1, 2],
            apis: BTreeMap::new(),
        }
    }

    fn questions(&self) -> Vec<&'static str> {
        vec![QUESTIONS, "no JSON"]
    }

    async fn announcements(&self) -> Result<AnnouncementsAnswer, Problem> {
        Ok(AnnouncementsAnswer {
            announcements: Vec::new(),
        })
    }

    async fn revisions(&self, after: u32) -> Result<RevisionsAnswer, Problem> {
        let revision = Revision {
            number: after + 1,
            previous: RevisionHash([7; 32]),
            values: Values {
                name: "a name".into(),
                guardians: vec!["a".into()],
                conditions: [(ModuleId(0), Conditions(vec![1]))].into(),
            },
        };
        let signatures = [(PeerId(0), IdentitySignature([2; 64]))].into();
        Ok(RevisionsAnswer {
            latest: after + 1,
            revisions: vec![SignedRevision {
                revision,
                signatures,
            }],
        })
    }

    async fn revise(&self, said: Revise) -> Result<RevisionReport, Problem> {
        if let Revise::Approve(name) = said {
            return Err(Problem::new(422, "cannot_revise", name, false));
        }
        Ok(RevisionReport {
            approves: None,
            number: 3,
            from: None,
            signed_by: vec![],
            needed: 3,
            present: json!({ "said": said }),
            proposals: vec![],
        })
    }

    async fn query(&self, kind: String, query: Query) -> Result<Json, Problem> {
        match kind.as_str() {
            "mint" => Ok(json!({ "path": query.path, "parameters": query.parameters })),
            "name" => {
                let name = self.name.lock().unwrap().clone();
                self.waits.0.send(Duration::ZERO).await.unwrap();
                Ok(json!({ "name": name, "parameters": query.parameters }))
            }
            "large" => Ok(json!("x".repeat(32 * 1024 * 1024))),
            "panic" => panic!("scripted"),
            "slow" => std::future::pending().await,
            _ => Err(Problem::new(404, "unknown_module", "there is none", false)),
        }
    }

    async fn ready(&self) -> Vec<Check> {
        vec![Check {
            name: "peers".into(),
            ok: self.ready.load(Ordering::Relaxed),
            detail: "3 of 4".into(),
        }]
    }

    async fn overview(&self) -> Arc<Overview> {
        Arc::new(overview::overview(&self.name.lock().unwrap()))
    }

    fn events(&self) -> &EventHub {
        &self.events
    }

    async fn metrics(&self) -> String {
        "guildmint_epochs_total 7\n# EOF\n".into()
    }
}

/// A transaction that decodes.
pub fn transaction(bytes: usize) -> Transaction {
    let item = Item {
        module: ModuleId(1),
        bytes: vec![7; bytes],
    };
    Transaction {
        inputs: vec![item],
        outputs: vec![],
        signatures: vec![None],
    }
}

/// Long enough for anything that ends at all, on any machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub fn run<T>(test: impl Future<Output = T>) -> T {
    async_std::task::block_on(timeout(PATIENCE, test)).expect("the test hangs")
}

pub async fn serve(limits: Limits) -> (Scripted, Serving) {
    let backend = Scripted::default();
    let address = "127.0.0.1:0".parse().unwrap();
    let serving = serve_public(backend.clone(), address, limits)
        .await
        .unwrap();
    (backend, serving)
}

/// The operator's listener, opened by this token.
pub async fn serve_operator(access: Access) -> (Scripted, Serving) {
    let backend = Scripted::default();
    let address = "127.0.0.1:0".parse().unwrap();
    let serving = serve_admin(backend.clone(), access, address, Limits::default());
    (backend, serving.await.unwrap())
}

pub fn token() -> Token {
    Token::parse(&"5a".repeat(32)).unwrap()
}

/// One connection.
pub struct Client {
    pub stream: TcpStream,
    unread: Vec<u8>,
}

#[derive(Debug, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Client {
    pub async fn connect(serving: &Serving) -> Self {
        Self {
            stream: TcpStream::connect(serving.address()).await.unwrap(),
            unread: Vec::new(),
        }
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
        self
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.ask("GET", path).await
    }

    pub async fn ask(&mut self, method: &str, path: &str) -> Answer {
        let head = format!("{method} {path} HTTP/1.1\r\nHost: guardian\r\n\r\n");
        self.send(head).await;
        match method {
            "HEAD" => self.head().await,
            _ => self.answer().await,
        }
    }

    /// A request with these headers and no body.
    pub async fn with(&mut self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send_form(method, path, headers, "").await
    }

    /// A request with these headers, and this form unless it is empty.
    pub async fn send_form(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        form: &str,
    ) -> Answer {
        let mut head = format!("{method} {path} HTTP/1.1\r\n");
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        if !form.is_empty() {
            head += "Content-Type: application/x-www-form-urlencoded\r\n";
        }
        self.send(format!(
            "{head}Content-Length: {}\r\n\r\n{form}",
            form.len()
        ))
        .await;
        self.answer().await
    }

    pub async fn post(&mut self, path: &str, kind: &str, body: &[u8]) -> Answer {
        self.send(post(path, kind, body)).await;
        self.answer().await
    }

    /// The next answer.
    pub async fn answer(&mut self) -> Answer {
        let mut answer = self.head().await;
        let length = answer.headers.get("content-length");
        let length: usize = length.map_or(0, |length| length.parse().unwrap());
        while self.unread.len() < length {
            assert!(self.fill().await > 0, "the answer is cut off: {answer:?}");
        }
        answer.body = self.unread.drain(..length).collect();
        answer
    }

    /// The next answer's head.
    pub async fn head(&mut self) -> Answer {
        let end = loop {
            let end = self
                .unread
                .windows(4)
                .position(|bytes| bytes == b"\r\n\r\n");
            match end {
                Some(end) => break end + 4,
                None => assert!(self.fill().await > 0, "no answer: {:?}", self.unread),
            }
        };
        let head: Vec<u8> = self.unread.drain(..end).collect();
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap();
        let headers = lines.filter_map(|line| line.split_once(": "));
        Answer {
            status: status.parse().unwrap(),
            headers: headers
                .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
                .collect(),
            body: Vec::new(),
        }
    }

    /// Whether the server closes the connection without saying more.
    pub async fn is_closed(&mut self) -> bool {
        self.unread.is_empty() && self.fill().await == 0
    }

    /// Whether this is in what was read and not taken yet.
    pub fn has_unread(&self, part: &str) -> bool {
        String::from_utf8_lossy(&self.unread).contains(part)
    }

    /// Takes what was read.
    pub fn forget(&mut self) {
        self.unread.clear();
    }

    /// Reads what has come; 0 at the end.
    pub async fn read_more(&mut self) -> usize {
        self.fill().await
    }

    async fn fill(&mut self) -> usize {
        let mut chunk = [0; 4096];
        let count = self.stream.read(&mut chunk).await.unwrap_or(0);
        self.unread.extend_from_slice(&chunk[..count]);
        count
    }
}

pub fn post(path: &str, kind: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: guardian\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

impl Answer {
    pub fn json(&self) -> Json {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Status and code, if it is a whole problem.
    pub fn problem(&self) -> (u16, String) {
        assert_eq!(
            self.headers["content-type"], "application/problem+json",
            "{self:?}"
        );
        let problem: Problem = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(problem.status, self.status);
        (self.status, problem.code)
    }

    pub fn is_problem(&self, status: u16, code: &str) -> bool {
        self.problem() == (status, code.to_owned())
    }
}

pub fn encoded() -> Vec<u8> {
    transaction(10).encode()
}
