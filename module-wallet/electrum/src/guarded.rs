//! Streams on which every request ends.
//!
//! The client library reads lines of any length for any time, and indexes whatever JSON it gets, which panics unless that
//! is an object. So one stream under it counts bytes and ends when a line is no object, and another one under that, and
//! under TLS, watches the clock.

use std::{
    io::{Error, ErrorKind, Read, Result, Write},
    net::TcpStream,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Bytes that a server may send in answer to one request: the largest transaction that nodes relay has 400,000, which are
/// twice as many in hexadecimal. JSON takes up to sixteen times its length in memory.
const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// When the request under way must be answered.
#[derive(Clone)]
pub struct Deadline(Arc<Mutex<Instant>>);

impl Deadline {
    /// So long from now.
    pub fn new(timeout: Duration) -> Self {
        Self(Arc::new(Mutex::new(Instant::now() + timeout)))
    }

    fn reset(&self, timeout: Duration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now() + timeout;
    }

    fn remaining(&self) -> Result<Duration> {
        let deadline = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let remaining = deadline.saturating_duration_since(Instant::now());
        if remaining.is_zero() {
            return Err(late());
        }
        Ok(remaining)
    }
}

fn late() -> Error {
    Error::new(ErrorKind::TimedOut, "no answer in time")
}

/// A socket whose time is up says that it would block.
fn timed_out(error: Error) -> Error {
    match error.kind() {
        ErrorKind::WouldBlock => late(),
        _ => error,
    }
}

/// A socket that gives up at its deadline, however many single bytes come until then.
pub struct Clocked {
    socket: TcpStream,
    deadline: Deadline,
}

impl Clocked {
    /// Watches the clock over a socket.
    pub fn new(socket: TcpStream, deadline: Deadline) -> Self {
        Self { socket, deadline }
    }
}

impl Read for Clocked {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let remaining = self.deadline.remaining()?;
        self.socket.set_read_timeout(Some(remaining))?;
        self.socket.read(buffer).map_err(timed_out)
    }
}

impl Write for Clocked {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let remaining = self.deadline.remaining()?;
        self.socket.set_write_timeout(Some(remaining))?;
        self.socket.write(bytes).map_err(timed_out)
    }

    fn flush(&mut self) -> Result<()> {
        self.socket.flush()
    }
}

/// A plain or secure connection.
pub trait Stream: Read + Write + Send {}

impl<S: Read + Write + Send> Stream for S {}

/// A connection on which answers are lines of bounded length, each an object.
pub struct Guarded {
    stream: Box<dyn Stream>,
    deadline: Deadline,
    request_timeout: Duration,
    answer_bytes: usize,
    line_start: bool,
}

impl Guarded {
    /// Guards a stream with this deadline at its bottom.
    pub fn new(stream: Box<dyn Stream>, deadline: Deadline, request_timeout: Duration) -> Self {
        Self {
            stream,
            deadline,
            request_timeout,
            answer_bytes: 0,
            line_start: true,
        }
    }

    fn check(&mut self, answer: &[u8]) -> Result<()> {
        self.answer_bytes = self.answer_bytes.saturating_add(answer.len());
        if self.answer_bytes > MAX_ANSWER_BYTES {
            return Err(Error::new(ErrorKind::InvalidData, "the answer is too long"));
        }
        for byte in answer {
            if self.line_start && *byte != b'{' {
                return Err(Error::new(
                    ErrorKind::InvalidData,
                    "the answer is no object",
                ));
            }
            self.line_start = *byte == b'\n';
        }
        Ok(())
    }
}

impl Read for Guarded {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let count = self.stream.read(buffer)?;
        if count == 0 && !buffer.is_empty() {
            return Err(Error::new(ErrorKind::UnexpectedEof, "the server hung up"));
        }
        self.check(buffer.get(..count).unwrap_or_default())?;
        Ok(count)
    }
}

impl Write for Guarded {
    /// A request begins: its time and its bytes count from here.
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.deadline.reset(self.request_timeout);
        self.answer_bytes = 0;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> Result<()> {
        self.stream.flush()
    }
}
