//! Our own frames, kept for peers that missed them.

use std::collections::BTreeMap;

use guildmint_core::{limits, Epoch};

use crate::packet::{cost_bytes, is_frame_size, Packet, MAX_FRAMES_PER_EPOCH};

/// Cost of the frames in one packet, in bytes.
const PACKET_BYTES: usize = 64 * 1024;

/// Cost of the frames in one answer, in bytes. Whoever lacks more asks again from where it got to.
pub(crate) const REPLY_BYTES: usize = 256 * 1024;

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    epochs: BTreeMap<Epoch, Vec<Vec<u8>>>,
    /// The first frame that [`Outbox::flush`] has not returned yet.
    unflushed: (Epoch, usize),
    bytes: usize,
}

impl Outbox {
    /// Appends a frame, unless no peer would accept it.
    pub(crate) fn push(&mut self, epoch: Epoch, frame: Vec<u8>) -> bool {
        let frames = self.epochs.entry(epoch).or_default();
        let accept = is_frame_size(frame.len()) && (frames.len() as u64) < MAX_FRAMES_PER_EPOCH;
        if accept {
            self.bytes += cost_bytes(&frame);
            frames.push(frame);
        }
        accept
    }

    /// Every frame not returned before, of whatever epoch.
    pub(crate) fn flush(&mut self) -> Vec<Packet> {
        let (from, skip) = self.unflushed;
        let mut packets = Vec::new();
        for (&epoch, frames) in self.epochs.range(from..) {
            let first = if epoch == from { skip } else { 0 };
            packets.extend(batch(epoch, first, frames, usize::MAX));
            self.unflushed = (epoch, frames.len());
        }
        packets
    }

    /// Whether there are frames not returned by [`Outbox::flush`].
    pub(crate) fn has_more(&self) -> bool {
        let (from, flushed) = self.unflushed;
        let mut epochs = self.epochs.range(from..);
        epochs.any(|(&epoch, frames)| epoch > from && !frames.is_empty() || frames.len() > flushed)
    }

    /// Forgets every frame not returned by [`Outbox::flush`].
    pub(crate) fn retract(&mut self) {
        let (from, kept) = self.unflushed;
        for (&epoch, frames) in self.epochs.range_mut(from..) {
            let keep = if epoch == from { kept } else { 0 };
            let retracted = frames.split_off(keep.min(frames.len()));
            self.bytes -= retracted
                .iter()
                .map(|frame| cost_bytes(frame))
                .sum::<usize>();
        }
    }

    /// How many frames of `epoch` were pushed.
    pub(crate) fn pushed(&self, epoch: Epoch) -> usize {
        self.epochs.get(&epoch).map_or(0, Vec::len)
    }

    /// How many frames of `epoch` were flushed. Those that were not may not be on disk yet: nobody may learn of them.
    pub(crate) fn sent(&self, epoch: Epoch) -> usize {
        let frames = self.epochs.get(&epoch).map_or(0, Vec::len);
        match epoch.cmp(&self.unflushed.0) {
            std::cmp::Ordering::Less => frames,
            std::cmp::Ordering::Equal => frames.min(self.unflushed.1),
            std::cmp::Ordering::Greater => 0,
        }
    }

    /// The sent frames of `epoch` from `first` on, as many as fit in one answer.
    pub(crate) fn fetch(&self, epoch: Epoch, first: u64) -> Vec<Packet> {
        let first = usize::try_from(first).unwrap_or(usize::MAX);
        let sent = self
            .epochs
            .get(&epoch)
            .and_then(|frames| frames.get(..self.sent(epoch)));
        batch(epoch, first, sent.unwrap_or_default(), REPLY_BYTES)
    }

    /// Whether there are frames of `epoch`.
    pub(crate) fn holds(&self, epoch: Epoch) -> bool {
        self.epochs
            .get(&epoch)
            .is_some_and(|frames| !frames.is_empty())
    }

