#![doc = include_str!("../README.md")]

mod adversary;
mod checks;
mod guardian;
mod net;
mod outside;
pub mod runs;
mod script;
mod setup;
mod users;
mod world;

pub use net::Faults;
pub use setup::Setup;
pub use users::UserId;
pub use world::World;
