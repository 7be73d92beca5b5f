//! How guardians found a mint without a dealer: one threshold key for each denomination.

use std::collections::{BTreeMap, BTreeSet};

use guildmint_core::{
    encoding,
    founding::{FoundedModule, KeyShare, Place, PublicKeys},
    Amount, Wire,
};
use guildmint_tbs::{PublicKeySet, SecretKeyShare};
use serde::{Deserialize, Serialize};

use crate::{config::share_index, server::Mint, Denomination, MintConfig, MintSecret};

/// All of a mint's config that is no key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = 1024)]
#[serde(deny_unknown_fields)]
pub struct MintTerms {
    /// The denominations.
    pub denominations: BTreeSet<Denomination>,
    /// What redeeming one note costs.
    pub input_fee: Amount,
    /// What issuing one note costs.
    pub output_fee: Amount,
}

impl Default for MintTerms {
    /// All denominations, and nothing costs a fee.
    fn default() -> Self {
        Self {
            denominations: Denomination::all().collect(),
            input_fee: Amount::ZERO,
            output_fee: Amount::ZERO,
        }
    }
}

impl MintTerms {
    fn has_one_each(&self, have: usize) -> Result<(), String> {
        let need = self.denominations.len();
        match have == need {
            true => Ok(()),
            false => Err(format!("{have} keys for {need} denominations")),
        }
    }
}

impl FoundedModule for Mint {
    type Terms = MintTerms;

    fn check_terms(terms: &MintTerms, _: Place) -> Result<(), String> {
        match terms.denominations.is_empty() {
            true => Err("there is no denomination".into()),
            false => Ok(()),
        }
    }

    fn threshold_keys(terms: &MintTerms) -> u16 {
        // At most 40 denominations exist.
        u16::try_from(terms.denominations.len()).unwrap_or(u16::MAX)
    }

    fn announce(_: &MintTerms, _: &[u8; 32]) -> Vec<u8> {
        Vec::new()
    }

    fn check_announcement(_: &MintTerms, announcement: &[u8]) -> Result<(), String> {
        match announcement.is_empty() {
            true => Ok(()),
            false => Err("the mint has nothing to announce".into()),
        }
    }

    fn config(
        place: Place,
        terms: MintTerms,
        _: &[Vec<u8>],
        keys: &[PublicKeys],
    ) -> Result<MintConfig, String> {
        terms.has_one_each(keys.len())?;
        let mut config = MintConfig {
            keys: BTreeMap::new(),
            input_fee: terms.input_fee,
            output_fee: terms.output_fee,
        };
        for (denomination, key) in terms.denominations.into_iter().zip(keys) {
            let public: PublicKeySet = encoding::read(key).map_err(|error| error.to_string())?;
            config.keys.insert(denomination, public);
        }
        match config.validate(place.quorum) {
            Ok(()) => Ok(config),
            Err(error) => Err(error.to_string()),
        }
    }

    fn secret(
        place: Place,
        terms: MintTerms,
        _: &[u8; 32],
        shares: &[KeyShare],
    ) -> Result<MintSecret, String> {
        terms.has_one_each(shares.len())?;
        let index = share_index(place.me).ok_or("there are not so many guardians")?;
        let share = |bytes: &KeyShare| SecretKeyShare::from_bytes(index, bytes);
        let shares: Result<Vec<_>, _> = shares.iter().map(share).collect();
        let shares = shares.map_err(|error| error.to_string())?;
        let shares = terms.denominations.into_iter().zip(shares).collect();
        Ok(MintSecret { shares })
    }
}
