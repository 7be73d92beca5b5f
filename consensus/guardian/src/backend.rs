//! What the API asks of the guardian: put to the loop, and answered by it.

use std::{collections::BTreeMap, convert::Infallible, pin::pin, sync::Arc, time::Duration};

use async_std::{
    channel::{Receiver, Sender},
    future::timeout,
};
use async_trait::async_trait;
use futures::{
    channel::oneshot,
    future::{select, Either},
};
use guildmint_api::{Backend, Check, EventHub, Overview};
use guildmint_core::{
    api::{
        AnnouncementsAnswer, AuditAnswer, ConfigAnswer, Problem, Revise, RevisionReport,
        RevisionsAnswer, StatusAnswer, TransactionAnswer, TransactionStatus,
    },
    module::Query,
    PeerId, Quorum, TxId,
};
use guildmint_engine::node::{Reply, Request};
use guildmint_net_p2p::Network;
use serde_json::Value as Json;

use crate::{metrics::Metrics, overview::Facts, shell::Input, world::Sight};

/// The loop answers a question about itself within this, or something is wrong with it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(3);

/// A database that works longer on one thing is not in order.
const STORE_PATIENCE: Duration = Duration::from_secs(5);

/// A handle on the guardian.
#[derive(Clone)]
pub(crate) struct Handle(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) inputs: Sender<Input>,
    /// Closed when the guardian is about to stop.
    pub(crate) stopping: Receiver<Infallible>,
    pub(crate) me: PeerId,
    pub(crate) quorum: Quorum,
    /// As the file of the federation has it.
    pub(crate) config: ConfigAnswer,
    /// Where clients reach this guardian.
    pub(crate) own_api: String,
    pub(crate) network: Network,
    pub(crate) metrics: Arc<Metrics>,
    /// How the outside world is seen, by module kind.
    pub(crate) sights: Vec<(&'static str, Arc<Sight>)>,
    pub(crate) facts: Facts,
    /// What modules say of the questions that they answer.
    pub(crate) questions: Vec<&'static str>,
    pub(crate) events: EventHub,
}

impl Handle {
    pub(crate) async fn ask(&self, request: Request) -> Result<Reply, Problem> {
        let (reply, answer) = oneshot::channel();
        let input = Input::Ask { request, reply };
        self.0.inputs.send(input).await.map_err(|_| stopped())?;
        match answer.await {
            Ok(Reply::Problem(problem)) => Err(problem),
            Ok(reply) => Ok(reply),
            Err(_) => Err(stopped()),
        }
    }

    pub(crate) async fn ask_status(&self) -> Result<StatusAnswer, String> {
        match timeout(PATIENCE, self.ask(Request::Status)).await {
            Ok(Ok(Reply::Status(status))) => Ok(status),
            Ok(Ok(_)) => Err("it gives wrong answers".into()),
            Ok(Err(problem)) => Err(problem.detail),
            Err(_) => Err(format!("it has not answered for {} s", PATIENCE.as_secs())),
        }
    }

    fn database(&self) -> Check {
        let busy = self.0.metrics.store_busy_for();
        check(
            "database",
            busy < STORE_PATIENCE,
            match busy {
                busy if busy < STORE_PATIENCE => "open".to_owned(),
                busy => format!("at work on one thing for {} s", busy.as_secs()),
            },
        )
    }

    fn peers(&self) -> Check {
        let peers = self.0.network.peers();
        let connected = peers.iter().filter(|peer| peer.connected).count();
        let need = self.0.quorum.threshold() - 1;
        let detail = format!("{connected} of {} connected, {need} needed", peers.len());
        check("network", connected >= need, detail)
    }

    pub(crate) fn checks(&self, status: &Result<StatusAnswer, String>) -> Vec<Check> {
        let mut checks = vec![self.database()];
        if let Ok(status) = status {
            checks.push(one_process(!status.runs_twice.contains(&self.0.me)));
        }
        checks.push(self.peers());
        for (kind, sight) in &self.0.sights {
            let (ok, detail) = sight.check();
            checks.push(check(kind, ok, detail));
            let alarm = sight.alarm();
            let detail = alarm.clone().unwrap_or_else(|| "credited".to_owned());
            checks.push(check("deposits", alarm.is_none(), detail));
        }
        let (ok, detail) = match status {
            Ok(status) => match (&status.halted, status.committed) {
                (Some(why), _) => (false, format!("stopped for good: {why}")),
                (None, Some(epoch)) => (true, format!("{epoch} committed")),
                (None, None) => (true, "no epoch yet".to_owned()),
            },
            Err(why) => (false, why.clone()),
        };
        checks.push(check("consensus", ok, detail));
        if let Ok(status) = status {
            let behind = status.not_ready.clone();
            let detail = behind.clone().unwrap_or_else(|| "yes".to_owned());
            checks.push(check("caught_up", behind.is_none(), detail));
        }
        checks
    }

