#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod bolt11;
mod chain;
mod config;
mod convert;
mod keys;
mod kv;
mod log;
mod net;
mod node;
mod rows;
mod stop;
mod types;
mod wallet;

pub use chain::ChainError;
pub use config::{NodeConfig, MAX_INBOUND_CHANNEL_SAT, MIN_CHANNEL_SAT};
pub use keys::Seed;
pub use kv::{Stale, MAX_LAG_S};
pub use node::{Node, StartError};
pub use wallet::WalletError;
