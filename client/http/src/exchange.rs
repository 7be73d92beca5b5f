//! One HTTP request and its answer, within a limit of size.

use async_std::io::ReadExt as _;
use guildmint_client::RequestError;
use guildmint_core::api::Problem;
use serde_json::Value as Json;

/// What the pool of connections puts before the reason why there is none; it tells people nothing.
const POOL_PREFIX: &str = "An error occured while creating a new object: ";

/// A client that keeps so many connections to one host. Further requests wait for one of them.
pub(crate) fn client(max_connections: usize) -> surf::Client {
    let config = surf::Config::new()
        // Requests are single packets that nobody should wait for.
        .set_tcp_no_delay(true)
        .set_max_connections_per_host(max_connections)
        // Each request has a deadline of its own.
        .set_timeout(None);
    // Building a client fails only for proxies and certificates that we do not set.
    config.try_into().unwrap_or_default()
}

pub(crate) fn parse(url: &str) -> Result<surf::Url, RequestError> {
    url.parse()
        .map_err(|_| RequestError::Unreachable("its address is no URL".to_owned()))
}

/// Sends a request and reads the answer, of so many bytes at most.
pub(crate) async fn fetch(
    http: &surf::Client,
    request: surf::RequestBuilder,
    limit: usize,
) -> Result<Json, RequestError> {
    let broken = |error: surf::Error| {
        let text = error.to_string();
        let reason = text.strip_prefix(POOL_PREFIX).unwrap_or(&text);
        RequestError::Unreachable(reason.to_owned())
    };
    let mut response = http.send(request).await.map_err(broken)?;
    let mut body = Vec::new();
    let mut bounded = (&mut response).take(limit as u64 + 1);
    bounded
        .read_to_end(&mut body)
        .await
        .map_err(|error| RequestError::Unreachable(error.to_string()))?;
    if body.len() > limit {
        return Err(RequestError::Malformed(format!("more than {limit} bytes")));
    }
    let unreadable = |error: serde_json::Error| RequestError::Malformed(error.to_string());
    if response.status().is_success() {
        return serde_json::from_slice(&body).map_err(unreadable);
    }
    // Only their own words count; a proxy's page says nothing.
    match serde_json::from_slice::<Problem>(&body) {
        Ok(problem) => Err(RequestError::Problem(Problem {
            status: response.status().into(),
            ..problem
        })),
        Err(_) => Err(RequestError::Unreachable(format!(
            "HTTP status {}",
            u16::from(response.status())
        ))),
    }
}
