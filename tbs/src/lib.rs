#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod batch;
mod blind;
mod combine;
mod curve;
#[cfg(feature = "dealer")]
pub mod dealer;
pub mod dkg;
pub mod encryption;
mod glv;
mod hash;
mod kdf;
mod keys;
mod lagrange;
mod msm;
mod polynomial;
mod share;
mod verify;
mod wire;

pub use batch::{find_invalid, verify_batch};
pub use blind::{blind, blind_many, unblind, BlindSignature, BlindedMessage, BlindingKey};
pub use combine::{combine, combine_and_unblind, CombineError, FinalizeError, PreparedKeySet};
pub use curve::{ParsePointError, PointError, ScalarError};
pub use hash::{Message, DST};
pub use keys::{IndexError, KeySetError, PublicKey, PublicKeySet, PublicKeyShare, ShareIndex};
pub use share::{sign_many, sign_share, verify_share, SecretKeyShare, SignatureShare};
pub use verify::{verify, PreparedPublicKey, Signature};
