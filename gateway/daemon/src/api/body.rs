use guildmint_core::api::Problem;
use guildmint_daemon::{body as bytes, problem};
use serde::de::DeserializeOwned;
use tide::Request;

use super::MAX_BODY_BYTES;

/// What a request's body says, as JSON.
pub(super) async fn body<S, T: DeserializeOwned>(request: &mut Request<S>) -> Result<T, Problem> {
    let kind = request.content_type();
    match kind.as_ref().map(|mime| mime.essence()) {
        None | Some("application/json" | "application/octet-stream") => {}
        Some(_) => return Err(problem::unsupported_type("application/json")),
    }
    let bytes = bytes(request, MAX_BODY_BYTES).await?;
    serde_json::from_slice(&bytes).map_err(problem::malformed)
}
