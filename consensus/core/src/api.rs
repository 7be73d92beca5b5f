//! What clients and guardians say to each other over REST: the bodies of requests and answers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::{
    encoding::{decimal, hex_bytes},
    hash::{FederationId, RevisionHash, TxId},
    module::Reject,
    Announcement, Audit, Certificate, Digest, Epoch, PeerId, SignedRevision, Tagged,
};

/// Answer to `POST /v1/transactions` and `GET /v1/transactions/{txid}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TransactionAnswer {
    /// The transaction.
    pub txid: TxId,
    /// What this guardian knows of it.
    #[serde(flatten)]
    pub status: TransactionStatus,
}

/// What a guardian knows of a transaction (SPEC TX-6).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum TransactionStatus {
    /// It waits for an epoch.
    Pending,
    /// It happened; agreed and final.
    Accepted {
        /// When.
        epoch: Epoch,
        /// For each output what its owner is told by this guardian; null if there is nothing (yet).
        outcomes: Vec<Json>,
    },
    /// This guardian does not take it. Local and not final: others may think otherwise.
    Rejected(Reject),
    /// This guardian has not heard of it, or has forgotten that it rejected it.
    Unknown,
}

/// Answer to `GET /v1/config`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigAnswer {
    /// The federation.
    pub federation: FederationId,
    /// The canonical encoding of the genesis config, which hashes to `federation`.
    #[serde(with = "hex_bytes")]
    pub genesis: Vec<u8>,
    /// Where each guardian's API was last known to be. Not part of the hash.
    pub apis: BTreeMap<PeerId, String>,
}

/// Answer to `GET /v1/announcements`: where guardians say that they are. Each is signed by its guardian, so one answer from
/// anybody suffices (SPEC NET-4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnnouncementsAnswer {
    /// The newest announcement of each guardian that has made one.
    pub announcements: Vec<Announcement>,
}

/// Answer to `GET /v1/revisions`: what has changed about the federation since it was founded. Each is signed by t guardians, so
/// what anybody answers is true; it may be less than there is (SPEC GEN-6).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisionsAnswer {
    /// The number of the latest, which counts already, though perhaps too few have signed it as yet.
    pub latest: u32,
    /// The next ones after the number that was asked for, in order, not more than are given at once.
    pub revisions: Vec<SignedRevision>,
}

/// What an operator says about revisions (SPEC GEN-6): the body of `POST /revisions`, which only the operator may send.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Revise {
    /// Nothing: shows what there is. `GET /revisions` does the same.
    Show,
    /// Proposes, and approves, these changes of the present values.
    Propose(Json),
    /// Approves what another guardian approves: the proposal with this hash, or one that begins with these [`MIN_PROPOSAL_DIGITS`](crate::limits::MIN_PROPOSAL_DIGITS) or more digits.
    Approve(String),
    /// Approves nothing any more.
    Withdraw,
}

/// What the operator is told about revisions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisionReport {
    /// The number of the latest; 0 if there is none.
    pub number: u32,
    /// The first epoch in which it counts; null if there is none.
    pub from: Option<Epoch>,
    /// Who has signed it. Wallets believe it once there are `needed` of them.
    pub signed_by: Vec<PeerId>,
    /// How many guardians must approve and sign.
    pub needed: usize,
    /// What counts now: names, and the conditions of modules by their kind.
    pub present: Json,
    /// Revisions that guardians approve as the next one, as far as the agreed rows say.
    pub proposals: Vec<ProposalReport>,
    /// What this guardian's operator approves. It is among `proposals` once an epoch has taken it in.
    #[serde(default)]
    pub approves: Option<ProposalReport>,
}

/// A revision that some guardians approve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProposalReport {
    /// Its number.
    pub number: u32,
    /// Its hash, by which it is approved.
    pub hash: RevisionHash,
    /// What it would change.
    pub changes: Vec<ChangeReport>,
    /// Who approves it.
    pub approved_by: Vec<PeerId>,
}

/// One value that a revision would change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeReport {
    /// Which, as it is named in `present`, with points between.
    pub value: String,
    /// What it is now. Hostile text may be in it.
    pub from: Json,
    /// What it would be.
    pub to: Json,
}

