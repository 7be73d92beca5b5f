//! Catching up: epochs that were agreed on without us come from peers, many at a time, and count once f + 1 guardians have signed
//! what came of them (SPEC EPO-4).

use std::collections::BTreeMap;

use guildmint_core::{Epoch, EpochResult, PeerId, Wire};

use super::{
    history::Progress,
    talk::{Chunk, Talk, CHUNK_BYTES, MAX_EPOCHS_AT_ONCE},
    Node,
};
use crate::{contribution::EffectiveBatch, rows::Vouchers};

/// Epochs that are taken over before anything else is looked at again.
const MAX_ADOPTED_AT_ONCE: u32 = 16;

/// Answers that may be awaited of one peer. Questions beyond that may have been lost; their answers are not looked at.
const MAX_ASKED: u32 = 4;

/// Bytes of later epochs' histories that are kept of one peer: those of one answer.
const MAX_BYTES_AHEAD: usize = CHUNK_BYTES;

/// Whole batches of the open epoch and of later ones, as peers sent them, that nobody honest has vouched for yet. One of each
/// peer for each epoch: a liar cannot take the place of others.
#[derive(Default)]
pub(super) struct Candidates(BTreeMap<(Epoch, PeerId), Candidate>);

struct Candidate {
    result: EpochResult,
    /// Who signed it, as far as the sender knows and was verified, the sender among them.
    vouchers: Vouchers,
    batch: EffectiveBatch,
    bytes: usize,
}

impl Candidates {
    fn keep(&mut self, from: PeerId, candidate: Candidate) {
        self.0.insert((candidate.result.epoch, from), candidate);
    }

    /// Bytes that are kept of a peer.
    fn bytes(&self, of: PeerId) -> usize {
        let of_peer = self.0.iter().filter(|((_, peer), _)| *peer == of);
        of_peer.map(|(_, candidate)| candidate.bytes).sum()
    }

    /// Forgets those of epochs that are over.
    pub(super) fn advance(&mut self, open: Epoch) {
        self.0 = self.0.split_off(&(open, PeerId(0)));
    }

    /// Whether there is one for an epoch.
    pub(super) fn has(&self, epoch: Epoch) -> bool {
        self.of(epoch).next().is_some()
    }

    /// The batch of which this is the result.
    fn batch(&self, result: EpochResult) -> Option<EffectiveBatch> {
        let mut of_epoch = self.of(result.epoch);
        let (_, candidate) = of_epoch.find(|(_, candidate)| candidate.result == result)?;
        Some(candidate.batch.clone())
    }

    fn of(&self, epoch: Epoch) -> impl Iterator<Item = (PeerId, &Candidate)> {
        let range = (epoch, PeerId(0))..(epoch.next(), PeerId(0));
        let of_epoch = self.0.range(range);
        of_epoch.map(|((_, peer), candidate)| (*peer, candidate))
    }
}

impl Node {
    /// Takes histories from a peer: a part of the open epoch's, or the whole of several.
    pub(super) fn on_history(&mut self, from: PeerId, chunks: Vec<Chunk>) {
        if chunks.len() as u64 > MAX_EPOCHS_AT_ONCE {
            return self.blame(from, format!("{} epochs in one answer", chunks.len()));
        }
        // ⚠ An answer may cost a thousand signatures to verify. One that nobody waits for any more is no fault.
        match self.history_asked.get_mut(&from) {
            Some(asked) if *asked > 0 => *asked -= 1,
            _ => return,
        }
        for chunk in chunks {
            if !self.is_signed(from, &chunk.result, &chunk.signature) {
                return;
            }
            let Some(vouchers) = self.verified(from, &chunk) else {
                return;
            };
            if chunk.result.epoch > self.round.epoch {
                self.take_ahead(from, &chunk, vouchers);
            } else {
                self.take_chunk(from, chunk, vouchers);
            }
        }
    }

    /// The signatures on a result that a peer passes on, if all of them are right.
    fn verified(&mut self, from: PeerId, chunk: &Chunk) -> Option<Vouchers> {
        let mut passed_on = chunk.vouchers.iter();
        let wrong =
            passed_on.find(|(peer, signature)| !self.has_signed(**peer, &chunk.result, signature));
        if let Some((peer, _)) = wrong {
            self.blame(from, format!("passes on a wrong signature of {peer}"));
            return None;
        }
        let mut vouchers = chunk.vouchers.clone();
        vouchers.insert(from, chunk.signature);
        Some(vouchers)
    }

    fn take_chunk(&mut self, from: PeerId, chunk: Chunk, vouchers: Vouchers) {
        let open = self.round.epoch;
        let result = chunk.result;
        for (peer, signature) in &vouchers {
            self.history.sign(*peer, result, *signature, open);
        }
        match self.history.chunk(from, chunk, open, self.now_ms) {
            Progress::More(offset) => self.want_history(from, open, offset),
            Progress::Complete(batch) => self.candidates.keep(
                from,
                Candidate {
                    result,
                    vouchers,
                    batch: *batch,
                    bytes: 0,
                },
            ),
            // An answer that comes late is no fault.
            Progress::Useless(_) if result.epoch < open => {}
            Progress::Useless(why) => self.blame(from, why.to_owned()),
        }
    }

    /// Keeps the history of a later epoch for when that is open.
    fn take_ahead(&mut self, from: PeerId, chunk: &Chunk, vouchers: Vouchers) {
        let is_near = chunk.result.epoch.0 - self.round.epoch.0 < MAX_EPOCHS_AT_ONCE;
        let bytes = chunk.bytes.len();
        let has_room = self.candidates.bytes(from).saturating_add(bytes) <= MAX_BYTES_AHEAD;
        if !is_near || !has_room || !self.history.is_catching_up() {
            return;
        }
        match EffectiveBatch::decode(&chunk.bytes) {
            Ok(batch)
                if batch.hash() == chunk.result.batch && batch.epoch == chunk.result.epoch =>
            {
                let candidate = Candidate {
                    result: chunk.result,
                    vouchers,
                    batch,
                    bytes,
                };
                self.candidates.keep(from, candidate);
            }
            _ => self.blame(from, "history that is not what was signed".into()),
        }
    }

    /// Takes over the epochs for which that is possible.
    pub(super) fn catch_up(&mut self) {
        for _ in 0..MAX_ADOPTED_AT_ONCE {
            let before = self.round.epoch;
            self.adopt_candidate();
            if self.halted.is_some() || self.round.epoch == before {
                return;
            }
        }
    }

    /// Processes the open epoch's batch if f + 1 guardians have signed its result.
    fn adopt_candidate(&mut self) {
        let open = self.round.epoch;
        if self.round.processing {
            return;
        }
        for (_, candidate) in self.candidates.of(open) {
            for (peer, signature) in &candidate.vouchers {
                let result = candidate.result;
                self.history.sign(*peer, result, *signature, open);
            }
        }
        let Some(vouched) = self.history.vouched(open) else {
            return;
        };
        if let Some(batch) = self.candidates.batch(vouched) {
            self.adopt(vouched, batch);
        }
    }

    pub(super) fn ask_for_history(&mut self) {
        if self.round.processing {
            return;
        }
        let open = self.round.epoch;
        for peer in self.history.due(open, self.now_ms) {
            self.want_history(peer, open, 0);
        }
    }

    fn want_history(&mut self, of: PeerId, epoch: Epoch, offset: u64) {
        let asked = self.history_asked.entry(of).or_default();
        *asked = asked.saturating_add(1).min(MAX_ASKED);
        self.send(of, &Talk::WantHistory(epoch, offset));
    }
}
