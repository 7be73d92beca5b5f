//! A gateway between a Lightning network and federations, all in memory; a disk that loses what it has not written; and a power line that
//! fails when it is told to.

mod users;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use bitcoin::Network;
use guildmint_core::{
    ledger::{Changes, Memory},
    Amount,
};
use guildmint_gateway::{
    entry,
    federation::fake::{self, FakeFederation},
    node::{
        fake::{FakeLightning, FakeNode, Faults},
        LightningNode, NoNode, SentState,
    },
    Action, Command, Entry, Event, Gateway, GatewayError, Keys, Limits, Millis, PaymentView, Reply,
    SaveId, Settings, Ticket, Warning,
};
use guildmint_ln::{ContractId, FeeSchedule, Preimage};

pub const SEED: [u8; 64] = [7; 64];
const START_S: u64 = 1_700_000_000;
pub const ECASH_MSAT: u64 = 5_000_000;
pub const CHANNELS_MSAT: u64 = 10_000_000;

pub fn msat(msat: u64) -> Amount {
    Amount::from_msat(msat).unwrap()
}

pub fn preimage(number: u8) -> Preimage {
    Preimage::from([number; 32])
}

/// When the power fails, counted in saves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// This save is lost, and all that comes after it.
    Before(u64),
    /// This save is on the disk, and nothing of what waits for it has left.
    After(u64),
}

/// A user's contract for an invoice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purchase {
    pub federation: usize,
    pub contract: ContractId,
    pub invoice: String,
}

pub struct World {
    pub lightning: FakeLightning,
    pub node: FakeNode,
    /// In place of the node, if there is none.
    no_node: Option<NoNode>,
    pub peer: FakeNode,
    pub federations: Vec<FakeFederation>,
    pub gateway: Gateway,
    pub now: Millis,
    pub replies: BTreeMap<Ticket, Result<Reply, GatewayError>>,
    pub warnings: Vec<Warning>,
    pub failure: Option<Failure>,
    pub failures: u64,
    pub saves: u64,
    /// Of 100 rounds, in how many the disk writes what it was given. Those after which it does not are harder.
    pub disk_percent: u8,
    disk: Memory,
    unwritten: VecDeque<(SaveId, Changes)>,
    answers: VecDeque<Event>,
    asked: BTreeMap<Ticket, Command>,
    tickets: u64,
    is_dark: bool,
    dice: u64,
}

pub fn settings() -> Settings {
    Settings {
        send_fees: FeeSchedule {
            base: msat(2_000),
            parts_per_million: 10_000,
        },
        receive_fees: FeeSchedule {
            base: msat(500),
            parts_per_million: 0,
        },
        limits: Limits {
            exposure: msat(50_000_000),
            spending: msat(50_000_000),
            ..Limits::default()
        },
        ..Settings::default()
    }
}

impl World {
    /// A gateway that serves so many federations.
    pub fn new(federations: u8) -> Self {
        let lightning = FakeLightning::new(1, START_S);
        let node = lightning.add_node(CHANNELS_MSAT);
        let peer = lightning.add_node(CHANNELS_MSAT);
        let federation = |number| FakeFederation::new(number, msat(ECASH_MSAT));
        let mut world = Self {
            lightning,
            node,
            no_node: None,
            peer,
            federations: (1..=federations).map(federation).collect(),
            gateway: Gateway::load(Memory::default(), &SEED, [3; 32]).unwrap(),
            now: Millis(START_S * 1000),
            replies: BTreeMap::new(),
            warnings: Vec::new(),
            failure: None,
            failures: 0,
            saves: 0,
            disk_percent: 100,
            disk: Memory::default(),
            unwritten: VecDeque::new(),
            answers: VecDeque::new(),
            asked: BTreeMap::new(),
            tickets: 0,
            is_dark: false,
            dice: 5,
        };
        world.feed(Event::Time { now: world.now });
        for place in 0..usize::from(federations) {
            world.serve(place, settings());
        }
        world.settle();
        world.saves = 0;
        world
    }

    /// The same, of a gateway that has no node.
    pub fn without_node(federations: u8) -> Self {
        let mut world = Self::new(federations);
        let peer = world.peer.clone();
        let clock = move || Duration::from_millis(peer.state().synced_at_ms.unwrap());
        let no_node = NoNode::new(&Keys::new(&SEED), Network::Regtest, Arc::new(clock));
        world.no_node = Some(no_node);
        world.settle();
        world.saves = 0;
        world
    }

