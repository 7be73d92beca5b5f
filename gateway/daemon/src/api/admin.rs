//! What only the operator may ask.

mod ecash;
mod federations;
mod node;

use guildmint_core::api::Problem;
use guildmint_daemon::{
    health::{alive, readiness},
    json, parameters, problem, refusal, Access, Caller, Gate, ProblemBodies, OPEN_METRICS,
};
use guildmint_gateway::{Command, Entry, PaymentView};
use serde::Serialize;
use serde_json::{json, Value as Json};
use tide::{Request, Response, Server, StatusCode};

use super::problem::{no_answer, no_loop};
use crate::{
    handle::Handle,
    ledger::{page, MAX_PAGE},
    pages,
    recovery::Recovery,
};

const CHANNELS: &str = "/channels";
const FEDERATIONS: &str = "/federations";
const PAYMENTS: &str = "/payments";

/// What can be restored, for people.
const ABOUT_BACKUPS: [&str; 5] = [
    "The words (`guildmint-gatewayd seed show`) bring back the gateway's keys, the money of its node on the chain, and its e-cash: \
     keep them on paper.",
    "The recovery file names channels and peers. With it and the words a new node under the old key has its peers close the channels, \
     and the money comes to the wallet. It is written at each change of channels: keep the latest copy elsewhere.",
    "The database cannot be restored from a copy: a channel whose state is old is lost to the peer. It refuses old copies, and is never \
     to be put back. What may be replicated is the whole database at once, synchronously, such as by PostgreSQL.",
    "Payments under way are lost with the database: what was paid to Lightning and not claimed, and contracts that were funded and not opened.",
    "Put back onto another machine: stop the gateway, move the whole data directory with `gateway.saves`, and never start the old one again.",
];

fn allowed(path: &str) -> &'static str {
    match path {
        "/login" | CHANNELS | FEDERATIONS | PAYMENTS => "GET, HEAD, POST",
        "/" | "/status" | "/balances" | "/warnings" | "/backup" | "/metrics" => "GET, HEAD",
        _ => "POST",
    }
}

pub(crate) fn server(handle: Handle, access: Access) -> Server<Handle> {
    let mut server = tide::with_state(handle);
    server.with(ProblemBodies(allowed));
    Gate::new(access).guard(&mut server);
    looking(&mut server);
    doing(&mut server);
    ruling(&mut server);
    server
}

fn looking(server: &mut Server<Handle>) {
    server.at("/livez").get(alive);
    server
        .at("/readyz")
        .get(|request: Request<Handle>| async move { readiness(request.state().checks().await) });
    server.at("/").get(|request: Request<Handle>| async move {
        let can_log_out = request.ext::<Caller>() == Some(&Caller::Browser);
        let overview = request.state().overview().await;
        Ok(pages::page(&overview, can_log_out))
    });
    server
        .at("/status")
        .get(|request: Request<Handle>| async move {
            Ok(json(StatusCode::Ok, &request.state().overview().await))
        });
    server
        .at("/metrics")
        .get(|request: Request<Handle>| async move {
            let handle = request.state();
            let overview = handle.overview().await;
            let mut response = Response::from(handle.0.metrics.text(&overview));
            response.insert_header("content-type", OPEN_METRICS);
            Ok(response)
        });
    server
        .at("/balances")
        .get(|request| answer(balances(request)));
    server
        .at("/warnings")
        .get(|request: Request<Handle>| async move {
            let warnings = request.state().0.warnings.all();
            Ok(json(StatusCode::Ok, &json!({ "warnings": warnings })))
        });
    server.at(PAYMENTS).get(|request| answer(payments(request)));
    server.at("/backup").get(|request| answer(backup(request)));
    server
        .at(CHANNELS)
        .get(|request: Request<Handle>| async move {
            let node = request.state().blocking(|inner| inner.node.state()).await;
            let channels = node.channels;
            Ok(json(StatusCode::Ok, &json!({ "channels": channels })))
        });
    server
        .at(FEDERATIONS)
        .get(|request| answer(federations::list(request)));
    server
        .at("/ecash/operations")
        .get(|request| answer(ecash::operations(request)));
}

