//! `/livez` and `/readyz`, on both listeners.

use serde::Serialize;
use tide::{http::headers::RETRY_AFTER, Body, Request, Response, Server, StatusCode};

use crate::{problem::RETRY_AFTER_SECONDS, Backend, Check};

#[derive(Serialize)]
struct Readiness {
    ready: bool,
    checks: Vec<Check>,
}

pub(crate) fn add<B: Backend>(server: &mut Server<B>) {
    server.at("/livez").get(alive);
    server.at("/readyz").get(ready::<B>);
}

/// Says that the process answers, and no more.
pub(crate) async fn alive<S>(_: Request<S>) -> tide::Result {
    Ok("ok\n".into())
}

pub(crate) async fn ready<B: Backend>(request: Request<B>) -> tide::Result {
    let checks = request.state().ready().await;
    let ready = checks.iter().all(|check| check.ok);
    let mut response = Response::new(StatusCode::Ok);
    if !ready {
        response.set_status(StatusCode::ServiceUnavailable);
        response.insert_header(RETRY_AFTER, RETRY_AFTER_SECONDS.to_string());
    }
    response.set_body(Body::from_json(&Readiness { ready, checks })?);
    Ok(response)
}
