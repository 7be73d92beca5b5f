//! Scenario 49: gateways in two federations, and users who pay from one into the other.

use std::{collections::BTreeMap, thread, time::Duration};

use bitcoin::{Address, Amount, Network as Chain};
use guildmint_testbed::{
    cache::Cache,
    control::{control, Order},
    federation::{Federation, Guardian, FINALITY_BLOCKS},
    gateway::{Gateway, Kind},
    network::{stop_all, Keys, Network, Options, Tools},
    process::Lifetime,
    programs::{Build, Programs},
    servers::Servers,
    stop::Stop,
    wallet::{Answer, Wallet, WalletError},
};
use serde_json::Value;
use tempfile::TempDir;

/// How long anything may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);
/// E-cash that gateways and the payer begin with.
const FUNDS: Amount = Amount::from_sat(400_000);
/// What the payee asks for.
const AMOUNT_MSAT: u64 = 20_000_000;
const GUARDIANS: usize = 4;
/// Without so many of them nothing is decided.
const BLOCKING: usize = 2;
/// Payments that may come back before one is under way when the gateway is killed.
const TRIES: usize = 4;

/// A federation and one user of it.
struct Side {
    federation: Federation,
    guardians: Vec<Guardian>,
    user: Wallet,
}

/// What there is in a federation, in millisatoshi.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Books {
    user: i128,
    /// Of each gateway.
    gateways: [i128; 2],
}

/// Two gateways, one of them without a node, which serve both federations.
struct Town {
    payer: Side,
    payee: Side,
    gateways: [Gateway; 2],
    network: Network,
    _folder: TempDir,
}

/// What is started again during a story outlives the network's own value.
impl Drop for Town {
    fn drop(&mut self) {
        if let Err(error) = stop_all(self.network.directory()) {
            eprintln!("{error}");
        }
    }
}

fn network(cache: &Cache, programs: &Programs, folder: &TempDir) -> Network {
    let tools = Tools {
        // Says `run cargo testbed servers` if they are not there.
        servers: Servers::find(cache).unwrap_or_else(|error| panic!("{error}")),
        programs: Some(programs.clone()),
    };
    let options = Options {
        directory: folder.path().join("net"),
        guardians: GUARDIANS,
        databases: Default::default(),
        keys: Keys::Dealt,
        lifetime: Lifetime::Tethered,
    };
    Network::up(options, cache, &tools, &Stop::default()).unwrap_or_else(|error| panic!("{error}"))
}

impl Town {
    fn new() -> Self {
        let (cache, stop) = (Cache::from_env().unwrap(), Stop::default());
        let programs =
            Programs::build(&cache, Build::Test, &stop).unwrap_or_else(|error| panic!("{error}"));
        let gateway = Programs::build_gateway(&cache, Build::Test, &stop)
            .unwrap_or_else(|error| panic!("{error}"));
        let folder = tempfile::tempdir().unwrap();
        let mut network = network(&cache, &programs, &folder);
        network
            .add_federation(GUARDIANS, &programs, &cache)
            .unwrap();
        let kinds = [Kind::SwapOnly, Kind::Ldk];
        network.add_gateways(&kinds, &gateway, &cache).unwrap();
        let mut state = network.state().unwrap();
        let second = state.neighbours.remove(0);
        let side = |name, federation: Federation, guardians| {
            let user = Wallet::new(&programs.wallet, folder.path(), name, &stop).unwrap();
            user.run(&["init"]).unwrap();
            user.run(&["join", &federation.invite]).unwrap();
            Side {
                federation,
                guardians,
                user,
            }
        };
        let town = Self {
            payer: side("alice", state.federation.unwrap(), state.guardians),
            payee: side("bob", second.federation, second.guardians),
            gateways: state.gateways.try_into().unwrap(),
            network,
            _folder: folder,
        };
        town.fund();
        town
    }

    /// Gives alice e-cash in her federation, and the gateways some in both.
    fn fund(&self) {
        let faucet = self.network.faucet().unwrap();
        for gateway in &self.gateways {
            for side in [&self.payer, &self.payee] {
                gateway.join(&side.federation.invite).unwrap();
                let deposit = gateway.deposit(&side.federation.federation_id).unwrap();
                faucet.pay(&deposit.address().unwrap(), FUNDS).unwrap();
            }
        }
        let deposit = self.payer.user.run(&["deposit", "address"]).unwrap();
        let address: Address<_> = deposit.text("address").unwrap().parse().unwrap();
        let address = address.require_network(Chain::Regtest).unwrap();
        faucet.pay(&address, FUNDS).unwrap();
        faucet.mine(FINALITY_BLOCKS + 1).unwrap();
        let operation = deposit.text("operation").unwrap();
        let claim = ["deposit", "status", &operation, "--wait"];
        self.payer.user.run(&claim).unwrap();
        for side in [&self.payer, &self.payee] {
            self.wait("gateways that are announced", || {
                let listed = side.guardians[0].get("/v1/ln/gateways").unwrap();
                let has_ecash = |gateway| ecash(gateway, side) > 0;
                listed["gateways"].as_array().map(Vec::len) == Some(self.gateways.len())
                    && self.gateways.iter().all(has_ecash)
            });
        }
    }

