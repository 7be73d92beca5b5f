//! The node's rows: resident ones in memory, changes on their way to the store, and whatever must wait until they are there.
//!
//! Nothing that follows from an input may leave before the input is durable. While one save is under way, further changes
//! gather and go out together in the next: under load one sync serves many inputs.

use std::collections::{BTreeMap, VecDeque};

use guildmint_core::{
    encoding::write,
    ledger::{Base, Changes, Key, Ledger, Memory, Row, Scope, Space},
};

use super::{Action, Ticket};

/// How long changes gather before a save begins, in milliseconds. What peers say comes in swarms: a sync costs more than this,
/// and one serves all of a swarm.
const GATHER_MS: u64 = 2;

pub(super) struct Disk {
    resident: Memory,
    unsaved: Changes,
    urgent: bool,
    /// When the first of the unsaved changes that must be saved was seen.
    urgent_since_ms: Option<u64>,
    waiting: Vec<Action>,
    saving: VecDeque<Saving>,
    next_ticket: u64,
}

struct Saving {
    ticket: Ticket,
    changes: Changes,
    then: Vec<Action>,
}

impl Disk {
    pub(super) fn new(resident: Memory) -> Self {
        Self {
            resident,
            unsaved: Changes::new(),
            urgent: false,
            urgent_since_ms: None,
            waiting: Vec::new(),
            saving: VecDeque::new(),
            next_ticket: 0,
        }
    }

    pub(super) fn ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        Ticket(self.next_ticket)
    }

    /// Rows that are in memory.
    pub(super) fn resident(&self) -> &Memory {
        &self.resident
    }

    /// Makes changes that must be saved soon.
    pub(super) fn change(&mut self, changes: Changes) {
        self.urgent |= !changes.is_empty();
        self.change_lazily(changes);
    }

    /// Makes changes that may be saved with the next ones that must be.
    pub(super) fn change_lazily(&mut self, changes: Changes) {
        let resident = changes.iter().filter(|(key, _)| key.is_resident());
        self.resident
            .apply(resident.map(|(k, v)| (k.clone(), v.clone())).collect());
        self.unsaved.extend(changes);
    }

    /// Writes one local row of the engine.
    pub(super) fn put<R: Row>(&mut self, row: &R, value: &R::Value) {
        self.put_lazily(row, value);
        self.urgent = true;
    }

    /// The same, to be saved with the next change that must be.
    pub(super) fn put_lazily<R: Row>(&mut self, row: &R, value: &R::Value) {
        let mut bytes = Vec::new();
        write(&mut bytes, value);
        let key = row.key(Scope::engine(Space::Local));
        self.change_lazily([(key, Some(bytes))].into());
    }

    /// Deletes one local row of the engine.
    pub(super) fn remove<R: Row>(&mut self, row: &R) {
        let key = row.key(Scope::engine(Space::Local));
        self.change([(key, None)].into());
    }

    /// One resident local row of the engine.
    pub(super) fn get<R: Row>(&self, row: &R) -> Option<R::Value> {
        Ledger::new(&self.resident)
            .view(Scope::engine(Space::Local))
            .get(row)
    }

    /// All rows of a resident local table of the engine.
    pub(super) fn scan<R: Row>(&self) -> Vec<(R, R::Value)> {
        Ledger::new(&self.resident)
            .view(Scope::engine(Space::Local))
            .scan()
    }

    /// Lets an action out once everything changed so far is durable.
    pub(super) fn after_save(&mut self, action: Action) {
        self.waiting.push(action);
    }

    /// Drops actions that wait for the disk: they never happen.
    pub(super) fn drop_waiting(&mut self, is_wrong: impl Fn(&Action) -> bool) {
        self.waiting.retain(|action| !is_wrong(action));
        for saving in &mut self.saving {
            saving.then.retain(|action| !is_wrong(action));
        }
    }

    /// How many actions wait for the disk.
    pub(super) fn held_back(&self) -> usize {
        let saving = self.saving.iter().map(|saving| saving.then.len());
        self.waiting.len() + saving.sum::<usize>()
    }

    /// Starts a save if one is due and none is under way, and lets out what need not wait.
    pub(super) fn flush(&mut self, now_ms: u64, out: &mut Vec<Action>) {
        if !self.urgent {
            // Nothing new must be saved: what waits depends at most on saves that are under way.
            match self.saving.back_mut() {
                Some(last) => last.then.append(&mut self.waiting),
                None => out.append(&mut self.waiting),
            }
            return;
        }
        let since_ms = *self.urgent_since_ms.get_or_insert(now_ms);
        if !self.saving.is_empty() || now_ms < since_ms.saturating_add(GATHER_MS) {
            return;
        }
        self.urgent = false;
        self.urgent_since_ms = None;
        let ticket = self.ticket();
        let changes = std::mem::take(&mut self.unsaved);
        self.saving.push_back(Saving {
            ticket,
            changes: changes.clone(),
            then: std::mem::take(&mut self.waiting),
        });
        out.push(Action::Save { ticket, changes });
    }

    /// When [`Disk::flush`] will have gathered enough, if it waits for nothing but time.
    pub(super) fn next_flush_ms(&self) -> Option<u64> {
        let since_ms = self.urgent_since_ms.filter(|_| self.saving.is_empty());
        since_ms.map(|since_ms| since_ms.saturating_add(GATHER_MS))
    }

    /// A save is durable.
    pub(super) fn saved(&mut self, ticket: Ticket, out: &mut Vec<Action>) {
        if self.saving.front().is_some_and(|s| s.ticket == ticket) {
            if let Some(saving) = self.saving.pop_front() {
                out.extend(saving.then);
            }
        }
    }

    /// Resident rows, rows under way to the store, and rows that were loaded from it.
    pub(super) fn known<'a>(&'a self, loaded: &'a BTreeMap<Key, Option<Vec<u8>>>) -> Known<'a> {
        Known { disk: self, loaded }
    }
}

