//! What goes wrong in a ceremony, and whose fault it is.

use thiserror::Error;

use super::{ItemKind, Phase};
use crate::{KeySetError, PointError, ShareIndex};

/// An item that was not as it should be, with its sender. Every guardian finds the same faults in the same log.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("guardian {guardian}: {reason}")]
pub struct Fault {
    /// Whose fault it is.
    pub guardian: ShareIndex,
    /// What it did.
    #[source]
    pub reason: FaultReason,
}

/// What a guardian did wrong.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FaultReason {
    /// Its dealing is invalid, as everybody can see. It is no dealer.
    #[error(transparent)]
    Dealing(#[from] DealingError),
    /// It dealt a wrong share, as a complaint has shown. It is no dealer.
    #[error("dealt guardian {recipient} a wrong share of key {key}")]
    WrongShare {
        /// Who complained.
        recipient: ShareIndex,
        /// The first key of which the share is wrong, counted from 0.
        key: u16,
    },
    /// It complained of shares that are right.
    #[error("complained of right shares from guardian {0}")]
    FalseComplaint(ShareIndex),
    /// Its complaint proves nothing.
    #[error("complained of guardian {dealer}: {error}")]
    Complaint {
        /// Who was complained of.
        dealer: ShareIndex,
        /// What is wrong with the complaint.
        error: ComplaintError,
    },
    /// Its verdict is about other dealings than ours. It is ignored.
    #[error("its verdict is about another log, {theirs}, than ours, {ours}", theirs = hex::encode(.theirs), ours = hex::encode(.ours))]
    Transcript {
        /// The hash in the verdict.
        theirs: [u8; 32],
        /// The hash of the log here.
        ours: [u8; 32],
    },
    /// It sent two different items where one is due. The second is ignored.
    #[error("sent a second, different {0}")]
    Equivocation(ItemKind),
    /// It sent the same item twice. The second is ignored.
    #[error("sent its {0} again")]
    Repetition(ItemKind),
    /// An item before or after its time, ignored.
    #[error("sent a {kind} in the phase of {phase}")]
    OutOfPhase {
        /// What was sent.
        kind: ItemKind,
        /// The phase it came in.
        phase: Phase,
    },
    /// It has no part in the ceremony. Its item is ignored.
    #[error("has no part in the ceremony")]
    Stranger,
}

impl FaultReason {
    /// Whether no honest guardian does that. A restart explains a repetition, and a race an item that is too late; a dealing
    /// or a closing mark can be overtaken, but a verdict or a confirmation cannot come too early.
    pub fn is_cheating(&self) -> bool {
        match self {
            Self::Repetition(_) => false,
            Self::OutOfPhase { kind, phase } => kind.phase() > *phase,
            Self::Dealing(_)
            | Self::WrongShare { .. }
            | Self::FalseComplaint(_)
            | Self::Complaint { .. }
            | Self::Transcript { .. }
            | Self::Equivocation(_)
            | Self::Stranger => true,
        }
    }
}

/// Why a dealing is invalid.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DealingError {
    /// Polynomials of another degree, or of another number, than the parameters say.
    #[error("{have} commitments, {need} needed")]
    Commitments {
        /// Commitments in the dealing.
        have: usize,
        /// Keys times threshold.
        need: usize,
    },
    /// Not one proof for each key.
    #[error("{have} proofs of constant terms, {need} needed")]
    ConstantProofs {
        /// Proofs in the dealing.
        have: usize,
        /// The number of keys.
        need: usize,
    },
    /// Not one share for each guardian and key.
    #[error("{have} shares, {need} needed")]
    Shares {
        /// Shares in the dealing.
        have: usize,
        /// Guardians times keys.
        need: usize,
    },
    /// Not a usable point.
    #[error("commitment to the coefficient of degree {degree} of key {key}: {error}")]
    Commitment {
        /// The key, counted from 0.
        key: u16,
        /// The degree, from 0 for the constant term.
        degree: u16,
        /// What is wrong with it.
        error: PointError,
    },
    /// The dealer does not know what it deals, and may have chosen it to cancel what others deal.
    #[error("constant term of key {0} without a valid proof of knowledge")]
    ConstantProof(u16),
    /// Not a usable point.
    #[error("ephemeral key: {0}")]
    Ephemeral(PointError),
    /// The ephemeral key may be another dealer's.
    #[error("ephemeral key without a valid proof of knowledge")]
    EphemeralProof,
}

/// Why a complaint proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ComplaintError {
    /// There is no valid dealing to complain of.
    #[error("that guardian is no dealer")]
    NoDealer,
    /// Complaints not in ascending order of the dealer.
    #[error("complaints are out of order")]
    Order,
    /// Not a usable point.
    #[error("shared point: {0}")]
    Point(PointError),
    /// The point is not shown to be the one that shares were encrypted with.
    #[error("shared point without a valid proof")]
    Proof,
}

/// Why a ceremony has ended without keys. Nothing of it may be used; the guardians begin again, without who cheated.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Failure {
    /// Fewer dealers are left than the threshold, or can still come.
    #[error("dealers {dealers:?} are too few, {need} needed")]
    TooFewDealers {
        /// Who has dealt rightly.
        dealers: Vec<ShareIndex>,
        /// The threshold.
        need: u16,
    },
    /// What was dealt adds up to an unusable key.
    #[error("key {key}: {error}")]
    Keys {
        /// The key, counted from 0.
        key: u16,
        /// What is wrong with it.
        error: KeyError,
    },
    /// Two guardians made different configurations.
    #[error("guardian {} confirmed {}, guardian {} {}", .0.0, hex::encode(.0.1), .1.0, hex::encode(.1.1))]
    Disagreement((ShareIndex, [u8; 32]), (ShareIndex, [u8; 32])),
}

/// Why the sum of what was dealt is not a usable key.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The constant terms cancel: dealers, at least a threshold of them, have conspired.
    #[error("the aggregate key is the identity")]
    Identity,
    /// The shares of one guardian cancel, which that guardian can bring about, or a threshold of others.
    #[error("the key share of guardian {0} is the identity")]
    IdentityShare(ShareIndex),
    /// The polynomial has a lower degree than the threshold says.
    #[error(transparent)]
    Set(#[from] KeySetError),
    /// Our own share does not belong to our public key, though we have not complained. Only this guardian sees it; as all
    /// must confirm, nobody gets a key.
    #[error("our own share is wrong")]
    OwnShare,
}
