#![doc = include_str!("../README.md")]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod admin;
mod admission;
mod backend;
mod body;
mod connection;
mod events;
mod facts;
mod form;
mod health;
mod input;
mod limits;
mod listener;
mod pages;
mod routes;
mod setup;
mod signal;
mod turns;
mod watch;

mod problem;

pub use admin::{Access, Password, Token, TokenError};
pub use backend::{Backend, Check};
pub use events::EventHub;
pub use facts::{
    BackupFacts, CoinFacts, DatabaseFacts, FederationFacts, GuardianFacts, Overview, PayoutFacts,
    WalletFacts,
};
pub use limits::{Limits, MAX_BODY_BYTES};
pub use listener::{serve_admin, serve_public, serve_setup, ServeError, Serving};
pub use setup::{
    done, CodeStep, ConfirmStep, JoinStep, ProposeStep, SetupBackend, SetupGuardian, SetupProposal,
    SetupStage, SetupStatus, SetupStep,
};
