//! A carrier in a town: simulated time, a disk that loses what it has not written, and a gateway that orders again after each restart.

use std::collections::BTreeMap;

use guildmint_client::{
    Action as ClientAction, ApiRequest, Client, Command, Event as ClientEvent, MasterSeed, Millis,
    RequestId, Ticket,
};
use guildmint_core::{ledger::Memory, PeerId};
use guildmint_gateway::{
    federation::{FederationState, News, Order},
    Keys,
};
use guildmint_gateway_federation::{Action, Carrier, Event};
use guildmint_ln::ContractId;
use rand_chacha::{
    rand_core::{RngCore, SeedableRng},
    ChaCha20Rng,
};

use crate::town::Town;

const SEED: [u8; 64] = [7; 64];
const START: Millis = Millis(1_700_000_000_000);
/// How often guardians have an epoch, if they have a reason.
const EPOCH_MS: u64 = 50;

pub fn keys() -> Keys {
    Keys::new(&SEED)
}

/// When the power fails, counted in saves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Just before this save is durable.
    Before(u64),
    /// Just after, and before anything that waited for it.
    After(u64),
}

enum Delivery {
    Event(ClientEvent),
    /// With when it was sent.
    Request(RequestId, PeerId, ApiRequest, Millis),
}

pub struct World {
    pub town: Town,
    pub carrier: Carrier,
    pub now: Millis,
    pub news: Vec<News>,
    /// The last that was told.
    pub state: FederationState,
    pub wrong_shares: Vec<(PeerId, ContractId)>,
    pub failure: Option<Failure>,
    pub failures: u64,
    pub saves: u64,
    /// Orders whose end was not heard, by the key of the test.
    open: Vec<Order>,
    disk: Memory,
    queue: BTreeMap<(Millis, u64), Delivery>,
    wake: Option<Millis>,
    next_epoch: Millis,
    sequence: u64,
    tickets: u64,
    rng: ChaCha20Rng,
}

/// A guardian answers in time, news or not.
fn stop_waiting(body: &mut ApiRequest, since: Millis, now: Millis) {
    if let ApiRequest::Module { parameters, .. } = body {
        let wait = parameters
            .get("wait")
            .map(|wait| wait.parse::<u64>().unwrap());
        if wait.is_some_and(|seconds| since.after_ms(seconds * 1_000) <= now) {
            parameters.remove("known");
        }
    }
}

fn load(disk: &Memory) -> Carrier {
    let client = Client::load(disk.clone(), &MasterSeed::new(SEED), [1; 32]).unwrap();
    Carrier::new(client, keys()).unwrap()
}

impl World {
    /// A gateway with so much e-cash.
    pub fn new(ecash_msat: u64) -> Self {
        let mut world = Self::of(Town::new());
        if ecash_msat > 0 {
            let notes = world.town.notes(ecash_msat);
            world.command(Command::Receive { notes });
            world.until(|world| world.state.ecash.msat() == ecash_msat);
        }
        world.saves = 0;
        world
    }

    fn of(town: Town) -> Self {
        let mut disk = Memory::default();
        disk.apply(guildmint_client::join(&town.membership()));
        let mut world = Self {
            carrier: load(&disk),
            town,
            now: START,
            news: Vec::new(),
            state: FederationState::default(),
            wrong_shares: Vec::new(),
            failure: None,
            failures: 0,
            saves: 0,
            open: Vec::new(),
            disk,
            queue: BTreeMap::new(),
            wake: None,
            next_epoch: START,
            sequence: 0,
            tickets: 0,
            rng: ChaCha20Rng::seed_from_u64(3),
        };
        world.feed(Event::Client(ClientEvent::Time { now: START }));
        world.until(|world| world.state.trouble.is_none());
        world
    }

    pub fn command(&mut self, command: Command) {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.feed(Event::Client(ClientEvent::Command { ticket, command }));
    }

    /// Orders, and orders again after each restart until the end is heard.
    pub fn order(&mut self, order: Order) {
        self.open.push(order.clone());
        self.feed(Event::Order(order));
    }

