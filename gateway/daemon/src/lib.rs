#![doc = include_str!("../README.md")]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod api;
mod carried;
pub mod config;
pub mod federations;
mod gatewayd;
mod handle;
mod hands;
mod ledger;
mod metrics;
mod overview;
mod pages;
mod place;
pub mod recovery;
pub mod seed;
mod shell;
mod warnings;

pub use carried::Carried;
pub use gatewayd::{no_node, run, Gatewayd, Parts, RunError};
pub use place::{Place, PlaceError};

/// What the program is called.
pub const PROGRAM: &str = "guildmint-gatewayd";
