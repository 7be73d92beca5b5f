//! What the wallet brings to guardians for somebody else (SPEC GW-7).

use guildmint_core::{module::Reject, Amount, Item, TxId};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{problem, Description, Desk, Happening, Phase};
use crate::{
    errand::{self, ErrandInput, ErrandName, ErrandState, FEES_REVISED},
    error::ClientError,
    payment::{self, Draft, Input, InputKey},
    remake,
};

/// The state. ⚠ Keys are not in here but with the payment, and forgotten with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Errand {
    name: ErrandName,
    once: bool,
    /// What the federation keeps.
    fee: Amount,
    state: State,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum State {
    Submitted(TxId),
    /// Fees were revised: its notes are spent again, for fresh ones. Whichever comes first counts.
    TakingBack {
        txid: TxId,
        refund: TxId,
    },
    Accepted(TxId),
    Failed(Reject),
}

impl Errand {
    /// ⚠ One that happens once has ended if it cannot be begun: whoever ordered it goes by that, and may order it again all the same. But not for
    /// want of change that is on its way: then it can be begun a moment later.
    pub(crate) fn start(errand: errand::Errand, desk: &mut Desk<'_>) -> Result<Self, ClientError> {
        let (name, once) = (errand.name, errand.once);
        let (fee, state) = match pay(errand, desk) {
            Ok((txid, fee)) => (fee, State::Submitted(txid)),
            Err(error) if once && !is_coming(&error, desk) => {
                let reject = Reject::permanent(&error.code(), error);
                (Amount::ZERO, State::Failed(reject))
            }
            Err(error) => return Err(error),
        };
        Ok(Self {
            name,
            once,
            fee,
            state,
        })
    }

    pub(crate) fn state(&self) -> ErrandState {
        match &self.state {
            State::Submitted(_) | State::TakingBack { .. } => ErrandState::Pending,
            State::Accepted(txid) => ErrandState::Accepted {
                txid: *txid,
                fee: self.fee,
            },
            State::Failed(reject) => ErrandState::Rejected(reject.clone()),
        }
    }

    /// ⚠ Whether it must not be made anew.
    pub(crate) fn happens_once(&self) -> bool {
        self.once
    }

    pub(super) fn step(mut self, happening: Happening, desk: &mut Desk<'_>) -> Self {
        self.state = match (self.state.clone(), happening) {
            (State::Submitted(txid), Happening::Accepted(settled)) if settled == txid => {
                State::Accepted(txid)
            }
            (State::Submitted(txid), Happening::Rejected(settled, reject)) if settled == txid => {
                State::Failed(reject)
            }
            (State::Submitted(old), Happening::Remade(remade)) if remade.old == old => {
                self.fee = remade.fee;
                State::Submitted(remade.txid)
            }
            (State::Submitted(txid), Happening::Cancel) => match take_back(txid, desk) {
                Some(refund) => State::TakingBack { txid, refund },
                None => State::Submitted(txid),
            },
            (State::TakingBack { txid, refund }, happening) => {
                taking_back((txid, refund), happening, desk)
            }
            (state, _) => state,
        };
        self
    }

    pub(super) fn describe(&self) -> Description {
        let mut details = json!({
            "name": hex::encode(self.name.0),
            "fee_msat": self.fee.msat(),
            "txid": null,
        });
        let (state, phase) = match &self.state {
            State::Submitted(_) => ("submitted", Phase::Pending),
            State::TakingBack { .. } => ("taking_back", Phase::Pending),
            State::Accepted(txid) => {
                details["txid"] = json!(txid.to_string());
                ("accepted", Phase::Done)
            }
            State::Failed(reject) => {
                details["problem"] = problem(reject);
                ("failed", Phase::Failed)
            }
        };
        Description {
            kind: "errand",
            state,
            phase,
            details,
        }
    }
}

/// Whether what is lacking is in transactions of ours that are on their way: it will be there soon, be they accepted or not.
fn is_coming(error: &ClientError, desk: &Desk<'_>) -> bool {
    let ClientError::InsufficientFunds { needed, available } = error else {
        return false;
    };
    let sum = available.checked_add(payment::change_on_its_way(desk.rows));
    sum.is_none_or(|sum| sum >= *needed)
}

fn pay(errand: errand::Errand, desk: &mut Desk<'_>) -> Result<(TxId, Amount), ClientError> {
    let inputs: Vec<Input> = errand.inputs.into_iter().map(input).collect();
    let outputs: Vec<Item> = errand.outputs;
    let plan = remake::plan(desk.rows, desk.federation, &inputs, &outputs)?;
    let txid = desk.pay(Draft {
        inputs,
        spend: plan.spend,
        outputs,
        issue: plan.issue,
        ..Draft::default()
    })?;
    Ok((txid, plan.fee))
}

fn input(input: ErrandInput) -> Input {
    let ErrandInput { item, amount, key } = input;
    let key = InputKey::Errand { amount, key };
    Input { item, key }
}

/// Guardians accept the old one, or this one that takes its notes back, and the other never.
fn take_back(txid: TxId, desk: &mut Desk<'_>) -> Option<TxId> {
    let refund = remake::take_back(desk.rows, desk.federation, txid).ok()?;
    desk.submit(refund);
    Some(refund)
}

fn taking_back((txid, refund): (TxId, TxId), happening: Happening, desk: &mut Desk<'_>) -> State {
    match happening {
        Happening::Accepted(settled) if settled == txid => State::Accepted(txid),
        Happening::Accepted(settled) if settled == refund => {
            let message = "the federation's fees were revised before it was accepted";
            State::Failed(Reject::permanent(FEES_REVISED, message))
        }
        // What its notes become is not its business any more.
        Happening::Rejected(settled, reject) if settled == txid => State::Failed(reject),
        // Whatever the reason is, it may still happen, and so has the notes.
        Happening::Rejected(settled, _) if settled == refund => {
            payment::hand_back(desk.rows, txid);
            State::Submitted(txid)
        }
        Happening::Remade(remade) if remade.old == refund => State::TakingBack {
            txid,
            refund: remade.txid,
        },
        _ => State::TakingBack { txid, refund },
    }
}
