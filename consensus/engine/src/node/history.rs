//! Results of epochs as guardians signed them: certificates for the public, and catching up for who was away.

use std::collections::BTreeMap;

use guildmint_core::{
    api::CatchUp, Certificate, Digest, Epoch, EpochResult, IdentitySignature, PeerId, Quorum, Wire,
};

use super::talk::Chunk;
use crate::{contribution::EffectiveBatch, rows::Vouchers};

/// How long a guardian that sees others ahead waits for its own agreement before it asks for theirs, in milliseconds.
const PATIENCE_MS: u64 = 500;

/// How long the next part of a batch may take before everything is asked for again, in milliseconds.
const CHUNK_PATIENCE_MS: u64 = 15_000;

/// Bytes of one epoch's history that are accepted. An epoch of twenty full contributions has fewer.
const MAX_BATCH_BYTES: u64 = 32 * 1024 * 1024;

/// Epochs whose signatures are kept: the last committed ones and those ahead.
const KEPT_EPOCHS: u64 = 8;

/// Results of one epoch that are kept of one peer. An honest one signs one. ⚠ A liar that signs another for somebody must not
/// thereby take back what it has signed for others: f + 1 signers of a result have an honest one among them all the same.
const MAX_RESULTS: usize = 4;

type Signed = BTreeMap<PeerId, Vec<(EpochResult, IdentitySignature)>>;

/// Signatures and batches of epochs, as peers sent them.
pub(super) struct History {
    quorum: Quorum,
    signed: BTreeMap<Epoch, Signed>,
    /// The highest epoch that each peer is known to have committed.
    committed: BTreeMap<PeerId, Epoch>,
    /// Batches on their way, by sender.
    downloads: BTreeMap<PeerId, Download>,
    ask_at_ms: Option<u64>,
    /// How often the open epoch's history was asked for.
    asked: u32,
    /// Whether history was asked for since this guardian last was where the others are.
    is_catching_up: bool,
    /// Where and when it last fell behind, while it is.
    behind_since: Option<(Epoch, u64)>,
}

struct Download {
    epoch: Epoch,
    bytes: Vec<u8>,
}

/// What a peer's chunk led to.
pub(super) enum Progress {
    /// More bytes are needed: ask for those from here on.
    More(u64),
    /// All is there, as far as this peer is concerned.
    Complete(Box<EffectiveBatch>),
    /// Not what was asked for.
    Useless(&'static str),
}

impl History {
    pub(super) fn new(quorum: Quorum) -> Self {
        Self {
            quorum,
            signed: BTreeMap::new(),
            committed: BTreeMap::new(),
            downloads: BTreeMap::new(),
            ask_at_ms: None,
            asked: 0,
            is_catching_up: false,
            behind_since: None,
        }
    }

    /// Whether history was asked for, and there is more.
    pub(super) fn is_catching_up(&self) -> bool {
        self.is_catching_up
    }

    /// A peer says that it has committed an epoch. Only a hint of whom to ask.
    pub(super) fn peer_committed(&mut self, peer: PeerId, epoch: Epoch, open: Epoch, now_ms: u64) {
        let known = self.committed.entry(peer).or_insert(epoch);
        *known = epoch.max(*known);
        self.note_whether_behind(open, now_ms);
        if epoch >= open && self.ask_at_ms.is_none() {
            self.ask_at_ms = Some(now_ms.saturating_add(PATIENCE_MS));
        }
    }

    /// Whether f + 1 peers, of whom one is honest, say that they are well ahead.
    pub(super) fn is_behind(&self, open: Epoch) -> bool {
        let ahead = self
            .committed
            .values()
            .filter(|epoch| **epoch > open.next());
        ahead.count() >= self.quorum.one_honest()
    }

    fn note_whether_behind(&mut self, open: Epoch, now_ms: u64) {
        let since = self.behind_since.unwrap_or((open, now_ms));
        self.behind_since = self.is_behind(open).then_some(since);
    }

    /// How far this guardian has come, while f + 1 peers are well ahead.
    pub(super) fn progress(&self, open: Epoch, now_ms: u64) -> Option<CatchUp> {
        let (from, since_ms) = self.behind_since?;
        let theirs = self.open_elsewhere().unwrap_or(open);
        Some(CatchUp {
            epoch: open,
            behind: theirs.0.saturating_sub(open.0),
            done: open.0.saturating_sub(from.0),
            elapsed_ms: now_ms.saturating_sub(since_ms),
        })
    }

    /// The epoch that is open elsewhere, as f + 1 peers say, of whom one is honest.
    pub(super) fn open_elsewhere(&self) -> Option<Epoch> {
        let mut committed: Vec<Epoch> = self.committed.values().copied().collect();
        committed.sort_unstable_by(|a, b| b.cmp(a));
        let vouched = committed.get(self.quorum.max_faulty())?;
        Some(vouched.next())
    }

