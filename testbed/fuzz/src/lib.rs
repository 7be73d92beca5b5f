#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod canonical;
pub mod seeds;
pub mod targets;

pub use targets::{Target, TARGETS};
