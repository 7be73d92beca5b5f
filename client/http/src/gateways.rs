//! One request to one Lightning gateway.

use std::time::Duration;

use async_std::future::timeout;
use guildmint_client::{GatewayCall, RequestError};
use serde_json::Value as Json;

use crate::exchange::{Http, Request};

/// Connections that are kept to one gateway. Further requests wait for one of them.
const MAX_CONNECTIONS: usize = 8;

/// Lightning gateways' APIs, over connections that are reused.
#[derive(Debug, Clone)]
pub struct Gateways {
    http: Http,
}

impl Default for Gateways {
    fn default() -> Self {
        Self::new()
    }
}

impl Gateways {
    /// Any gateways.
    #[must_use]
    pub fn new() -> Self {
        let http = Http::new(MAX_CONNECTIONS);
        Self { http }
    }

    /// Asks the gateway at this URL, within the call's deadline and limit of size. No redirection is followed: a gateway announces, signed, where
    /// it is.
    ///
    /// # Errors
    /// If there is no answer, or one that says what is wrong, or one that cannot be read.
    pub async fn ask(&self, url: &str, call: &GatewayCall) -> Result<Json, RequestError> {
        let body = call.body();
        let body = body.map(|body| ("application/json", body.to_string().into_bytes()));
        let request = Request::new(url, &call.path(), body)?;
        let deadline_ms = call.deadline_ms();
        let answer = self.http.fetch(request, call.max_answer_bytes());
        timeout(Duration::from_millis(deadline_ms), answer)
            .await
            .map_err(|_| RequestError::TimedOut(deadline_ms))?
    }
}

#[cfg(test)]
mod tests;