    /// Keeps a signature, which was verified.
    pub(super) fn sign(
        &mut self,
        peer: PeerId,
        result: EpochResult,
        signature: IdentitySignature,
        open: Epoch,
    ) {
        let near = result.epoch.0.abs_diff(open.0) < KEPT_EPOCHS;
        if near {
            let signed = self.signed.entry(result.epoch).or_default();
            let of_peer = signed.entry(peer).or_default();
            let is_known = of_peer.iter().any(|(known, _)| *known == result);
            if !is_known && of_peer.len() < MAX_RESULTS {
                of_peer.push((result, signature));
            }
        }
    }

    /// Forgets what was signed of an epoch besides its result, which is certain; tells who signed it.
    pub(super) fn drop_contradictions(&mut self, result: &EpochResult) -> Vec<PeerId> {
        let mut liars = Vec::new();
        for (peer, of_peer) in self.signed.get_mut(&result.epoch).into_iter().flatten() {
            let signed = of_peer.len();
            of_peer.retain(|(known, _)| known == result);
            if of_peer.len() < signed {
                liars.push(*peer);
            }
        }
        liars
    }

    /// The certificate of an epoch, if t guardians signed the same result.
    pub(super) fn certificate(&self, epoch: Epoch) -> Option<Certificate> {
        self.agreed(epoch, self.quorum.threshold())
    }

    /// The result of an epoch that an honest guardian vouches for.
    pub(super) fn vouched(&self, epoch: Epoch) -> Option<EpochResult> {
        let certificate = self.agreed(epoch, self.quorum.one_honest())?;
        Some(certificate.result)
    }

    /// All signatures on a result that are kept.
    pub(super) fn vouchers(&self, result: &EpochResult) -> Vouchers {
        let signed = self.signed.get(&result.epoch).into_iter().flatten();
        let on_it = signed.filter_map(|(peer, of_peer)| {
            let (_, signature) = of_peer.iter().find(|(known, _)| known == result)?;
            Some((*peer, *signature))
        });
        on_it.collect()
    }

    fn agreed(&self, epoch: Epoch, need: usize) -> Option<Certificate> {
        let signed = self.signed.get(&epoch)?;
        let mut results: BTreeMap<EpochResult, Vouchers> = BTreeMap::new();
        for (peer, of_peer) in signed {
            for (result, signature) in of_peer {
                let vouchers = results.entry(*result).or_default();
                vouchers.insert(*peer, *signature);
            }
        }
        results
            .into_iter()
            .find(|(_, signatures)| signatures.len() >= need)
            .map(|(result, signatures)| Certificate { result, signatures })
    }

    /// An epoch was committed here; the next one is open, and its history may be here already.
    pub(super) fn advance(&mut self, open: Epoch, now_ms: u64, is_here: bool) {
        let oldest = Epoch(open.0.saturating_sub(KEPT_EPOCHS));
        self.signed = self.signed.split_off(&oldest);
        self.downloads.clear();
        let behind = self.committed.values().any(|epoch| *epoch >= open);
        self.is_catching_up &= behind;
        self.note_whether_behind(open, now_ms);
        self.asked = 0;
        // One that is catching up goes on at once; one that keeps pace gives its own agreement time.
        self.ask_at_ms = behind.then(|| match self.is_catching_up && !is_here {
            true => now_ms,
            false => now_ms.saturating_add(PATIENCE_MS),
        });
    }

    /// Whom to ask for the open epoch's history, and what follows, if it is time: of the peers that say that they have it f + 1,
    /// each time others, and all of them if that does not help.
    pub(super) fn due(&mut self, open: Epoch, now_ms: u64) -> Vec<PeerId> {
        if self.ask_at_ms.is_none_or(|at_ms| at_ms > now_ms) {
            return Vec::new();
        }
        self.asked += 1;
        self.ask_at_ms = Some(now_ms.saturating_add(PATIENCE_MS * 2));
        self.downloads.clear();
        self.is_catching_up = true;
        let ahead = self.committed.iter().filter(|(_, epoch)| **epoch >= open);
        let mut ahead: Vec<PeerId> = ahead.map(|(peer, _)| *peer).collect();
        if self.asked == 1 && !ahead.is_empty() {
            let first = (open.0 % ahead.len() as u64) as usize;
            ahead.rotate_left(first);
            ahead.truncate(self.quorum.one_honest());
        }
        ahead
    }

    /// When [`History::due`] has something to do.
    pub(super) fn next_wake_ms(&self) -> Option<u64> {
        self.ask_at_ms
    }

