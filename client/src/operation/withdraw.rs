//! Paying to a bitcoin address. The withdrawal is done once the transaction is signed: guardians then send it until it is in a block,
//! and may replace it by one that pays more to miners. Whenever the wallet runs, it looks which one it is by now.

use guildmint_core::{
    api::TransactionAnswer, api::TransactionStatus, module::Reject, Amount, Item, TxId,
};
use guildmint_mint::client::Funding;
use guildmint_wallet::{PegOut, PegOutError, PegOutState, PegOutStatus};
use serde::{Deserialize, Serialize};
use serde_json::{json, Value as Json};

use super::{problem, Description, Desk, Happening, Phase};
use crate::{
    api::ApiRequest,
    ask::{Finding, Rule},
    error::ClientError,
    inquiry::quote,
    payment::{self, held, Draft},
    rows::PaymentRow,
};

/// How long to wait before guardians are asked again how far the transaction is.
const FOLLOW_MS: u64 = 500;
/// The same once it is signed: blocks are slow.
const FOLLOW_SIGNED_MS: u64 = 60_000;

/// The state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Withdraw {
    peg_out: PegOut,
    /// What the federation takes besides the miners' fee.
    federation_fee: Amount,
    state: State,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum State {
    /// Nothing has left the wallet: an offer that would be refused is not made at all. A signed offer cannot be taken back.
    Checking,
    Submitted(TxId),
    Accepted(TxId),
    /// It is signed, and nobody looks any further: where wallets of earlier builds ended.
    SignedOnce(bitcoin::Txid),
    Failed(Reject),
    Signed {
        txid: TxId,
        paid_by: bitcoin::Txid,
    },
    /// It is still submitted, and so is what spends its notes for fresh ones.
    Cancelling {
        txid: TxId,
        refund: TxId,
    },
    Cancelled,
    /// It is in an agreed block.
    Confirmed(bitcoin::Txid),
}

/// The output that a withdrawal needs, if it can be paid at all.
pub(crate) fn peg_out(
    address: &str,
    amount: Amount,
    fee: Amount,
    desk: &Desk<'_>,
) -> Result<PegOut, ClientError> {
    let whole = |amount: Amount| {
        amount
            .sat_exact()
            .ok_or(ClientError::NotWholeSatoshi(amount))
    };
    desk.federation
        .wallet
        .peg_out(address.trim(), whole(amount)?, whole(fee)?)
        .map_err(|error| match error {
            PegOutError::Dust { .. } => ClientError::Dust(error.to_string()),
            other => ClientError::Address(other.to_string()),
        })
}

impl Withdraw {
    pub(crate) fn start(
        address: &str,
        amount: Amount,
        fee: Amount,
        desk: &mut Desk<'_>,
    ) -> Result<Self, ClientError> {
        let withdraw = Self {
            peg_out: peg_out(address, amount, fee, desk)?,
            federation_fee: Amount::ZERO,
            state: State::Checking,
        };
        // What is wrong already is told at once.
        withdraw.funding(desk)?;
        withdraw.check(desk);
        Ok(withdraw)
    }

    /// Which notes are spent and which come back.
    fn funding(&self, desk: &Desk<'_>) -> Result<Funding, ClientError> {
        let tariff = desk.federation.mint.tariff();
        let module_fee = desk.federation.wallet.config().peg_out_fee;
        let total = self.peg_out.total().ok();
        let need = total.and_then(|total| total.checked_add(module_fee));
        let need = need.ok_or(ClientError::CannotBalance(Amount::MAX))?;
        Ok(tariff.fund(&held(desk.rows), need)?)
    }

    fn check(&self, desk: &mut Desk<'_>) {
        let (request, rule, reader) = quote(self.peg_out.address.clone(), self.peg_out.amount_sat);
        desk.ask(request, rule, reader);
    }

