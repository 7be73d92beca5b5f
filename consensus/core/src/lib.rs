#![doc = include_str!("../README.md")]

// The derive macros name this crate by its path, in here too.
extern crate self as guildmint_core;

mod amount;
mod announcement;
pub mod api;
mod bytes;
mod certificate;
mod config;
pub mod encoding;
pub mod founding;
mod hash;
mod identity;
pub mod ledger;
pub mod limits;
pub mod module;
mod peer;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod slices;
pub mod text_code;
mod transaction;

pub use amount::{Amount, AmountError, ParseAmountError};
pub use announcement::{AddressBook, Announcement, AnnouncementError, Place, PlaceError};
pub use bytes::{Bytes, ParseBytesError};
pub use certificate::{Certificate, CertificateError, EpochResult};
pub use config::{
    ConfigError, GenesisConfig, GuardianKeys, InviteCode, ModuleConfig, ParseInviteError,
};
pub use encoding::{DecodeError, Wire};
pub use hash::{
    BatchHash, Digest, FederationId, ParseHashError, PayloadHash, SessionId, Tagged, TxId,
};
pub use identity::{IdentityKey, IdentityPublicKey, IdentitySignature, WrongSignature};
pub use ledger::Row;
pub use module::Audit;
pub use peer::{Epoch, PeerId, Quorum, QuorumError};
pub use transaction::{Item, ModuleId, OutPoint, SignatureError, StructureError, Transaction};
