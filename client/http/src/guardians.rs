//! One request to one guardian.

use std::{collections::BTreeMap, time::Duration};

use async_std::{future::timeout, io::ReadExt as _};
use guildmint_client::{ApiRequest, RequestError};
use guildmint_core::{api::Problem, PeerId};
use serde_json::Value as Json;
use surf::http::mime;

/// Connections that are kept to one guardian. Further requests wait for one of them.
const MAX_CONNECTIONS: usize = 16;

/// What the pool of connections puts before the reason why there is none; it tells people nothing.
const POOL_PREFIX: &str = "An error occured while creating a new object: ";

/// Guardians' APIs, over connections that are reused.
#[derive(Debug, Clone)]
pub struct Guardians {
    http: surf::Client,
    apis: BTreeMap<PeerId, String>,
}

impl Guardians {
    /// The guardians at these URLs.
    #[must_use]
    pub fn new(apis: BTreeMap<PeerId, String>) -> Self {
        let config = surf::Config::new()
            // Requests are single packets that nobody should wait for.
            .set_tcp_no_delay(true)
            .set_max_connections_per_host(MAX_CONNECTIONS)
            // Each request has a deadline of its own.
            .set_timeout(None);
        // Building a client fails only for proxies and certificates that we do not set.
        let http = config.try_into().unwrap_or_default();
        Self { http, apis }
    }

    /// Where the guardians are.
    #[must_use]
    pub fn apis(&self) -> &BTreeMap<PeerId, String> {
        &self.apis
    }

    /// The guardians are at these URLs from now on.
    pub fn use_addresses(&mut self, apis: BTreeMap<PeerId, String>) {
        self.apis = apis;
    }

    /// Asks a guardian, within the request's deadline and limit of size.
    ///
    /// # Errors
    /// If there is no answer, or one that says what is wrong, or one that cannot be read.
    pub async fn ask(&self, peer: PeerId, request: &ApiRequest) -> Result<Json, RequestError> {
        let unknown = || RequestError::Unreachable("its address is not known".to_owned());
        let base = self.apis.get(&peer).ok_or_else(unknown)?;
        let url = format!("{}{}", base.trim_end_matches('/'), request.path());
        let deadline_ms = request.deadline_ms();
        timeout(
            Duration::from_millis(deadline_ms),
            self.fetch(&url, request),
        )
        .await
        .map_err(|_| RequestError::TimedOut(deadline_ms))?
    }

    async fn fetch(&self, url: &str, request: &ApiRequest) -> Result<Json, RequestError> {
        let broken = |error: surf::Error| {
            let text = error.to_string();
            let reason = text.strip_prefix(POOL_PREFIX).unwrap_or(&text);
            RequestError::Unreachable(reason.to_owned())
        };
        let url: surf::Url = url
            .parse()
            .map_err(|_| RequestError::Unreachable("its address is no URL".to_owned()))?;
        let outgoing = match request.body() {
            Some(bytes) => surf::post(url).content_type(mime::BYTE_STREAM).body(bytes),
            None => surf::get(url),
        };
        let mut response = self.http.send(outgoing).await.map_err(broken)?;
        let limit = request.max_answer_bytes();
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
        // Only a guardian's own words count; a proxy's page says nothing about a transaction.
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
}

#[cfg(test)]
mod tests;
