//! Offers as users hand them to gateways.

use guildmint_ln::SignedOffer;

use crate::{canonical::wire, seeds};

/// One that decodes is verified as a gateway does.
pub fn target(bytes: &[u8]) {
    if let Some(signed) = wire::<SignedOffer>(bytes) {
        let federation = seeds::genesis().id();
        if signed.verify(federation).is_ok() {
            let data = signed.offer.associated_data(federation);
            let ciphertext = signed.offer.preimage.ciphertext();
            let _ = ciphertext.map(|ciphertext| ciphertext.verify(&data));
        }
    }
}
