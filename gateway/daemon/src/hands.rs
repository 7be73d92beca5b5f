//! The node's side of the loop: three threads that may wait as long as the node does.
//!
//! One makes the gateway's calls, in order. One fetches the node's events and delivers them, again and again until the gateway has said that
//! they were handled (SPEC GW-5). One looks at the node and tells when it has changed.

use std::{
    collections::BTreeMap,
    io,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{self, sync_channel, Receiver, SyncSender},
        Arc, Mutex, MutexGuard, PoisonError,
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use async_std::{channel::Sender, task::block_on};
use guildmint_gateway::{
    node::{self, LightningNode, NodeState, MAX_LISTED},
    Call, Event,
};

use crate::{recovery::Recovery, shell::Input};

/// After this time an event that was delivered and is not handled is delivered again.
const AGAIN: Duration = Duration::from_secs(5);

/// How often it is looked for events though nobody said that there are any.
const LOOK: Duration = Duration::from_secs(1);

/// And while there are more than one look fetches.
const BUSY_LOOK: Duration = Duration::from_millis(20);

/// How often the node is looked at.
const STATE: Duration = Duration::from_millis(500);

/// The gateway is told of a node that has not changed, but has followed the chain, when that was so long ago.
const SYNCED_STEP_MS: u64 = 15_000;

/// The threads. They end soon after [`Threads::stop`]; the one for calls when the loop is gone.
pub(crate) struct Threads {
    stopped: Arc<AtomicBool>,
    wake: SyncSender<()>,
    handles: Vec<JoinHandle<()>>,
}

/// What the threads work with.
#[derive(Clone)]
pub(crate) struct Work {
    pub(crate) node: Arc<dyn LightningNode>,
    pub(crate) inputs: Sender<Input>,
    pub(crate) recovery: Arc<Recovery>,
    pub(crate) seen: Arc<Seen>,
}

/// The node as it was seen last: for questions that anybody may ask, and which must not make the node wait.
#[derive(Debug)]
pub(crate) struct Seen(Mutex<NodeState>);

impl Seen {
    pub(crate) fn new(state: NodeState) -> Self {
        Self(Mutex::new(state))
    }

    pub(crate) fn state(&self) -> NodeState {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, NodeState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Threads {
    /// Starts them. ⚠ The loop must have told the gateway the time already.
    pub(crate) fn start(work: &Work, calls: mpsc::Receiver<Call>) -> io::Result<Self> {
        let stopped = Arc::new(AtomicBool::new(false));
        let (wake, woken) = sync_channel(1);
        let events = wake.clone();
        work.node.wake_with(Arc::new(move || {
            // If it is full, whoever is to wake has not looked yet.
            let _ = events.try_send(());
        }));
        let (work1, work2, work3) = (work.clone(), work.clone(), work.clone());
        let (end2, end3) = (Arc::clone(&stopped), Arc::clone(&stopped));
        let handles = vec![
            spawn("node-calls", move || make_calls(&work1, &calls))?,
            spawn("node-events", move || deliver(&work2, &woken, &end2))?,
            spawn("node-state", move || watch(&work3, &end3))?,
        ];
        Ok(Self {
            stopped,
            wake,
            handles,
        })
    }

    /// Ends them. The loop, which holds the other end of the calls, must be gone.
    pub(crate) fn stop(self) {
        self.stopped.store(true, Ordering::Relaxed);
        let _ = self.wake.try_send(());
        for handle in self.handles {
            // One that panicked has ended the process already.
            let _ = handle.join();
        }
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(work)
}

/// Whether it was taken. It is not when the loop is gone.
fn tell(inputs: &Sender<Input>, event: Event) -> bool {
    block_on(inputs.send(Input::Event(event))).is_ok()
}

fn make_calls(work: &Work, calls: &mpsc::Receiver<Call>) {
    for call in calls {
        if let Some(answer) = call.make(&*work.node) {
            tell(&work.inputs, Event::Answered(answer));
        }
    }
}

fn deliver(work: &Work, woken: &Receiver<()>, stopped: &AtomicBool) {
    let mut delivered: BTreeMap<u64, Instant> = BTreeMap::new();
    while !stopped.load(Ordering::Relaxed) {
        let events = work.node.events(MAX_LISTED).unwrap_or_default();
        let is_full = events.len() >= MAX_LISTED;
        let mut fetched = BTreeMap::new();
        for delivery in events {
            let last = delivered.get(&delivery.number).copied();
            let is_due = last.is_none_or(|last| last.elapsed() >= AGAIN);
            let at = last.filter(|_| !is_due).unwrap_or_else(Instant::now);
            fetched.insert(delivery.number, at);
            if !is_due {
                continue;
            }
            // Before anybody acts on it: what is known of channels must survive the loss of all else.
            if matches!(delivery.event, node::Event::Channel { .. }) {
                work.recovery.note(&*work.node, &work.node.state());
            }
            if !tell(&work.inputs, Event::Node(delivery)) {
                return;
            }
        }
        delivered = fetched;
        let _ = woken.recv_timeout(if is_full { BUSY_LOOK } else { LOOK });
    }
}

fn watch(work: &Work, stopped: &AtomicBool) {
    let mut told: Option<NodeState> = None;
    while !stopped.load(Ordering::Relaxed) {
        let state = work.node.state();
        *work.seen.lock() = state.clone();
        if told.as_ref().is_none_or(|told| has_changed(told, &state)) {
            work.recovery.note(&*work.node, &state);
            if !tell(&work.inputs, Event::NodeState(Box::new(state.clone()))) {
                return;
            }
            told = Some(state);
        }
        thread::park_timeout(STATE);
    }
}

/// Whether the gateway should hear of it. That the node still follows the chain is no news each time.
fn has_changed(told: &NodeState, state: &NodeState) -> bool {
    let step_ms = match (told.synced_at_ms, state.synced_at_ms) {
        (Some(told), Some(now)) => now.abs_diff(told),
        (None, None) => 0,
        _ => u64::MAX,
    };
    let same = NodeState {
        synced_at_ms: state.synced_at_ms,
        ..told.clone()
    };
    step_ms >= SYNCED_STEP_MS || same != *state
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use async_std::channel::bounded;
    use guildmint_gateway::node::{fake::FakeLightning, Closing};

    use super::*;

    /// SPEC GW-8: what is known of channels must survive the loss of all else.
    #[test]
    fn the_recovery_file_is_written_before_a_change_of_channels_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("recovery.json");
        let node = FakeLightning::new(1, 1_700_000_000).add_node(1_000);
        let channel = node.state().channels[0].id;
        node.close_channel(channel, Closing::Cooperative).unwrap();
        let (inputs, told) = bounded(8);
        let work = Work {
            seen: Arc::new(Seen::new(node.state())),
            node: Arc::new(node),
            inputs,
            recovery: Arc::new(Recovery::new(path.clone())),
        };
        let (wake, woken) = sync_channel(1);
        let stopped = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&stopped);
        let thread = thread::spawn(move || deliver(&work, &woken, &end));
        let event = block_on(told.recv()).unwrap();
        let is_written = path.exists();
        stopped.store(true, Ordering::Relaxed);
        wake.send(()).unwrap();
        thread.join().unwrap();
        let Input::Event(Event::Node(delivery)) = event else {
            panic!("something else is told");
        };
        assert!(matches!(delivery.event, node::Event::Channel { .. }));
        assert!(is_written);
    }

    #[test]
    fn a_node_that_follows_the_chain_is_news_now_and_then() {
        let at = |ms| NodeState {
            synced_at_ms: ms,
            ..NodeState::default()
        };
        assert!(!has_changed(&at(Some(1)), &at(Some(SYNCED_STEP_MS))));
        assert!(has_changed(&at(Some(1)), &at(Some(1 + SYNCED_STEP_MS))));
        assert!(has_changed(&at(None), &at(Some(1))));
        let higher = NodeState {
            height: 1,
            ..at(Some(1))
        };
        assert!(has_changed(&at(Some(1)), &higher));
    }
}
