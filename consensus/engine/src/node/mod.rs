//! One guardian as one value: events in, actions out (architecture: the guardian as a value).
//!
//! A [`Node`] does no I/O, reads no clock and draws no randomness. The shell around it carries out its [`Action`]s in order and
//! brings it [`Event`]s; the simulator does the same with simulated time, so a seed replays a whole federation.

mod addresses;
mod catch_up;
mod checks;
mod clients;
mod disk;
mod epochs;
mod event;
mod fence;
mod history;
mod inspect;
mod outcomes;
mod peers;
mod pool;
mod revisions;
mod round;
mod talk;
mod tasks;
mod twins;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use guildmint_core::{
    ledger::{Ledger, Memory, Scope, Space},
    module::{Audit, Fault},
    Epoch, EpochResult, GenesisConfig, IdentityKey, ModuleId, PayloadHash, PeerId, SessionId, TxId,
    Wire,
};
use guildmint_link::Link;
use thiserror::Error;

pub use event::{Action, CheckJob, CheckResult, Event, Reply, Request, Ticket, Topic};
pub use inspect::{forge, inspect, utter, Said};

use crate::{
    agreement::Message,
    contribution::{Payload, Vote},
    rows::{Announced, Fenced, Head, Log, LogEntry},
    Coin, Federation, Outdated,
};
use addresses::Addresses;
use catch_up::Candidates;
use checks::Checks;
use disk::Disk;
use fence::Entry;
use history::{History, GENESIS};
use outcomes::Outcomes;
use pool::Pool;
use round::{Early, Round};
use tasks::Task;
use twins::Twins;

/// One guardian.
pub struct Node {
    federation: Arc<Federation>,
    coin: Coin,
    identity: IdentityKey,
    now_ms: u64,
    out: Vec<Action>,

    disk: Disk,
    link: Link,
    round: Round,
    /// The last committed epoch's, for who is still in it.
    previous_round: Option<Round>,
    early: Early,
    pool: Pool,
    history: History,
    candidates: Candidates,
    addresses: Addresses,
    twins: Twins,
    head: Option<EpochResult>,

    tasks: BTreeMap<Ticket, Task>,
    serving: BTreeSet<PeerId>,
    /// Up to when each peer has used up the answers from history that it may have.
    history_paid_until_ms: BTreeMap<PeerId, u64>,
    /// Answers from history that each peer was asked for and has not given.
    history_asked: BTreeMap<PeerId, u32>,
    /// When each peer may be given each payload again.
    served: BTreeMap<(PeerId, PayloadHash), u64>,
    entry: Entry,
    /// The last epoch in which it may have said what it does not know any more.
    fenced: Option<Epoch>,
    checks: Checks,
    outcomes: Outcomes,
    waiters: BTreeMap<TxId, Vec<clients::Waiter>>,

    /// What the modules would vote now, if nothing has changed since it was computed.
    votes: Option<BTreeMap<ModuleId, Vote>>,
    /// When the last epoch was committed, in milliseconds; none before this guardian has seen one end.
    opened_at_ms: Option<u64>,
    /// Versions that the operator wants though not all guardians know them.
    insists: BTreeMap<ModuleId, u16>,
    /// Epochs in a row that changed nothing, or nothing but what f guardians said.
    idle_epochs: u32,
    halted: Option<String>,
}

/// Why a node cannot start.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StartError {
    /// A row that was stored does not decode.
    #[error("the database is damaged; restore this guardian's backup and let it catch up")]
    Damaged,
    /// The identity key is another's.
    #[error("the identity key is that of no guardian, or of another than {0}")]
    OtherIdentity(PeerId),
    /// The federation has gone on to rules that this software does not know.
    #[error(transparent)]
    Outdated(#[from] Outdated),
}

