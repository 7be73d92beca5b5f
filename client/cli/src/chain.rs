//! Electrum servers as a source of deposits.

use std::sync::{Mutex, PoisonError};

use bitcoin::Script;
use guildmint_client::{Burial, ChainNews, Sighting};
use guildmint_client_http::ChainSource;
use guildmint_wallet_electrum::{Observer, Settings, UrlError};

/// Servers, asked one question at a time.
pub struct Electrum(Mutex<Observer>);

impl Electrum {
    pub fn new(urls: &[String]) -> Result<Self, UrlError> {
        Ok(Self(Mutex::new(Observer::new(urls, Settings::default())?)))
    }
}

impl ChainSource for Electrum {
    fn find(&self, script: &Script) -> Result<ChainNews, String> {
        let mut observer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = observer
            .find_deposits(script)
            .map_err(|error| error.to_string())?;
        // The tip after the deposits: they are at least that deep.
        let tip = observer.tip().map_err(|error| error.to_string())?;
        let sighting = |one: guildmint_wallet_electrum::Found| Sighting {
            outpoint: one.outpoint,
            amount_sat: one.amount_sat,
            burial: one.proof.map(|proof| Burial {
                height: proof.height,
                header: proof.header,
                merkle: proof.merkle,
                transaction: one.transaction,
            }),
        };
        Ok(ChainNews {
            tip_height: tip.height,
            deposits: found.into_iter().map(sighting).collect(),
        })
    }
}