/// All rows that can be read without asking the store.
pub(super) struct Known<'a> {
    disk: &'a Disk,
    loaded: &'a BTreeMap<Key, Option<Vec<u8>>>,
}

impl Base for Known<'_> {
    fn get(&self, key: &Key) -> Option<Option<&[u8]>> {
        if key.is_resident() {
            return self.disk.resident.get(key);
        }
        let saving = self.disk.saving.iter().rev().map(|saving| &saving.changes);
        [&self.disk.unsaved]
            .into_iter()
            .chain(saving)
            .chain([self.loaded])
            .find_map(|layer| layer.get(key))
            .map(|value| value.as_deref())
    }

    fn scan<'a>(&'a self, prefix: &[u8]) -> Box<dyn Iterator<Item = (&'a Key, &'a [u8])> + 'a> {
        self.disk.resident.scan(prefix)
    }
}

#[cfg(test)]
mod tests {
    use guildmint_core::Epoch;

    use super::*;
    use crate::rows::{Log, LogEntry};

    fn entry(n: u64) -> (Log, LogEntry) {
        (Log(Epoch(0), n), LogEntry::Payload(vec![]))
    }

    /// A flush after which nothing waits for time.
    fn flush(disk: &mut Disk, out: &mut Vec<Action>) {
        disk.flush(100, out);
        disk.flush(100 + GATHER_MS, out);
    }

    #[test]
    fn changes_gather_before_a_save() {
        let mut disk = Disk::new(Memory::default());
        let mut out = Vec::new();
        assert_eq!(disk.next_flush_ms(), None);
        disk.put(&entry(0).0, &entry(0).1);
        disk.flush(100, &mut out);
        assert_eq!(
            (out.len(), disk.next_flush_ms()),
            (0, Some(100 + GATHER_MS))
        );
        disk.put(&entry(1).0, &entry(1).1);
        disk.flush(100 + GATHER_MS - 1, &mut out);
        assert!(out.is_empty());
        disk.flush(100 + GATHER_MS, &mut out);
        let [Action::Save { ref changes, .. }] = out[..] else {
            panic!("{out:?}")
        };
        assert_eq!((changes.len(), disk.next_flush_ms()), (2, None));
    }

    #[test]
    fn what_is_dropped_never_leaves_be_its_save_under_way_or_not() {
        let mut disk = Disk::new(Memory::default());
        let mut out = Vec::new();
        for at_ms in 0..2 {
            disk.put(&entry(at_ms).0, &entry(at_ms).1);
            disk.after_save(Action::WakeAt { at_ms });
            disk.after_save(Action::WakeAt { at_ms: 100 + at_ms });
            disk.flush(at_ms * GATHER_MS, &mut out);
            disk.flush((at_ms + 1) * GATHER_MS, &mut out);
        }
        let [Action::Save { ticket, .. }] = out[..] else {
            panic!("{out:?}")
        };
        disk.drop_waiting(|action| matches!(action, Action::WakeAt { at_ms } if *at_ms < 100));
        out.clear();
        disk.saved(ticket, &mut out);
        assert!(
            matches!(out[..], [Action::WakeAt { at_ms: 100 }]),
            "{out:?}"
        );
        assert_eq!(disk.held_back(), 1);
    }

    #[test]
    fn nothing_leaves_before_what_it_follows_from_is_durable() {
        let mut disk = Disk::new(Memory::default());
        let mut out = Vec::new();
        disk.put(&entry(0).0, &entry(0).1);
        disk.after_save(Action::WakeAt { at_ms: 1 });
        flush(&mut disk, &mut out);
        let [Action::Save { ticket, .. }] = out[..] else {
            panic!("{out:?}")
        };
        out.clear();
        // These gather while the save is under way.
        disk.put(&entry(1).0, &entry(1).1);
        disk.put(&entry(2).0, &entry(2).1);
        disk.after_save(Action::WakeAt { at_ms: 2 });
        flush(&mut disk, &mut out);
        assert!(out.is_empty());
        disk.saved(ticket, &mut out);
        flush(&mut disk, &mut out);
        let [Action::WakeAt { at_ms: 1 }, Action::Save { ref changes, .. }] = out[..] else {
            panic!("{out:?}")
        };
        assert_eq!(changes.len(), 2);
    }

    #[test]
    fn without_changes_nothing_waits() {
        let mut disk = Disk::new(Memory::default());
        let mut out = Vec::new();
        disk.after_save(Action::WakeAt { at_ms: 1 });
        flush(&mut disk, &mut out);
        assert!(matches!(out[..], [Action::WakeAt { at_ms: 1 }]));
    }

    #[test]
    fn lazy_changes_cause_no_save_and_go_with_the_next() {
        let mut disk = Disk::new(Memory::default());
        let mut out = Vec::new();
        let key = entry(0).0.key(Scope::engine(Space::Local));
        disk.change_lazily([(key, Some(vec![]))].into());
        flush(&mut disk, &mut out);
        assert!(out.is_empty());
        disk.put(&entry(1).0, &entry(1).1);
        flush(&mut disk, &mut out);
        let [Action::Save { ref changes, .. }] = out[..] else {
            panic!("{out:?}")
        };
        assert_eq!(changes.len(), 2);
    }
}
