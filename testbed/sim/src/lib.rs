#![doc = include_str!("../README.md")]

mod checks;
mod guardian;
mod net;
pub mod runs;
mod setup;
mod world;

pub use net::Faults;
pub use setup::Setup;
pub use world::World;
