//! What is known of one peer: its frames, its gaps, and how it was answered.

use std::collections::BTreeMap;

use guildmint_core::{limits, Epoch};

use crate::packet::cost_bytes;

/// How long a gap is given to close by itself, in ms. Packets in flight often overtake each other.
const GAP_MS: u64 = 100;

/// The longest wait between two requests for the same gap, in ms.
const MAX_GAP_MS: u64 = 2_000;

/// The least time between two answers of a kind to one peer, in ms. Below [`GAP_MS`], so that honest requests pass.
const ANSWER_MS: u64 = 50;

/// One peer's frames of one epoch.
#[derive(Debug, Default)]
struct Stream {
    /// How many frames were handed over, which is the number of the next.
    received: u64,
    /// How many frames there are, by the highest number seen or claimed. A gap if it is above `received`.
    claimed: u64,
    /// Frames that came before their turn.
    held: BTreeMap<u64, Vec<u8>>,
}

/// A gap in the open epoch.
#[derive(Debug)]
struct Gap {
    due_ms: u64,
    wait_ms: u64,
}

/// At most one answer per [`ANSWER_MS`].
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    answered_ms: Option<u64>,
}

impl Throttle {
    pub(crate) fn permits(&mut self, now_ms: u64) -> bool {
        let soon = |answered: u64| now_ms < answered.saturating_add(ANSWER_MS);
        let permits = !self.answered_ms.is_some_and(soon);
        if permits {
            self.answered_ms = Some(now_ms);
        }
        permits
    }
}

#[derive(Debug, Default)]
pub(crate) struct Inbox {
    /// The last epoch that the peer has committed, by its last word.
    pub(crate) committed: Option<Epoch>,
    pub(crate) fetches: Throttle,
    pub(crate) statuses: Throttle,
    /// Streams of the open epoch and at most [`limits::MAX_EPOCHS_AHEAD`] later ones.
    streams: BTreeMap<Epoch, Stream>,
    held_bytes: usize,
    gap: Option<Gap>,
}

impl Inbox {
    /// Takes frames of an epoch that is open or within the window, and returns those whose turn has come: none unless
    /// `deliver`, which says that the epoch is the open one.
    pub(crate) fn take(
        &mut self,
        epoch: Epoch,
        first: u64,
        frames: Vec<Vec<u8>>,
        deliver: bool,
    ) -> Vec<Vec<u8>> {
        let stream = self.streams.entry(epoch).or_default();
        let end = first.saturating_add(frames.len() as u64);
        stream.claimed = stream.claimed.max(end);
        let mut ready = Vec::new();
        for (number, frame) in (first..).zip(frames) {
            if deliver && number == stream.received {
                // Never held, so that a full inbox cannot keep the open epoch from going on.
                stream.received += 1;
                ready.push(frame);
                self.held_bytes -= stream.held.remove(&number).map_or(0, |f| cost_bytes(&f));
                continue;
            }
            let cost = cost_bytes(&frame);
            let fits = self.held_bytes + cost <= limits::MAX_INBOX_BYTES;
            if number >= stream.received && fits && !stream.held.contains_key(&number) {
                stream.held.insert(number, frame);
                self.held_bytes += cost;
            }
        }
        if deliver {
            ready.extend(self.release(epoch));
        }
        ready
    }

    /// Held frames whose turn has come.
    fn release(&mut self, epoch: Epoch) -> Vec<Vec<u8>> {
        let mut ready = Vec::new();
        let Some(stream) = self.streams.get_mut(&epoch) else {
            return ready;
        };
        while let Some(frame) = stream.held.remove(&stream.received) {
            stream.received += 1;
            self.held_bytes -= cost_bytes(&frame);
            ready.push(frame);
        }
        ready
    }

    /// The peer says that it has sent `frames` frames in an epoch within the window.
    pub(crate) fn claim(&mut self, epoch: Epoch, frames: u64) {
        let stream = self.streams.entry(epoch).or_default();
        stream.claimed = stream.claimed.max(frames);
    }

    /// Counts a frame that was handed over before a restart.
    pub(crate) fn restore(&mut self, open: Epoch) {
        let stream = self.streams.entry(open).or_default();
        let held = stream.held.remove(&stream.received);
        self.held_bytes -= held.map_or(0, |frame| cost_bytes(&frame));
        stream.received += 1;
    }

    /// Forgets epochs before `open` and returns what is ready of that one.
    pub(crate) fn open(&mut self, open: Epoch, now_ms: u64) -> Vec<Vec<u8>> {
        let kept = self.streams.split_off(&open);
        let passed = std::mem::replace(&mut self.streams, kept);
        for frame in passed.values().flat_map(|stream| stream.held.values()) {
            self.held_bytes -= cost_bytes(frame);
        }
        let ready = self.release(open);
        self.watch(open, now_ms, true);
        ready
    }

    /// Notices whether there is a gap in the `open` epoch; another one than before if there was `progress`.
    pub(crate) fn watch(&mut self, open: Epoch, now_ms: u64, progress: bool) {
        let missing = self
            .streams
            .get(&open)
            .is_some_and(|stream| stream.received < stream.claimed);
        if !missing {
            self.gap = None;
        } else if progress || self.gap.is_none() {
            self.gap = Some(Gap {
                due_ms: now_ms.saturating_add(GAP_MS),
                wait_ms: GAP_MS,
            });
        }
    }

