//! What no federation should come to.

use guildmint_core::{ledger::Obstacle, module::Reject, DecodeError, Epoch, PeerId};
use guildmint_engine::{FederationError, Stop};
use thiserror::Error;

use super::MAX_PASSES;

/// What no federation should come to.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SequencerError {
    /// The config or a module is wrong.
    #[error(transparent)]
    Federation(#[from] FederationError),
    /// Not as many secrets as guardians.
    #[error("{0} guardians, but {1} sets of secrets")]
    Secrets(usize, usize),
    /// There is no such guardian.
    #[error("there is no {0}")]
    Stranger(PeerId),
    /// An epoch that may not be committed.
    #[error("{peer} cannot commit {epoch}: {stop:?}")]
    Stopped {
        /// Who.
        peer: PeerId,
        /// When.
        epoch: Epoch,
        /// Why.
        stop: Stop,
    },
    /// Rows are still missing after [`MAX_PASSES`] passes.
    #[error("{peer} asks for yet more rows after {MAX_PASSES} passes over {epoch}")]
    Passes {
        /// Who.
        peer: PeerId,
        /// When.
        epoch: Epoch,
    },
    /// Two guardians, or a guardian and its own history, do not agree.
    #[error("{peer} differs after {epoch} in {what}")]
    Diverged {
        /// Who.
        peer: PeerId,
        /// When.
        epoch: Epoch,
        /// In what.
        what: &'static str,
    },
    /// A module reads rows that are not resident where there is no time to load any.
    #[error("the {kind} module of {peer} must do with resident rows here: {obstacle:?}")]
    AtHand {
        /// Who.
        peer: PeerId,
        /// Which module.
        kind: &'static str,
        /// The rows.
        obstacle: Obstacle,
    },
    /// History does not decode.
    #[error("history cannot be read: {0}")]
    History(#[from] DecodeError),
    /// A module that does not exist, or history with a transaction that is not valid.
    #[error(transparent)]
    Reject(#[from] Reject),
}
