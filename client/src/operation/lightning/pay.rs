//! Having an invoice paid: a gateway is found, a contract funded, and the money is the gateway's with the preimage, or the user's again.

use bitcoin::secp256k1::XOnlyPublicKey;
use guildmint_core::{module::Reject, Amount, Item, OutPoint, TxId};
use guildmint_ln::{
    client::{Pay, PayEffect, PayEvent, PayState},
    Announcement, Closing, ContractAnswer, GatewayReply, LnInput, PaymentHash, Witness,
};
use serde::{Deserialize, Serialize};
use serde_json::{json, Value as Json};

use super::{
    bill::{price, Bill},
    height, next_index, refusal,
    search::{Search, Seek},
    spend,
};
use crate::{
    api::RequestError,
    error::ClientError,
    gateway::GatewayCall,
    operation::{problem, Description, Desk, Happening, Phase, Remade},
    payment::{held, Draft, InputKey},
    watch::Topic,
};

/// The state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct LnPay {
    bill: Bill,
    /// Beyond it nothing is paid.
    max_fee: Amount,
    gateway_fee: Amount,
    federation_fee: Amount,
    stage: Stage,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(clippy::large_enum_variant)] // few of them
enum Stage {
    /// Nothing has left the wallet.
    Choosing(Search),
    Paying {
        pay: Pay,
        /// The transaction that funds the contract or takes its money back, while it is under way.
        transaction: Option<TxId>,
        /// What came back, if it did.
        returned: Amount,
    },
    /// Nothing was locked.
    Failed(Reject),
}

impl LnPay {
    pub(crate) fn start(
        bill: Bill,
        gateway: Option<XOnlyPublicKey>,
        max_fee: Amount,
        desk: &mut Desk<'_>,
    ) -> Result<Self, ClientError> {
        desk.ln()?;
        // What is wrong already is told at once.
        desk.federation
            .mint
            .tariff()
            .fund(&held(desk.rows), bill.amount)?;
        let search = Search::new(bill.wants(), gateway);
        let next = search.next();
        let pay = Self {
            bill,
            max_fee,
            gateway_fee: Amount::ZERO,
            federation_fee: Amount::ZERO,
            stage: Stage::Choosing(search.clone()),
        };
        Ok(pay.seek(search, next, desk))
    }

    /// Whether this pays, or has paid, on this hash. What is over without a payment may be tried again.
    pub(crate) fn is_on(&self, hash: PaymentHash) -> bool {
        let over = match &self.stage {
            Stage::Choosing(_) => false,
            Stage::Paying { pay, .. } => pay.is_over() && !matches!(pay.state, PayState::Paid(_)),
            Stage::Failed(_) => true,
        };
        self.bill.hash == hash && !over
    }

    /// What the transaction that is under way may cost, if the fees are revised.
    pub(crate) fn fee_limit(&self) -> Option<Amount> {
        match &self.stage {
            Stage::Paying { pay, .. } if pay.state == PayState::Funding => {
                self.max_fee.checked_sub(self.gateway_fee)
            }
            _ => None,
        }
    }

    /// What is in a contract that is neither the payee's nor ours again.
    pub(crate) fn locked(&self) -> Amount {
        match &self.stage {
            Stage::Paying {
                pay, transaction, ..
            } => match pay.state {
                PayState::Waiting(_) => pay.contract.amount,
                PayState::Refunding(..) if transaction.is_none() => pay.contract.amount,
                _ => Amount::ZERO,
            },
            _ => Amount::ZERO,
        }
    }

    fn seek(mut self, search: Search, next: Seek, desk: &mut Desk<'_>) -> Self {
        self.stage = match next {
            Seek::Ask((request, rule, reader)) => {
                desk.ask(request, rule, reader);
                Stage::Choosing(search)
            }
            Seek::Call(url, call) => {
                desk.call(url, call);
                Stage::Choosing(search)
            }
            Seek::Lost(error) => Stage::Failed(refusal(&error)),
            Seek::Found(gateway, height) => match self.fund(&gateway, height, desk) {
                Ok(stage) => stage,
                Err(error) => Stage::Failed(refusal(&error)),
            },
        };
        self
    }

