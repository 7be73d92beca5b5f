//! A look at what guardians say to each other, for tests and diagnosis.

use guildmint_core::{Epoch, EpochResult, IdentitySignature, PeerId, Wire};
use guildmint_link::Packet;

use super::talk::Talk;

/// What a message between guardians says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// A contribution, with all of its bytes.
    Contribution {
        /// Whose.
        author: PeerId,
        /// To which epoch.
        epoch: Epoch,
        /// The encoded payload.
        payload: Vec<u8>,
    },
    /// Consecutive frames of the sender's stream of agreement messages.
    Frames {
        /// In which epoch.
        epoch: Epoch,
        /// The number of the first.
        first: u64,
        /// The frames.
        frames: Vec<Vec<u8>>,
    },
    /// The sender signed the result of an epoch.
    Signed(EpochResult),
    /// Where the sender stands, or a question.
    Other,
    /// Nothing that can be read.
    Nonsense,
}

/// Reads a message that a node sent.
#[must_use]
pub fn inspect(bytes: &[u8]) -> Said {
    match Talk::decode(bytes) {
        Ok(Talk::Payload(payload)) => Said::Contribution {
            author: payload.author,
            epoch: payload.epoch,
            payload: payload.encode(),
        },
        Ok(Talk::Link(Packet::Frames {
            epoch,
            first,
            frames,
        })) => Said::Frames {
            epoch,
            first,
            frames,
        },
        Ok(Talk::Signature(result, _)) => Said::Signed(result),
        Ok(_) => Said::Other,
        Err(_) => Said::Nonsense,
    }
}

/// A contribution as a node would send it: for adversaries in simulations.
#[must_use]
pub fn utter(payload: crate::Payload) -> Vec<u8> {
    Talk::Payload(payload).encode()
}

/// A message that tells results of epochs, each changed and signed anew, and without the signatures of others: for adversaries in
/// simulations. None if the message tells no results.
#[must_use]
pub fn forge(
    bytes: &[u8],
    change: impl Fn(EpochResult) -> (EpochResult, IdentitySignature),
) -> Option<Vec<u8>> {
    match Talk::decode(bytes).ok()? {
        Talk::Signature(result, _) => {
            let (result, signature) = change(result);
            Some(Talk::Signature(result, signature).encode())
        }
        Talk::History(mut chunks) => {
            for chunk in &mut chunks {
                (chunk.result, chunk.signature) = change(chunk.result);
                chunk.vouchers.clear();
            }
            Some(Talk::History(chunks).encode())
        }
        _ => None,
    }
}
