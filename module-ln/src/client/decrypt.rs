//! What the funder of an incoming contract makes of the guardians' shares (SPEC LN-4).

use std::collections::BTreeMap;

use guildmint_core::{Bytes, FederationId, PeerId};
use guildmint_tbs::encryption::{combine, DecryptError, DecryptionShare, ValidCiphertext};
use thiserror::Error;

use crate::{config::share_index, LnConfig, Offer, Preimage, Witness};

/// What an offer hides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::large_enum_variant)] // one at a time
pub enum Opened {
    /// The preimage. The Lightning payment can be claimed.
    Preimage(Preimage),
    /// Something else. This takes the money back.
    Undecryptable(Witness),
}

/// Guardians whose shares were wrong: an operator is to be told.
pub type Culprits = Vec<PeerId>;

/// Why an offer is not open yet.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OpenError {
    /// More guardians must be asked.
    #[error("{have} right decryption shares, {need} needed; wrong ones from {culprits:?}")]
    NotEnough {
        /// How many shares are right.
        have: usize,
        /// How many are needed.
        need: u16,
        /// Whose shares are wrong.
        culprits: Culprits,
    },
    /// The offer was not accepted by these guardians: they would have refused it.
    #[error("the offer's encrypted preimage does not hold; it cannot have been funded")]
    Ciphertext,
}

/// Decrypts an offer with guardians' shares. Wrong ones are left out, and named, if there are enough without them.
///
/// # Errors
/// If there are not; ask the others, and try again.
pub fn open(
    federation: FederationId,
    config: &LnConfig,
    offer: &Offer,
    shares: &BTreeMap<PeerId, Bytes<96>>,
) -> Result<(Opened, Culprits), OpenError> {
    let data = offer.associated_data(federation);
    let ciphertext = offer.preimage.ciphertext().ok();
    let ciphertext = ciphertext.and_then(|ciphertext| ciphertext.verify(&data).ok());
    let ciphertext = ciphertext.ok_or(OpenError::Ciphertext)?;
    let mut culprits = Culprits::new();
    let mut points = Vec::new();
    for (peer, share) in shares {
        let index = share_index(*peer).filter(|index| config.key.share(*index).is_some());
        match index.zip(DecryptionShare::from_bytes(&share.0).ok()) {
            Some(point) => points.push(point),
            None => culprits.push(*peer),
        }
    }
    loop {
        match combine(&config.key, &ciphertext, &points) {
            Ok(key) => {
                culprits.sort_unstable();
                let opened = opened(offer, &ciphertext, &key);
                return Ok((opened, culprits));
            }
            Err(DecryptError::WrongShares { culprits: wrong }) if !wrong.is_empty() => {
                points.retain(|(index, _)| !wrong.contains(index));
                culprits.extend(wrong.iter().map(|index| PeerId(u16::from(index.get()) - 1)));
            }
            Err(_) => {
                return Err(OpenError::NotEnough {
                    have: points.len(),
                    need: config.key.threshold(),
                    culprits,
                })
            }
        }
    }
}

fn opened(
    offer: &Offer,
    ciphertext: &ValidCiphertext,
    key: &guildmint_tbs::encryption::DecryptionKey,
) -> Opened {
    let plain = Preimage(Bytes(*ciphertext.decrypt(key)));
    match plain.hash() == offer.hash {
        true => Opened::Preimage(plain),
        false => Opened::Undecryptable(Witness::Undecryptable {
            offer: *offer,
            decryption_key: Bytes(*key.to_bytes()),
        }),
    }
}
