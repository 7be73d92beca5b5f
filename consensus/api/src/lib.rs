#![doc = include_str!("../README.md")]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod admission;
mod backend;
mod connection;
mod health;
mod input;
mod limits;
mod listener;
mod routes;
mod signal;

mod problem;

pub use backend::{Backend, Check};
pub use limits::{Limits, MAX_BODY_BYTES};
pub use listener::{serve_admin, serve_public, ServeError, Serving};
