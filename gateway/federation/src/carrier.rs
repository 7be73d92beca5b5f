//! The carrier as one value: events in, actions out.

use std::collections::{BTreeMap, VecDeque};

use guildmint_client::{
    Alarm, Client, ClientError, Command, ErrandName, ErrandState, Millis, OperationId, Question,
    Reply, Ticket,
};
use guildmint_core::Wire;
use guildmint_gateway::{
    federation::{Costs, FederationState, News, Order},
    Keys,
};
use guildmint_ln::{ConfigError, LnConfig, KIND};
use thiserror::Error;

use crate::{
    desk::{Desk, Town, Wish},
    event::{Action, Event},
    job::{Happening, Job, Key},
    limits,
    watch::Watch,
};

/// The carrier's own tickets.
const OURS: u64 = 1 << 63;

/// Why a federation is of no use to a gateway.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CarrierError {
    /// It has no Lightning module.
    #[error("the federation has no Lightning module, so a gateway can do nothing there")]
    NoLightning,
    /// Its config is damaged.
    #[error("the federation's config cannot be used: {0}")]
    Config(String),
}

impl From<ConfigError> for CarrierError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error.to_string())
    }
}

/// Who waits for an answer.
#[derive(Debug, Clone, Copy)]
enum Asker {
    Watch,
    Question(Key),
    /// It begins an errand of this name.
    Errand(Key, ErrandName),
}

struct Open {
    job: Job,
    wake: Option<Millis>,
    /// The errand whose end it waits for. ⚠ Its end is told to the job once: the next one is not made twice.
    follows: Option<ErrandName>,
}

impl Open {
    /// Whether a happening is for the job as it stands.
    fn takes(&mut self, happening: &Happening) -> bool {
        let Happening::Errand(name, state) = happening else {
            return true;
        };
        let is_right = self.follows == Some(*name);
        if is_right && *state != ErrandState::Pending {
            self.follows = None;
        }
        is_right
    }
}

/// A wallet that carries a gateway's orders to its federation.
pub struct Carrier {
    client: Client,
    town: Town,
    now: Millis,
    jobs: BTreeMap<Key, Open>,
    askers: BTreeMap<u64, Asker>,
    errands: BTreeMap<OperationId, (Key, ErrandName)>,
    happenings: VecDeque<(Key, Happening)>,
    watch: Watch,
    told: Option<FederationState>,
    /// Notes may have come or gone.
    counts: bool,
    outbox: Vec<Action>,
    client_wake: Option<Millis>,
    wake: Option<Millis>,
    last_id: u64,
}

impl Carrier {
    /// Lets a wallet carry orders, with the gateway's keys. Nothing happens before the first [`guildmint_client::Event::Time`].
    ///
    /// # Errors
    /// If the federation has no Lightning.
    pub fn new(client: Client, keys: Keys) -> Result<Self, CarrierError> {
        let genesis = client.genesis();
        let damaged = |error: &dyn std::fmt::Display| CarrierError::Config(error.to_string());
        let quorum = genesis.quorum().map_err(|error| damaged(&error))?;
        let (module, ln) = genesis.module(KIND).ok_or(CarrierError::NoLightning)?;
        let config = LnConfig::decode(&ln.config).map_err(|error| damaged(&error))?;
        config.validate(quorum)?;
        let town = Town {
            id: genesis.id(),
            quorum,
            module,
            config,
            keys,
        };
        Ok(Self {
            watch: Watch::new(quorum, genesis.network),
            client,
            town,
            now: Millis::default(),
            jobs: BTreeMap::new(),
            askers: BTreeMap::new(),
            errands: BTreeMap::new(),
            happenings: VecDeque::new(),
            told: None,
            counts: true,
            outbox: Vec::new(),
            client_wake: None,
            wake: None,
            last_id: 0,
        })
    }

    /// The wallet, to look at.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Takes an event, and says what to do, in order. News are told when what they follow from is durable.
    #[must_use]
    pub fn handle(&mut self, event: Event) -> Vec<Action> {
        match event {
            Event::Client(event) => {
                let time = match &event {
                    guildmint_client::Event::Time { now } => Some(*now),
                    _ => None,
                };
                self.feed(event);
                if let Some(now) = time {
                    self.time(now);
                }
            }
            Event::Order(order) => self.order(order),
        }
        self.run();
        self.tell_state();
        self.tell_wake();
        std::mem::take(&mut self.outbox)
    }

