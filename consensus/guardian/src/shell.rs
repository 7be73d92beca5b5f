//! The loop around the node: an input comes, the node is told, and what it wants done is done. No decision is made here.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use async_std::{
    channel::{Receiver, Sender},
    future::timeout,
    task,
};
use futures::channel::oneshot;
use guildmint_core::{module::Fault, PeerId};
use guildmint_engine::{
    node::{Action, Event, Reply, Request, Ticket, Topic},
    Node,
};
use guildmint_net_p2p::{Channel, Held, Network};
use guildmint_store::StoreError;

use crate::{checkers::Check, metrics::Metrics, store_worker::StoreJob, world::Worlds};

/// Inputs that may wait for the loop. Whoever brings more waits.
pub(crate) const MAX_INPUTS: usize = 256;

/// How often a guardian's faults are logged at most; the rest are counted.
const FAULT_LOG_INTERVAL: Duration = Duration::from_secs(10);

/// What comes into the loop.
pub(crate) enum Input {
    /// For the node.
    Event(Event),
    /// For the node, from a peer, whose room for messages it takes until it is handled.
    Heard(Event, Held),
    /// A client asks the node.
    Ask {
        request: Request,
        reply: oneshot::Sender<Reply>,
    },
    /// The database cannot be relied on any more.
    StoreFailed(StoreError),
    /// The operator wants it to stop.
    Stop,
}

/// Those who carry out what the node wants. None of them ever makes the loop wait.
pub(crate) struct Hands {
    pub(crate) store: Sender<StoreJob>,
    pub(crate) checkers: Sender<Check>,
    pub(crate) network: Network,
    pub(crate) gossip: Sender<(Channel, Vec<u8>)>,
    /// Where the config says that the others are.
    pub(crate) configured: BTreeMap<PeerId, Vec<String>>,
    pub(crate) worlds: Worlds,
}

pub(crate) struct Shell {
    node: Node,
    began: Instant,
    inputs: Receiver<Input>,
    hands: Hands,
    metrics: Arc<Metrics>,
    replies: BTreeMap<Ticket, oneshot::Sender<Reply>>,
    next_ticket: u64,
    wake_at_ms: Option<u64>,
    faults: BTreeMap<PeerId, FaultLog>,
    /// Of the messages that are being handled.
    held: Vec<Held>,
}

#[derive(Default)]
struct FaultLog {
    logged: Option<Instant>,
    unlogged: u64,
}

