//! Transactions that wait for an epoch.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use guildmint_core::{
    ledger::Key, limits, module::Reject, Epoch, PeerId, Quorum, Tagged, Transaction, TxId, Wire,
};

use crate::Checked;

/// How long a guardian whose turn it is not waits for one whose turn it is, in milliseconds (SPEC EPO-6).
pub(super) const PATIENCE_MS: u64 = 250;

/// Room for everything in a contribution that is not transactions.
const RESERVED_BYTES: usize = limits::MAX_CONTRIBUTION_BYTES / 2;

pub(super) struct Pool {
    me: PeerId,
    quorum: Quorum,
    waiting: BTreeMap<TxId, Entry>,
    /// Which transaction claims which row.
    claims: BTreeMap<Key, TxId>,
    bytes: usize,
    rejected: BTreeMap<TxId, Reject>,
    rejected_order: VecDeque<TxId>,
}

struct Entry {
    checked: Checked,
    claims: BTreeSet<Key>,
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
            claims: BTreeMap::new(),
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

    /// Takes a transaction that claims these rows. ⚠ Of those that claim the same row only one waits here: else a single
    /// note could fill the pool with transactions of which all but one are in vain.
    ///
    /// # Errors
    /// If there is no room, or another is in its way.
    pub(super) fn insert(
        &mut self,
        checked: Checked,
        claims: BTreeSet<Key>,
        now_ms: u64,
        epoch: Epoch,
    ) -> Result<(), Reject> {
        let mut in_the_way = claims.iter().filter_map(|key| self.claims.get(key));
        if in_the_way.any(|other| *other != checked.id()) {
            return Err(Reject::retryable(
                "in_conflict",
                "another transaction that spends or creates the same is waiting; try again in a moment",
            ));
        }
        let bytes = checked.transaction().encode().len();
        if self.bytes + bytes > limits::MAX_POOL_BYTES {
            return Err(Reject::retryable(
                "pool_full",
                "too many transactions are waiting; try again in a minute",
            ));
        }
        self.remove(checked.id());
        self.rejected.remove(&checked.id());
        let claim = claims.iter().map(|key| (key.clone(), checked.id()));
        self.claims.extend(claim);
        let entry = Entry {
            claims,
            bytes,
            since_ms: now_ms,
            since_epoch: epoch,
            ours: turn(checked.id(), self.me, self.quorum),
            checked,
        };
        self.bytes += bytes;
        self.waiting.insert(entry.checked.id(), entry);
        Ok(())
    }

