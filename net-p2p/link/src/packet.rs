//! What links say to each other, and what a link says to its owner.

use guildmint_core::{limits, Epoch, PeerId};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Frames that a guardian sends in one epoch. More are a fault of the sender.
///
/// Twenty guardians need about forty frames each plus a hundred per round of agreement, and the chance that an epoch takes
/// another round halves with each: no honest guardian comes near. With [`limits::MAX_FRAME_BYTES`] it bounds what a peer can
/// put in our memory and our log: two mebibytes in an epoch.
pub const MAX_FRAMES_PER_EPOCH: u64 = 1 << 13;

/// Entries of [`Status::sent`]: the open epoch, the last committed one, and the one that the receiver is in.
pub(crate) const MAX_STATUS_EPOCHS: usize = 3;

/// What keeping or sending a frame costs beyond its bytes, so that tiny frames are not free.
pub(crate) const FRAME_OVERHEAD_BYTES: usize = 64;

/// Bytes that `frame` counts for against any bound.
pub(crate) fn cost_bytes(frame: &[u8]) -> usize {
    frame.len() + FRAME_OVERHEAD_BYTES
}

/// Whether `bytes` is a length that a frame may have.
pub(crate) fn is_frame_size(bytes: usize) -> bool {
    (1..=limits::MAX_FRAME_BYTES).contains(&bytes)
}

/// A message of one link to another, over a connection that authenticates the sender.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Packet {
    /// Consecutive frames of the sender's stream.
    Frames {
        /// The epoch they belong to.
        epoch: Epoch,
        /// The number of the first of them.
        first: u64,
        /// The frames, each of 1 to [`limits::MAX_FRAME_BYTES`] bytes.
        frames: Vec<Vec<u8>>,
    },
    /// Asks for the receiver's frames of an epoch from a number on.
    Fetch {
        /// The epoch in question.
        epoch: Epoch,
        /// The number of the first frame wanted.
        first: u64,
    },
    /// Where the sender stands.
    Status(Status),
}

/// Where a guardian stands, by its own account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The last epoch that the sender has committed.
    pub committed: Option<Epoch>,
    /// How many frames the sender has sent, in the epochs that matter to the receiver.
    pub sent: Vec<(Epoch, u64)>,
    /// How many frames the sender has received in order from each guardian, by index, in its open epoch.
    pub received: Vec<(Epoch, Vec<u64>)>,
    /// Whether the sender would like a status in return.
    pub please_reply: bool,
}

/// What follows from a packet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Output {
    /// The sender's next frames of the open epoch, in order, each exactly once.
    pub deliver: Vec<Vec<u8>>,
    /// Packets for the sender.
    pub reply: Vec<Packet>,
    /// The sender claims to have committed this epoch, which is our open one or later.
    pub peer_ahead: Option<Epoch>,
    /// When it sent this, which may be a while ago, the sender was in an epoch that our outbox has forgotten. It needs
    /// history to go on.
    pub peer_behind: bool,
    /// The sender says that it has received more of our frames in this epoch, which is our open one or later, than we have
    /// ever pushed: if it is true, we have lost our memory.
    pub heard_of_us: Option<Epoch>,
    /// The packet broke the protocol and was ignored.
    pub fault: Option<LinkFault>,
}

/// A packet that no honest guardian sends.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LinkFault {
    /// The packet is from us, or from outside the federation.
    #[error("{0} is not a peer")]
    NotAPeer(PeerId),
    /// A frame is empty or too large.
    #[error("a frame has {0} bytes, not 1 to {max}", max = limits::MAX_FRAME_BYTES)]
    FrameSize(usize),
    /// A frame number beyond [`MAX_FRAMES_PER_EPOCH`].
    #[error("frame {0} is beyond the {MAX_FRAMES_PER_EPOCH} of an epoch")]
    FrameNumber(u64),
    /// A status with this many epochs in one of its lists.
    #[error("a status speaks of {0} epochs")]
    StatusEpochs(usize),
    /// A status with this many received marks, which is not the number of guardians.
    #[error("a status has {0} received marks")]
    StatusMarks(usize),
}
