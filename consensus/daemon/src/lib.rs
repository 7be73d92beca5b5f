#![doc = include_str!("../README.md")]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod cost;
pub mod files;
pub mod settings;

#[cfg(feature = "serve")]
pub mod admin;
#[cfg(feature = "serve")]
mod admission;
#[cfg(feature = "serve")]
mod answer;
#[cfg(feature = "serve")]
mod body;
#[cfg(feature = "serve")]
mod connection;
#[cfg(feature = "serve")]
mod form;
#[cfg(feature = "serve")]
pub mod health;
#[cfg(feature = "serve")]
mod input;
#[cfg(feature = "serve")]
mod limits;
#[cfg(feature = "serve")]
mod listener;
#[cfg(feature = "serve")]
pub mod logs;
#[cfg(feature = "serve")]
pub mod pages;
#[cfg(feature = "serve")]
pub mod problem;
#[cfg(feature = "serve")]
pub mod program;
#[cfg(feature = "serve")]
mod signal;
#[cfg(feature = "serve")]
pub mod signals;
#[cfg(feature = "serve")]
mod turns;

pub use cost::Cost;

#[cfg(feature = "serve")]
pub use self::{
    admin::{go_to, Access, Caller, Gate, Password, Token, TokenError},
    admission::{Origin, StreamPermit},
    answer::{json, refusal, wait, OpenToBrowsers, ProblemBodies, Routes, Table, OPEN_METRICS},
    body::body,
    connection::TurnSlot,
    form::{form, parameters},
    limits::{Limits, MAX_BODY_BYTES},
    listener::{serve, ServeError, Serving},
};
