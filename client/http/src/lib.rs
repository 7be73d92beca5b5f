#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod driver;
#[cfg(feature = "electrum")]
mod electrum;
mod exchange;
mod gateways;
mod guardians;
mod join;

pub use driver::{ChainSource, Disk, Driver, DriverError, Interrupter, Waited};
#[cfg(feature = "electrum")]
pub use electrum::Electrum;
pub use gateways::Gateways;
pub use guardians::Guardians;
#[cfg(feature = "electrum")]
pub use guildmint_wallet_electrum::UrlError;
pub use join::{join, JoinError};
