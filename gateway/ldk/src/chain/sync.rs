//! Following the chain, on threads of its own: each look waits for the server.

use std::{
    sync::{mpsc::Receiver, Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bdk_electrum::BdkElectrumClient;
use bitcoin::Transaction;
use electrum_client::{Client, ElectrumApi as _};
use lightning::chain::{BestBlock, Confirm};

use super::{
    broadcast::broadcast,
    client::{connect, ChainError, Filter},
    Broadcaster, Fees,
};
use crate::{
    stop::Stop,
    wallet::{Wallet, STOP_GAP},
};

/// Scripts asked about at once.
const BATCH: usize = 25;
/// How often fees are asked for.
const FEES_EVERY: Duration = Duration::from_secs(600);
/// How often the wallet looks for transactions without blocks, and broadcasts its own again, in looks at the chain.
const WALLET_EVERY: u32 = 6;
/// How often it is asked whether to stop when there is nothing to broadcast.
const IDLE: Duration = Duration::from_millis(200);
/// How long after the last look the chain counts as lost. Nothing new is taken on then.
pub(crate) const STALE_AFTER: Duration = Duration::from_secs(300);

/// Parts of LDK that must know of blocks and transactions.
pub(crate) type Watched = Vec<Arc<dyn Confirm + Send + Sync>>;

/// The node's eyes.
pub(crate) struct Chain {
    pub(crate) filter: Arc<Filter>,
    pub(crate) fees: Arc<Fees>,
    wallet: Arc<Wallet>,
    /// A connection of its own: reconnecting one holds up all who use it.
    wallet_client: BdkElectrumClient<Client>,
    url: String,
    seen: Mutex<Seen>,
}

#[derive(Debug, Clone, Default)]
struct Seen {
    at: Option<(Instant, u64)>,
    trouble: Option<String>,
}

impl Chain {
    pub(crate) fn connect(
        url: &str,
        fees: Arc<Fees>,
        wallet: Arc<Wallet>,
    ) -> Result<Self, ChainError> {
        Ok(Self {
            filter: Arc::new(Filter::new(Arc::new(connect(url)?))?),
            fees,
            wallet,
            wallet_client: BdkElectrumClient::new(connect(url)?),
            url: url.to_owned(),
            seen: Mutex::default(),
        })
    }

    fn server(&self, source: electrum_client::Error) -> ChainError {
        let url = self.url.clone();
        ChainError::Server { url, source }
    }

    /// The tip that the server tells.
    pub(crate) fn tip(&self) -> Result<BestBlock, ChainError> {
        let tip = self.wallet_client.inner.block_headers_subscribe();
        let tip = tip.map_err(|error| self.server(error))?;
        Ok(BestBlock::new(tip.header.block_hash(), tip.height as u32))
    }

    pub(crate) fn update_fees(&self) -> Result<(), ChainError> {
        let updated = self.fees.update(&self.wallet_client.inner);
        updated.map_err(|error| self.server(error))
    }

    /// Brings LDK to the tip.
    pub(crate) fn follow(&self, watched: &Watched) -> Result<(), ChainError> {
        let followed = self.filter.0.sync(watched.clone());
        followed.map_err(ChainError::Follow)?;
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let now_ms = since.map_or(0, |since| since.as_millis() as u64);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        *seen = Seen {
            at: Some((Instant::now(), now_ms)),
            trouble: None,
        };
        Ok(())
    }

    /// Brings the wallet to the tip.
    pub(crate) fn update_wallet(&self) -> Result<(), ChainError> {
        let request = self
            .wallet
            .requests(|wallet| wallet.start_sync_with_revealed_spks());
        let update = self.wallet_client.sync(request, BATCH, false);
        self.wallet
            .apply(update.map_err(|error| self.server(error))?)?;
        Ok(())
    }

    /// Looks for a wallet's money by its keys alone.
    pub(crate) fn find_wallet(&self) -> Result<(), ChainError> {
        let request = self.wallet.requests(bdk_wallet::Wallet::start_full_scan);
        let update = self
            .wallet_client
            .full_scan(request, STOP_GAP, BATCH, false);
        self.wallet
            .apply(update.map_err(|error| self.server(error))?)?;
        Ok(())
    }

    /// When the node was last at the tip, in milliseconds since 1970.
    pub(crate) fn synced_at_ms(&self) -> Option<u64> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.at.map(|(_, ms)| ms)
    }

    /// Why nothing new must be taken on.
    pub(crate) fn trouble(&self) -> Option<String> {
        let seen = self
            .seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let age = seen.at.map(|(at, _)| at.elapsed());
        match age {
            Some(age) if age < STALE_AFTER => None,
            Some(age) => Some(format!(
                "it was last seen {} s ago ({})",
                age.as_secs(),
                seen.trouble.unwrap_or_else(|| "no answer yet".to_owned())
            )),
            None => Some("it was not seen yet".to_owned()),
        }
    }

    fn note(&self, error: &ChainError) {
        tracing::warn!(%error, "the chain could not be looked at");
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.trouble = Some(error.to_string());
    }

    /// Looks again and again until it is stopped. `after` is called after each look.
    pub(crate) fn run(
        &self,
        watched: &Watched,
        broadcaster: &Broadcaster,
        poll: Duration,
        stop: &Stop,
        after: impl Fn(),
    ) {
        let (mut looks, mut last_tip, mut fees_at) = (0, None, Instant::now());
        while !stop.wait_for(poll) {
            let looked = self.look(watched, broadcaster, looks, &mut last_tip);
            if let Err(error) = looked {
                self.note(&error);
            }
            if fees_at.elapsed() >= FEES_EVERY {
                fees_at = Instant::now();
                if let Err(error) = self.update_fees() {
                    self.note(&error);
                }
            }
            after();
            looks += 1;
        }
    }

    fn look(
        &self,
        watched: &Watched,
        broadcaster: &Broadcaster,
        looks: u32,
        last_tip: &mut Option<BestBlock>,
    ) -> Result<(), ChainError> {
        self.follow(watched)?;
        let tip = Some(self.tip()?);
        if tip != *last_tip || looks.is_multiple_of(WALLET_EVERY) {
            self.update_wallet()?;
            *last_tip = tip;
            for transaction in self.wallet.unconfirmed() {
                broadcaster.send(vec![transaction]);
            }
        }
        Ok(())
    }

    /// Broadcasts what comes, until it is stopped and nothing waits.
    pub(crate) fn run_broadcasts(&self, packages: &Receiver<Vec<Transaction>>, stop: &Stop) {
        let mut client = None;
        loop {
            let package = match packages.recv_timeout(IDLE) {
                Ok(package) => package,
                // What waits is broadcast before the end.
                Err(_) if stop.is_set() => return,
                Err(_) => continue,
            };
            let connected = match client.take() {
                Some(client) => Ok(client),
                None => connect(&self.url),
            };
            match connected {
                Err(error) => self.note(&error),
                Ok(connected) => {
                    for transaction in broadcast(&connected, package) {
                        if let Err(error) = self.wallet.broadcast(transaction) {
                            tracing::error!(%error, "a transaction could not be noted");
                        }
                    }
                    client = Some(connected);
                }
            }
        }
    }
}
