//! Paths, and what they mean to the guardian: translation only.

use std::time::Duration;

use guildmint_core::{
    api::{Problem, TransactionStatus},
    limits::{MAX_TRANSACTION_BYTES, MAX_WAIT_SECONDS},
    module::Query,
    Transaction, TxId, Wire as _,
};
use serde::Serialize;
use tide::{
    http::{
        headers::{
            ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
            ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
            ALLOW, RETRY_AFTER,
        },
        Method,
    },
    utils::async_trait,
    Body, Endpoint, Middleware, Next, Request, Response, Server, StatusCode,
};

use crate::{
    admin::{Caller, Gate},
    body::body,
    connection::TurnSlot,
    events::events,
    form::parameters,
    health, pages, problem, watch, Access, Backend, MAX_BODY_BYTES,
};

const TRANSACTIONS: &str = "/v1/transactions";

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A server under construction, which remembers its routes.
struct Table<B> {
    server: Server<B>,
    routes: Routes,
}

/// Methods and paths, as OpenAPI writes them.
pub(crate) type Routes = Vec<(&'static str, String)>;

impl<B: Backend> Table<B> {
    fn get(&mut self, path: &str, endpoint: impl Endpoint<B>) {
        self.server.at(path).get(endpoint);
        self.routes.push(("get", templated(path)));
    }

    fn post(&mut self, path: &str, endpoint: impl Endpoint<B>) {
        self.server.at(path).post(endpoint);
        self.routes.push(("post", templated(path)));
    }
}

/// `/a/:b/*c` as `/a/{b}/{c}`.
fn templated(path: &str) -> String {
    let part = |part: &str| match part.strip_prefix([':', '*']) {
        Some(name) => format!("{{{name}}}"),
        None => part.to_owned(),
    };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// What anybody may ask.
pub(crate) fn public<B: Backend>(backend: B) -> (Server<B>, Routes) {
    let mut server = tide::with_state(backend);
    server.with(OpenToBrowsers).with(ProblemBodies);
    pages::add_assets(&mut server);
    let mut table = Table {
        server,
        routes: Routes::new(),
    };
    table.get("/", |request: Request<B>| async move {
        Ok(pages::public::page(&*request.state().overview().await))
    });
    table.get("/livez", health::alive);
    table.get("/readyz", health::ready::<B>);
    table.get("/v1/openapi.json", |_| async { Ok(document()) });
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

/// The document that says all this to programs.
fn document() -> Response {
    let mut response = Response::new(StatusCode::Ok);
    response.set_body(include_str!("openapi.json"));
    response.insert_header("content-type", "application/json");
    response
}

/// What only the operator may ask.
pub(crate) fn admin<B: Backend>(backend: B, access: Access) -> Server<B> {
    let mut server = tide::with_state(backend);
    server.with(ProblemBodies);
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
    server.at("/metrics").get(|request: Request<B>| async move {
        let mut response = Response::from(request.state().metrics().await);
        response.insert_header("content-type", OPEN_METRICS);
        Ok(response)
    });
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
        Some(_) => return Err(problem::unsupported_type()),
    };
    if bytes.len() > MAX_TRANSACTION_BYTES {
        return Err(problem::too_large(MAX_TRANSACTION_BYTES));
    }
    Transaction::decode(&bytes).map_err(problem::malformed)?;
    let answer = request.state().submit(bytes).await?;
    let status = match answer.status {
        TransactionStatus::Accepted { .. } => StatusCode::Ok,
        TransactionStatus::Rejected(reject) => return Err(problem::rejection(reject)),
        TransactionStatus::Pending | TransactionStatus::Unknown => StatusCode::Accepted,
    };
    Ok(json(status, &answer))
}

async fn transaction<B: Backend>(request: Request<B>) -> Result<Response, Problem> {
    let txid = request.param("txid").map_err(problem::malformed)?;
    let txid: TxId = txid.parse().map_err(problem::malformed)?;
    let wait = match parameters(request.url())?.get("wait") {
        None => 0,
        Some(seconds) => seconds
            .parse()
            .map_err(|_| problem::malformed("wait is a number of seconds"))?,
    };
    let wait = Duration::from_secs(MAX_WAIT_SECONDS.min(wait));
    if let (false, Some(turn)) = (wait.is_zero(), request.ext::<TurnSlot>()) {
        turn.release();
    }
    let answer = request.state().transaction(txid, wait).await?;
    Ok(json(StatusCode::Ok, &answer))
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

pub(crate) fn json(status: StatusCode, answer: &impl Serialize) -> Response {
    match Body::from_json(answer) {
        Ok(body) => {
            let mut response = Response::new(status);
            response.set_body(body);
            response
        }
        Err(error) => {
            tracing::error!(%error, "an answer cannot be written as JSON");
            refusal(problem::internal())
        }
    }
}

pub(crate) fn refusal(problem: Problem) -> Response {
    problem::response(&problem).into()
}

/// Gives errors of the router and of tide the body that all errors have.
pub(crate) struct ProblemBodies;

#[async_trait]
impl<S: Clone + Send + Sync + 'static> Middleware<S> for ProblemBodies {
    async fn handle(&self, request: Request<S>, next: Next<'_, S>) -> tide::Result {
        let allowed = match request.url().path() {
            TRANSACTIONS => "POST, OPTIONS",
            "/logout" => "POST",
            "/login" => "GET, HEAD, POST",
            _ => "GET, HEAD, OPTIONS",
        };
        let response = next.run(request).await;
        let status = response.status();
        let is_error = status.is_client_error() || status.is_server_error();
        if !is_error || response.is_empty() == Some(false) {
            return Ok(response);
        }
        let mut response = refusal(match status {
            StatusCode::NotFound => problem::not_found(),
            StatusCode::MethodNotAllowed => problem::method_not_allowed(),
            _ => problem::internal(),
        });
        if status == StatusCode::MethodNotAllowed {
            response.insert_header(ALLOW, allowed);
        }
        Ok(response)
    }
}

/// Lets pages of any origin ask: nothing here depends on who asks, and there are no cookies.
struct OpenToBrowsers;

#[async_trait]
impl<B: Backend> Middleware<B> for OpenToBrowsers {
    async fn handle(&self, request: Request<B>, next: Next<'_, B>) -> tide::Result {
        let mut response = if request.method() == Method::Options {
            let mut response = Response::new(StatusCode::NoContent);
            response.insert_header(ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD, POST, OPTIONS");
            response.insert_header(ACCESS_CONTROL_ALLOW_HEADERS, "content-type");
            response.insert_header(ACCESS_CONTROL_MAX_AGE, "86400");
            response
        } else {
            next.run(request).await
        };
        response.insert_header(ACCESS_CONTROL_ALLOW_ORIGIN, "*");
        response.insert_header(ACCESS_CONTROL_EXPOSE_HEADERS, RETRY_AFTER.as_str());
        Ok(response)
    }
}
