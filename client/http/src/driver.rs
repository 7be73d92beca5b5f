//! The loop around the pure client: one bounded channel of events, and actions carried out in order.

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use async_std::{
    channel::{bounded, Receiver, Sender},
    future::timeout,
    task,
};
use bitcoin::Script;
use guildmint_client::{
    Action, Alarm, ChainNews, Client, ClientError, Command, Event, Millis, OperationId, Reply,
    Ticket,
};
use guildmint_core::ledger::Changes;
use thiserror::Error;

use crate::{Gateways, Guardians};

/// Events that may wait. Whoever brings more waits with them.
const QUEUE: usize = 256;

/// Where changes become durable.
pub trait Disk {
    /// Why they do not.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Makes all changes durable, or none.
    ///
    /// # Errors
    /// If that is not possible. The wallet then stops: nothing that depends on them has happened.
    fn save(&mut self, changes: &Changes) -> impl Future<Output = Result<(), Self::Error>>;
}

/// Where payments to an address are seen. Calls may block; they are made on threads of their own.
pub trait ChainSource: Send + Sync + 'static {
    /// All payments to a script, with proofs.
    ///
    /// # Errors
    /// If the source cannot say, in words.
    fn find(&self, script: &Script) -> Result<ChainNews, String>;
}

/// Why a wallet cannot go on.
#[derive(Debug, Error)]
pub enum DriverError<E> {
    /// Changes cannot be saved. What is saved is safe, and goes on when the program is started again.
    #[error(transparent)]
    Disk(E),
    /// The user has had enough.
    #[error("interrupted")]
    Interrupted,
    /// The command failed.
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// How waiting ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waited {
    /// What was waited for is there.
    Done,
    /// It did not come in time.
    TimedOut,
}

enum Incoming {
    Event(Event),
    Interrupt,
}

/// Ends the loop from elsewhere, such as a signal handler.
#[derive(Debug, Clone)]
pub struct Interrupter(Sender<Incoming>);

impl Interrupter {
    /// Makes whoever drives the wallet get [`DriverError::Interrupted`].
    pub fn interrupt(&self) {
        // A full queue is being worked off, so the next try will find room.
        let _ = self.0.try_send(Incoming::Interrupt);
    }
}

/// A wallet with a network, a disk and a clock.
pub struct Driver<D> {
    client: Client,
    guardians: Guardians,
    gateways: Gateways,
    disk: D,
    chain: Option<Arc<dyn ChainSource>>,
    sender: Sender<Incoming>,
    incoming: Receiver<Incoming>,
    alarm: Alarm,
    last_ticket: u64,
    replies: Vec<(Ticket, Result<Reply, ClientError>)>,
    changed: Vec<OperationId>,
}

impl<D: Disk> Driver<D> {
    /// A wallet that begins at its first command or wait: then everything that is pending goes on.
    #[must_use]
    pub fn new(client: Client, disk: D, chain: Option<Arc<dyn ChainSource>>) -> Self {
        let (sender, incoming) = bounded(QUEUE);
        Self {
            guardians: Guardians::new(client.apis().clone()),
            gateways: Gateways::new(),
            client,
            disk,
            chain,
            sender,
            incoming,
            alarm: Alarm::default(),
            last_ticket: 0,
            replies: Vec::new(),
            changed: Vec::new(),
        }
    }

    /// Looks at the chain here from now on.
    pub fn use_chain(&mut self, chain: Arc<dyn ChainSource>) {
        self.chain = Some(chain);
    }

    /// The wallet, to look at.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The disk, to close it at the end.
    #[must_use]
    pub fn into_disk(self) -> D {
        self.disk
    }

    /// What ends the loop from elsewhere.
    #[must_use]
    pub fn interrupter(&self) -> Interrupter {
        Interrupter(self.sender.clone())
    }

    /// Operations that changed since this was last called.
    pub fn take_changed(&mut self) -> Vec<OperationId> {
        std::mem::take(&mut self.changed)
    }