    /// What the gateway has for a node.
    fn port(&self) -> &dyn LightningNode {
        match &self.no_node {
            Some(no_node) => no_node,
            None => &self.node,
        }
    }

    pub fn serve(&mut self, place: usize, settings: Settings) -> Ticket {
        let federation = self.federations[place].id();
        self.ask(Command::Serve {
            federation,
            network: Network::Regtest,
            settings,
        })
    }

    /// Everything comes late, twice, and in any order from now on.
    pub fn be_rude(&mut self, seed: u64) {
        self.dice = seed;
        self.disk_percent = 50;
        self.lightning.set_faults(Faults::ALL);
        for federation in &self.federations {
            federation.set_faults(fake::Faults::ALL);
        }
    }

    pub fn dice(&mut self, below: u64) -> u64 {
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005);
        self.dice = self.dice.wrapping_add(1_442_695_040_888_963_407);
        (self.dice >> 33) % below
    }

    /// Somebody wants something. Who is not answered since the power failed asks again.
    pub fn ask(&mut self, command: Command) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.asked.insert(ticket, command.clone());
        self.feed(Event::Command { ticket, command });
        ticket
    }

    pub fn feed(&mut self, event: Event) {
        if self.is_dark {
            return;
        }
        for action in self.gateway.handle(event) {
            if self.is_dark {
                return;
            }
            self.carry_out(action);
        }
    }

    fn carry_out(&mut self, action: Action) {
        match action {
            Action::Save { save, changes } => {
                self.saves += 1;
                self.unwritten.push_back((save, changes));
                match self.failure {
                    Some(Failure::Before(number)) if number == self.saves => {
                        self.unwritten.pop_back();
                        self.write();
                        self.is_dark = true;
                    }
                    Some(Failure::After(number)) if number == self.saves => {
                        self.write();
                        self.is_dark = true;
                    }
                    _ => {}
                }
            }
            Action::Node(call) => {
                let answer = call.make(self.port());
                self.answers.extend(answer.map(Event::Answered));
            }
            Action::Federation { federation, order } => {
                let federation = self.federations.iter().find(|one| one.id() == federation);
                federation.unwrap().order(order);
            }
            Action::Reply { ticket, result } => {
                self.check_forfeit(ticket, &result);
                self.asked.remove(&ticket);
                self.replies.insert(ticket, result);
            }
            Action::Warn(warning) => self.warnings.push(warning),
            Action::WakeAt { .. } => {}
        }
    }

    /// ⚠ A forfeit never leaves for a contract whose payment is in flight or has arrived. Of two contracts with one hash, the other's may.
    fn check_forfeit(&self, ticket: Ticket, result: &Result<Reply, GatewayError>) {
        let (Ok(Reply::GivenUp(forfeit)), Some(Command::Pay(request))) =
            (result, self.asked.get(&ticket))
        else {
            return;
        };
        let one = self.gateway.outgoing();
        let given_up = one.iter().find(|view| {
            view.contract == Some(forfeit.contract) && view.federation == request.federation
        });
        let given_up = given_up.unwrap();
        assert_eq!(given_up.state, "given_up");
        let sent = self.node.sent(given_up.hash.into()).unwrap();
        let is_paid = sent.is_some_and(|sent| !matches!(sent.state, SentState::Failed(_)));
        let others = one.iter().filter(|view| view.hash == given_up.hash);
        let is_anothers = others.clone().any(|view| view.state != "given_up");
        assert!(!is_paid || is_anothers, "a forfeit while it is paid");
    }

    /// What the disk was given is on it.
    fn write(&mut self) -> Option<SaveId> {
        let last = self.unwritten.back().map(|(save, _)| *save);
        for (_, changes) in self.unwritten.drain(..) {
            self.disk.apply(changes);
        }
        last
    }

    /// The power fails now: what is not on the disk is gone, and so is what was said and not heard.
    pub fn fail(&mut self) {
        // Some of what the disk was given may be on it.
        let written = self.dice(self.unwritten.len() as u64 + 1);
        for _ in 0..written {
            let (_, changes) = self.unwritten.pop_front().unwrap();
            self.disk.apply(changes);
        }
        self.is_dark = true;
        self.start_again();
    }

    /// It starts again, and is told nothing yet but how late it is.
    pub fn start_untold(&mut self) {
        self.failures += 1;
        self.failure = None;
        self.is_dark = false;
        self.unwritten.clear();
        self.answers.clear();
        self.node.stop();
        self.node.start();
        self.gateway = Gateway::load(self.disk.clone(), &SEED, [4; 32]).unwrap();
        self.feed(Event::Time { now: self.now });
    }

    fn start_again(&mut self) {
        self.start_untold();
        self.tell_states();
        for (ticket, command) in self.asked.clone() {
            self.feed(Event::Command { ticket, command });
        }
    }

    fn tell_states(&mut self) {
        let state = Box::new(self.port().state());
        self.feed(Event::NodeState(state));
        for federation in self.federations.clone() {
            let news = guildmint_gateway::federation::News::State(federation.state());
            let federation = federation.id();
            self.feed(Event::Federation { federation, news });
        }
    }

    /// One round of everything.
    pub fn round(&mut self) {
        self.now = self.now.after_ms(1);
        self.feed(Event::Time { now: self.now });
        self.tell_states();
        for federation in self.federations.clone() {
            for news in federation.turn() {
                let federation = federation.id();
                self.feed(Event::Federation { federation, news });
            }
        }
        for delivery in self.port().events(10).unwrap() {
            self.feed(Event::Node(delivery));
        }
        while let Some(answer) = self.answers.pop_front() {
            self.feed(answer);
        }
        if self.dice(100) < u64::from(self.disk_percent) {
            if let Some(save) = self.write() {
                self.feed(Event::Saved { save });
            }
        }
        if self.is_dark {
            self.start_again();
        }
    }

    /// Rounds until nothing more happens.
    pub fn settle(&mut self) {
        let mut quiet = 0;
        for _ in 0..10_000 {
            self.round();
            let is_quiet = self.federations.iter().all(FakeFederation::is_quiet)
                && self.node.is_quiet()
                && self.unwritten.is_empty()
                && self.answers.is_empty();
            quiet = if is_quiet { quiet + 1 } else { 0 };
            if quiet > 5 {
                return;
            }
        }
        panic!("it never ends");
    }

    /// So many rounds.
    pub fn rounds(&mut self, number: u32) {
        (0..number).for_each(|_| self.round());
    }

    /// Blocks for everybody.
    pub fn mine(&mut self, blocks: u32) {
        self.lightning.mine(blocks);
        for federation in &self.federations {
            federation.mine(blocks);
        }
    }

    pub fn pass_s(&mut self, seconds: u64) {
        self.lightning.pass_s(seconds);
        self.now = self.now.after_ms(seconds * 1000);
    }

    pub fn height(&self) -> u32 {
        self.federations[0].state().height
    }

    /// All that the gateway has and nobody else can take.
    pub fn worth_msat(&self) -> u64 {
        let ecash = self.federations.iter().map(|one| one.state().ecash.msat());
        self.node.outbound_msat() + ecash.sum::<u64>()
    }

    /// How often an invoice on a hash was dispatched.
    pub fn dispatched(&self, number: u8) -> u32 {
        self.node.dispatched(preimage(number).hash().into())
    }

    /// The ledger, as a page reads it from the disk.
    pub fn ledger(&self) -> Vec<Entry> {
        let rows = self.disk.0.iter();
        rows.filter_map(|(key, value)| entry(key, value)).collect()
    }

    pub fn state_of(&self, number: u8) -> Vec<&'static str> {
        let hash = preimage(number).hash();
        let both = [self.gateway.outgoing(), self.gateway.incoming()].concat();
        self.check_open(&both);
        let views = both.into_iter().filter(|view| view.hash == hash);
        views.map(|view| view.state).collect()
    }

    /// What has not ended is found without looking at all there ever was.
    fn check_open(&self, all: &[PaymentView]) {
        let mut open: Vec<_> = all.iter().filter(|view| !view.ended).collect();
        let found = self.gateway.open();
        let mut found: Vec<_> = found.iter().collect();
        let order = |view: &&PaymentView| (view.hash, view.contract, view.amount, view.state);
        open.sort_by_key(order);
        found.sort_by_key(order);
        assert_eq!(found, open);
    }
}