    /// The first missing frame, if it is time to ask for it.
    pub(crate) fn ask(&mut self, open: Epoch, now_ms: u64) -> Option<u64> {
        let gap = self.gap.as_mut().filter(|gap| gap.due_ms <= now_ms)?;
        gap.due_ms = now_ms.saturating_add(gap.wait_ms);
        gap.wait_ms = (gap.wait_ms * 2).min(MAX_GAP_MS);
        Some(self.received(open))
    }

    /// When [`Inbox::ask`] wants to be called.
    pub(crate) fn due_ms(&self) -> Option<u64> {
        self.gap.as_ref().map(|gap| gap.due_ms)
    }

    /// How many frames of `epoch` were handed over.
    pub(crate) fn received(&self, epoch: Epoch) -> u64 {
        self.streams.get(&epoch).map_or(0, |stream| stream.received)
    }

    /// Whether the peer is known to have spoken in `epoch`.
    pub(crate) fn is_active(&self, epoch: Epoch) -> bool {
        self.streams
            .get(&epoch)
            .is_some_and(|stream| stream.received.max(stream.claimed) > 0)
    }

    pub(crate) fn held_bytes(&self) -> usize {
        self.held_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: Epoch = Epoch(5);

    fn frames(numbers: std::ops::Range<u8>) -> Vec<Vec<u8>> {
        numbers.map(|number| vec![number]).collect()
    }

    #[test]
    fn hands_over_in_order_and_once() {
        let mut inbox = Inbox::default();
        assert!(inbox.take(OPEN, 2, frames(2..4), true).is_empty());
        assert_eq!(inbox.take(OPEN, 0, frames(0..1), true), frames(0..1));
        assert_eq!(inbox.take(OPEN, 0, frames(0..3), true), frames(1..4));
        assert!(inbox.take(OPEN, 0, frames(0..4), true).is_empty());
        assert_eq!((inbox.received(OPEN), inbox.held_bytes()), (4, 0));
    }

    #[test]
    fn holds_later_epochs_until_they_open() {
        let mut inbox = Inbox::default();
        assert!(inbox.take(Epoch(6), 0, frames(0..2), false).is_empty());
        assert!(inbox.take(Epoch(7), 1, frames(1..2), false).is_empty());
        assert_eq!(inbox.open(Epoch(6), 0), frames(0..2));
        assert!(inbox.open(Epoch(7), 0).is_empty());
        assert_eq!(
            inbox.due_ms(),
            Some(GAP_MS),
            "frame 0 of epoch 7 is missing"
        );
        assert!(inbox.open(Epoch(8), 0).is_empty());
        assert_eq!((inbox.due_ms(), inbox.held_bytes()), (None, 0));
    }

    #[test]
    fn a_full_inbox_drops_what_is_early_but_never_what_is_due() {
        let mut inbox = Inbox::default();
        let large = vec![vec![1; limits::MAX_FRAME_BYTES]; 8_000];
        inbox.take(Epoch(6), 0, large.clone(), false);
        inbox.take(Epoch(7), 0, large, false);
        assert!(inbox.held_bytes() <= limits::MAX_INBOX_BYTES);
        assert!(inbox.held_bytes() > limits::MAX_INBOX_BYTES - 5_000);
        let due = vec![vec![2; limits::MAX_FRAME_BYTES]; 10];
        assert_eq!(inbox.take(OPEN, 0, due.clone(), true), due);
        // What was dropped is known to be missing once it matters.
        assert_eq!(inbox.open(Epoch(6), 0).len(), 8_000);
        assert!(inbox.open(Epoch(7), 50).len() < 8_000);
        assert_eq!(inbox.due_ms(), Some(50 + GAP_MS));
    }

    #[test]
    fn asks_with_back_off_until_there_is_progress() {
        let mut inbox = Inbox::default();
        inbox.claim(OPEN, 3);
        inbox.watch(OPEN, 1_000, false);
        assert_eq!(inbox.ask(OPEN, 1_099), None);
        let mut asked_ms = Vec::new();
        for now_ms in 1_100..7_000 {
            if inbox.ask(OPEN, now_ms).is_some() {
                asked_ms.push(now_ms);
            }
        }
        assert_eq!(asked_ms, [1_100, 1_200, 1_400, 1_800, 2_600, 4_200, 6_200]);
        assert_eq!(inbox.take(OPEN, 0, frames(0..1), true), frames(0..1));
        inbox.watch(OPEN, 7_000, true);
        assert_eq!(
            (inbox.due_ms(), inbox.ask(OPEN, 7_100)),
            (Some(7_100), Some(1))
        );
    }

    #[test]
    fn answers_are_throttled() {
        let mut throttle = Throttle::default();
        let permitted: Vec<u64> = (0..200)
            .filter(|now_ms| throttle.permits(*now_ms))
            .collect();
        assert_eq!(permitted, [0, 50, 100, 150]);
    }

    #[test]
    fn restored_frames_are_not_wanted_again() {
        let mut inbox = Inbox::default();
        inbox.restore(OPEN);
        inbox.restore(OPEN);
        assert_eq!(inbox.take(OPEN, 0, frames(0..3), true), frames(2..3));
    }
}