impl Shell {
    /// A loop around a node that was started at `began` with time 0.
    pub(crate) fn new(
        node: Node,
        began: Instant,
        inputs: Receiver<Input>,
        hands: Hands,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            node,
            began,
            inputs,
            hands,
            metrics,
            replies: BTreeMap::new(),
            next_ticket: 0,
            wake_at_ms: None,
            faults: BTreeMap::new(),
            held: Vec::new(),
        }
    }

    /// Runs until it is told to stop, after having done what the node wanted done first.
    ///
    /// # Errors
    /// If the database fails: whether something was saved is then in doubt, and a restart finds out.
    pub(crate) async fn run(mut self, first: Vec<Action>) -> Result<(), StoreError> {
        self.carry_out(first).await;
        loop {
            // What waits may be what the time is for, so it goes first; but it cannot keep the time from coming.
            let mut events = Vec::new();
            while events.len() < MAX_INPUTS {
                let Ok(input) = self.inputs.try_recv() else {
                    break;
                };
                match self.event(input)? {
                    Some(event) => events.push(event),
                    None => return Ok(()),
                }
            }
            if self.wake_at_ms.is_some_and(|at_ms| at_ms <= self.now_ms()) {
                self.wake_at_ms = None;
                events.push(Event::Time);
            }
            if events.is_empty() {
                let Some(input) = self.next().await else {
                    continue;
                };
                match self.event(input)? {
                    Some(event) => events.push(event),
                    None => return Ok(()),
                }
            }
            let actions = self.node.handle_all(self.now_ms(), events);
            self.held.clear();
            self.carry_out(actions).await;
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The next input, or none if the time comes first.
    async fn next(&self) -> Option<Input> {
        let input = async { self.inputs.recv().await.unwrap_or(Input::Stop) };
        let Some(at_ms) = self.wake_at_ms else {
            return Some(input.await);
        };
        let wait = Duration::from_millis(at_ms.saturating_sub(self.now_ms()));
        timeout(wait, input).await.ok()
    }

    /// What an input is to the node; none if it is to stop.
    fn event(&mut self, input: Input) -> Result<Option<Event>, StoreError> {
        match input {
            Input::Event(event) => Ok(Some(event)),
            Input::Heard(event, held) => {
                self.held.push(held);
                Ok(Some(event))
            }
            Input::Ask { request, reply } => {
                self.next_ticket += 1;
                let ticket = Ticket(self.next_ticket);
                self.replies.insert(ticket, reply);
                Ok(Some(Event::Client { ticket, request }))
            }
            Input::StoreFailed(error) => Err(error),
            Input::Stop => Ok(None),
        }
    }

    async fn carry_out(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Load { ticket, keys } => self.store(StoreJob::Load(ticket, keys)),
                Action::Save { ticket, changes } => {
                    self.metrics.will_save(&changes);
                    self.store(StoreJob::Save(ticket, changes));
                }
                Action::Send { to, bytes } => self.hands.network.send(to, bytes).await,
                Action::Broadcast { topic, bytes } => self.broadcast(topic, bytes),
                Action::Reply { ticket, reply } => {
                    if let Some(waiting) = self.replies.remove(&ticket) {
                        // A client that has gone needs no answer.
                        let _ = waiting.send(reply);
                    }
                }
                Action::Check { ticket, job } => {
                    let _ = self.hands.checkers.try_send((ticket, job));
                }
                Action::Work { module, job } => self.hands.worlds.work(module, job),
                Action::Locate { peer, p2p } => self.locate(peer, p2p),
                Action::WakeAt { at_ms } => self.wake_at_ms = Some(at_ms),
                Action::Report(fault) => self.report(&fault),
                Action::Halt { why } => {
                    tracing::error!(%why, "this guardian has stopped taking part for good; do not restart it before you know why");
                }
            }
        }
    }

    fn store(&self, job: StoreJob) {
        // Without bound, and closed only after a failure that is on its way to us.
        let _ = self.hands.store.try_send(job);
    }

    fn broadcast(&self, topic: Topic, bytes: Vec<u8>) {
        let channel = match topic {
            Topic::Contributions => Channel::Contributions,
            Topic::Certificates => Channel::Certificates,
            Topic::Announcements => Channel::Announcements,
        };
        // Whatever is dropped here is asked for again by those who lack it.
        if self.hands.gossip.try_send((channel, bytes)).is_err() {
            tracing::warn!(?topic, "the network is behind; a broadcast was dropped");
        }
    }

    /// Has the network look for a peer where it says that it is, and where the config does.
    fn locate(&self, peer: PeerId, mut addresses: Vec<String>) {
        let configured = self.hands.configured.get(&peer).into_iter().flatten();
        addresses.extend(configured.cloned());
        addresses.sort();
        addresses.dedup();
        tracing::info!(
            guardian = peer.0,
            ?addresses,
            "looking for a guardian here too"
        );
        let network = self.hands.network.clone();
        // The network may make its callers wait.
        task::spawn(async move {
            if let Err(error) = network.update_addresses(peer, addresses).await {
                tracing::warn!(guardian = peer.0, %error, "its announcement is of no use");
            }
        });
    }

    fn report(&mut self, fault: &Fault) {
        self.metrics.fault(fault);
        let log = self.faults.entry(fault.peer).or_default();
        let recent = |at: Instant| at.elapsed() < FAULT_LOG_INTERVAL;
        if log.logged.is_some_and(recent) {
            log.unlogged += 1;
            return;
        }
        let what = match fault.peer == self.node.me() {
            true => "something about this guardian itself",
            false => "a guardian misbehaves",
        };
        tracing::warn!(guardian = fault.peer.0, fault = %fault.kind, unlogged_before = log.unlogged, "{what}");
        *log = FaultLog {
            logged: Some(Instant::now()),
            unlogged: 0,
        };
    }
}
