#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod inbox;
mod link;
mod outbox;
mod packet;

pub use link::Link;
pub use packet::{LinkFault, Output, Packet, Status, MAX_FRAMES_PER_EPOCH};
