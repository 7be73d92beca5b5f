//! The world: one queue of things to come, ordered by simulated time.

use std::collections::BTreeMap;

use guildmint_client::RequestId;
use guildmint_core::{
    ledger::{Key, Scope, Space},
    PeerId, Row, TxId, Wire,
};
use guildmint_engine::{
    node::{Action, CheckJob, Event, Reply, Ticket},
    rows::Head,
};
use guildmint_kit::{
    chain::FakeChain,
    play::{self, Seen},
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha12Rng;

use crate::{
    adversary::Adversary,
    checks::Checks,
    guardian::Guardian,
    outside::Outside,
    power::Power,
    script::Script,
    setup,
    users::{User, UserId},
    Setup,
};

/// Something that will happen.
pub(crate) enum Delivery {
    /// To a guardian in one of its lives.
    ToNode(PeerId, u32, Event),
    /// A guardian takes in what has come.
    TakeIn(PeerId, u32),
    /// A guardian's disk is done with a save.
    Synced(PeerId, u32, u64),
    /// A guardian's disk has come to a read. It does one thing after the other, so all earlier saves are seen.
    Read(PeerId, u32, Ticket, Vec<Key>),
    /// A guardian's timer.
    Wake(PeerId, u32, u64),
    /// The power fails.
    Crash(PeerId),
    /// It is back.
    Start(PeerId),
    /// The scripted client looks after its transactions.
    ScriptTurn,
    /// A guardian looks at the bitcoin network.
    Look(PeerId),
    /// To a user's program in one of its lives.
    ToUser(UserId, u32, guildmint_client::Event),
    /// A user's disk is done with a save.
    UserSynced(UserId, u32),
    /// A user's timer.
    WakeUser(UserId, u32, u64),
    /// A user stops waiting for an answer.
    GiveUp(Ticket),
}

/// Who asked a guardian something.
pub(crate) enum Asker {
    /// The scripted client, about a transaction.
    Script(TxId),
    /// A user's program, in one of its lives.
    User(UserId, u32, RequestId),
    /// Somebody who waits for the answer.
    Somebody,
}

/// A federation, its clients and its misfortunes.
pub struct World {
    pub(crate) now_ms: u64,
    queue: BTreeMap<(u64, u64), Delivery>,
    sequence: u64,
    pub(crate) rng: ChaCha12Rng,
    pub(crate) setup: Setup,
    pub(crate) guardians: Vec<Guardian>,
    pub(crate) checks: Checks,
    pub(crate) next_ticket: u64,
    pub(crate) asked: BTreeMap<Ticket, Asker>,
    /// Answers that nobody has taken yet.
    pub(crate) answers: BTreeMap<Ticket, Reply>,
    pub(crate) script: Script,
    pub(crate) outside: Outside,
    pub(crate) users: Vec<User>,
    /// The Byzantine guardians.
    pub(crate) adversaries: BTreeMap<PeerId, Adversary>,
    pub(crate) power: Power,
    pub(crate) transactions_checked: usize,
}

impl World {
    /// A world of a kind, drawn from a seed.
    #[must_use]
    pub fn new(setup: Setup, seed: u64) -> Self {
        let chain = FakeChain::new();
        let dealt = setup::deal(&setup, &chain);
        let mut world = Self {
            now_ms: 1_000,
            queue: BTreeMap::new(),
            sequence: 0,
            rng: ChaCha12Rng::seed_from_u64(seed),
            guardians: dealt.into_iter().map(Guardian::new).collect(),
            checks: Checks::default(),
            next_ticket: 0,
            asked: BTreeMap::new(),
            answers: BTreeMap::new(),
            script: Script::default(),
            outside: Outside::new(setup.guardians, chain, setup.finality_blocks),
            users: Vec::new(),
            adversaries: BTreeMap::new(),
            power: Power::default(),
            transactions_checked: 0,
            setup,
        };
        for peer in world.peers() {
            let after_ms = world.rng.gen_range(0..50);
            world.later(after_ms, Delivery::Start(peer));
        }
        world
    }

    /// Lets time pass until a guardian's disk is about to finish the save that commits an epoch, or nothing is left to do.
    ///
    /// # Panics
    /// If that takes longer than `patience_ms`.
    pub fn run_until_one_commits(&mut self, peer: PeerId, patience_ms: u64) {
        let head = Head.key(Scope::engine(Space::Local));
        let deadline_ms = self.now_ms + patience_ms;
        let saving = |world: &Self| {
            let unsynced = &world.guardians[usize::from(peer.0)].unsynced;
            unsynced
                .values()
                .any(|(_, changes)| changes.contains_key(&head))
        };
        while !saving(self) && !self.is_settled() {
            assert!(self.now_ms < deadline_ms, "nothing committed");
            self.run(1);
        }
    }

    /// A guardian sees a new height of the outside world.
    pub fn sees(&mut self, peer: PeerId, height: u32) {
        let news = Event::World {
            module: play::MODULE,
            news: Seen(height).encode(),
        };
        self.tell(peer, news);
    }

    /// Something happens to a guardian in its present life.
    pub(crate) fn tell(&mut self, peer: PeerId, event: Event) {
        let life = self.guardians[usize::from(peer.0)].life;
        self.later(0, Delivery::ToNode(peer, life, event));
    }

    /// Lets time pass.
    pub fn run(&mut self, duration_ms: u64) {
        let end_ms = self.now_ms + duration_ms;
        while let Some(entry) = self.queue.first_entry() {
            if entry.key().0 > end_ms {
                break;
            }
            let ((at_ms, _), delivery) = entry.remove_entry();
            self.now_ms = at_ms;
            self.deliver(delivery);
        }
        self.now_ms = end_ms;
    }

    /// Lets time pass until every transaction that clients want is accepted by every guardian that is up, and all have
    /// committed the same epoch.
    ///
    /// # Panics
    /// If that takes longer than `patience_ms`.
    #[allow(clippy::panic)]
    pub fn run_until_settled(&mut self, patience_ms: u64) {
        let deadline_ms = self.now_ms + patience_ms;
        while !self.is_settled() {
            assert!(
                self.now_ms < deadline_ms,
                "not settled after {patience_ms} ms: {} of {} accepted, committed {:?}, undecided {:?}",
                self.accepted(),
                self.script.wanted(),
                self.committed(),
                self.guardians
                    .iter()
                    .map(|g| g.node.as_ref().map(guildmint_engine::Node::undecided))
                    .collect::<Vec<_>>(),
            );
            self.run(200);
        }
    }

    /// Lets time pass until every guardian has stopped for good.
    ///
    /// # Panics
    /// If that takes longer than `patience_ms`.
    pub fn run_until_halted(&mut self, patience_ms: u64) {
        let deadline_ms = self.now_ms + patience_ms;
        self.checks.halts_are_expected = true;
        let running = |guardian: &Guardian| {
            let node = guardian.node.as_ref();
            node.is_none_or(|node| node.halted().is_none())
        };
        while self.guardians.iter().any(running) {
            assert!(
                self.now_ms < deadline_ms,
                "not all halted after {patience_ms} ms"
            );
            self.run(100);
        }
    }

    pub(crate) fn peers(&self) -> Vec<PeerId> {
        (0..self.setup.guardians).map(PeerId).collect()
    }

    pub(crate) fn later(&mut self, delay_ms: u64, delivery: Delivery) {
        self.sequence += 1;
        self.queue
            .insert((self.now_ms + delay_ms, self.sequence), delivery);
    }

    fn deliver(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::ToNode(peer, life, event) => self.event(peer, life, event),
            Delivery::TakeIn(peer, life) => self.take_in(peer, life),
            Delivery::Synced(peer, life, save) => {
                let guardian = &mut self.guardians[usize::from(peer.0)];
                if guardian.life == life {
                    if let Some(ticket) = guardian.finish_save(save) {
                        self.event(peer, life, Event::Saved { ticket });
                    }
                }
            }
            Delivery::Read(peer, life, ticket, keys) => {
                let rows = self.guardians[usize::from(peer.0)].read(&keys);
                self.event(peer, life, Event::Loaded { ticket, rows });
            }
            Delivery::Wake(peer, life, at_ms) => {
                let guardian = &mut self.guardians[usize::from(peer.0)];
                if guardian.wake_ms == Some(at_ms) && guardian.life == life {
                    guardian.wake_ms = None;
                    self.event(peer, life, Event::Time);
                }
            }
            Delivery::Crash(peer) => self.crash(peer),
            Delivery::Start(peer) => self.start_now(peer),
            Delivery::ScriptTurn => self.script_turn(),
            Delivery::Look(peer) => self.look(peer),
            Delivery::ToUser(user, life, event) => self.notify_user(user, life, event),
            Delivery::UserSynced(user, life) => self.user_synced(user, life),
            Delivery::WakeUser(user, life, at_ms) => self.wake_user(user, life, at_ms),
            Delivery::GiveUp(ticket) => self.give_up_on(ticket),
        }
    }

    fn event(&mut self, peer: PeerId, life: u32, event: Event) {
        let guardian = &mut self.guardians[usize::from(peer.0)];
        if guardian.life != life || guardian.node.is_none() {
            return;
        }
        let is_first = guardian.inputs.is_empty();
        guardian.inputs.push(event);
        match self.setup.faults.busy_ms {
            0 => self.take_in(peer, life),
            longest_ms if is_first => {
                let busy_ms = self.rng.gen_range(0..=longest_ms);
                self.later(busy_ms, Delivery::TakeIn(peer, life));
            }
            _ => {}
        }
    }

    /// A guardian takes in all that has come.
    fn take_in(&mut self, peer: PeerId, life: u32) {
        let now_ms = self.now_ms;
        let is_liar = self.is_liar(peer);
        let guardian = &mut self.guardians[usize::from(peer.0)];
        if guardian.life != life {
            return;
        }
        let inputs = std::mem::take(&mut guardian.inputs);
        let Some(node) = guardian.node.as_mut() else {
            return;
        };
        let actions = node.handle_all(now_ms + guardian.clock_ahead_ms, inputs);
        if !is_liar {
            self.checks.node(node);
        }
        self.carry_out(peer, actions);
    }

    pub(crate) fn carry_out(&mut self, peer: PeerId, actions: Vec<Action>) {
        for action in actions {
            if self.loses_power_now(peer) {
                return;
            }
            self.act(peer, action);
        }
    }

    fn act(&mut self, peer: PeerId, action: Action) {
        let life = self.guardians[usize::from(peer.0)].life;
        match action {
            Action::Save { ticket, changes } => {
                let delay_ms = self.disk_delay(peer);
                let save = self.guardians[usize::from(peer.0)].begin_save(ticket, changes);
                self.later(delay_ms, Delivery::Synced(peer, life, save));
            }
            Action::Load { ticket, keys } => {
                self.guardians[usize::from(peer.0)].loads += 1;
                let delay_ms = self.disk_delay(peer);
                let keys = keys.into_iter().collect();
                self.later(delay_ms, Delivery::Read(peer, life, ticket, keys));
            }
            Action::Send { to, bytes } => self.transmit(peer, to, bytes),
            Action::Broadcast { bytes, .. } => {
                for to in self.peers() {
                    if to != peer {
                        self.transmit(peer, to, bytes.clone());
                    }
                }
            }
            Action::Check { ticket, job } => {
                if let CheckJob::Each(transactions, _) | CheckJob::All(transactions, _) = &job {
                    self.transactions_checked += transactions.len();
                }
                let result = self.guardians[usize::from(peer.0)].federation.check(job);
                let event = Event::Checked { ticket, result };
                self.later(1, Delivery::ToNode(peer, life, event));
            }
            Action::WakeAt { at_ms } => {
                let guardian = &mut self.guardians[usize::from(peer.0)];
                let at_ms = at_ms.saturating_sub(guardian.clock_ahead_ms);
                guardian.wake_ms = Some(at_ms);
                let delay_ms = at_ms.saturating_sub(self.now_ms);
                self.later(delay_ms, Delivery::Wake(peer, life, at_ms));
            }
            Action::Reply { ticket, reply } => self.hear(peer, ticket, reply),
            Action::Report(fault) => {
                if !self.is_liar(peer) {
                    let is_liar = self.is_liar(fault.peer);
                    self.checks.fault(fault, is_liar);
                }
            }
            Action::Work { module, job } => self.work(peer, module, &job),
            // The checks find it.
            Action::Halt { .. } | Action::Locate { .. } => {}
        }
    }

    /// When the disk will have done one thing more.
    fn disk_delay(&mut self, peer: PeerId) -> u64 {
        let slow = self
            .setup
            .faults
            .slow_disk
            .filter(|(slow, _)| *slow == peer);
        let longest_ms = slow.map_or(6, |(_, longest_ms)| longest_ms);
        let takes_ms = self.rng.gen_range(0..=longest_ms);
        let guardian = &mut self.guardians[usize::from(peer.0)];
        let done_ms = guardian.disk_free_ms.max(self.now_ms) + takes_ms;
        guardian.disk_free_ms = done_ms;
        done_ms - self.now_ms
    }
}
