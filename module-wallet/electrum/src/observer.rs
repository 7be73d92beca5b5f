//! What guardians and clients ask.

use std::time::{Duration, Instant};

use bitcoin::{
    block::Header,
    consensus::{deserialize, encode::serialize_hex},
    Network, Script, Transaction, Txid,
};
use guildmint_wallet::{limits, Block, Confirmation, News, Watched};
use tracing::{debug, info, warn};

use crate::{
    deposits::{find, Found},
    error::{AllFailed, BroadcastError, ServerError, UrlError},
    outage::Outage,
    server::Server,
    url::ServerUrl,
    work::check_work,
};

/// How an observer works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Whose rules of proof-of-work hold.
    pub network: Network,
    /// How many blocks must follow a block before it is reported: the federation's finality.
    pub finality_blocks: u32,
    /// The fee rate to report when no server knows one, as on regtest; `None` to report none.
    pub fallback_fee_rate_sat_per_kvb: Option<u64>,
    /// In how many blocks a transaction should be confirmed at the fee rate that is reported.
    pub fee_target_blocks: usize,
    /// How long to wait for a connection.
    pub connect_timeout: Duration,
    /// How long to wait for the whole answer to one request.
    pub request_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            network: Network::Bitcoin,
            finality_blocks: 10,
            fallback_fee_rate_sat_per_kvb: None,
            fee_target_blocks: 6,
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(10),
        }
    }
}

/// No node relays less, in satoshi per 1000 virtual bytes.
const MIN_RELAY_SAT_PER_KVB: u64 = 1_000;

/// Watches the chain through Electrum servers: one at a time, the next one when it fails.
pub struct Observer {
    urls: Vec<ServerUrl>,
    /// One for each server.
    outages: Vec<Outage>,
    current: usize,
    connection: Option<Server>,
    settings: Settings,
}

impl Observer {
    /// An observer that connects when it is first asked.
    ///
    /// # Errors
    /// If a URL is none, or there is none.
    pub fn new<U: AsRef<str>>(urls: &[U], settings: Settings) -> Result<Self, UrlError> {
        let urls: Vec<ServerUrl> = urls
            .iter()
            .map(|url| url.as_ref().parse())
            .collect::<Result<_, _>>()?;
        if urls.is_empty() {
            return Err(UrlError::None);
        }
        Ok(Self {
            outages: vec![Outage::default(); urls.len()],
            urls,
            current: 0,
            connection: None,
            settings,
        })
    }

    /// What happened after the last agreed block and to the pending transactions: the tip, the next blocks that are final,
    /// the fee rate, and proofs of transactions that are in agreed blocks.
    ///
    /// # Errors
    /// If no server is of use: down, behind, on another chain or lying. Ask again later. What guardians must hear of
    /// another chain is [in the error](AllFailed::other_chain).
    pub fn poll(&mut self, agreed: Block, pending: &[Watched]) -> Result<Vec<News>, AllFailed> {
        self.try_each(|server, settings| {
            let mut news = vec![chain(server, settings, agreed)?];
            if let Some(sat_per_kvb) = fee_rate(server, settings)? {
                news.push(News::FeeRate { sat_per_kvb });
            }
            for watched in pending {
                news.extend(confirmation(server, agreed, watched)?);
            }
            Ok(news)
        })
    }

    /// Sends a transaction through every server, so that one that only pretends to send it does no harm.
    ///
    /// # Errors
    /// If not a single server took it.
    pub fn broadcast(&mut self, transaction: &[u8]) -> Result<Txid, BroadcastError> {
        let transaction: Transaction = deserialize(transaction)
            .map_err(|error| BroadcastError::Unreadable(error.to_string()))?;
        let (txid, hex) = (transaction.compute_txid(), serialize_hex(&transaction));
        let mut failures = Vec::new();
        for _ in 0..self.urls.len() {
            let sent = self.with_current(|server, _| server.broadcast(hex.clone()));
            if let Err(error) = sent {
                debug!(%txid, %error, "a server did not take the transaction");
                failures.push((self.url(), error));
            }
            self.next_server();
        }
        if failures.len() == self.urls.len() {
            return Err(AllFailed(failures).into());
        }
        Ok(txid)
    }

    /// The tip of the chain.
    ///
    /// # Errors
    /// If no server is of use.
    pub fn tip(&mut self) -> Result<Block, AllFailed> {
        self.try_each(|server, _| {
            let height = server.tip_height()?;
            let hash = server.header(height)?.block_hash();
            Ok(Block { height, hash })
        })
    }

    /// The block at a height, or the tip if the chain is not so long yet.
    ///
    /// # Errors
    /// If no server is of use.
    pub fn block(&mut self, height: u32) -> Result<Block, AllFailed> {
        self.try_each(|server, _| {
            let height = height.min(server.tip_height()?);
            let hash = server.header(height)?.block_hash();
            Ok(Block { height, hash })
        })
    }

    /// Everything that was ever paid to a script, with proofs.
    ///
    /// # Errors
    /// If no server is of use.
    pub fn find_deposits(&mut self, script: &Script) -> Result<Vec<Found>, AllFailed> {
        self.try_each(|server, _| find(server, script))
    }

    fn url(&self) -> String {
        self.urls
            .get(self.current)
            .map_or_else(String::new, ToString::to_string)
    }

    fn next_server(&mut self) {
        if self.urls.len() > 1 {
            self.connection = None;
        }
        self.current = (self.current + 1) % self.urls.len().max(1);
    }

