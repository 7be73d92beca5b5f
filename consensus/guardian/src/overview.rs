//! What the operator is told, gathered from all that knows a part of it.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use async_std::{future::timeout, sync::Mutex};
use guildmint_api::{
    BackupFacts, CoinFacts, DatabaseFacts, FederationFacts, GuardianFacts, Overview, PayoutFacts,
    WalletFacts,
};
use guildmint_core::{api::Revise, module::Query, PeerId};
use guildmint_engine::node::{Reply, Request};
use guildmint_net_p2p::PeerStatus;
use guildmint_store::SqliteStore;
use guildmint_wallet::{ChainAnswer, CoinsAnswer, PegOutsAnswer};
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use crate::{
    backend::{Handle, PATIENCE},
    config::Config,
    files::BACKUP_STAMP,
    Database,
};

/// How long an overview is good for. However many ask, the loop is not asked more often.
const FRESH: Duration = Duration::from_secs(1);

/// Coins that are shown. The rest are counted in the balance sheet, and can be had from `/v1/wallet/utxos`.
const SHOWN_COINS: usize = 100;

/// What never changes while the guardian runs, and the last overview.
pub(crate) struct Facts {
    federation: FederationFacts,
    names: Vec<String>,
    began: Instant,
    data_dir: PathBuf,
    database: Database,
    last: Mutex<Option<(Instant, Arc<Overview>)>>,
}

impl Facts {
    pub(crate) fn new(config: &Config) -> Self {
        let genesis = &config.genesis;
        let guardians = config.federation.guardians.iter();
        Self {
            federation: FederationFacts {
                name: genesis.name.clone(),
                id: config.federation.federation,
                network: genesis.network.to_string(),
                warning: genesis
                    .quorum()
                    .ok()
                    .and_then(|it| it.warning())
                    .map(str::to_owned),
                threshold: genesis.quorum().map_or(0, |quorum| quorum.threshold()),
                invite: config.federation.invite().to_string(),
            },
            names: guardians.map(|guardian| guardian.name.clone()).collect(),
            began: Instant::now(),
            data_dir: config.data_dir.clone(),
            database: config.settings.database.clone(),
            last: Mutex::new(None),
        }
    }