    fn wait(&self, what: &str, mut probe: impl FnMut() -> bool) {
        let found = Stop::default().wait(LIMIT, || Ok::<_, ()>(probe().then_some(())));
        found.unwrap_or_else(|error| panic!("no {what}: {error:?}"));
    }

    fn order(&self, name: &str, order: Order) {
        control(self.network.directory(), name, order, &Stop::default())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }

    fn order_gateway(&self, gateway: usize, order: Order) {
        self.order(&self.gateways[gateway].spec.name, order);
    }

    /// So many guardians lose power that nothing is decided, or are there again.
    fn order_guardians(&self, side: &Side, order: Order) {
        for guardian in &side.guardians[..BLOCKING] {
            self.order(&guardian.spec.name, order);
        }
        if order == Order::Start {
            self.wait("quorum", || side.guardians.iter().all(Guardian::is_ready));
        }
    }

    /// An invoice of bob's, by the gateway.
    fn invoice(&self, gateway: usize) -> Answer {
        let (amount, key) = (
            format!("{AMOUNT_MSAT}msat"),
            key(&self.gateways[gateway], &self.payee),
        );
        let make = ["ln", "invoice", &amount, "--gateway", &key];
        self.payee.user.run(&make).unwrap()
    }

    fn pay(&self, gateway: usize, invoice: &str) -> Result<Answer, WalletError> {
        let key = key(&self.gateways[gateway], &self.payer);
        let pay = ["ln", "pay", invoice, "--yes", "--gateway", &key];
        let pay = [&pay[..], &["--timeout", "110s"]].concat();
        self.payer.user.run(&pay)
    }

    /// What a gateway says of the two sides of a swap that is under way.
    fn under_way(&self, gateway: usize, hash: &str) -> BTreeMap<String, String> {
        let payments = self.gateways[gateway].payments().unwrap();
        let open = payments["open"].as_array().unwrap().iter();
        let ours = open.filter(|payment| payment["hash"] == hash);
        let word = |value: &Value| value.as_str().unwrap().to_owned();
        ours.map(|payment| (word(&payment["federation"]), word(&payment["state"])))
            .collect()
    }

    /// Whether it is about to pay bob.
    fn funds(&self, gateway: usize, hash: &str) -> bool {
        let sides = self.under_way(gateway, hash);
        sides
            .get(&self.payee.federation.federation_id)
            .map(String::as_str)
            == Some("funding")
    }

    fn wait_until(&self, gateway: usize, hash: &str, side: &Side, state: &str) {
        self.wait(state, || {
            let sides = self.under_way(gateway, hash);
            sides
                .get(&side.federation.federation_id)
                .map(String::as_str)
                == Some(state)
        });
    }

    fn books(&self, side: &Side) -> Books {
        Books {
            user: side.user.balance_msat().unwrap().into(),
            gateways: self.gateways.each_ref().map(|gateway| ecash(gateway, side)),
        }
    }

    /// Waits until a payment that is done is in the books of all: what alice paid, what bob got, and what the gateway's ledger says that it
    /// brought and cost, to the millisatoshi.
    fn settles(&self, gateway: usize, hash: &str, paid: &Answer, before: [Books; 2]) {
        assert_eq!(paid.text("state").unwrap(), "paid");
        let mut entry = Value::Null;
        self.wait("entry in the ledger", || {
            let payments = self.gateways[gateway].payments().unwrap();
            entry = payments["ended"][0].clone();
            entry["hash"] == hash && self.under_way(gateway, hash).is_empty()
        });
        assert_eq!(entry["kind"], "swap", "{entry}");
        assert_eq!(entry["federation"], self.payer.federation.federation_id);
        let figure = |field: &str| i128::from(entry[field].as_u64().unwrap());
        let (income, cost) = (figure("income"), figure("cost"));
        assert!(income > cost, "{entry}");
        let number = |field| i128::from(paid.number(field).unwrap());
        let mut after = before;
        after[0].user -= number("amount_msat") + number("fee_msat");
        after[0].gateways[gateway] += income;
        after[1].user += i128::from(AMOUNT_MSAT);
        after[1].gateways[gateway] -= cost;
        for (side, books) in [&self.payer, &self.payee].into_iter().zip(after) {
            self.wait_books(side, books);
        }
    }

