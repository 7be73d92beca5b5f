#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod announce;
mod call;
mod desk;
mod error;
mod event;
pub mod federation;
mod fees;
mod gateway;
mod keys;
mod ledger;
pub mod limits;
pub mod node;
mod operation;
mod policy;
mod reply;
mod rows;
mod settings;
mod shares;
mod warning;
mod words;

pub use call::{Answer, Call};
pub use error::GatewayError;
pub use event::{Action, Command, Event, Millis, SaveId, Ticket};
pub use gateway::{FederationView, Gateway, PaymentView};
pub use guildmint_core::ledger::DamagedRow;
pub use keys::Keys;
pub use ledger::{Entry, Totals};
pub use node::LightningNode;
pub use operation::{
    fetch::{hash_of as fetched_invoice_hash, name as fetched_name},
    pay::GivenUp,
    ContractKey, Kind,
};
pub use reply::{Fetched, Reply};
pub use rows::{entry, entry_key};
pub use settings::{Limits, Settings};
pub use shares::Shares;
pub use warning::{Charge, Warning};