    async fn wait(&self, txid: TxId, wait: Duration) -> Result<Reply, Problem> {
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let answer = pin!(self.ask(Request::Transaction { txid, wait_ms }));
        // Nothing is ever sent: it ends when the guardian is about to stop.
        let stopping = pin!(self.0.stopping.recv());
        match select(answer, stopping).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => self.ask(Request::Transaction { txid, wait_ms: 0 }).await,
        }
    }
}

#[async_trait]
impl Backend for Handle {
    async fn submit(&self, bytes: Vec<u8>) -> Result<TransactionAnswer, Problem> {
        self.0.metrics.request("submit");
        let reply = self.ask(Request::Submit(bytes)).await;
        self.0.metrics.submission(match &reply {
            Ok(Reply::Transaction(answer)) => match answer.status {
                TransactionStatus::Pending => "pending",
                TransactionStatus::Accepted { .. } => "accepted",
                TransactionStatus::Rejected(_) => "rejected",
                TransactionStatus::Unknown => "unknown",
            },
            _ => "problem",
        });
        transaction(reply?)
    }

    async fn transaction(&self, txid: TxId, wait: Duration) -> Result<TransactionAnswer, Problem> {
        self.0.metrics.request("transaction");
        transaction(self.wait(txid, wait).await?)
    }

    async fn audit(&self) -> Result<AuditAnswer, Problem> {
        self.0.metrics.request("audit");
        match self.ask(Request::Audit).await? {
            Reply::Audit(audit) => Ok(audit),
            _ => Err(mixed_up()),
        }
    }

    async fn status(&self) -> StatusAnswer {
        self.0.metrics.request("status");
        let status = self.ask_status().await;
        let not_ready = self.checks(&status).into_iter().find(|check| !check.ok);
        let not_ready = not_ready.map(|check| format!("{}: {}", check.name, check.detail));
        let unknown = |_| StatusAnswer {
            peer: self.0.me,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            committed: None,
            height: 0,
            pool: 0,
            not_ready: None,
            catching_up: None,
            runs_twice: Vec::new(),
            versions: BTreeMap::new(),
            revision: 0,
            halted: None,
        };
        StatusAnswer {
            not_ready,
            ..status.unwrap_or_else(unknown)
        }
    }

    async fn config(&self) -> ConfigAnswer {
        self.0.metrics.request("config");
        ConfigAnswer {
            apis: self.apis().await.urls,
            ..self.0.config.clone()
        }
    }

    async fn announcements(&self) -> Result<AnnouncementsAnswer, Problem> {
        self.0.metrics.request("announcements");
        match self.ask(Request::Announcements).await? {
            Reply::Announcements(announcements) => Ok(announcements),
            _ => Err(mixed_up()),
        }
    }

    fn questions(&self) -> Vec<&'static str> {
        self.0.questions.clone()
    }

    async fn revisions(&self, after: u32) -> Result<RevisionsAnswer, Problem> {
        self.0.metrics.request("revisions");
        match self.ask(Request::Revisions { after }).await? {
            Reply::Revisions(revisions) => Ok(revisions),
            _ => Err(mixed_up()),
        }
    }

    async fn revise(&self, said: Revise) -> Result<RevisionReport, Problem> {
        match self.ask(Request::Revise(said)).await? {
            Reply::Revise(report) => Ok(report),
            _ => Err(mixed_up()),
        }
    }

    async fn query(&self, kind: String, query: Query) -> Result<Json, Problem> {
        self.0.metrics.request("query");
        match self.ask(Request::Query { kind, query }).await? {
            Reply::Query(json) => Ok(json),
            _ => Err(mixed_up()),
        }
    }

    async fn ready(&self) -> Vec<Check> {
        let status = self.ask_status().await;
        self.checks(&status)
    }

    async fn overview(&self) -> Arc<Overview> {
        self.fresh_overview().await
    }

    fn events(&self) -> &EventHub {
        &self.0.events
    }

    async fn metrics(&self) -> String {
        let overview = self.fresh_overview().await;
        self.0.metrics.text(&overview, &self.0.network)
    }
}

fn one_process(ok: bool) -> Check {
    let detail = match ok {
        true => "no other is known of",
        false => "this guardian runs twice: another process has the same secrets; stop one of them",
    };
    check("one_process", ok, detail.to_owned())
}

fn check(name: &str, ok: bool, detail: String) -> Check {
    Check {
        name: name.to_owned(),
        ok,
        detail,
    }
}

fn transaction(reply: Reply) -> Result<TransactionAnswer, Problem> {
    match reply {
        Reply::Transaction(answer) => Ok(answer),
        _ => Err(mixed_up()),
    }
}

fn stopped() -> Problem {
    Problem::new(
        503,
        "stopping",
        "this guardian is stopping; ask another one, or this one later",
        true,
    )
}

fn mixed_up() -> Problem {
    Problem::new(
        500,
        "internal",
        "the guardian answered another question",
        true,
    )
}
