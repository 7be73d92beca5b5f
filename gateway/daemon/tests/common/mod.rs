//! A gateway with a node and a federation in memory, asked over HTTP.
#![allow(dead_code, reason = "not every test uses all of it")]

use std::{
    sync::{Arc, Mutex},
    time::{SystemTime, UNIX_EPOCH},
};

use async_std::task::block_on;
use async_trait::async_trait;
use bitcoin::Network;
use guildmint_client::{Command, Reply};
use guildmint_core::{Amount, FederationId};
use guildmint_daemon::settings::AdminSettings;
use guildmint_gateway::{
    federation::{
        fake::{user_key, FakeFederation},
        News, Order,
    },
    node::{
        fake::{FakeLightning, FakeNode},
        InvoiceOrder, LightningNode, Preimage,
    },
};
use guildmint_gatewayd::{
    config::{Lightning, LogFormat, Settings},
    federations::{
        EcashError, Federation, Federations, FederationsError, Look, NewsSender, Started,
    },
    no_node, Gatewayd, Parts, Place,
};
use guildmint_ln::{InvoiceHash, OutgoingContract, PayRequest};
use serde_json::{json, Value as Json};
use tempfile::TempDir;

/// What the one federation is joined by.
pub const INVITE: &str = "guild1fake";

/// What wallets and the operator wait at most.
const PATIENCE_SECONDS: u64 = 60;

pub fn settings(folder: &TempDir) -> Settings {
    Settings {
        data_dir: folder.path().to_owned(),
        api_listen: "127.0.0.1:0".parse().unwrap(),
        admin_listen: "127.0.0.1:0".parse().unwrap(),
        api_url: Some("http://gateway.example".to_owned()),
        network: Network::Regtest,
        electrum: None,
        lightning: Lightning::None,
        lightning_listen: "127.0.0.1:0".parse().unwrap(),
        lightning_announce: Vec::new(),
        alias: "test".to_owned(),
        postgres: None,
        witness_dir: None,
        log_format: LogFormat::Text,
        log: "info".to_owned(),
        admin: AdminSettings::default(),
        accept_old_copy: false,
    }
}

/// The client of the federation in memory.
struct FakeClient {
    federation: FakeFederation,
    news: NewsSender,
    commands: Arc<Mutex<Vec<Command>>>,
}

impl FakeClient {
    fn tell(&self, news: News) {
        // There is room for more than a test tells.
        let _ = self.news.try_send((self.federation.id(), news));
    }
}

#[async_trait]
impl Federation for FakeClient {
    fn order(&self, order: Order) {
        self.federation.order(order);
        for news in self.federation.turn() {
            self.tell(news);
        }
    }

    async fn command(&self, command: Command) -> Result<Reply, EcashError> {
        self.commands.lock().unwrap().push(command.clone());
        match command {
            Command::Quote { .. } => Ok(Reply::Quote {
                fee_sat: 300,
                federation_fee: Amount::ZERO,
            }),
            Command::Receive { .. } => Err(EcashError {
                code: "note_spent".to_owned(),
                message: "they are spent".to_owned(),
                retryable: false,
            }),
            Command::Withdraw { .. } => Ok(Reply::Started {
                operation: "op-1".parse().unwrap(),
            }),
            _ => Ok(Reply::Done {}),
        }
    }

    async fn look(&self) -> Look {
        Look {
            name: "Fake <b>federation</b>".to_owned(),
            available: self.federation.state().ecash,
            pending: Amount::ZERO,
        }
    }

    async fn operations(&self, operation: Option<&str>) -> Result<Json, EcashError> {
        match operation {
            None => Ok(json!({ "operations": [] })),
            // It stops between beginning one and showing it.
            Some(_) => Err(EcashError {
                code: "stopping".to_owned(),
                message: "it has stopped".to_owned(),
                retryable: true,
            }),
        }
    }

    async fn stop(&self) {}
}

/// Where the federation in memory is joined.
pub struct OneFederation {
    pub federation: FakeFederation,
    pub joined: Mutex<bool>,
    /// How often its client was started by joining.
    pub started: Mutex<u32>,
    pub commands: Arc<Mutex<Vec<Command>>>,
}

impl OneFederation {
    fn client(&self, news: NewsSender) -> Started {
        let client = FakeClient {
            federation: self.federation.clone(),
            news,
            commands: Arc::clone(&self.commands),
        };
        client.tell(News::State(self.federation.state()));
        Started {
            id: self.federation.id(),
            network: Network::Regtest,
            federation: Arc::new(client),
        }
    }
}

#[async_trait]
impl Federations for OneFederation {
    async fn start(&self, news: NewsSender) -> Result<Vec<Started>, FederationsError> {
        let is_joined = *self.joined.lock().unwrap();
        Ok(is_joined.then(|| self.client(news)).into_iter().collect())
    }

    fn named(&self, invite: &str) -> Result<FederationId, FederationsError> {
        match invite {
            INVITE => Ok(self.federation.id()),
            _ => Err(FederationsError::Invite("it is another".to_owned())),
        }
    }

    async fn join(&self, invite: &str, news: NewsSender) -> Result<Started, FederationsError> {
        self.named(invite)?;
        *self.joined.lock().unwrap() = true;
        *self.started.lock().unwrap() += 1;
        Ok(self.client(news))
    }
}

/// A gateway, and the world around it.
pub struct World {
    pub folder: TempDir,
    pub gateway: Option<Gatewayd>,
    pub lightning: FakeLightning,
    pub node: FakeNode,
    /// Whether the gateway has that node, or none.
    has_node: bool,
    pub payee: FakeNode,
    pub federations: Arc<OneFederation>,
    pub token: String,
}

