//! What is counted and measured, in OpenMetrics text. No metric tells anything about a client.

use std::{
    sync::{
        atomic::{AtomicU64, Ordering},
        Mutex, MutexGuard, PoisonError,
    },
    time::{Duration, Instant},
};

use guildmint_core::{
    api::{AuditAnswer, StatusAnswer},
    ledger::{Changes, Key, Scope, Space},
    PeerId,
};
use guildmint_engine::rows::Accepted;
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

/// All metrics of one guardian.
pub(crate) struct Metrics {
    registry: Registry,
    epochs: Gauge,
    pool: Gauge,
    height: Gauge,
    accepted: Counter,
    submissions: Family<OfAnswer, Counter>,
    faults: Family<OfGuardian, Counter>,
    connected: Family<OfGuardian, Gauge>,
    round_trip: Family<OfGuardian, Gauge64>,
    unsent: Counter,
    unread: Counter,
    refused: Counter,
    requests: Family<OfRoute, Counter>,
    assets: Family<OfModule, Gauge>,
    liabilities: Family<OfModule, Gauge>,
    save_seconds: Histogram,
    /// Since when the database has been at work on one thing.
    store_busy: Mutex<Option<Instant>>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("guildmint"),
            epochs: Gauge::default(),
            pool: Gauge::default(),
            height: Gauge::default(),
            accepted: Counter::default(),
            submissions: Family::default(),
            faults: Family::default(),
            connected: Family::default(),
            round_trip: Family::default(),
            unsent: Counter::default(),
            unread: Counter::default(),
            refused: Counter::default(),
            requests: Family::default(),
            assets: Family::default(),
            liabilities: Family::default(),
            save_seconds: Histogram::new(exponential_buckets(0.000_5, 2.0, 14)),
            store_busy: Mutex::new(None),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let r = &mut self.registry;
        r.register(
            "committed_epochs",
            "Epochs committed since the federation was founded",
            self.epochs.clone(),
        );
        r.register(
            "pool_transactions",
            "Transactions that wait for an epoch",
            self.pool.clone(),
        );
        r.register(
            "agreed_height",
            "The agreed clock, in blocks",
            self.height.clone(),
        );
        r.register(
            "transactions_accepted",
            "Transactions accepted in committed epochs",
            self.accepted.clone(),
        );
        r.register(
            "submissions",
            "Submissions by clients, by what they were answered",
            self.submissions.clone(),
        );
        r.register("faults", "Faults of other guardians", self.faults.clone());
        r.register(
            "peer_connected",
            "Whether a guardian can be reached",
            self.connected.clone(),
        );
        r.register(
            "peer_round_trip_seconds",
            "Latest ping of a guardian",
            self.round_trip.clone(),
        );
        r.register(
            "network_unsent",
            "Messages that did not go out",
            self.unsent.clone(),
        );
        r.register(
            "network_unread",
            "Messages that were dropped unread",
            self.unread.clone(),
        );
        r.register(
            "network_refused",
            "Connections from other guardians that failed",
            self.refused.clone(),
        );
        r.register(
            "http_requests",
            "Requests of clients, by route",
            self.requests.clone(),
        );
        r.register(
            "assets_msat",
            "What the federation owns, by module",
            self.assets.clone(),
        );
        r.register(
            "liabilities_msat",
            "What the federation owes, by module",
            self.liabilities.clone(),
        );
        r.register(
            "store_save_seconds",
            "How long it takes until changes are durable",
            self.save_seconds.clone(),
        );
    }

    /// A client asked something.
    pub(crate) fn request(&self, route: &'static str) {
        self.requests.get_or_create(&OfRoute { route }).inc();
    }

    /// A client's transaction was answered.
    pub(crate) fn submission(&self, answer: &'static str) {
        self.submissions.get_or_create(&OfAnswer { answer }).inc();
    }

    /// A guardian misbehaved.
    pub(crate) fn fault(&self, peer: PeerId) {
        self.faults
            .get_or_create(&OfGuardian { guardian: peer.0 })
            .inc();
    }

    /// Changes are about to be saved: those of an epoch name the transactions that it accepted.
    pub(crate) fn will_save(&self, changes: &Changes) {
        let prefix = Key::table::<Accepted>(Scope::engine(Space::Agreed));
        let first = Key(prefix.to_vec());
        let accepted = changes.range(first..);
        let accepted = accepted.take_while(|(key, _)| key.0.starts_with(&prefix));
        self.accepted.inc_by(accepted.count() as u64);
    }

    /// Changes are durable.
    pub(crate) fn saved(&self, took: Duration) {
        self.save_seconds.observe(took.as_secs_f64());
    }

    /// The database begins to work on something.
    pub(crate) fn store_begins(&self) {
        *self.busy() = Some(Instant::now());
    }

    /// It is done with it.
    pub(crate) fn store_ended(&self) {
        *self.busy() = None;
    }

    /// How long the database has been at work on one thing.
    pub(crate) fn store_busy_for(&self) -> Duration {
        self.busy().map_or(Duration::ZERO, |since| since.elapsed())
    }

    fn busy(&self) -> MutexGuard<'_, Option<Instant>> {
        // The value is one assignment, whoever panicked.
        self.store_busy
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// All of it as text, after asking around.
    pub(crate) fn text(
        &self,
        status: Option<&StatusAnswer>,
        audit: Option<&AuditAnswer>,
        network: &Network,
    ) -> String {
        let gauge = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        if let Some(status) = status {
            let epochs = status.committed.map_or(0, |epoch| epoch.next().0);
            self.epochs.set(gauge(epochs));
            self.pool.set(gauge(status.pool as u64));
            self.height.set(status.height.into());
        }
        for (module, audit) in audit.into_iter().flat_map(|audit| &audit.modules) {
            let label = OfModule {
                module: module.clone(),
            };
            self.assets
                .get_or_create(&label)
                .set(gauge(audit.assets_msat));
            self.liabilities
                .get_or_create(&label)
                .set(gauge(audit.liabilities_msat));
        }
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
        }
        let counters = network.counters();
        self.unsent
            .inner()
            .store(counters.unsent, Ordering::Relaxed);
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

#[cfg(test)]
mod tests {
    use guildmint_core::{Row as _, TxId};

    use super::*;

    #[test]
    fn accepted_transactions_are_counted_among_all_changes() {
        let metrics = Metrics::default();
        let agreed = Scope::engine(Space::Agreed);
        let accepted = |byte| (Accepted(TxId([byte; 32])).key(agreed), Some(vec![]));
        let other = (Key(b"zz".to_vec()), None);
        metrics.will_save(&[accepted(1), other, accepted(255)].into());
        assert_eq!(metrics.accepted.get(), 2);
    }
}
