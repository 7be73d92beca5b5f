//! Guardians as the protocol sees them: an index and the numbers that follow from how many there are.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A guardian's index in the order of the identity public keys in the genesis config (SPEC GEN-2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PeerId(pub u16);

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "guardian {}", self.0)
    }
}

/// The number of an epoch; the first is 0.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The epoch after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "epoch {}", self.0)
    }
}

/// How many guardians there are, how many of them may fail, and how many suffice (SPEC GEN-1).
///
/// The only type that holds these numbers, so that none is ever computed twice in two ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct Quorum {
    guardians: u16,
}

/// A number of guardians that no federation can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a federation has 1 to {max} guardians, not {0}", max = crate::limits::MAX_GUARDIANS)]
pub struct QuorumError(pub u16);

impl Quorum {
    /// The quorum of a federation of `guardians` members.
    ///
    /// # Errors
    /// If the number is 0 or above [`crate::limits::MAX_GUARDIANS`].
    pub fn new(guardians: u16) -> Result<Self, QuorumError> {
        if guardians == 0 || guardians > crate::limits::MAX_GUARDIANS {
            return Err(QuorumError(guardians));
        }
        Ok(Self { guardians })
    }

    /// n, the number of guardians.
    #[must_use]
    pub fn guardians(self) -> usize {
        usize::from(self.guardians)
    }

    /// f = ⌊(n−1)/3⌋, how many guardians may be malicious or down.
    #[must_use]
    pub fn max_faulty(self) -> usize {
        usize::from((self.guardians - 1) / 3)
    }

    /// t = n − f, how many guardians decide, sign and spend.
    #[must_use]
    pub fn threshold(self) -> usize {
        self.guardians() - self.max_faulty()
    }

    /// f + 1, the fewest guardians of which at least one is honest.
    #[must_use]
    pub fn one_honest(self) -> usize {
        self.max_faulty() + 1
    }

    /// 2f + 1, the fewest guardians of which a majority of the honest ones is sure.
    #[must_use]
    pub fn honest_majority(self) -> usize {
        2 * self.max_faulty() + 1
    }

    /// What is to be said about so few guardians, if they are too few to hold money of others (SPEC GEN-1).
    #[must_use]
    pub fn warning(self) -> Option<&'static str> {
        match self.guardians {
            1 => Some("With one guardian this is for development: it alone can spend everything, and if it is lost all is."),
            2 | 3 => Some("With fewer than four guardians none may fail (f = 0): if one stops the federation stops, and if one is lost so is the money. Found it with four or more to hold money of others."),
            _ => None,
        }
    }

    /// Every guardian, in order.
    pub fn peers(self) -> impl Iterator<Item = PeerId> {
        (0..self.guardians).map(PeerId)
    }

    /// Whether `peer` is one of the guardians.
    #[must_use]
    pub fn contains(self, peer: PeerId) -> bool {
        peer.0 < self.guardians
    }
}

impl TryFrom<u16> for Quorum {
    type Error = QuorumError;

    fn try_from(guardians: u16) -> Result<Self, QuorumError> {
        Self::new(guardians)
    }
}

impl From<Quorum> for u16 {
    fn from(quorum: Quorum) -> u16 {
        quorum.guardians
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_from_the_size() {
        let rows = [
            (1, 0, 1),
            (2, 0, 2),
            (3, 0, 3),
            (4, 1, 3),
            (7, 2, 5),
            (10, 3, 7),
            (20, 6, 14),
        ];
        for (n, f, t) in rows {
            let quorum = Quorum::new(n).unwrap();
            assert_eq!((quorum.max_faulty(), quorum.threshold()), (f, t), "n = {n}");
            assert_eq!(quorum.peers().count(), usize::from(n));
        }
    }

    #[test]
    fn refuses_none_and_too_many() {
        assert_eq!(Quorum::new(0), Err(QuorumError(0)));
        assert_eq!(Quorum::new(21), Err(QuorumError(21)));
    }

    /// SPEC GEN-1.
    #[test]
    fn fewer_than_four_are_warned_of() {
        let warning = |n| Quorum::new(n).unwrap().warning();
        assert!(warning(1).is_some_and(|text| text.contains("development")));
        for n in 2..=20 {
            let quorum = Quorum::new(n).unwrap();
            assert_eq!(quorum.warning().is_some(), quorum.max_faulty() == 0, "{n}");
        }
    }
}
