//! Epochs from contribution to commit.

use std::{collections::BTreeMap, sync::Arc};

use guildmint_core::{
    ledger::{Key, Ledger, Row, Scope, Space},
    module::Fault,
    EpochResult, ModuleId, Wire,
};

use super::{
    event::{Action, Topic},
    round::{log_entry, Round},
    talk::Talk,
    tasks::{EpochTask, Task},
    Node,
};
use crate::{
    agreement::Message,
    contribution::{Contribution, EffectiveBatch, Payload, Statement, Vote},
    process::{Batch, EpochOutput},
    rows::{Head, LastCertificate, Log, LogEntry, Pooled, Record},
    Known, Step, Versions, ENGINE,
};

/// The longest that a guardian waits before it joins an epoch in which it has nothing to say, in milliseconds (SPEC EPO-7).
const MAX_RELUCTANCE_MS: u64 = 10_000;

/// How long a guardian waits for what it is checking before it contributes, in floors.
const CHECKS_IN_FLOORS: u64 = 3;

impl Node {
    /// Contributes to the open epoch if there is a reason to and it is not too soon.
    pub(super) fn contribute(&mut self) {
        let Some(at_ms) = self.contribute_at_ms() else {
            return;
        };
        if at_ms > self.now_ms {
            return;
        }
        let contribution = Contribution {
            transactions: self.pool.proposal(self.now_ms, self.round.epoch),
            statement: Statement {
                votes: self.votes(),
                tip_height: self.tip_height(),
                versions: self.versions_to_tell(),
            },
        };
        self.say_contribution(&contribution);
        self.check();
        self.process_batch();
    }

    fn say_contribution(&mut self, contribution: &Contribution) {
        let payload = Payload::sign(
            contribution,
            self.me(),
            self.round.epoch,
            self.session(),
            &self.identity,
        );
        let bytes = Talk::Payload(payload.clone()).encode();
        self.take_payload(&payload);
        self.disk.after_save(Action::Broadcast {
            topic: Topic::Contributions,
            bytes,
        });
    }

    /// Says what is left to say in an epoch that ends here. ⚠ What was not sent yet has counted in what was decided, so the others
    /// need it; and a contribution, if there was none, goes before it (SPEC EPO-5).
    fn say_the_rest(&mut self) {
        if !self.may_speak() {
            return self.link.retract();
        }
        if self.link.has_more() && !self.round.has_contributed(self.me()) {
            self.say_contribution(&Contribution::default());
        }
        self.say_frames();
    }

    /// When this guardian contributes; `None` while it has no reason to (SPEC EPO-7).
    pub(super) fn contribute_at_ms(&mut self) -> Option<u64> {
        if !self.may_speak() || self.round.processing || self.round.has_contributed(self.me()) {
            return None;
        }
        let floor_ms = u64::from(self.genesis().epoch_floor_ms);
        let own_reason = self.pool.is_ripe(self.now_ms, self.round.epoch)
            || !self.votes().is_empty()
            || !self.versions_to_tell().is_empty();
        let wait_ms = if own_reason {
            floor_ms
        } else if self.round.has_begun() {
            let doubled = floor_ms
                .checked_shl(self.idle_epochs.min(20))
                .unwrap_or(u64::MAX);
            doubled.min(MAX_RELUCTANCE_MS).max(floor_ms)
        } else {
            return None;
        };
        // What is being checked makes this epoch if that is done soon, and an epoch of many costs little more than one of one.
        let wait_ms = match self.checks.are_submissions_under_way() {
            true => wait_ms.max(floor_ms.saturating_mul(CHECKS_IN_FLOORS)),
            false => wait_ms,
        };
        // Counted from the end of the last epoch, so that what comes meanwhile goes into one epoch together.
        let since_ms = self.opened_at_ms;
        Some(since_ms.map_or(self.now_ms, |at_ms| at_ms.saturating_add(wait_ms)))
    }

    /// What the modules would vote. Computed again only when something has changed.
    fn votes(&mut self) -> BTreeMap<ModuleId, Vote> {
        if let Some(votes) = &self.votes {
            return votes.clone();
        }
        let versions = self.versions();
        let mut agreed = Ledger::new(self.disk.resident());
        let mut local = Ledger::new(self.disk.resident());
        let mut votes = BTreeMap::new();
        for (id, module) in self.federation.modules() {
            let vote = module.vote(
                &agreed.view(Scope::module(Space::Agreed, id)),
                &local.view(Scope::module(Space::Local, id)),
            );
            // What others cannot read yet is kept for later.
            let vote = vote.filter(|vote| module.vote_version(vote) <= versions.of(id));
            votes.extend(vote.map(|vote| (id, Vote(vote))));
        }
        votes.extend(self.revision_vote().map(|vote| (ENGINE, vote)));
        self.votes.insert(votes).clone()
    }

