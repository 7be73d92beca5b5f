//! The open epoch: payloads, agreement on them, and what is logged so that a restarted guardian says the same again.

use std::collections::BTreeMap;

use guildmint_core::{
    limits, DecodeError, Epoch, GenesisConfig, PayloadHash, PeerId, SessionId, Transaction, TxId,
    Wire,
};

use super::checks::Print;
use crate::{
    contribution::{Contribution, Payload},
    process::Batch,
    rows::{Log, LogEntry},
    Agreement, Checked, Coin, Federation, Message, Step,
};

/// How long a payload that a peer speaks of may take to arrive by gossip before it is asked for, in milliseconds.
const PAYLOAD_PATIENCE_MS: u64 = 100;

/// One epoch under way.
pub(super) struct Round {
    pub(super) epoch: Epoch,
    agreement: Agreement,
    payloads: BTreeMap<PayloadHash, Received>,
    /// The first payload of each author: the one that is echoed.
    first: BTreeMap<PeerId, PayloadHash>,
    /// When to ask for a payload that has not come.
    ask_at_ms: BTreeMap<(PeerId, PayloadHash), u64>,
    logged: u64,
    /// Whether the batch is being processed.
    pub(super) processing: bool,
}

struct Received {
    payload: Payload,
    /// `None` if it does not decode: it counts as empty.
    contribution: Option<Contribution>,
    /// Of each transaction, in their order.
    names: Vec<(Print, TxId)>,
    transactions: Verdict,
}

enum Verdict {
    Unknown,
    Good(Vec<Checked>),
    Bad,
}

impl Round {
    pub(super) fn new(coin: &Coin, session: SessionId, epoch: Epoch) -> Self {
        Self {
            epoch,
            agreement: Agreement::new(coin, session, epoch),
            payloads: BTreeMap::new(),
            first: BTreeMap::new(),
            ask_at_ms: BTreeMap::new(),
            logged: 0,
            processing: false,
        }
    }

    /// The row under which the next input is logged.
    pub(super) fn next_log_row(&mut self) -> Log {
        self.logged += 1;
        Log(self.epoch, self.logged - 1)
    }

    /// Whether `peer` has contributed.
    pub(super) fn has_contributed(&self, peer: PeerId) -> bool {
        self.first.contains_key(&peer)
    }

    /// Whether anyone has.
    pub(super) fn has_begun(&self) -> bool {
        !self.first.is_empty()
    }

    /// Takes a payload of this epoch that its author signed, and tells whether it is new and counts: log it then. Only an
    /// author's first counts, and any that was delivered: a liar cannot fill our memory with others.
    pub(super) fn receive(&mut self, payload: &Payload, federation: &Federation) -> bool {
        let hash = payload.hash();
        let wanted = !self.first.contains_key(&payload.author)
            || self.agreement.delivered().any(|(_, other)| other == hash);
        if !wanted || self.payloads.contains_key(&hash) {
            return false;
        }
        let contribution = Contribution::decode(&payload.contribution)
            .ok()
            .filter(votes_fit);
        let transactions = contribution.iter().flat_map(|one| &one.transactions);
        let names = transactions.map(|one| (Print::of(one), federation.txid(one)));
        let names = names.collect();
        self.ask_at_ms.remove(&(payload.author, hash));
        self.first.entry(payload.author).or_insert(hash);
        self.payloads.insert(
            hash,
            Received {
                payload: payload.clone(),
                contribution,
                names,
                transactions: Verdict::Unknown,
            },
        );
        true
    }

    /// Whether its author has contributed something else to this epoch. No correct guardian signs two.
    pub(super) fn contradicts(&self, payload: &Payload) -> bool {
        let first = self.first.get(&payload.author);
        first.is_some_and(|first| *first != payload.hash())
    }

    /// Tells the agreement of a payload that was received.
    pub(super) fn agree_on(&mut self, payload: &Payload) -> Step {
        self.agreement.payload(payload.author, payload.hash())
    }

    /// Takes a frame of a peer, decoded if it can be.
    pub(super) fn frame(&mut self, from: PeerId, frame: Result<Message, DecodeError>) -> Step {
        match frame {
            Ok(message) => self.agreement.handle(from, message),
            Err(error) => Step {
                messages: Vec::new(),
                faults: vec![guildmint_core::module::Fault {
                    peer: from,
                    kind: format!("frame cannot be read: {error}"),
                }],
            },
        }
    }

