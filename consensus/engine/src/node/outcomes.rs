//! What the owners of accepted outputs are told. Signing shares is slow, so a worker does it; and only one at a time, so that
//! those who ask cannot take the workers from the epochs.

use std::collections::VecDeque;

use guildmint_core::{
    api::{Problem, TransactionStatus},
    module::Later,
    Epoch, TxId,
};
use serde_json::Value as Json;

use super::{
    event::{Action, CheckJob, Reply, Ticket},
    Node,
};

/// Transactions whose outcomes are computed in one go.
const MAX_BATCHED: usize = 16;

/// Transactions whose outcomes may wait. Beyond it clients are told to come again.
const MAX_WAITING: usize = 256;

/// What is told about an accepted transaction.
pub(super) struct Accepted {
    pub(super) epoch: Epoch,
    /// One for each output, null where there is nothing to tell.
    pub(super) outcomes: Vec<Later<Json>>,
}

/// A transaction whose outcomes somebody wants.
struct Wanted {
    txid: TxId,
    epoch: Epoch,
    askers: Vec<Ticket>,
}

/// Answers that wait for a worker, and those that one is at.
#[derive(Default)]
pub(super) struct Outcomes {
    waiting: VecDeque<(Wanted, Vec<Later<Json>>)>,
    under_way: Option<(Ticket, Vec<Wanted>)>,
}

impl Node {
    /// Tells a client about an accepted transaction, once its outcomes are computed: once for all who ask meanwhile.
    pub(super) fn tell_outcomes(&mut self, ticket: Ticket, txid: TxId, accepted: Accepted) {
        let Accepted { epoch, outcomes } = accepted;
        let mut wanted = Wanted {
            txid,
            epoch,
            askers: vec![ticket],
        };
        if !outcomes.iter().any(Later::is_slow) {
            return self.tell(wanted, outcomes.into_iter().map(Later::get).collect());
        }
        let mut waiting = self.outcomes.waiting.iter_mut();
        if let Some((same, older)) = waiting.find(|(same, _)| same.txid == txid) {
            same.askers.append(&mut wanted.askers);
            *older = outcomes;
        } else if self.outcomes.waiting.len() < MAX_WAITING {
            self.outcomes.waiting.push_back((wanted, outcomes));
        } else {
            let busy = Problem::new(503, "busy", "too many questions at once; try again", true);
            let reply = Reply::Problem(busy);
            self.out.push(Action::Reply { ticket, reply });
        }
    }

    fn tell(&mut self, wanted: Wanted, outcomes: Vec<Json>) {
        let epoch = wanted.epoch;
        let status = TransactionStatus::Accepted { epoch, outcomes };
        for ticket in wanted.askers {
            self.answer(ticket, wanted.txid, status.clone());
        }
    }

    /// Gives a worker what waits, unless one is at it.
    pub(super) fn compute_outcomes(&mut self) {
        if self.outcomes.under_way.is_some() || self.outcomes.waiting.is_empty() {
            return;
        }
        let many = self.outcomes.waiting.len().min(MAX_BATCHED);
        let (wanted, outcomes) = self.outcomes.waiting.drain(..many).unzip();
        let ticket = self.disk.ticket();
        self.outcomes.under_way = Some((ticket, wanted));
        self.out.push(Action::Check {
            ticket,
            job: CheckJob::Outcomes(outcomes),
        });
    }

    /// A worker has computed outcomes.
    pub(super) fn outcomes_computed(&mut self, ticket: Ticket, computed: Vec<Vec<Json>>) {
        let under_way = self.outcomes.under_way.take_if(|(of, _)| *of == ticket);
        let wanted = under_way.map(|(_, wanted)| wanted).unwrap_or_default();
        for (wanted, outcomes) in wanted.into_iter().zip(computed) {
            self.tell(wanted, outcomes);
        }
    }
}
