//! What peers say, and what is said to them.

use guildmint_core::{module::Fault, Epoch, PayloadHash, PeerId, Wire};

use guildmint_link::Packet;

use super::{event::Action, round, talk::Talk, tasks::Task, Node};
use crate::contribution::Payload;

/// How soon a peer may ask for the same payload again, in milliseconds.
const SERVE_AGAIN_MS: u64 = 100;

/// A peer gets one answer from history in this time, in milliseconds, over any longer time. It has up to 64 epochs, and nobody can
/// process these so fast. A question beyond it is dropped, and comes again.
const ANSWER_MS: u64 = 10;

/// A peer that has asked little may have as many answers at once as come due in this time, in milliseconds.
const ANSWER_SLACK_MS: u64 = 2_000;

/// Messages that may wait for the disk before payloads are no more given to who asks for them.
const MAX_HELD_BACK: usize = 256;

impl Node {
    /// Takes bytes from a peer. Whatever they are, they are the peer's fault, not ours (SPEC EPO-2).
    pub(super) fn on_peer(&mut self, from: PeerId, bytes: &[u8]) {
        if from == self.me() || !self.federation.quorum().contains(from) {
            return;
        }
        match Talk::decode(bytes) {
            Ok(Talk::Payload(payload)) => self.on_payload(from, payload),
            Ok(Talk::Link(packet)) => self.on_packet(from, packet),
            Ok(Talk::WantPayload(epoch, hash)) => {
                self.serve_payload(from, epoch, hash);
            }
            Ok(Talk::Signature(result, signature)) => {
                if self.is_signed(from, &result, &signature) {
                    let open = self.round.epoch;
                    self.history.sign(from, result, signature, open);
                    self.history
                        .peer_committed(from, result.epoch, open, self.now_ms);
                    self.compare_results(result.epoch);
                }
            }
            Ok(Talk::WantHistory(epoch, offset)) => {
                let may_ask = epoch < self.round.epoch && self.may_be_served(from);
                if may_ask && self.serving.insert(from) {
                    self.run(Task::Serve {
                        to: from,
                        epoch,
                        offset,
                    });
                }
            }
            Ok(Talk::History(chunks)) => self.on_history(from, chunks),
            Ok(Talk::Announcements(announcements)) => self.on_announcements(from, announcements),
            Ok(Talk::RunsTwice(of)) => self.on_twin(of, from),
            Err(error) => self.blame(from, format!("message cannot be read: {error}")),
        }
    }

    /// ⚠ Whether a peer may have another answer from history: each costs our database more than it costs the peer to ask.
    fn may_be_served(&mut self, peer: PeerId) -> bool {
        let paid_until_ms = self.history_paid_until_ms.entry(peer).or_default();
        let now_ms = self.now_ms;
        let is_due = paid_until_ms.saturating_sub(now_ms) < ANSWER_SLACK_MS;
        if is_due {
            *paid_until_ms = (*paid_until_ms).max(now_ms).saturating_add(ANSWER_MS);
        }
        is_due
    }

    /// ⚠ A short question, a long answer: not again at once, and not while a slow disk holds back many.
    fn serve_payload(&mut self, to: PeerId, epoch: Epoch, hash: PayloadHash) {
        let Some(payload) = self.payload(epoch, hash) else {
            return;
        };
        let again_at_ms = self.served.get(&(to, hash)).copied().unwrap_or(0);
        if again_at_ms <= self.now_ms && self.disk.held_back() < MAX_HELD_BACK {
            let next_ms = self.now_ms.saturating_add(SERVE_AGAIN_MS);
            self.served.insert((to, hash), next_ms);
            self.send(to, &Talk::Payload(payload));
        }
    }

    /// A payload of the open epoch or of the one before it.
    fn payload(&self, epoch: Epoch, hash: PayloadHash) -> Option<Payload> {
        let rounds = [Some(&self.round), self.previous_round.as_ref()];
        let mut of_epoch = rounds
            .into_iter()
            .flatten()
            .filter(|round| round.epoch == epoch);
        of_epoch.find_map(|round| round.payload(hash)).cloned()
    }

