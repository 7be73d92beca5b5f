//! Transactions that wait for an epoch.

use std::collections::{BTreeMap, VecDeque};

use guildmint_core::{
    limits, module::Reject, Epoch, PeerId, Quorum, Tagged, Transaction, TxId, Wire,
};

use crate::Checked;

/// How long a guardian whose turn it is not waits for one whose turn it is, in milliseconds (SPEC EPO-6).
const PATIENCE_MS: u64 = 250;

/// Room for everything in a contribution that is not transactions.
const RESERVED_BYTES: usize = limits::MAX_CONTRIBUTION_BYTES / 2;

pub(super) struct Pool {
    me: PeerId,
    quorum: Quorum,
    waiting: BTreeMap<TxId, Entry>,
    bytes: usize,
    rejected: BTreeMap<TxId, Reject>,
    rejected_order: VecDeque<TxId>,
}

struct Entry {
    checked: Checked,
    bytes: usize,
    since_ms: u64,
    since_epoch: Epoch,
    /// Whether it is this guardian's turn to propose it.
    ours: bool,
}

impl Pool {
    pub(super) fn new(me: PeerId, quorum: Quorum) -> Self {
        Self {
            me,
            quorum,
            waiting: BTreeMap::new(),
            bytes: 0,
            rejected: BTreeMap::new(),
            rejected_order: VecDeque::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn contains(&self, id: TxId) -> bool {
        self.waiting.contains_key(&id)
    }

    /// The checked form of a transaction, if the very same bytes wait here.
    pub(super) fn checked(&self, id: TxId, transaction: &Transaction) -> Option<&Checked> {
        let entry = self.waiting.get(&id)?;
        (entry.checked.transaction() == transaction).then_some(&entry.checked)
    }

    /// Why this guardian last rejected a transaction.
    pub(super) fn rejection(&self, id: TxId) -> Option<&Reject> {
        self.rejected.get(&id)
    }

    /// Takes a transaction.
    ///
    /// # Errors
    /// If there is no room.
    pub(super) fn insert(
        &mut self,
        checked: Checked,
        now_ms: u64,
        epoch: Epoch,
    ) -> Result<(), Reject> {
        let bytes = checked.transaction().encode().len();
        if self.bytes + bytes > limits::MAX_POOL_BYTES {
            return Err(Reject::retryable(
                "pool_full",
                "too many transactions are waiting; try again in a minute",
            ));
        }
        self.rejected.remove(&checked.id());
        let entry = Entry {
            bytes,
            since_ms: now_ms,
            since_epoch: epoch,
            ours: turn(checked.id(), self.me, self.quorum),
            checked,
        };
        self.bytes += bytes;
        if let Some(before) = self.waiting.insert(entry.checked.id(), entry) {
            self.bytes -= before.bytes;
        }
        Ok(())
    }

    /// Forgets a transaction that was decided on; returns whether it waited here.
    pub(super) fn remove(&mut self, id: TxId) -> bool {
        let removed = self.waiting.remove(&id);
        self.bytes -= removed.as_ref().map_or(0, |entry| entry.bytes);
        removed.is_some()
    }

    /// Remembers a rejection for a client that asks again, for as long as there is room.
    pub(super) fn reject(&mut self, id: TxId, reject: Reject) {
        if self.rejected.insert(id, reject).is_none() {
            self.rejected_order.push_back(id);
        }
        while self.rejected_order.len() > limits::MAX_REJECTIONS {
            if let Some(oldest) = self.rejected_order.pop_front() {
                self.rejected.remove(&oldest);
            }
        }
    }

    /// What to propose now: what is ours, and what others should have proposed by now; as much as fits.
    pub(super) fn proposal(&self, now_ms: u64, epoch: Epoch) -> Vec<Transaction> {
        let mut room = limits::MAX_CONTRIBUTION_BYTES - RESERVED_BYTES;
        let mut due: Vec<&Entry> = self.ripe(now_ms, epoch).collect();
        due.sort_by_key(|entry| entry.since_ms);
        due.into_iter()
            .take_while(|entry| {
                let fits = entry.bytes <= room;
                room = room.saturating_sub(entry.bytes);
                fits
            })
            .map(|entry| entry.checked.transaction().clone())
            .collect()
    }

    /// Whether there is something to propose.
    pub(super) fn is_ripe(&self, now_ms: u64, epoch: Epoch) -> bool {
        self.ripe(now_ms, epoch).next().is_some()
    }

    /// When the next transaction becomes ripe by waiting.
    pub(super) fn next_ripe_ms(&self) -> Option<u64> {
        let waiting = self.waiting.values();
        waiting.map(|entry| entry.since_ms + PATIENCE_MS).min()
    }

    fn ripe(&self, now_ms: u64, epoch: Epoch) -> impl Iterator<Item = &Entry> {
        self.waiting.values().filter(move |entry| {
            entry.ours || epoch > entry.since_epoch.next() || now_ms >= entry.since_ms + PATIENCE_MS
        })
    }
}

/// Whether it is `me` who proposes a transaction at once: the first f + 1 guardians in an order that differs from one
/// transaction to the next, of whom one is honest (SPEC EPO-6).
fn turn(id: TxId, me: PeerId, quorum: Quorum) -> bool {
    let rank = |peer: PeerId| {
        Tagged::new("guildmint/turn")
            .add(id)
            .add(peer.0.to_le_bytes())
            .finish()
    };
    let mine = rank(me);
    let before = quorum.peers().filter(|peer| rank(*peer) < mine).count();
    before <= quorum.max_faulty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_honest_guardian_proposes_at_once() {
        for n in [1, 4, 7, 10] {
            let quorum = Quorum::new(n).unwrap();
            for id in 0..50 {
                let id = TxId([id; 32]);
                let at_once = quorum.peers().filter(|peer| turn(id, *peer, quorum));
                assert_eq!(at_once.count(), quorum.one_honest());
            }
        }
    }

    #[test]
    fn rejections_are_remembered_only_up_to_the_limit() {
        let mut pool = Pool::new(PeerId(0), Quorum::new(4).unwrap());
        let id = |n: usize| TxId(Tagged::new("t").add(n.to_le_bytes()).finish());
        for n in 0..=limits::MAX_REJECTIONS {
            pool.reject(id(n), Reject::permanent("x", ""));
        }
        assert_eq!(pool.rejection(id(0)), None);
        assert!(pool.rejection(id(1)).is_some());
    }
}
