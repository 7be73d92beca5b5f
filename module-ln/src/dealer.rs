//! A trusted dealer, for tests and examples only: whoever runs it knows every secret.

use guildmint_core::Quorum;
use guildmint_tbs::dealer::{deal as deal_key, DealError};
use rand_core::{CryptoRng, RngCore};

use crate::{LnConfig, LnSecret, LnTerms};

/// Deals the key to all guardians of a federation: the config, and the secrets in the order of guardians.
///
/// # Errors
/// If the randomness is so poor that a share comes out zero.
pub fn deal(
    quorum: Quorum,
    terms: LnTerms,
    rng: &mut (impl RngCore + CryptoRng),
) -> Result<(LnConfig, Vec<LnSecret>), DealError> {
    // At most 20 guardians.
    let threshold = u16::try_from(quorum.threshold()).unwrap_or(u16::MAX);
    let (key, shares) = deal_key(threshold, quorum.into(), rng)?;
    let fees = terms.fees;
    let secrets = shares.into_iter().map(|share| LnSecret { share });
    Ok((LnConfig { key, fees }, secrets.collect()))
}
