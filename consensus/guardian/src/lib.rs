#![doc = include_str!("../README.md")]

pub mod files;
pub mod secrets;

#[cfg(feature = "daemon")]
pub use guildmint_daemon::admin::files as admin;
#[cfg(feature = "daemon")]
mod backend;
#[cfg(feature = "daemon")]
pub mod backup;
#[cfg(feature = "daemon")]
mod checkers;
#[cfg(feature = "daemon")]
pub mod cli;
#[cfg(feature = "daemon")]
pub mod config;
#[cfg(feature = "daemon")]
mod database;
#[cfg(feature = "daemon")]
pub mod founding;
#[cfg(feature = "daemon")]
mod guardian;
#[cfg(feature = "daemon")]
mod metrics;
#[cfg(feature = "daemon")]
mod overview;
#[cfg(feature = "daemon")]
mod place;
#[cfg(feature = "daemon")]
mod readable;
#[cfg(feature = "daemon")]
pub mod recover;
#[cfg(feature = "daemon")]
mod running;
#[cfg(feature = "daemon")]
mod shell;
#[cfg(feature = "daemon")]
mod store_worker;
#[cfg(feature = "daemon")]
mod world;

#[cfg(feature = "daemon")]
pub use database::Database;
#[cfg(feature = "daemon")]
pub use guardian::{modules, run, Guardian, RunError};
