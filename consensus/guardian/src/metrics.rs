//! What is counted and measured, in OpenMetrics text. No metric tells anything about a client.

use std::{
    collections::BTreeMap,
    sync::{
        atomic::{AtomicU64, Ordering},
        Mutex, MutexGuard, PoisonError,
    },
    time::{Duration, Instant},
};

use guildmint_api::Overview;
use guildmint_core::{ledger::Changes, module::Fault, PeerId};
use guildmint_net_p2p::Network;
use prometheus_client::{
    encoding::{text, EncodeLabelSet},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{exponential_buckets, Histogram},
    },
    registry::Registry,
};

use crate::store_worker::accepted;

type Gauge64 = Gauge<f64, AtomicU64>;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfGuardian {
    guardian: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfModule {
    module: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRoute {
    route: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfAnswer {
    answer: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfCheck {
    check: String,
}

/// All metrics of one guardian.
pub(crate) struct Metrics {
    registry: Registry,
    epochs: Gauge,
    pool: Gauge,
    height: Gauge,
    revision: Gauge,
    behind: Gauge,
    accepted: Counter,
    submissions: Family<OfAnswer, Counter>,
    faults: Family<OfGuardian, Counter>,
    connected: Family<OfGuardian, Gauge>,
    round_trip: Family<OfGuardian, Gauge64>,
    twice: Family<OfGuardian, Gauge>,
    slowed: Family<OfGuardian, Counter<f64, AtomicU64>>,
    unsent: Counter,
    sent_bytes: Counter,
    unread: Counter,
    refused: Counter,
    requests: Family<OfRoute, Counter>,
    ready: Gauge,
    halted: Gauge,
    checks: Family<OfCheck, Gauge>,
    uptime: Gauge,
    last_epoch_age: Gauge,
    backup_age: Gauge,
    database_bytes: Gauge,
    tip: Gauge,
    payouts: Gauge,
    queued: Gauge,
    assets: Family<OfModule, Gauge>,
    liabilities: Family<OfModule, Gauge>,
    save_seconds: Histogram,
    /// Since when the database has been at work on one thing.
    store_busy: Mutex<Option<Instant>>,
    last_epoch: Mutex<Option<Instant>>,
    last_faults: Mutex<BTreeMap<PeerId, String>>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("guildmint"),
            epochs: Gauge::default(),
            pool: Gauge::default(),
            height: Gauge::default(),
            revision: Gauge::default(),
            behind: Gauge::default(),
            accepted: Counter::default(),
            submissions: Family::default(),
            faults: Family::default(),
            connected: Family::default(),
            round_trip: Family::default(),
            twice: Family::default(),
            slowed: Family::default(),
            unsent: Counter::default(),
            sent_bytes: Counter::default(),
            unread: Counter::default(),
            refused: Counter::default(),
            requests: Family::default(),
            ready: Gauge::default(),
            halted: Gauge::default(),
            checks: Family::default(),
            uptime: Gauge::default(),
            last_epoch_age: Gauge::default(),
            backup_age: Gauge::default(),
            database_bytes: Gauge::default(),
            tip: Gauge::default(),
            payouts: Gauge::default(),
            queued: Gauge::default(),
            assets: Family::default(),
            liabilities: Family::default(),
            save_seconds: Histogram::new(exponential_buckets(0.000_5, 2.0, 14)),
            store_busy: Mutex::default(),
            last_epoch: Mutex::default(),
            last_faults: Mutex::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        self.register_state();
        self.register_health();
        self.register_work();
    }

    fn register_state(&mut self) {
        let r = &mut self.registry;
        let help = "Epochs committed since the federation was founded";
        r.register("committed_epochs", help, self.epochs.clone());
        let help = "Transactions that wait for an epoch";
        r.register("pool_transactions", help, self.pool.clone());
        let help = "The agreed clock, in blocks";
        r.register("agreed_height", help, self.height.clone());
        let help = "The number of the latest revision of the config";
        r.register("revision", help, self.revision.clone());
        let help =
            "Epochs that the others have committed and this guardian has not, while it catches up";
        r.register("epochs_behind", help, self.behind.clone());
        let help = "What the federation owns, by module";
        r.register("assets_msat", help, self.assets.clone());
        let help = "What the federation owes, by module";
        r.register("liabilities_msat", help, self.liabilities.clone());
        let help = "Whether a guardian can be reached";
        r.register("peer_connected", help, self.connected.clone());
        let help = "Latest ping of a guardian";
        r.register("peer_round_trip_seconds", help, self.round_trip.clone());
        let help = "Whether two processes run with a guardian's secrets";
        r.register("runs_twice", help, self.twice.clone());
        let help = "How long a guardian that sends too much was made to wait";
        r.register("peer_slowed_seconds", help, self.slowed.clone());
    }

    fn register_health(&mut self) {
        let r = &mut self.registry;
        let help = "Whether clients can be served";
        r.register("ready", help, self.ready.clone());
        let help = "Whether the guardian has stopped for good";
        r.register("halted", help, self.halted.clone());
        let help = "Whether a check of /readyz is in order";
        r.register("check_ok", help, self.checks.clone());
        let help = "Seconds since the start";
        r.register("uptime_seconds", help, self.uptime.clone());
        let help = "Seconds since an epoch was committed; -1 if none was since the start";
        r.register("last_epoch_age_seconds", help, self.last_epoch_age.clone());
        let help = "Seconds since the last backup; -1 if none is known of";
        r.register("backup_age_seconds", help, self.backup_age.clone());
        let help = "Size of the database's file; 0 if it is none";
        r.register("database_bytes", help, self.database_bytes.clone());
        let help = "Height of the chain's tip as it is seen from here; 0 if it is not";
        r.register("chain_tip_height", help, self.tip.clone());
        let help = "Transactions of withdrawals that are not confirmed";
        r.register("wallet_unconfirmed", help, self.payouts.clone());
        let help = "Withdrawals that wait for a transaction";
        r.register("wallet_queued", help, self.queued.clone());
    }

    fn register_work(&mut self) {
        let r = &mut self.registry;
        let help = "Transactions accepted in committed epochs";
        r.register("transactions_accepted", help, self.accepted.clone());
        let help = "Submissions by clients, by what they were answered";
        r.register("submissions", help, self.submissions.clone());
        let help = "Requests of clients, by route";
        r.register("http_requests", help, self.requests.clone());
        let help = "Faults of other guardians";
        r.register("faults", help, self.faults.clone());
        let help = "Messages that did not go out";
        r.register("network_unsent", help, self.unsent.clone());
        let help = "Bytes sent to other guardians";
        r.register("network_sent_bytes", help, self.sent_bytes.clone());
        let help = "Messages that were dropped unread";
        r.register("network_unread", help, self.unread.clone());
        let help = "Connections from other guardians that failed";
        r.register("network_refused", help, self.refused.clone());
        let help = "How long it takes until changes are durable";
        r.register("store_save_seconds", help, self.save_seconds.clone());
    }

    /// A client asked something.
    pub(crate) fn request(&self, route: &'static str) {
        self.requests.get_or_create(&OfRoute { route }).inc();
    }

    /// A submission was answered.
    pub(crate) fn submission(&self, answer: &'static str) {
        self.submissions.get_or_create(&OfAnswer { answer }).inc();
    }

    /// A guardian misbehaved.
    pub(crate) fn fault(&self, fault: &Fault) {
        self.faults_counted(fault.peer).inc();
        lock(&self.last_faults).insert(fault.peer, fault.kind.clone());
    }

    /// How often a guardian misbehaved, and how it did the last time.
    pub(crate) fn faults_of(&self, peer: PeerId) -> (u64, Option<String>) {
        let last = lock(&self.last_faults).get(&peer).cloned();
        (self.faults_counted(peer).get(), last)
    }

    fn faults_counted(&self, peer: PeerId) -> Counter {
        self.faults
            .get_or_create_owned(&OfGuardian { guardian: peer.0 })
    }

    /// An epoch is durable.
    pub(crate) fn committed(&self) {
        *lock(&self.last_epoch) = Some(Instant::now());
    }

    /// How long ago the last epoch was committed, if any was since the start.
    pub(crate) fn since_last_epoch(&self) -> Option<Duration> {
        lock(&self.last_epoch).map(|at| at.elapsed())
    }

    /// Changes are about to be saved: those of an epoch name the transactions that it accepted.
    pub(crate) fn will_save(&self, changes: &Changes) {
        self.accepted.inc_by(accepted(changes) as u64);
    }

    /// Changes are durable.
    pub(crate) fn saved(&self, took: Duration) {
        self.save_seconds.observe(took.as_secs_f64());
    }

    /// The database begins to work on something.
    pub(crate) fn store_begins(&self) {
        *lock(&self.store_busy) = Some(Instant::now());
    }

    /// It is done with it.
    pub(crate) fn store_ended(&self) {
        *lock(&self.store_busy) = None;
    }

    /// How long the database has been at work on one thing.
    pub(crate) fn store_busy_for(&self) -> Duration {
        lock(&self.store_busy).map_or(Duration::ZERO, |since| since.elapsed())
    }

    fn set_state(&self, overview: &Overview) {
        if let Some(status) = &overview.status {
            let epochs = status.committed.map_or(0, |epoch| epoch.next().0);
            self.epochs.set(whole(epochs));
            self.pool.set(whole(status.pool as u64));
            self.height.set(status.height.into());
            self.revision.set(status.revision.into());
            let behind = status.catching_up.map_or(0, |progress| progress.behind);
            self.behind.set(whole(behind));
            self.halted.set(status.halted.is_some().into());
        }
        for guardian in &overview.guardians {
            let label = OfGuardian {
                guardian: guardian.guardian.0,
            };
            let runs_twice = guardian.runs_twice.into();
            self.twice.get_or_create(&label).set(runs_twice);
        }
        self.ready.set(overview.ready.into());
        for check in &overview.checks {
            let check_label = OfCheck {
                check: check.name.clone(),
            };
            self.checks.get_or_create(&check_label).set(check.ok.into());
        }
        let modules = overview.audit.iter().flat_map(|audit| &audit.modules);
        for (module, audit) in modules {
            let label = OfModule {
                module: module.clone(),
            };
            let assets = self.assets.get_or_create_owned(&label);
            assets.set(whole(audit.assets_msat));
            let liabilities = self.liabilities.get_or_create_owned(&label);
            liabilities.set(whole(audit.liabilities_msat));
        }
        self.uptime.set(whole(overview.uptime_seconds));
        let unknown = |seconds: Option<u64>| seconds.map_or(-1, whole);
        self.last_epoch_age
            .set(unknown(overview.last_epoch_seconds));
        let backup = overview.backup.as_ref();
        self.backup_age
            .set(unknown(backup.map(|backup| backup.age_seconds)));
        self.database_bytes
            .set(whole(overview.database.bytes.unwrap_or(0)));
        if let Some(wallet) = &overview.wallet {
            self.tip.set(wallet.tip_height.unwrap_or(0).into());
            self.payouts.set(whole(wallet.payouts.len() as u64));
            self.queued.set(whole(wallet.queued as u64));
        }
    }

    /// All of it as text, after asking around.
    pub(crate) fn text(&self, overview: &Overview, network: &Network) -> String {
        self.set_state(overview);
        for peer in network.peers() {
            let label = OfGuardian {
                guardian: peer.peer.0,
            };
            self.connected
                .get_or_create(&label)
                .set(peer.connected.into());
            let round_trip = peer
                .round_trip_ms
                .map_or(f64::NAN, |ms| f64::from(ms) / 1e3);
            self.round_trip.get_or_create(&label).set(round_trip);
            let slowed = self.slowed.get_or_create_owned(&label);
            let seconds = Duration::from_millis(peer.slowed_ms).as_secs_f64();
            slowed.inner().store(seconds.to_bits(), Ordering::Relaxed);
        }
        let counters = network.counters();
        self.unsent
            .inner()
            .store(counters.unsent, Ordering::Relaxed);
        self.sent_bytes
            .inner()
            .store(counters.sent_bytes, Ordering::Relaxed);
        self.unread
            .inner()
            .store(counters.unread, Ordering::Relaxed);
        self.refused
            .inner()
            .store(counters.refused, Ordering::Relaxed);
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = text::encode(&mut text, &self.registry);
        text
    }
}

fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each is changed by one assignment, whoever panicked.
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
