//! The door to the operator's listener: everything that is not expressly open needs the token or a session.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        atomic::{AtomicUsize, Ordering},
        Arc, Mutex, MutexGuard, PoisonError,
    },
    time::Instant,
};

use async_std::{sync::Mutex as AsyncMutex, task};
use guildmint_core::api::Problem;
use tide::{
    http::{
        headers::{
            ACCEPT, AUTHORIZATION, CACHE_CONTROL, COOKIE, HOST, LOCATION, ORIGIN, SET_COOKIE,
            WWW_AUTHENTICATE,
        },
        Method,
    },
    utils::async_trait,
    Middleware, Next, Request, Response, Server, StatusCode,
};
use zeroize::Zeroizing;

use super::{
    access::Access,
    attempts::Attempts,
    sessions::{Sessions, LIFETIME},
};
use crate::{admission::network, form::form, pages, problem};

/// What anybody may ask under any name: whether the program is well.
const HEALTH: [&str; 2] = ["/livez", "/readyz"];

const LOGIN: &str = "/login";
const LOGOUT: &str = "/logout";
const METRICS: &str = "/metrics";

/// Bytes of the form on the login page. A longer one is answered 413.
const MAX_LOGIN_BYTES: usize = 4 * 1024;

/// Passwords that may wait to be checked, one after the other: each check takes memory. Further ones are answered 429.
const MAX_WAITING: usize = 4;

/// How a caller has shown to be the operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// By the token.
    Program,
    /// By a session.
    Browser,
}

/// The door. Clones are the same door.
#[derive(Clone)]
pub struct Gate(Arc<Inner>);

struct Inner {
    access: Access,
    sessions: Mutex<Sessions>,
    attempts: Mutex<Attempts>,
    checking: AsyncMutex<()>,
    waiting: AtomicUsize,
}

/// What becomes of a request.
enum Verdict {
    /// It is open to all.
    Open,
    By(Caller),
    /// A person is shown where to log in.
    ToLogin,
    Refused(Problem),
}

impl Gate {
    /// One that opens by this.
    #[must_use]
    pub fn new(access: Access) -> Self {
        Self(Arc::new(Inner {
            access,
            sessions: Mutex::default(),
            attempts: Mutex::default(),
            checking: AsyncMutex::new(()),
            waiting: AtomicUsize::new(0),
        }))
    }

    /// Puts the door before a server, with the page to log in on and what pages need.
    pub fn guard<S: Clone + Send + Sync + 'static>(self, server: &mut Server<S>) {
        let program = self.0.access.program;
        server.with(self.clone());
        pages::add_assets(server);
        server
            .at(LOGIN)
            .get(move |_| async move { Ok(pages::login::page(StatusCode::Ok, program, None)) });
        let gate = self.clone();
        server.at(LOGIN).post(move |request| {
            let gate = gate.clone();
            async move {
                Ok(gate
                    .log_in(request)
                    .await
                    .unwrap_or_else(|problem| login_refused(program, &problem)))
            }
        });
        server.at(LOGOUT).post(move |request: Request<S>| {
            let gate = self.clone();
            async move {
                if let Some(name) = session_of(&request) {
                    gate.sessions().close(&name);
                }
                Ok(go_to(LOGIN, Some(cookie(&request, "", 0))))
            }
        });
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.0
            .sessions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn attempts(&self) -> MutexGuard<'_, Attempts> {
        self.0
            .attempts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn judge<S>(&self, request: &Request<S>) -> Verdict {
        let path = request.url().path();
        let is_safe = matches!(request.method(), Method::Get | Method::Head);
        if is_safe && HEALTH.contains(&path) {
            return Verdict::Open;
        }
        if !self.is_known_host(request) {
            return Verdict::Refused(problem::wrong_host());
        }
        match bearer(request) {
            Some(token) if self.0.access.token.is(token) => return Verdict::By(Caller::Program),
            Some(_) => return Verdict::Refused(self.wrong_token(request)),
            None => {}
        }
        let is_asset = pages::ASSETS.iter().any(|(asset, _, _)| *asset == path);
        let is_open = is_asset || path == LOGIN || path == METRICS && self.0.access.open_metrics;
        match (is_safe, is_open) {
            (true, true) => return Verdict::Open,
            // ⚠ Browsers send the session along with whatever another page makes them send; but they say which page it was.
            (false, _) if !is_from_own_page(request) => {
                return Verdict::Refused(problem::foreign_origin())
            }
            (false, _) if path == LOGIN => return Verdict::Open,
            _ => {}
        }
        let password = self.0.access.password.generation();
        let has_session = session_of(request)
            .is_some_and(|name| self.sessions().has(&name, password, Instant::now()));
        match has_session {
            true => Verdict::By(Caller::Browser),
            false if is_safe && wants_page(request) => Verdict::ToLogin,
            false => Verdict::Refused(problem::unauthorized()),
        }
    }

