//! Paths, and what they mean to the guardian: translation only.

use guildmint_core::{
    api::{Problem, Revise, TransactionStatus},
    limits::MAX_TRANSACTION_BYTES,
    module::Query,
    Transaction, TxId, Wire as _,
};
use guildmint_daemon::{
    body, health::alive, json, pages::add_assets, parameters, problem, refusal, wait, Access,
    Caller, Gate, OpenToBrowsers, ProblemBodies, Routes, Table, TurnSlot, MAX_BODY_BYTES,
    OPEN_METRICS,
};
use tide::{Request, Response, Server, StatusCode};

use crate::{
    events::events,
    health::{self, ready},
    openapi, pages,
    rejection::rejection,
    setup::add_farewell,
    watch, Backend,
};

const TRANSACTIONS: &str = "/v1/transactions";

/// Where the operator sees and says what is to change.
pub(crate) const REVISIONS: &str = "/revisions";

/// What methods a path takes.
pub(crate) fn allowed(path: &str) -> &'static str {
    match path {
        TRANSACTIONS => "POST, OPTIONS",
        "/logout" => "POST",
        REVISIONS => "GET, HEAD, POST",
        "/login" => "GET, HEAD, POST",
        _ => "GET, HEAD, OPTIONS",
    }
}

/// What anybody may ask.
pub(crate) fn public<B: Backend>(backend: B) -> (Server<B>, Routes) {
    let mut server = tide::with_state(backend);
    server.with(OpenToBrowsers).with(ProblemBodies(allowed));
    add_assets(&mut server);
    let mut table = Table::new(server);
    table.get("/", |request: Request<B>| async move {
        Ok(pages::public::page(&*request.state().overview().await))
    });
    table.get("/livez", alive);
    table.get("/readyz", ready::<B>);
    table.get("/v1/openapi.json", |request: Request<B>| async move {
        let questions = request.state().questions();
        Ok(json(StatusCode::Ok, &openapi::document(&questions)))
    });
    table.post(TRANSACTIONS, |request| async {
        let answer = submit::<B>(request).await;
        Ok(answer.unwrap_or_else(refusal))
    });
    table.get("/v1/transactions/:txid", |request| async {
        let answer = transaction::<B>(request).await;
        Ok(answer.unwrap_or_else(refusal))
    });
    table.get("/v1/config", |request: Request<B>| async move {
        Ok(json(StatusCode::Ok, &request.state().config().await))
    });
    table.get("/v1/status", |request: Request<B>| async move {
        Ok(json(StatusCode::Ok, &request.state().status().await))
    });
    table.get("/v1/audit", |request: Request<B>| async move {
        let answer = request.state().audit().await;
        Ok(answer.map_or_else(refusal, |audit| json(StatusCode::Ok, &audit)))
    });
    table.get("/v1/announcements", |request: Request<B>| async move {
        let answer = request.state().announcements().await;
        Ok(answer.map_or_else(refusal, |places| json(StatusCode::Ok, &places)))
    });
    table.get("/v1/revisions", |request| async {
        let answer = revisions::<B>(request).await;
        Ok(answer.unwrap_or_else(refusal))
    });
    table.get("/v1/events", |request| async {
        let answer = events::<B>(request).await;
        Ok(answer.unwrap_or_else(refusal))
    });
    table.get("/v1/:module/*path", |request| async {
        let answer = query::<B>(request).await;
        Ok(answer.unwrap_or_else(refusal))
    });
    (table.server, table.routes)
}

