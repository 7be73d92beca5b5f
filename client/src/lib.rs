#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod alarm;
mod api;
mod ask;
mod backoff;
mod client;
mod errand;
mod error;
mod event;
mod federation;
mod gateway;
mod inquiry;
mod operation;
mod payment;
mod question;
mod remake;
mod reply;
mod rows;
mod submission;
mod watch;

pub use alarm::Alarm;
pub use api::{ApiRequest, RequestError};
pub use client::{
    Balance, Client, ContractCosts, FederationView, GuardianView, LoadError, NoteCount, NoteView,
};
pub use errand::{Errand, ErrandInput, ErrandName, ErrandState, ErrandView, FEES_REVISED};
pub use error::ClientError;
pub use event::{
    Action, Burial, ChainNews, Command, Event, FetchedInvoice, Millis, Payable, RequestId, SaveId,
    Sighting, Ticket,
};
pub use federation::{JoinError, Membership};
pub use gateway::{GatewayCall, GatewayKey};
pub use guildmint_core::ledger::DamagedRow;
pub use guildmint_ln::{client::InvoiceError, FetchAnswer};
pub use guildmint_mint::client::{MasterSeed, NotesString, NotesStringError};
pub use operation::{OperationId, ParseOperationIdError, Phase, View};
pub use question::Question;
pub use reply::{GatewayView, LnPrice, Reply};

use guildmint_core::ledger::Changes;

/// The rows of a wallet that has just joined a federation; save them, then [`Client::load`].
#[must_use]
pub fn join(membership: &Membership) -> Changes {
    let mut rows = rows::Rows::default();
    rows.put(&rows::Joined(()), membership);
    rows.put(&rows::Announced(()), &membership.announcements);
    rows.take_changes()
}

/// The row that marks a wallet as one of words that were used before: save it with the words, or with what [`join`] gives. Until
/// [`Command::Restore`] has found what the words have, such a wallet derives nothing new from them.
#[must_use]
pub fn unrestored() -> Changes {
    let mut rows = rows::Rows::default();
    rows.put(&rows::Unrestored(()), &());
    rows.take_changes()
}
