#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod api;
#[cfg(feature = "client")]
pub mod client;
mod config;
mod contract;
#[cfg(feature = "dealer")]
pub mod dealer;
#[cfg(feature = "server")]
mod founding;
mod gateway;
mod ids;
mod items;
pub mod limits;
mod offer;
#[cfg(feature = "server")]
mod server;
mod signed;

pub use api::{
    ClockAnswer, ContractAnswer, FundingAnswer, GatewayAnswer, GatewaysAnswer, OffersAnswer,
    ShareAnswer, ShareRequest,
};
pub use config::{share_index, ConfigError, LnConfig, LnFees, LnSecret, LnTerms};
pub use contract::{
    Closing, ContractAccount, Forfeit, IncomingContract, OfferRef, OutgoingContract, Terms,
};
pub use gateway::{
    fetched_name, fetched_request, Announcement, AnnouncementError, FeeSchedule, FetchAnswer,
    FetchRequest, GatewayInfo, GatewayReply, Hop, InvoiceAnswer, InvoiceRequest, PayRequest,
    ServedFederation, SignedAnnouncement,
};
pub use ids::{ContractId, InvoiceHash, OfferId, PaymentHash, Preimage};
pub use items::{LnInput, LnOutcome, LnOutput, Never, Vouching, Witness};
pub use offer::{EncryptedPreimage, Offer, SignedOffer};
#[cfg(feature = "server")]
pub use server::Ln;
pub use signed::WrongSignature;

/// The kind of this module: its name in configs and URLs.
pub const KIND: &str = "ln";