/// Answer to `GET /v1/status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusAnswer {
    /// The guardian that answers.
    pub peer: PeerId,
    /// Its software's version.
    pub version: String,
    /// The last epoch it committed; null before the first.
    pub committed: Option<Epoch>,
    /// The agreed clock, in blocks.
    pub height: u32,
    /// Transactions that wait for an epoch.
    pub pool: usize,
    /// Whether it can serve clients; if not, why.
    pub not_ready: Option<String>,
    /// How far it has come, while it takes over what the others agreed on without it.
    pub catching_up: Option<CatchUp>,
    /// Guardians of which two processes run, by what this one has seen or f + 1 others say (SPEC NET-6).
    #[serde(default)]
    pub runs_twice: Vec<PeerId>,
    /// The versions of rules, by the kind of their module; `engine` for those of all.
    pub versions: BTreeMap<String, VersionReport>,
    /// The number of the latest revision of the config; 0 before the first (SPEC GEN-6).
    #[serde(default)]
    pub revision: u32,
    /// Why it has stopped for good, if it has.
    pub halted: Option<String>,
}

/// How far a guardian that was away has come (SPEC EPO-4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatchUp {
    /// The epoch in which it is.
    pub epoch: Epoch,
    /// Epochs that it lacks, as far as f + 1 others vouch for them.
    pub behind: u64,
    /// Epochs that it has taken over since it began.
    pub done: u64,
    /// How long that took, in milliseconds.
    pub elapsed_ms: u64,
}

impl std::fmt::Display for CatchUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            epoch,
            behind,
            done,
            ..
        } = self;
        write!(
            f,
            "catching up with the other guardians: it is in {epoch}, {behind} behind"
        )?;
        let rate = done.saturating_mul(1_000) / self.elapsed_ms.max(1);
        match rate {
            0 => Ok(()),
            rate => write!(f, ", and takes over {rate} a second"),
        }
    }
}

/// The versions of one module's rules (SPEC GEN-4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionReport {
    /// The one that counts.
    pub agreed: u16,
    /// The newest that each guardian's software is known to know, in the order of guardians.
    pub known: Vec<u16>,
}

/// Answer to `GET /v1/audit`: the balance sheet after the last epoch (SPEC AUD-1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditAnswer {
    /// The epoch after which this holds; null before the first.
    pub epoch: Option<Epoch>,
    /// What the federation owns, in millisatoshi.
    #[serde(with = "decimal")]
    pub assets_msat: u64,
    /// What it owes, in millisatoshi.
    #[serde(with = "decimal")]
    pub liabilities_msat: u64,
    /// The difference, never negative: fees earned and not yet paid out.
    #[serde(with = "decimal")]
    pub net_msat: u64,
    /// The same for each module, by kind.
    pub modules: BTreeMap<String, Audit>,
    /// The guardians' signatures on the state, as far as they have come in.
    pub certificate: Option<Certificate>,
}

/// The data of an event `epoch` from `GET /v1/events`: an epoch was committed, and perhaps others before it that nobody was told
/// of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochEvent {
    /// The last epoch that this guardian has committed.
    pub epoch: Epoch,
    /// The state after it.
    pub digest: Digest,
    /// How many transactions were accepted.
    pub transactions: usize,
}

/// What a client calls an answer of a module that it has, so as to be told when it is another: `?wait=SECONDS&known=MARK`. 32 hexadecimal
/// digits of a hash over the JSON without spaces, keys in their order.
#[must_use]
pub fn mark(answer: &Json) -> String {
    let hash = Tagged::new("guildmint/answer").add(answer.to_string());
    hex::encode(&hash.finish()[..16])
}

/// Body of every error, `application/problem+json` (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// A URN that is stable for the kind of problem.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind of problem in a few words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong and what to do.
    pub detail: String,
    /// A stable name for programs.
    pub code: String,
    /// Whether the same request may succeed later.
    pub retryable: bool,
}

impl Problem {
    /// A problem of a kind named by its code.
    #[must_use]
    pub fn new(status: u16, code: &str, detail: impl ToString, retryable: bool) -> Self {
        Self {
            kind: format!("urn:guildmint:problem:{code}"),
            title: code.replace('_', " "),
            status,
            detail: detail.to_string(),
            code: code.to_owned(),
            retryable,
        }
    }
}
