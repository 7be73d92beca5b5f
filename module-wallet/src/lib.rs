#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod conditions;
mod config;
#[cfg(feature = "dealer")]
pub mod dealer;
mod descriptor;
pub mod limits;
mod merkle;
mod peg_in;
mod peg_out;
mod recovery;
mod tweak;
mod types;

#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "server")]
mod founding;
#[cfg(feature = "server")]
pub mod server;

pub use conditions::WalletConditions;
pub use config::{
    Block, FeeRateBounds, RecoveryBranch, WalletConfig, WalletConfigError, WalletSecret,
};
pub use descriptor::{DescriptorError, FederationDescriptor, INPUT_BASE_WEIGHT};
#[cfg(feature = "server")]
pub use founding::WalletTerms;
pub use merkle::{MerkleBranch, MerkleError};
pub use peg_in::{Deposit, PegInError, PegInProof};
pub use peg_out::{PegOut, PegOutError};
pub use recovery::{recover, RecoveryError, SpendableDescriptor};
pub use tweak::{tweak_public, tweak_secret, Tweak, TweakError};
pub use types::{
    claimed_prefix, ChainAnswer, CoinAnswer, CoinsAnswer, Confirmation, Frozen, Job, News,
    PegOutQuote, PegOutState, PegOutStatus, PegOutsAnswer, PendingAnswer, QueuedAnswer, Signatures,
    Stance, Vote, Watched,
};

/// The module's name in configs and URLs.
pub const KIND: &str = "wallet";

/// Where the wallet's money comes from: a proven deposit.
pub type WalletInput = PegInProof;

/// Where it goes: a payment on the chain.
pub type WalletOutput = PegOut;
