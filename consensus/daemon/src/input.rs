//! What comes in on a connection, cut into heads and bodies.
//!
//! The bytes after one request are kept for the next, so that clients may send several before they read: `async-h1` reads
//! through a buffer that it drops after each request.

use std::{future::pending, time::Duration};

use async_std::{future::timeout, io::ReadExt as _, net::TcpStream};
use guildmint_core::api::Problem;

use crate::{problem, signal::Signal, Limits};

/// Bytes of request line and headers: what `async-h1` parses. A longer head is answered 431.
pub(crate) const MAX_HEAD_BYTES: usize = 8 * 1024 - 1;

const END_OF_HEAD: &[u8] = b"\r\n\r\n";

const CHUNK_BYTES: usize = 8 * 1024;

/// Why a connection ends.
#[derive(Debug)]
pub(crate) enum End {
    /// The client is gone, or there is nothing more to say to it.
    Gone,
    /// The client is told this, and then the connection is closed.
    Refused(Problem),
}

impl From<std::io::Error> for End {
    fn from(_: std::io::Error) -> Self {
        Self::Gone
    }
}

impl From<Problem> for End {
    fn from(problem: Problem) -> Self {
        Self::Refused(problem)
    }
}

#[derive(Debug)]
pub(crate) struct Input {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Input {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            unread: Vec::new(),
        }
    }

    /// The head of the next request, with the empty line that ends it.
    pub(crate) async fn head(&mut self, limits: &Limits, stopped: &Signal) -> Result<Vec<u8>, End> {
        if self.unread.is_empty() {
            let first = timeout(limits.idle, self.fill());
            let first = stopped.or(first).await.ok_or(End::Gone)?;
            first.map_err(|_| End::Gone)??;
        }
        in_time(limits.head, "head", self.rest_of_head()).await
    }

    async fn rest_of_head(&mut self) -> Result<Vec<u8>, End> {
        let mut searched: usize = 0;
        loop {
            let from = searched.saturating_sub(END_OF_HEAD.len() - 1);
            let window = &self.unread[from..self.unread.len().min(MAX_HEAD_BYTES)];
            if let Some(at) = find(window, END_OF_HEAD) {
                let rest = self.unread.split_off(from + at + END_OF_HEAD.len());
                return Ok(std::mem::replace(&mut self.unread, rest));
            }
            searched = self.unread.len();
            if searched >= MAX_HEAD_BYTES {
                return Err(problem::head_too_large(MAX_HEAD_BYTES).into());
            }
            self.fill().await?;
        }
    }

    /// A body of this length.
    pub(crate) async fn body(&mut self, length: usize, limit: Duration) -> Result<Vec<u8>, End> {
        in_time(limit, "body", async {
            while self.unread.len() < length {
                self.fill().await?;
            }
            let rest = self.unread.split_off(length);
            Ok(std::mem::replace(&mut self.unread, rest))
        })
        .await
    }

    /// Waits until the client closes. What it sends instead is kept, up to a head's length; beyond it nobody looks any more.
    pub(crate) async fn gone(&mut self) {
        while self.unread.len() < MAX_HEAD_BYTES {
            if self.fill().await.is_err() {
                return;
            }
        }
        pending::<()>().await;
    }

    async fn fill(&mut self) -> Result<(), End> {
        let mut chunk = [0; CHUNK_BYTES];
        let count = self.stream.read(&mut chunk).await?;
        if count == 0 {
            return Err(End::Gone);
        }
        self.unread.extend_from_slice(&chunk[..count]);
        Ok(())
    }

    /// Reads until the client closes, for a while: a connection closed with bytes unread is reset, and the client may lose what
    /// it was told last.
    pub(crate) async fn drain(mut self, limit: Duration) {
        let to_the_end = async {
            while self.fill().await.is_ok() {
                self.unread.clear();
            }
        };
        let _ = timeout(limit, to_the_end).await;
    }
}

async fn in_time<T>(
    limit: Duration,
    what: &str,
    future: impl std::future::Future<Output = Result<T, End>>,
) -> Result<T, End> {
    match timeout(limit, future).await {
        Ok(result) => result,
        Err(_) => Err(problem::too_slow(what).into()),
    }
}

fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes
        .windows(pattern.len())
        .position(|window| window == pattern)
}
