//! One connection: requests one after the other, each with deadlines (SPEC API-2).
//!
//! `async-h1` parses heads and writes answers. Its loop over a connection is not used, because it can be made to read a head
//! without end, loses requests sent ahead, closes without an answer on what it cannot parse, and panics on headers that are
//! not ASCII.

use std::{
    net::SocketAddr,
    panic::AssertUnwindSafe,
    pin::pin,
    sync::{
        atomic::{AtomicUsize, Ordering},
        Arc, Mutex, PoisonError,
    },
    time::Instant,
};

use async_h1::server::{decode, Encoder};
use async_std::{
    future::timeout,
    io::{self, ReadExt as _, WriteExt as _},
    net::{Shutdown, TcpStream},
};
use futures::{
    future::{select, Either},
    io::Cursor,
    FutureExt as _,
};
use guildmint_core::api::Problem;
use tide::{
    http::{
        headers::{CONNECTION, CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING},
        Method, Request, Response,
    },
    Server,
};

use crate::{
    admission::{Origin, Permit},
    input::{End, Input},
    problem,
    signal::Signal,
    turns::Turn,
    Limits,
};

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Bytes of an endless answer that are written at once.
const STREAM_CHUNK_BYTES: usize = 4 * 1024;

/// What a request with a body costs, next to one that asks for what is at hand.
const POST_COST: u64 = 4;

/// What a question to a module costs.
const QUERY_COST: u64 = 4;

/// Bytes of a body that cost one more: about a note of a transaction, whose proof is checked.
const BYTES_PER_COST: usize = 256;

/// Questions to modules are at `/v1/mint/…`.
const MODULE_PATH_SLASHES: usize = 3;

/// What a connection needs to be served.
pub(crate) struct Connection<'a, S> {
    pub(crate) server: &'a Server<S>,
    pub(crate) limits: &'a Limits,
    pub(crate) permit: &'a Permit,
    pub(crate) stopped: &'a Signal,
    pub(crate) in_flight: &'a AtomicUsize,
    pub(crate) peer: SocketAddr,
}

/// Tells a client why it is not served.
pub(crate) async fn refuse(stream: TcpStream, problem: &Problem, limits: &Limits) {
    let mut output = stream.clone();
    let response = last(problem::response(problem));
    if write(&mut output, response, Method::Get, limits)
        .await
        .is_ok()
    {
        let _ = output.shutdown(Shutdown::Write);
        Input::new(stream).drain(limits.linger).await;
    }
}

impl<S: Clone + Send + Sync + 'static> Connection<'_, S> {
    /// Serves the connection until its end.
    pub(crate) async fn run(&self, stream: TcpStream) {
        let mut output = stream.clone();
        let mut input = Input::new(stream);
        loop {
            match self.exchange(&mut input, &mut output).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(End::Gone) => return,
                Err(End::Refused(problem)) => {
                    tracing::debug!(code = problem.code, "refused a request");
                    let response = last(problem::response(&problem));
                    match write(&mut output, response, Method::Get, self.limits).await {
                        Ok(()) => break,
                        Err(_) => return,
                    }
                }
            }
        }
        let _ = output.shutdown(Shutdown::Write);
        input.drain(self.limits.linger).await;
    }

    /// One request and its answer. Whether another may follow.
    async fn exchange(&self, input: &mut Input, output: &mut TcpStream) -> Result<bool, End> {
        let waiting = self.permit.waits(Instant::now());
        let asked = waiting.closed.or(self.request(input, output)).await;
        drop(waiting);
        let Asked {
            mut request,
            origin,
            cost,
            _counted,
        } = asked.ok_or(End::Gone)??;
        request.set_peer_addr(Some(self.peer));
        let method = request.method();
        let wants_close = has_token(&request, "close");
        let mut response = self.answer(request, origin, cost).await;
        let close = wants_close || self.stopped.is_raised();
        if close {
            response = last(response);
        }
        if response.len().is_none() {
            self.stream(input, output, response, method).await?;
            return Ok(false);
        }
        write(output, response, method, self.limits).await?;
        Ok(!close)
    }

    /// Reads the next request.
    async fn request(&self, input: &mut Input, output: &mut TcpStream) -> Result<Asked<'_>, End> {
        let head = input.head(self.limits, self.stopped).await?;
        let _counted = Counted::new(self.in_flight);
        let mut request = parse(head).await?;
        let origin = self.permit.origin(&request);
        origin.admit(Instant::now())?;
        let length = body_length(&request, self.limits.body_bytes)?;
        if length > 0 {
            if request.header(EXPECT).is_some() {
                let written = timeout(self.limits.response, output.write_all(CONTINUE));
                written.await.map_err(|_| End::Gone)??;
            }
            request.set_body(input.body(length, self.limits.body).await?);
        }
        let cost = cost(&request, length);
        Ok(Asked {
            request,
            origin,
            cost,
            _counted,
        })
    }

    /// Writes an answer without a foreseeable end, until the client is gone or does not take it, or the listener is stopped.
    async fn stream(
        &self,
        input: &mut Input,
        output: &mut TcpStream,
        response: Response,
        method: Method,
    ) -> Result<(), End> {
        let mut encoder = Encoder::new(response, method);
        let mut chunk = [0; STREAM_CHUNK_BYTES];
        let mut gone = pin!(input.gone());
        loop {
            let read = pin!(encoder.read(&mut chunk));
            let count = match self.stopped.or(select(read, gone.as_mut())).await {
                Some(Either::Left((count, _))) => count?,
                _ => return Err(End::Gone),
            };
            if count == 0 {
                return Ok(());
            }
            let written = timeout(self.limits.stream_write, output.write_all(&chunk[..count]));
            written.await.map_err(|_| End::Gone)??;
        }
    }

    /// What the server answers, once it is this client's turn.
    async fn answer(&self, mut request: Request, origin: Origin, cost: u64) -> Response {
        let response = async {
            let turn = TurnSlot::new(origin.turns().take(origin.client(), cost).await);
            request.ext_mut().insert(turn.clone());
            request.ext_mut().insert(origin);
            let response = self.server.respond::<Request, Response>(request).await;
            turn.release();
            response
        };
        let response = AssertUnwindSafe(response).catch_unwind();
        match timeout(self.limits.request, response).await {
            Ok(Ok(Ok(response))) => response,
            Ok(Ok(Err(error))) => {
                tracing::error!(%error, "a request failed");
                problem::response(&problem::internal())
            }
            Ok(Err(_)) => {
                tracing::error!("a request made the server panic");
                problem::response(&problem::internal())
            }
            Err(_) => problem::response(&problem::timed_out()),
        }
    }
}

