//! One signal that ends everything.

use std::{
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::Duration,
};

use futures::{channel::oneshot, future::Shared, FutureExt as _};

/// Set once. Threads wait for it with a time limit, tasks await it.
#[derive(Clone)]
pub(crate) struct Stop {
    inner: Arc<Inner>,
    future: Shared<oneshot::Receiver<()>>,
}

struct Inner {
    sender: Mutex<Option<oneshot::Sender<()>>>,
    set: Condvar,
}

impl Stop {
    pub(crate) fn new() -> Self {
        let (sender, receiver) = oneshot::channel();
        let inner = Inner {
            sender: Mutex::new(Some(sender)),
            set: Condvar::new(),
        };
        Self {
            inner: Arc::new(inner),
            future: receiver.shared(),
        }
    }

    pub(crate) fn set(&self) {
        let mut sender = self
            .inner
            .sender
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // Tasks that wait are woken by the sender's end.
        drop(sender.take());
        drop(sender);
        self.inner.set.notify_all();
    }

    pub(crate) fn is_set(&self) -> bool {
        let sender = self
            .inner
            .sender
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        sender.is_none()
    }

    /// Waits for it, or for a time. Whether it is set.
    pub(crate) fn wait_for(&self, limit: Duration) -> bool {
        let sender = self
            .inner
            .sender
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .inner
            .set
            .wait_timeout_while(sender, limit, |sender| sender.is_some());
        let (sender, _) = waited.unwrap_or_else(PoisonError::into_inner);
        sender.is_none()
    }

    /// Ends when it is set.
    pub(crate) fn wait(&self) -> Shared<oneshot::Receiver<()>> {
        self.future.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_who_wait_are_told() {
        let stop = Stop::new();
        assert!(!stop.is_set() && !stop.wait_for(Duration::ZERO));
        let waiting = stop.wait();
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| stop.wait_for(Duration::from_secs(60)));
            stop.set();
            assert_eq!(thread.join().ok(), Some(true));
        });
        assert!(async_io::block_on(waiting).is_err());
        assert!(stop.is_set());
    }
}
