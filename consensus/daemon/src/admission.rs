//! Who may connect and ask: limits for all together and per client (SPEC API-2).

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use guildmint_core::api::Problem;
use tide::http::Request;

use crate::{
    problem,
    signal::{signal, Signal, Trigger},
    turns::{Client, Turns},
    Limits,
};

/// Networks remembered. When there are so many at once, those that come new share one allowance.
const MAX_ADDRESSES: usize = 4096;

/// How often those that have calmed down are looked for at most.
const CLEANING: Duration = Duration::from_secs(1);

/// What networks count as for which there is no room.
const CROWD: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// Counts connections, requests and streams.
#[derive(Debug)]
pub(crate) struct Admission {
    limits: Limits,
    counts: Mutex<Counts>,
    turns: Arc<Turns>,
}

#[derive(Debug, Default)]
struct Counts {
    connections: usize,
    streams: usize,
    /// Connections from which no request has come yet, or no further one, by how long that has been so.
    waiting: BTreeMap<(Instant, u64), Idle>,
    /// Connections that were closed for others, and are not gone yet. They count no more.
    closed: BTreeSet<u64>,
    /// Numbers connections.
    next: u64,
    cleaned: Option<Instant>,
    addresses: BTreeMap<IpAddr, Address>,
}

#[derive(Debug)]
struct Address {
    connections: usize,
    streams: usize,
    /// When the requests so far would all have been made, had they come at the allowed rate.
    spent_until: Instant,
}

/// A connection that waits for its client.
#[derive(Debug)]
struct Idle {
    counted: Option<IpAddr>,
    /// Closes it.
    _close: Trigger,
}

/// A connection waits for its client, until this is dropped.
#[derive(Debug)]
pub(crate) struct Waiting<'a> {
    admission: &'a Admission,
    key: (Instant, u64),
    /// Its place was given to another.
    pub(crate) closed: Signal,
}

/// A connection that may be served, counted until this is dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    admission: Arc<Admission>,
    /// The entry that counts it.
    counted: Option<IpAddr>,
    number: u64,
    /// Whether it is a proxy's, which says for whom it asks.
    is_proxy: bool,
}

/// Where a request comes from, for those who let it in further.
#[derive(Debug, Clone)]
pub struct Origin {
    admission: Arc<Admission>,
    client: Client,
}

/// A stream of events, counted until this is dropped.
#[derive(Debug)]
pub struct StreamPermit {
    admission: Arc<Admission>,
    counted: Option<IpAddr>,
}

impl Admission {
    pub(crate) fn new(limits: Limits) -> Arc<Self> {
        let turns = Turns::new(limits.turns, limits.turns_per_client);
        Arc::new(Self {
            limits,
            counts: Mutex::default(),
            turns,
        })
    }

    /// Connections that are served now.
    pub(crate) fn connections(&self) -> usize {
        self.counts().connections
    }

    /// Lets a connection in, or says why not.
    pub(crate) fn connect(self: &Arc<Self>, from: IpAddr, now: Instant) -> Result<Permit, Problem> {
        let from = from.to_canonical();
        let is_proxy = self.limits.trusted_proxies.contains(&from);
        let network = self.limited(from).filter(|_| !is_proxy);
        let mut counts = self.counts();
        if counts.connections >= self.limits.connections && !counts.close_one() {
            return Err(problem::busy());
        }
        let counted = network.map(|network| counts.entry(network, now));
        if let Some(address) = counted.and_then(|key| counts.addresses.get_mut(&key)) {
            if address.connections >= self.limits.connections_per_address {
                return Err(problem::too_many("connections"));
            }
            address.connections += 1;
        }
        counts.connections += 1;
        counts.next += 1;
        Ok(Permit {
            admission: Arc::clone(self),
            counted,
            number: counts.next,
            is_proxy,
        })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the limits per address count by, if they hold for this one.
    fn limited(&self, from: IpAddr) -> Option<IpAddr> {
        (!from.is_loopback() || self.limits.limit_loopback).then(|| network(from))
    }
}

impl Counts {
    /// Closes the connection that has waited longest for its client. Whether there is one.
    fn close_one(&mut self) -> bool {
        let Some(((_, number), idle)) = self.waiting.pop_first() else {
            return false;
        };
        self.closed.insert(number);
        self.leave(idle.counted);
        true
    }

    /// A connection counts no more.
    fn leave(&mut self, counted: Option<IpAddr>) {
        self.connections -= 1;
        if let Some(address) = counted.and_then(|of| self.addresses.get_mut(&of)) {
            address.connections -= 1;
        }
    }

