//! Electrum servers as a source of deposits.

use std::sync::{Mutex, PoisonError};

use bitcoin::Script;
use guildmint_client::{Burial, ChainNews, Sighting};
use guildmint_wallet_electrum::{Found, Observer, Settings, UrlError};

use crate::ChainSource;

/// Electrum servers, asked one question at a time; the next one when one fails. What they say is checked as far as it can
/// be, as `guildmint-wallet-electrum` says.
pub struct Electrum(Mutex<Observer>);

impl Electrum {
    /// Servers by their URLs, `tcp://host:port` or `ssl://host:port`. They are first connected to when they are asked.
    ///
    /// # Errors
    /// If a URL is none, or there is none.
    pub fn new<U: AsRef<str>>(urls: &[U]) -> Result<Self, UrlError> {
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
        Ok(ChainNews {
            tip_height: tip.height,
            deposits: found.into_iter().map(sighting).collect(),
        })
    }
}

fn sighting(found: Found) -> Sighting {
    Sighting {
        outpoint: found.outpoint,
        amount_sat: found.amount_sat,
        burial: found.proof.map(|proof| Burial {
            height: proof.height,
            header: proof.header,
            merkle: proof.merkle,
            transaction: found.transaction,
        }),
    }
}
