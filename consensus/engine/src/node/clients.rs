//! What clients ask, and when they are answered.

use std::collections::BTreeSet;

use guildmint_core::{
    api::{AuditAnswer, CatchUp, Problem, StatusAnswer, TransactionAnswer, TransactionStatus},
    ledger::{Key, Ledger},
    limits,
    module::Reject,
    DecodeError, Epoch, Transaction, TxId, Wire,
};
use serde_json::Value as Json;

use super::{
    checks::{Print, Submission},
    event::{Action, Reply, Request, Ticket},
    pool::PATIENCE_MS,
    tasks::Task,
    Node,
};
use crate::{
    rows::{LastCertificate, Pooled},
    Checked,
};

/// Submissions that may wait for a check. Beyond it clients are told to come again.
const MAX_WAITING_SUBMISSIONS: usize = 1_024;

/// How many epochs a guardian may be behind and still speak for the present, if it gets on by itself: it is a moment late, no more.
const HARDLY_BEHIND: u64 = 8;

/// A client that waits for a transaction to be decided.
pub(super) struct Waiter {
    ticket: Ticket,
    deadline_ms: u64,
}

impl Node {
    pub(super) fn on_request(&mut self, ticket: Ticket, request: Request) {
        let is_always_answered = matches!(
            request,
            Request::Status | Request::Announcements | Request::Revisions { .. }
        );
        if let (Some(why), false) = (&self.halted, is_always_answered) {
            let problem = Problem::new(
                503,
                "halted",
                format!("this guardian has stopped: {why}"),
                false,
            );
            return self.reply(ticket, Reply::Problem(problem));
        }
        if let Some(problem) = self.not_ready(&request) {
            return self.reply(ticket, Reply::Problem(problem));
        }
        match request {
            Request::Submit(bytes) => self.submit(ticket, &bytes),
            Request::Transaction { txid, wait_ms } => {
                let wait_ms = wait_ms.min(limits::MAX_WAIT_SECONDS * 1_000);
                let deadline_ms = self.now_ms.saturating_add(wait_ms);
                self.run(Task::Transaction {
                    ticket,
                    txid,
                    deadline_ms,
                });
            }
            Request::Audit => {
                let reply = Reply::Audit(self.audit_answer());
                // What it shows must be true also after a crash.
                self.disk.after_save(Action::Reply { ticket, reply });
            }
            Request::Status => {
                let answer = self.status_answer();
                self.reply(ticket, Reply::Status(answer));
            }
            Request::Announcements => {
                let answer = self.announcements_answer();
                self.reply(ticket, Reply::Announcements(answer));
            }
            Request::Revisions { after } => {
                let reply = Reply::Revisions(self.revisions_answer(after));
                self.disk.after_save(Action::Reply { ticket, reply });
            }
            Request::Revise(said) => self.revise(ticket, &said),
            Request::Query { kind, query } => match self.federation.module_of_kind(&kind) {
                Some((module, _)) => self.run(Task::Query {
                    ticket,
                    module,
                    query,
                }),
                None => self.reply(ticket, query_reply(None)),
            },
        }
    }

    /// ⚠ What this guardian knows may be long out of date while it catches up: a note that it thinks unspent may be spent, and f
    /// liars would find in it the honest one that they need.
    fn not_ready(&self, request: &Request) -> Option<Problem> {
        let progress = self.history.progress(self.round.epoch, self.now_ms);
        let is_far =
            |progress: &CatchUp| self.history.is_catching_up() || progress.behind > HARDLY_BEHIND;
        let why = match (request, progress) {
            (Request::Submit(_) | Request::Query { .. } | Request::Revise(_), Some(progress))
                if is_far(&progress) =>
            {
                progress.to_string()
            }
            (Request::Query { .. }, _) if !self.entry_is_open() => {
                "it has just started and does not know yet where the others are".to_owned()
            }
            _ => return None,
        };
        let detail = format!("this guardian is not ready: {why}; ask another, or this one later");
        Some(Problem::new(503, "not_ready", detail, true))
    }

