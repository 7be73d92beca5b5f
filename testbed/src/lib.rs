#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod amount;
pub mod bitcoind;
pub mod build;
pub mod cache;
pub mod command;
pub mod electrs;
pub mod faucet;
pub mod logs;
pub mod packages;
pub mod ports;
pub mod process;
pub mod progress;
pub mod rpc;
pub mod servers;
pub mod stop;
