#![doc = include_str!("../README.md")]

pub mod chain;
pub mod conformance;
mod genesis;
pub mod lightning;
pub mod play;
pub mod sequencer;

pub use genesis::{genesis, identities};
pub use rand;
pub use rand_chacha::ChaCha20Rng;
pub use sequencer::Sequencer;