/// The turn in which a request is worked on. Who only waits for something gives it back before.
#[derive(Clone)]
pub struct TurnSlot(Arc<Mutex<Option<Turn>>>);

impl TurnSlot {
    fn new(turn: Option<Turn>) -> Self {
        Self(Arc::new(Mutex::new(turn)))
    }

    /// Lets the next one have it.
    pub fn release(&self) {
        drop(self.0.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// Understands a head.
async fn parse(head: Vec<u8>) -> Result<Request, Problem> {
    if !head.is_ascii() {
        return Err(problem::malformed("request line and headers must be ASCII"));
    }
    match decode(Cursor::new(head)).await {
        Ok(Some((request, _))) => Ok(request),
        Ok(None) => Err(problem::malformed("this is not HTTP")),
        Err(error) => Err(problem::malformed(format!("this is not HTTP/1.1: {error}"))),
    }
}

/// How many bytes of body follow the head. Only a number that cannot be understood in two ways is taken.
fn body_length(request: &Request, limit: usize) -> Result<usize, Problem> {
    if request.header(TRANSFER_ENCODING).is_some() {
        return Err(problem::length_required());
    }
    let Some(values) = request.header(CONTENT_LENGTH) else {
        return Ok(0);
    };
    let mut values = values.iter().map(|value| value.as_str());
    let (Some(digits), None) = (values.next(), values.next()) else {
        return Err(problem::malformed("there are two Content-Lengths"));
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(problem::malformed("the Content-Length is not a number"));
    }
    match digits.parse() {
        Ok(length) if length <= limit => Ok(length),
        _ => Err(problem::too_large(limit)),
    }
}

/// What a request costs in work, next to others (SPEC API-2). What comes with a body is decoded and checked; questions to modules read
/// rows, up to thousands of them; the rest is at hand.
fn cost(request: &Request, length: usize) -> u64 {
    let path = request.url().path();
    let kind = match request.method() {
        Method::Post => POST_COST,
        _ if path.matches('/').count() >= MODULE_PATH_SLASHES => QUERY_COST,
        _ => 1,
    };
    let size = length / BYTES_PER_COST;
    kind + u64::try_from(size).unwrap_or(u64::MAX)
}

fn has_token(request: &Request, token: &str) -> bool {
    let values = request.header(CONNECTION).into_iter().flatten();
    values
        .flat_map(|value| value.as_str().split(','))
        .any(|value| value.trim().eq_ignore_ascii_case(token))
}

/// The last answer on its connection.
fn last(mut response: Response) -> Response {
    response.insert_header(CONNECTION, "close");
    response
}

async fn write(
    output: &mut TcpStream,
    response: Response,
    method: Method,
    limits: &Limits,
) -> Result<(), End> {
    let mut encoder = Encoder::new(response, method);
    let written = timeout(limits.response, io::copy(&mut encoder, output));
    written.await.map_err(|_| End::Gone)??;
    Ok(())
}

/// A request that has come.
struct Asked<'a> {
    request: Request,
    origin: Origin,
    cost: u64,
    _counted: Counted<'a>,
}

/// A request under way, counted until this is dropped.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
