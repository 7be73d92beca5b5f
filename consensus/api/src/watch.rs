//! Waiting until a module's answer is another one: `GET /v1/<module>/<path>?wait=SECONDS&known=MARK` (SPEC API-1). For a client that waits for a
//! contract to be funded, or claimed, this is one request instead of many.

use std::time::{Duration, Instant};

use async_std::{future::timeout, task};
use guildmint_core::{
    api::{mark, Problem},
    limits::MAX_WAIT_SECONDS,
    module::Query,
};
use serde_json::Value as Json;
use tide::Request;

use guildmint_daemon::{problem, Origin, TurnSlot};

use crate::Backend;

/// How often the question is asked again at most, however short epochs are.
const PACE: Duration = Duration::from_millis(250);

/// What the client says besides its question.
struct Waiting {
    until: Instant,
    known: String,
}

/// Takes what is not for the module out of the parameters.
fn waiting(query: &mut Query) -> Result<Option<Waiting>, Problem> {
    let wait = query.parameters.remove("wait");
    let known = query.parameters.remove("known");
    let seconds = match wait.as_deref().map(str::parse::<u64>) {
        None => 0,
        Some(Ok(seconds)) => seconds.min(MAX_WAIT_SECONDS),
        Some(Err(_)) => return Err(problem::malformed("wait is a number of seconds")),
    };
    let until = Instant::now() + Duration::from_secs(seconds);
    let waits = known.filter(|_| seconds > 0);
    Ok(waits.map(|known| Waiting { until, known }))
}

/// The answer: at once, or as soon as it is not the one that the client knows.
pub(crate) async fn answer<B: Backend>(
    request: &Request<B>,
    kind: String,
    mut query: Query,
) -> Result<Json, Problem> {
    let Some(Waiting { until, known }) = waiting(&mut query)? else {
        return request.state().query(kind, query).await;
    };
    let state = request.state();
    let mut epochs = state.events().listen();
    let mut asked = Instant::now();
    let mut answer = state.query(kind.clone(), query.clone()).await?;
    if mark(&answer) != known {
        return Ok(answer);
    }
    // Who waits holds no turn, and is counted among those who listen.
    let origin = request.ext::<Origin>().ok_or_else(problem::internal)?;
    let _permit = origin.stream(Instant::now())?;
    if let Some(turn) = request.ext::<TurnSlot>() {
        turn.release();
    }
    while mark(&answer) == known {
        let left = until.saturating_duration_since(Instant::now());
        match timeout(left, epochs.recv()).await {
            // It is as it was.
            Err(_) => break,
            Ok(Ok(_)) => {}
            // Too many epochs to keep up with.
            Ok(Err(_)) => epochs = state.events().listen(),
        }
        // The first news is answered at once, more of it at a pace.
        task::sleep(PACE.saturating_sub(asked.elapsed()).min(left)).await;
        while epochs.try_recv().is_ok() {}
        asked = Instant::now();
        answer = state.query(kind.clone(), query.clone()).await?;
    }
    Ok(answer)
}
