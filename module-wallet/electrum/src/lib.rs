#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod deposits;
mod error;
mod guarded;
mod observer;
mod outage;
mod server;
mod url;
mod work;

pub use deposits::{Found, Proof};
pub use error::{AllFailed, BroadcastError, ServerError, UrlError};
pub use observer::{Observer, Settings};
pub use outage::Outage;
