//! What is counted and measured, in OpenMetrics text. No metric tells anything about a user.

use std::{sync::atomic::AtomicU64, time::Duration};

use guildmint_gateway::{Entry, Kind};
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

use crate::overview::Overview;

type Gauge64 = Gauge<f64, AtomicU64>;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfFederation {
    federation: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfPlace {
    place: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfKind {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfAnswer {
    request: &'static str,
    answer: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfCheck {
    check: String,
}

/// All metrics of a gateway.
pub(crate) struct Metrics {
    registry: Registry,
    balances: Family<OfPlace, Gauge>,
    ecash: Family<OfFederation, Gauge>,
    served: Family<OfFederation, Gauge>,
    channels: Gauge,
    usable: Gauge,
    inbound: Gauge,
    outbound: Gauge,
    peers: Gauge,
    height: Gauge,
    sync_age: Gauge64,
    checks: Family<OfCheck, Gauge>,
    ready: Gauge,
    halted: Gauge,
    uptime: Gauge,
    answers: Family<OfAnswer, Counter>,
    durations: Family<OfKind, Histogram>,
    ended: Family<OfKind, Counter>,
    income: Family<OfKind, Counter>,
    cost: Family<OfKind, Counter>,
    warnings: Counter,
}

/// From 5 ms to about 3 minutes.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.005, 2.0, 16))
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("guildmint_gateway"),
            balances: Family::default(),
            ecash: Family::default(),
            served: Family::default(),
            channels: Gauge::default(),
            usable: Gauge::default(),
            inbound: Gauge::default(),
            outbound: Gauge::default(),
            peers: Gauge::default(),
            height: Gauge::default(),
            sync_age: Gauge64::default(),
            checks: Family::default(),
            ready: Gauge::default(),
            halted: Gauge::default(),
            uptime: Gauge::default(),
            answers: Family::default(),
            durations: Family::new_with_constructor(seconds),
            ended: Family::default(),
            income: Family::default(),
            cost: Family::default(),
            warnings: Counter::default(),
        };
        metrics.register_state();
        metrics.register_work();
        metrics
    }
}

impl Metrics {
    fn register_state(&mut self) {
        let r = &mut self.registry;
        let help = "The node's money: in its wallet, reserved for closing anchor channels, not confirmed, in channels, of channels that are closing";
        r.register("balance_msat", help, self.balances.clone());
        let help = "E-cash that can be spent, by federation";
        r.register("ecash_msat", help, self.ecash.clone());
        let help = "Whether payments are begun in a federation";
        r.register("federation_ready", help, self.served.clone());
        let help = "Channels";
        r.register("channels", help, self.channels.clone());
        let help = "Channels that can be used now";
        r.register("channels_usable", help, self.usable.clone());
        let help = "What can be received through channels now";
        r.register("inbound_msat", help, self.inbound.clone());
        let help = "What can be sent through channels now";
        r.register("outbound_msat", help, self.outbound.clone());
        let help = "Lightning nodes that are connected";
        r.register("peers", help, self.peers.clone());
        let help = "The height up to which the node knows the chain";
        r.register("height", help, self.height.clone());
        let help =
            "Seconds since the node was at the chain's tip; -1 if it never was since the start";
        r.register("sync_age_seconds", help, self.sync_age.clone());
        let help = "Whether a check of /readyz is in order";
        r.register("check_ok", help, self.checks.clone());
        let help = "Whether wallets can be served";
        r.register("ready", help, self.ready.clone());
        let help = "Whether nothing new is begun until the operator resumes";
        r.register("halted", help, self.halted.clone());
        let help = "Seconds since the start";
        r.register("uptime_seconds", help, self.uptime.clone());
    }

    fn register_work(&mut self) {
        let r = &mut self.registry;
        let help = "Requests of wallets, by what they were answered";
        r.register("requests", help, self.answers.clone());
        let help = "From a request to its end";
        r.register("request_seconds", help, self.durations.clone());
        let help = "Payments that moved money, by kind";
        r.register("payments", help, self.ended.clone());
        let help = "What they brought";
        r.register("income_msat", help, self.income.clone());
        let help = "What they cost";
        r.register("cost_msat", help, self.cost.clone());
        let help = "Warnings";
        r.register("warnings", help, self.warnings.clone());
    }

    /// A request of a wallet has ended.
    pub(crate) fn answered(&self, request: &'static str, answer: &str, after: Duration) {
        let label = OfAnswer {
            request,
            answer: answer.to_owned(),
        };
        self.answers.get_or_create(&label).inc();
        let histogram = self.durations.get_or_create(&OfKind { kind: request });
        histogram.observe(after.as_secs_f64());
    }

    /// A payment has ended.
    pub(crate) fn ended(&self, entry: &Entry) {
        let kind = OfKind {
            kind: match entry.kind {
                Kind::Pay => "pay",
                Kind::Receive => "receive",
                Kind::Swap => "swap",
            },
        };
        self.ended.get_or_create(&kind).inc();
        let income = self.income.get_or_create(&kind);
        income.inc_by(entry.income.msat());
        self.cost.get_or_create(&kind).inc_by(entry.cost.msat());
    }

    /// The operator was warned.
    pub(crate) fn warned(&self) {
        self.warnings.inc();
    }

    /// All of it as text, with the gateway as it is now.
    pub(crate) fn text(&self, overview: &Overview) -> String {
        self.set(overview);
        let mut text = String::new();
        // It fails if writing into a text does.
        let _ = text::encode(&mut text, &self.registry);
        text
    }

    fn set(&self, overview: &Overview) {
        let gauge = |msat: u64| i64::try_from(msat).unwrap_or(i64::MAX);
        let node = &overview.node;
        for (place, msat) in [
            ("wallet", node.balances.wallet_msat),
            ("reserved", node.balances.reserved_msat),
            ("unconfirmed", node.balances.unconfirmed_msat),
            ("channels", node.balances.channels_msat),
            ("closing", node.balances.closing_msat),
        ] {
            self.balances
                .get_or_create(&OfPlace { place })
                .set(gauge(msat));
        }
        let channels = &node.channels;
        self.channels.set(channels.len() as i64);
        let usable = channels.iter().filter(|channel| channel.usable).count();
        self.usable.set(usable as i64);
        self.inbound.set(gauge(overview.inbound_msat()));
        self.outbound.set(gauge(overview.outbound_msat()));
        self.peers.set(node.peers.into());
        self.height.set(node.height.into());
        self.sync_age
            .set(overview.sync_age_s().map_or(-1.0, |age| age as f64));
        for federation in &overview.federations {
            let label = OfFederation {
                federation: federation.id.to_string(),
            };
            let ecash = self.ecash.get_or_create(&label);
            ecash.set(gauge(federation.ecash_msat));
            let served = self.served.get_or_create(&label);
            served.set(federation.trouble.is_none().into());
        }
        for check in &overview.checks {
            let label = OfCheck {
                check: check.name.clone(),
            };
            self.checks.get_or_create(&label).set(check.ok.into());
        }
        self.ready.set(overview.ready.into());
        self.halted.set(overview.totals.halted.into());
        self.uptime.set(gauge(overview.uptime_s));
    }
}
