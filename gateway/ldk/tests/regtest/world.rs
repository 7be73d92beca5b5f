//! A chain, its index, and nodes on it.

use std::{
    fmt::Debug,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bitcoin::{Address, Amount, Network as Chain};
use guildmint_gateway::node::{
    ChannelChange, ChannelId, ChannelOrder, Event, InvoiceOrder, LightningNode, PaymentHash,
    PaymentOrder, Peer, Preimage, Refusal,
};
use guildmint_gateway_ldk::{Node, NodeConfig, Seed};
use guildmint_gateway_store::{Changes, GatewayStore, Key, Place, Space};
use guildmint_testbed::{
    cache::Cache,
    control::{control, Order},
    electrum::{self, Electrum},
    faucet::Faucet,
    network::{Keys, Network, Options, Tools},
    process::Lifetime,
    rpc::Rpc,
    servers::Servers,
    stop::Stop,
};
use tempfile::TempDir;

/// How long anything may take on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(120);
/// What each node begins with on the chain.
pub const FUNDS_SAT: u64 = 50_000_000;
/// The same.
pub const FUNDS: Amount = Amount::from_sat(FUNDS_SAT);
/// What a channel holds.
pub const CHANNEL_SAT: u64 = 5_000_000;

pub fn wait_for<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let found = Stop::default().wait(LIMIT, || Ok::<_, ()>(probe()));
    found.unwrap_or_else(|error| panic!("{what}: {error:?}"))
}

pub struct World {
    pub folder: TempDir,
    cache: Cache,
    network: Network,
    faucet: Faucet,
    electrum_url: String,
}

impl World {
    pub fn new() -> Self {
        let _ = tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .with_test_writer()
            .try_init();
        let cache = Cache::from_env().unwrap();
        // Says `run cargo testbed servers` if they are not there.
        let servers = Servers::find(&cache).unwrap_or_else(|error| panic!("{error}"));
        let folder = tempfile::tempdir().unwrap();
        let options = Options {
            directory: folder.path().join("net"),
            guardians: 0,
            databases: Default::default(),
            keys: Keys::Dealt,
            lifetime: Lifetime::Tethered,
        };
        let tools = Tools {
            servers,
            programs: None,
        };
        let network = Network::up(options, &cache, &tools, &Stop::default()).unwrap();
        let faucet = network.faucet().unwrap();
        let electrs = network.state().unwrap().electrs.unwrap();
        Self {
            folder,
            cache,
            network,
            faucet,
            electrum_url: electrs.url(),
        }
    }

    pub fn height(&self) -> u32 {
        self.rpc().tip().unwrap().height as u32
    }

    /// Mines, and waits until the nodes have seen it, with all that is in it.
    pub fn mine(&self, blocks: u64, nodes: &[&Running]) {
        self.faucet.mine(blocks).unwrap();
        let height = self.height();
        for node in nodes {
            wait_for("the tip", || (node.state().height >= height).then_some(()));
            // The height comes first. ⚠ Whoever mines on it never lets the node come to what is in the blocks.
            let at_tip_ms = node.state().synced_at_ms;
            wait_for("the tip's transactions", || {
                (node.state().synced_at_ms > at_tip_ms).then_some(())
            });
        }
    }

    pub fn rpc(&self) -> Rpc {
        self.network.state().unwrap().bitcoind.unwrap().rpc
    }

    /// What waits for a block.
    pub fn mempool(&self) -> usize {
        self.rpc().mempool().unwrap().len()
    }

    /// The node that is none of ours, with as much on the chain as the others.
    pub fn electrum(&mut self) -> Electrum {
        let program = electrum::find().unwrap_or_else(|error| panic!("{error}"));
        let electrum = self.network.add_electrum(&program.path, &self.cache);
        let electrum = electrum.unwrap();
        self.faucet
            .pay(&electrum.address().unwrap(), FUNDS)
            .unwrap();
        self.mine(1, &[]);
        wait_for("Electrum's money", || {
            (electrum.balance().unwrap().confirmed == FUNDS).then_some(())
        });
        electrum
    }

