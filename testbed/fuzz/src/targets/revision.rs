//! Revisions of the config, as wallets are told of them and as guardians vote on them.

use guildmint_core::{Latest, SignedRevision};
use guildmint_engine::RevisionVote;

use crate::{canonical::wire, seeds};

/// What decodes is believed only if it is the next one and t guardians have signed it.
pub fn target(bytes: &[u8]) {
    wire::<RevisionVote>(bytes);
    if let Some(signed) = wire::<SignedRevision>(bytes) {
        let genesis = seeds::genesis();
        let founding = Latest::founding(&genesis);
        if let Ok(latest) = signed.verify(&genesis, founding) {
            assert_eq!(latest, Latest::of(&signed.revision));
            assert!(signed.signatures.len() >= 3 && latest.number == 1);
            assert!(signed.verify(&genesis, latest).is_err());
        }
    }
}