    /// ⚠ Whether the request names this machine. A page on the web can have its own name point here for a moment, but then that
    /// name stands in the request.
    fn is_known_host<S>(&self, request: &Request<S>) -> bool {
        let Some(host) = only(request, HOST.as_str()) else {
            return false;
        };
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        let address = name.trim_start_matches('[').trim_end_matches(']');
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        address.parse::<IpAddr>().is_ok()
            || is("localhost")
            || self.0.access.hosts.iter().any(|known| is(known))
    }

    fn wrong_token<S>(&self, request: &Request<S>) -> Problem {
        match self.attempts().begin(origin_of(request), Instant::now()) {
            true => problem::unauthorized(),
            false => problem::too_many("wrong tokens or passwords"),
        }
    }

    async fn log_in<S>(&self, mut request: Request<S>) -> Result<Response, Problem> {
        let fields = form(&mut request, MAX_LOGIN_BYTES).await?;
        let attempt = fields
            .get("password")
            .cloned()
            .map(Zeroizing::new)
            .unwrap_or_default();
        let from = origin_of(&request);
        let password = self.0.access.password.generation();
        let generation = if self.0.access.token.is(attempt.trim()) {
            None
        } else {
            if !self.attempts().begin(from, Instant::now()) {
                return Err(problem::too_many("wrong tokens or passwords"));
            }
            if password.is_none() || !self.is_password(attempt).await? {
                return Err(problem::wrong_password());
            }
            self.attempts().right(from);
            password
        };
        let session = self.sessions().open(generation, Instant::now());
        let session = session.map_err(|error| {
            tracing::error!(%error, "nobody can log in");
            problem::internal()
        })?;
        Ok(go_to(
            "/",
            Some(cookie(&request, session.reveal(), LIFETIME.as_secs())),
        ))
    }

    /// Checks a password, on a thread that may be slow.
    async fn is_password(&self, attempt: Zeroizing<String>) -> Result<bool, Problem> {
        let _waiting =
            Waiting::begin(&self.0.waiting).ok_or_else(|| problem::too_many("attempts at once"))?;
        let _one = self.0.checking.lock().await;
        let password = Arc::clone(&self.0.access.password);
        Ok(task::spawn_blocking(move || password.is(&attempt)).await)
    }
}

/// Who waits for a check, counted until this is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicUsize) -> Option<Self> {
        let counted = Self(count);
        (count.fetch_add(1, Ordering::Relaxed) < MAX_WAITING).then_some(counted)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[async_trait]
