//! What all paths have in common.

use std::time::Duration;

use guildmint_core::{api::Problem, limits::MAX_WAIT_SECONDS};
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

use crate::{form::parameters, problem};

/// The type of metrics.
pub const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A server under construction, which remembers its routes.
pub struct Table<S> {
    /// The server.
    pub server: Server<S>,
    /// What can be asked of it.
    pub routes: Routes,
}

/// Methods and paths, as OpenAPI writes them.
pub type Routes = Vec<(&'static str, String)>;

impl<S: Clone + Send + Sync + 'static> Table<S> {
    /// Begins with a server.
    #[must_use]
    pub fn new(server: Server<S>) -> Self {
        let routes = Routes::new();
        Self { server, routes }
    }

    /// Answers a question.
    pub fn get(&mut self, path: &str, endpoint: impl Endpoint<S>) {
        self.server.at(path).get(endpoint);
        self.routes.push(("get", templated(path)));
    }

    /// Takes an order.
    pub fn post(&mut self, path: &str, endpoint: impl Endpoint<S>) {
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

/// How long a client wants to wait for an answer.
///
/// # Errors
/// If what it says is no number of seconds. More than [`MAX_WAIT_SECONDS`] counts as that.
pub fn wait<S>(request: &Request<S>) -> Result<Duration, Problem> {
    let wait = match parameters(request.url())?.get("wait") {
        None => 0,
        Some(seconds) => seconds
            .parse()
            .map_err(|_| problem::malformed("wait is a number of seconds"))?,
    };
    Ok(Duration::from_secs(MAX_WAIT_SECONDS.min(wait)))
}

/// An answer as JSON.
pub fn json(status: StatusCode, answer: &impl Serialize) -> Response {
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

/// An answer that tells of a problem.
#[must_use]
pub fn refusal(problem: Problem) -> Response {
    problem::response(&problem).into()
}

/// Gives errors of the router and of tide the body that all errors have.
pub struct ProblemBodies(
    /// What methods a path takes, for the header `Allow`.
    pub fn(&str) -> &'static str,
);

#[async_trait]
impl<S: Clone + Send + Sync + 'static> Middleware<S> for ProblemBodies {
    async fn handle(&self, request: Request<S>, next: Next<'_, S>) -> tide::Result {
        let allowed = (self.0)(request.url().path());
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
pub struct OpenToBrowsers;

#[async_trait]
impl<S: Clone + Send + Sync + 'static> Middleware<S> for OpenToBrowsers {
    async fn handle(&self, request: Request<S>, next: Next<'_, S>) -> tide::Result {
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
