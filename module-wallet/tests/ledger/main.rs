//! The wallet module of whole federations on a chain in memory.

mod chain;
mod deposits;
mod heights;
mod random;
mod signing;
mod withdrawals;
mod world;
