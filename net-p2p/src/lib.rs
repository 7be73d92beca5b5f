#![doc = include_str!("../README.md")]

mod behaviour;
mod config;
mod dial;
mod direct;
mod guard;
mod links;
mod network;
mod node;
mod peers;
mod socket;
mod transport;

pub use config::{
    check_address, public_key, AddressError, GuardianAddress, NetworkConfig, StartError,
};
pub use network::{Channel, Events, Network, NetworkEvent};
pub use peers::{Counters, PeerStatus};

#[cfg(test)]
mod tests;
