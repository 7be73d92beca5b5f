//! What guardians show to people.

pub(crate) mod dashboard;
mod money;
pub(crate) mod public;
pub(crate) mod setup;
