//! Contributions to epochs.

use guildmint_engine::{Contribution, Versions};

use crate::{canonical::wire, seeds};

/// The transactions of one that decodes are checked as a guardian checks them.
pub fn target(bytes: &[u8]) {
    if let Some(contribution) = wire::<Contribution>(bytes) {
        let _ = seeds::federation().check_all(contribution.transactions, &Versions::default());
    }
}