    /// Takes a part of the open epoch's batch, whose signature was verified.
    pub(super) fn chunk(
        &mut self,
        from: PeerId,
        chunk: Chunk,
        open: Epoch,
        now_ms: u64,
    ) -> Progress {
        if chunk.result.epoch != open || chunk.total > MAX_BATCH_BYTES {
            return Progress::Useless("history that nobody asked for");
        }
        let download = self.downloads.entry(from).or_insert(Download {
            epoch: open,
            bytes: Vec::new(),
        });
        let expected = download.bytes.len() as u64;
        if chunk.offset != expected || download.epoch != open {
            return Progress::Useless("history out of order");
        }
        let end = expected + chunk.bytes.len() as u64;
        if end > chunk.total || (chunk.bytes.is_empty() && end < chunk.total) {
            return Progress::Useless("history of another length than announced");
        }
        download.bytes.extend(chunk.bytes);
        if end < chunk.total {
            // It gets on, however slowly: nobody is asked again from the beginning meanwhile.
            self.ask_at_ms = Some(now_ms.saturating_add(CHUNK_PATIENCE_MS));
            return Progress::More(end);
        }
        let bytes = self.downloads.remove(&from).map(|download| download.bytes);
        match EffectiveBatch::decode(&bytes.unwrap_or_default()) {
            Ok(batch) if batch.hash() == chunk.result.batch && batch.epoch == open => {
                Progress::Complete(Box::new(batch))
            }
            _ => Progress::Useless("history that is not what was signed"),
        }
    }
}

/// The digest before the first epoch.
pub(super) const GENESIS: Digest = Digest([0; 32]);

#[cfg(test)]
mod tests {
    use super::*;
    use guildmint_core::BatchHash;

    fn result(epoch: u64, byte: u8) -> EpochResult {
        EpochResult {
            epoch: Epoch(epoch),
            previous: GENESIS,
            batch: BatchHash([byte; 32]),
            digest: Digest([byte; 32]),
        }
    }

    fn signature() -> IdentitySignature {
        IdentitySignature([0; 64])
    }

    #[test]
    fn liars_cannot_vouch() {
        let mut history = History::new(Quorum::new(4).unwrap());
        history.sign(PeerId(3), result(0, 9), signature(), Epoch(0));
        assert_eq!(history.vouched(Epoch(0)), None);
        history.sign(PeerId(0), result(0, 1), signature(), Epoch(0));
        assert_eq!(history.vouched(Epoch(0)), None);
        history.sign(PeerId(1), result(0, 1), signature(), Epoch(0));
        assert_eq!(history.vouched(Epoch(0)), Some(result(0, 1)));
        assert_eq!(history.certificate(Epoch(0)), None);
        history.sign(PeerId(2), result(0, 1), signature(), Epoch(0));
        let certificate = history.certificate(Epoch(0)).unwrap();
        assert_eq!(certificate.signatures.len(), 3);
    }

    /// SPEC EPO-4.
    #[test]
    fn who_signs_two_results_takes_back_neither() {
        let mut history = History::new(Quorum::new(4).unwrap());
        let (right, wrong) = (result(0, 1), result(0, 9));
        history.sign(PeerId(3), wrong, signature(), Epoch(0));
        history.sign(PeerId(3), right, signature(), Epoch(0));
        assert_eq!(history.vouched(Epoch(0)), None);
        history.sign(PeerId(0), right, signature(), Epoch(0));
        assert_eq!(history.vouched(Epoch(0)), Some(right));
        assert_eq!(history.vouchers(&right).len(), 2);
        assert_eq!(history.vouchers(&wrong).len(), 1);
        for byte in 10..30 {
            history.sign(PeerId(3), result(0, byte), signature(), Epoch(0));
        }
        let kept = &history.signed[&Epoch(0)][&PeerId(3)];
        assert_eq!(kept.len(), MAX_RESULTS);
    }

    #[test]
    fn signatures_of_far_epochs_are_not_kept() {
        let mut history = History::new(Quorum::new(4).unwrap());
        history.sign(PeerId(0), result(1_000_000, 1), signature(), Epoch(0));
        assert!(history.signed.is_empty());
    }

    #[test]
    fn only_one_that_is_behind_asks() {
        let mut history = History::new(Quorum::new(4).unwrap());
        history.peer_committed(PeerId(1), Epoch(4), Epoch(5), 0);
        assert_eq!(history.next_wake_ms(), None);
        history.peer_committed(PeerId(1), Epoch(7), Epoch(5), 0);
        assert!(history.due(Epoch(5), PATIENCE_MS - 1).is_empty());
        assert_eq!(history.due(Epoch(5), PATIENCE_MS), [PeerId(1)]);
        // From then on, one epoch after the other without waiting.
        history.advance(Epoch(6), 600, false);
        assert_eq!(history.due(Epoch(6), 600), [PeerId(1)]);
        history.advance(Epoch(8), 700, false);
        assert_eq!(history.next_wake_ms(), None);
    }
}
