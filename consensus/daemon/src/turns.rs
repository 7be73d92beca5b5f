//! Whose turn it is: only so many requests are worked on at a time, and clients take turns (SPEC API-2).
//!
//! A client that floods waits for itself: another waits for one turn of each client before it at most, however many requests
//! those have sent, and for fewer of those whose requests cost more than its own.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::channel::oneshot;

/// Who is counted as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Client {
    /// Whoever comes from this network.
    Network(IpAddr),
    /// A connection whose address says nothing, such as that of a program on this machine.
    Connection(u64),
}

/// Clients whose past work is remembered. When there are more at once, all of it is forgotten.
const MAX_REMEMBERED: usize = 4096;

/// Who has a turn and who waits for one.
///
/// Work is what requests cost, and a client's request begins, on a clock that counts work, when those before it would have ended
/// had the client been alone. Who would have begun first is served first; so clients get as much work done as others, be their
/// requests few and large or many and small.
#[derive(Debug)]
struct Queue<T> {
    turns: usize,
    free: usize,
    per_client: usize,
    held: BTreeMap<Client, usize>,
    waiting: BTreeMap<Client, VecDeque<(u64, T)>>,
    /// Clients with something waiting: when the first of it begins, and in the order in which they came.
    order: BTreeSet<(u64, u64, Client)>,
    came: u64,
    /// When the last that was served began.
    now: u64,
    /// When the work of clients that were served ends.
    ends: BTreeMap<Client, u64>,
}

impl<T> Queue<T> {
    fn new(turns: usize, per_client: usize) -> Self {
        Self {
            turns,
            free: turns,
            per_client,
            held: BTreeMap::new(),
            waiting: BTreeMap::new(),
            order: BTreeSet::new(),
            came: 0,
            now: 0,
            ends: BTreeMap::new(),
        }
    }

    /// A client asks for a turn, for something of a cost. Whoever has one now is returned, if it is somebody.
    fn enter(&mut self, client: Client, cost: u64, what: T) -> Option<(Client, T)> {
        let waiting = self.waiting.entry(client).or_default();
        waiting.push_back((cost, what));
        if waiting.len() == 1 {
            self.line_up(client);
        }
        self.next()
    }

    fn line_up(&mut self, client: Client) {
        let ends = self.ends.get(&client).copied().unwrap_or(0);
        self.came += 1;
        self.order.insert((ends.max(self.now), self.came, client));
    }

    /// A turn of a client ends. Whoever has it now is returned.
    fn leave(&mut self, client: Client) -> Option<(Client, T)> {
        self.free += 1;
        if let Some(held) = self.held.get_mut(&client) {
            *held -= 1;
            if *held == 0 {
                self.held.remove(&client);
            }
        }
        let next = self.next();
        self.forget();
        next
    }

    /// What clients did is of no account once it is over, or if nobody waits.
    fn forget(&mut self) {
        let now = self.now;
        if self.free == self.turns || self.ends.len() > MAX_REMEMBERED {
            self.ends.clear();
        } else if self.order.is_empty() {
            self.ends.retain(|_, ends| *ends > now);
        }
    }

    /// Gives a free turn to the first client that may have one.
    fn next(&mut self) -> Option<(Client, T)> {
        if self.free == 0 {
            return None;
        }
        let may = |(_, _, client): &&(u64, u64, Client)| {
            let held = self.held.get(client);
            held.is_none_or(|held| *held < self.per_client)
        };
        let place = self.order.iter().find(may).copied()?;
        self.order.remove(&place);
        let (begins, _, client) = place;
        let waiting = self.waiting.get_mut(&client)?;
        let (cost, what) = waiting.pop_front()?;
        let is_last = waiting.is_empty();
        self.now = self.now.max(begins);
        self.ends.insert(client, begins.saturating_add(cost));
        if is_last {
            self.waiting.remove(&client);
        } else {
            self.line_up(client);
        }
        self.free -= 1;
        *self.held.entry(client).or_default() += 1;
        Some((client, what))
    }
}

/// The turns of a listener.
#[derive(Debug)]
pub(crate) struct Turns(Mutex<Queue<oneshot::Sender<Turn>>>);

/// A turn, until this is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    turns: Arc<Turns>,
    client: Client,
}