    /// The quote is known: pays, or fails with nothing lost.
    fn quoted(&mut self, quote_sat: u64, desk: &mut Desk<'_>) -> State {
        if self.peg_out.fee_sat < quote_sat {
            let message = format!(
                "the fee is {} sat, but the guardians ask for {quote_sat} sat",
                self.peg_out.fee_sat
            );
            return State::Failed(Reject::permanent("fee_too_low", message));
        }
        match self.pay(desk) {
            Ok(txid) => State::Submitted(txid),
            Err(error) => State::Failed(Reject::permanent("not_paid", error)),
        }
    }

    fn pay(&mut self, desk: &mut Desk<'_>) -> Result<TxId, ClientError> {
        let funding = self.funding(desk)?;
        let spent = Amount::sum(funding.spend.iter().map(|value| value.amount()));
        let change = Amount::sum(funding.change.iter().map(|value| value.amount()));
        let total = self.peg_out.total().ok();
        let federation_fee = spent
            .and_then(|spent| spent.checked_sub(change?)?.checked_sub(total?))
            .unwrap_or(desk.federation.wallet.config().peg_out_fee);
        // First of the outputs: `status` looks for it there.
        let txid = desk.pay(Draft {
            spend: funding.spend,
            outputs: vec![Item::new(desk.federation.wallet_module, &self.peg_out)],
            issue: funding.change,
            ..Draft::default()
        })?;
        self.federation_fee = federation_fee;
        Ok(txid)
    }

    pub(super) fn step(mut self, happening: Happening, desk: &mut Desk<'_>) -> Self {
        self.state = match (self.state.clone(), happening) {
            (State::Checking, Happening::Resume | Happening::Time) => {
                self.check(desk);
                State::Checking
            }
            (State::Checking, Happening::Found(finding)) => match finding {
                Finding::Fact(Json::Number(quote)) => {
                    self.quoted(quote.as_u64().unwrap_or(u64::MAX), desk)
                }
                // Nothing has left the wallet, so nothing need be waited for.
                Finding::Refused(problem) => State::Failed(Reject {
                    code: problem.code,
                    message: problem.detail,
                    retryable: problem.retryable,
                }),
                _ => {
                    desk.wake_after_ms(FOLLOW_MS);
                    State::Checking
                }
            },
            (State::Submitted(txid), Happening::Accepted(settled)) if settled == txid => {
                desk.wake_after_ms(FOLLOW_MS);
                State::Accepted(txid)
            }
            (State::Submitted(txid), Happening::Rejected(settled, reject)) if settled == txid => {
                State::Failed(reject)
            }
            (State::Submitted(old), Happening::Remade(remade)) if old == remade.old => {
                self.federation_fee = remade.fee;
                State::Submitted(remade.txid)
            }
            (State::Submitted(txid), Happening::Cancel) => cancel(txid, desk),
            (state @ State::Cancelling { .. }, happening) => cancelling(state, &happening, desk),
            (
                state @ (State::Accepted(txid) | State::Signed { txid, .. }),
                Happening::Resume | Happening::Time,
            ) => {
                let wait_seconds = 0;
                let request = ApiRequest::Transaction { txid, wait_seconds };
                desk.ask(request, Rule::Same, paid_by);
                state
            }
            (
                state @ (State::Accepted(txid) | State::Signed { txid, .. }),
                Happening::Found(finding),
            ) => followed(state, txid, finding, desk),
            (state, _) => state,
        };
        self
    }

    /// All that the withdrawal costs besides what arrives.
    fn fee(&self) -> Amount {
        let miners = Amount::from_sat(self.peg_out.fee_sat).ok();
        let sum = miners.and_then(|miners| miners.checked_add(self.federation_fee));
        sum.unwrap_or(Amount::MAX)
    }