    /// The key of the entry that counts a network, which exists.
    fn entry(&mut self, network: IpAddr, now: Instant) -> IpAddr {
        if self.addresses.len() >= MAX_ADDRESSES
            && self.cleaned.is_none_or(|cleaned| now >= cleaned + CLEANING)
        {
            self.addresses.retain(|_, address| !address.is_calm(now));
            self.cleaned = Some(now);
        }
        let is_full = self.addresses.len() >= MAX_ADDRESSES;
        let key = if is_full && !self.addresses.contains_key(&network) {
            CROWD
        } else {
            network
        };
        self.addresses.entry(key).or_insert(Address {
            connections: 0,
            streams: 0,
            spent_until: now,
        });
        key
    }
}

/// What is counted as one client: an address, or for IPv6 the network of 64 bits that whoever has one such address has whole.
pub(crate) fn network(of: IpAddr) -> IpAddr {
    match of.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 => v4,
    }
}

/// For whom a proxy asks: the last address in the header, which the proxy itself has put there. ⚠ Those before it are the
/// client's words.
fn forwarded(request: &Request) -> Option<IpAddr> {
    let values = request.header("x-forwarded-for")?;
    let last = values.last().as_str().rsplit(',').next()?.trim();
    let address = last.parse::<SocketAddr>().map(|address| address.ip());
    address.or_else(|_| last.parse()).ok()
}

impl Address {
    fn is_calm(&self, now: Instant) -> bool {
        self.connections == 0 && self.streams == 0 && self.spent_until <= now
    }
}

impl Permit {
    /// From now on the connection waits for a request. ⚠ When there are too many connections, the one that has waited longest is
    /// closed for another: who only keeps connections keeps nobody out.
    pub(crate) fn waits(&self, now: Instant) -> Waiting<'_> {
        let (close, closed) = signal();
        let key = (now, self.number);
        let idle = Idle {
            counted: self.counted,
            _close: close,
        };
        self.admission.counts().waiting.insert(key, idle);
        Waiting {
            admission: &self.admission,
            key,
            closed,
        }
    }

    /// Who asks.
    pub(crate) fn origin(&self, request: &Request) -> Origin {
        let forwarded = forwarded(request).filter(|_| self.is_proxy).map(network);
        let client = forwarded
            .or(self.counted)
            .map_or(Client::Connection(self.number), Client::Network);
        Origin {
            admission: Arc::clone(&self.admission),
            client,
        }
    }
}

impl Origin {
    /// Lets the request in, or says why not.
    pub(crate) fn admit(&self, now: Instant) -> Result<(), Problem> {
        let Client::Network(network) = self.client else {
            return Ok(());
        };
        let limits = &self.admission.limits;
        let interval = Duration::from_secs(1) / limits.requests_per_second.max(1);
        let mut counts = self.admission.counts();
        let key = counts.entry(network, now);
        if let Some(address) = counts.addresses.get_mut(&key) {
            let spent_until = address.spent_until.max(now) + interval;
            if spent_until - now > interval * limits.burst {
                return Err(problem::too_many("requests"));
            }
            address.spent_until = spent_until;
        }
        Ok(())
    }

    pub(crate) fn client(&self) -> Client {
        self.client
    }

    pub(crate) fn turns(&self) -> &Arc<Turns> {
        &self.admission.turns
    }

    /// Lets a stream begin, or says why not.
    ///
    /// # Errors
    /// If there are too many.
    pub fn stream(&self, now: Instant) -> Result<StreamPermit, Problem> {
        let limits = &self.admission.limits;
        let mut counts = self.admission.counts();
        if counts.streams >= limits.streams {
            return Err(problem::busy());
        }
        let counted = match self.client {
            Client::Network(network) => Some(counts.entry(network, now)),
            Client::Connection(_) => None,
        };
        if let Some(address) = counted.and_then(|key| counts.addresses.get_mut(&key)) {
            if address.streams >= limits.streams_per_client {
                return Err(problem::too_many("streams"));
            }
            address.streams += 1;
        }
        counts.streams += 1;
        Ok(StreamPermit {
            admission: Arc::clone(&self.admission),
            counted,
        })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut counts = self.admission.counts();
        if !counts.closed.remove(&self.number) {
            counts.leave(self.counted);
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.admission.counts().waiting.remove(&self.key);
    }
}

impl Drop for StreamPermit {
    fn drop(&mut self) {
        let mut counts = self.admission.counts();
        counts.streams -= 1;
        if let Some(address) = self.counted.and_then(|of| counts.addresses.get_mut(&of)) {
            address.streams -= 1;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
