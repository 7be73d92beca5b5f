//! What the owners of accepted outputs are told, and other answers that are slow. Signing shares takes time, so a worker does
//! it; and only one at a time, so that those who ask cannot take the workers from the epochs.

use std::collections::VecDeque;

use guildmint_core::{
    api::{Problem, TransactionStatus},
    module::{Later, Reject},
    Epoch, TxId,
};
use serde_json::Value as Json;

use super::{
    clients::query_reply,
    event::{Action, CheckJob, Reply, Ticket},
    Node,
};

/// Transactions whose outcomes, and questions whose answers, are computed in one go.
const MAX_BATCHED: usize = 16;

/// Transactions and questions that may wait. Beyond it clients are told to come again.
const MAX_WAITING: usize = 256;

/// What is told about an accepted transaction.
pub(super) struct Accepted {
    pub(super) epoch: Epoch,
    /// One for each output, null where there is nothing to tell.
    pub(super) outcomes: Vec<Later<Json>>,
}

/// Something slow that somebody wants to know.
enum Wanted {
    /// The outcomes of a transaction.
    Outcomes {
        txid: TxId,
        epoch: Epoch,
        askers: Vec<Ticket>,
    },
    /// The answer of a module.
    Answer(Ticket),
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
        let askers = vec![ticket];
        let wanted = Wanted::Outcomes {
            txid,
            epoch,
            askers,
        };
        if !outcomes.iter().any(Later::is_slow) {
            return self.tell(wanted, outcomes.into_iter().map(Later::get).collect());
        }
        for (waiting, older) in &mut self.outcomes.waiting {
            match waiting {
                Wanted::Outcomes {
                    txid: same, askers, ..
                } if *same == txid => {
                    askers.push(ticket);
                    *older = outcomes;
                    return;
                }
                _ => {}
            }
        }
        self.compute_later(ticket, wanted, outcomes);
    }

    /// Tells a client what a module answers, once that is computed; `None` if the module has no such path.
    pub(super) fn tell_answer(
        &mut self,
        ticket: Ticket,
        answer: Option<Result<Later<Json>, Reject>>,
    ) {
        match answer {
            Some(Ok(later)) if later.is_slow() => {
                self.compute_later(ticket, Wanted::Answer(ticket), vec![later]);
            }
            Some(Ok(here)) => self.reply_after_save(ticket, Some(Ok(here.get()))),
            Some(Err(reject)) => self.reply_after_save(ticket, Some(Err(reject))),
            None => self.reply_after_save(ticket, None),
        }
    }

    fn compute_later(&mut self, ticket: Ticket, wanted: Wanted, what: Vec<Later<Json>>) {
        if self.outcomes.waiting.len() < MAX_WAITING {
            self.outcomes.waiting.push_back((wanted, what));
        } else {
            let busy = Problem::new(503, "busy", "too many questions at once; try again", true);
            let reply = Reply::Problem(busy);
            self.out.push(Action::Reply { ticket, reply });
        }
    }

    fn tell(&mut self, wanted: Wanted, mut computed: Vec<Json>) {
        match wanted {
            Wanted::Outcomes {
                txid,
                epoch,
                askers,
            } => {
                let outcomes = computed;
                let status = TransactionStatus::Accepted { epoch, outcomes };
                for ticket in askers {
                    self.answer(ticket, txid, status.clone());
                }
            }
            Wanted::Answer(ticket) => {
                self.reply_after_save(ticket, computed.pop().map(Ok));
            }
        }
    }

    /// What an answer tells must be true also after a crash.
    fn reply_after_save(&mut self, ticket: Ticket, answer: Option<Result<Json, Reject>>) {
        let reply = query_reply(answer);
        self.disk.after_save(Action::Reply { ticket, reply });
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
