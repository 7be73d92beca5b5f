#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod amount;
pub mod bitcoind;
pub mod build;
pub mod cache;
pub mod command;
pub mod control;
pub mod electrs;
pub mod electrum;
pub mod faucet;
pub mod federation;
pub mod founding;
pub mod logs;
pub mod network;
pub mod packages;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod programs;
pub mod progress;
pub mod report;
pub mod rpc;
pub mod servers;
pub mod state;
pub mod stop;
pub mod table;
pub mod wallet;
