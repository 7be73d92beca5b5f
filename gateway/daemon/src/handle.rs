//! What requests are answered with: a handle of everything that runs. Clones speak to the same gateway.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use async_std::{
    channel::{Receiver, Sender},
    future::timeout,
    task,
};
use futures::{
    channel::oneshot,
    future::{select, BoxFuture, Either, Shared},
    FutureExt as _,
};
use guildmint_core::FederationId;
use guildmint_daemon::health::Check;
use guildmint_gateway::{
    node::{LightningNode, NodeState},
    Command, ContractKey, FederationView, Gateway, GatewayError, PaymentView, Reply, Totals,
};
use guildmint_gateway_store::GatewayStore;
use guildmint_ln::{InvoiceHash, PayRequest};

use crate::{
    federations::{Federations, NewsSender, Running},
    hands::Seen,
    ledger::Ledger,
    metrics::Metrics,
    overview::{check, federations_check, halt_check, node_check, FederationFacts, Overview},
    recovery::Recovery,
    shell::{now, Input},
    warnings::Warnings,
};

/// Payments for which wallets may wait. One more is refused, retryably: it goes on all the same if it has begun.
const MAX_PAYMENTS: usize = 4096;

/// How long the loop may take to show something.
const LOOK_PATIENCE: Duration = Duration::from_secs(5);

/// Payments that the operator's page shows.
const LATEST: usize = 20;

/// A handle. See [`Inner`].
#[derive(Clone)]
pub(crate) struct Handle(pub(crate) Arc<Inner>);

/// What everybody who answers needs.
pub(crate) struct Inner {
    pub(crate) inputs: Sender<Input>,
    pub(crate) node: Arc<dyn LightningNode>,
    pub(crate) store: GatewayStore,
    pub(crate) federations: Arc<dyn Federations>,
    pub(crate) running: Arc<Running>,
    pub(crate) news: NewsSender,
    pub(crate) warnings: Arc<Warnings>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) recovery: Arc<Recovery>,
    pub(crate) seen: Arc<Seen>,
    pub(crate) network: bitcoin::Network,
    pub(crate) api_url: Option<String>,
    /// `host:port` at which other nodes connect.
    pub(crate) lightning: Vec<String>,
    pub(crate) began: Instant,
    /// Closed when the gateway stops: whoever waits is told at once.
    pub(crate) stopping: Receiver<Infallible>,
    /// The operator's wish to stop.
    pub(crate) stop: Sender<()>,
    pub(crate) payments: Mutex<Payments>,
    /// Held by whoever joins a federation.
    pub(crate) joining: async_std::sync::Mutex<()>,
}

type Ending = Shared<BoxFuture<'static, Option<Result<Reply, GatewayError>>>>;

/// Payments that wallets wait for. ⚠ However often a wallet asks, the gateway has one ticket of it.
pub(crate) type Payments = BTreeMap<(ContractKey, InvoiceHash), Ending>;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// The gateway stops.
    Stopping,
    /// The gateway says why.
    Refused(GatewayError),
    /// Too many wait.
    Busy,
}

impl From<GatewayError> for NoAnswer {
    fn from(error: GatewayError) -> Self {
        Self::Refused(error)
    }
}

impl Handle {
    /// Has the gateway do something, and waits for what comes of it.
    pub(crate) async fn command(&self, command: Command) -> Result<Reply, NoAnswer> {
        let (reply, answer) = oneshot::channel();
        let input = Input::Command(command, reply);
        let sent = self.0.inputs.send(input).await;
        sent.map_err(|_| NoAnswer::Stopping)?;
        let answered = self.unless_stopping(answer).await;
        let answer = answered.and_then(Result::ok);
        Ok(answer.ok_or(NoAnswer::Stopping)??)
    }

    /// Waits for the end of a payment, but no longer than `wait`. None: it has not ended.
    pub(crate) async fn pay(
        &self,
        request: PayRequest,
        wait: Duration,
    ) -> Result<Option<Reply>, NoAnswer> {
        let ending = self.ending(request)?;
        match timeout(wait, self.unless_stopping(ending)).await {
            Ok(Some(Some(result))) => Ok(Some(result?)),
            Ok(Some(None)) => Err(NoAnswer::Stopping),
            // It goes on, and can be asked for after the next start.
            Ok(None) | Err(_) => Ok(None),
        }
    }

