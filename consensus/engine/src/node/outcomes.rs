//! What the owners of accepted outputs are told. Signing shares is slow, so a worker does it; and only one at a time, so that
//! those who ask cannot take the workers from the epochs.

use std::collections::VecDeque;

use guildmint_core::{api::TransactionStatus, module::Later, Epoch, TxId};
use serde_json::Value as Json;

use super::{
    event::{Action, CheckJob, Ticket},
    Node,
};

/// Transactions whose outcomes are computed in one go.
const MAX_BATCHED: usize = 16;

/// What is told about an accepted transaction.
pub(super) struct Accepted {
    pub(super) epoch: Epoch,
    /// One for each output, null where there is nothing to tell.
    pub(super) outcomes: Vec<Later<Json>>,
}

/// A client that waits for outcomes.
pub(super) struct Asker {
    ticket: Ticket,
    txid: TxId,
    epoch: Epoch,
}

/// Answers that wait for a worker, and those that one is at.
#[derive(Default)]
pub(super) struct Outcomes {
    waiting: VecDeque<(Asker, Vec<Later<Json>>)>,
    under_way: Option<(Ticket, Vec<Asker>)>,
}

impl Node {
    /// Tells a client about an accepted transaction, once its outcomes are computed.
    pub(super) fn tell_outcomes(&mut self, ticket: Ticket, txid: TxId, accepted: Accepted) {
        let Accepted { epoch, outcomes } = accepted;
        let asker = Asker {
            ticket,
            txid,
            epoch,
        };
        if outcomes.iter().any(Later::is_slow) {
            self.outcomes.waiting.push_back((asker, outcomes));
        } else {
            self.tell(asker, outcomes.into_iter().map(Later::get).collect());
        }
    }

    fn tell(&mut self, asker: Asker, outcomes: Vec<Json>) {
        let epoch = asker.epoch;
        let status = TransactionStatus::Accepted { epoch, outcomes };
        self.answer(asker.ticket, asker.txid, status);
    }

    /// Gives a worker what waits, unless one is at it.
    pub(super) fn compute_outcomes(&mut self) {
        if self.outcomes.under_way.is_some() || self.outcomes.waiting.is_empty() {
            return;
        }
        let many = self.outcomes.waiting.len().min(MAX_BATCHED);
        let (askers, outcomes) = self.outcomes.waiting.drain(..many).unzip();
        let ticket = self.disk.ticket();
        self.outcomes.under_way = Some((ticket, askers));
        self.out.push(Action::Check {
            ticket,
            job: CheckJob::Outcomes(outcomes),
        });
    }

    /// A worker has computed outcomes.
    pub(super) fn outcomes_computed(&mut self, ticket: Ticket, computed: Vec<Vec<Json>>) {
        let under_way = self.outcomes.under_way.take_if(|(of, _)| *of == ticket);
        let askers = under_way.map(|(_, askers)| askers).unwrap_or_default();
        for (asker, outcomes) in askers.into_iter().zip(computed) {
            self.tell(asker, outcomes);
        }
    }
}
