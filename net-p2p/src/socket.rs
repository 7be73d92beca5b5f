//! A TCP stream that notices when nothing gets through any more.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::pin::Pin;
use std::sync::{
    atomic::{AtomicU64, Ordering},
    Arc,
};
use std::task::{ready, Context, Poll};
use std::time::Duration;

use async_io::{Async, Timer};
use futures::{AsyncRead, AsyncWrite, FutureExt};

/// A connection into which nothing could be written for so long is dead.
pub(crate) const STALL_TIMEOUT: Duration = Duration::from_secs(10);

/// A TCP stream whose writes fail when they have waited too long.
///
/// A connection is closed by writing what is left and a farewell. If the peer vanished without a word while the
/// system's buffer was full, that would take until the system gives up, a quarter of an hour, and for so long the peer
/// would count as connected and could not come back.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: Async<TcpStream>,
    patience: Duration,
    stalled: Option<Timer>,
    /// Counts the bytes that were written.
    sent_bytes: Arc<AtomicU64>,
}

impl Socket {
    pub(crate) fn new(stream: Async<TcpStream>, patience: Duration) -> io::Result<Self> {
        stream.get_ref().set_nodelay(true)?;
        Ok(Self {
            stream,
            patience,
            stalled: None,
            sent_bytes: Arc::default(),
        })
    }

    /// Counts the bytes it writes from here on, together with others.
    pub(crate) fn counting(self, sent_bytes: Arc<AtomicU64>) -> Self {
        Self { sent_bytes, ..self }
    }

    /// Fails once the stream has been waiting for its time.
    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let patience = self.patience;
        let timer = self.stalled.get_or_insert_with(|| Timer::after(patience));
        ready!(timer.poll_unpin(cx));
        // Every later write fails at once too.
        let _ = self.stream.get_ref().shutdown(Shutdown::Both);
        self.stalled = None;
        Poll::Ready(io::ErrorKind::TimedOut.into())
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write(cx, bytes) {
            Poll::Ready(written) => {
                self.stalled = None;
                let bytes = written.as_ref().map_or(0, |bytes| *bytes as u64);
                self.sent_bytes.fetch_add(bytes, Ordering::Relaxed);
                Poll::Ready(written)
            }
            Poll::Pending => self.poll_stalled(cx).map(Err),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use futures::AsyncWriteExt;

    use super::*;

    #[test]
    fn what_is_written_is_counted() {
        async_io::block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let stream = Async::<TcpStream>::connect(listener.local_addr().unwrap())
                .await
                .unwrap();
            let sent = Arc::new(AtomicU64::new(5));
            let socket = Socket::new(stream, STALL_TIMEOUT).unwrap();
            let mut socket = socket.counting(Arc::clone(&sent));
            socket.write_all(&[0; 100]).await.unwrap();
            assert_eq!(sent.load(Ordering::Relaxed), 105);
        });
    }

    #[test]
    fn writing_to_nobody_fails_in_time_and_for_good() {
        async_io::block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let stream = Async::<TcpStream>::connect(listener.local_addr().unwrap())
                .await
                .unwrap();
            let mut socket = Socket::new(stream, Duration::from_millis(50)).unwrap();
            let error = loop {
                if let Err(error) = socket.write_all(&[0; 65_536]).await {
                    break error;
                }
            };
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            assert!(socket.write_all(&[0]).await.is_err());
        });
    }
}