    /// Electrum ends, or comes back.
    pub fn control_electrum(&self, order: Order) {
        let directory = self.network.directory();
        control(directory, electrum::NAME, order, &Stop::default()).unwrap();
    }

    pub fn config(&self) -> NodeConfig {
        NodeConfig {
            listen: Some("127.0.0.1:0".parse().unwrap()),
            ..NodeConfig::new(Chain::Regtest, &self.electrum_url)
        }
    }

    /// A node with nothing, or one that was here before.
    pub fn start(&self, name: &str, listen: Option<SocketAddr>) -> Running {
        let directory = self.folder.path().join(name);
        let mut config = self.config();
        config.listen = listen.or(config.listen);
        Running::start(&directory, config, name.as_bytes()[0])
    }

    /// Two nodes with money on the chain and a channel from the first to the second.
    pub fn pair(&self) -> (Running, Running, ChannelId) {
        let (one, two) = (self.start("one", None), self.start("two", None));
        self.fund(&[&one, &two]);
        let channel = self.open(&one, &two);
        (one, two, channel)
    }

    /// Pays out of the faucet.
    pub fn pay(&self, address: &str) {
        let address: Address<_> = address.parse().unwrap();
        let address = address.require_network(Chain::Regtest).unwrap();
        self.faucet.pay(&address, FUNDS).unwrap();
    }

    pub fn fund(&self, nodes: &[&Running]) {
        for node in nodes {
            self.pay(&node.new_address().unwrap());
        }
        self.mine(1, nodes);
        for node in nodes {
            wait_for("money on the chain", || {
                let balances = node.state().balances;
                (balances.wallet_msat + balances.reserved_msat >= FUNDS.to_sat() * 1000)
                    .then_some(())
            });
        }
    }

    pub fn open(&self, from: &Running, to: &Running) -> ChannelId {
        self.open_as(from, to, false)
    }

    pub fn open_as(&self, from: &Running, to: &Running, public: bool) -> ChannelId {
        let order = ChannelOrder {
            peer: to.peer(),
            amount_sat: CHANNEL_SAT,
            push_msat: 0,
            public,
        };
        let channel = from.open_channel(&order).unwrap();
        wait_for("the funding", || (self.mempool() > 0).then_some(()));
        self.mine(6, &[from, to]);
        for node in [from, to] {
            node.wait_for_channel(channel, |change| *change == ChannelChange::Ready);
            node.wait_until_usable();
        }
        channel
    }
}

/// A node, its store, and what it told.
pub struct Running {
    pub node: Option<Node>,
    store: GatewayStore,
    directory: PathBuf,
    config: NodeConfig,
    seed: Seed,
}

impl std::ops::Deref for Running {
    type Target = Node;

    fn deref(&self) -> &Node {
        self.node.as_ref().unwrap()
    }
}

impl Running {
    fn start(directory: &Path, config: NodeConfig, seed: u8) -> Self {
        let seed = Seed::new([seed; 32]);
        let place = Place::in_directory(directory);
        let on_loss = Arc::new(|lost: &_| panic!("{lost}"));
        let store = GatewayStore::open(&place, on_loss).unwrap();
        let node = Node::start(config.clone(), &seed, &store).unwrap();
        let config = NodeConfig {
            listen: node.listens_on(),
            ..config
        };
        Self {
            node: Some(node),
            store,
            directory: directory.to_owned(),
            config,
            seed,
        }
    }

    pub fn stop(&mut self) {
        if let Some(node) = self.node.take() {
            node.stop();
            drop(node);
            self.store.close().unwrap();
        }
    }

    /// Stopped and started again on the same port.
    pub fn restart(&mut self) {
        self.stop();
        let seed = self.seed[0];
        *self = Self::start(&self.directory, self.config.clone(), seed);
    }

    /// The channel manager as it was written last.
    pub fn manager(&self) -> Vec<u8> {
        self.store.get(manager_key()).unwrap().unwrap()
    }

