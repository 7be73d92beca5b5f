//! A gateway's orders, carried to guardians with real rules by a wallet whose power fails, past guardians that lie.
#![allow(clippy::unwrap_used, clippy::panic)]

mod gateway;
mod liars;
mod orders;
mod power;
mod revised;
mod shell;
mod town;
mod world;
