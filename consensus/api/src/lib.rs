#![doc = include_str!("../README.md")]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod backend;
mod events;
mod facts;
mod health;
mod openapi;
mod pages;
mod rejection;
mod routes;
mod serve;
mod setup;
mod watch;

pub use backend::Backend;
pub use events::EventHub;
pub use facts::{
    BackupFacts, CoinFacts, DatabaseFacts, FederationFacts, GuardianFacts, Overview, PayoutFacts,
    WalletFacts,
};
pub use guildmint_daemon::{
    health::Check, Access, Limits, Password, ServeError, Serving, Token, TokenError, MAX_BODY_BYTES,
};
pub use serve::{serve_admin, serve_public, serve_setup};
pub use setup::{
    done, CodeStep, ConfirmStep, JoinStep, ProposeStep, SetupBackend, SetupGuardian, SetupProposal,
    SetupStage, SetupStatus, SetupStep,
};