    /// The versions that count in the open epoch.
    pub(super) fn versions(&self) -> Versions {
        let mut ledger = Ledger::new(self.disk.resident());
        self.federation.versions(&mut ledger, self.round.epoch)
    }

    /// What the agreed rows do not say yet of the versions that we know.
    fn versions_to_tell(&self) -> BTreeMap<ModuleId, Known> {
        let mut ledger = Ledger::new(self.disk.resident());
        let (me, insists) = (self.me(), &self.insists);
        self.federation.versions_to_tell(&mut ledger, me, insists)
    }

    fn tip_height(&self) -> Option<u32> {
        let mut local = Ledger::new(self.disk.resident());
        self.federation
            .modules()
            .filter_map(|(id, module)| {
                module.tip_height(&local.view(Scope::module(Space::Local, id)))
            })
            .max()
    }

    /// Takes a payload of the open epoch whose signature was verified: logs it and agrees on it.
    pub(super) fn take_payload(&mut self, payload: &Payload) {
        if self.round.contradicts(payload) {
            let epoch = payload.epoch;
            self.blame(
                payload.author,
                format!(
                    "two contributions to {epoch}: it lies, or runs twice with the same secrets"
                ),
            );
        }
        if self.may_speak() && self.round.receive(payload, &self.federation) {
            let row = self.round.next_log_row();
            self.disk.put(&row, &log_entry(payload));
            let step = self.round.agree_on(payload);
            self.follow(step);
        }
    }

    /// The same for one that was read from the log.
    pub(super) fn replay_payload(&mut self, payload: &Payload) {
        if self.round.receive(payload, &self.federation) {
            let step = self.round.agree_on(payload);
            self.follow(step);
        }
    }

    /// Takes a frame of a peer's stream: logs it and agrees. Of one that cannot be read only its place in the stream is kept.
    pub(super) fn take_frame(&mut self, from: guildmint_core::PeerId, mut frame: Vec<u8>) {
        if !self.may_speak() {
            return;
        }
        let message = Message::decode(&frame);
        if message.is_err() {
            frame.clear();
        }
        let step = self.round.frame(from, message);
        let row = self.round.next_log_row();
        // What says nothing new need not be durable before what does.
        if step.messages.is_empty() {
            self.disk.put_lazily(&row, &LogEntry::Frame(from, frame));
        } else {
            self.disk.put(&row, &LogEntry::Frame(from, frame));
        }
        self.follow(step);
    }

    /// Passes on what the agreement said. It leaves, by way of the link, once its cause is durable.
    pub(super) fn follow(&mut self, step: Step) {
        for message in step.messages {
            // A frame that is too large or one too many cannot come of an agreement within the limits.
            let _ = self.link.push(message.encode());
        }
        self.report(step.faults);
    }

    /// Processes the agreed batch once it is complete.
    pub(super) fn process_batch(&mut self) {
        if self.round.processing {
            return;
        }
        let Some((batch, spoilt)) = self.round.batch() else {
            return;
        };
        self.report(spoilt.into_iter().map(|peer| Fault {
            peer,
            kind: "contribution that cannot be read, or with a transaction that is wrong".into(),
        }));
        self.process(batch, None);
    }

    /// Processes a batch that honest guardians vouch for.
    pub(super) fn adopt(&mut self, expected: EpochResult, effective: EffectiveBatch) {
        match self.federation.trust(effective.transactions) {
            Ok(transactions) => {
                let batch = Batch {
                    epoch: effective.epoch,
                    statements: effective.statements,
                    transactions,
                };
                self.process(batch, Some(expected));
            }
            Err(reject) => self.halt(format!(
                "{} as others agreed on it cannot be processed here: {reject}; this software differs from theirs",
                expected.epoch
            )),
        }
    }

    fn process(&mut self, batch: Batch, expected: Option<EpochResult>) {
        self.round.processing = true;
        let hint = self.federation.rows_hint(&batch);
        let task = Task::Epoch(EpochTask { batch, expected });
        self.run_after_loading(task, hint);
    }

