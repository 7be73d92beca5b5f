//! Operations: what a user started and what must be brought to an end, whatever happens in between.
//!
//! Each kind is a small state machine in a file of its own. `start` makes the first state, `step` makes the next one out
//! of a state and something that happened. Both say what they want of the world on a [`Desk`].

mod deposit;
mod desk;
mod errand;
mod lightning;
mod receive;
mod restore;
mod send;
mod withdraw;

use std::{fmt, str::FromStr};

use guildmint_core::{module::Reject, Amount, TxId};
use serde::{Deserialize, Serialize};
use serde_json::{json, Map, Value as Json};
use thiserror::Error;

use crate::{
    api::RequestError,
    ask::Finding,
    event::{ChainNews, Millis},
    watch::Topic,
};

pub(crate) use deposit::Deposit;
pub(crate) use desk::{Desk, Wish};
pub(crate) use errand::Errand;
pub(crate) use lightning::{listed, price, Bill, LnPay, LnReceive, Search, Seek, Wants, LIST};
pub(crate) use receive::{check as check_notes, Receive};
pub(crate) use restore::{List, Restore};
pub(crate) use send::{
    reclaim::{spent_nonces, spent_reader, spent_request},
    Send,
};
pub(crate) use withdraw::{peg_out, Withdraw};

/// Names an operation of one wallet: `op-1`, `op-2`, ….
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "OperationIdForm", try_from = "OperationIdForm")]
pub struct OperationId(pub u64);

/// People get text, keys get the number.
#[derive(Serialize, Deserialize)]
struct OperationIdForm(#[serde(with = "form")] u64);

impl From<OperationId> for OperationIdForm {
    fn from(id: OperationId) -> Self {
        Self(id.0)
    }
}

impl From<OperationIdForm> for OperationId {
    fn from(form: OperationIdForm) -> Self {
        Self(form.0)
    }
}

mod form {
    use serde::{de::Error as _, Deserialize, Deserializer, Serialize, Serializer};

    use super::OperationId;

    pub(super) fn serialize<S: Serializer>(id: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(&OperationId(*id))
        } else {
            id.serialize(serializer)
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        if deserializer.is_human_readable() {
            let id: OperationId = String::deserialize(deserializer)?
                .parse()
                .map_err(D::Error::custom)?;
            Ok(id.0)
        } else {
            u64::deserialize(deserializer)
        }
    }
}

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "op-{}", self.0)
    }
}

/// Text that names no operation.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} names no operation; names look like op-1")]
pub struct ParseOperationIdError(String);

impl FromStr for OperationId {
    type Err = ParseOperationIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ParseOperationIdError(text.chars().take(40).collect());
        let number = text.trim().strip_prefix("op-").ok_or_else(wrong)?;
        number.parse().map(Self).map_err(|_| wrong())
    }
}

/// An operation as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// When it was started.
    pub created: Millis,
    /// Its state.
    pub operation: Operation,
}

/// An operation's state. New kinds go to the end: the place is in the encoding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(clippy::large_enum_variant)] // one at a time, apart from its row
pub(crate) enum Operation {
    Deposit(Deposit),
    Receive(Receive),
    Send(Send),
    Withdraw(Withdraw),
    Restore(Restore),
    LnPay(LnPay),
    LnReceive(LnReceive),
    Errand(Errand),
}

/// Something that concerns an operation.
#[derive(Debug, Clone)]
pub(crate) enum Happening {
    /// The program has started, or the user wants no more waiting.
    Resume,
    /// The time it asked to be woken at has come.
    Time,
    /// Its transaction happened: the notes asked for are in the wallet.
    Accepted(TxId),
    /// Its transaction can never happen: the wallet's notes are free again.
    Rejected(TxId, Reject),
    /// Its transaction was made anew, because fees were revised.
    Remade(Remade),
    /// Its question has been answered.
    Found(Finding),
    /// News about its address.
    Chain(Result<ChainNews, String>),
    /// The user wants back what is out of the wallet: notes that were handed out, or money in a contract.
    Reclaim,
    /// The user does not want it any more.
    Cancel,
    /// Its gateway has answered, or not.
    Gateway(Result<Json, RequestError>),
    /// What f + 1 guardians know of something that it watches.
    Watched(Topic, Json),
}

/// A transaction in the place of another, which can no longer happen once this one does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Remade {
    /// The one before.
    pub old: TxId,
    /// The new one.
    pub txid: TxId,
    /// What arrives in the wallet by it.
    pub credited: Amount,
    /// What the federation keeps.
    pub fee: Amount,
}