impl Node {
    /// A guardian with the resident rows that its store holds, at a time in milliseconds on any monotone clock. Returns what
    /// is to be done first.
    ///
    /// # Errors
    /// If the rows are damaged or the identity key is another's.
    pub fn start(
        federation: Arc<Federation>,
        coin: Coin,
        identity: IdentityKey,
        resident: Memory,
        now_ms: u64,
    ) -> Result<(Self, Vec<Action>), StartError> {
        let me = coin.me();
        if federation.genesis().identity(me) != Some(&identity.public()) {
            return Err(StartError::OtherIdentity(me));
        }
        let disk = Disk::new(resident);
        let head = disk.get(&Head);
        let open = head.map_or(Epoch(0), |head| head.epoch.next());
        let session = federation.genesis().session;
        let quorum = federation.quorum();
        let mut node = Self {
            now_ms,
            out: Vec::new(),
            link: Link::new(me, quorum, open),
            round: Round::new(&coin, session, open),
            previous_round: None,
            early: Early::default(),
            pool: Pool::new(me, quorum),
            history: History::new(quorum),
            candidates: Candidates::default(),
            addresses: Addresses::new(federation.genesis(), disk.scan::<Announced>()),
            twins: Twins::default(),
            head,
            tasks: BTreeMap::new(),
            serving: BTreeSet::new(),
            history_paid_until_ms: BTreeMap::new(),
            history_asked: BTreeMap::new(),
            served: BTreeMap::new(),
            entry: Entry::default(),
            fenced: disk.get(&Fenced),
            checks: Checks::default(),
            outcomes: Outcomes::default(),
            waiters: BTreeMap::new(),
            votes: None,
            opened_at_ms: None,
            idle_epochs: 0,
            insists: BTreeMap::new(),
            halted: None,
            federation,
            coin,
            identity,
            disk,
        };
        node.federation.knows(&node.versions())?;
        node.replay()?;
        node.repeat_signature();
        node.restore_pool();
        node.resume_jobs();
        node.locate_all();
        node.proceed();
        let actions = std::mem::take(&mut node.out);
        Ok((node, actions))
    }

    /// Takes an event, at a time in milliseconds, and says what is to be done.
    #[must_use]
    pub fn handle(&mut self, now_ms: u64, event: Event) -> Vec<Action> {
        self.handle_all(now_ms, [event])
    }

