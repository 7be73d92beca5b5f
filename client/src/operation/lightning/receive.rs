//! Being paid by an invoice: a gateway makes it on the hash of an offer, and the contract that funds the offer is claimed.

use bitcoin::secp256k1::XOnlyPublicKey;
use guildmint_core::{module::Reject, Amount, TxId};
use guildmint_ln::{
    client::{Receive, ReceiveEffect, ReceiveEvent, ReceiveState},
    limits, Announcement, FundingAnswer, InvoiceAnswer, LnInput,
};
use serde::{Deserialize, Serialize};
use serde_json::{json, Value as Json};

use super::{
    height, issue, next_index, refusal,
    search::{Search, Seek, Wants},
    spend,
};
use crate::{
    api::{ApiRequest, RequestError},
    ask::{Finding, Rule},
    error::ClientError,
    gateway::GatewayCall,
    operation::{problem, Description, Desk, Happening, Phase},
    payment::InputKey,
    watch::Topic,
};

/// Blocks that an offer can be funded after its invoice has expired: payments that are on their way by then, and a clock that runs fast.
const SLACK_BLOCKS: u32 = 72;

/// Seconds for which one block is reckoned. Twice as many as there will be: an offer that expires before its invoice makes a payer wait for
/// nothing.
const BLOCK_SECONDS: u32 = 300;

/// The longest life of an invoice. A longer one is refused.
pub(crate) const MAX_EXPIRY_SECONDS: u32 = 24 * 60 * 60;

/// The state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct LnReceive {
    /// What the user gets, before what the federation keeps.
    amount: Amount,
    description: String,
    expiry_seconds: u32,
    stage: Stage,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(clippy::large_enum_variant)] // few of them
enum Stage {
    /// Nobody knows of it.
    Choosing(Search),
    Receiving {
        receive: Receive,
        /// Who else could make the invoice, should this one not.
        search: Search,
        invoice: Option<String>,
        /// The transaction that claims the contract, while it is under way, and what arrives by it.
        claim: Option<(TxId, Amount)>,
        credited: Amount,
    },
    /// No invoice was shown.
    Failed(Reject),
}