    fn submit(&mut self, ticket: Ticket, bytes: &[u8]) {
        let transaction = match Transaction::decode(bytes) {
            Ok(transaction) => transaction,
            Err(error) => return self.reply(ticket, Reply::Problem(undecodable(&error))),
        };
        let txid = self.federation.txid(&transaction);
        if self.pool.contains(txid) {
            return self.answer(ticket, txid, TransactionStatus::Pending);
        }
        if self.checks.waiting() >= MAX_WAITING_SUBMISSIONS {
            let busy = Problem::new(503, "busy", "too many submissions at once; try again", true);
            return self.reply(ticket, Reply::Problem(busy));
        }
        self.checks.enqueue(Submission {
            ticket: Some(ticket),
            print: Print::of(&transaction),
            transaction,
            since_ms: self.now_ms,
        });
    }

    /// Tells a client why a transaction is not taken.
    pub(super) fn refuse(&mut self, ticket: Ticket, reject: &Reject) {
        let problem = Problem::new(422, &reject.code, &reject.message, reject.retryable);
        self.reply(ticket, Reply::Problem(problem));
    }

    /// Tries a transaction that holds alone on the current state.
    pub(super) fn dry_run(&mut self, ticket: Option<Ticket>, checked: Checked) {
        let keys = self.federation.transaction_rows(&checked);
        let keys = keys.into_iter().filter(|key| !key.is_resident()).collect();
        self.run_after_loading(Task::DryRun { ticket, checked }, keys);
    }

    /// A transaction that was in the pool before a restart was tried.
    pub(super) fn tried_again(&mut self, checked: Checked, verdict: Result<BTreeSet<Key>, Reject>) {
        let (txid, epoch) = (checked.id(), self.round.epoch);
        let transaction = checked.transaction().clone();
        // It has waited long enough.
        let since_ms = self.now_ms.saturating_sub(PATIENCE_MS);
        let pooled = verdict.and_then(|claims| self.pool.insert(checked, claims, since_ms, epoch));
        if pooled.is_err() {
            self.checks.forget(&transaction);
            self.disk.remove(&Pooled(txid));
        }
    }

    /// A submitted transaction was tried on the current state.
    pub(super) fn tried(
        &mut self,
        ticket: Ticket,
        checked: Checked,
        verdict: Result<BTreeSet<Key>, Reject>,
    ) {
        let txid = checked.id();
        let transaction = checked.transaction().clone();
        let epoch = self.round.epoch;
        let pooled =
            verdict.and_then(|claims| self.pool.insert(checked, claims, self.now_ms, epoch));
        if pooled.is_err() {
            self.checks.forget(&transaction);
        }
        match pooled {
            Ok(()) => {
                self.disk.put(&Pooled(txid), &transaction);
                let reply = Reply::Transaction(TransactionAnswer {
                    txid,
                    status: TransactionStatus::Pending,
                });
                self.disk.after_save(Action::Reply { ticket, reply });
            }
            Err(reject) if reject.code == "already_accepted" => self.run(Task::Transaction {
                ticket,
                txid,
                deadline_ms: self.now_ms,
            }),
            Err(reject) => {
                self.pool.reject(txid, reject.clone());
                self.answer(ticket, txid, TransactionStatus::Rejected(reject));
            }
        }
    }

    /// Tells what is known of a transaction that is not accepted, now or when that changes.
    pub(super) fn answer_or_wait(&mut self, ticket: Ticket, txid: TxId, deadline_ms: u64) {
        let status = match self.pool.rejection(txid) {
            _ if self.pool.contains(txid) => TransactionStatus::Pending,
            Some(reject) => TransactionStatus::Rejected(reject.clone()),
            None => TransactionStatus::Unknown,
        };
        let final_here = matches!(status, TransactionStatus::Rejected(_));
        if final_here || deadline_ms <= self.now_ms {
            self.answer(ticket, txid, status);
        } else {
            let waiter = Waiter {
                ticket,
                deadline_ms,
            };
            self.waiters.entry(txid).or_default().push(waiter);
        }
    }

    /// A transaction was decided on in an epoch: whoever waits for it is told once that is durable.
    pub(super) fn decided(&mut self, txid: TxId, verdict: Result<(), Reject>) {
        if let Err(reject) = verdict {
            // Another guardian's copy of what was accepted before says nothing new.
            if reject.code != "already_accepted" {
                self.pool.reject(txid, reject);
            }
        }
        for waiter in self.waiters.remove(&txid).unwrap_or_default() {
            self.run(Task::Transaction {
                ticket: waiter.ticket,
                txid,
                deadline_ms: self.now_ms,
            });
        }
    }

