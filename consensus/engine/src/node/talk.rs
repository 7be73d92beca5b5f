//! What guardians say to each other.

use guildmint_core::{
    encoding::hex_bytes, limits, Announcement, Epoch, EpochResult, IdentitySignature, PayloadHash,
    PeerId, Wire,
};
use guildmint_link::Packet;
use serde::{Deserialize, Serialize};

use crate::{contribution::Payload, rows::Vouchers};

/// Bytes of history in one answer.
pub(super) const CHUNK_BYTES: usize = 1024 * 1024;

/// Epochs in one answer.
pub(super) const MAX_EPOCHS_AT_ONCE: u64 = 64;

/// A message from one guardian to another, or to all.
#[derive(Debug, Clone, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = limits::MAX_PACKET_BYTES)]
pub(super) enum Talk {
    /// A contribution to an epoch: gossiped, or sent to who asked.
    Payload(Payload),
    /// The reliable stream of agreement messages.
    Link(Packet),
    /// Asks for a payload that has not come.
    WantPayload(Epoch, PayloadHash),
    /// The sender's signature on the result of an epoch: gossiped.
    Signature(EpochResult, IdentitySignature),
    /// Asks for the history of an epoch, from a byte on.
    WantHistory(Epoch, u64),
    /// A part of the history of an epoch; and if that is all of it, the histories of the next epochs, as far as there is room.
    History(Vec<Chunk>),
    /// Where guardians are: gossiped when it is news, and told to each peer that connects.
    Announcements(Vec<Announcement>),
    /// The sender has seen two processes with this guardian's secrets: gossiped.
    RunsTwice(PeerId),
}

/// A part of an epoch's effective batch, with what the sender signed about it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Chunk {
    /// What the sender signed.
    pub(super) result: EpochResult,
    /// Its signature.
    pub(super) signature: IdentitySignature,
    /// Others' signatures on it, as far as the sender has them.
    pub(super) vouchers: Vouchers,
    /// How many bytes the encoded batch has.
    pub(super) total: u64,
    /// Where these bytes begin in it.
    pub(super) offset: u64,
    /// Some of its bytes.
    #[serde(with = "hex_bytes")]
    pub(super) bytes: Vec<u8>,
}
