//! When a guardian keeps silent: at its start until others have told where they stand, and in epochs in which it may have spoken
//! before it lost its memory (SPEC EPO-5).
//!
//! A guardian whose database is lost, or an old copy, does not know what it has said, and would contradict itself. It cannot tell
//! that by itself, but others can: a contribution under its own signature that is not in its log proves it, and so do f + 1
//! guardians that have heard more of it than it knows to have said. It is then *fenced*: silent through the epochs in question,
//! whose results it takes from others. A contribution is the first that a guardian says in an epoch, so that who has heard anything of
//! it has the proof, unless that one message was lost.

use std::collections::{BTreeMap, BTreeSet};

use guildmint_core::{
    ledger::{Row, Scope, Space},
    module::Fault,
    Epoch, PeerId, Wire,
};

use super::{
    event::{Action, Topic},
    inspect::{inspect, Said},
    round::{self, Round},
    talk::Talk,
    Node,
};
use crate::{
    contribution::Payload,
    rows::{Fenced, Log},
};

/// How long a guardian goes on listening once enough others have told where they stand, in milliseconds: they may not have shown
/// yet what they have of it, and the rest may have more.
const PATIENCE_MS: u64 = 500;

/// What others have told since this guardian started.
#[derive(Default)]
pub(super) struct Entry {
    heard: BTreeSet<PeerId>,
    /// When enough had told.
    enough_at_ms: Option<u64>,
    is_open: bool,
    /// The latest epoch in which each has heard more of us than we know to have said.
    claims: BTreeMap<PeerId, Epoch>,
}

impl Entry {
    /// When the silence of the start ends, as far as that is known.
    pub(super) fn opens_at_ms(&self) -> Option<u64> {
        let enough_at_ms = self.enough_at_ms.filter(|_| !self.is_open)?;
        Some(enough_at_ms.saturating_add(PATIENCE_MS))
    }
}

impl Node {
    /// Whether it may say anything in the open epoch, and so whether it listens to what others say in it.
    pub(super) fn may_speak(&self) -> bool {
        self.entry.is_open && !self.is_fenced()
    }

    /// Whether the silence of the start is over.
    pub(super) fn entry_is_open(&self) -> bool {
        self.entry.is_open
    }

    pub(super) fn is_fenced(&self) -> bool {
        self.fenced
            .is_some_and(|through| self.round.epoch <= through)
    }

    /// The last epoch in which this guardian is silent, if it is.
    #[must_use]
    pub fn fenced(&self) -> Option<Epoch> {
        self.fenced.filter(|_| self.is_fenced())
    }

    /// A peer has told where it stands.
    pub(super) fn has_told(&mut self, peer: PeerId) {
        self.entry.heard.insert(peer);
    }

    /// Ends the silence of the start if enough others have told where they stand.
    pub(super) fn enter(&mut self) {
        if self.entry.is_open {
            return;
        }
        let (heard, quorum) = (self.entry.heard.len(), self.federation.quorum());
        if heard + 1 < quorum.threshold() {
            return;
        }
        let enough_at_ms = *self.entry.enough_at_ms.get_or_insert(self.now_ms);
        let is_alone = quorum.guardians() == 1;
        if is_alone || enough_at_ms.saturating_add(PATIENCE_MS) <= self.now_ms {
            self.entry.is_open = true;
            self.repeat_contribution();
            // What was said meanwhile was not listened to: where all stand tells what is missing.
            let me = self.me();
            for peer in quorum.peers().filter(|peer| *peer != me) {
                self.greet(peer);
            }
        }
    }

    /// Says again what may have been cut off: the contribution to the open epoch.
    fn repeat_contribution(&mut self) {
        if let Some(payload) = self.round.contribution(self.me()) {
            let bytes = Talk::Payload(payload.clone()).encode();
            self.disk.after_save(Action::Broadcast {
                topic: Topic::Contributions,
                bytes,
            });
        }
    }

    /// Tells a peer what we have of it, so that it notices if it has lost its memory, and then where we stand.
    pub(super) fn greet(&mut self, peer: PeerId) {
        let rounds = [self.previous_round.as_ref(), Some(&self.round)];
        let contributions = rounds.into_iter().flatten();
        let contributions: Vec<Payload> = contributions
            .filter_map(|round| round.contribution(peer).cloned())
            .collect();
        for payload in contributions {
            self.send(peer, &Talk::Payload(payload));
        }
        let status = Talk::Link(self.link.status(true));
        self.send(peer, &status);
    }

    /// A peer shows us a contribution of our own.
    pub(super) fn hear_ourselves(&mut self, from: PeerId, payload: &Payload) {
        let open = self.round.epoch;
        let is_known = payload.epoch < open || self.round.payload(payload.hash()).is_some();
        if is_known {
            return;
        }
        match round::verify(payload, self.genesis()) {
            Ok(()) => self.fence(payload.epoch),
            Err(error) => self.blame(from, error),
        }
    }

    /// A peer says that it has heard more of us in this epoch than we know of. One may lie; of f + 1 one does not.
    pub(super) fn hear_claim(&mut self, from: PeerId, epoch: Epoch) {
        self.entry.claims.insert(from, epoch);
        let mut claims: Vec<Epoch> = self.entry.claims.values().copied().collect();
        claims.sort_unstable_by(|a, b| b.cmp(a));
        let vouched = claims.get(self.federation.quorum().max_faulty());
        if let Some(epoch) = vouched.filter(|epoch| **epoch >= self.round.epoch) {
            self.fence(*epoch);
        }
    }

    /// It is proven that this guardian spoke in an epoch and has forgotten it. It may have spoken in all epochs up to the one that
    /// is open elsewhere.
    fn fence(&mut self, epoch: Epoch) {
        let elsewhere = self.history.open_elsewhere();
        let through = epoch.max(elsewhere.unwrap_or(epoch));
        if self.fenced >= Some(through) {
            return;
        }
        self.fenced = Some(through);
        self.disk.put(&Fenced, &through);
        self.link.retract();
        // ⚠ What waits for the disk has not been said yet, and must not be.
        let me = self.me();
        self.disk.drop_waiting(|action| is_word_of(me, action));
        if self.is_fenced() && !self.round.processing {
            self.forget_round();
        }
        self.report([Fault {
            peer: me,
            kind: format!(
                "our database is older than what we have said, as after a restore, or another process runs with the same secrets: silent through {through}, and then as before"
            ),
        }]);
    }

    /// What was taken in of the open epoch counts for nothing: it would be answered differently than before.
    fn forget_round(&mut self) {
        let (open, session) = (self.round.epoch, self.session());
        let log = self.disk.scan::<Log>().into_iter();
        let of_it = log.filter(|(Log(epoch, _), _)| *epoch == open);
        let forgotten = of_it.map(|(row, _)| (row.key(Scope::engine(Space::Local)), None));
        let forgotten = forgotten.collect();
        self.disk.change(forgotten);
        self.round = Round::new(&self.coin, session, open);
    }
}

/// Whether an action says something of ours in an epoch: a contribution, or what follows it.
fn is_word_of(me: PeerId, action: &Action) -> bool {
    match action {
        Action::Broadcast { topic, .. } => *topic == Topic::Contributions,
        Action::Send { bytes, .. } => match inspect(bytes) {
            Said::Contribution { author, .. } => author == me,
            Said::Frames { .. } => true,
            _ => false,
        },
        _ => false,
    }
}
