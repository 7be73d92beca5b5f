//! The loop around the gateway: it takes what waits in one bounded queue, hands it to the value, and carries out what comes back, in
//! order. It has no opinions.

use std::{
    collections::BTreeMap,
    sync::{mpsc, Arc},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_std::{
    channel::{Receiver, Sender},
    future::timeout,
};
use futures::channel::oneshot;
use guildmint_core::ledger::Changes;
use guildmint_gateway::{
    Action, Call, Command, Event, Gateway, GatewayError, Millis, Reply, SaveId, Ticket,
};
use guildmint_gateway_store::{GatewayStore, Saving, Space};

use crate::{federations::Running, ledger::Ledger, metrics::Metrics, warnings::Warnings};

/// What may wait for the loop. Whoever brings more waits with it: wallets for their answers, the node and federations with their news.
pub(crate) const MAX_INPUTS: usize = 256;

/// How many inputs are taken before the time is told again.
const MAX_TAKEN: usize = 64;

/// How long the loop sleeps at most.
const LONGEST: Duration = Duration::from_secs(3600);

/// What comes into the loop.
pub(crate) enum Input {
    /// Something that happened.
    Event(Event),
    /// Somebody wants something, and waits.
    Command(Command, oneshot::Sender<Result<Reply, GatewayError>>),
    /// Somebody wants to see something.
    Look(Box<dyn FnOnce(&Gateway) + Send>),
    /// The end: nothing new is begun, and what is being saved is saved.
    Stop,
}

/// What the loop does things with.
pub(crate) struct Hands {
    pub(crate) store: GatewayStore,
    /// Saves under way, in order, for whoever waits for them.
    pub(crate) saves: Sender<(SaveId, Saving)>,
    /// Calls to the node, in order.
    pub(crate) calls: mpsc::Sender<Call>,
    pub(crate) federations: Arc<Running>,
    pub(crate) warnings: Arc<Warnings>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) metrics: Arc<Metrics>,
}

/// The gateway with its hands.
pub(crate) struct Shell {
    gateway: Gateway,
    queue: Receiver<Input>,
    hands: Hands,
    wake: Option<Millis>,
    last_ticket: u64,
    waiting: BTreeMap<Ticket, oneshot::Sender<Result<Reply, GatewayError>>>,
    saves: usize,
    stopping: bool,
}

/// The time. Before 1970 it is 1970.
pub(crate) fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let ms = since.map_or(0, |since| since.as_millis());
    Millis(u64::try_from(ms).unwrap_or(u64::MAX))
}

impl Shell {
    pub(crate) fn new(gateway: Gateway, queue: Receiver<Input>, hands: Hands) -> Self {
        Self {
            gateway,
            queue,
            hands,
            wake: None,
            last_ticket: 0,
            waiting: BTreeMap::new(),
            saves: 0,
            stopping: false,
        }
    }

    /// Runs until it is told to stop and all is saved. ⚠ The time comes first: before it the gateway must hear of nothing.
    pub(crate) async fn run(mut self) {
        loop {
            self.tell_time();
            if self.stopping && self.saves == 0 {
                return;
            }
            match timeout(self.patience(), self.queue.recv()).await {
                Ok(Ok(input)) => self.take(input),
                // Whoever could bring something is gone.
                Ok(Err(_)) => return,
                Err(_) => continue,
            }
            for _ in 1..MAX_TAKEN {
                match self.queue.try_recv() {
                    Ok(input) => self.take(input),
                    Err(_) => break,
                }
            }
        }
    }

    fn patience(&self) -> Duration {
        let wait = |at: Millis| Duration::from_millis(at.since_ms(now()));
        self.wake.map_or(LONGEST, wait).min(LONGEST)
    }

    fn tell_time(&mut self) {
        let now = now();
        // What was wished for is now; another wish comes if there is one.
        self.wake = self.wake.filter(|at| *at > now);
        self.handle(Event::Time { now });
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Event(Event::Saved { save }) => {
                self.saves -= 1;
                self.handle(Event::Saved { save });
            }
            Input::Stop => self.stopping = true,
            Input::Look(look) => look(&self.gateway),
            // What comes now comes again after the next start; whoever waits hears that it is over.
            _ if self.stopping => {}
            Input::Event(event) => self.handle(event),
            Input::Command(command, reply) => {
                self.last_ticket += 1;
                let ticket = Ticket(self.last_ticket);
                self.waiting.insert(ticket, reply);
                self.handle(Event::Command { ticket, command });
            }
        }
    }

    fn handle(&mut self, event: Event) {
        for action in self.gateway.handle(event) {
            self.act(action);
        }
    }

    fn act(&mut self, action: Action) {
        let hands = &self.hands;
        match action {
            Action::Save { save, changes } => {
                hands.ledger.note(&changes);
                self.saves += 1;
                let saving = hands.store.begin(in_space(changes));
                // Whoever waits for it is there as long as the loop.
                let _ = hands.saves.try_send((save, saving));
            }
            Action::Node(call) => {
                let _ = hands.calls.send(call);
            }
            Action::Federation { federation, order } => match hands.federations.get(federation) {
                Some(client) => client.order(order),
                // It is ordered again when the gateway starts.
                None => {
                    tracing::warn!(%federation, "no client carries out what is to be done there")
                }
            },
            Action::WakeAt { at } => self.wake = Some(at),
            Action::Reply { ticket, result } => {
                if let Some(waiting) = self.waiting.remove(&ticket) {
                    // Whoever asked may be gone.
                    let _ = waiting.send(result);
                }
            }
            Action::Warn(warning) => {
                hands.metrics.warned();
                hands.warnings.add(now(), warning.to_string());
            }
        }
    }
}

/// The gateway's rows among those of the whole database.
fn in_space(changes: Changes) -> Changes {
    let changes = changes.into_iter();
    changes
        .map(|(key, value)| (Space::Gateway.key(&key.0), value))
        .collect()
}

/// Tells the loop of saves that are durable, in order.
pub(crate) async fn wait_for_saves(saves: Receiver<(SaveId, Saving)>, inputs: Sender<Input>) {
    while let Ok((save, saving)) = saves.recv().await {
        // ⚠ Without its database the process ends; nothing may follow from what is not saved.
        if saving.await.is_err() {
            return;
        }
        if inputs
            .send(Input::Event(Event::Saved { save }))
            .await
            .is_err()
        {
            return;
        }
    }
}
