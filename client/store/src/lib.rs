#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod files;
mod lock;
mod store;
pub mod words;

pub use lock::LockError;
pub use store::{Store, StoreError};
