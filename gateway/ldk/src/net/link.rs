//! One connection, as LDK writes to it and as its task waits for it.

use std::{
    hash::{Hash, Hasher},
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    sync::{
        atomic::{AtomicU64, Ordering},
        Arc, Mutex, MutexGuard, PoisonError,
    },
    task::{Context, Poll},
};

use async_io::Async;
use futures::task::AtomicWaker;
use lightning::ln::peer_handler::SocketDescriptor;

/// A connection. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Link(Arc<Inner>);

struct Inner {
    /// Never used twice while the program runs, as LDK wants.
    number: u64,
    socket: Async<TcpStream>,
    state: Mutex<State>,
    task: AtomicWaker,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    /// LDK has too much to write to take more in.
    reads_paused: bool,
    /// LDK has something that the socket did not take.
    has_more: bool,
    is_closing: bool,
}

/// What a connection is ready for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ready {
    Read,
    Write,
    Closed,
}

impl Link {
    pub(crate) fn new(socket: Async<TcpStream>) -> Self {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        Self(Arc::new(Inner {
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            socket,
            state: Mutex::default(),
            task: AtomicWaker::new(),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For its one task: what comes next.
    pub(crate) fn poll_ready(&self, context: &mut Context<'_>) -> Poll<Ready> {
        // Before the state is looked at: a change after that wakes the task again.
        self.0.task.register(context.waker());
        let state = *self.state();
        if state.is_closing {
            return Poll::Ready(Ready::Closed);
        }
        if state.has_more && self.0.socket.poll_writable(context).is_ready() {
            self.state().has_more = false;
            return Poll::Ready(Ready::Write);
        }
        if !state.reads_paused && self.0.socket.poll_readable(context).is_ready() {
            return Poll::Ready(Ready::Read);
        }
        Poll::Pending
    }

    /// Reads what is there.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.socket.get_ref().read(buffer)
    }

    fn write(&self, data: &[u8]) -> usize {
        let mut written = 0;
        while written < data.len() {
            match self.0.socket.get_ref().write(&data[written..]) {
                Ok(bytes) if bytes > 0 => written += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Full, or gone; the task will read of the latter.
                Ok(_) | Err(_) => break,
            }
        }
        written
    }

    /// Ends the connection without a word to LDK.
    pub(crate) fn close(&self) {
        self.state().is_closing = true;
        let _ = self.0.socket.get_ref().shutdown(Shutdown::Both);
        self.0.task.wake();
    }
}

/// ⚠ LDK holds locks while it calls: nothing here waits, and nothing calls LDK.
impl SocketDescriptor for Link {
    fn send_data(&mut self, data: &[u8], continue_read: bool) -> usize {
        let written = self.write(data);
        let mut state = self.state();
        let must_wake = written < data.len() || (state.reads_paused && continue_read);
        state.has_more |= written < data.len();
        state.reads_paused = !continue_read;
        drop(state);
        if must_wake {
            self.0.task.wake();
        }
        written
    }

    fn disconnect_socket(&mut self) {
        self.close();
    }
}

impl PartialEq for Link {
    fn eq(&self, other: &Self) -> bool {
        self.0.number == other.0.number
    }
}

impl Eq for Link {}

impl Hash for Link {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.number.hash(state);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{future::poll_fn, net::TcpListener};

    use super::*;

    fn pair() -> (Link, TcpStream) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let other = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (
            Link::new(Async::new(listener.accept().unwrap().0).unwrap()),
            other,
        )
    }

    fn ready(link: &Link) -> Ready {
        async_io::block_on(poll_fn(|context| link.poll_ready(context)))
    }

    fn is_pending(link: &Link) -> bool {
        let mut context = Context::from_waker(futures::task::noop_waker_ref());
        link.poll_ready(&mut context).is_pending()
    }

    #[test]
    fn what_the_socket_does_not_take_is_written_later() {
        let (mut link, mut other) = pair();
        let data = vec![7; 16 << 20];
        let written = link.send_data(&data, true);
        assert!(written > 0 && written < data.len(), "{written}");
        assert_eq!(link.send_data(&data[written..], true), 0);
        let mut read = vec![0; written];
        other.read_exact(&mut read).unwrap();
        assert_eq!(ready(&link), Ready::Write);
        assert!(link.send_data(&data[written..], true) > 0);
    }

    #[test]
    fn nothing_is_read_while_reading_is_paused() {
        let (mut link, mut other) = pair();
        assert_eq!(link.send_data(&[], false), 0);
        other.write_all(&[1, 2, 3]).unwrap();
        // What arrived is known by a link that is not paused.
        let (seen, mut its_other) = pair();
        its_other.write_all(&[1]).unwrap();
        assert_eq!(ready(&seen), Ready::Read);
        assert!(is_pending(&link));
        link.send_data(&[], true);
        assert_eq!(ready(&link), Ready::Read);
        let mut buffer = [0; 9];
        assert_eq!(link.read(&mut buffer).unwrap(), 3);
    }

    #[test]
    fn a_link_that_ldk_closes_is_closed_for_its_task_and_the_peer() {
        let (mut link, mut other) = pair();
        link.disconnect_socket();
        assert_eq!(ready(&link), Ready::Closed);
        assert_eq!(other.read(&mut [0; 9]).unwrap(), 0);
    }

    #[test]
    fn links_are_told_apart() {
        let (one, _other) = pair();
        let (two, _another) = pair();
        assert!(one == one.clone() && one != two);
    }
}
