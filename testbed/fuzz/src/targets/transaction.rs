//! Transactions as clients submit them.

use guildmint_core::Transaction;
use guildmint_engine::Versions;

use crate::{canonical::wire, seeds};

/// One that decodes is checked as a guardian checks it.
pub fn target(bytes: &[u8]) {
    if let Some(transaction) = wire::<Transaction>(bytes) {
        let _ = seeds::federation().txid(&transaction);
        let _ = seeds::federation().check_each(vec![transaction], &Versions::default());
    }
}
