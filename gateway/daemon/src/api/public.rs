//! What wallets may ask (SPEC LN-6).

use std::time::{Duration, Instant};

use async_std::future::timeout;
use guildmint_core::api::Problem;
use guildmint_daemon::{
    health::{alive, readiness},
    json, refusal, wait, OpenToBrowsers, ProblemBodies, Routes, Table, TurnSlot,
};
use guildmint_gateway::{Command, Reply};
use guildmint_ln::{
    FetchAnswer, FetchRequest, GatewayInfo, InvoiceAnswer, InvoiceRequest, PayRequest,
    ServedFederation,
};
use serde_json::{json, Value as Json};
use tide::{Request, Response, Server, StatusCode};

use super::{
    body::body,
    problem::{no_answer, no_loop},
};
use crate::handle::{Handle, NoAnswer};

const INFO: &str = "/v1/gateway";
const PAY: &str = "/v1/pay";
const INVOICE: &str = "/v1/invoice";
const FETCH: &str = "/v1/fetch";

/// How long a gateway may take to make an invoice, or to fetch one. The node gives up before.
const PATIENCE: Duration = Duration::from_secs(60);

/// The document that tells programs what they may ask.
const OPENAPI: &str = include_str!("openapi.json");

fn allowed(path: &str) -> &'static str {
    match path {
        PAY | INVOICE | FETCH => "POST, OPTIONS",
        _ => "GET, HEAD, OPTIONS",
    }
}

pub(crate) fn server(handle: Handle) -> (Server<Handle>, Routes) {
    let mut server = tide::with_state(handle);
    server.with(OpenToBrowsers).with(ProblemBodies(allowed));
    let mut table = Table::new(server);
    table.get("/livez", alive);
    table.get("/readyz", |request: Request<Handle>| async move {
        readiness(request.state().checks().await)
    });
    table.get("/v1/openapi.json", |_| async {
        let document: Json = serde_json::from_str(OPENAPI).unwrap_or_default();
        Ok(json(StatusCode::Ok, &document))
    });
    table.get(INFO, |request| answer(info(request)));
    table.post(PAY, |request| answer(pay(request)));
    table.post(INVOICE, |request| answer(invoice(request)));
    table.post(FETCH, |request| answer(fetch(request)));
    (table.server, table.routes)
}

async fn answer(
    asked: impl std::future::Future<Output = Result<Response, Problem>>,
) -> tide::Result {
    Ok(asked.await.unwrap_or_else(refusal))
}

/// Waiting takes no turn from others.
fn release(request: &Request<Handle>) {
    if let Some(turn) = request.ext::<TurnSlot>() {
        turn.release();
    }
}

async fn info(request: Request<Handle>) -> Result<Response, Problem> {
    let handle = request.state();
    let seen = handle
        .look(|gateway| (gateway.federations(), gateway.totals().halted))
        .await;
    let (views, halted) = seen.ok_or_else(no_loop)?;
    let state = handle.0.seen.state();
    let node_key = state
        .node_id
        .and_then(|id| bitcoin::secp256k1::PublicKey::from_slice(&id.0).ok());
    let federations: Vec<ServedFederation> = views
        .into_iter()
        .map(|view| ServedFederation {
            federation: view.federation,
            key: view.key,
            ready: view.trouble.is_none(),
            trouble: view.trouble,
        })
        .collect();
    let answer = GatewayInfo {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        network: handle.0.network.to_string(),
        node_key,
        swap_only: state.swap_only,
        ready: !halted && federations.iter().any(|federation| federation.ready),
        federations,
    };
    Ok(json(StatusCode::Ok, &answer))
}

async fn pay(mut request: Request<Handle>) -> Result<Response, Problem> {
    let asked: PayRequest = body(&mut request).await?;
    let wait = wait(&request)?;
    if !wait.is_zero() {
        release(&request);
    }
    let reply = request.state().pay(asked, wait).await.map_err(no_answer)?;
    match reply.as_ref().map(Reply::to_wallet) {
        Some(Some(reply)) => Ok(json(StatusCode::Ok, &reply)),
        Some(None) => Err(guildmint_daemon::problem::internal()),
        None => Ok(json(StatusCode::Accepted, &json!({}))),
    }
}

/// Has the gateway do something that does not take long, and counts how long it took.
async fn done(
    request: &Request<Handle>,
    what: &'static str,
    command: Command,
) -> Result<Reply, Problem> {
    let (handle, began) = (request.state(), Instant::now());
    release(request);
    let result = timeout(PATIENCE, handle.command(command)).await;
    let answer = match &result {
        Ok(Ok(_)) => "done",
        Ok(Err(_)) => "refused",
        Err(_) => "late",
    };
    handle.0.metrics.answered(what, answer, began.elapsed());
    result
        .map_err(|_| no_loop())?
        .map_err(|no: NoAnswer| no_answer(no))
}

async fn invoice(mut request: Request<Handle>) -> Result<Response, Problem> {
    let asked: InvoiceRequest = body(&mut request).await?;
    match done(&request, "invoice", Command::Invoice(asked)).await? {
        Reply::Invoice(invoice) => Ok(json(StatusCode::Ok, &InvoiceAnswer { invoice })),
        _ => Err(guildmint_daemon::problem::internal()),
    }
}

async fn fetch(mut request: Request<Handle>) -> Result<Response, Problem> {
    let asked: FetchRequest = body(&mut request).await?;
    match done(&request, "fetch", Command::Fetch(asked)).await? {
        Reply::Fetched(fetched) => Ok(json(StatusCode::Ok, &FetchAnswer::from(fetched))),
        _ => Err(guildmint_daemon::problem::internal()),
    }
}
