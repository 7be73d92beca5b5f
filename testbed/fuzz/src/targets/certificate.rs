//! Certificates of epochs.

use guildmint_core::Certificate;

use crate::{canonical::wire, seeds};

/// One that decodes is verified against a federation that did, or did not, sign it.
pub fn target(bytes: &[u8]) {
    if let Some(certificate) = wire::<Certificate>(bytes) {
        let _ = certificate.verify(&seeds::genesis(), 3);
    }
}
