//! The link itself: one outbox, an inbox per peer, and when to speak.

use std::collections::BTreeMap;

use guildmint_core::{limits, Epoch, PeerId, Quorum};

use crate::inbox::Inbox;
use crate::outbox::Outbox;
use crate::packet::{
    is_frame_size, LinkFault, Output, Packet, Status, MAX_FRAMES_PER_EPOCH, MAX_STATUS_EPOCHS,
};

/// How long after a commit the others are told, in ms. Under load one status then stands for several epochs.
const ANNOUNCE_MS: u64 = 100;

/// Time between two statuses while an epoch is under way, in ms.
const STATUS_MS: u64 = 2_000;

/// How often a peer that may have missed a commit is reminded, each time after twice the wait.
const REMINDERS: u32 = 5;

/// A reliable, ordered, bounded stream of frames from and to every peer (SPEC NET-3).
#[derive(Debug)]
pub struct Link {
    me: PeerId,
    quorum: Quorum,
    open: Epoch,
    outbox: Outbox,
    peers: BTreeMap<PeerId, Inbox>,
    /// The last time that we were told.
    now_ms: u64,
    /// When the next status goes out.
    status_due_ms: Option<u64>,
    /// Whether it announces a commit, so that it goes to all and needs no reply.
    announce: bool,
    /// How often peers were reminded of the last commit.
    reminders: u32,
}

impl Link {
    /// The link of guardian `me`, which is in epoch `open` and has sent and received nothing in it.
    #[must_use]
    pub fn new(me: PeerId, quorum: Quorum, open: Epoch) -> Self {
        let peers = quorum.peers().filter(|peer| *peer != me);
        Self {
            me,
            quorum,
            open,
            outbox: Outbox::default(),
            peers: peers.map(|peer| (peer, Inbox::default())).collect(),
            now_ms: 0,
            status_due_ms: None,
            announce: false,
            reminders: 0,
        }
    }

    /// Appends a frame to our stream of the open epoch, and says whether it did: a frame that peers would refuse, because
    /// it is empty, larger than [`limits::MAX_FRAME_BYTES`] or beyond [`MAX_FRAMES_PER_EPOCH`], is not sent.
    pub fn push(&mut self, frame: Vec<u8>) -> bool {
        let pushed = self.outbox.push(self.open, frame);
        self.stay_awake();
        pushed
    }

    /// Everything pushed since the last flush, in few packets, to be sent to all peers.
    ///
    /// Nothing of a frame is told to anyone before this, so flush when what the frames follow from is on disk.
    #[must_use]
    pub fn flush(&mut self) -> Vec<Packet> {
        self.outbox.flush()
    }

    /// Whether anything was pushed since the last flush.
    #[must_use]
    pub fn has_more(&self) -> bool {
        self.outbox.has_more()
    }

    /// Takes back everything pushed since the last flush: it is as if it had never been pushed.
    pub fn retract(&mut self) {
        self.outbox.retract();
    }

    /// Takes a packet from the guardian that the connection is authenticated for.
    #[must_use]
    pub fn handle(&mut self, from: PeerId, packet: Packet, now_ms: u64) -> Output {
        self.now_ms = self.now_ms.max(now_ms);
        let fault = if self.peers.contains_key(&from) {
            self.check(&packet).err()
        } else {
            Some(LinkFault::NotAPeer(from))
        };
        if fault.is_some() {
            return Output {
                fault,
                ..Output::default()
            };
        }
        let output = match packet {
            Packet::Frames {
                epoch,
                first,
                frames,
            } => self.on_frames(from, epoch, first, frames),
            Packet::Fetch { epoch, first } => self.on_fetch(from, epoch, first),
            Packet::Status(status) => self.on_status(from, &status),
        };
        self.stay_awake();
        output
    }

    /// Counts a frame of `from` in the open epoch as received: it was read from the write-ahead log.
    pub fn restore(&mut self, from: PeerId) {
        if let Some(peer) = self.peers.get_mut(&from) {
            peer.restore(self.open);
            peer.watch(self.open, self.now_ms, true);
        }
        self.stay_awake();
    }

    /// All epochs before `next` are committed and `next` opens, which may be several further on after catching up.
    /// Returns the frames of `next` that came early, in order, by peer. Does nothing if `next` has been opened before.
    #[must_use]
    pub fn commit(&mut self, next: Epoch) -> Vec<(PeerId, Vec<Vec<u8>>)> {
        if next <= self.open {
            return Vec::new();
        }
        self.open = next;
        let mut early = Vec::new();
        for (id, peer) in &mut self.peers {
            early.push((*id, peer.open(next, self.now_ms)));
        }
        early.retain(|(_, frames)| !frames.is_empty());
        self.forget();
        (self.announce, self.reminders) = (true, 0);
        self.status_by(self.now_ms.saturating_add(ANNOUNCE_MS));
        early
    }

