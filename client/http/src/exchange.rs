//! One HTTP request and its answer, over connections that are reused.
//!
//! ⚠ Whoever answers may be hostile: a guardian that lies, or anybody who has announced a gateway. So all of an answer is read here, byte by byte
//! within limits. Libraries that were made for friends end the process over a header, or read one that never ends.

mod answer;
mod connection;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_std::{
    channel::{bounded, Receiver, Sender},
    io::WriteExt as _,
};
use guildmint_client::RequestError;
use guildmint_core::api::Problem;
use serde_json::Value as Json;
use url::{Position, Url};

use answer::Answer;
use connection::{Connection, Place};

/// Places of which connections are kept. One more has those of all others closed that nobody uses just now.
const MAX_PLACES: usize = 256;

/// What to ask.
pub(crate) struct Request {
    url: Url,
    /// For a POST: its type, and what it says.
    body: Option<(&'static str, Vec<u8>)>,
}

impl Request {
    /// A request to a server at a URL, which may be hostile text, with our own path and query behind it.
    ///
    /// ⚠ Whoever says where it is must say no more than that: with a query of theirs, they would have any wallet ask its neighbours for things.
    pub(crate) fn new(
        base: &str,
        path: &str,
        body: Option<(&'static str, Vec<u8>)>,
    ) -> Result<Self, RequestError> {
        let wrong = |what: &str| RequestError::Unreachable(format!("its address {what}"));
        let parsed = |text: &str| text.parse::<Url>().map_err(|_| wrong("is no URL"));
        let place = parsed(base)?;
        let is_place = place.query().is_none() && place.fragment().is_none();
        if !is_place || !place.username().is_empty() || place.password().is_some() {
            return Err(wrong("says more than where it is"));
        }
        let url = parsed(&format!("{}{path}", base.trim_end_matches('/')))?;
        Ok(Self { url, body })
    }

    /// As it is sent. Nothing of it is as it came: the URL has no other bytes than URLs have.
    fn bytes(self) -> Vec<u8> {
        let method = match self.body {
            Some(_) => "POST",
            None => "GET",
        };
        let target = &self.url[Position::BeforePath..Position::AfterQuery];
        let host = &self.url[Position::BeforeHost..Position::AfterPort];
        let head = format!("{method} {target} HTTP/1.1\r\nhost: {host}\r\n");
        match self.body {
            None => format!("{head}\r\n").into_bytes(),
            Some((kind, body)) => {
                let length = body.len();
                let rest = format!("content-type: {kind}\r\ncontent-length: {length}\r\n\r\n");
                let mut bytes = (head + &rest).into_bytes();
                bytes.extend(body);
                bytes
            }
        }
    }
}

/// Connections to any places. Clones share them.
#[derive(Clone)]
pub(crate) struct Http(Arc<Inner>);

struct Inner {
    /// Connections to one place. Further requests wait for one of them.
    most: usize,
    places: Mutex<BTreeMap<Place, Arc<Slots>>>,
}

impl std::fmt::Debug for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Http").finish_non_exhaustive()
    }
}

/// The connections to one place.
struct Slots {
    /// As many as there are turns.
    taken: (Sender<()>, Receiver<()>),
    idle: Mutex<Vec<Connection>>,
}

/// A turn to use a connection; given back when it is dropped.
struct Turn(Arc<Slots>);

impl Drop for Turn {
    fn drop(&mut self) {
        // It is there: this turn put it in.
        let _ = self.0.taken.1.try_recv();
    }
}

impl Turn {
    async fn take(slots: Arc<Slots>) -> Self {
        // The other end is in the same place, so it is open.
        let _ = slots.taken.0.send(()).await;
        Self(slots)
    }

    /// A connection that was kept and is still good; none if one must be made.
    fn kept(&self) -> Option<Connection> {
        let mut idle = self.0.idle();
        while let Some(mut connection) = idle.pop() {
            if connection.is_quiet() {
                return Some(connection);
            }
        }
        None
    }

    fn keep(&self, connection: Connection) {
        self.0.idle().push(connection);
    }
}

impl Slots {
    fn new(most: usize) -> Self {
        Self {
            taken: bounded(most),
            idle: Mutex::default(),
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Http {
    pub(crate) fn new(max_connections: usize) -> Self {
        Self(Arc::new(Inner {
            most: max_connections,
            places: Mutex::default(),
        }))
    }

    fn slots(&self, place: &Place) -> Arc<Slots> {
        let places = self.0.places.lock();
        let mut places = places.unwrap_or_else(PoisonError::into_inner);
        if places.len() >= MAX_PLACES && !places.contains_key(place) {
            places.retain(|_, slots| Arc::strong_count(slots) > 1);
        }
        let slots = places
            .entry(place.clone())
            .or_insert_with(|| Arc::new(Slots::new(self.0.most)));
        Arc::clone(slots)
    }

    /// Sends a request and reads the answer, of so many bytes at most.
    pub(crate) async fn fetch(&self, request: Request, limit: usize) -> Result<Json, RequestError> {
        let place = Place::of(&request.url)?;
        let turn = Turn::take(self.slots(&place)).await;
        let mut connection = match turn.kept() {
            Some(connection) => connection,
            None => Connection::open(&place).await?,
        };
        let sent = connection.stream().write_all(&request.bytes()).await;
        sent.map_err(|error| RequestError::Unreachable(error.to_string()))?;
        let answer = Answer::read(connection.reader(), limit).await?;
        if answer.keeps && connection.is_quiet() {
            turn.keep(connection);
        }
        judge(answer)
    }
}

/// What an answer says.
fn judge(Answer { status, body, .. }: Answer) -> Result<Json, RequestError> {
    if (200..300).contains(&status) {
        let unreadable = |error: serde_json::Error| RequestError::Malformed(error.to_string());
        return serde_json::from_slice(&body).map_err(unreadable);
    }
    // Only their own words count; a proxy's page says nothing.
    match serde_json::from_slice::<Problem>(&body) {
        Ok(problem) => Err(RequestError::Problem(Problem { status, ..problem })),
        Err(_) => Err(RequestError::Unreachable(format!("HTTP status {status}"))),
    }
}
