//! `/livez` and `/readyz`.

use serde::{Deserialize, Serialize};
use tide::{http::headers::RETRY_AFTER, Body, Request, Response, StatusCode};

use crate::problem::RETRY_AFTER_SECONDS;

/// One of the things that a program needs to serve clients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// A stable name, such as `peers`.
    pub name: String,
    /// Whether it is in order.
    pub ok: bool,
    /// For people: how it is.
    pub detail: String,
}

#[derive(Serialize)]
struct Readiness {
    ready: bool,
    checks: Vec<Check>,
}

/// Says that the process answers, and no more.
///
/// # Errors
/// Never.
pub async fn alive<S>(_: Request<S>) -> tide::Result {
    Ok("ok\n".into())
}

/// Whether clients can be served: 503 if not, with the checks by name.
///
/// # Errors
/// If the checks cannot be written as JSON.
pub fn readiness(checks: Vec<Check>) -> tide::Result {
    let ready = checks.iter().all(|check| check.ok);
    let mut response = Response::new(StatusCode::Ok);
    if !ready {
        response.set_status(StatusCode::ServiceUnavailable);
        response.insert_header(RETRY_AFTER, RETRY_AFTER_SECONDS.to_string());
    }
    response.set_body(Body::from_json(&Readiness { ready, checks })?);
    Ok(response)
}
