//! What goes into a node and what comes out.

use std::collections::BTreeSet;

use guildmint_core::{
    api::{
        AnnouncementsAnswer, AuditAnswer, Problem, Revise, RevisionReport, RevisionsAnswer,
        StatusAnswer, TransactionAnswer,
    },
    ledger::{Changes, Key},
    module::{Fault, Later, Query, Reject},
    ModuleId, PeerId, Place, Transaction, TxId,
};
use serde_json::Value as Json;

use crate::{Checked, Versions};

/// Ties an answer to its question. Tickets of clients are chosen by the shell, all others by the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Something that happens to a node.
#[derive(Debug)]
pub enum Event {
    /// A client asks.
    Client {
        /// Names the question; the reply carries it.
        ticket: Ticket,
        /// The question.
        request: Request,
    },
    /// A peer, as its connection is authenticated, sent bytes.
    Peer {
        /// Who.
        from: PeerId,
        /// What.
        bytes: Vec<u8>,
    },
    /// A connection to a peer was made.
    Connected(PeerId),
    /// Two processes run with the secrets of one guardian (SPEC NET-6).
    RunsTwice {
        /// Which guardian.
        of: PeerId,
        /// Who has seen both: this guardian, or the one that says so of us.
        seen_by: PeerId,
    },
    /// The outside world has news for a module.
    World {
        /// Which module.
        module: ModuleId,
        /// The news, in that module's encoding.
        news: Vec<u8>,
    },
    /// Rows that were asked for.
    Loaded {
        /// The ticket of the [`Action::Load`].
        ticket: Ticket,
        /// Every key that was asked for; `None` where there is no row.
        rows: Vec<(Key, Option<Vec<u8>>)>,
    },
    /// A [`Action::Save`] is durable. Saves finish in the order in which they were asked for.
    Saved {
        /// Its ticket.
        ticket: Ticket,
    },
    /// A worker is done.
    Checked {
        /// The ticket of the [`Action::Check`].
        ticket: Ticket,
        /// What it found.
        result: CheckResult,
    },
    /// Where this guardian is reached; told once after each start.
    Located {
        /// Where.
        place: Place,
        /// The time of the day, in milliseconds since 1970. It orders announcements, and nothing else goes by it.
        unix_ms: u64,
    },
    /// The operator wants a version of a module's rules though not all guardians know it (SPEC GEN-4).
    Insist {
        /// Which module.
        module: ModuleId,
        /// Which version.
        version: u16,
    },
    /// Time has passed.
    Time,
}

/// Something that a node wants done. Actions are to be carried out in their order; loads and saves by one store that keeps
/// that order too.
#[derive(Debug)]
pub enum Action {
    /// Read rows.
    Load {
        /// For the [`Event::Loaded`].
        ticket: Ticket,
        /// Which.
        keys: BTreeSet<Key>,
    },
    /// Write rows, all or nothing, durably.
    Save {
        /// For the [`Event::Saved`].
        ticket: Ticket,
        /// Which.
        changes: Changes,
    },
    /// Send bytes to one peer. May be lost.
    Send {
        /// To whom.
        to: PeerId,
        /// What.
        bytes: Vec<u8>,
    },
    /// Send bytes to all peers, by way of others where there is no connection. May be lost.
    Broadcast {
        /// What it is about.
        topic: Topic,
        /// What.
        bytes: Vec<u8>,
    },
    /// Look for a peer at these addresses too: it has said that it is there. They may be of no use.
    Locate {
        /// Which peer.
        peer: PeerId,
        /// Multiaddresses.
        p2p: Vec<String>,
    },
    /// Answer a client.
    Reply {
        /// The question.
        ticket: Ticket,
        /// The answer.
        reply: Reply,
    },
    /// Let a worker compute something slow.
    Check {
        /// For the [`Event::Checked`].
        ticket: Ticket,
        /// What.
        job: CheckJob,
    },
    /// Ask the outside world for something, on behalf of a module. May be asked twice.
    Work {
        /// Which module.
        module: ModuleId,
        /// What, in that module's encoding.
        job: Vec<u8>,
    },
    /// Send [`Event::Time`] at this time or soon after; replaces earlier wishes.
    WakeAt {
        /// Milliseconds, on the clock that events carry.
        at_ms: u64,
    },
    /// Tell the operator that a guardian misbehaved.
    Report(Fault),
    /// Stop for good, and tell the operator why: an invariant is broken.
    Halt {
        /// Why.
        why: String,
    },
}

/// What a broadcast is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// Contributions to epochs.
    Contributions,
    /// Signatures on the results of epochs.
    Certificates,
    /// Where guardians are.
    Announcements,
}

/// What a worker is for: transactions to check alone, and outcomes.
#[derive(Debug)]
pub enum CheckJob {
    /// Each for itself, by the versions that count now.
    Each(Vec<Transaction>, Versions),
    /// All of one contribution: one that is wrong spoils all.
    All(Vec<Transaction>, Versions),
    /// What the owners of outputs are told, by transaction.
    Outcomes(Vec<Vec<Later<Json>>>),
}

/// What a worker found.
#[derive(Debug, Clone)]
pub enum CheckResult {
    /// For [`CheckJob::Each`].
    Each(Vec<Result<Checked, Reject>>),
    /// For [`CheckJob::All`].
    All(Result<Vec<Checked>, Reject>),
    /// For [`CheckJob::Outcomes`].
    Outcomes(Vec<Vec<Json>>),
}

impl crate::Federation {
    /// Does a worker's work: pure and slow.
    #[must_use]
    pub fn check(&self, job: CheckJob) -> CheckResult {
        match job {
            CheckJob::Each(transactions, versions) => {
                CheckResult::Each(self.check_each(transactions, &versions))
            }
            CheckJob::All(transactions, versions) => {
                CheckResult::All(self.check_all(transactions, &versions))
            }
            CheckJob::Outcomes(outcomes) => {
                let all =
                    |outcomes: Vec<Later<Json>>| outcomes.into_iter().map(Later::get).collect();
                CheckResult::Outcomes(outcomes.into_iter().map(all).collect())
            }
        }
    }
}

/// A client's question.
#[derive(Debug, Clone)]
pub enum Request {
    /// Take this transaction, in its canonical encoding.
    Submit(Vec<u8>),
    /// What became of a transaction? Answered at once unless it is pending.
    Transaction {
        /// Which.
        txid: TxId,
        /// How long to wait for a change while it is pending or unknown, in milliseconds.
        wait_ms: u64,
    },
    /// The balance sheet.
    Audit,
    /// How is this guardian?
    Status,
    /// Where are the guardians?
    Announcements,
    /// What has changed about the federation?
    Revisions {
        /// The number of the last revision that is known.
        after: u32,
    },
    /// The operator asks about revisions, or says something about them.
    Revise(Revise),
    /// A question to a module.
    Query {
        /// The module's kind.
        kind: String,
        /// The question.
        query: Query,
    },
}

/// An answer to a client.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// To [`Request::Submit`] and [`Request::Transaction`].
    Transaction(TransactionAnswer),
    /// To [`Request::Audit`].
    Audit(AuditAnswer),
    /// To [`Request::Status`].
    Status(StatusAnswer),
    /// To [`Request::Announcements`].
    Announcements(AnnouncementsAnswer),
    /// To [`Request::Revisions`].
    Revisions(RevisionsAnswer),
    /// To [`Request::Revise`]. What was said goes to the others with this guardian's next contribution.
    Revise(RevisionReport),
    /// To [`Request::Query`].
    Query(Json),
    /// To anything: it cannot be answered.
    Problem(Problem),
}