    fn on_payload(&mut self, from: PeerId, payload: Payload) {
        let open = self.round.epoch;
        if payload.author == self.me() {
            return self.hear_ourselves(from, &payload);
        }
        if payload.epoch < open {
            return;
        }
        // Anyone may pass a payload on, so a wrong one is the fault of who sent it.
        if let Err(error) = round::verify(&payload, self.genesis()) {
            return self.blame(from, error);
        }
        if payload.epoch > open {
            self.early.keep(open, payload);
        } else {
            self.take_payload(&payload);
        }
    }

    fn on_packet(&mut self, from: PeerId, packet: Packet) {
        if let (false, Packet::Frames { .. }) = (self.entry_is_open(), &packet) {
            // They come again when we ask for them.
            return;
        }
        let has_told = matches!(packet, Packet::Status(_));
        let output = self.link.handle(from, packet, self.now_ms);
        for frame in output.deliver {
            self.take_frame(from, frame);
        }
        for reply in output.reply {
            self.send(from, &Talk::Link(reply));
        }
        if let Some(epoch) = output.peer_ahead {
            let open = self.round.epoch;
            self.history.peer_committed(from, epoch, open, self.now_ms);
        }
        if let Some(epoch) = output.heard_of_us {
            self.hear_claim(from, epoch);
        }
        match output.fault {
            Some(fault) => self.blame(from, fault.to_string()),
            None if has_told => self.has_told(from),
            None => {}
        }
    }

    /// Whether a guardian signed a result.
    pub(super) fn has_signed(
        &self,
        by: PeerId,
        result: &guildmint_core::EpochResult,
        signature: &guildmint_core::IdentitySignature,
    ) -> bool {
        let hash = result.hash(self.session());
        let identity = self.genesis().identity(by);
        identity.is_some_and(|identity| identity.verify(&hash, signature).is_ok())
    }

    pub(super) fn is_signed(
        &mut self,
        by: PeerId,
        result: &guildmint_core::EpochResult,
        signature: &guildmint_core::IdentitySignature,
    ) -> bool {
        let signed = self.has_signed(by, result, signature);
        if !signed {
            self.blame(by, "signature on an epoch's result is wrong".into());
        }
        signed
    }

    pub(super) fn ask_for_payloads(&mut self) {
        if !self.may_speak() {
            return;
        }
        let epoch = self.round.epoch;
        for (whom, _, hash) in self.round.due_payloads(self.now_ms) {
            let question = Talk::WantPayload(epoch, hash);
            match whom {
                Some(author) => self.send(author, &question),
                None => self.send_all(&question),
            }
        }
    }

    /// Sends what we have to say in the open epoch. A contribution goes first: it is the proof that we have spoken (SPEC EPO-5).
    pub(super) fn say_frames(&mut self) {
        if self.may_speak() && self.round.has_contributed(self.me()) {
            for packet in self.link.flush() {
                self.send_all(&Talk::Link(packet));
            }
        }
    }

    /// Lets the link say what it has to.
    pub(super) fn speak(&mut self) {
        self.say_frames();
        for (peer, packet) in self.link.tick(self.now_ms) {
            self.send(peer, &Talk::Link(packet));
        }
    }

    pub(super) fn send(&mut self, to: PeerId, talk: &Talk) {
        if to != self.me() {
            let bytes = talk.encode();
            self.disk.after_save(Action::Send { to, bytes });
        }
    }

    fn send_all(&mut self, talk: &Talk) {
        let bytes = talk.encode();
        let me = self.me();
        for to in self.federation.quorum().peers().filter(|to| *to != me) {
            let bytes = bytes.clone();
            self.disk.after_save(Action::Send { to, bytes });
        }
    }

    pub(super) fn blame(&mut self, peer: PeerId, kind: String) {
        self.report([Fault { peer, kind }]);
    }
}