    /// Stopped and started again with an older manager, as if a power failure had come before the manager's last writes.
    pub fn restart_with(&mut self, manager: &[u8]) {
        let node = self.node.take().unwrap();
        node.stop();
        drop(node);
        assert_ne!(self.manager(), manager, "it is not older");
        let older = Changes::from([(manager_key(), Some(manager.to_vec()))]);
        self.store.save(older).unwrap();
        self.store.close().unwrap();
        *self = Self::start(&self.directory, self.config.clone(), self.seed[0]);
    }

    pub fn peer(&self) -> Peer {
        Peer {
            id: self.state().node_id.unwrap(),
            address: self.listens_on().unwrap().to_string(),
        }
    }

    /// Handles one event, and leaves the others where they are.
    pub fn wait_for_event<T>(&self, what: &str, mut pick: impl FnMut(&Event) -> Option<T>) -> T {
        wait_for(what, || self.take_event(&mut pick))
    }

    /// The same, if it is there.
    fn take_event<T>(&self, pick: &mut impl FnMut(&Event) -> Option<T>) -> Option<T> {
        for delivery in self.events(50).unwrap() {
            if let Some(found) = pick(&delivery.event) {
                self.handled(delivery.number).unwrap();
                return Some(found);
            }
        }
        None
    }

    pub fn wait_for_channel(&self, id: ChannelId, is_it: impl Fn(&ChannelChange) -> bool) {
        self.wait_for_event("a channel's change", |event| match event {
            Event::Channel {
                channel, change, ..
            } => (*channel == id && is_it(change)).then_some(()),
            _ => None,
        });
    }

    pub fn wait_until_usable(&self) {
        wait_for("a usable channel", || {
            self.state()
                .channels
                .iter()
                .any(|channel| channel.usable)
                .then_some(())
        });
    }

    pub fn invoice(&self, hash: PaymentHash, amount_msat: u64) -> String {
        let order = InvoiceOrder {
            hash,
            amount_msat,
            description: "a test".to_owned(),
            expiry_s: 3600,
            min_final_cltv_delta: 144,
        };
        self.make_invoice(&order).unwrap()
    }

    pub fn wait_until_held(&self, hash: PaymentHash) -> (u64, u32) {
        self.wait_for_event("a held payment", |event| match event {
            Event::Held {
                hash: held,
                amount_msat,
                claim_deadline_height,
            } => (*held == hash).then_some((*amount_msat, *claim_deadline_height)),
            _ => None,
        })
    }

    pub fn wait_for_end(&self, hash: PaymentHash) -> Event {
        wait_for("a payment's end", || self.end_of(hash))
    }

    /// How a payment has ended, if it has.
    pub fn end_of(&self, hash: PaymentHash) -> Option<Event> {
        self.take_event(&mut |event| match event {
            Event::PaymentSucceeded { hash: of, .. } | Event::PaymentFailed { hash: of, .. }
                if *of == hash =>
            {
                Some(event.clone())
            }
            _ => None,
        })
    }
}

/// Where LDK's key without a namespace is stored.
fn manager_key() -> Key {
    let no_namespace = [1, 1];
    Space::Library.key(&[&no_namespace[..], b"manager"].concat())
}

impl Drop for Running {
    fn drop(&mut self) {
        // What failed already is not to be hidden by what fails after it.
        if !std::thread::panicking() {
            self.stop();
        }
    }
}

pub fn preimage(number: u8) -> Preimage {
    Preimage([number; 32])
}

pub fn order(invoice: &str, hash: PaymentHash, amount_msat: u64) -> PaymentOrder {
    PaymentOrder {
        hash,
        invoice: invoice.to_owned(),
        amount_msat,
        max_fee_msat: 10_000,
        max_total_cltv_delta: 500,
    }
}

pub fn assert_refused<T: Debug>(result: Result<T, Refusal>, is_it: impl Fn(&Refusal) -> bool) {
    let refusal = result.unwrap_err();
    assert!(is_it(&refusal), "{refusal}");
}