    fn time(&mut self, now: Millis) {
        self.now = self.now.max(now);
        for (key, open) in &mut self.jobs {
            if open.wake.is_some_and(|at| at <= now) {
                open.wake = None;
                self.happenings.push_back((*key, Happening::Time));
            }
        }
        self.client_wake = self.client_wake.filter(|at| *at > now);
        if let Some(question) = self.watch.ask(self.now) {
            self.ask(Asker::Watch, question);
        }
    }

    /// ⚠ What is under way is not begun again. Its end is told once, and again when it is ordered again after that.
    fn order(&mut self, order: Order) {
        let key = Key::of(&order, self.town.id);
        if self.jobs.contains_key(&key) {
            return;
        }
        let (job, _) = self.at_desk(|desk| Job::new(order, desk));
        let open = Open {
            job,
            wake: None,
            follows: None,
        };
        self.jobs.insert(key, open);
        self.happenings.push_back((key, Happening::Time));
    }

    fn at_desk<T>(&self, work: impl FnOnce(&mut Desk<'_>) -> T) -> (T, Vec<Wish>) {
        let mut desk = Desk {
            town: &self.town,
            client: &self.client,
            height: self.watch.height(),
            now: self.now,
            wishes: Vec::new(),
        };
        let done = work(&mut desk);
        (done, desk.wishes)
    }

    fn run(&mut self) {
        while let Some((key, happening)) = self.happenings.pop_front() {
            // It is taken out while it steps.
            let Some(mut open) = self.jobs.remove(&key) else {
                continue;
            };
            let mut wishes = Vec::new();
            if open.takes(&happening) {
                ((), wishes) = self.at_desk(|desk| open.job.step(happening, desk));
            }
            self.jobs.insert(key, open);
            for wish in wishes {
                self.carry_out(key, wish);
            }
        }
    }

    fn carry_out(&mut self, key: Key, wish: Wish) {
        match wish {
            Wish::Ask(question) => self.ask(Asker::Question(key), question),
            Wish::Begin(errand) => {
                if let Some(open) = self.jobs.get_mut(&key) {
                    open.follows = Some(errand.name);
                }
                let asker = Asker::Errand(key, errand.name);
                self.command(asker, Command::Errand(errand));
            }
            Wish::WakeAt(at) => {
                if let Some(open) = self.jobs.get_mut(&key) {
                    open.wake = Some(at);
                }
            }
            Wish::Tell(news) => self.outbox.push(Action::News(news)),
            Wish::WrongShare(guardian, contract) => {
                self.outbox.push(Action::WrongShare { guardian, contract })
            }
            Wish::End => {
                self.jobs.remove(&key);
                self.errands.retain(|_, (of, _)| *of != key);
            }
        }
    }

    fn ask(&mut self, asker: Asker, question: Question) {
        self.command(asker, Command::Ask(Box::new(question)));
    }

    fn command(&mut self, asker: Asker, command: Command) {
        self.last_id += 1;
        let ticket = OURS | self.last_id;
        self.askers.insert(ticket, asker);
        let ticket = Ticket(ticket);
        self.feed(guildmint_client::Event::Command { ticket, command });
    }

    /// Tells the wallet, and sorts out what is for the carrier.
    fn feed(&mut self, event: guildmint_client::Event) {
        use guildmint_client::Action as Client;
        for action in self.client.handle(event) {
            match action {
                Client::Reply { ticket, result } if ticket.0 & OURS != 0 => {
                    if let Some(asker) = self.askers.remove(&ticket.0) {
                        self.replied(asker, result);
                    }
                    continue;
                }
                Client::WakeAt { at } => {
                    self.client_wake = Some(at);
                    continue;
                }
                Client::Progress { operation } => {
                    if let Some((key, name)) = self.errands.get(&operation).copied() {
                        self.look_at_errand(key, name);
                    }
                }
                Client::Save { .. } => self.counts = true,
                _ => {}
            }
            self.outbox.push(Action::Client(action));
        }
    }

    fn replied(&mut self, asker: Asker, result: Result<Reply, ClientError>) {
        match (asker, result) {
            (Asker::Watch, Ok(Reply::Answer { answer })) => {
                let before = self.watch.height();
                self.watch.answered(Some(&answer), self.now);
                if before.is_none() && self.watch.height().is_some() {
                    self.wake_all();
                }
            }
            (Asker::Watch, _) => self.watch.answered(None, self.now),
            (Asker::Question(key), Ok(Reply::Answer { answer })) => {
                let answer = Happening::Answer(Ok(answer));
                self.happenings.push_back((key, answer));
            }
            (Asker::Question(key), Err(error)) => {
                let answer = Happening::Answer(Err(error));
                self.happenings.push_back((key, answer));
            }
            (Asker::Errand(key, name), Ok(Reply::Started { operation })) => {
                self.errands.insert(operation, (key, name));
                self.look_at_errand(key, name);
            }
            (Asker::Errand(key, _), Err(error)) => {
                self.happenings.push_back((key, Happening::NotBegun(error)));
            }
            // The wallet gives no other replies to these commands.
            (Asker::Question(_) | Asker::Errand(..), Ok(_)) => {}
        }
    }

    /// What waited for the clock goes on at once.
    fn wake_all(&mut self) {
        for (key, open) in &mut self.jobs {
            if open.wake.take().is_some() {
                self.happenings.push_back((*key, Happening::Time));
            }
        }
    }

    fn look_at_errand(&mut self, key: Key, name: ErrandName) {
        if let Some(view) = self.client.errand(name) {
            let happening = Happening::Errand(name, view.state);
            self.happenings.push_back((key, happening));
        }
    }

    /// Tells how the federation is, if that is not what was told.
    fn tell_state(&mut self) {
        if self.now == Millis::default() {
            return;
        }
        let known = self.told.as_ref().filter(|_| !self.counts);
        let ecash = known.map_or_else(|| self.client.owned(), |told| told.ecash);
        self.counts = false;
        let restoring = "what the gateway has there is being found again";
        let trouble = match self.client.is_unrestored() {
            true => Some(restoring),
            false => self.watch.trouble(),
        };
        let costs = self.client.contract_costs(limits::TYPICAL_NOTES);
        let costs = costs.map(|costs| Costs {
            fund: costs.fund,
            claim: costs.spend,
        });
        let state = FederationState {
            height: self.watch.height().unwrap_or_default(),
            ecash,
            trouble: trouble.map(str::to_owned),
            costs: costs.unwrap_or_default(),
        };
        if self.told.as_ref() != Some(&state) {
            self.told = Some(state.clone());
            self.outbox.push(Action::News(News::State(state)));
        }
    }

    fn tell_wake(&mut self) {
        let jobs = self.jobs.values().filter_map(|open| open.wake);
        let wake = jobs
            .chain(self.watch.wake_at())
            .chain(self.client_wake)
            .min()
            .map(|at| Alarm::time(at, self.now));
        if wake != self.wake {
            self.wake = wake;
            let wake = wake.map(|at| guildmint_client::Action::WakeAt { at });
            self.outbox.extend(wake.map(Action::Client));
        }
    }
}

#[cfg(test)]
mod tests {
    use guildmint_core::module::Reject;

    use super::*;

    fn follows(name: Option<ErrandName>) -> Open {
        Open {
            job: Job::look([1; 32].into()),
            wake: None,
            follows: name,
        }
    }

    /// ⚠ What an earlier try says later, such as that its notes are back, would have another one made beside that which is under way.
    #[test]
    fn only_the_errand_that_is_followed_ends_and_only_once() {
        let (one, other) = (ErrandName([1; 32]), ErrandName([2; 32]));
        let rejected = |name| {
            let state = ErrandState::Rejected(Reject::permanent("note_spent", "spent"));
            Happening::Errand(name, state)
        };
        let mut open = follows(Some(one));
        assert!(!open.takes(&rejected(other)));
        assert!(open.takes(&Happening::Errand(one, ErrandState::Pending)));
        assert!(open.takes(&rejected(one)));
        assert!(!open.takes(&rejected(one)));
        assert!(open.takes(&Happening::Time));
        assert!(!follows(None).takes(&rejected(one)));
    }
}