    /// ⚠ From here on money is locked: the contract, its key's index and the whole transaction are in the same save.
    fn fund(
        &mut self,
        gateway: &Announcement,
        height: u32,
        desk: &mut Desk<'_>,
    ) -> Result<Stage, ClientError> {
        self.bill.is_open(desk)?;
        let price = price(&self.bill, gateway, desk)?;
        let (fee, limit) = (price.fee(), self.max_fee);
        if fee > limit {
            return Err(ClientError::FeeTooHigh { fee, limit });
        }
        let index = next_index(desk)?;
        let ln = desk.ln()?;
        let started = Pay::start(ln, index, &price.quote, height);
        let (pay, effects) = started.map_err(|error| ClientError::Federation(error.to_string()))?;
        let item = |effect| match effect {
            PayEffect::Fund(output) => Some(Item::new(ln.module(), &output)),
            _ => None,
        };
        // First of the outputs: the contract's name follows from its place.
        let outputs = effects.into_iter().filter_map(item).collect();
        let txid = desk.pay(Draft {
            spend: price.funding.spend,
            outputs,
            issue: price.funding.change,
            ..Draft::default()
        })?;
        self.gateway_fee = price.quote.gateway_fee;
        self.federation_fee = price.federation_fee;
        Ok(Stage::Paying {
            pay,
            transaction: Some(txid),
            returned: Amount::ZERO,
        })
    }

    pub(in super::super) fn step(mut self, happening: Happening, desk: &mut Desk<'_>) -> Self {
        match (self.stage.clone(), happening) {
            (Stage::Choosing(search), happening) => match search.step(happening, desk) {
                Some((search, next)) => self.seek(search, next, desk),
                None => self,
            },
            (
                Stage::Paying {
                    pay, transaction, ..
                },
                happening,
            ) => {
                if let Some(event) = self.hear(&pay, transaction, happening, desk) {
                    self.turn(pay, event, desk);
                }
                self
            }
            (Stage::Failed(_), _) => self,
        }
    }

    /// What a happening is to the payment.
    fn hear(
        &mut self,
        pay: &Pay,
        under_way: Option<TxId>,
        happening: Happening,
        desk: &mut Desk<'_>,
    ) -> Option<PayEvent> {
        match happening {
            Happening::Resume | Happening::Time | Happening::Reclaim => Some(PayEvent::Resume),
            Happening::Accepted(txid) if Some(txid) == under_way => {
                self.under_way(None);
                Some(accepted(pay, txid))
            }
            Happening::Rejected(txid, reject) if Some(txid) == under_way => {
                self.under_way(None);
                if pay.state == PayState::Funding {
                    self.stage = Stage::Failed(reject);
                    return None;
                }
                Some(PayEvent::RefundRejected)
            }
            Happening::Remade(remade) if Some(remade.old) == under_way => {
                self.remade(pay, remade);
                None
            }
            Happening::Gateway(result) => replied(pay, result, desk),
            Happening::Watched(Topic::Clock, fact) => height(&fact).map(PayEvent::Height),
            Happening::Watched(Topic::Contract(_), fact) => {
                let answer: ContractAnswer = serde_json::from_value(fact).ok()?;
                let claimed = matches!(answer.closing, Some(Closing::Claimed { .. }));
                // Our own transaction tells when its notes are here.
                let ours = under_way.is_some() && !claimed;
                (!ours).then_some(PayEvent::Contract(answer))
            }
            _ => None,
        }
    }

    fn under_way(&mut self, next: Option<TxId>) {
        if let Stage::Paying { transaction, .. } = &mut self.stage {
            *transaction = next;
        }
    }

    fn remade(&mut self, pay: &Pay, remade: Remade) {
        self.under_way(Some(remade.txid));
        match (&pay.state, &mut self.stage) {
            (PayState::Funding, _) => self.federation_fee = remade.fee,
            (_, Stage::Paying { returned, .. }) => *returned = remade.credited,
            _ => {}
        }
    }

    /// The module's state machine goes on.
    fn turn(&mut self, pay: Pay, event: PayEvent, desk: &mut Desk<'_>) {
        let Ok(ln) = desk.ln() else {
            return;
        };
        // There is a key for each index.
        let before = pay.state;
        let Ok((pay, effects)) = pay.step(ln, event) else {
            return;
        };
        // What proves nothing is no answer.
        if matches!(event, PayEvent::Gateway(_)) && pay.state == before {
            desk.try_later();
        }
        if let Stage::Paying { pay: stored, .. } = &mut self.stage {
            *stored = pay;
        }
        for effect in effects {
            self.carry_out(effect, desk);
        }
    }