    /// Gives a command and waits for its reply.
    ///
    /// # Errors
    /// If the command fails, or the wallet cannot go on.
    pub async fn command(&mut self, command: Command) -> Result<Reply, DriverError<D::Error>> {
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        self.feed(Event::Command { ticket, command }).await?;
        loop {
            if let Some(place) = self.replies.iter().position(|(one, _)| *one == ticket) {
                return Ok(self.replies.swap_remove(place).1?);
            }
            self.turn(None).await?;
        }
    }

    /// Goes on until `done`, which is asked again after each event, or the deadline.
    ///
    /// # Errors
    /// If the wallet cannot go on.
    pub async fn until(
        &mut self,
        deadline: Option<Instant>,
        mut done: impl FnMut(&Client) -> bool,
    ) -> Result<Waited, DriverError<D::Error>> {
        self.time().await?;
        while !done(&self.client) {
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Ok(Waited::TimedOut);
            }
            self.turn(deadline).await?;
        }
        Ok(Waited::Done)
    }

    /// Waits for one event, the next time to wake, or the deadline.
    async fn turn(&mut self, deadline: Option<Instant>) -> Result<(), DriverError<D::Error>> {
        let wake = self.alarm.wait_ms(now()).map(Duration::from_millis);
        let end = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let longest = Duration::from_secs(3600);
        let patience = wake.into_iter().chain(end).min().unwrap_or(longest);
        match timeout(patience, self.incoming.recv()).await {
            Ok(Ok(Incoming::Event(event))) => self.feed(event).await,
            Ok(Ok(Incoming::Interrupt)) => Err(DriverError::Interrupted),
            // We hold a sender, so the channel stays open.
            Ok(Err(_)) | Err(_) => self.time().await,
        }
    }

    async fn time(&mut self) -> Result<(), DriverError<D::Error>> {
        let actions = self.tell_time();
        self.act(actions).await
    }

    fn tell_time(&mut self) -> Vec<Action> {
        let now = now();
        self.alarm.told(now);
        self.client.handle(Event::Time { now })
    }

    async fn feed(&mut self, event: Event) -> Result<(), DriverError<D::Error>> {
        let mut actions = self.tell_time();
        actions.extend(self.client.handle(event));
        self.act(actions).await
    }

    async fn act(&mut self, actions: Vec<Action>) -> Result<(), DriverError<D::Error>> {
        let mut actions = std::collections::VecDeque::from(actions);
        while let Some(action) = actions.pop_front() {
            match action {
                Action::Save { save, changes } => {
                    self.disk.save(&changes).await.map_err(DriverError::Disk)?;
                    actions.extend(self.client.handle(Event::Saved { save }));
                }
                Action::Request {
                    request,
                    peer,
                    body,
                } => {
                    let (guardians, sender) = (self.guardians.clone(), self.sender.clone());
                    task::spawn(async move {
                        let result = guardians.ask(peer, &body).await;
                        let event = Event::Answer { request, result };
                        // Nobody listens once the program ends.
                        let _ = sender.send(Incoming::Event(event)).await;
                    });
                }
                Action::AskGateway { request, url, call } => {
                    let (gateways, sender) = (self.gateways.clone(), self.sender.clone());
                    task::spawn(async move {
                        let result = gateways.ask(&url, &call).await;
                        let event = Event::Gateway { request, result };
                        let _ = sender.send(Incoming::Event(event)).await;
                    });
                }
                Action::FindDeposits { operation, script } => {
                    let (chain, sender) = (self.chain.clone(), self.sender.clone());
                    task::spawn(async move {
                        let result = match chain {
                            Some(chain) => task::spawn_blocking(move || chain.find(&script)).await,
                            None => Err("no Electrum server is known".to_owned()),
                        };
                        let event = Event::Chain { operation, result };
                        let _ = sender.send(Incoming::Event(event)).await;
                    });
                }
                Action::UseAddresses { apis } => self.guardians.use_addresses(apis),
                Action::WakeAt { at } => self.alarm.set(at),
                Action::Reply { ticket, result } => self.replies.push((ticket, result)),
                Action::Progress { operation } => self.changed.push(operation),
            }
        }
        Ok(())
    }
}

/// The time. Before 1970 it is 1970.
fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let ms = since.map_or(0, |since| since.as_millis());
    Millis(u64::try_from(ms).unwrap_or(u64::MAX))
}
