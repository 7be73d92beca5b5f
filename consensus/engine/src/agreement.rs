//! One epoch's agreement on whose contributions count (SPEC EPO-1).
//!
//! For each guardian as proposer there are two parts:
//!
//! 1. A **reliable broadcast** of its payload's hash, after Bracha. The payload itself goes by gossip and is kept by whoever
//!    calls us; here only its 32-byte hash travels. A guardian that has the payload *echoes* its hash, once. n − f echoes of
//!    one hash, or f + 1 readys, make a guardian *ready* for it: two different hashes cannot both get n − f echoes, and f + 1
//!    readys contain an honest one. 2f + 1 readys *deliver* the hash: f + 1 of them are honest and will make everyone ready.
//! 2. A **binary agreement** (hbbft's) on whether the contribution counts: yes as soon as it is delivered, no for all that are
//!    still open once n − f contributions count.
//!
//! hbbft's own broadcast is not used. It is erasure-coded, and a proposer that commits to shards which are no code word makes
//! some guardians deliver and others wait for ever. With hashes there is nothing to decode: whoever delivers a hash can fetch
//! the payload from the honest guardians among those who echoed it.
//!
//! Pure and deterministic: the same inputs in the same order give the same messages, so a log of inputs is all that a
//! restarted guardian needs.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt,
};

use guildmint_core::{limits, module::Fault, Epoch, PayloadHash, PeerId, Quorum, SessionId, Wire};
use hbbft::binary_agreement::{self, BinaryAgreement, MessageContent};
use serde::{Deserialize, Serialize};

use crate::Coin;

/// What guardians say to each other to agree: small, and for all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = limits::MAX_FRAME_BYTES)]
pub enum Message {
    /// I have this payload of this proposer.
    Echo(PeerId, PayloadHash),
    /// No other payload of this proposer can be delivered.
    Ready(PeerId, PayloadHash),
    /// A message of the binary agreement on this proposer.
    Ballot(PeerId, binary_agreement::Message),
}

/// What an input led to.
#[derive(Debug, Default)]
#[must_use = "messages that are not sent make the epoch hang"]
pub struct Step {
    /// To be sent to all other guardians, in this order.
    pub messages: Vec<Message>,
    /// Who misbehaved, and how.
    pub faults: Vec<Fault>,
}

impl Step {
    fn fault(peer: PeerId, kind: impl fmt::Display) -> Self {
        Self {
            messages: Vec::new(),
            faults: vec![Fault {
                peer,
                kind: kind.to_string(),
            }],
        }
    }
}

/// Names one binary agreement, so that its coin is tossed for it alone.
#[derive(Debug, Clone, Serialize)]
struct BallotId {
    session: SessionId,
    epoch: Epoch,
    proposer: PeerId,
}

impl fmt::Display for BallotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.epoch, self.proposer)
    }
}

/// What is known of one proposer's contribution.
struct Proposal {
    echoed: bool,
    echoes: BTreeMap<PeerId, PayloadHash>,
    ready: bool,
    readys: BTreeMap<PeerId, PayloadHash>,
    delivered: Option<PayloadHash>,
    ballot: BinaryAgreement<PeerId, BallotId>,
    decided: Option<bool>,
    /// Who has said `Term`: that it has decided, and what.
    finished: BTreeSet<PeerId>,
}

/// The agreement of one epoch, as one guardian sees it.
pub struct Agreement {
    quorum: Quorum,
    me: PeerId,
    proposals: BTreeMap<PeerId, Proposal>,
    /// Our own messages that we have not handled ourselves yet.
    loopback: VecDeque<Message>,
    /// Whether we have voted no on all that were still open.
    closed: bool,
}