    /// Answers those who have waited long enough.
    pub(super) fn answer_late(&mut self) {
        let now_ms = self.now_ms;
        let mut late = Vec::new();
        self.waiters.retain(|txid, waiters| {
            waiters.retain(|waiter| {
                let due = waiter.deadline_ms <= now_ms;
                if due {
                    late.push((waiter.ticket, *txid));
                }
                !due
            });
            !waiters.is_empty()
        });
        for (ticket, txid) in late {
            self.answer_or_wait(ticket, txid, now_ms);
        }
    }

    pub(super) fn next_deadline_ms(&self) -> Option<u64> {
        let waiters = self.waiters.values().flatten();
        waiters.map(|waiter| waiter.deadline_ms).min()
    }

    pub(super) fn answer(&mut self, ticket: Ticket, txid: TxId, status: TransactionStatus) {
        let reply = Reply::Transaction(TransactionAnswer { txid, status });
        // What an answer tells must be true also after a crash.
        self.disk.after_save(Action::Reply { ticket, reply });
    }

    pub(super) fn reply(&mut self, ticket: Ticket, reply: Reply) {
        self.out.push(Action::Reply { ticket, reply });
    }

    fn audit_answer(&self) -> AuditAnswer {
        let audit = self
            .federation
            .audit(&mut Ledger::new(self.disk.resident()));
        let modules = self
            .federation
            .modules()
            .filter_map(|(id, module)| Some((module.kind().to_owned(), *audit.get(&id)?)))
            .collect();
        let sum = |part: fn(&guildmint_core::Audit) -> u64| {
            audit.values().map(part).fold(0, u64::saturating_add)
        };
        let (assets_msat, liabilities_msat) = (
            sum(|audit| audit.assets_msat),
            sum(|audit| audit.liabilities_msat),
        );
        let committed = self.head.map(|head| head.epoch);
        AuditAnswer {
            epoch: committed,
            assets_msat,
            liabilities_msat,
            net_msat: assets_msat.saturating_sub(liabilities_msat),
            modules,
            certificate: self
                .disk
                .get(&LastCertificate)
                .filter(|certificate| Some(certificate.result.epoch) == committed),
        }
    }

    /// The last epoch of its silence, if it is not in that one yet. Once it is, it knows all that the others know and can serve
    /// clients; and where nobody has a reason for an epoch, that one may be long in coming.
    fn is_far_from_speaking(&self) -> Option<Epoch> {
        self.fenced().filter(|through| self.round.epoch < *through)
    }

    fn status_answer(&self) -> StatusAnswer {
        let mut ledger = Ledger::new(self.disk.resident());
        let catching_up = self.history.progress(self.round.epoch, self.now_ms);
        StatusAnswer {
            peer: self.me(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            committed: self.head.map(|head| head.epoch),
            height: self.federation.now(&mut ledger, self.round.epoch).height,
            pool: self.pool.len(),
            not_ready: match self.is_far_from_speaking() {
                Some(through) => Some(format!(
                    "its database is older than what it has said, or another process runs with the same secrets: it takes no part through {through}, and then goes on"
                )),
                None => catching_up.as_ref().map(ToString::to_string),
            },
            catching_up,
            runs_twice: self.all_that_run_twice(),
            versions: self.federation.version_reports(&mut ledger, self.round.epoch),
            revision: self.federation.latest_revision(&mut ledger).number,
            halted: self.halted.clone(),
        }
    }
}

/// The reply to a question to a module; `None` if the module has no such path.
pub(super) fn query_reply(answer: Option<Result<Json, Reject>>) -> Reply {
    match answer {
        Some(Ok(json)) => Reply::Query(json),
        Some(Err(reject)) => Reply::Problem(Problem::new(
            422,
            &reject.code,
            &reject.message,
            reject.retryable,
        )),
        None => Reply::Problem(Problem::new(
            404,
            "not_found",
            "there is no such path",
            false,
        )),
    }
}

fn undecodable(error: &DecodeError) -> Problem {
    let status = match error {
        DecodeError::TooLong { .. } => 413,
        _ => 400,
    };
    Problem::new(
        status,
        "undecodable",
        format!("the transaction cannot be read: {error}"),
        false,
    )
}
