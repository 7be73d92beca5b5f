//! A trusted dealer, for tests and examples only: whoever runs it knows every secret.

use std::collections::BTreeMap;

use guildmint_core::{Amount, Quorum};
use guildmint_tbs::dealer::{deal as deal_key, DealError};
use rand_core::{CryptoRng, RngCore};

use crate::{Denomination, MintConfig, MintSecret};

/// Deals keys for `denominations` to all guardians of a federation: the config, and the secrets in the order of guardians.
/// Nothing costs a fee; set the config's fields to change that.
///
/// # Errors
/// If the randomness is so poor that a share comes out zero.
pub fn deal(
    quorum: Quorum,
    denominations: impl IntoIterator<Item = Denomination>,
    rng: &mut (impl RngCore + CryptoRng),
) -> Result<(MintConfig, Vec<MintSecret>), DealError> {
    let empty = MintSecret {
        shares: BTreeMap::new(),
    };
    let mut secrets = vec![empty; quorum.guardians()];
    let mut keys = BTreeMap::new();
    // At most 20 guardians.
    let threshold = u16::try_from(quorum.threshold()).unwrap_or(u16::MAX);
    for denomination in denominations {
        let (public, shares) = deal_key(threshold, quorum.into(), rng)?;
        keys.insert(denomination, public);
        for (secret, share) in secrets.iter_mut().zip(shares) {
            secret.shares.insert(denomination, share);
        }
    }
    let config = MintConfig {
        keys,
        input_fee: Amount::ZERO,
        output_fee: Amount::ZERO,
    };
    Ok((config, secrets))
}
