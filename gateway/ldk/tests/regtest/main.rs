//! Two nodes with real chains, real connections and real channels.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod channels;
mod electrum;
mod forced;
mod kills;
mod offers;
mod parts;
mod payments;
mod restarts;
mod world;