impl Agreement {
    /// An agreement in which nothing has happened.
    #[must_use]
    pub fn new(coin: &Coin, session: SessionId, epoch: Epoch) -> Self {
        let proposals = coin.quorum().peers().filter_map(|proposer| {
            let id = BallotId {
                session,
                epoch,
                proposer,
            };
            let ballot = BinaryAgreement::new(coin.info(), id).ok()?;
            let proposal = Proposal {
                echoed: false,
                echoes: BTreeMap::new(),
                ready: false,
                readys: BTreeMap::new(),
                delivered: None,
                ballot,
                decided: None,
                finished: BTreeSet::new(),
            };
            Some((proposer, proposal))
        });
        Self {
            quorum: coin.quorum(),
            me: coin.me(),
            proposals: proposals.collect(),
            loopback: VecDeque::new(),
            closed: false,
        }
    }

    /// We have, durably, a valid payload of `proposer`. Only the first one of each proposer is echoed.
    pub fn payload(&mut self, proposer: PeerId, hash: PayloadHash) -> Step {
        let mut step = Step::default();
        if let Some(proposal) = self.proposals.get_mut(&proposer) {
            if !proposal.echoed {
                proposal.echoed = true;
                self.say(Message::Echo(proposer, hash), &mut step);
            }
        }
        self.settle(&mut step);
        step
    }

    /// A message of another guardian.
    pub fn handle(&mut self, from: PeerId, message: Message) -> Step {
        if from == self.me || !self.quorum.contains(from) {
            return Step::fault(from, "message in another's name");
        }
        let mut step = Step::default();
        self.take(from, message, &mut step);
        self.settle(&mut step);
        step
    }

    /// The contributions that count, once all is decided: at least n − f.
    #[must_use]
    pub fn result(&self) -> Option<BTreeMap<PeerId, PayloadHash>> {
        let mut result = BTreeMap::new();
        for (proposer, proposal) in &self.proposals {
            if proposal.decided? {
                // Decided yes: an honest guardian has it delivered, so it will be delivered here.
                result.insert(*proposer, proposal.delivered?);
            }
        }
        Some(result)
    }

