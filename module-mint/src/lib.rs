#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

#[cfg(feature = "client")]
pub mod client;
mod config;
#[cfg(feature = "dealer")]
pub mod dealer;
mod denomination;
#[cfg(feature = "server")]
mod founding;
#[cfg(feature = "server")]
mod server;
mod types;

pub use config::{ConfigError, MintConfig, MintSecret};
pub use denomination::{Denomination, DenominationError};
#[cfg(feature = "server")]
pub use founding::MintTerms;
pub use guildmint_core::{Bytes, ParseBytesError};
#[cfg(feature = "server")]
pub use server::Mint;
pub use types::{
    spent_prefix, DenominationTotals, MintInput, MintOutcome, MintOutput, Nonce, Note, PlacedShare,
    PointBytes, SharesAnswer, SpentAnswer, MAX_NONCES, SHARES_PAGE,
};

/// The kind of this module: its name in configs and URLs.
pub const KIND: &str = "mint";