impl World {
    /// One that serves no federation yet.
    pub fn new() -> Self {
        Self::make(true)
    }

    fn make(has_node: bool) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let lightning = FakeLightning::new(7, now.as_secs());
        let federations = Arc::new(OneFederation {
            federation: FakeFederation::new(1, Amount::from_sat(100_000).unwrap()),
            joined: Mutex::default(),
            started: Mutex::default(),
            commands: Arc::default(),
        });
        let mut world = Self {
            folder: tempfile::tempdir().unwrap(),
            gateway: None,
            node: lightning.add_node(1_000_000_000),
            payee: lightning.add_node(1_000_000_000),
            has_node,
            lightning,
            federations,
            token: String::new(),
        };
        world.start();
        world
    }

    /// One that serves its federation.
    pub fn joined() -> Self {
        Self::join(Self::new())
    }

    /// One that has no node.
    pub fn without_node() -> Self {
        Self::join(Self::make(false))
    }

    fn join(world: Self) -> Self {
        let joined = world.operator("/federations", Some(json!({ "invite": INVITE })));
        assert_eq!(joined.0, 200, "{joined:?}");
        world.until_ready();
        world
    }

    pub fn start(&mut self) {
        let settings = settings(&self.folder);
        let place = Place::open(&settings, None, Arc::new(|lost| panic!("{lost}"))).unwrap();
        let node: Arc<dyn LightningNode> = match self.has_node {
            true => Arc::new(self.node.clone()),
            false => Arc::new(no_node(&settings, &place)),
        };
        let parts = Parts {
            settings,
            place,
            node,
            lightning: vec!["127.0.0.1:9735".to_owned()],
            federations: Arc::clone(&self.federations) as _,
        };
        self.gateway = Some(block_on(Gatewayd::start(parts)).unwrap());
        let cookie = self.folder.path().join("admin.cookie");
        self.token = std::fs::read_to_string(cookie).unwrap().trim().to_owned();
    }

    pub fn stop(&mut self) {
        let gateway = self.gateway.take().unwrap();
        let store = gateway.store().clone();
        block_on(gateway.stop());
        store.close().unwrap();
    }

    pub fn gateway(&self) -> &Gatewayd {
        self.gateway.as_ref().unwrap()
    }

    pub fn public_url(&self) -> String {
        format!("http://{}", self.gateway().api().address())
    }

    pub fn admin_url(&self) -> String {
        format!("http://{}", self.gateway().admin())
    }

    /// What a wallet is answered.
    pub fn wallet(&self, path: &str, body: Option<Json>) -> (u16, Json) {
        ask(&format!("{}{path}", self.public_url()), body, None)
    }

    /// What the operator is answered.
    pub fn operator(&self, path: &str, body: Option<Json>) -> (u16, Json) {
        let url = format!("{}{path}", self.admin_url());
        ask(&url, body, Some(&self.token))
    }

    /// The loop has taken what was told before this is answered; a few looks, and it is as it is.
    pub fn until_ready(&self) {
        self.until(|world| world.wallet("/v1/gateway", None).1["ready"] == true);
    }

    pub fn until(&self, is: impl Fn(&Self) -> bool) {
        let began = std::time::Instant::now();
        while !is(self) {
            assert!(began.elapsed().as_secs() < PATIENCE_SECONDS, "it never is");
            std::thread::yield_now();
        }
    }

    pub fn federation(&self) -> FederationId {
        self.federations.federation.id()
    }

    /// A payee's invoice for so much.
    pub fn invoice(&self, preimage: &Preimage, amount_msat: u64) -> String {
        self.payee.know(preimage);
        let order = InvoiceOrder {
            hash: preimage.hash(),
            amount_msat,
            description: "a book".into(),
            expiry_s: 3600,
            min_final_cltv_delta: 18,
        };
        self.payee.make_invoice(&order).unwrap()
    }

    /// A user locks what paying the invoice takes.
    pub fn fund(&self, preimage: &Preimage, invoice: &str, amount_msat: u64) -> PayRequest {
        let info = self.wallet("/v1/gateway", None).1;
        let key = info["federations"][0]["key"].as_str().unwrap();
        let federation = &self.federations.federation;
        let contract = federation.fund(OutgoingContract {
            hash: preimage.hash().into(),
            amount: Amount::from_msat(amount_msat).unwrap(),
            gateway_key: key.parse().unwrap(),
            refund_key: user_key(1),
            timelock: 1200,
            invoice_hash: InvoiceHash::new(invoice),
        });
        PayRequest {
            federation: federation.id(),
            contract,
            invoice: invoice.to_owned(),
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if self.gateway.is_some() && !std::thread::panicking() {
            self.stop();
        }
    }
}

pub fn ask(url: &str, body: Option<Json>, token: Option<&str>) -> (u16, Json) {
    let answer = raw(url, body, token);
    let json = serde_json::from_slice(answer.as_bytes()).unwrap_or_default();
    (answer.status_code, json)
}

pub fn raw(url: &str, body: Option<Json>, token: Option<&str>) -> minreq::Response {
    let mut request = match body {
        Some(body) => minreq::post(url)
            .with_header("content-type", "application/json")
            .with_body(body.to_string()),
        None => minreq::get(url),
    };
    if let Some(token) = token {
        request = request.with_header("authorization", format!("Bearer {token}"));
    }
    request.with_timeout(PATIENCE_SECONDS).send().unwrap()
}

pub fn header<'a>(answer: &'a minreq::Response, name: &str) -> &'a str {
    let mut headers = answer.headers.iter();
    let found = headers.find(|(found, _)| found.eq_ignore_ascii_case(name));
    &found.unwrap().1
}
