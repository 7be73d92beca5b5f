//! Something that happens once and is seen by all who wait for it.

use std::{convert::Infallible, future::Future, pin::pin};

use async_std::channel::{bounded, Receiver, Sender};
use futures::future::{select, Either};

/// Raises the signal when it is dropped, with all its clones.
#[derive(Debug, Clone)]
pub(crate) struct Trigger(#[allow(dead_code, reason = "held, not read")] Sender<Infallible>);

/// The waiting side.
#[derive(Debug, Clone)]
pub(crate) struct Signal(Receiver<Infallible>);

pub(crate) fn signal() -> (Trigger, Signal) {
    let (sender, receiver) = bounded(1);
    (Trigger(sender), Signal(receiver))
}

impl Signal {
    /// Waits for it.
    pub(crate) async fn raised(&self) {
        // Nothing can be sent, so this ends when the senders are gone.
        let _ = self.0.recv().await;
    }

    pub(crate) fn is_raised(&self) -> bool {
        self.0.is_closed()
    }

    /// What the future comes to, unless the signal is raised before.
    pub(crate) async fn or<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        match select(pin!(self.raised()), pin!(future)).await {
            Either::Left(_) => None,
            Either::Right((value, _)) => Some(value),
        }
    }
}