impl LnReceive {
    pub(crate) fn start(
        amount: Amount,
        description: String,
        expiry_seconds: u32,
        gateway: Option<XOnlyPublicKey>,
        desk: &mut Desk<'_>,
    ) -> Result<Self, ClientError> {
        // What would not pay for its own claim is refused at once.
        issue(desk, amount)?;
        let bytes = description.len();
        if bytes > limits::MAX_DESCRIPTION_BYTES {
            return Err(ClientError::Description(bytes));
        }
        if !(1..=MAX_EXPIRY_SECONDS).contains(&expiry_seconds) {
            return Err(ClientError::Expiry(expiry_seconds));
        }
        let search = Search::new(Wants::Receive(amount), gateway);
        let next = search.next();
        let receive = Self {
            amount,
            description,
            expiry_seconds,
            stage: Stage::Choosing(search.clone()),
        };
        Ok(receive.seek(search, next, desk))
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
            Seek::Found(gateway, height) => {
                return match self.begin(search, &gateway, height, desk) {
                    Ok((stage, effects)) => {
                        self.stage = stage;
                        effects
                            .into_iter()
                            .for_each(|one| self.carry_out(one, desk));
                        self
                    }
                    Err(error) => {
                        self.stage = Stage::Failed(refusal(&error));
                        self
                    }
                }
            }
        };
        self
    }

    fn begin(
        &self,
        search: Search,
        gateway: &Announcement,
        height: u32,
        desk: &mut Desk<'_>,
    ) -> Result<(Stage, Vec<ReceiveEffect>), ClientError> {
        let index = next_index(desk)?;
        let blocks = SLACK_BLOCKS + self.expiry_seconds.div_ceil(BLOCK_SECONDS);
        let until = (height.saturating_add(blocks), self.expiry_seconds);
        let ln = desk.ln()?;
        let started = Receive::start(ln, index, self.amount, gateway, until, &self.description);
        let (receive, effects) =
            started.map_err(|error| ClientError::Gateway(error.to_string()))?;
        let stage = Stage::Receiving {
            receive,
            search,
            invoice: None,
            claim: None,
            credited: Amount::ZERO,
        };
        Ok((stage, effects))
    }

    pub(in super::super) fn step(mut self, happening: Happening, desk: &mut Desk<'_>) -> Self {
        match (self.stage.clone(), happening) {
            (Stage::Choosing(search), happening) => match search.step(happening, desk) {
                Some((search, next)) => self.seek(search, next, desk),
                None => self,
            },
            (
                Stage::Receiving {
                    receive,
                    search,
                    claim,
                    ..
                },
                happening,
            ) => {
                let offer = receive.offer.offer.id(desk.federation.id);
                let was_asking = receive.state == ReceiveState::Asking;
                let turned = match self.hear(&receive, claim, happening, desk) {
                    Ok(Some(event)) => self.turn(receive, event, desk),
                    Ok(None) => Ok(()),
                    Err(refused) => Err(refused),
                };
                match turned {
                    Err(refused) if was_asking => {
                        desk.unwatch(Topic::Funding(offer));
                        self.pass_over(search, refused, desk)
                    }
                    // ⚠ What was shown once may be paid.
                    Ok(()) | Err(_) => self,
                }
            }
            (Stage::Failed(_), _) => self,
        }
    }

    /// ⚠ Nobody was shown an invoice yet, so that another gateway may make one, for an offer of its own.
    fn pass_over(mut self, search: Search, refused: Reject, desk: &mut Desk<'_>) -> Self {
        match search.passed_over(&refused.message) {
            // What the last one says is more than that there is no other.
            (_, Seek::Lost(_)) => {
                self.stage = Stage::Failed(refused);
                self
            }
            (search, next) => self.seek(search, next, desk),
        }
    }

    /// What a happening is to the payment. The error: what its gateway will never do.
    fn hear(
        &mut self,
        receive: &Receive,
        claim: Option<(TxId, Amount)>,
        happening: Happening,
        desk: &mut Desk<'_>,
    ) -> Result<Option<ReceiveEvent>, Reject> {
        let under_way = claim.map(|(txid, _)| txid);
        Ok(match happening {
            Happening::Resume | Happening::Time => Some(ReceiveEvent::Resume),
            Happening::Accepted(txid) if Some(txid) == under_way => {
                self.claimed();
                None
            }
            Happening::Rejected(txid, _) if Some(txid) == under_way => {
                self.claims(None);
                Some(ReceiveEvent::ClaimRejected)
            }
            Happening::Remade(remade) if Some(remade.old) == under_way => {
                self.claims(Some((remade.txid, remade.credited)));
                None
            }
            Happening::Gateway(result) => return answered(receive, result, desk),
            Happening::Watched(Topic::Clock, fact) => {
                if let Some(height) = height(&fact) {
                    ask_whether_it_is_over(receive, height, desk);
                }
                None
            }
            // ⚠ Of this offer; what was told of one before it may still be waiting.
            Happening::Watched(Topic::Funding(offer), fact)
                if offer == receive.offer.offer.id(desk.federation.id) =>
            {
                // Our own transaction tells when its notes are here.
                funded(fact, 0).filter(|_| under_way.is_none())
            }
            Happening::Found(Finding::Fact(fact)) => {
                let height = receive.offer.offer.expires_at.saturating_add(1);
                funded(fact, height).filter(|_| under_way.is_none())
            }
            Happening::Found(_) => {
                desk.try_later();
                None
            }
            _ => None,
        })
    }

    fn claims(&mut self, next: Option<(TxId, Amount)>) {
        if let Stage::Receiving { claim, .. } = &mut self.stage {
            *claim = next;
        }
    }

    /// The claim happened, and its notes are here.
    fn claimed(&mut self) {
        let Stage::Receiving {
            receive,
            claim,
            credited,
            ..
        } = &mut self.stage
        else {
            return;
        };
        *credited = claim.take().map_or(Amount::ZERO, |(_, amount)| amount);
        if let ReceiveState::Claiming { amount, .. } = receive.state {
            receive.state = ReceiveState::Claimed { amount };
        }
    }

    /// The module's state machine goes on. The error: what its gateway sent is not what was agreed.
    fn turn(
        &mut self,
        receive: Receive,
        event: ReceiveEvent,
        desk: &mut Desk<'_>,
    ) -> Result<(), Reject> {
        let Ok(ln) = desk.ln() else {
            return Ok(());
        };
        let next = receive.step(ln, desk.federation.network, event);
        let (receive, effects) = next.map_err(|error| Reject::permanent("wrong_invoice", error))?;
        if let Stage::Receiving {
            receive: stored,
            invoice,
            ..
        } = &mut self.stage
        {
            if let ReceiveState::Offered { invoice: text } = &receive.state {
                *invoice = Some(text.clone());
            }
            *stored = receive;
        }
        for effect in effects {
            self.carry_out(effect, desk);
        }
        Ok(())
    }

    fn carry_out(&mut self, effect: ReceiveEffect, desk: &mut Desk<'_>) {
        match effect {
            ReceiveEffect::Ask { api_url, request } => {
                desk.call(api_url, GatewayCall::Invoice(Box::new(request)));
            }
            ReceiveEffect::Watch(offer) => desk.watch(Topic::Funding(offer)),
            ReceiveEffect::WakeAt(_) => desk.watch(Topic::Clock),
            ReceiveEffect::Claim(input) => self.claim(&input, desk),
        }
    }

    fn claim(&mut self, input: &LnInput, desk: &mut Desk<'_>) {
        let Stage::Receiving {
            receive,
            claim: claim @ None,
            ..
        } = &mut self.stage
        else {
            return;
        };
        let ReceiveState::Claiming { amount, .. } = receive.state else {
            return;
        };
        let index = receive.index;
        match spend(desk, input, InputKey::Claim { index, amount }, amount) {
            Ok(claims) => *claim = Some(claims),
            // The contract waits until it can be claimed.
            Err(_) => desk.try_later(),
        }
    }

    pub(in super::super) fn describe(&self) -> Description {
        let mut details = json!({
            "amount_msat": self.amount.msat(),
            "description": self.description,
            "invoice": null,
        });
        let (state, phase) = match &self.stage {
            Stage::Choosing(_) => ("choosing", Phase::Pending),
            Stage::Receiving {
                receive,
                invoice,
                credited,
                ..
            } => {
                details["invoice"] = json!(invoice);
                receiving(receive, *credited, &mut details)
            }
            Stage::Failed(reject) => {
                details["problem"] = problem(reject);
                ("failed", Phase::Failed)
            }
        };
        Description {
            kind: "invoice",
            state,
            phase,
            details,
        }
    }
}

