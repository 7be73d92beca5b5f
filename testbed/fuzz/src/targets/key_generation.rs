//! Items of a key generation.

use guildmint_tbs::dkg::{Ceremony, EncryptionSecret, Item, Params, ParamsError};

use crate::canonical::{bare, json};

/// One of two guardians who make a key together.
///
/// # Errors
/// Never: these parameters fit each other.
pub fn guardian(seed: u8) -> Result<Ceremony, ParamsError> {
    let secrets = [1, 2].map(|seed| EncryptionSecret::from_uniform_bytes(&[seed; 64]));
    let secrets: Vec<_> = secrets.into_iter().flatten().collect();
    let keys = secrets.iter().map(EncryptionSecret::public_key).collect();
    let own = usize::from(seed) % secrets.len();
    let params = Params::new([7; 32], 2, keys, 1)?;
    Ceremony::new(params, secrets[own].clone(), &[seed; 32])
}

/// In binary and in JSON; and whatever decodes, a guardian can take, from whomever.
pub fn target(bytes: &[u8]) {
    json::<Item>(bytes);
    let Some(item) = bare::<Item>(bytes) else {
        return;
    };
    if let Ok(mut guardian) = guardian(0) {
        let guardians: Vec<_> = guardian.params().guardians().collect();
        for from in guardians {
            assert!(!guardian.handle(from, item.clone()).is_empty());
        }
    }
}