    /// Forgets epochs that all peers have committed, and the oldest while there is too much, but never the `open` epoch
    /// or the one before: a peer that is one epoch behind must be able to finish it (SPEC NET-3).
    pub(crate) fn forget(&mut self, open: Epoch, committed_by_all: Option<Epoch>) {
        while let Some(entry) = self.epochs.first_entry() {
            let epoch = *entry.key();
            let unneeded = committed_by_all.is_some_and(|committed| epoch <= committed);
            if epoch.next() >= open || !(unneeded || self.bytes > limits::MAX_OUTBOX_BYTES) {
                return;
            }
            let freed: usize = entry.remove().iter().map(|frame| cost_bytes(frame)).sum();
            self.bytes -= freed;
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// `frames[first..]` in packets, until `budget_bytes` would be exceeded.
fn batch(epoch: Epoch, first: usize, frames: &[Vec<u8>], budget_bytes: usize) -> Vec<Packet> {
    let (mut packets, mut batch) = (Vec::new(), Vec::new());
    let (mut batch_first, mut batch_bytes, mut total_bytes) = (first as u64, 0, 0);
    for (number, frame) in (0u64..).zip(frames).skip(first) {
        let cost = cost_bytes(frame);
        total_bytes += cost;
        if total_bytes > budget_bytes {
            break;
        }
        if batch_bytes + cost > PACKET_BYTES {
            let frames = std::mem::take(&mut batch);
            packets.push(Packet::Frames {
                epoch,
                first: batch_first,
                frames,
            });
            (batch_first, batch_bytes) = (number, 0);
        }
        batch_bytes += cost;
        batch.push(frame.clone());
    }
    if !batch.is_empty() {
        packets.push(Packet::Frames {
            epoch,
            first: batch_first,
            frames: batch,
        });
    }
    packets
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frame numbers in `packets`, checked to be consecutive within a packet and bounded in bytes.
    fn numbers(packets: &[Packet]) -> Vec<(u64, u64)> {
        let mut numbers = Vec::new();
        for packet in packets {
            let Packet::Frames {
                epoch,
                first,
                frames,
            } = packet
            else {
                panic!("only frames, not {packet:?}")
            };
            assert!(frames.iter().map(|f| cost_bytes(f)).sum::<usize>() <= PACKET_BYTES);
            numbers.extend((*first..).zip(frames).map(|(number, _)| (epoch.0, number)));
        }
        numbers
    }

    fn filled(epochs: std::ops::Range<u64>, frames: usize, bytes: usize) -> Outbox {
        let mut outbox = Outbox::default();
        for epoch in epochs {
            for _ in 0..frames {
                assert!(outbox.push(Epoch(epoch), vec![7; bytes]));
            }
        }
        outbox
    }

    #[test]
    fn flushes_each_frame_once_in_bounded_packets() {
        let mut outbox = filled(3..5, 1_000, limits::MAX_FRAME_BYTES);
        let all: Vec<_> = (3..5)
            .flat_map(|e| (0..1_000).map(move |n| (e, n)))
            .collect();
        let packets = outbox.flush();
        assert_eq!(numbers(&packets), all);
        assert_eq!(
            packets.len(),
            2 * 5,
            "204 of the largest frames fit in a packet"
        );
        assert!(outbox.flush().is_empty());
        outbox.push(Epoch(4), vec![1]);
        assert_eq!(numbers(&outbox.flush()), [(4, 1_000)]);
    }

    #[test]
    fn answers_from_a_number_on_with_flushed_frames_only() {
        let mut outbox = filled(0..1, 4, 10);
        assert_eq!(
            (outbox.sent(Epoch(0)), outbox.fetch(Epoch(0), 0)),
            (0, vec![])
        );
        outbox.flush();
        outbox.push(Epoch(0), vec![1]);
        assert_eq!(outbox.sent(Epoch(0)), 4);
        assert_eq!(numbers(&outbox.fetch(Epoch(0), 2)), [(0, 2), (0, 3)]);
        for first in [4, 5, u64::MAX] {
            assert!(outbox.fetch(Epoch(0), first).is_empty());
        }
        assert!(outbox.fetch(Epoch(1), 0).is_empty());
    }

    #[test]
    fn one_answer_is_bounded() {
        let mut outbox = filled(0..1, 8_000, 100);
        outbox.flush();
        let answer = numbers(&outbox.fetch(Epoch(0), 5));
        assert_eq!(answer.first(), Some(&(0, 5)));
        assert_eq!(answer.len(), REPLY_BYTES / cost_bytes(&[0; 100]));
    }

    #[test]
    fn forgets_what_all_have_committed_but_not_the_last_two_epochs() {
        let mut outbox = filled(0..5, 2, 10);
        outbox.forget(Epoch(4), Some(Epoch(1)));
        let held = |outbox: &Outbox| {
            (0..5)
                .filter(|e| outbox.holds(Epoch(*e)))
                .collect::<Vec<_>>()
        };
        assert_eq!(held(&outbox), [2, 3, 4]);
        outbox.forget(Epoch(4), Some(Epoch(u64::MAX)));
        assert_eq!(held(&outbox), [3, 4]);
        assert_eq!(outbox.bytes(), 4 * cost_bytes(&[0; 10]));
    }

    #[test]
    fn forgets_the_oldest_beyond_its_bound() {
        let frames = limits::MAX_OUTBOX_BYTES / cost_bytes(&[0; 200]) / 8;
        let mut outbox = filled(0..10, frames, 200);
        outbox.forget(Epoch(9), None);
        assert!(!outbox.holds(Epoch(1)) && (2..10).all(|epoch| outbox.holds(Epoch(epoch))));
    }

    #[test]
    fn refuses_frames_that_no_peer_accepts() {
        let mut outbox = filled(0..1, MAX_FRAMES_PER_EPOCH as usize, 1);
        assert!(!outbox.push(Epoch(0), vec![1]), "too many");
        assert!(!outbox.push(Epoch(1), vec![]));
        assert!(!outbox.push(Epoch(1), vec![0; limits::MAX_FRAME_BYTES + 1]));
        assert!(!outbox.holds(Epoch(1)) && outbox.push(Epoch(1), vec![1]));
    }
}
