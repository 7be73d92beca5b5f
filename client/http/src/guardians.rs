//! One request to one guardian.

use std::{collections::BTreeMap, time::Duration};

use async_std::future::timeout;
use guildmint_client::{ApiRequest, RequestError};
use guildmint_core::PeerId;
use serde_json::Value as Json;

use crate::exchange::{Http, Request};

/// Connections that are kept to one guardian. Further requests wait for one of them.
const MAX_CONNECTIONS: usize = 16;

/// Guardians' APIs, over connections that are reused.
#[derive(Debug, Clone)]
pub struct Guardians {
    http: Http,
    apis: BTreeMap<PeerId, String>,
}

impl Guardians {
    /// The guardians at these URLs.
    #[must_use]
    pub fn new(apis: BTreeMap<PeerId, String>) -> Self {
        let http = Http::new(MAX_CONNECTIONS);
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
        let deadline_ms = request.deadline_ms();
        timeout(
            Duration::from_millis(deadline_ms),
            self.fetch(base, request),
        )
        .await
        .map_err(|_| RequestError::TimedOut(deadline_ms))?
    }

    async fn fetch(&self, base: &str, request: &ApiRequest) -> Result<Json, RequestError> {
        let body = request.body();
        let body = body.map(|bytes| ("application/octet-stream", bytes.to_vec()));
        let outgoing = Request::new(base, &request.path(), body)?;
        self.http.fetch(outgoing, request.max_answer_bytes()).await
    }
}

#[cfg(test)]
pub(crate) mod tests;
