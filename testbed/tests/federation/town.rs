//! Two users, a federation, and those who break things.

use std::{collections::BTreeSet, path::Path, thread, time::Duration};

use bitcoin::{hashes::Hash, Address, Amount, Network as Chain, ScriptBuf, WPubkeyHash};
use guildmint_testbed::{
    cache::Cache,
    control::{control, Order},
    faucet::Faucet,
    federation::Guardian,
    network::{stop_all, Keys, Network, Options, Tools},
    ports::Ports,
    postgres::Databases,
    process::Lifetime,
    programs::{Build, Programs},
    rpc::Rpc,
    servers::Servers,
    state::State,
    stop::Stop,
    wallet::Wallet,
};
use serde_json::Value;
use tempfile::TempDir;

/// How long anything may take on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(120);

/// A network that is up, with four guardians and two users who have joined.
pub struct Town {
    pub alice: Wallet,
    pub bob: Wallet,
    pub faucet: Faucet,
    pub programs: Programs,
    rpc: Rpc,
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

impl Town {
    pub fn found() -> Self {
        Self::with_keys(Keys::Dealt)
    }

    pub fn with_keys(keys: Keys) -> Self {
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
            keys,
            lifetime: Lifetime::Tethered,
        };
        let network =
            Network::up(options, &cache, &tools, &stop).unwrap_or_else(|error| panic!("{error}"));
        let state = network.state().unwrap();
        let user = |name| {
            let wallet = Wallet::new(&programs.wallet, folder.path(), name, &stop).unwrap();
            wallet.run(&["init"]).unwrap();
            wallet
                .run(&["join", &state.federation.as_ref().unwrap().invite])
                .unwrap();
            wallet
        };
        Self {
            alice: user("alice"),
            bob: user("bob"),
            faucet: network.faucet().unwrap(),
            rpc: state.bitcoind.clone().unwrap().rpc,
            programs: programs.clone(),
            network,
            _folder: folder,
        }
    }

    /// A user's folder with nothing in it yet.
    pub fn stranger(&self, name: &str) -> Wallet {
        let folder = self._folder.path();
        Wallet::new(&self.programs.wallet, folder, name, &Stop::default()).unwrap()
    }

    pub fn invite(&self) -> String {
        self.network.state().unwrap().federation.unwrap().invite
    }

    pub fn directory(&self) -> &Path {
        self.network.directory()
    }

    pub fn guardians(&self) -> Vec<Guardian> {
        self.network.state().unwrap().guardians
    }

    pub fn order(&self, name: &str, order: Order) {
        control(self.directory(), name, order, &Stop::default())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }

    /// All guardians lose power at the same time.
    pub fn kill_all_guardians(&self) {
        let guardians = self.guardians();
        thread::scope(|scope| {
            for guardian in &guardians {
                scope.spawn(|| self.order(&guardian.spec.name, Order::Kill));
            }
        });
    }

    /// One after the other, as an operator does it. The first ones cannot be ready before there is a quorum.
    pub fn start_all_guardians(&self) {
        for guardian in self.guardians() {
            self.order(&guardian.spec.name, Order::Start);
        }
        self.wait("quorum of guardians", || {
            self.guardians().iter().all(Guardian::is_ready)
        });
    }

    /// A guardian goes on elsewhere. Nobody is told but itself.
    pub fn move_guardian(&self, index: usize) {
        let name = self.guardians()[index].spec.name.clone();
        self.order(&name, Order::Stop);
        let mut ports = Ports::new(&Cache::from_env().unwrap());
        let program = &self.programs.guardian;
        let mut new = Guardian::plan(self.directory(), program, index, &mut ports).unwrap();
        let listen = |url: &str| url.trim_start_matches("http://").to_owned();
        let settings = [
            ("API_LISTEN", listen(&new.api_url)),
            ("API_URL", new.api_url.clone()),
            ("ADMIN_LISTEN", listen(&new.admin_url)),
            ("P2P_LISTEN", new.p2p_address.clone()),
            ("P2P_ADDRESS", new.p2p_address.clone()),
        ];
        let settings = settings.map(|(name, value)| (format!("GUILDMINT_{name}"), value));
        new.spec.env.extend(settings);
        State::update(self.directory(), |state| state.guardians[index] = new).unwrap();
        self.order(&name, Order::Start);
    }

    /// One more user, who joins by the invite code of the first day.
    pub fn newcomer(&self, name: &str) -> Wallet {
        let folder = self._folder.path();
        let wallet = Wallet::new(&self.programs.wallet, folder, name, &Stop::default()).unwrap();
        let invite = self.network.state().unwrap().federation.unwrap().invite;
        wallet.run(&["init"]).unwrap();
        wallet.run(&["join", &invite]).unwrap();
        wallet
    }

    /// bitcoind and electrs lose power, and are back afterwards.
    pub fn while_the_chain_is_down(&self, act: impl FnOnce()) {
        self.order("electrs", Order::Kill);
        self.order("bitcoind", Order::Kill);
        act();
        self.order("bitcoind", Order::Start);
        self.order("electrs", Order::Start);
    }

    pub fn wait(&self, what: &str, mut probe: impl FnMut() -> bool) {
        let found = Stop::default().wait(LIMIT, || Ok::<_, ()>(probe().then_some(())));
        found.unwrap_or_else(|error| panic!("no {what}: {error:?}"));
    }

    pub fn mine(&self, blocks: u64) {
        self.faucet.mine(blocks).unwrap();
    }