    /// Payloads whose transactions are not known to hold, with these transactions.
    pub(super) fn unchecked(
        &self,
    ) -> impl Iterator<
        Item = (
            PayloadHash,
            impl Iterator<Item = (Print, TxId, &Transaction)> + '_,
        ),
    > + '_ {
        let payloads = self.payloads.iter();
        let unknown = payloads
            .filter(|(_, received)| matches!(received.transactions, Verdict::Unknown))
            .filter_map(|(hash, received)| {
                Some((*hash, received, received.contribution.as_ref()?))
            });
        unknown.map(|(hash, received, contribution)| {
            let named = received.names.iter().zip(&contribution.transactions);
            (hash, named.map(|((print, id), one)| (*print, *id, one)))
        })
    }

    /// The transactions of a payload were checked: `None` if one of them is wrong.
    pub(super) fn checked(&mut self, hash: PayloadHash, transactions: Option<Vec<Checked>>) {
        if let Some(received) = self.payloads.get_mut(&hash) {
            received.transactions = transactions.map_or(Verdict::Bad, Verdict::Good);
        }
    }

    /// The first payload of an author.
    pub(super) fn contribution(&self, author: PeerId) -> Option<&Payload> {
        self.payload(*self.first.get(&author)?)
    }

    /// A payload for a peer that lacks it.
    pub(super) fn payload(&self, hash: PayloadHash) -> Option<&Payload> {
        Some(&self.payloads.get(&hash)?.payload)
    }

    /// The agreed batch, once all is decided, has come, and is checked; and whose contributions were empty because they
    /// are wrong.
    pub(super) fn batch(&self) -> Option<(Batch, Vec<PeerId>)> {
        let mut batch = Batch {
            epoch: self.epoch,
            statements: BTreeMap::new(),
            transactions: Vec::new(),
        };
        let mut spoilt = Vec::new();
        for (author, hash) in self.agreement.result()? {
            let received = self.payloads.get(&hash)?;
            match (&received.contribution, &received.transactions) {
                (Some(_), Verdict::Unknown) => return None,
                (Some(contribution), Verdict::Good(transactions)) => {
                    batch
                        .statements
                        .insert(author, contribution.statement.clone());
                    batch.transactions.extend(transactions.iter().cloned());
                }
                (None, _) | (_, Verdict::Bad) => {
                    batch.statements.insert(author, Default::default());
                    spoilt.push(author);
                }
            }
        }
        Some((batch, spoilt))
    }

    /// Payloads that peers speak of, that have not come, and that it is time to ask for: from all if they are delivered,
    /// else from their authors. Each is asked for again after twice the wait.
    pub(super) fn due_payloads(
        &mut self,
        now_ms: u64,
    ) -> Vec<(Option<PeerId>, PeerId, PayloadHash)> {
        let mut due = Vec::new();
        let mut missing = BTreeMap::new();
        for (whom, author, hash) in self.missing_payloads() {
            let key = (author, hash);
            let patience_ms = now_ms.saturating_add(PAYLOAD_PATIENCE_MS);
            let mut at_ms = self.ask_at_ms.get(&key).copied().unwrap_or(patience_ms);
            if at_ms <= now_ms {
                at_ms = patience_ms.saturating_add(PAYLOAD_PATIENCE_MS);
                due.push((whom, author, hash));
            }
            missing.insert(key, at_ms);
        }
        self.ask_at_ms = missing;
        due
    }

    /// Whom to ask for which payload: anyone for one that is delivered, the author for one that only the author speaks of.
    fn missing_payloads(&self) -> Vec<(Option<PeerId>, PeerId, PayloadHash)> {
        let delivered: BTreeMap<_, _> = self.agreement.delivered().collect();
        let from_all = delivered
            .iter()
            .map(|(author, hash)| (None, *author, *hash));
        let from_author = self
            .agreement
            .announced()
            .filter(|(author, _)| {
                !delivered.contains_key(author) && !self.first.contains_key(author)
            })
            .map(|(author, hash)| (Some(author), author, hash));
        from_all
            .chain(from_author)
            .filter(|(_, _, hash)| !self.payloads.contains_key(hash))
            .collect()
    }

    /// When [`Round::due_payloads`] has something to do.
    pub(super) fn next_wake_ms(&self) -> Option<u64> {
        self.ask_at_ms.values().min().copied()
    }

    /// What holds the epoch up, for the operator.
    pub(super) fn undecided(&self) -> Vec<PeerId> {
        self.agreement
            .undecided()
            .map(|(peer, _, _)| peer)
            .collect()
    }
}

/// Payloads for epochs that have not begun here.
#[derive(Default)]
pub(super) struct Early {
    payloads: BTreeMap<(Epoch, PeerId), Payload>,
}

impl Early {
    /// Keeps the first payload of each author for each of the next epochs.
    pub(super) fn keep(&mut self, open: Epoch, payload: Payload) {
        if payload.epoch.0 <= open.0.saturating_add(limits::MAX_EPOCHS_AHEAD) {
            self.payloads
                .entry((payload.epoch, payload.author))
                .or_insert(payload);
        }
    }

    /// The payloads for an epoch that begins now. Older ones are forgotten.
    pub(super) fn take(&mut self, open: Epoch) -> Vec<Payload> {
        let mut later = self.payloads.split_off(&(open, PeerId(0)));
        self.payloads = later.split_off(&(open.next(), PeerId(0)));
        later.into_values().collect()
    }
}

/// Whether a payload is this epoch's author's own word, and how it fails if not.
pub(super) fn verify(payload: &Payload, genesis: &GenesisConfig) -> Result<(), String> {
    payload.verify(genesis).map_err(|error| error.to_string())
}

fn votes_fit(contribution: &Contribution) -> bool {
    contribution
        .statement
        .votes
        .values()
        .all(|vote| vote.0.len() <= limits::MAX_VOTE_BYTES)
}

/// The log entry of a payload.
pub(super) fn log_entry(payload: &Payload) -> LogEntry {
    LogEntry::Payload(payload.encode())
}