    /// The end of an order.
    pub fn end(&mut self, order: Order) -> News {
        let heard = self.news.len();
        self.order(order.clone());
        self.until(|world| world.news.len() > heard);
        self.open.retain(|one| *one != order);
        self.news.last().unwrap().clone()
    }

    pub fn feed(&mut self, event: Event) {
        let time = Event::Client(ClientEvent::Time { now: self.now });
        let mut actions = self.carrier.handle(time);
        actions.extend(self.carrier.handle(event));
        for action in actions {
            if !self.act(action) {
                return self.restart();
            }
        }
    }

    /// False if the power fails.
    fn act(&mut self, action: Action) -> bool {
        match action {
            Action::Client(ClientAction::Save { save, changes }) => {
                self.saves += 1;
                if self.failure == Some(Failure::Before(self.saves)) {
                    return false;
                }
                self.disk.apply(changes);
                if self.failure == Some(Failure::After(self.saves)) {
                    return false;
                }
                let delay = u64::from(self.rng.next_u32() % 3);
                self.later(delay, Delivery::Event(ClientEvent::Saved { save }));
            }
            Action::Client(ClientAction::Request {
                request,
                peer,
                body,
            }) => {
                let delay = 1 + u64::from(self.rng.next_u32() % 20);
                self.later(delay, Delivery::Request(request, peer, body, self.now));
            }
            Action::Client(ClientAction::WakeAt { at }) => self.wake = Some(at),
            Action::Client(_) => {}
            Action::News(News::State(state)) => self.state = state,
            Action::News(news) => self.news.push(news),
            Action::WrongShare { guardian, contract } => {
                self.wrong_shares.push((guardian, contract));
            }
        }
        true
    }

    fn later(&mut self, ms: u64, delivery: Delivery) {
        self.sequence += 1;
        let at = self.now.after_ms(ms);
        self.queue.insert((at, self.sequence), delivery);
    }

    /// The process dies and is started again: all that is left is what was saved.
    pub fn restart(&mut self) {
        self.failures += 1;
        self.failure = None;
        self.queue.clear();
        self.wake = None;
        self.carrier = load(&self.disk);
        self.feed(Event::Client(ClientEvent::Time { now: self.now }));
        for order in self.open.clone() {
            self.feed(Event::Order(order));
        }
    }

    fn step(&mut self) {
        let queued = self.queue.keys().next().map(|(at, _)| *at);
        let next = queued.into_iter().chain(self.wake).min();
        let next = next.unwrap_or(self.next_epoch).min(self.next_epoch);
        self.now = self.now.max(next);
        if self.next_epoch <= self.now {
            self.next_epoch = self.now.after_ms(EPOCH_MS);
            return self.town.tick();
        }
        if self.wake.is_some_and(|wake| wake <= self.now) {
            self.wake = None;
            let time = ClientEvent::Time { now: self.now };
            return self.feed(Event::Client(time));
        }
        match self.queue.pop_first() {
            Some((_, Delivery::Event(event))) => self.feed(Event::Client(event)),
            Some((_, Delivery::Request(request, peer, mut body, since))) => {
                stop_waiting(&mut body, since, self.now);
                match self.town.answer(peer, &body) {
                    Some(result) => {
                        let event = ClientEvent::Answer { request, result };
                        self.later(1, Delivery::Event(event));
                    }
                    // It holds the request.
                    None => self.later(EPOCH_MS, Delivery::Request(request, peer, body, since)),
                }
            }
            None => {}
        }
    }

    /// Goes on until a condition holds, at most ten simulated minutes.
    pub fn until(&mut self, done: impl Fn(&Self) -> bool) {
        let limit = self.now.after_ms(600_000);
        while !done(self) {
            assert!(self.now < limit, "it never comes: {:?}", self.news);
            self.step();
        }
    }

    /// Goes on for so long.
    pub fn pass(&mut self, ms: u64) {
        let end = self.now.after_ms(ms);
        while self.now < end {
            self.step();
        }
    }

    pub fn ecash(&self) -> u64 {
        self.carrier.client().spendable().msat()
    }
}