    /// Takes all events that wait, in their order, and says what is to be done. What follows from them is saved as one, so
    /// that under load one sync serves many (SPEC EPO-5).
    #[must_use]
    pub fn handle_all(
        &mut self,
        now_ms: u64,
        events: impl IntoIterator<Item = Event>,
    ) -> Vec<Action> {
        self.now_ms = self.now_ms.max(now_ms);
        for event in events {
            self.take(event);
        }
        if self.halted.is_none() {
            self.proceed();
        }
        std::mem::take(&mut self.out)
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Client { ticket, request } => self.on_request(ticket, request),
            _ if self.halted.is_some() => {}
            Event::Peer { from, bytes } => self.on_peer(from, &bytes),
            Event::Connected(peer) => {
                self.greet(peer);
                self.send_announcements(peer);
            }
            Event::RunsTwice { of, seen_by } => self.on_twin(of, seen_by),
            Event::Located { place, unix_ms } => self.on_located(place, unix_ms),
            Event::World { module, news } => self.on_news(module, &news),
            Event::Loaded { ticket, rows } => self.on_loaded(ticket, rows),
            Event::Saved { ticket } => self.disk.saved(ticket, &mut self.out),
            Event::Checked { ticket, result } => self.on_checked(ticket, result),
            Event::Insist { module, version } => drop(self.insists.insert(module, version)),
            Event::Time => {}
        }
    }

    /// Which guardian this is.
    #[must_use]
    pub fn me(&self) -> PeerId {
        self.coin.me()
    }

    /// The result of the last committed epoch.
    #[must_use]
    pub fn head(&self) -> Option<EpochResult> {
        self.head
    }

    /// The epoch under way.
    #[must_use]
    pub fn open_epoch(&self) -> Epoch {
        self.round.epoch
    }

    /// Guardians whose contributions to the open epoch are undecided, if it has begun: who holds it up.
    #[must_use]
    pub fn undecided(&self) -> Vec<PeerId> {
        match self.round.has_begun() {
            true => self.round.undecided(),
            false => Vec::new(),
        }
    }

    /// Transactions that wait for an epoch.
    #[must_use]
    pub fn pool_size(&self) -> usize {
        self.pool.len()
    }

    /// Transactions that are being checked, or are remembered to hold alone.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.checks.remembered()
    }

    /// Why it has stopped for good, if it has.
    #[must_use]
    pub fn halted(&self) -> Option<&str> {
        self.halted.as_deref()
    }

    /// The balance sheet, module by module.
    #[must_use]
    pub fn audit(&self) -> BTreeMap<ModuleId, Audit> {
        self.federation
            .audit(&mut Ledger::new(self.disk.resident()))
    }

    fn genesis(&self) -> &GenesisConfig {
        self.federation.genesis()
    }

    fn session(&self) -> SessionId {
        self.genesis().session
    }

    /// Rebuilds the last committed epoch's agreement and the open one's from the log: the same inputs in the same order. The
    /// former has nothing left to decide here, but others may lack what we said in it.
    fn replay(&mut self) -> Result<(), StartError> {
        let open = self.round.epoch;
        let entries = self.disk.scan::<Log>();
        if let Some(head) = self.head {
            let quorum = self.federation.quorum();
            self.link = Link::new(self.me(), quorum, head.epoch);
            self.round = Round::new(&self.coin, self.session(), head.epoch);
            self.replay_epoch(head.epoch, &entries)?;
            let next = Round::new(&self.coin, self.session(), open);
            let is_fenced = self.fenced >= Some(head.epoch);
            match !is_fenced && self.round.has_contributed(self.me()) {
                // Said before; kept for who asks.
                true => drop(self.link.flush()),
                false => self.link.retract(),
            }
            self.previous_round = Some(std::mem::replace(&mut self.round, next));
            let _ = self.link.commit(open);
        }
        self.replay_epoch(open, &entries)
    }

    fn replay_epoch(
        &mut self,
        epoch: Epoch,
        entries: &[(Log, LogEntry)],
    ) -> Result<(), StartError> {
        for (_, entry) in entries.iter().filter(|(Log(of, _), _)| *of == epoch) {
            let _ = self.round.next_log_row();
            match entry {
                LogEntry::Payload(bytes) => {
                    let payload: Payload = Wire::decode(bytes).map_err(|_| StartError::Damaged)?;
                    self.replay_payload(&payload);
                }
                LogEntry::Frame(from, frame) => {
                    self.link.restore(*from);
                    let step = self.round.frame(*from, Message::decode(frame));
                    self.follow(step);
                }
            }
        }
        Ok(())
    }

    /// Says again what may have been cut off: the signature on the last result.
    fn repeat_signature(&mut self) {
        if let Some(result) = self.head {
            let signature = result.sign(self.session(), &self.identity);
            let (me, open) = (self.me(), self.round.epoch);
            self.history.sign(me, result, signature, open);
            self.out.push(Action::Broadcast {
                topic: Topic::Certificates,
                bytes: talk::Talk::Signature(result, signature).encode(),
            });
        }
    }

    fn resume_jobs(&mut self) {
        let federation = Arc::clone(&self.federation);
        for (module, dynamic) in federation.modules() {
            let mut agreed = Ledger::new(self.disk.resident());
            let mut local = Ledger::new(self.disk.resident());
            let jobs = dynamic.resume(
                &agreed.view(Scope::module(Space::Agreed, module)),
                &local.view(Scope::module(Space::Local, module)),
            );
            let work = |job| Action::Work { module, job };
            self.out.extend(jobs.into_iter().map(work));
        }
    }

    fn on_news(&mut self, module: ModuleId, news: &[u8]) {
        let federation = Arc::clone(&self.federation);
        let Ok(dynamic) = federation.module(module) else {
            return;
        };
        let mut ledger = Ledger::new(self.disk.resident());
        let scope = Scope::module(Space::Local, module);
        if dynamic.sighted(&mut ledger.view(scope), news).is_ok() {
            let changes = ledger.finish().unwrap_or_default();
            self.disk.change_lazily(changes);
            self.votes = None;
        }
    }

    /// Whatever is due: called after each event.
    fn proceed(&mut self) {
        self.enter();
        self.catch_up();
        self.check();
        self.process_batch();
        self.contribute();
        self.ask_for_payloads();
        self.ask_for_history();
        self.answer_late();
        self.take_late_announcements();
        self.compute_outcomes();
        self.speak();
        self.disk.flush(self.now_ms, &mut self.out);
        self.wake();
    }

    fn wake(&mut self) {
        let times = [
            self.contribute_at_ms(),
            self.pool
                .next_ripe_ms()
                .filter(|_| !self.round.has_contributed(self.me())),
            self.check_submissions_at_ms(),
            self.round.next_wake_ms(),
            self.history.next_wake_ms(),
            self.link.next_wake_ms(),
            self.entry.opens_at_ms(),
            self.next_deadline_ms(),
            self.addresses.next_wake_ms(),
            self.disk.next_flush_ms(),
        ];
        let later = |at_ms: &u64| *at_ms > self.now_ms;
        let due = times.into_iter().flatten();
        // What is due already waits for something else than time.
        if let Some(at_ms) = due.filter(later).min() {
            self.out.push(Action::WakeAt { at_ms });
        }
    }

    fn halt(&mut self, why: String) {
        self.halted = Some(why.clone());
        self.out.clear();
        self.out.push(Action::Halt { why });
    }

    fn report(&mut self, faults: impl IntoIterator<Item = Fault>) {
        self.out.extend(faults.into_iter().map(Action::Report));
    }

    fn previous(&self) -> guildmint_core::Digest {
        self.head.map_or(GENESIS, |head| head.digest)
    }
}
