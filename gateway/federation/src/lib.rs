#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod carrier;
mod desk;
mod disk;
mod event;
mod gather;
mod job;
pub mod limits;
mod names;
mod shell;
mod watch;

pub use carrier::{Carrier, CarrierError};
pub use disk::{Disk, DiskError};
pub use event::{Action, Event};
pub use shell::{CommandError, Federation, JoinError, Joined, Settings, StartError, Stopped};