    /// A new deposit of alice's: the operation and where to pay.
    pub fn deposit_address(&self) -> (String, Address) {
        let deposit = self.alice.run(&["deposit", "address"]).unwrap();
        (
            deposit.text("operation").unwrap(),
            parse_address(&deposit.text("address").unwrap()),
        )
    }

    /// How far a deposit of alice's is; with `wait`, when it is at its end.
    pub fn deposit_state(&self, operation: &str, wait: bool) -> String {
        let mut arguments = vec!["deposit", "status", operation];
        arguments.extend(wait.then_some("--wait"));
        self.alice.run(&arguments).unwrap().text("state").unwrap()
    }

    /// Brings bitcoin in for alice.
    pub fn deposit(&self, amount_sat: u64) {
        let (operation, address) = self.deposit_address();
        self.faucet
            .pay(&address, Amount::from_sat(amount_sat))
            .unwrap();
        self.mine(super::BURIAL);
        // Whoever looks, and does not wait, claims what can be claimed.
        self.wait("claim", || {
            self.deposit_state(&operation, false) == "claimed"
        });
    }

    /// Notes of alice's to hand over.
    pub fn send(&self, amount_sat: u64) -> String {
        let sent = self
            .alice
            .run(&["send", &format!("{amount_sat}sat")])
            .unwrap();
        sent.text("notes").unwrap()
    }

    /// From alice to bob.
    pub fn hand_over(&self, amount_sat: u64) {
        let received = self.bob.run(&["receive", &self.send(amount_sat)]).unwrap();
        assert_eq!(received.number("amount_msat").unwrap(), amount_sat * 1000);
    }

    /// Gives where it goes, and what it cost besides the amount, in millisatoshi.
    pub fn withdraw(&self, wallet: &Wallet, amount_sat: u64) -> (Address, u64) {
        let address = fresh_address();
        let withdrawal = wallet
            .run(&[
                "withdraw",
                &address.to_string(),
                &format!("{amount_sat}sat"),
                "--yes",
            ])
            .unwrap();
        (address, withdrawal.number("fee_msat").unwrap())
    }

    /// Mines what waits until `address` has received exactly this.
    pub fn arrives(&self, address: &Address, amount_sat: u64) {
        self.wait("withdrawal on the chain", || {
            if !self.rpc.mempool().unwrap().is_empty() {
                self.mine(1);
            }
            let unspent = self.rpc.unspent(&address.script_pubkey()).unwrap();
            let sum: Amount = unspent.iter().map(|output| output.amount).sum();
            assert!(sum <= Amount::from_sat(amount_sat), "{sum} at {address}");
            sum == Amount::from_sat(amount_sat)
        });
    }

    /// What alice and bob have, in millisatoshi.
    pub fn balances(&self) -> (u64, u64) {
        (
            self.alice.balance_msat().unwrap(),
            self.bob.balance_msat().unwrap(),
        )
    }

    /// A wallet's operations of one kind and state.
    pub fn operations(&self, wallet: &Wallet, kind: &str, state: &str) -> Vec<Value> {
        let list = wallet.run(&["operations", "list"]).unwrap();
        let views = list.document()["operations"].as_array().unwrap().iter();
        views
            .filter(|view| view["kind"] == kind && view["state"] == state)
            .cloned()
            .collect()
    }

    /// Whether all guardians have committed the same epochs.
    pub fn same_epoch(&self) -> bool {
        let committed =
            |guardian: &Guardian| Some(guardian.get("/v1/status").ok()?["committed"].to_string());
        let epochs: BTreeSet<_> = self.guardians().iter().map(committed).collect();
        epochs.len() == 1 && !epochs.contains(&None)
    }

    /// Waits until all guardians' balance sheets are the same: the users' balances are owed, and all of it is there.
    pub fn books_balance(&self) {
        let (alice, bob) = self.balances();
        let mut last = Vec::new();
        let found = Stop::default().wait(LIMIT, || {
            last = self
                .guardians()
                .iter()
                .map(|guardian| guardian.get("/v1/audit").ok())
                .collect();
            let right = |sheet: &Option<Value>| {
                sheet
                    .as_ref()
                    .is_some_and(|sheet| is_right(sheet, alice + bob))
            };
            Ok::<_, ()>(last.iter().all(right).then_some(()))
        });
        found.unwrap_or_else(|error| panic!("{error:?}: alice {alice}, bob {bob}: {last:#?}"));
        let assets: BTreeSet<_> = last
            .iter()
            .flatten()
            .map(|sheet| figure(sheet, "assets_msat"))
            .collect();
        assert_eq!(assets.len(), 1, "{last:#?}");
    }
}

/// A withdrawal whose transaction costs less than was paid for it leaves something over.
fn is_right(sheet: &Value, owed_msat: u64) -> bool {
    let (assets, liabilities) = (
        figure(sheet, "assets_msat"),
        figure(sheet, "liabilities_msat"),
    );
    liabilities == owed_msat && assets.checked_sub(liabilities) == Some(figure(sheet, "net_msat"))
}

fn figure(sheet: &Value, field: &str) -> u64 {
    let value = &sheet[field];
    let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
    number.unwrap_or_else(|| panic!("no {field}: {sheet}"))
}

pub fn parse_address(text: &str) -> Address {
    text.parse::<Address<_>>()
        .unwrap()
        .require_network(Chain::Regtest)
        .unwrap()
}

/// An address that nobody has seen before and nobody can spend from.
pub fn fresh_address() -> Address {
    let mut secret = [0; 32];
    getrandom::getrandom(&mut secret).unwrap();
    let script = ScriptBuf::new_p2wpkh(&WPubkeyHash::hash(&secret));
    Address::from_script(&script, Chain::Regtest).unwrap()
}
