//! One thread reads and writes, in the order in which it was asked.
//!
//! Threads of the Lightning library wait here for a disk. They wait on a channel, and never inside an executor, so no number of them can keep the one
//! thread from getting on.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::{pin, Pin},
    sync::{
        mpsc::{sync_channel, Receiver, SyncSender, TryRecvError},
        Arc,
    },
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
};

use futures::channel::oneshot;
use guildmint_core::ledger::{Changes, Key};
use guildmint_store::{Loaded, Read, Store};

use crate::{witness::Witness, OnLoss, OpenError, StoreLost};

/// Saves that become one, so that one sync serves them all. More of them wait for the next.
pub const MAX_GROUP: usize = 256;
/// Requests that wait for the thread. Whoever asks beyond that waits until there is room.
pub const MAX_WAITING: usize = 1024;

enum Request {
    Load(Vec<Read>, oneshot::Sender<Result<Loaded, StoreLost>>),
    LoadPrefix(Vec<u8>, oneshot::Sender<Result<Rows, StoreLost>>),
    Save(Changes, oneshot::Sender<Result<(), StoreLost>>),
    Close(oneshot::Sender<Result<(), StoreLost>>),
}

type Rows = BTreeMap<Key, Vec<u8>>;

/// A gateway's database. Clones are the same one. ⚠ Calls block until the disk has answered.
#[derive(Clone)]
pub struct GatewayStore {
    requests: SyncSender<Request>,
}

/// A save under way; its place in the order is taken. Wait for it, or await it.
#[must_use = "what is not durable yet must have no consequences"]
pub struct Saving(oneshot::Receiver<Result<(), StoreLost>>);

/// Waits in this thread. Executors refuse to wait within themselves; callers may be in one.
fn wait<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let (mut future, mut context) = (pin!(future), Context::from_waker(&waker));
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

impl Saving {
    /// Waits until it is durable.
    ///
    /// # Errors
    /// If the database is lost.
    pub fn wait(self) -> Result<(), StoreLost> {
        wait(self)
    }
}

impl Future for Saving {
    type Output = Result<(), StoreLost>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = Pin::new(&mut self.0).poll(context);
        answer.map(|answer| answer.unwrap_or_else(|_| Err(StoreLost::closed())))
    }
}

impl GatewayStore {
    /// Reads, after all saves that were begun before.
    ///
    /// # Errors
    /// If the database is lost.
    pub fn load(&self, reads: Vec<Read>) -> Result<Loaded, StoreLost> {
        self.ask(|reply| Request::Load(reads, reply))
    }

    /// Reads one row.
    ///
    /// # Errors
    /// If the database is lost. ⚠ A row that is not there is no error, and an error is no row that is not there.
    pub fn get(&self, key: Key) -> Result<Option<Vec<u8>>, StoreLost> {
        let mut loaded = self.load(vec![Read::Key(key.clone())])?;
        Ok(loaded.remove(&key).flatten())
    }

    /// Reads all rows whose keys start with `prefix`: for tables that are small, and at the start.
    ///
    /// # Errors
    /// If the database is lost.
    pub fn load_prefix(&self, prefix: &[u8]) -> Result<Rows, StoreLost> {
        self.ask(|reply| Request::LoadPrefix(prefix.to_vec(), reply))
    }

    /// Makes changes durable, all or none.
    ///
    /// # Errors
    /// If the database is lost.
    pub fn save(&self, changes: Changes) -> Result<(), StoreLost> {
        self.begin(changes).wait()
    }

    /// Begins a save. Its place among others is that of this call, whenever it is waited for.
    pub fn begin(&self, changes: Changes) -> Saving {
        let (reply, answer) = oneshot::channel();
        // Without its thread the reply is dropped, which the receiver tells.
        let _ = self.requests.send(Request::Save(changes, reply));
        Saving(answer)
    }

    /// Closes the database after all that was asked for before. Calls after it fail.
    ///
    /// # Errors
    /// If it was closed before, or cannot be closed in order.
    pub fn close(&self) -> Result<(), StoreLost> {
        self.ask(Request::Close)
    }

    fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, StoreLost>>) -> Request,
    ) -> Result<T, StoreLost> {
        let (reply, answer) = oneshot::channel();
        let _ = self.requests.send(request(reply));
        wait(answer).unwrap_or_else(|_| Err(StoreLost::closed()))
    }
}

pub(crate) fn start(
    store: Box<dyn Store>,
    witness: Witness,
    on_loss: OnLoss,
) -> Result<GatewayStore, OpenError> {
    let (requests, waiting) = sync_channel(MAX_WAITING);
    let thread = Writer {
        store,
        witness,
        waiting,
        next: None,
        lost: None,
        on_loss,
    };
    thread::Builder::new()
        .name("gateway-store".to_owned())
        .spawn(move || thread.run())
        .map_err(OpenError::Thread)?;
    Ok(GatewayStore { requests })
}

struct Writer {
    store: Box<dyn Store>,
    witness: Witness,
    waiting: Receiver<Request>,
    /// Taken off the queue while a group was gathered.
    next: Option<Request>,
    lost: Option<StoreLost>,
    on_loss: Arc<dyn Fn(&StoreLost) + Send + Sync>,
}

impl Writer {
    fn run(mut self) {
        while let Some(request) = self.next.take().or_else(|| self.waiting.recv().ok()) {
            // Whoever no longer waits for an answer gets none.
            match request {
                Request::Load(reads, reply) => {
                    let _ = reply.send(self.load(reads));
                }
                Request::LoadPrefix(prefix, reply) => {
                    let _ = reply.send(self.load_prefix(&prefix));
                }
                Request::Save(changes, reply) => self.save(changes, reply),
                Request::Close(reply) => {
                    let closed = async_std::task::block_on(self.store.close());
                    let _ = reply.send(closed.map_err(|error| StoreLost::from(&error)));
                    return;
                }
            }
        }
    }

    fn load(&self, reads: Vec<Read>) -> Result<Loaded, StoreLost> {
        self.still_there()?;
        let loaded = async_std::task::block_on(self.store.load(reads));
        loaded.map_err(|error| StoreLost::from(&error))
    }

    fn load_prefix(&self, prefix: &[u8]) -> Result<Rows, StoreLost> {
        self.still_there()?;
        let loaded = async_std::task::block_on(self.store.load_prefix(prefix));
        loaded.map_err(|error| StoreLost::from(&error))
    }

    fn still_there(&self) -> Result<(), StoreLost> {
        self.lost.clone().map_or(Ok(()), Err)
    }

    /// Saves this and all saves that wait right behind it, as one.
    fn save(&mut self, changes: Changes, reply: oneshot::Sender<Result<(), StoreLost>>) {
        let (mut group, mut replies) = (changes, vec![reply]);
        while replies.len() < MAX_GROUP {
            match self.waiting.try_recv() {
                Ok(Request::Save(changes, reply)) => {
                    // Later changes of a row replace earlier ones.
                    group.extend(changes);
                    replies.push(reply);
                }
                Ok(other) => {
                    self.next = Some(other);
                    break;
                }
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            }
        }
        let saved = self.still_there().and_then(|()| {
            group.extend([self.witness.next()]);
            let saved = async_std::task::block_on(self.store.save(group));
            saved.map_err(|error| StoreLost::from(&error))?;
            self.witness.saved()
        });
        if let (Err(lost), None) = (&saved, &self.lost) {
            tracing::error!(%lost, "the gateway's database is lost");
            self.lost = Some(lost.clone());
            (self.on_loss)(lost);
        }
        for reply in replies {
            let _ = reply.send(saved.clone());
        }
    }
}