    /// Forgets a transaction that was decided on; returns whether it waited here.
    pub(super) fn remove(&mut self, id: TxId) -> bool {
        let Some(entry) = self.waiting.remove(&id) else {
            return false;
        };
        self.bytes -= entry.bytes;
        for key in &entry.claims {
            self.claims.remove(key);
        }
        true
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

    fn checked(byte: u8, signed: bool) -> Checked {
        let key = secp256k1::Keypair::from_seckey_slice(secp256k1::SECP256K1, &[7; 32]).unwrap();
        let message = secp256k1::Message::from_digest([byte; 32]);
        let signature = secp256k1::SECP256K1.sign_schnorr_no_aux_rand(&message, &key);
        Checked::unchecked(Transaction {
            inputs: vec![guildmint_core::Item {
                module: guildmint_core::ModuleId(0),
                bytes: vec![byte; 1_000],
            }],
            outputs: vec![],
            signatures: vec![signed.then_some(signature)],
        })
    }

    fn free() -> BTreeSet<Key> {
        BTreeSet::new()
    }

    fn pool(me: u16) -> Pool {
        Pool::new(PeerId(me), Quorum::new(4).unwrap())
    }

    /// SPEC GEN-5.
    #[test]
    fn a_full_pool_refuses_and_says_to_come_again() {
        let mut pool = pool(0);
        pool.bytes = limits::MAX_POOL_BYTES - 1_500;
        assert_eq!(pool.insert(checked(1, false), free(), 0, Epoch(0)), Ok(()));
        let refused = pool
            .insert(checked(2, false), free(), 0, Epoch(0))
            .unwrap_err();
        assert_eq!(
            (refused.code.as_str(), refused.retryable),
            ("pool_full", true)
        );
        assert!(pool.remove(checked(1, false).id()));
        assert_eq!(pool.insert(checked(2, false), free(), 0, Epoch(0)), Ok(()));
    }

    /// SPEC TX-6.
    #[test]
    fn of_those_that_spend_one_note_only_one_waits() {
        let mut pool = pool(0);
        let note = |byte| Key(vec![byte]);
        let both = BTreeSet::from([note(1), note(2)]);
        assert_eq!(pool.insert(checked(1, false), both, 0, Epoch(0)), Ok(()));
        let late = |pool: &mut Pool| pool.insert(checked(2, false), [note(2)].into(), 0, Epoch(0));
        let refused = late(&mut pool).unwrap_err();
        assert_eq!(
            (refused.code.as_str(), refused.retryable),
            ("in_conflict", true)
        );
        // Again the same is no conflict.
        let again = pool.insert(checked(1, true), [note(1)].into(), 0, Epoch(0));
        assert_eq!((again, pool.len()), (Ok(()), 1));
        assert_eq!(late(&mut pool), Ok(()));
        assert!(pool.remove(checked(1, false).id()) && pool.remove(checked(2, false).id()));
        assert!(pool.claims.is_empty() && pool.bytes == 0);
    }

    /// SPEC EPO-6.
    #[test]
    fn what_others_do_not_propose_becomes_ripe_by_time_or_by_epochs() {
        let transaction = checked(1, false);
        let quorum = Quorum::new(4).unwrap();
        let patient = quorum
            .peers()
            .find(|peer| !turn(transaction.id(), *peer, quorum));
        let mut pool = pool(patient.unwrap().0);
        pool.insert(transaction, free(), 1_000, Epoch(5)).unwrap();
        assert!(!pool.is_ripe(1_000 + PATIENCE_MS - 1, Epoch(6)));
        assert!(pool.is_ripe(1_000, Epoch(7)), "one whole epoch has passed");
        assert!(pool.is_ripe(1_000 + PATIENCE_MS, Epoch(5)));
        assert_eq!(pool.next_ripe_ms(), Some(1_000 + PATIENCE_MS));
        assert_eq!(pool.proposal(1_000 + PATIENCE_MS, Epoch(5)).len(), 1);
    }

    /// SPEC TX-5.
    #[test]
    fn only_the_very_same_bytes_need_no_check_again() {
        let mut pool = pool(0);
        let (one, other) = (checked(1, true), checked(1, false));
        assert_eq!(one.id(), other.id(), "an id covers no signatures");
        pool.insert(one.clone(), free(), 0, Epoch(0)).unwrap();
        assert!(pool.checked(one.id(), one.transaction()).is_some());
        assert!(pool.checked(one.id(), other.transaction()).is_none());
    }

    #[test]
    fn a_proposal_leaves_room_for_votes() {
        let mut pool = pool(0);
        for number in 0..=255 {
            for salt in 0..8 {
                let mut transaction = checked(number, false).transaction().clone();
                transaction.inputs[0].bytes[1] = salt;
                pool.insert(Checked::unchecked(transaction), free(), 0, Epoch(0))
                    .unwrap();
            }
        }
        let proposal = pool.proposal(PATIENCE_MS, Epoch(0));
        let bytes: usize = proposal.iter().map(|t| t.encode().len()).sum();
        assert!(bytes <= limits::MAX_CONTRIBUTION_BYTES - RESERVED_BYTES);
        assert!(bytes > limits::MAX_CONTRIBUTION_BYTES - RESERVED_BYTES - 2_000);
    }

    #[test]
    fn rejections_are_remembered_only_up_to_the_limit() {
        let mut pool = pool(0);
        let id = |n: usize| TxId(Tagged::new("t").add(n.to_le_bytes()).finish());
        for n in 0..=limits::MAX_REJECTIONS {
            pool.reject(id(n), Reject::permanent("x", ""));
        }
        assert_eq!(pool.rejection(id(0)), None);
        assert!(pool.rejection(id(1)).is_some());
    }
}
