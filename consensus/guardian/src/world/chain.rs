//! The wallet module's view of the chain, through Electrum servers.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use bitcoin::{Network, Txid};
use guildmint_core::Wire as _;
use guildmint_wallet::{Block, Frozen, Job, News, WalletConfig, Watched};
use guildmint_wallet_electrum::{Observer as Electrum, Settings, UrlError};

use super::{Look, Observer};

/// How often a transaction that is not confirmed is sent again: nodes forget and restart.
const RESEND: Duration = Duration::from_secs(60);

/// How soon one that no server took is tried again: the servers may just be starting.
const RETRY: Duration = Duration::from_secs(2);

/// After this many looks everything is told again, lest the module has forgotten something.
const LOOKS_UNTIL_REPEATED: u32 = 60;

/// How often to look at the chain of a network, besides when something is asked.
pub(crate) fn interval(network: Network) -> Duration {
    Duration::from_secs(if network == Network::Regtest { 1 } else { 10 })
}

/// Watches the chain for the wallet, and sends its transactions.
pub(crate) struct ChainObserver {
    electrum: Electrum,
    watch: Option<(Block, Vec<Watched>)>,
    frozen: Option<Frozen>,
    /// The freeze after which the operator wants to go on.
    unfreeze: Option<u32>,
    unconfirmed: BTreeMap<Txid, Sending>,
    told: Vec<News>,
    looks: u32,
}

struct Sending {
    transaction: Vec<u8>,
    /// When it is sent again; at once if nothing is said.
    again_at: Option<Instant>,
}

impl ChainObserver {
    /// An observer that connects when it first looks.
    ///
    /// # Errors
    /// If a URL is none.
    pub(crate) fn new(
        urls: &[String],
        config: &WalletConfig,
        unfreeze: Option<u32>,
    ) -> Result<Self, UrlError> {
        // There is no market for fees on regtest.
        let is_regtest = config.network == Network::Regtest;
        let lowest_sat_per_kvb = config.fee_rate_bounds.min_sat_per_kvb;
        let settings = Settings {
            network: config.network,
            finality_blocks: config.finality_blocks,
            fallback_fee_rate_sat_per_kvb: is_regtest.then_some(lowest_sat_per_kvb),
            ..Settings::default()
        };
        Ok(Self {
            electrum: Electrum::new(urls, settings)?,
            watch: None,
            frozen: None,
            unfreeze,
            unconfirmed: BTreeMap::new(),
            told: Vec::new(),
            looks: 0,
        })
    }

    fn send(&mut self) {
        for (txid, sending) in &mut self.unconfirmed {
            if sending.again_at.is_some_and(|at| at > Instant::now()) {
                continue;
            }
            let wait = match self.electrum.broadcast(&sending.transaction) {
                Ok(_) => {
                    tracing::info!(%txid, "transaction sent");
                    RESEND
                }
                // Refused for now, or no server could be reached.
                Err(error) => {
                    tracing::debug!(%txid, %error, "transaction not taken");
                    RETRY
                }
            };
            sending.again_at = Instant::now().checked_add(wait);
        }
    }

    /// What was not told the last time.
    fn unheard(&mut self, news: Vec<News>) -> Vec<Vec<u8>> {
        self.looks += 1;
        if self.looks.is_multiple_of(LOOKS_UNTIL_REPEATED) {
            self.told.clear();
        }
        let unheard = news.iter().filter(|news| !self.told.contains(news));
        let unheard = unheard.map(News::encode).collect();
        self.told = news;
        unheard
    }
}

impl Observer for ChainObserver {
    fn take(&mut self, job: &[u8]) {
        match Job::decode(job) {
            Ok(Job::Broadcast { txid, transaction }) => {
                let sending = Sending {
                    transaction,
                    again_at: None,
                };
                self.unconfirmed.insert(txid, sending);
            }
            Ok(Job::Watch {
                agreed,
                pending,
                frozen,
            }) => {
                // What was replaced is not sent again: nodes would refuse it every time.
                let is_sent = |watched: &&Watched| !watched.replaced;
                let sent: Vec<Txid> = pending.iter().filter(is_sent).map(|w| w.txid).collect();
                self.unconfirmed.retain(|txid, _| sent.contains(txid));
                self.watch = Some((agreed, pending));
                self.frozen = frozen;
                self.told.clear();
            }
            Err(error) => tracing::error!(%error, "the wallet asks for what cannot be read"),
        }
    }

    fn look(&mut self) -> Look {
        self.send();
        let Some((agreed, pending)) = &self.watch else {
            return Look {
                news: Vec::new(),
                seen: Ok("nothing to watch yet".to_owned()),
                alarm: None,
            };
        };
        let polled = self.electrum.poll(*agreed, pending);
        let (mut news, seen) = match polled {
            Ok(news) => (news, None),
            // ⚠ The others must hear of it: what was agreed is no longer on the chain (SPEC WAL-5).
            Err(error) => (
                error.other_chain().cloned().into_iter().collect(),
                Some(error.to_string()),
            ),
        };
        let tip = news.iter().find_map(|news| match news {
            News::Chain { tip_height, .. } => Some(*tip_height),
            _ => None,
        });
        let height = tip.unwrap_or(agreed.height);
        let seen = seen.map_or_else(|| Ok(format!("the chain's tip is at height {height}")), Err);
        news.extend(self.unfreeze.map(|number| News::Unfreeze { number }));
        Look {
            news: self.unheard(news),
            seen,
            alarm: self.frozen.map(|frozen| alarm(frozen, self.unfreeze)),
        }
    }
}

/// What the operator must do about a freeze.
fn alarm(frozen: Frozen, unfreeze: Option<u32>) -> String {
    let Frozen { number, at } = frozen;
    let what = format!(
        "deposits are frozen (freeze {number}): guardians no longer find block {} at height {} on the chain",
        at.hash, at.height
    );
    if unfreeze == Some(number) {
        return format!("{what}; waiting for other operators to look");
    }
    format!(
        "{what}; look whether the federation's coins (/v1/wallet/utxos) are still there, then set unfreeze = {number} in \
         local.toml and restart this guardian"
    )
}

#[cfg(test)]
mod tests {
    use bitcoin::{hashes::Hash as _, BlockHash};

    use super::*;

    #[test]
    fn operators_are_told_what_to_do_about_a_freeze_and_what_they_have_done() {
        let at = Block {
            height: 7,
            hash: BlockHash::all_zeros(),
        };
        let frozen = Frozen { number: 3, at };
        for other in [None, Some(2)] {
            assert!(alarm(frozen, other).contains("set unfreeze = 3"));
        }
        assert!(alarm(frozen, Some(3)).contains("waiting for other operators"));
    }
}