/// How far an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It goes on by itself whenever the program runs.
    Pending,
    /// It has done what it was started for.
    Done,
    /// It has failed, and nothing was lost that is not named.
    Failed,
}

/// An operation as a user sees it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct View {
    /// Its name.
    pub operation: OperationId,
    /// `deposit`, `receive`, `send`, `withdraw`, `restore`, `pay`, `invoice` or `errand`.
    pub kind: &'static str,
    /// Where it stands, in a word of its kind.
    pub state: &'static str,
    /// How far that is.
    pub phase: Phase,
    /// When it was started, in milliseconds since 1970.
    pub created_ms: u64,
    /// What there is to say about it: money with its unit in the name.
    #[serde(flatten)]
    pub details: Map<String, Json>,
}

/// What an operation says of itself.
pub(crate) struct Description {
    pub kind: &'static str,
    pub state: &'static str,
    pub phase: Phase,
    /// A JSON object.
    pub details: Json,
}

impl Operation {
    /// The next state. An operation that has ended ignores everything that does not concern it.
    #[must_use]
    pub(crate) fn step(self, happening: Happening, desk: &mut Desk<'_>) -> Self {
        match self {
            Self::Deposit(state) => Self::Deposit(state.step(happening, desk)),
            Self::Receive(state) => Self::Receive(state.step(happening)),
            Self::Send(state) => Self::Send(state.step(happening, desk)),
            Self::Withdraw(state) => Self::Withdraw(state.step(happening, desk)),
            Self::Restore(state) => Self::Restore(state.step(happening, desk)),
            Self::LnPay(state) => Self::LnPay(state.step(happening, desk)),
            Self::LnReceive(state) => Self::LnReceive(state.step(happening, desk)),
            Self::Errand(state) => Self::Errand(state.step(happening, desk)),
        }
    }

    fn describe(&self) -> Description {
        match self {
            Self::Deposit(state) => state.describe(),
            Self::Receive(state) => state.describe(),
            Self::Send(state) => state.describe(),
            Self::Withdraw(state) => state.describe(),
            Self::Restore(state) => state.describe(),
            Self::LnPay(state) => state.describe(),
            Self::LnReceive(state) => state.describe(),
            Self::Errand(state) => state.describe(),
        }
    }

    /// Whether nothing goes on by itself any more.
    pub(crate) fn is_over(&self) -> bool {
        self.describe().phase != Phase::Pending
    }

    /// What the federation may keep of its transaction that is under way, if its fees are revised; `None` if that does not matter.
    pub(crate) fn fee_limit(&self) -> Option<Amount> {
        match self {
            Self::LnPay(state) => state.fee_limit(),
            _ => None,
        }
    }

    /// Money in contracts, which a gateway gets if it pays, and the wallet if not.
    pub(crate) fn locked(&self) -> Amount {
        match self {
            Self::LnPay(state) => state.locked(),
            _ => Amount::ZERO,
        }
    }

    /// Money that is on its way to the wallet but in no transaction of ours yet.
    pub(crate) fn expected(&self) -> Amount {
        match self {
            Self::Deposit(state) => state.expected(),
            _ => Amount::ZERO,
        }
    }
}

impl Record {
    pub(crate) fn view(&self, operation: OperationId) -> View {
        let description = self.operation.describe();
        let details = match description.details {
            Json::Object(details) => details,
            _ => Map::new(),
        };
        View {
            operation,
            kind: description.kind,
            state: description.state,
            phase: description.phase,
            created_ms: self.created.0,
            details,
        }
    }
}

/// A refusal as part of a view.
fn problem(reject: &Reject) -> Json {
    json!({ "code": reject.code, "message": reject.message, "retryable": reject.retryable })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_text_for_people_and_numbers_for_keys() {
        let id = OperationId(7);
        assert_eq!(serde_json::to_string(&id).unwrap(), "\"op-7\"");
        assert_eq!(serde_json::from_str::<OperationId>("\"op-7\"").unwrap(), id);
        let mut bytes = Vec::new();
        guildmint_core::encoding::write_ordered(&mut bytes, &id);
        assert_eq!(bytes, 7u64.to_be_bytes());
        assert_eq!("op-7".parse(), Ok(id));
        assert!("7".parse::<OperationId>().is_err());
    }
}