    fn carry_out(&mut self, effect: PayEffect, desk: &mut Desk<'_>) {
        match effect {
            // It is a stored transaction, which is submitted until it is settled.
            PayEffect::Fund(_) => {}
            PayEffect::Ask { api_url, request } => desk.call(api_url, GatewayCall::Pay(request)),
            PayEffect::Watch(contract) => desk.watch(Topic::Contract(contract)),
            PayEffect::WakeAt(_) => desk.watch(Topic::Clock),
            PayEffect::Refund(input) => self.refund(&input, desk),
        }
    }

    fn refund(&mut self, input: &LnInput, desk: &mut Desk<'_>) {
        let Stage::Paying {
            pay,
            transaction: transaction @ None,
            returned,
        } = &mut self.stage
        else {
            return;
        };
        let (index, amount) = (pay.index, pay.contract.amount);
        let key = InputKey::Refund { index, amount };
        match spend(desk, input, key, amount) {
            Ok((txid, credited)) => {
                *transaction = Some(txid);
                *returned = credited;
            }
            // The contract waits until it can be spent.
            Err(_) => desk.try_later(),
        }
    }

    pub(in super::super) fn describe(&self) -> Description {
        let fee = self.gateway_fee.checked_add(self.federation_fee);
        let mut details = json!({
            "amount_msat": self.bill.amount.msat(),
            "fee_msat": fee.unwrap_or(Amount::MAX).msat(),
            "gateway_fee_msat": self.gateway_fee.msat(),
            "max_fee_msat": self.max_fee.msat(),
            "invoice": self.bill.text,
            "payment_hash": self.bill.hash,
            "payee": self.bill.payee.to_string(),
            "preimage": null,
        });
        let (state, phase) = match &self.stage {
            Stage::Choosing(_) => ("choosing", Phase::Pending),
            Stage::Paying { pay, returned, .. } => paying(pay, *returned, &mut details),
            Stage::Failed(reject) => {
                details["problem"] = problem(reject);
                ("failed", Phase::Failed)
            }
        };
        Description {
            kind: "pay",
            state,
            phase,
            details,
        }
    }
}

/// Our transaction happened, and its notes are here.
fn accepted(pay: &Pay, txid: TxId) -> PayEvent {
    let closed = |closing| {
        PayEvent::Contract(ContractAnswer {
            account: None,
            closing: Some(closing),
        })
    };
    match pay.state {
        PayState::Refunding(_, Witness::Forfeit(_)) => closed(Closing::Forfeited),
        PayState::Refunding(..) => closed(Closing::TimedOut),
        _ => PayEvent::Funded(OutPoint { txid, index: 0 }),
    }
}

/// What a gateway says. ⚠ Whether it is true the state machine judges; what changes nothing is asked again later.
fn replied(pay: &Pay, result: Result<Json, RequestError>, desk: &mut Desk<'_>) -> Option<PayEvent> {
    if !matches!(pay.state, PayState::Waiting(_)) {
        return None;
    }
    let reply = result.ok();
    let read = |json: &Json| serde_json::from_value::<GatewayReply>(json.clone()).ok();
    match (reply.as_ref().and_then(read), reply) {
        (Some(reply), _) => Some(PayEvent::Gateway(reply)),
        // It has not ended yet.
        (None, Some(json)) if json == json!({}) => Some(PayEvent::Resume),
        _ => {
            desk.try_later();
            None
        }
    }
}

fn paying(pay: &Pay, returned: Amount, details: &mut Json) -> (&'static str, Phase) {
    details["gateway"] = json!(pay.contract.gateway_key);
    details["timelock"] = json!(pay.contract.timelock);
    match pay.state {
        PayState::Funding => ("funding", Phase::Pending),
        PayState::Waiting(contract) => {
            details["contract"] = json!(contract);
            ("paying", Phase::Pending)
        }
        PayState::Refunding(contract, _) => {
            details["contract"] = json!(contract);
            ("refunding", Phase::Pending)
        }
        PayState::Paid(preimage) => {
            details["preimage"] = json!(preimage);
            ("paid", Phase::Done)
        }
        PayState::Refunded(contract) => {
            details["contract"] = json!(contract);
            details["returned_msat"] = json!(returned.msat());
            let message = "the gateway could not pay; the money is in the wallet again";
            details["problem"] = problem(&Reject::retryable("payment_failed", message));
            ("refunded", Phase::Failed)
        }
        // Told as a failure, see `hear`.
        PayState::NotFunded => ("failed", Phase::Failed),
    }
}