    /// Waits until users and gateways have this, and until all guardians owe just that and have it.
    fn wait_books(&self, side: &Side, books: Books) {
        let owed = books.user + books.gateways.iter().sum::<i128>();
        let mut last = None;
        let found = Stop::default().wait(LIMIT, || {
            let sheet = |guardian: &Guardian| {
                let sheet = guardian.get("/v1/audit").ok()?;
                let [assets, liabilities, net] =
                    ["assets_msat", "liabilities_msat", "net_msat"].map(|it| figure(&sheet, it));
                Some((liabilities, assets - liabilities == net && net >= 0))
            };
            let sheets: Vec<_> = side.guardians.iter().map(sheet).collect();
            let now = self.books(side);
            let right = now == books && sheets.iter().all(|it| *it == Some((owed, true)));
            last = Some((now, sheets));
            Ok::<_, ()>(right.then_some(()))
        });
        found.unwrap_or_else(|error| panic!("{error:?}: {books:?}, {owed} owed: {last:?}"));
    }
}

fn figure(sheet: &Value, field: &str) -> i128 {
    let value = &sheet[field];
    let number = value.as_i64().map(i128::from);
    let number = number.or_else(|| value.as_str()?.parse().ok());
    number.unwrap_or_else(|| panic!("no {field}: {sheet}"))
}

fn served(gateway: &Gateway, side: &Side) -> guildmint_testbed::gateway::FederationFacts {
    let mut all = gateway.status().unwrap().federations.into_iter();
    all.find(|it| it.id == side.federation.federation_id)
        .unwrap()
}

fn key(gateway: &Gateway, side: &Side) -> String {
    served(gateway, side).key
}

fn ecash(gateway: &Gateway, side: &Side) -> i128 {
    let facts = served(gateway, side);
    i128::from(facts.ecash_msat + facts.pending_msat)
}

#[test]
fn a_swap_between_two_federations_is_right_to_the_millisatoshi_though_the_gateway_is_killed() {
    let town = Town::new();
    for gateway in 0..town.gateways.len() {
        town.swap(gateway);
        town.swap_by_one_that_is_killed(gateway);
    }
}

impl Town {
    fn both_books(&self) -> [Books; 2] {
        [&self.payer, &self.payee].map(|side| self.books(side))
    }

    fn swap(&self, gateway: usize) {
        let before = self.both_books();
        let invoice = self.invoice(gateway);
        let paid = self.pay(gateway, &invoice.text("invoice").unwrap());
        let paid = paid.unwrap();
        self.credits(&invoice);
        let hash = invoice.text("payment_hash").unwrap();
        self.settles(gateway, &hash, &paid, before);
    }

    /// It is killed when it cannot pay bob, and again when it has paid him and cannot take what alice has paid.
    fn swap_by_one_that_is_killed(&self, gateway: usize) {
        let (before, invoice, paid) = self.killed_in_a_swap(gateway);
        let hash = invoice.text("payment_hash").unwrap();
        self.wait_until(gateway, &hash, &self.payer, "claiming");
        self.credits(&invoice);
        let ecash_msat = served(&self.gateways[gateway], &self.payer).ecash_msat;
        assert_eq!(i128::from(ecash_msat), before[0].gateways[gateway]);
        self.order_gateway(gateway, Order::Kill);
        self.order_guardians(&self.payer, Order::Start);
        self.order_gateway(gateway, Order::Start);
        self.settles(gateway, &hash, &paid, before);
    }

    /// A payment whose gateway was killed when it could not pay bob. A gateway that notices in time that guardians are away gives up, and alice has her
    /// money back: then they try again.
    fn killed_in_a_swap(&self, gateway: usize) -> ([Books; 2], Answer, Answer) {
        for _ in 0..TRIES {
            let before = self.both_books();
            let invoice = self.invoice(gateway);
            let hash = invoice.text("payment_hash").unwrap();
            self.order_guardians(&self.payee, Order::Kill);
            let paid = thread::scope(|scope| {
                let paying = scope.spawn(|| self.pay(gateway, &invoice.text("invoice").unwrap()));
                self.wait("decision of the gateway", || {
                    self.funds(gateway, &hash) || paying.is_finished()
                });
                let funds = !paying.is_finished();
                if funds {
                    self.order_gateway(gateway, Order::Kill);
                    self.order_guardians(&self.payer, Order::Kill);
                }
                self.order_guardians(&self.payee, Order::Start);
                if funds {
                    self.order_gateway(gateway, Order::Start);
                }
                paying.join().unwrap()
            });
            match paid {
                Ok(paid) => return (before, invoice, paid),
                Err(error) => eprintln!("{error}"),
            }
            self.wait("gateway that begins something new", || {
                let sides = [&self.payer, &self.payee];
                let mut troubles = sides
                    .map(|side| served(&self.gateways[gateway], side).trouble)
                    .into_iter();
                troubles.all(|trouble| trouble.is_none())
            });
        }
        panic!("{TRIES} payments came back");
    }

    fn credits(&self, invoice: &Answer) {
        let operation = invoice.text("operation").unwrap();
        let status = ["ln", "status", &operation, "--wait"];
        let got = self.payee.user.run(&status).unwrap();
        assert_eq!(got.number("credited_msat").unwrap(), AMOUNT_MSAT);
    }
}
