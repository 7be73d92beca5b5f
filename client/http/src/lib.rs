#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod driver;
mod guardians;
mod join;

pub use driver::{ChainSource, Disk, Driver, DriverError, Interrupter, Waited};
pub use guardians::Guardians;
pub use join::{join, JoinError};
