//! The observer against servers that answer from a script: honest, lying, stalling, and making no sense.
#![allow(clippy::unwrap_used, clippy::panic)]

mod chain;
mod honest;
mod hostile;
mod logged;
mod server;
