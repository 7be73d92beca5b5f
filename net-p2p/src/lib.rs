#![doc = include_str!("../README.md")]

mod behaviour;
mod config;
mod dial;
mod direct;
mod guard;
mod hello;
mod hints;
mod instances;
mod links;
mod network;
mod node;
mod pace;
mod peers;
mod socket;
mod transport;

pub use config::{
    check_address, public_key, AddressError, GuardianAddress, NetworkConfig, StartError,
};
pub use network::{Arrival, Channel, Events, Network, NetworkEvent};
pub use pace::Held;
pub use peers::{Counters, PeerStatus};

#[cfg(test)]
mod tests;