/// What only the operator may ask.
pub(crate) fn admin<B: Backend>(backend: B, access: Access) -> Server<B> {
    let mut server = tide::with_state(backend);
    server.with(ProblemBodies(allowed));
    Gate::new(access).guard(&mut server);
    health::add(&mut server);
    server.at("/").get(|request: Request<B>| async move {
        let can_log_out = request.ext::<Caller>() == Some(&Caller::Browser);
        let overview = request.state().overview().await;
        Ok(pages::dashboard::page(&overview, can_log_out))
    });
    server.at("/status").get(|request: Request<B>| async move {
        Ok(json(StatusCode::Ok, &*request.state().overview().await))
    });
    server.at(REVISIONS).get(|request: Request<B>| async move {
        let report = request.state().revise(Revise::Show).await;
        Ok(report.map_or_else(refusal, |report| json(StatusCode::Ok, &report)))
    });
    server.at(REVISIONS).post(|request| async {
        let answer = revise::<B>(request).await;
        Ok(answer.unwrap_or_else(refusal))
    });
    server.at("/metrics").get(|request: Request<B>| async move {
        let mut response = Response::from(request.state().metrics().await);
        response.insert_header("content-type", OPEN_METRICS);
        Ok(response)
    });
    add_farewell(&mut server);
    server
}

async fn submit<B: Backend>(mut request: Request<B>) -> Result<Response, Problem> {
    let bytes = match request.content_type().as_ref().map(|mime| mime.essence()) {
        Some("application/json") => {
            let body = body(&mut request, MAX_BODY_BYTES).await?;
            let transaction: Transaction =
                serde_json::from_slice(&body).map_err(problem::malformed)?;
            transaction.encode()
        }
        None | Some("application/octet-stream") => {
            body(&mut request, MAX_TRANSACTION_BYTES).await?
        }
        Some(_) => {
            return Err(problem::unsupported_type(
                "application/octet-stream (canonical bytes) or application/json",
            ))
        }
    };
    if bytes.len() > MAX_TRANSACTION_BYTES {
        return Err(problem::too_large(MAX_TRANSACTION_BYTES));
    }
    Transaction::decode(&bytes).map_err(problem::malformed)?;
    let answer = request.state().submit(bytes).await?;
    let status = match answer.status {
        TransactionStatus::Accepted { .. } => StatusCode::Ok,
        TransactionStatus::Rejected(reject) => return Err(rejection(reject)),
        TransactionStatus::Pending | TransactionStatus::Unknown => StatusCode::Accepted,
    };
    Ok(json(status, &answer))
}

async fn transaction<B: Backend>(request: Request<B>) -> Result<Response, Problem> {
    let txid = request.param("txid").map_err(problem::malformed)?;
    let txid: TxId = txid.parse().map_err(problem::malformed)?;
    let wait = wait(&request)?;
    if let (false, Some(turn)) = (wait.is_zero(), request.ext::<TurnSlot>()) {
        turn.release();
    }
    let answer = request.state().transaction(txid, wait).await?;
    Ok(json(StatusCode::Ok, &answer))
}

async fn revisions<B: Backend>(request: Request<B>) -> Result<Response, Problem> {
    let after = match parameters(request.url())?.get("after") {
        None => 0,
        Some(number) => number
            .parse()
            .map_err(|_| problem::malformed("after is the number of a revision"))?,
    };
    let answer = request.state().revisions(after).await?;
    Ok(json(StatusCode::Ok, &answer))
}

async fn revise<B: Backend>(mut request: Request<B>) -> Result<Response, Problem> {
    let body = body(&mut request, MAX_BODY_BYTES).await?;
    let said: Revise = serde_json::from_slice(&body).map_err(problem::malformed)?;
    let report = request.state().revise(said).await?;
    Ok(json(StatusCode::Ok, &report))
}

async fn query<B: Backend>(request: Request<B>) -> Result<Response, Problem> {
    let kind = request
        .param("module")
        .map_err(problem::malformed)?
        .to_owned();
    let query = Query {
        path: request
            .param("path")
            .map_err(problem::malformed)?
            .to_owned(),
        parameters: parameters(request.url())?,
    };
    let answer = watch::answer(&request, kind, query).await?;
    Ok(json(StatusCode::Ok, &answer))
}
