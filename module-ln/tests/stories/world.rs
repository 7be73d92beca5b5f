//! Four guardians, users with rows, a gateway, and Lightning; whatever is said is said twice, late, in any order, and to programs that
//! have just been restarted.

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::{
    hashes::{sha256, Hash},
    secp256k1::{schnorr::Signature, Keypair, PublicKey},
    Network,
};
use guildmint_core::{
    module::{Query, Registry},
    Amount, FederationId, Item, ModuleConfig, ModuleId, OutPoint, PeerId, Quorum, Transaction,
    TxId, Wire,
};
use guildmint_kit::{
    genesis,
    lightning::FakeLightning,
    play::{self, Burn, Mint, Nothing, PlayConfig, PlayMoney, Seen},
    rand::{Rng, SeedableRng},
    sequencer::Secrets,
    ChaCha20Rng, Sequencer,
};
use guildmint_ln::{
    client::{Invoice, LnClient, Pay, Quote, Receive},
    dealer, Announcement, ContractAnswer, ContractId, FeeSchedule, FundingAnswer, Ln, LnConfig,
    LnTerms, OfferId, PaymentHash,
};
use lightning_invoice::{Currency, InvoiceBuilder, PaymentSecret};
use secp256k1::SECP256K1;
use serde::de::DeserializeOwned;

use crate::gateway::{Gateway, Manners};

pub const LN: ModuleId = ModuleId(1);
pub const NETWORK: Network = Network::Regtest;

/// A transaction on its way, and what it is for.
#[derive(Debug, Clone)]
pub struct Sent {
    pub purpose: String,
    pub transaction: Transaction,
}

pub enum Story {
    Pay(Pay),
    Receive(Receive),
}

pub struct User {
    pub wallet: LnClient,
    pub story: Story,
    /// Transactions by what they are for: saved before they are sent.
    pub saved: BTreeMap<String, Transaction>,
}

pub struct World {
    pub rng: ChaCha20Rng,
    pub sequencer: Sequencer,
    pub config: LnConfig,
    pub federation: FederationId,
    pub lightning: FakeLightning,
    pub gateway: Gateway,
    pub users: Vec<User>,
    /// The chain's tip; the agreed clock follows.
    pub tip: u32,
    /// Transactions that are held back on their way, by what they are for.
    pub held_back: BTreeSet<String>,
    outbox: Vec<Sent>,
    accepted: BTreeMap<TxId, ()>,
    names: u64,
}

pub fn sat(sat: u64) -> Amount {
    Amount::from_sat(sat).unwrap()
}

pub fn key(byte: u8) -> Keypair {
    Keypair::from_seckey_slice(SECP256K1, &[byte; 32]).unwrap()
}

/// An invoice of a node.
pub fn invoice(node: &Keypair, hash: PaymentHash, amount: Amount) -> String {
    InvoiceBuilder::new(Currency::Regtest)
        .description("cake".into())
        .payment_hash(sha256::Hash::from_byte_array(hash.0 .0))
        .payment_secret(PaymentSecret([42; 32]))
        .duration_since_epoch(std::time::Duration::from_secs(1_000))
        .min_final_cltv_expiry_delta(144)
        .amount_milli_satoshis(amount.msat())
        .build_signed(|hash| SECP256K1.sign_ecdsa_recoverable(hash, &node.secret_key()))
        .unwrap()
        .to_string()
}

impl World {
    pub fn new(seed: u64, manners: Manners) -> Self {
        let quorum = Quorum::new(4).unwrap();
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let (config, secrets) = dealer::deal(quorum, LnTerms::default(), &mut rng).unwrap();
        let play = PlayConfig {
            may_owe: true,
            ..PlayConfig::default()
        };
        let entry = |kind: &str, config: Vec<u8>| ModuleConfig {
            kind: kind.into(),
            config,
        };
        let modules = BTreeMap::from([
            (LN, entry(guildmint_ln::KIND, config.encode())),
            (play::MODULE, entry("play", play.encode())),
        ]);
        let secrets: Vec<Secrets> = secrets
            .iter()
            .map(|secret| [(LN, secret.encode()), (play::MODULE, Nothing.encode())].into())
            .collect();
        let registry = Registry::default().with::<PlayMoney>().with::<Ln>();
        let sequencer = Sequencer::new(&genesis(quorum, modules), &registry, &secrets).unwrap();
        let federation = sequencer.rules().id();
        let mut world = Self {
            rng,
            federation,
            sequencer,
            gateway: Gateway::new(federation, config.clone(), manners),
            config,
            lightning: FakeLightning::default(),
            users: Vec::new(),
            tip: 100,
            held_back: BTreeSet::new(),
            outbox: Vec::new(),
            accepted: BTreeMap::new(),
            names: 0,
        };
        world.epoch();
        world
    }

