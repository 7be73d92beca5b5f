//! Stories of a gateway: what users, payees, federations and the power line may do to it, and what it must not lose by that.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod announce;
mod fees;
mod limits;
mod offers;
mod pay;
mod random;
mod receive;
mod swap;
mod world;
