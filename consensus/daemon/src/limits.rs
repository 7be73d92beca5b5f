use std::{net::IpAddr, time::Duration};

use guildmint_core::limits::{MAX_TRANSACTION_BYTES, MAX_WAIT_SECONDS};

/// Bytes of a request's body: a transaction as JSON, whose hexadecimal doubles it and whose names come on top. A larger body is
/// answered 413 without being read.
pub const MAX_BODY_BYTES: usize = 3 * MAX_TRANSACTION_BYTES;

/// What a listener bears before it defends itself, and how (SPEC API-2). Memory is bounded by `connections` times the sum of
/// body and head; that is 200 MB with the defaults if an attacker fills all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time. Further ones are answered 503 and closed.
    pub connections: usize,
    /// Connections at a time from one address, or one IPv6 network of 64 bits. Further ones are answered 429 and closed.
    pub connections_per_address: usize,
    /// Requests per second from one address on average. Further ones are answered 429 and the connection is closed.
    pub requests_per_second: u32,
    /// Requests from one address that may come at once.
    pub burst: u32,
    /// Whether the limits per address hold for this machine too. Off by default: a reverse proxy speaks for many clients and has
    /// limits of its own.
    pub limit_loopback: bool,
    /// Proxies that are believed when they say for whom they ask, by the last address in `X-Forwarded-For`. Limits per address and
    /// turns then go by that address. None by default: anybody can write such a header.
    pub trusted_proxies: Vec<IpAddr>,
    /// Requests that are worked on at a time; clients take turns, so that each waits for others and not for how much they send.
    /// Waiting for a transaction takes no turn.
    pub turns: usize,
    /// Of these, one client's. A connection whose address says nothing is a client of its own.
    pub turns_per_client: usize,
    /// Streams of events at a time. Further ones are answered 503.
    pub streams: usize,
    /// Streams of events of one client. Further ones are answered 429.
    pub streams_per_client: usize,
    /// Until a piece of a stream is taken. After it the connection is cut.
    pub stream_write: Duration,
    /// Bytes of a body. Beyond them the answer is 413.
    pub body_bytes: usize,
    /// Until a request's head has come, from its first byte on. After it the answer is 408.
    pub head: Duration,
    /// Until a request's body has come. After it the answer is 408.
    pub body: Duration,
    /// Until a request is answered; longer than clients may ask to wait. After it the answer is 503.
    pub request: Duration,
    /// Until the answer is taken. After it the connection is cut.
    pub response: Duration,
    /// Until the next request begins. After it the connection is closed.
    pub idle: Duration,
    /// For requests under way when the listener is stopped. After it they are cut.
    pub stop: Duration,
    /// For a client to read the last answer before its connection is closed.
    pub linger: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            connections_per_address: 64,
            requests_per_second: 50,
            burst: 200,
            limit_loopback: false,
            trusted_proxies: Vec::new(),
            turns: 128,
            turns_per_client: 16,
            streams: 128,
            streams_per_client: 8,
            stream_write: Duration::from_secs(10),
            body_bytes: MAX_BODY_BYTES,
            head: Duration::from_secs(10),
            body: Duration::from_secs(30),
            request: Duration::from_secs(MAX_WAIT_SECONDS + 15),
            response: Duration::from_secs(60),
            idle: Duration::from_secs(75),
            stop: Duration::from_secs(20),
            linger: Duration::from_secs(2),
        }
    }
}