    pub fn wallet(&self, seed: u8) -> LnClient {
        let quorum = self.sequencer.quorum();
        let config = self.config.clone();
        LnClient::new(self.federation, LN, quorum, config, &[seed; 64]).unwrap()
    }

    pub fn announcement(&self) -> Announcement {
        let gateway = self.gateway.key();
        Announcement {
            key: gateway.x_only_public_key().0,
            node_key: Some(PublicKey::from_keypair(&gateway)),
            swap_only: false,
            api_url: "https://gateway.example.org".into(),
            send_fees: FeeSchedule {
                base: sat(1),
                parts_per_million: 10_000,
            },
            receive_fees: FeeSchedule {
                base: sat(2),
                parts_per_million: 0,
            },
            route_hints: Vec::new(),
            number: 1,
            valid_until: 200,
        }
    }

    /// A user begins to pay an invoice.
    pub fn pay(&mut self, invoice: &str) -> usize {
        let user = self.users.len();
        let wallet = self.wallet(u8::try_from(user).unwrap());
        let invoice = Invoice::read(invoice, NETWORK).unwrap();
        let quote = Quote::new(&wallet, invoice, &self.announcement()).unwrap();
        let (pay, effects) = Pay::start(&wallet, 0, &quote, self.height()).unwrap();
        self.enter(wallet, Story::Pay(pay));
        self.want_pay(user, effects);
        user
    }

    /// A user wants to be paid, while an offer holds.
    pub fn receive(&mut self, amount: Amount, blocks: u32) -> usize {
        let user = self.users.len();
        let wallet = self.wallet(u8::try_from(user).unwrap());
        let until = (self.height() + blocks, 3_600);
        let begun = Receive::start(&wallet, 0, amount, &self.announcement(), until, "cake");
        let (receive, effects) = begun.unwrap();
        self.enter(wallet, Story::Receive(receive));
        self.want_receive(user, effects);
        user
    }

    fn enter(&mut self, wallet: LnClient, story: Story) {
        self.users.push(User {
            wallet,
            story,
            saved: BTreeMap::new(),
        });
    }

    pub fn height(&self) -> u32 {
        self.sequencer.now().height
    }

    /// One epoch, with what has arrived at the guardians; they see the chain's tip.
    fn epoch(&mut self) {
        for peer in self.sequencer.quorum().peers() {
            let news = Seen(self.tip).encode();
            self.sequencer.news(peer, play::MODULE, &news).unwrap();
        }
        let output = self.sequencer.epoch().unwrap();
        for (txid, verdict) in &output.verdicts {
            if verdict.is_ok() {
                self.accepted.insert(*txid, ());
            }
        }
        self.lightning.mine_to(self.tip);
    }

    /// Asks f + 1 guardians, who say the same.
    pub fn ask<T: DeserializeOwned>(&self, path: String) -> T {
        let parameters = BTreeMap::new();
        let query = Query { path, parameters };
        let answer = |peer| self.sequencer.query(PeerId(peer), LN, &query);
        let (one, other) = (answer(0).unwrap().unwrap(), answer(1).unwrap().unwrap());
        assert_eq!(one, other);
        serde_json::from_value(one).unwrap()
    }

    pub fn contract(&self, id: ContractId) -> ContractAnswer {
        self.ask(format!("contracts/{id}"))
    }

    pub fn funding(&self, id: OfferId) -> FundingAnswer {
        self.ask(format!("fundings/{id}"))
    }

    /// A transaction that brings play money in, or takes it out, as the balance needs.
    pub fn transaction(
        &mut self,
        (input, signs): (Option<Item>, &dyn Fn(TxId) -> Signature),
        output: Option<Item>,
        (brings, takes): (u64, u64),
    ) -> Transaction {
        self.names += 1;
        let amount = |msat| Amount::from_msat(msat).unwrap();
        let mut inputs = Vec::from_iter(input);
        let mut outputs = Vec::from_iter(output);
        if takes > brings {
            let mint = Mint {
                name: self.names,
                amount: amount(takes - brings),
                key: None,
                honest: true,
            };
            inputs.push(Item::new(play::MODULE, &mint));
        } else {
            let burn = Burn {
                amount: amount(brings - takes),
                padding: self.names.to_le_bytes().to_vec(),
            };
            outputs.push(Item::new(play::MODULE, &burn));
        }
        let mut transaction = Transaction {
            inputs,
            outputs,
            signatures: Vec::new(),
        };
        let id = transaction.id(self.federation);
        let of = |item: &Item| (item.module == LN).then(|| signs(id));
        transaction.signatures = transaction.inputs.iter().map(of).collect();
        transaction
    }

