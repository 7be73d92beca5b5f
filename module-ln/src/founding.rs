//! How guardians found the module without a dealer: one threshold key, to which preimages are encrypted.

use guildmint_core::{
    encoding,
    founding::{FoundedModule, KeyShare, Place, PublicKeys},
};
use guildmint_tbs::SecretKeyShare;

use crate::{config::share_index, server::Ln, LnConfig, LnSecret, LnTerms};

impl FoundedModule for Ln {
    type Terms = LnTerms;

    fn check_terms(_: &LnTerms, _: Place) -> Result<(), String> {
        Ok(())
    }

    fn threshold_keys(_: &LnTerms) -> u16 {
        1
    }

    fn announce(_: &LnTerms, _: &[u8; 32]) -> Vec<u8> {
        Vec::new()
    }

    fn check_announcement(_: &LnTerms, announcement: &[u8]) -> Result<(), String> {
        match announcement.is_empty() {
            true => Ok(()),
            false => Err("the Lightning module has nothing to announce".into()),
        }
    }

    fn config(
        place: Place,
        terms: LnTerms,
        _: &[Vec<u8>],
        keys: &[PublicKeys],
    ) -> Result<LnConfig, String> {
        let [key] = keys else {
            return Err(format!("{} keys, but one is needed", keys.len()));
        };
        let config = LnConfig {
            key: encoding::read(key).map_err(|error| error.to_string())?,
            fees: terms.fees,
        };
        match config.validate(place.quorum) {
            Ok(()) => Ok(config),
            Err(error) => Err(error.to_string()),
        }
    }

    fn secret(
        place: Place,
        _: LnTerms,
        _: &[u8; 32],
        shares: &[KeyShare],
    ) -> Result<LnSecret, String> {
        let [share] = shares else {
            return Err(format!("{} key shares, but one is needed", shares.len()));
        };
        let index = share_index(place.me).ok_or("there are not so many guardians")?;
        match SecretKeyShare::from_bytes(index, share) {
            Ok(share) => Ok(LnSecret { share }),
            Err(error) => Err(error.to_string()),
        }
    }
}
