//! Paying to a bitcoin address, followed until the transaction is on the network.

use guildmint_core::{
    api::TransactionAnswer, api::TransactionStatus, module::Reject, Amount, Item, TxId,
};
use guildmint_wallet::{PegOut, PegOutState, PegOutStatus};
use serde::{Deserialize, Serialize};
use serde_json::{json, Value as Json};

use super::{problem, Description, Desk, Happening, Phase};
use crate::{
    api::ApiRequest,
    ask::{Finding, Rule},
    error::ClientError,
    payment::{held, Draft},
};

/// How long to wait before guardians are asked again how far the transaction is.
const FOLLOW_MS: u64 = 500;

/// The state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Withdraw {
    peg_out: PegOut,
    /// What the federation takes besides the miners' fee.
    federation_fee: Amount,
    txid: TxId,
    state: State,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum State {
    Submitted,
    Accepted,
    Broadcast(bitcoin::Txid),
    Failed(Reject),
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
        .map_err(|error| ClientError::Address(error.to_string()))
}

impl Withdraw {
    pub(crate) fn start(
        address: &str,
        amount: Amount,
        fee: Amount,
        desk: &mut Desk<'_>,
    ) -> Result<Self, ClientError> {
        let peg_out = peg_out(address, amount, fee, desk)?;
        let tariff = desk.federation.mint.tariff();
        let module_fee = desk.federation.wallet.config().peg_out_fee;
        let total = peg_out.total().ok();
        let need = total.and_then(|total| total.checked_add(module_fee));
        let need = need.ok_or(ClientError::CannotBalance(amount))?;
        let funding = tariff.fund(&held(desk.rows), need)?;
        let spent = Amount::sum(funding.spend.iter().map(|value| value.amount()));
        let change = Amount::sum(funding.change.iter().map(|value| value.amount()));
        let federation_fee = spent
            .and_then(|spent| spent.checked_sub(change?)?.checked_sub(total?))
            .unwrap_or(module_fee);
        // First of the outputs: `status` looks for it there.
        let txid = desk.pay(Draft {
            spend: funding.spend,
            outputs: vec![Item::new(desk.federation.wallet_module, &peg_out)],
            issue: funding.change,
            ..Draft::default()
        })?;
        Ok(Self {
            peg_out,
            federation_fee,
            txid,
            state: State::Submitted,
        })
    }

    pub(super) fn step(mut self, happening: Happening, desk: &mut Desk<'_>) -> Self {
        self.state = match (self.state, happening) {
            (State::Submitted, Happening::Accepted(settled)) if settled == self.txid => {
                desk.wake_after_ms(FOLLOW_MS);
                State::Accepted
            }
            (State::Submitted, Happening::Rejected(settled, reject)) if settled == self.txid => {
                State::Failed(reject)
            }
            (State::Accepted, Happening::Resume | Happening::Time) => {
                let (txid, wait_seconds) = (self.txid, 0);
                desk.ask(
                    ApiRequest::Transaction { txid, wait_seconds },
                    Rule::Same,
                    sent,
                );
                State::Accepted
            }
            (State::Accepted, Happening::Found(finding)) => match finding {
                Finding::Fact(fact) => match serde_json::from_value(fact) {
                    Ok(txid) => State::Broadcast(txid),
                    Err(_) => follow(desk),
                },
                _ => follow(desk),
            },
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
            State::Submitted => ("submitted", Phase::Pending),
            State::Accepted => ("accepted", Phase::Pending),
            State::Broadcast(txid) => {
                details["txid"] = Json::from(txid.to_string());
                ("broadcast", Phase::Done)
            }
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

fn follow(desk: &mut Desk<'_>) -> State {
    desk.wake_after_ms(FOLLOW_MS);
    State::Accepted
}

/// The bitcoin transaction, once it is on the network.
fn sent(answer: &Json) -> Option<Json> {
    let answer: TransactionAnswer = serde_json::from_value(answer.clone()).ok()?;
    let TransactionStatus::Accepted { outcomes, .. } = answer.status else {
        return None;
    };
    let status: PegOutStatus = serde_json::from_value(outcomes.first()?.clone()).ok()?;
    if status.state < PegOutState::Broadcast {
        return None;
    }
    status.txid.map(|txid| Json::from(txid.to_string()))
}