    pub fn send(&mut self, purpose: &str, transaction: &Transaction) {
        self.outbox.push(Sent {
            purpose: purpose.to_owned(),
            transaction: transaction.clone(),
        });
    }

    /// Whether a transaction was accepted, as its sender learns when it asks.
    pub fn was_accepted(&self, transaction: &Transaction) -> bool {
        let id = transaction.id(self.federation);
        self.accepted.contains_key(&id)
    }

    /// Whether guardians say for good that it cannot be.
    pub fn was_refused(&self, transaction: &Transaction) -> bool {
        !self.was_accepted(transaction)
            && self
                .sequencer
                .verdicts(transaction)
                .iter()
                .any(|verdict| verdict.as_ref().is_err_and(|reject| !reject.retryable))
    }

    pub fn out_point(&self, transaction: &Transaction) -> OutPoint {
        let txid = transaction.id(self.federation);
        OutPoint { txid, index: 0 }
    }

    /// Some time passes.
    pub fn tick(&mut self) {
        for _ in 0..self.outbox.len() {
            let next = self.rng.gen_range(0..self.outbox.len());
            let sent = self.outbox.swap_remove(next);
            match self.rng.gen_range(0..4) {
                _ if self.held_back.contains(&sent.purpose) => self.outbox.push(sent),
                0 => self.outbox.push(sent),
                1 => {
                    self.arrive(&sent);
                    self.outbox.push(sent);
                }
                _ => self.arrive(&sent),
            }
        }
        self.epoch();
        for event in self.lightning.events(&mut self.rng) {
            self.gateway.heard(event);
        }
        Gateway::work(self);
        for user in 0..self.users.len() {
            // A reply may be lost, and come again.
            let replies = self.gateway.replies(user, &mut self.rng);
            if self.rng.gen_range(0..5) == 0 {
                self.restart(user);
            }
            match self.users[user].story {
                Story::Pay(_) => self.tell_payer(user, replies),
                Story::Receive(_) => self.tell_payee(user, replies),
            }
        }
        if self.rng.gen_range(0..6) == 0 {
            self.gateway.restart();
        }
    }

    fn arrive(&mut self, sent: &Sent) {
        let id = sent.transaction.id(self.federation);
        let waits = self.sequencer.pool().iter().any(|other| other.id() == id);
        if !waits && !self.accepted.contains_key(&id) {
            // What is refused now may come again.
            let _ = self.sequencer.submit(&sent.transaction);
        }
    }

    /// What a user's accepted transactions brought and took.
    pub fn user_msat(&self, user: usize) -> i64 {
        self.worth(self.users[user].saved.values())
    }

    pub fn gateway_msat(&self) -> i64 {
        self.worth(self.gateway.transactions())
    }

    fn worth<'a>(&self, transactions: impl Iterator<Item = &'a Transaction>) -> i64 {
        let mut msat = 0;
        for transaction in transactions.filter(|one| self.was_accepted(one)) {
            for item in transaction
                .inputs
                .iter()
                .filter(|item| item.module == play::MODULE)
            {
                msat -= i64::try_from(Mint::decode(&item.bytes).unwrap().amount.msat()).unwrap();
            }
            for item in transaction
                .outputs
                .iter()
                .filter(|item| item.module == play::MODULE)
            {
                msat += i64::try_from(Burn::decode(&item.bytes).unwrap().amount.msat()).unwrap();
            }
        }
        msat
    }

    /// What is locked in contracts.
    pub fn locked_msat(&self) -> u64 {
        self.sequencer.audit().unwrap()[&LN].liabilities_msat
    }

    /// The invoice that a payee shows, once there is one.
    pub fn shown(&self, user: usize) -> Option<String> {
        match &self.users[user].story {
            Story::Receive(receive) => match &receive.state {
                guildmint_ln::client::ReceiveState::Offered { invoice } => Some(invoice.clone()),
                _ => None,
            },
            Story::Pay(_) => None,
        }
    }

    pub fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        for _ in 0..400 {
            if done(self) {
                return;
            }
            self.tick();
        }
        panic!("never {what}");
    }

    pub fn is_over(&self, user: usize) -> bool {
        match &self.users[user].story {
            Story::Pay(pay) => pay.is_over(),
            Story::Receive(receive) => receive.is_over(),
        }
    }
}