/// ⚠ A guardian that is behind knows no funding yet: only those whose clock is past the offer's last height are believed that there is none.
fn ask_whether_it_is_over(receive: &Receive, height: u32, desk: &mut Desk<'_>) {
    let expires_at = receive.offer.offer.expires_at;
    let open = matches!(
        receive.state,
        ReceiveState::Asking | ReceiveState::Offered { .. }
    );
    if !open || height <= expires_at {
        return;
    }
    let mut request = Topic::Funding(receive.offer.offer.id(desk.federation.id)).request();
    if let ApiRequest::Module { parameters, .. } = &mut request {
        parameters.insert("past".to_owned(), expires_at.to_string());
    }
    desk.ask(request, Rule::Same, funding);
}

/// What the gateway says. ⚠ An invoice that is not what was agreed is shown to nobody.
fn answered(
    receive: &Receive,
    result: Result<Json, RequestError>,
    desk: &mut Desk<'_>,
) -> Result<Option<ReceiveEvent>, Reject> {
    if receive.state != ReceiveState::Asking {
        return Ok(None);
    }
    match result {
        Ok(json) => {
            let answer: Result<InvoiceAnswer, _> = serde_json::from_value(json);
            let event = |answer: InvoiceAnswer| ReceiveEvent::Invoice(answer.invoice);
            if answer.is_err() {
                desk.try_later();
            }
            Ok(answer.ok().map(event))
        }
        Err(RequestError::Problem(problem)) if !problem.retryable => {
            Err(Reject::permanent(&problem.code, problem.detail))
        }
        Err(_) => {
            desk.try_later();
            Ok(None)
        }
    }
}

/// What guardians know of the offer's funding, at this height.
fn funded(fact: Json, height: u32) -> Option<ReceiveEvent> {
    let answer: FundingAnswer = serde_json::from_value(fact).ok()?;
    Some(ReceiveEvent::Funding(answer, height))
}

#[allow(clippy::unnecessary_wraps)]
fn funding(answer: &Json) -> Option<Json> {
    Some(answer.clone())
}

fn receiving(receive: &Receive, credited: Amount, details: &mut Json) -> (&'static str, Phase) {
    details["payment_hash"] = json!(receive.offer.offer.hash);
    details["invoice_msat"] = json!(receive.invoice_amount.msat());
    details["swap_only"] = json!(receive.swap_only);
    details["expires_at"] = json!(receive.offer.offer.expires_at);
    match &receive.state {
        ReceiveState::Asking => ("asking", Phase::Pending),
        ReceiveState::Offered { .. } => ("waiting", Phase::Pending),
        ReceiveState::Claiming { .. } => ("claiming", Phase::Pending),
        ReceiveState::Claimed { .. } => {
            details["credited_msat"] = json!(credited.msat());
            ("claimed", Phase::Done)
        }
        ReceiveState::Expired => {
            let message = "nobody paid in time";
            details["problem"] = problem(&Reject::permanent("invoice_expired", message));
            ("expired", Phase::Failed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offers_outlive_their_invoices_and_guardians_could_store_them() {
        for seconds in [1, 3_600, MAX_EXPIRY_SECONDS] {
            let blocks = SLACK_BLOCKS + seconds.div_ceil(BLOCK_SECONDS);
            assert!(blocks > seconds / 600 + 12);
            assert!(blocks <= limits::MAX_OFFER_BLOCKS);
        }
    }
}