    /// The payloads that may come to count: whoever lacks one must fetch it.
    pub fn delivered(&self) -> impl Iterator<Item = (PeerId, PayloadHash)> + '_ {
        self.proposals
            .iter()
            .filter_map(|(proposer, proposal)| Some((*proposer, proposal.delivered?)))
    }

    /// The payload that each proposer itself says it sent, as far as it has said so by its own echo.
    pub fn announced(&self) -> impl Iterator<Item = (PeerId, PayloadHash)> + '_ {
        self.proposals
            .iter()
            .filter_map(|(proposer, proposal)| Some((*proposer, *proposal.echoes.get(proposer)?)))
    }

    /// Which proposers' ballots are undecided, and how far each has come: for the operator.
    pub fn undecided(&self) -> impl Iterator<Item = (PeerId, usize, usize)> + '_ {
        self.proposals
            .iter()
            .filter(|(_, proposal)| proposal.decided.is_none())
            .map(|(proposer, proposal)| (*proposer, proposal.echoes.len(), proposal.readys.len()))
    }

    fn say(&mut self, message: Message, step: &mut Step) {
        self.loopback.push_back(message.clone());
        step.messages.push(message);
    }

    /// Follows all consequences until there are none.
    fn settle(&mut self, step: &mut Step) {
        loop {
            while let Some(message) = self.loopback.pop_front() {
                self.take(self.me, message, step);
            }
            self.close(step);
            if self.loopback.is_empty() {
                return;
            }
        }
    }

    fn take(&mut self, from: PeerId, message: Message, step: &mut Step) {
        match message {
            Message::Echo(proposer, hash) => self.echo(from, proposer, hash, step),
            Message::Ready(proposer, hash) => self.ready(from, proposer, hash, step),
            // hbbft handles its own messages itself.
            Message::Ballot(..) if from == self.me => {}
            Message::Ballot(proposer, message) => self.ballot(from, proposer, message, step),
        }
    }

    fn echo(&mut self, from: PeerId, proposer: PeerId, hash: PayloadHash, step: &mut Step) {
        let Some(proposal) = self.proposals.get_mut(&proposer) else {
            return blame(step, from, "echo for nobody");
        };
        if proposal.echoes.contains_key(&from) {
            return blame(step, from, "second echo");
        }
        proposal.echoes.insert(from, hash);
        let equal = count(&proposal.echoes, hash);
        if !proposal.ready && equal >= self.quorum.threshold() {
            proposal.ready = true;
            self.say(Message::Ready(proposer, hash), step);
        }
    }

    fn ready(&mut self, from: PeerId, proposer: PeerId, hash: PayloadHash, step: &mut Step) {
        let Some(proposal) = self.proposals.get_mut(&proposer) else {
            return blame(step, from, "ready for nobody");
        };
        if proposal.readys.contains_key(&from) {
            return blame(step, from, "second ready");
        }
        proposal.readys.insert(from, hash);
        let equal = count(&proposal.readys, hash);
        let amplify = !proposal.ready && equal >= self.quorum.one_honest();
        let deliver = proposal.delivered.is_none() && equal >= self.quorum.honest_majority();
        if amplify {
            proposal.ready = true;
        }
        if deliver {
            proposal.delivered = Some(hash);
        }
        if amplify {
            self.say(Message::Ready(proposer, hash), step);
        }
        if deliver {
            self.vote(proposer, true, step);
        }
    }

    fn ballot(
        &mut self,
        from: PeerId,
        proposer: PeerId,
        mut message: binary_agreement::Message,
        step: &mut Step,
    ) {
        let Some(proposal) = self.proposals.get_mut(&proposer) else {
            return blame(step, from, "ballot on nobody");
        };
        // hbbft keeps a `Term` of a later round for when that round comes, and loses it if rounds advance by other means. Round 0
        // is never in the future, and a `Term` means the same in every round.
        if matches!(message.content, MessageContent::Term(_)) {
            message.epoch = 0;
            proposal.finished.insert(from);
        }
        let result = proposal.ballot.handle_message(&from, message);
        self.follow(proposer, result, from, step);
    }

    fn vote(&mut self, proposer: PeerId, count_it: bool, step: &mut Step) {
        let me = self.me;
        let Some(proposal) = self.proposals.get_mut(&proposer) else {
            return;
        };
        if proposal.ballot.can_propose() {
            let result = proposal.ballot.propose(count_it);
            self.follow(proposer, result, me, step);
        }
    }

    /// Passes on what a binary agreement said.
    fn follow(
        &mut self,
        proposer: PeerId,
        result: binary_agreement::Result<binary_agreement::Step<PeerId>>,
        from: PeerId,
        step: &mut Step,
    ) {
        let ballot = match result {
            Ok(ballot) => ballot,
            // A peer can provoke this; the ballot is as it was before.
            Err(error) => return blame(step, from, format!("ballot refused: {error}")),
        };
        for targeted in ballot.messages {
            step.messages
                .push(Message::Ballot(proposer, targeted.message));
        }
        let Some(proposal) = self.proposals.get_mut(&proposer) else {
            return;
        };
        for fault in ballot.fault_log {
            // hbbft takes a `Term` for its sender's words in every later round, so the honest words of that round, which may
            // have come before, look like repetitions.
            if !proposal.finished.contains(&fault.node_id) {
                blame(step, fault.node_id, fault.kind);
            }
        }
        if let Some(decided) = ballot.output.first() {
            proposal.decided = Some(*decided);
        }
    }

    /// Votes no on whatever is still open once enough contributions count.
    fn close(&mut self, step: &mut Step) {
        let counted = self
            .proposals
            .values()
            .filter(|proposal| proposal.decided == Some(true))
            .count();
        if self.closed || counted < self.quorum.threshold() {
            return;
        }
        self.closed = true;
        for proposer in self.quorum.peers() {
            self.vote(proposer, false, step);
        }
    }
}

fn count(said: &BTreeMap<PeerId, PayloadHash>, hash: PayloadHash) -> usize {
    said.values().filter(|other| **other == hash).count()
}

fn blame(step: &mut Step, peer: PeerId, kind: impl fmt::Display) {
    step.faults.push(Fault {
        peer,
        kind: kind.to_string(),
    });
}

#[cfg(all(test, feature = "dealer"))]
mod tests;