impl Turns {
    pub(crate) fn new(turns: usize, per_client: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Queue::new(
            turns.max(1),
            per_client.max(1),
        ))))
    }

    /// Waits for a turn for something of a cost.
    pub(crate) async fn take(self: &Arc<Self>, client: Client, cost: u64) -> Option<Turn> {
        let (give, given) = oneshot::channel();
        let next = self.queue().enter(client, cost, give);
        self.give(next);
        given.await.ok()
    }

    fn queue(&self) -> MutexGuard<'_, Queue<oneshot::Sender<Turn>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give(self: &Arc<Self>, next: Option<(Client, oneshot::Sender<Turn>)>) {
        if let Some((client, give)) = next {
            // Whoever has gone meanwhile gives it back at once, by dropping it.
            let _ = give.send(Turn {
                turns: Arc::clone(self),
                client,
            });
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let next = self.turns.queue().leave(self.client);
        self.turns.give(next);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::cmp::Reverse;
    use std::collections::BinaryHeap;

    use futures::FutureExt as _;

    use super::*;

    const FLOOD: Client = Client::Connection(0);

    fn other(number: u64) -> Client {
        Client::Connection(1 + number)
    }

    /// Time passes in steps; a request takes some, and waits its turn before.
    struct Simulation {
        queue: Queue<u64>,
        now: u64,
        /// When turns end, and whose they are.
        ends: BinaryHeap<Reverse<(u64, Client)>>,
        waited: BTreeMap<Client, Vec<u64>>,
        work: u64,
    }

    impl Simulation {
        fn new(turns: usize, per_client: usize, work: u64) -> Self {
            let queue = Queue::new(turns, per_client);
            Self {
                queue,
                now: 0,
                ends: BinaryHeap::new(),
                waited: BTreeMap::new(),
                work,
            }
        }

        fn ask(&mut self, client: Client) {
            let next = self.queue.enter(client, 1, self.now);
            self.begin(next);
        }

        fn begin(&mut self, next: Option<(Client, u64)>) {
            if let Some((client, asked)) = next {
                self.ends.push(Reverse((self.now + self.work, client)));
                self.waited
                    .entry(client)
                    .or_default()
                    .push(self.now - asked);
            }
        }

        fn run_until(&mut self, then: u64) {
            while let Some(Reverse((at, client))) = self
                .ends
                .peek()
                .copied()
                .filter(|Reverse((at, _))| *at <= then)
            {
                self.ends.pop();
                self.now = at;
                let next = self.queue.leave(client);
                self.begin(next);
            }
            self.now = then;
        }
    }

    /// ⚠ SPEC API-2: one client that floods keeps no turn from others.
    #[test]
    fn a_flood_of_one_client_costs_others_nothing_while_turns_are_left() {
        let mut simulation = Simulation::new(8, 4, 10);
        (0..10_000).for_each(|_| simulation.ask(FLOOD));
        for number in 0..4 {
            simulation.ask(other(number));
        }
        for number in 0..4 {
            assert_eq!(simulation.waited[&other(number)], [0]);
        }
        assert_eq!(simulation.waited[&FLOOD].len(), 4);
    }

    /// ⚠ SPEC API-2: when all turns are taken, a client waits for one of each that came before it at most.
    #[test]
    fn a_client_waits_for_others_and_not_for_how_much_they_sent() {
        let (turns, work, floods) = (4, 10, 20);
        let mut simulation = Simulation::new(turns, 4, work);
        for _ in 0..1_000 {
            (0..floods).for_each(|flood| simulation.ask(other(flood)));
        }
        for round in 0..50 {
            simulation.run_until(round * 1_000 + 7);
            simulation.ask(FLOOD);
        }
        simulation.run_until(1_000_000);
        let bound = work * (floods / turns as u64 + 1);
        let waited = &simulation.waited[&FLOOD];
        assert_eq!(waited.len(), 50);
        assert!(
            waited.iter().all(|waited| *waited <= bound),
            "{waited:?} is more than {bound}"
        );
        assert!(waited[0] > 0, "there was nothing to wait for");
    }

    /// ⚠ SPEC API-2: whose requests are expensive has fewer of them done.
    #[test]
    fn clients_get_as_much_work_done_as_others_be_it_in_large_pieces_or_in_small() {
        let mut queue = Queue::new(1, 1);
        let (large, small) = (other(1), other(2));
        let mut next = queue.enter(FLOOD, 1, ());
        for _ in 0..100 {
            assert!(queue.enter(large, 10, ()).is_none());
            assert!(queue.enter(small, 1, ()).is_none());
        }
        let mut served = BTreeMap::new();
        for _ in 0..111 {
            let (client, ()) = next.unwrap();
            *served.entry(client).or_insert(0) += 1;
            next = queue.leave(client);
        }
        // Both have had a hundred units, or what is left of them.
        assert_eq!(served[&small], 100);
        assert_eq!(served[&large], 10);
    }

    #[test]
    fn what_one_client_asks_is_answered_in_order_and_all_of_it() {
        let mut queue = Queue::new(1, 1);
        let mut begun: Vec<_> = (0..5)
            .filter_map(|number| queue.enter(FLOOD, 1, number))
            .collect();
        while let Some(next) = queue.leave(FLOOD) {
            begun.push(next);
        }
        assert_eq!(
            begun,
            (0..5).map(|number| (FLOOD, number)).collect::<Vec<_>>()
        );
        assert!(
            queue.waiting.is_empty()
                && queue.order.is_empty()
                && queue.ends.is_empty()
                && queue.held.is_empty()
                && queue.free == 1
        );
    }

    #[test]
    fn who_has_gone_gives_its_turn_to_the_next() {
        let turns = Turns::new(1, 1);
        let first = turns.take(FLOOD, 1).now_or_never().unwrap();
        let mut gone: Vec<_> = (0..100)
            .map(|_| Box::pin(turns.take(other(0), 1)))
            .collect();
        assert!(gone
            .iter_mut()
            .all(|waiting| waiting.as_mut().now_or_never().is_none()));
        let mut last = Box::pin(turns.take(other(1), 1));
        assert!(last.as_mut().now_or_never().is_none());
        drop(gone);
        drop(first);
        assert!(last.now_or_never().unwrap().is_some());
    }
}
