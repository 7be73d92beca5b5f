//! The wallet module of whole federations on a chain in memory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bumping;
mod chain;
mod deposits;
mod freezing;
mod heights;
mod random;
mod refreshing;
mod signing;
mod withdrawals;
mod world;
