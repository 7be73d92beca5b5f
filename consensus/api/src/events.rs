//! What clients may hear of at once: server-sent events (SPEC API-1).
//!
//! Events are hints. Whoever missed some asks again, so nothing is kept for clients that are slow or away.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use async_std::{
    channel::{bounded, Receiver, Sender, TrySendError},
    future::timeout,
};
use futures::{
    stream::{once, unfold},
    StreamExt as _, TryStreamExt as _,
};
use guildmint_core::api::{EpochEvent, Problem, StatusAnswer};
use serde::Serialize;
use tide::{http::headers::CACHE_CONTROL, Body, Request, Response, StatusCode};

use guildmint_daemon::{problem, Origin, TurnSlot};

use crate::Backend;

/// Events that may wait for a client. One more, and its stream ends.
const MAX_WAITING: usize = 64;

/// How often something is sent, if only a comment: it shows on both sides whether the other is still there.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Tells all clients that listen of events. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct EventHub(Arc<Mutex<Vec<Sender<Arc<str>>>>>);

impl EventHub {
    /// Tells of an epoch. Never waits: who does not keep up hears no more.
    pub fn publish(&self, epoch: &EpochEvent) {
        let text: Arc<str> = message("epoch", epoch).into();
        let mut listeners = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.retain(|listener| match listener.try_send(Arc::clone(&text)) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Closed(_)) => false,
        });
    }

    /// From here on, what is told. ⚠ Those who are gone are forgotten by whoever comes next: a federation without epochs publishes nothing,
    /// and would remember all who ever listened.
    pub(crate) fn listen(&self) -> Receiver<Arc<str>> {
        let (sender, receiver) = bounded(MAX_WAITING);
        let mut listeners = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.retain(|listener| !listener.is_closed());
        listeners.push(sender);
        receiver
    }
}

/// An event as it is written. JSON has no line breaks in it.
fn message(name: &str, data: &impl Serialize) -> String {
    let data = serde_json::to_string(data).unwrap_or_default();
    format!("event: {name}\ndata: {data}\n\n")
}

/// `GET /v1/events`: the status first, then what happens.
pub(crate) async fn events<B: Backend>(request: Request<B>) -> Result<Response, Problem> {
    let origin = request.ext::<Origin>().ok_or_else(problem::internal)?;
    let permit = origin.stream(Instant::now())?;
    let listener = request.state().events().listen();
    let status: StatusAnswer = request.state().status().await;
    if let Some(turn) = request.ext::<TurnSlot>() {
        turn.release();
    }
    let first: Arc<str> = message("status", &status).into();
    let later = unfold((listener, permit), |(listener, permit)| async move {
        let text = match timeout(HEARTBEAT, listener.recv()).await {
            Ok(Ok(text)) => text,
            Ok(Err(_)) => return None,
            Err(_) => ": nothing new\n\n".into(),
        };
        Some((text, (listener, permit)))
    });
    let texts = once(async { first })
        .chain(later)
        .map(|text| Ok::<_, io::Error>(Bytes(text)));
    let body = Body::from_reader(Box::pin(texts).into_async_read(), None);
    let mut response = Response::new(StatusCode::Ok);
    response.set_body(body);
    response.insert_header("content-type", "text/event-stream");
    response.insert_header(CACHE_CONTROL, "no-store");
    Ok(response)
}

/// Text as bytes.
struct Bytes(Arc<str>);

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use guildmint_core::{Digest, Epoch};

    use super::*;

    fn epoch(number: u64) -> EpochEvent {
        EpochEvent {
            epoch: Epoch(number),
            digest: Digest([7; 32]),
            transactions: 3,
        }
    }

    #[test]
    fn who_does_not_keep_up_hears_no_more_and_holds_up_nobody() {
        let events = EventHub::default();
        let (slow, quick) = (events.listen(), events.listen());
        for number in 0..2 * MAX_WAITING as u64 {
            events.publish(&epoch(number));
            assert!(quick
                .try_recv()
                .unwrap()
                .contains(&format!("\"epoch\":{number},")));
        }
        let heard = std::iter::from_fn(|| slow.try_recv().ok()).count();
        assert_eq!(heard, MAX_WAITING);
        assert!(slow.is_closed() && !quick.is_closed());
        drop(quick);
        events.publish(&epoch(0));
        assert!(events.0.lock().unwrap().is_empty());
    }

    #[test]
    fn who_comes_and_goes_is_forgotten_also_when_nothing_happens() {
        let events = EventHub::default();
        let stays = events.listen();
        for _ in 0..1_000 {
            drop(events.listen());
        }
        assert!(events.0.lock().unwrap().len() <= 2);
        assert!(!stays.is_closed());
    }
}
