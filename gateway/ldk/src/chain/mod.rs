//! What the node sees of the chain, through one Electrum server, and what it hands to it.

mod broadcast;
mod client;
mod fees;
mod sync;

pub(crate) use broadcast::Broadcaster;
pub use client::ChainError;
pub(crate) use client::Filter;
pub(crate) use fees::Fees;
pub(crate) use sync::{Chain, Watched};
