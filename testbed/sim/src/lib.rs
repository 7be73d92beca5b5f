#![doc = include_str!("../README.md")]

mod adversary;
mod ask;
mod checks;
mod guardian;
mod look;
mod net;
mod outside;
mod places;
mod power;
mod revise;
pub mod runs;
mod script;
mod setup;
mod upgrade;
mod users;
mod ways;
mod wire;
mod world;

pub use adversary::{aux, bval};
pub use net::Faults;
pub use power::Outage;
pub use script::play_money;
pub use setup::Setup;
pub use users::UserId;
pub use world::World;
