#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod agreed;
mod code;
pub mod key_generation;
pub mod meeting;
mod proposal;
mod roster;
mod seed;
mod statement;

pub use agreed::{Agreed, ModuleSecrets, KEY_GENERATION};
pub use code::{
    GuardianCode, SetupCode, SetupCodeError, MAX_ADDRESSES, MAX_ADDRESS_BYTES, MAX_NAME_BYTES,
};
pub use meeting::{Meeting, MeetingAction};
pub use proposal::{
    CheckPhrase, PhraseError, Proposal, ProposalError, MAX_FEDERATION_NAME_BYTES, MAX_KEYS,
};
pub use roster::{Roster, RosterError};
pub use seed::Seed;
pub use statement::{Said, Slot, MAX_PROPOSALS, PACKET_VERSION};