fn doing(server: &mut Server<Handle>) {
    server
        .at("/address")
        .post(|request| answer(node::address(request)));
    server
        .at("/withdrawals")
        .post(|request| answer(node::withdraw(request)));
    server
        .at("/peers")
        .post(|request| answer(node::connect(request)));
    server
        .at(CHANNELS)
        .post(|request| answer(node::open_channel(request)));
    server
        .at("/channels/close")
        .post(|request| answer(node::close_channel(request)));
    server
        .at(PAYMENTS)
        .post(|request| answer(node::pay(request)));
    server
        .at("/invoices")
        .post(|request| answer(node::invoice(request)));
    server
        .at("/offers")
        .post(|request| answer(node::offer(request)));
    server
        .at(FEDERATIONS)
        .post(|request| answer(federations::join(request)));
    server
        .at("/federations/leave")
        .post(|request| answer(federations::leave(request)));
    server
        .at("/federations/fees")
        .post(|request| answer(federations::set_fees(request)));
    server
        .at("/federations/limits")
        .post(|request| answer(federations::set_limits(request)));
    server
        .at("/ecash/deposit")
        .post(|request| answer(ecash::deposit(request)));
    server
        .at("/ecash/withdraw")
        .post(|request| answer(ecash::withdraw(request)));
    server
        .at("/ecash/send")
        .post(|request| answer(ecash::send(request)));
    server
        .at("/ecash/receive")
        .post(|request| answer(ecash::receive(request)));
}

/// The gateway itself.
fn ruling(server: &mut Server<Handle>) {
    server.at("/resume").post(|request: Request<Handle>| {
        answer(async move {
            let resumed = request.state().command(Command::Resume).await;
            resumed.map_err(no_answer)?;
            Ok(json!({}))
        })
    });
    server.at("/stop").post(|request: Request<Handle>| {
        answer(async move {
            // A second wish changes nothing.
            let _ = request.state().0.stop.try_send(());
            Ok(json!({}))
        })
    });
}

async fn answer(asked: impl std::future::Future<Output = Result<Json, Problem>>) -> tide::Result {
    let answer = asked.await;
    Ok(answer.map_or_else(refusal, |answer| json(StatusCode::Ok, &answer)))
}

async fn balances(request: Request<Handle>) -> Result<Json, Problem> {
    let overview = request.state().overview().await;
    let ecash = overview.federations.iter().map(|federation| {
        json!({
            "federation": federation.id,
            "name": federation.name,
            "ecash_msat": federation.ecash_msat,
            "pending_msat": federation.pending_msat,
        })
    });
    Ok(json!({
        "chain": {
            "confirmed_msat": overview.node.balances.wallet_msat,
            "unconfirmed_msat": overview.node.balances.unconfirmed_msat,
            "reserved_msat": overview.node.balances.reserved_msat,
            "closing_msat": overview.node.balances.closing_msat,
        },
        "channels": {
            "ours_msat": overview.node.balances.channels_msat,
            "outbound_msat": overview.outbound_msat(),
            "inbound_msat": overview.inbound_msat(),
        },
        "ecash": ecash.collect::<Vec<Json>>(),
    }))
}

/// A payment under way.
#[derive(Serialize)]
struct Open {
    hash: String,
    kind: guildmint_gateway::Kind,
    federation: guildmint_core::FederationId,
    contract: Option<guildmint_ln::ContractId>,
    amount_msat: u64,
    state: &'static str,
    reason: Option<String>,
}

impl From<PaymentView> for Open {
    fn from(view: PaymentView) -> Self {
        Self {
            hash: view.hash.to_string(),
            kind: view.kind,
            federation: view.federation,
            contract: view.contract,
            amount_msat: view.amount.msat(),
            state: view.state,
            reason: view.reason,
        }
    }
}

/// Payments that have ended, `before` a number or the latest; those under way, and what the last day came to.
async fn payments(request: Request<Handle>) -> Result<Json, Problem> {
    let handle = request.state();
    let parameters = parameters(request.url())?;
    let number = |name: &str| match parameters.get(name) {
        None => Ok(None),
        Some(text) => text
            .parse::<u64>()
            .map(Some)
            .map_err(|_| problem::malformed(format!("{name} is a number"))),
    };
    let limit = number("limit")?.unwrap_or(MAX_PAGE).min(MAX_PAGE);
    let totals = handle.look(|gateway| gateway.totals()).await;
    let totals = totals.ok_or_else(no_loop)?;
    let end = number("before")?.unwrap_or(u64::MAX).min(totals.payments);
    let start = end.saturating_sub(limit);
    let entries = handle
        .blocking(move |inner| page(&inner.store, start, end))
        .await;
    let mut entries: Vec<Entry> = entries.map_err(|_| problem::internal())?;
    entries.reverse();
    let open: Vec<Open> = handle.open().await.into_iter().map(Open::from).collect();
    let day = handle.0.ledger.day(crate::shell::now());
    Ok(json!({
        "ended": entries,
        // Ask on with this.
        "before": (start > 0).then_some(start),
        "open": open,
        "day": day,
        "day_earned_msat": day.earned_msat(),
        "totals": totals,
    }))
}

async fn backup(request: Request<Handle>) -> Result<Json, Problem> {
    let contents = request
        .state()
        .blocking(|inner| Recovery::contents(&*inner.node, &inner.node.state()))
        .await;
    Ok(json!({
        "about": ABOUT_BACKUPS,
        "recovery_file": request.state().0.recovery.path(),
        "recovery": contents,
    }))
}
