//! The wallet as one value: events in, actions out.

mod commands;
mod lightning;
mod look;
mod places;
mod refused;
mod revisions;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use guildmint_core::{ledger::Memory, module::Reject, PeerId, TxId};
use guildmint_mint::client::MasterSeed;
use rand_chacha::{rand_core::SeedableRng, ChaCha20Rng};
use serde_json::Value as Json;
use thiserror::Error;

use crate::{
    alarm::Alarm,
    api::RequestError,
    ask::{Ask, Finding, Reader, Rule, Whom},
    error::ClientError,
    event::{Action, Event, Millis, RequestId, SaveId, Ticket},
    federation::Federation,
    inquiry::{Inquiry, Next, Question},
    operation::{Desk, Happening, Operation, OperationId, Record, Wish},
    payment,
    reply::Reply,
    rows::{
        self, Announced, DamagedRow, Joined, NextOperation, OperationRow, PaymentRow, RevisionRow,
        Rows,
    },
    submission::{Requests, Standing, Submission},
    watch::Topic,
};

use lightning::Lightning;
pub use look::{Balance, ContractCosts, FederationView, GuardianView, NoteCount, NoteView};

/// Why stored rows make no wallet.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum LoadError {
    /// See [`DamagedRow`].
    #[error(transparent)]
    Damaged(#[from] DamagedRow),
    /// The wallet has not joined a federation.
    #[error("the wallet has joined no federation")]
    NotJoined,
    /// The federation's config is of no use.
    #[error(transparent)]
    Federation(#[from] ClientError),
}

/// Who waits for a question's answer.
#[derive(Debug)]
enum Asker {
    Operation(OperationId),
    Command(Ticket, Inquiry),
    /// A payment that was refused for this reason.
    Payment(TxId, Reject),
}

/// Whose request it was.
#[derive(Debug, Clone, Copy)]
enum Owner {
    Submission(TxId),
    Question(u64),
    /// Nobody's in particular: where guardians are.
    Places,
    /// The same: what has changed about the federation after this revision.
    Revisions(u32),
    /// That of all who watch this.
    Watch(Topic),
}

/// A wallet in one federation.
pub struct Client {
    federation: Federation,
    rows: Rows,
    rng: ChaCha20Rng,
    now: Millis,
    started: bool,
    submissions: BTreeMap<TxId, (OperationId, Submission)>,
    questions: BTreeMap<u64, (Asker, Ask)>,
    timers: BTreeMap<OperationId, Millis>,
    looking: BTreeSet<OperationId>,
    /// Why the last look at the chain failed.
    blind: BTreeMap<OperationId, String>,
    requests: BTreeMap<RequestId, (Owner, PeerId)>,
    lightning: Lightning,
    /// When guardians were last asked where they are.
    sought: Option<Millis>,
    /// When guardians were last asked for revisions.
    asked_for_revisions: Option<Millis>,
    /// Guardians that have told all revisions that they have, since they were last asked.
    told_revisions: BTreeSet<PeerId>,
    happenings: VecDeque<(OperationId, Happening)>,
    outbox: Vec<Action>,
    held: VecDeque<(SaveId, Vec<Action>)>,
    wake: Option<Millis>,
    last_id: u64,
}

impl Client {
    /// A wallet from its stored rows. `random` spreads load and waiting times; no secret comes of it.
    ///
    /// Nothing happens before the first [`Event::Time`].
    ///
    /// # Errors
    /// If a row cannot be read, or the wallet has joined no federation.
    pub fn load(rows: Memory, seed: &MasterSeed, random: [u8; 32]) -> Result<Self, LoadError> {
        let rows = rows::load(rows)?;
        let mut membership = rows.get(&Joined(())).ok_or(LoadError::NotJoined)?;
        membership.announcements = rows.get(&Announced(())).unwrap_or_default();
        let mut federation = Federation::open(membership, seed)?;
        if let Some(signed) = rows.get(&RevisionRow(())) {
            federation.revise(&signed.revision)?;
        }
        Ok(Self {
            federation,
            rows,
            rng: ChaCha20Rng::from_seed(random),
            now: Millis::default(),
            started: false,
            submissions: BTreeMap::new(),
            questions: BTreeMap::new(),
            timers: BTreeMap::new(),
            looking: BTreeSet::new(),
            blind: BTreeMap::new(),
            requests: BTreeMap::new(),
            lightning: Lightning::default(),
            sought: None,
            asked_for_revisions: None,
            told_revisions: BTreeSet::new(),
            happenings: VecDeque::new(),
            outbox: Vec::new(),
            held: VecDeque::new(),
            wake: None,
            last_id: 0,
        })
    }

    /// Takes an event, and says what to do, in order. Actions that depend on rows that are not durable yet are held back
    /// until [`Event::Saved`]: whatever leaves, a crash cannot undo what it stands on.
    #[must_use]
    pub fn handle(&mut self, event: Event) -> Vec<Action> {
        let mut ready = Vec::new();
        match event {
            Event::Time { now } => self.time(now),
            Event::Command { ticket, command } => self.command(ticket, command),
            Event::Answer { request, result } => self.answer(request, result),
            Event::Gateway { request, result } => self.gateway_answered(request, result),
            Event::Saved { save } => ready = self.saved(save),
            Event::Chain { operation, result } => {
                self.looking.remove(&operation);
                match &result {
                    Ok(_) => drop(self.blind.remove(&operation)),
                    Err(error) => {
                        self.blind.insert(operation, error.clone());
                        // The federation may name another server by now.
                        self.ask_for_revisions_if_due();
                    }
                }
                self.happenings
                    .push_back((operation, Happening::Chain(result)));
            }
        }
        self.run();
        ready.extend(self.flush());
        ready
    }

    fn time(&mut self, now: Millis) {
        self.now = self.now.max(now);
        if !self.started {
            self.started = true;
            self.start();
        }
        let due = |(operation, at): (&OperationId, &Millis)| (*at <= now).then_some(*operation);
        let due: Vec<_> = self.timers.iter().filter_map(due).collect();
        for operation in due {
            self.timers.remove(&operation);
            self.happenings.push_back((operation, Happening::Time));
        }
        let mut requests = Vec::new();
        for (txid, (_, submission)) in &mut self.submissions {
            requests.push((Owner::Submission(*txid), submission.tick(self.now)));
        }
        for (number, (_, ask)) in &mut self.questions {
            requests.push((Owner::Question(*number), ask.tick(self.now)));
        }
        for (owner, requests) in requests {
            self.send(owner, requests);
        }
        self.send_watches();
        let open: Vec<_> = self.questions.keys().copied().collect();
        for number in open {
            self.judge_question(number);
        }
    }

    /// Everything that was pending when the program ended goes on.
    fn start(&mut self) {
        self.seek_at_start();
        for (PaymentRow(txid), _) in self.rows.scan::<PaymentRow>() {
            self.submit(txid);
        }
        for (OperationRow(operation), _) in self.rows.scan::<OperationRow>() {
            self.happenings.push_back((operation, Happening::Time));
        }
    }

    fn number(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    fn send(&mut self, owner: Owner, requests: Requests) {
        for (peer, body) in requests {
            let request = RequestId(self.number());
            self.requests.insert(request, (owner, peer));
            self.outbox.push(Action::Request {
                request,
                peer,
                body,
            });
        }
    }

    fn answer(&mut self, request: RequestId, result: Result<Json, RequestError>) {
        let Some((owner, peer)) = self.requests.remove(&request) else {
            return;
        };
        if let Err(error) = &result {
            self.seek_after(error);
        }
        match owner {
            Owner::Places => {
                if let Ok(answer) = result {
                    self.found_places(answer);
                }
            }
            Owner::Revisions(asked) => {
                if let Ok(answer) = result {
                    self.found_revisions(peer, asked, answer);
                }
            }
            Owner::Watch(topic) => self.watch_answered(topic, peer, result),
            Owner::Submission(txid) => {
                let Some((_, submission)) = self.submissions.get_mut(&txid) else {
                    return;
                };
                let requests = submission.answered(peer, result, self.now, &mut self.rng);
                self.send(owner, requests);
                self.judge_submission(txid);
            }
            Owner::Question(number) => {
                let Some((_, ask)) = self.questions.get_mut(&number) else {
                    return;
                };
                let requests = ask.answered(peer, result, self.now, &mut self.rng);
                self.send(owner, requests);
                self.judge_question(number);
            }
        }
    }

    fn submit(&mut self, txid: TxId) {
        let Some(payment) = self.rows.get(&PaymentRow(txid)) else {
            return;
        };
        let quorum = self.federation.quorum;
        let (submission, requests) = Submission::start(quorum, txid, payment.transaction, self.now);
        self.submissions
            .insert(txid, (payment.operation, submission));
        self.send(Owner::Submission(txid), requests);
    }

    /// Ends a submission if the guardians have settled it (SPEC API-4).
    fn judge_submission(&mut self, txid: TxId) {
        let Some((operation, submission)) = self.submissions.get_mut(&txid) else {
            return;
        };
        let Some(payment) = self.rows.get(&PaymentRow(txid)) else {
            return;
        };
        let operation = *operation;
        let happening = match submission.standing() {
            Standing::Open(Some(reject)) => return self.refused_for_now(txid, &payment, reject),
            Standing::Open(None) => return,
            Standing::Rejected(reject) => {
                self.submissions.remove(&txid);
                return self.refused(txid, &payment, reject);
            }
            Standing::Accepted(outcomes) => {
                let shares = outcomes.len() >= self.federation.quorum.threshold();
                if !payment.notes.is_empty() && !shares {
                    return;
                }
                match payment.finish(&self.federation.mint, &outcomes) {
                    Ok(notes) => payment::settle(&mut self.rows, txid, &payment, notes),
                    Err(unfinished) => {
                        for peer in unfinished.culprits {
                            submission.distrust(peer, self.now, &mut self.rng);
                        }
                        let requests = submission.tick(self.now);
                        self.send(Owner::Submission(txid), requests);
                        return;
                    }
                }
                Happening::Accepted(txid)
            }
        };
        self.submissions.remove(&txid);
        self.happenings.push_back((operation, happening));
    }

    fn ask(&mut self, asker: Asker, (request, rule, reader): Question) {
        self.ask_them(asker, request.into(), rule, reader);
    }

    fn ask_them(&mut self, asker: Asker, whom: Whom, rule: Rule, reader: Reader) {
        let quorum = self.federation.quorum;
        let (ask, requests) = Ask::start(quorum, whom, rule, reader, self.now, &mut self.rng);
        let number = self.number();
        self.questions.insert(number, (asker, ask));
        self.send(Owner::Question(number), requests);
    }

    fn judge_question(&mut self, number: u64) {
        let Some((_, ask)) = self.questions.get_mut(&number) else {
            return;
        };
        let Some(finding) = ask.finding(self.now) else {
            return;
        };
        if let Some((asker, _)) = self.questions.remove(&number) {
            self.found(asker, finding);
        }
    }

    fn found(&mut self, asker: Asker, finding: Finding) {
        if let (Asker::Command(_, Inquiry::Info { guardians: None }), Finding::Fact(told)) =
            (&asker, &finding)
        {
            self.heard_of_revisions(told);
        }
        match asker {
            Asker::Operation(operation) => {
                self.happenings
                    .push_back((operation, Happening::Found(finding)));
            }
            Asker::Payment(txid, reject) => self.bury(txid, reject, finding),
            Asker::Command(ticket, Inquiry::Lightning(inquiry)) => {
                self.inquiry_found(ticket, *inquiry, finding);
            }
            Asker::Command(ticket, inquiry) => match inquiry.answered(finding) {
                Next::Ask(inquiry, question) => {
                    self.ask(Asker::Command(ticket, inquiry), question);
                }
                Next::Reply(result) => self.reply(ticket, result),
            },
        }
    }

    fn reply(&mut self, ticket: Ticket, result: Result<Reply, ClientError>) {
        self.outbox.push(Action::Reply { ticket, result });
    }

    /// Lets operations step until nothing is left to react to.
    fn run(&mut self) {
        while let Some((id, happening)) = self.happenings.pop_front() {
            let Some(record) = self.rows.get(&OperationRow(id)) else {
                continue;
            };
            let before = record.operation.clone();
            let (operation, wishes) =
                self.at_desk(id, |desk| record.operation.step(happening, desk));
            if operation != before {
                self.lightning.progressed(id, operation.is_over());
                let created = record.created;
                self.rows
                    .put(&OperationRow(id), &Record { created, operation });
                self.outbox.push(Action::Progress { operation: id });
            }
            self.carry_out(id, wishes);
        }
    }

    fn at_desk<T>(
        &mut self,
        id: OperationId,
        work: impl FnOnce(&mut Desk<'_>) -> T,
    ) -> (T, Vec<Wish>) {
        let mut desk = Desk {
            id,
            now: self.now,
            federation: &self.federation,
            rows: &mut self.rows,
            wishes: Vec::new(),
        };
        let done = work(&mut desk);
        (done, desk.wishes)
    }

    fn carry_out(&mut self, id: OperationId, wishes: Vec<Wish>) {
        for wish in wishes {
            match wish {
                Wish::Submit(txid) => self.submit(txid),
                Wish::Ask {
                    request,
                    rule,
                    reader,
                } => self.ask(Asker::Operation(id), (request, rule, reader)),
                Wish::FindDeposits(script) => {
                    let operation = id;
                    // One look at a time: a source that is slow must not be asked ever more often.
                    if self.looking.insert(operation) {
                        self.outbox.push(Action::FindDeposits { operation, script });
                    }
                }
                Wish::Open(operation) => {
                    if let Ok(opened) = self.open(|_| Ok(*operation)) {
                        self.happenings.push_back((opened, Happening::Time));
                    }
                }
                Wish::WakeAt(at) => {
                    self.timers.insert(id, at);
                }
                Wish::Call(url, call) => self.call_gateway(id, url, call),
                Wish::Watch(topic) => self.watch(id, topic),
                Wish::Unwatch(topic) => self.lightning.unwatch(id, |one| *one == topic),
                Wish::TryLater => self.try_later(id),
            }
        }
    }

    /// Stores a new operation.
    fn open(
        &mut self,
        start: impl FnOnce(&mut Desk<'_>) -> Result<Operation, ClientError>,
    ) -> Result<OperationId, ClientError> {
        let number = self.rows.count_up(&NextOperation(()));
        let number = number.ok_or(ClientError::Exhausted("operation numbers"))?;
        // People count from one.
        let id = OperationId(number.saturating_add(1));
        let (operation, wishes) = self.at_desk(id, start);
        let (created, operation) = (self.now, operation?);
        self.rows
            .put(&OperationRow(id), &Record { created, operation });
        self.carry_out(id, wishes);
        Ok(id)
    }

    /// What can be done now. New changes go out first; what came with or after them waits until they are durable.
    fn flush(&mut self) -> Vec<Action> {
        let changes = self.rows.take_changes();
        let mut actions = std::mem::take(&mut self.outbox);
        let mut ready = Vec::new();
        if !changes.is_empty() {
            let save = SaveId(self.number());
            ready.push(Action::Save { save, changes });
            self.held.push_back((save, actions));
        } else if let Some((_, held)) = self.held.back_mut() {
            held.append(&mut actions);
        } else {
            ready = actions;
        }
        let wake = self.next_wake().map(|at| Alarm::time(at, self.now));
        if wake != self.wake {
            self.wake = wake;
            ready.extend(wake.map(|at| Action::WakeAt { at }));
        }
        ready
    }

    fn saved(&mut self, save: SaveId) -> Vec<Action> {
        let mut ready = Vec::new();
        while self.held.front().is_some_and(|(held, _)| *held <= save) {
            ready.extend(self.held.pop_front().into_iter().flat_map(|(_, held)| held));
        }
        ready
    }

    fn next_wake(&self) -> Option<Millis> {
        let submissions = self.submissions.values();
        let submissions = submissions.filter_map(|(_, one)| one.wake_at(self.now));
        let questions = self.questions.values().map(|(_, ask)| ask.wake_at());
        let timers = self.timers.values().copied();
        let watches = self.lightning.wake_at();
        submissions
            .chain(questions)
            .chain(timers)
            .chain(watches)
            .min()
    }
}

#[cfg(test)]
mod tests;