    fn ending(&self, request: PayRequest) -> Result<Ending, NoAnswer> {
        let contract = (request.federation, request.contract).into();
        let name = (contract, InvoiceHash::new(&request.invoice));
        let mut payments = self.payments();
        if let Some(ending) = payments.get(&name) {
            return Ok(ending.clone());
        }
        if payments.len() >= MAX_PAYMENTS {
            return Err(NoAnswer::Busy);
        }
        let (handle, began) = (self.clone(), Instant::now());
        let asked = async move {
            let answer = handle.command(Command::Pay(request)).await;
            handle.payments().remove(&name);
            let result = match answer {
                Ok(reply) => Ok(reply),
                Err(NoAnswer::Refused(error)) => Err(error),
                Err(NoAnswer::Stopping | NoAnswer::Busy) => return None,
            };
            let metrics = &handle.0.metrics;
            metrics.answered("pay", outcome(&result), began.elapsed());
            Some(result)
        };
        let ending = asked.boxed().shared();
        payments.insert(name, ending.clone());
        // It goes on when nobody waits any more.
        task::spawn(ending.clone());
        Ok(ending)
    }

    fn payments(&self) -> MutexGuard<'_, Payments> {
        self.0
            .payments
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// What the future comes to; none if the gateway stops first.
    pub(crate) async fn unless_stopping<T>(
        &self,
        future: impl std::future::Future<Output = T>,
    ) -> Option<T> {
        let stopping = std::pin::pin!(self.0.stopping.recv());
        match select(stopping, std::pin::pin!(future)).await {
            Either::Left(_) => None,
            Either::Right((value, _)) => Some(value),
        }
    }

    /// Looks at the gateway; none if its loop does not answer.
    pub(crate) async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Gateway) -> T + Send + 'static,
    ) -> Option<T> {
        let (seen, answer) = oneshot::channel();
        let input = Input::Look(Box::new(move |gateway| {
            // Whoever wanted to see it may be gone.
            let _ = seen.send(look(gateway));
        }));
        let asked = async {
            self.0.inputs.send(input).await.ok()?;
            answer.await.ok()
        };
        timeout(LOOK_PATIENCE, asked).await.ok().flatten()
    }

    /// What wallets need to be in order.
    pub(crate) async fn checks(&self) -> Vec<Check> {
        let seen = self
            .look(|gateway| (gateway.federations(), gateway.totals()))
            .await;
        checks_of(seen.as_ref(), &self.0.seen.state())
    }

    /// Payments under way.
    pub(crate) async fn open(&self) -> Vec<PaymentView> {
        let open = self.look(Gateway::open).await;
        open.unwrap_or_default()
    }

    /// All that the operator sees.
    pub(crate) async fn overview(&self) -> Overview {
        let inner = &self.0;
        let seen = self
            .look(|gateway| (gateway.federations(), gateway.totals()))
            .await;
        let node = self.blocking(|inner| inner.node.state()).await;
        let checks = checks_of(seen.as_ref(), &node);
        let (views, totals) = seen.unwrap_or_default();
        let mut federations = Vec::new();
        for view in views {
            federations.push(self.facts(view).await);
        }
        let key = node.node_id.filter(|_| !node.swap_only);
        let connect = key.map(|key| {
            let places = inner.lightning.iter();
            places.map(|place| format!("{key}@{place}")).collect()
        });
        Overview {
            version: env!("CARGO_PKG_VERSION"),
            network: inner.network.to_string(),
            uptime_s: inner.began.elapsed().as_secs(),
            ready: checks.iter().all(|check| check.ok),
            checks,
            api_url: inner.api_url.clone(),
            connect: connect.unwrap_or_default(),
            node,
            federations,
            earned_msat: i64::try_from(totals.earned_msat()).unwrap_or(i64::MIN),
            totals,
            day: inner.ledger.day(now()),
            latest: inner.ledger.latest(LATEST),
            open: self.open().await.len(),
            warnings: inner.warnings.all(),
        }
    }

    async fn facts(&self, view: FederationView) -> FederationFacts {
        let look = match self.0.running.get(view.federation) {
            Some(federation) => Some(federation.look().await),
            None => None,
        };
        FederationFacts::new(view, look)
    }

    /// One federation.
    pub(crate) async fn federation(&self, id: FederationId) -> Option<FederationFacts> {
        let views = self.look(|gateway| gateway.federations()).await?;
        let view = views.into_iter().find(|view| view.federation == id)?;
        Some(self.facts(view).await)
    }

    /// Does something that may wait for a disk or a peer, where waiting harms nobody.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> T + Send + 'static,
    ) -> T {
        let inner = Arc::clone(&self.0);
        task::spawn_blocking(move || work(&inner)).await
    }
}

/// What wallets need to be in order.
fn checks_of(seen: Option<&(Vec<FederationView>, Totals)>, node: &NodeState) -> Vec<Check> {
    let Some((federations, totals)) = seen else {
        return vec![check("loop", Err("it does not answer".to_owned()))];
    };
    vec![
        check("loop", Ok("it answers".to_owned())),
        node_check(node),
        federations_check(federations),
        halt_check(totals),
    ]
}

/// For metrics.
fn outcome(result: &Result<Reply, GatewayError>) -> &'static str {
    match result {
        Ok(Reply::Paid(_)) => "paid",
        Ok(Reply::GivenUp(_)) => "given_up",
        Ok(_) => "done",
        Err(_) => "refused",
    }
}