    pub(super) fn describe(&self) -> Description {
        let mut details = json!({
            "address": self.peg_out.address,
            "amount_sat": self.peg_out.amount_sat,
            "fee_sat": self.peg_out.fee_sat,
            "fee_msat": self.fee().msat(),
            "txid": null,
        });
        let (state, phase) = match &self.state {
            State::Checking => ("checking", Phase::Pending),
            State::Submitted(_) => ("submitted", Phase::Pending),
            State::Accepted(_) => ("accepted", Phase::Pending),
            State::Signed { paid_by, .. } | State::SignedOnce(paid_by) => {
                details["txid"] = Json::from(paid_by.to_string());
                ("signed", Phase::Done)
            }
            State::Confirmed(paid_by) => {
                details["txid"] = Json::from(paid_by.to_string());
                ("confirmed", Phase::Done)
            }
            State::Cancelling { .. } => ("cancelling", Phase::Pending),
            State::Cancelled => ("cancelled", Phase::Done),
            State::Failed(reject) => {
                details["problem"] = problem(reject);
                ("failed", Phase::Failed)
            }
        };
        Description {
            kind: "withdraw",
            state,
            phase,
            details,
        }
    }
}

/// Spends the notes again, for fresh ones: guardians accept one of the two, and the other never.
fn cancel(txid: TxId, desk: &mut Desk<'_>) -> State {
    match refund(txid, desk) {
        Some(refund) => State::Cancelling { txid, refund },
        None => State::Submitted(txid),
    }
}

fn refund(txid: TxId, desk: &mut Desk<'_>) -> Option<TxId> {
    let payment = desk.rows.get(&PaymentRow(txid))?;
    let values: Vec<_> = payment.coins.iter().map(|coin| coin.denomination).collect();
    let tariff = desk.federation.mint.tariff();
    let net = tariff.net(&values).filter(|net| *net > Amount::ZERO)?;
    let issue = tariff.change(net, &held(desk.rows)).ok()?;
    let draft = Draft {
        coins: payment.coins,
        issue,
        ..Draft::default()
    };
    desk.pay(draft).ok()
}

fn cancelling(state: State, happening: &Happening, desk: &mut Desk<'_>) -> State {
    let State::Cancelling { txid, refund } = state else {
        return state;
    };
    match happening {
        Happening::Remade(remade) if remade.old == refund => State::Cancelling {
            txid,
            refund: remade.txid,
        },
        Happening::Remade(remade) if remade.old == txid => State::Cancelling {
            txid: remade.txid,
            refund,
        },
        Happening::Accepted(settled) if *settled == refund => State::Cancelled,
        Happening::Accepted(settled) if *settled == txid => {
            desk.wake_after_ms(FOLLOW_MS);
            State::Accepted(txid)
        }
        // Whatever the reason is, the withdrawal may still happen, and so has the notes.
        Happening::Rejected(settled, _) if *settled == refund => {
            payment::hand_back(desk.rows, txid);
            State::Submitted(txid)
        }
        // The notes are the refund's now.
        _ => state,
    }
}

/// What guardians say of an accepted withdrawal.
fn followed(state: State, txid: TxId, finding: Finding, desk: &mut Desk<'_>) -> State {
    let found = match finding {
        Finding::Fact(fact) => serde_json::from_value(fact).ok(),
        _ => None,
    };
    let next = match found {
        Some((paid_by, true)) => return State::Confirmed(paid_by),
        Some((paid_by, false)) => State::Signed { txid, paid_by },
        None => state,
    };
    let signed = matches!(next, State::Signed { .. });
    desk.wake_after_ms(if signed { FOLLOW_SIGNED_MS } else { FOLLOW_MS });
    next
}

/// The bitcoin transaction, once it is signed, and whether it is in an agreed block.
fn paid_by(answer: &Json) -> Option<Json> {
    let answer: TransactionAnswer = serde_json::from_value(answer.clone()).ok()?;
    let TransactionStatus::Accepted { outcomes, .. } = answer.status else {
        return None;
    };
    let status: PegOutStatus = serde_json::from_value(outcomes.first()?.clone()).ok()?;
    if status.state < PegOutState::Signed {
        return None;
    }
    Some(json!([
        status.txid?,
        status.state == PegOutState::Confirmed
    ]))
}
