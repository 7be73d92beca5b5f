//! The federation's transactions and scripts before a real bitcoind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../ledger/chain.rs"]
#[allow(dead_code)]
mod chain;
#[path = "../ledger/world.rs"]
#[allow(dead_code)]
mod world;

mod bumping;
mod real;
mod recovery;