    fn database(&self, busy: Duration) -> DatabaseFacts {
        let bytes = match self.database {
            Database::Sqlite => fs::metadata(self.data_dir.join(SqliteStore::FILE))
                .map(|file| file.len())
                .ok(),
            Database::Postgres(_) => None,
        };
        DatabaseFacts {
            place: self.database.to_string(),
            bytes,
            busy_ms: u64::try_from(busy.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// Whoever makes a backup touches a file.
    fn backup(&self) -> Option<BackupFacts> {
        let made = fs::metadata(self.data_dir.join(BACKUP_STAMP)).and_then(|file| file.modified());
        // A clock that was set back makes a backup no older than now.
        let age = made.ok()?.elapsed().unwrap_or_default();
        Some(BackupFacts {
            age_seconds: age.as_secs(),
        })
    }

    pub(crate) fn uptime(&self) -> Duration {
        self.began.elapsed()
    }
}

impl Handle {
    /// The overview, made anew if the last is too old. Who asks meanwhile waits for the same.
    pub(crate) async fn fresh_overview(&self) -> Arc<Overview> {
        let mut last = self.0.facts.last.lock().await;
        if let Some((made, overview)) = &*last {
            if made.elapsed() < FRESH {
                return Arc::clone(overview);
            }
        }
        let overview = Arc::new(self.gather().await);
        *last = Some((Instant::now(), Arc::clone(&overview)));
        overview
    }

    async fn gather(&self) -> Overview {
        let (inner, facts) = (&self.0, &self.0.facts);
        let status = self.ask_status().await;
        let checks = self.checks(&status);
        let ready = checks.iter().all(|check| check.ok);
        let audit = match timeout(PATIENCE, self.ask(Request::Audit)).await {
            Ok(Ok(Reply::Audit(audit))) => Some(audit),
            _ => None,
        };
        let twice = status.as_ref().map_or(&[][..], |status| &status.runs_twice);
        let revisions = match timeout(PATIENCE, self.ask(Request::Revise(Revise::Show))).await {
            Ok(Ok(Reply::Revise(report))) => Some(report),
            _ => None,
        };
        let present = revisions.as_ref().map(|report| &report.present);
        Overview {
            guardians: self.guardians(ready, twice, &self.apis().await.urls, present),
            status: status.clone().ok(),
            ready,
            checks,
            federation: FederationFacts {
                name: name_in(present, "/name", &facts.federation.name),
                invite: self.invite().await.to_string(),
                ..facts.federation.clone()
            },
            uptime_seconds: facts.uptime().as_secs(),
            last_epoch_seconds: inner
                .metrics
                .since_last_epoch()
                .map(|since| since.as_secs()),
            audit,
            wallet: self.wallet().await,
            database: facts.database(inner.metrics.store_busy_for()),
            backup: facts.backup(),
            revisions,
        }
    }

    fn guardians(
        &self,
        ready: bool,
        twice: &[PeerId],
        apis: &BTreeMap<PeerId, String>,
        present: Option<&Json>,
    ) -> Vec<GuardianFacts> {
        let inner = &self.0;
        let peers = inner.network.peers();
        let guardian = |(guardian, name): (PeerId, &String)| {
            let is_self = guardian == inner.me;
            let peer: Option<&PeerStatus> = peers.iter().find(|peer| peer.peer == guardian);
            let (faults, last_fault) = inner.metrics.faults_of(guardian);
            GuardianFacts {
                guardian,
                name: name_in(present, &format!("/guardians/{}", guardian.0), name),
                api: apis.get(&guardian).cloned().unwrap_or_default(),
                is_self,
                connected: if is_self {
                    ready
                } else {
                    peer.is_some_and(|peer| peer.connected)
                },
                address: peer.and_then(|peer| peer.address.clone()),
                round_trip_ms: peer.and_then(|peer| peer.round_trip_ms),
                slowed_ms: peer.map_or(0, |peer| peer.slowed_ms),
                runs_twice: twice.contains(&guardian),
                faults,
                last_fault,
            }
        };
        (0..)
            .map(PeerId)
            .zip(&inner.facts.names)
            .map(guardian)
            .collect()
    }

    async fn wallet(&self) -> Option<WalletFacts> {
        let chain: ChainAnswer = self.ask_wallet("chain", &[]).await?;
        let limit = SHOWN_COINS.to_string();
        let coins: CoinsAnswer = self.ask_wallet("utxos", &[("limit", &limit)]).await?;
        let peg_outs: PegOutsAnswer = self.ask_wallet("peg-outs", &[]).await?;
        let sight = self.0.sights.iter().find(|(kind, _)| *kind == "electrum");
        let (source_ok, source) = sight.map_or((false, String::new()), |(_, sight)| sight.check());
        Some(WalletFacts {
            agreed_height: chain.agreed.height,
            agreed_hash: chain.agreed.hash.to_string(),
            tip_height: chain.tip_height,
            fee_rate_sat_per_kvb: chain.fee_rate_sat_per_kvb,
            source,
            source_ok,
            more_coins: coins.next.is_some(),
            coins: coins
                .utxos
                .iter()
                .map(|coin| CoinFacts {
                    outpoint: coin.outpoint.to_string(),
                    amount_sat: coin.amount_sat,
                    confirmed: coin.confirmed,
                })
                .collect(),
            queued: peg_outs.queued.len(),
            payouts: peg_outs
                .pending
                .iter()
                .map(|pending| PayoutFacts {
                    txid: pending.txid.to_string(),
                    recipients: pending.recipients,
                    fee_sat: pending.fee_sat,
                    state: word(&pending.state),
                    signers: pending.signers.len(),
                    built_at: pending.built_at,
                })
                .collect(),
        })
    }

    async fn ask_wallet<T: DeserializeOwned>(
        &self,
        path: &str,
        parameters: &[(&str, &str)],
    ) -> Option<T> {
        let parameters = parameters
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let query = Query {
            path: path.to_owned(),
            parameters: parameters.collect::<BTreeMap<_, _>>(),
        };
        let request = Request::Query {
            kind: guildmint_wallet::KIND.to_owned(),
            query,
        };
        match timeout(PATIENCE, self.ask(request)).await {
            Ok(Ok(Reply::Query(json))) => serde_json::from_value(json).ok(),
            _ => None,
        }
    }
}

/// What something is called since the last revision; what it was called at the founding, if that is not known.
fn name_in(present: Option<&Json>, place: &str, founding: &str) -> String {
    let name = present.and_then(|present| present.pointer(place)?.as_str());
    name.unwrap_or(founding).to_owned()
}

/// The word by which something is known in JSON.
fn word(state: &impl serde::Serialize) -> String {
    match serde_json::to_value(state) {
        Ok(serde_json::Value::String(word)) => word,
        _ => "unknown".to_owned(),
    }
}
