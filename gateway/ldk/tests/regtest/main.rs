//! Two nodes with real chains, real connections and real channels.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod channels;
mod kills;
mod offers;
mod payments;
mod restarts;
mod world;