    /// Where we stand, for any peer.
    #[must_use]
    pub fn status(&self, please_reply: bool) -> Packet {
        self.status_with(None, please_reply)
    }

    /// The packets whose time has come: requests for frames that are missing, and statuses.
    #[must_use]
    pub fn tick(&mut self, now_ms: u64) -> Vec<(PeerId, Packet)> {
        self.now_ms = self.now_ms.max(now_ms);
        let epoch = self.open;
        let mut packets = Vec::new();
        for (id, peer) in &mut self.peers {
            if let Some(first) = peer.ask(epoch, self.now_ms) {
                packets.push((*id, Packet::Fetch { epoch, first }));
            }
        }
        if self
            .status_due_ms
            .is_some_and(|due_ms| due_ms <= self.now_ms)
        {
            packets.extend(self.due_statuses());
        }
        packets
    }

    /// When [`Link::tick`] wants to be called again, `None` when there is nothing to wait for.
    #[must_use]
    pub fn next_wake_ms(&self) -> Option<u64> {
        let gaps = self.peers.values().filter_map(Inbox::due_ms);
        gaps.chain(self.status_due_ms).min()
    }

    /// Bytes of peers' frames that came early, with an allowance for each frame. At most [`limits::MAX_INBOX_BYTES`] a peer.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.peers.values().map(Inbox::held_bytes).sum()
    }

    /// Bytes of our frames kept for peers, with an allowance for each frame.
    #[must_use]
    pub fn outbox_bytes(&self) -> usize {
        self.outbox.bytes()
    }

    /// The last epoch that we have committed.
    fn committed(&self) -> Option<Epoch> {
        self.open.0.checked_sub(1).map(Epoch)
    }

    /// Whether `epoch` is open or so little ahead that its frames are held.
    fn is_in_window(&self, epoch: Epoch) -> bool {
        let last = self.open.0.saturating_add(limits::MAX_EPOCHS_AHEAD);
        (self.open.0..=last).contains(&epoch.0)
    }

    fn check(&self, packet: &Packet) -> Result<(), LinkFault> {
        let in_bounds = |count: u64| match count {
            0..=MAX_FRAMES_PER_EPOCH => Ok(()),
            _ => Err(LinkFault::FrameNumber(count)),
        };
        match packet {
            Packet::Frames { first, frames, .. } => {
                in_bounds(first.saturating_add(frames.len() as u64))?;
                let wrong = frames
                    .iter()
                    .map(Vec::len)
                    .find(|bytes| !is_frame_size(*bytes));
                wrong.map_or(Ok(()), |bytes| Err(LinkFault::FrameSize(bytes)))
            }
            Packet::Fetch { first, .. } => in_bounds(*first),
            Packet::Status(status) => {
                let epochs = status.sent.len().max(status.received.len());
                if epochs > MAX_STATUS_EPOCHS {
                    return Err(LinkFault::StatusEpochs(epochs));
                }
                for (_, marks) in &status.received {
                    if marks.len() != self.quorum.guardians() {
                        return Err(LinkFault::StatusMarks(marks.len()));
                    }
                }
                status
                    .sent
                    .iter()
                    .try_for_each(|(_, count)| in_bounds(*count))
            }
        }
    }

    fn on_frames(
        &mut self,
        from: PeerId,
        epoch: Epoch,
        first: u64,
        frames: Vec<Vec<u8>>,
    ) -> Output {
        let (open, wanted) = (self.open, self.is_in_window(epoch));
        let mut output = Output::default();
        let Some(peer) = self.peers.get_mut(&from) else {
            return output;
        };
        // Who speaks in an epoch has committed the one before.
        let committed = epoch.0.checked_sub(1).map(Epoch);
        peer.committed = peer.committed.max(committed);
        output.peer_ahead = committed.filter(|committed| *committed >= open);
        if wanted {
            output.deliver = peer.take(epoch, first, frames, epoch == open);
            peer.watch(open, self.now_ms, !output.deliver.is_empty());
        }
        output
    }

    fn on_fetch(&mut self, from: PeerId, epoch: Epoch, first: u64) -> Output {
        let mut output = Output {
            peer_behind: self.has_forgotten(epoch),
            ..Output::default()
        };
        let now_ms = self.now_ms;
        let permits = |peer: &mut Inbox| peer.fetches.permits(now_ms);
        if !output.peer_behind && self.peers.get_mut(&from).is_some_and(permits) {
            output.reply = self.outbox.fetch(epoch, first);
        }
        output
    }

    fn on_status(&mut self, from: PeerId, status: &Status) -> Output {
        let (open, now_ms) = (self.open, self.now_ms);
        let peer_open = status.committed.map_or(Epoch(0), Epoch::next);
        let mut output = Output {
            peer_ahead: status.committed.filter(|committed| *committed >= open),
            peer_behind: self.has_forgotten(peer_open),
            heard_of_us: self.heard_of_us(status),
            ..Output::default()
        };
        let claims = status
            .sent
            .iter()
            .filter(|(epoch, _)| self.is_in_window(*epoch));
        let claims: Vec<_> = claims.copied().collect();
        let Some(peer) = self.peers.get_mut(&from) else {
            return output;
        };
        peer.committed = status.committed;
        for (epoch, frames) in claims {
            peer.claim(epoch, frames);
        }
        peer.watch(open, now_ms, false);
        if status.please_reply && peer.statuses.permits(now_ms) {
            output.reply.push(self.status_with(Some(peer_open), false));
        }
        self.forget();
        output
    }

    /// The latest epoch in which a peer has received what we have not pushed.
    fn heard_of_us(&self, status: &Status) -> Option<Epoch> {
        let received = status.received.iter().filter(|(epoch, marks)| {
            let mark = marks.get(usize::from(self.me.0)).copied().unwrap_or(0);
            *epoch >= self.open && mark > self.outbox.pushed(*epoch) as u64
        });
        received.map(|(epoch, _)| *epoch).max()
    }

    /// Whether `epoch` is over and nothing can be said about it any more.
    fn has_forgotten(&self, epoch: Epoch) -> bool {
        epoch < self.open && !self.outbox.holds(epoch)
    }

    fn forget(&mut self) {
        let committed_by_all = self.peers.values().map(|peer| peer.committed).min();
        self.outbox
            .forget(self.open, committed_by_all.unwrap_or(self.committed()));
    }

    /// Our status, with what a peer in epoch `peer_open` needs in order to see what it lacks.
    fn status_with(&self, peer_open: Option<Epoch>, please_reply: bool) -> Packet {
        let mut epochs: Vec<Epoch> = self.committed().into_iter().chain([self.open]).collect();
        epochs.extend(peer_open.filter(|epoch| !epochs.contains(epoch)));
        let sent = epochs
            .into_iter()
            .map(|epoch| (epoch, self.outbox.sent(epoch) as u64));
        let mark = |peer: PeerId| match self.peers.get(&peer) {
            Some(inbox) => inbox.received(self.open),
            None => self.outbox.sent(self.open) as u64,
        };
        Packet::Status(Status {
            committed: self.committed(),
            sent: sent.filter(|(_, frames)| *frames > 0).collect(),
            received: vec![(self.open, self.quorum.peers().map(mark).collect())],
            please_reply,
        })
    }

    /// Whether an epoch is under way, here or, as we have reason to think, elsewhere.
    fn is_active(&self) -> bool {
        let heard = self.peers.values().any(|peer| peer.is_active(self.open));
        heard || self.outbox.holds(self.open) || self.is_behind()
    }

    /// While an epoch is under way there is always a status to come.
    fn stay_awake(&mut self) {
        if self.is_active() {
            self.status_by(self.now_ms.saturating_add(STATUS_MS));
        }
    }

    fn status_by(&mut self, due_ms: u64) {
        self.status_due_ms = Some(self.status_due_ms.map_or(due_ms, |due| due.min(due_ms)));
    }

    /// Statuses to all, or, when all is quiet, reminders to those who may have missed our last commit. Also decides when
    /// the next are due.
    fn due_statuses(&mut self) -> Vec<(PeerId, Packet)> {
        let (active, committed) = (self.is_active(), self.committed());
        let announce = std::mem::take(&mut self.announce);
        let lags = |peer: &Inbox| peer.committed < committed;
        let status = self.status(!announce || self.is_behind());
        let to = self
            .peers
            .iter()
            .filter(|(_, peer)| announce || active || lags(peer));
        let packets = to.map(|(id, _)| (*id, status.clone())).collect();

        self.status_due_ms = if active {
            Some(self.now_ms.saturating_add(STATUS_MS))
        } else if self.peers.values().any(lags) && self.reminders < REMINDERS {
            self.reminders += 1;
            Some(
                self.now_ms
                    .saturating_add(STATUS_MS << (self.reminders - 1)),
            )
        } else {
            None
        };
        packets
    }

    /// Whether a peer says that it has committed our open epoch.
    fn is_behind(&self) -> bool {
        self.peers
            .values()
            .any(|peer| peer.committed >= Some(self.open))
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