    /// One epoch, one commit.
    pub(super) fn commit(&mut self, output: EpochOutput, expected: Option<EpochResult>) {
        let result = output.result;
        if expected.is_some_and(|expected| expected != result) {
            return self.halt(format!(
                "{} has another result here than the one that honest guardians signed",
                result.epoch
            ));
        }
        // What all others do from here on cannot be done here. Newer software begins with this epoch again.
        if let Err(outdated) = self.federation.knows(&output.versions) {
            return self.halt(outdated.to_string());
        }
        // ⚠ What f guardians say alone may be another thing each time, and mean nothing.
        let needed = self.federation.quorum().one_honest();
        let effective = &output.effective;
        let is_busy = !effective.transactions.is_empty() || effective.voters() >= needed;
        self.idle_epochs = match is_busy {
            true => 0,
            false => self.idle_epochs.saturating_add(1),
        };
        self.save_epoch(&output);
        self.head = Some(result);
        let signature = result.sign(self.session(), &self.identity);
        self.disk.after_save(Action::Broadcast {
            topic: Topic::Certificates,
            bytes: Talk::Signature(result, signature).encode(),
        });
        for (module, job) in output.jobs {
            self.disk.after_save(Action::Work { module, job });
        }
        self.report(output.faults);
        self.open_next();
        let (me, open) = (self.me(), self.round.epoch);
        self.history.sign(me, result, signature, open);
        self.compare_results(result.epoch);
        for (txid, verdict) in output.verdicts {
            self.decided(txid, verdict);
        }
    }

    fn save_epoch(&mut self, output: &EpochOutput) {
        let result = output.result;
        let record = Record {
            result,
            signature: result.sign(self.session(), &self.identity),
            vouchers: self.history.vouchers(&result),
            statements: output.effective.statements.clone(),
            transactions: output
                .effective
                .transactions
                .iter()
                .map(|transaction| self.federation.txid(transaction))
                .collect(),
        };
        self.disk.change(output.agreed.clone());
        self.disk.put(&Head, &result);
        self.disk.put(&crate::rows::History(result.epoch), &record);
        let stale: Vec<Key> = self
            .disk
            .scan::<Log>()
            .into_iter()
            // The log of this epoch stays until the next is committed: what others still need of us comes from it after a crash.
            .filter(|(Log(epoch, _), _)| *epoch < result.epoch)
            .map(|(row, _)| row.key(Scope::engine(Space::Local)))
            .collect();
        self.disk
            .change(stale.into_iter().map(|key| (key, None)).collect());
        for txid in output.verdicts.keys() {
            if self.pool.remove(*txid) {
                self.disk.remove(&Pooled(*txid));
            }
        }
    }

    fn open_next(&mut self) {
        self.say_the_rest();
        let open = self.round.epoch.next();
        let next = Round::new(&self.coin, self.session(), open);
        self.previous_round = Some(std::mem::replace(&mut self.round, next));
        self.opened_at_ms = Some(self.now_ms);
        self.candidates.advance(open);
        self.served.clear();
        self.checks.turn();
        self.votes = None;
        let is_on_its_way = self.candidates.has(open);
        self.history.advance(open, self.now_ms, is_on_its_way);
        // From here on the link numbers what we say in the new epoch.
        let early_frames = self.link.commit(open);
        for payload in self.early.take(open) {
            self.take_payload(&payload);
        }
        for (peer, frames) in early_frames {
            for frame in frames {
                self.take_frame(peer, frame);
            }
        }
    }

    /// Looks whether t guardians signed the same result of a committed epoch, and whether it is ours (SPEC EPO-3).
    pub(super) fn compare_results(&mut self, epoch: guildmint_core::Epoch) {
        let Some(head) = self.head.filter(|head| head.epoch == epoch) else {
            return;
        };
        let Some(certificate) = self.history.certificate(epoch) else {
            return;
        };
        if certificate.result != head {
            return self.halt(format!(
                "{} has another result here than the one that {} guardians signed; this database differs from theirs",
                epoch,
                certificate.signatures.len()
            ));
        }
        for peer in self.history.drop_contradictions(&head) {
            self.blame(peer, format!("signed another result of {epoch}"));
        }
        let federation = Arc::clone(&self.federation);
        let known = self
            .disk
            .get(&LastCertificate)
            .is_some_and(|last| last.result.epoch >= epoch);
        if !known && certificate.signatures.len() >= federation.quorum().threshold() {
            self.disk.put_lazily(&LastCertificate, &certificate);
        }
    }
}