    fn with_current<T>(
        &mut self,
        ask: impl FnOnce(&Server, &Settings) -> Result<T, ServerError>,
    ) -> Result<T, ServerError> {
        let server = match self.connection.take() {
            Some(server) => server,
            None => {
                let none = || ServerError::Nonsense("there is no server".into());
                let url = self.urls.get(self.current).ok_or_else(none)?;
                Server::connect(url, &self.settings)?
            }
        };
        let answer = ask(&server, &self.settings);
        // Who answered with a refusal can be asked again; whatever else went wrong, the connection may be out of step.
        if matches!(answer, Ok(_) | Err(ServerError::Refused(_))) {
            self.connection = Some(server);
        }
        answer
    }

    /// Logs how the current server does, if that is news. It is asked every few seconds.
    fn report(&mut self, error: Option<&ServerError>) {
        let url = self.url();
        let Some(outage) = self.outages.get_mut(self.current) else {
            return;
        };
        match error {
            None => {
                if let Some(failures) = outage.answered() {
                    info!(url, failures, "an Electrum server answers again");
                }
            }
            Some(error) => {
                if let Some(failures) = outage.failed(Instant::now()) {
                    warn!(url, failures, %error, "an Electrum server fails");
                }
            }
        }
    }

    fn try_each<T>(
        &mut self,
        ask: impl Fn(&Server, &Settings) -> Result<T, ServerError>,
    ) -> Result<T, AllFailed> {
        let mut failures = Vec::new();
        for _ in 0..self.urls.len() {
            // A connection may have died since it was last used: that is no failure of the server.
            let reused = self.connection.is_some();
            let mut answer = self.with_current(&ask);
            if reused && matches!(answer, Err(ServerError::Io(_))) {
                answer = self.with_current(&ask);
            }
            match answer {
                Ok(value) => {
                    self.report(None);
                    return Ok(value);
                }
                Err(error) => {
                    self.report(Some(&error));
                    failures.push((self.url(), error));
                    self.next_server();
                }
            }
        }
        Err(AllFailed(failures))
    }
}

/// The tip, and the blocks after the last agreed one that are final. They must follow from it. ⚠ A server only says how high its
/// tip is: blocks are final that others follow, each of which took the work that the chain asks for.
fn chain(server: &Server, settings: &Settings, agreed: Block) -> Result<News, ServerError> {
    let tip_height = server.tip_height()?;
    if tip_height < agreed.height {
        return Err(ServerError::Behind {
            tip: tip_height,
            agreed: agreed.height,
        });
    }
    let last = tip_height.saturating_sub(settings.finality_blocks);
    let finality = usize::try_from(settings.finality_blocks).unwrap_or(usize::MAX);
    let count = usize::try_from(tip_height - agreed.height)
        .unwrap_or(usize::MAX)
        .min(limits::MAX_VOTED_BLOCKS.saturating_add(finality));
    // The agreed block itself comes first: a server on another chain shows at once.
    let headers = server.headers(agreed.height, count.saturating_add(1))?;
    let buried = headers.len().saturating_sub(finality).max(1);
    match headers.first().map(Header::block_hash) {
        Some(hash) if hash == agreed.hash => {
            check_work(settings.network, agreed.height, &headers)?;
            let hashes = headers.iter().take(buried).skip(1);
            let shown = u32::try_from(headers.len() - 1).unwrap_or(u32::MAX);
            Ok(News::Chain {
                // One that shows less than it was asked for has no more.
                tip_height: match headers.len() > count {
                    true => tip_height,
                    false => agreed.height.saturating_add(shown),
                },
                first_height: agreed.height.saturating_add(1),
                hashes: hashes.map(Header::block_hash).collect(),
            })
        }
        found => Err(ServerError::OtherChain {
            height: agreed.height,
            found: found.unwrap_or(agreed.hash),
            expected: agreed.hash,
            chain: if last < agreed.height {
                None
            } else {
                Some(Box::new(other_chain(server, tip_height, agreed.height)?))
            },
        }),
    }
}

/// The blocks up to the height of the last agreed one, which is not among them.
fn other_chain(server: &Server, tip_height: u32, agreed_height: u32) -> Result<News, ServerError> {
    let first_height = News::window_start(agreed_height);
    let count = agreed_height.saturating_sub(first_height) as usize + 1;
    let headers = server.headers(first_height, count)?;
    Ok(News::Chain {
        tip_height,
        first_height,
        hashes: headers.iter().map(Header::block_hash).collect(),
    })
}

fn fee_rate(server: &Server, settings: &Settings) -> Result<Option<u64>, ServerError> {
    let estimate = server.fee_rate_sat_per_kvb(settings.fee_target_blocks)?;
    let Some(rate) = estimate.or(settings.fallback_fee_rate_sat_per_kvb) else {
        return Ok(None);
    };
    let floor = server.relay_rate_sat_per_kvb()?.unwrap_or(0);
    Ok(Some(rate.max(floor).max(MIN_RELAY_SAT_PER_KVB)))
}

fn confirmation(
    server: &Server,
    agreed: Block,
    watched: &Watched,
) -> Result<Option<News>, ServerError> {
    let history = server.history(&watched.script_pubkey)?;
    let seen = history.iter().find(|seen| seen.txid == watched.txid);
    let Some(height) = seen.and_then(|seen| seen.height) else {
        return Ok(None);
    };
    if height > agreed.height {
        return Ok(None);
    }
    let (header, merkle) = server.proof(watched.txid, height)?;
    Ok(Some(News::Confirmed(Confirmation {
        txid: watched.txid,
        height,
        header,
        merkle,
    })))
}