impl<S: Clone + Send + Sync + 'static> Middleware<S> for Gate {
    async fn handle(&self, mut request: Request<S>, next: Next<'_, S>) -> tide::Result {
        let mut response = match self.judge(&request) {
            Verdict::Open => next.run(request).await,
            Verdict::By(caller) => {
                request.set_ext(caller);
                next.run(request).await
            }
            Verdict::ToLogin => go_to(LOGIN, None),
            Verdict::Refused(problem) => refused(&problem),
        };
        response.insert_header("x-content-type-options", "nosniff");
        response.insert_header("cross-origin-resource-policy", "same-origin");
        if response.header(CACHE_CONTROL).is_none() {
            response.insert_header(CACHE_CONTROL, "no-store");
        }
        Ok(response)
    }
}

fn refused(problem: &Problem) -> Response {
    let mut response: Response = problem::response(problem).into();
    if problem.status == 401 {
        response.insert_header(WWW_AUTHENTICATE, "Bearer realm=\"operator\"");
    }
    response
}

fn login_refused(program: &str, problem: &Problem) -> Response {
    let status = StatusCode::try_from(problem.status).unwrap_or(StatusCode::Forbidden);
    pages::login::page(status, program, Some(&problem.detail))
}

/// Sends the browser to another page of ours.
pub fn go_to(path: &str, set_cookie: Option<String>) -> Response {
    let mut response = Response::new(StatusCode::SeeOther);
    response.insert_header(LOCATION, path);
    if let Some(cookie) = set_cookie {
        response.insert_header(SET_COOKIE, cookie);
    }
    response
}

/// The header, if it is there once.
fn only<'a, S>(request: &'a Request<S>, name: &str) -> Option<&'a str> {
    let mut values = request.header(name)?.iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Some(value.as_str()),
        _ => None,
    }
}

fn bearer<S>(request: &Request<S>) -> Option<&str> {
    let value = only(request, AUTHORIZATION.as_str())?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Whether a browser says that one of our own pages sends this, or that the user does.
fn is_from_own_page<S>(request: &Request<S>) -> bool {
    let site = request
        .header("sec-fetch-site")
        .map(|values| values.last().as_str());
    let (Some(origin), Some(host)) = (only(request, ORIGIN.as_str()), only(request, HOST.as_str()))
    else {
        return false;
    };
    let from = origin
        .strip_prefix("http://")
        .or_else(|| origin.strip_prefix("https://"));
    from.is_some_and(|from| from.eq_ignore_ascii_case(host))
        && matches!(site, None | Some("same-origin"))
}

fn wants_page<S>(request: &Request<S>) -> bool {
    let mut accepted = request.header(ACCEPT).into_iter().flatten();
    accepted.any(|value| value.as_str().contains("text/html"))
}

/// Browsers keep one cookie jar for all ports of a machine: the port is in the name, so that programs side by side do not log
/// each other out.
fn cookie_name<S>(request: &Request<S>) -> String {
    let port = only(request, HOST.as_str()).and_then(|host| host.rsplit_once(':'));
    let port = port
        .and_then(|(_, port)| port.parse::<u16>().ok())
        .unwrap_or(0);
    format!("guildmint-{port}")
}

/// ⚠ No script reads it, and no other site's page sends it.
fn cookie<S>(request: &Request<S>, value: &str, seconds: u64) -> String {
    let is_https =
        only(request, ORIGIN.as_str()).is_some_and(|origin| origin.starts_with("https://"));
    let secure = if is_https { "; Secure" } else { "" };
    let name = cookie_name(request);
    format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
}

fn session_of<S>(request: &Request<S>) -> Option<String> {
    let name = cookie_name(request);
    let cookies = request.header(COOKIE).into_iter().flatten();
    let mut pairs = cookies
        .flat_map(|value| value.as_str().split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    pairs
        .find(|(found, _)| *found == name)
        .map(|(_, value)| value.to_owned())
}

/// The network that a request comes from, by which attempts are counted.
fn origin_of<S>(request: &Request<S>) -> IpAddr {
    let address = request
        .peer_addr()
        .and_then(|address| address.parse::<SocketAddr>().ok());
    network(address.map_or(Ipv4Addr::UNSPECIFIED.into(), |address| address.ip()))
}
