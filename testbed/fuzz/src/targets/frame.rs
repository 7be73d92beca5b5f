//! Frames of agreement between guardians.

use guildmint_core::{Epoch, PeerId};
use guildmint_engine::{Agreement, Message};

use crate::{canonical::wire, seeds};

/// One that decodes is taken twice from one guardian, and then from another.
pub fn target(bytes: &[u8]) {
    if let Some(message) = wire::<Message>(bytes) {
        let genesis = seeds::genesis();
        let mut agreement = Agreement::new(&seeds::coin(PeerId(0)), genesis.session, Epoch(0));
        for from in [1, 1, 2] {
            let _ = agreement.handle(PeerId(from), message.clone());
        }
        let _ = agreement.result();
    }
}
