#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod rows;
mod server;
mod types;

pub use server::Lockers;
pub use types::{Lock, LockAnswer, LockersConfig, Never, NoSecret, Unlock};
