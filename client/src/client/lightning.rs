//! Gateways that are asked, and what guardians are asked to tell whenever it changes.

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::secp256k1::XOnlyPublicKey;
use guildmint_core::{Amount, PeerId};
use guildmint_ln::{limits::MAX_OFFER_BYTES, FetchAnswer, FetchRequest, KIND};
use serde_json::Value as Json;

use super::{Asker, Client, Owner};
use crate::{
    api::{ApiRequest, RequestError},
    ask::{Finding, Rule},
    backoff::delay_ms,
    error::ClientError,
    event::{Action, Command, Millis, Payable, RequestId, Ticket},
    gateway::GatewayCall,
    inquiry::{Inquiry, LnInquiry},
    operation::{
        listed, price, Bill, Desk, Happening, LnPay, LnReceive, Operation, OperationId, Phase,
        Search, Seek, Wants, LIST,
    },
    reply::{GatewayView, LnPrice, Reply},
    submission::Requests,
    watch::{Topic, Watch, MAX_HELD},
};

/// How soon a gateway may be asked the same again, be it however quick to say that it does not know.
const SAME_CALL_MS: u64 = 1_000;

/// Requests to gateways, and what is watched.
#[derive(Default)]
pub(super) struct Lightning {
    calls: BTreeMap<RequestId, Asker>,
    /// What each operation asked a gateway last, and when.
    called: BTreeMap<OperationId, (String, Millis)>,
    /// How often an operation has got nowhere in a row.
    failures: BTreeMap<OperationId, u32>,
    /// Why its gateway could not be asked the last time.
    troubles: BTreeMap<OperationId, String>,
    watches: BTreeMap<Topic, (BTreeSet<OperationId>, Watch)>,
}

impl Lightning {
    /// Whether guardians are asked for an operation, and have told nothing yet; or its gateway is asked for an invoice.
    pub(super) fn is_looking(&self, id: OperationId) -> bool {
        let mut watches = self.watches.values();
        watches.any(|(watchers, watch)| watchers.contains(&id) && watch.told().is_none())
    }

    /// Why its gateway could not be asked.
    pub(super) fn trouble(&self, id: OperationId) -> Option<String> {
        self.troubles.get(&id).cloned()
    }

    /// When something of it is due.
    pub(super) fn wake_at(&self) -> Option<Millis> {
        let watches = self.watches.values();
        watches.filter_map(|(_, watch)| watch.wake_at()).min()
    }

    /// What guardians are to be asked now.
    pub(super) fn tick(&mut self, now: Millis) -> Vec<(Owner, Requests)> {
        let watches = self.watches.iter_mut().enumerate();
        watches
            .map(|(place, (topic, (_, watch)))| {
                (Owner::Watch(*topic), watch.tick(now, place < MAX_HELD))
            })
            .collect()
    }

    pub(super) fn has_moved(&mut self, peer: PeerId, now: Millis) {
        for (_, watch) in self.watches.values_mut() {
            watch.has_moved(peer, now);
        }
    }

    /// An operation has got on, or ended.
    pub(super) fn progressed(&mut self, id: OperationId, over: bool) {
        self.failures.remove(&id);
        self.troubles.remove(&id);
        if over {
            self.called.remove(&id);
            self.unwatch(id, |_| true);
        }
    }

    /// An operation wants to hear no more of these. What nobody wants to hear of is asked no more.
    pub(super) fn unwatch(&mut self, id: OperationId, of: impl Fn(&Topic) -> bool) {
        self.watches.retain(|topic, (watchers, _)| {
            let is_gone = of(topic) && watchers.remove(&id);
            !(is_gone && watchers.is_empty())
        });
    }
}

impl Client {
    /// An operation wants a gateway's answer. One call at a time: what is under way is still to be answered.
    pub(super) fn call_gateway(&mut self, id: OperationId, url: String, call: GatewayCall) {
        let mut askers = self.lightning.calls.values();
        if askers.any(|asker| matches!(asker, Asker::Operation(asking) if *asking == id)) {
            return;
        }
        let what = format!("{url}{}", call.path());
        if let Some((last, at)) = self.lightning.called.get(&id) {
            let next = at.after_ms(SAME_CALL_MS);
            if *last == what && next > self.now {
                self.timers.insert(id, next);
                return;
            }
        }
        self.lightning.called.insert(id, (what, self.now));
        self.send_call(Asker::Operation(id), url, call);
    }

    fn send_call(&mut self, asker: Asker, url: String, call: GatewayCall) {
        let request = RequestId(self.number());
        self.lightning.calls.insert(request, asker);
        self.outbox.push(Action::AskGateway { request, url, call });
    }

    pub(super) fn gateway_answered(
        &mut self,
        request: RequestId,
        result: Result<Json, RequestError>,
    ) {
        match self.lightning.calls.remove(&request) {
            Some(Asker::Operation(id)) => {
                match &result {
                    Ok(_) => self.lightning.troubles.remove(&id),
                    Err(error) => self.lightning.troubles.insert(id, error.to_string()),
                };
                self.happenings.push_back((id, Happening::Gateway(result)));
            }
            Some(Asker::Command(ticket, Inquiry::Lightning(inquiry))) => {
                self.inquiry_heard(ticket, *inquiry, result);
            }
            _ => {}
        }
    }

    pub(super) fn try_later(&mut self, id: OperationId) {
        let failures = self.lightning.failures.entry(id).or_default();
        *failures = failures.saturating_add(1);
        let at = self.now.after_ms(delay_ms(*failures, &mut self.rng));
        self.timers.insert(id, at);
    }

    /// Tells an operation what is known of this, now and whenever it changes.
    pub(super) fn watch(&mut self, id: OperationId, topic: Topic) {
        let quorum = self.federation.quorum;
        let watches = &mut self.lightning.watches;
        let (watchers, watch) = watches
            .entry(topic)
            .or_insert_with(|| (BTreeSet::new(), Watch::new(quorum, topic, &mut self.rng)));
        watchers.insert(id);
        if let Some(fact) = watch.told() {
            let happening = Happening::Watched(topic, fact.clone());
            self.happenings.push_back((id, happening));
        }
        self.send_watches();
    }

    pub(super) fn send_watches(&mut self) {
        for (owner, requests) in self.lightning.tick(self.now) {
            self.send(owner, requests);
        }
    }

    pub(super) fn watch_answered(
        &mut self,
        topic: Topic,
        peer: PeerId,
        result: Result<Json, RequestError>,
    ) {
        let Some((watchers, watch)) = self.lightning.watches.get_mut(&topic) else {
            return;
        };
        if let Some(fact) = watch.answered(peer, result, self.now, &mut self.rng) {
            for id in watchers.iter() {
                let happening = Happening::Watched(topic, fact.clone());
                self.happenings.push_back((*id, happening));
            }
        }
        self.send_watches();
    }

    /// The commands of Lightning that start something.
    pub(super) fn lightning_command(&mut self, command: Command) -> Result<Reply, ClientError> {
        match command {
            Command::LnPay {
                payable,
                gateway,
                max_fee,
            } => self.ln_pay(&payable, gateway, max_fee),
            Command::LnInvoice {
                amount,
                description,
                expiry_seconds,
                gateway,
            } => {
                let start = |desk: &mut Desk<'_>| {
                    LnReceive::start(amount, description, expiry_seconds, gateway, desk)
                };
                let operation = self.open(|desk| start(desk).map(Operation::LnReceive))?;
                Ok(Reply::Started { operation })
            }
            Command::LnRefund { operation } => self.ln_refund(operation),
            _ => Ok(Reply::Done {}),
        }
    }

    /// ⚠ One payment for a hash, as long as it may still be paid: whoever pays twice is out of money.
    fn ln_pay(
        &mut self,
        payable: &Payable,
        gateway: Option<XOnlyPublicKey>,
        max_fee: Amount,
    ) -> Result<Reply, ClientError> {
        // The same is the same, also when its invoice has expired meanwhile.
        if let Some(operation) = self.paying(payable)? {
            return Ok(Reply::AlreadyStarted {
                operation,
                already_started: true,
            });
        }
        let start = |desk: &mut Desk<'_>| {
            let bill = Bill::read(payable, desk)?;
            LnPay::start(bill, gateway, max_fee, desk)
        };
        let operation = self.open(|desk| start(desk).map(Operation::LnPay))?;
        Ok(Reply::Started { operation })
    }

    fn ln_refund(&mut self, only: Option<OperationId>) -> Result<Reply, ClientError> {
        if let Some(operation) = only {
            let view = self.operation(operation)?;
            if view.kind != "pay" {
                return Err(ClientError::WrongOperation {
                    operation,
                    problem: format!(
                        "is a {}; only a payment over Lightning can be refunded",
                        view.kind
                    ),
                });
            }
            self.happenings.push_back((operation, Happening::Reclaim));
            return Ok(Reply::Started { operation });
        }
        for view in self.operations() {
            if view.kind == "pay" && view.phase == Phase::Pending {
                self.happenings
                    .push_back((view.operation, Happening::Reclaim));
            }
        }
        Ok(Reply::Done {})
    }

    /// The commands of Lightning that only ask.
    pub(super) fn lightning_inquiry(&mut self, ticket: Ticket, command: Command) {
        let begun = match command {
            Command::LnQuote { payable, gateway } => {
                let (bill, _) = self.at_desk(OperationId(0), |desk| Bill::read(&payable, desk));
                bill.map(|bill| {
                    let search = Search::new(bill.wants(), gateway);
                    (LnInquiry::Quote(bill, search.clone()), search.next())
                })
            }
            Command::LnFetch {
                offer,
                amount,
                note,
                gateway,
            } => {
                let bytes = offer.len() + note.as_ref().map_or(0, String::len);
                let request = FetchRequest {
                    federation: self.federation.id,
                    offer,
                    amount_msat: amount.msat(),
                    note,
                };
                let search = Search::new(Wants::Fetch(amount), gateway);
                match bytes <= MAX_OFFER_BYTES {
                    true => Ok((LnInquiry::Fetch(request, search.clone()), search.next())),
                    false => Err(ClientError::OfferText(bytes)),
                }
            }
            _ => {
                let request = ApiRequest::Module {
                    kind: KIND,
                    path: LIST.to_owned(),
                    parameters: [].into(),
                };
                let whole = |answer: &Json| Some(answer.clone());
                Ok((LnInquiry::Gateways, Seek::Ask((request, Rule::Same, whole))))
            }
        };
        let begun = begun.and_then(|begun| match self.federation.ln {
            Some(_) => Ok(begun),
            None => Err(ClientError::NoLightning),
        });
        match begun {
            Ok((inquiry, next)) => self.inquire(ticket, inquiry, next),
            Err(error) => self.reply(ticket, Err(error)),
        }
    }

    fn inquire(&mut self, ticket: Ticket, inquiry: LnInquiry, next: Seek) {
        match next {
            Seek::Ask(question) => {
                let inquiry = Inquiry::Lightning(Box::new(inquiry));
                self.ask(Asker::Command(ticket, inquiry), question);
            }
            Seek::Call(url, call) => {
                let inquiry = Inquiry::Lightning(Box::new(inquiry));
                self.send_call(Asker::Command(ticket, inquiry), url, call);
            }
            Seek::Lost(error) => self.reply(ticket, Err(error)),
            Seek::Found(gateway, _) => match inquiry {
                LnInquiry::Quote(bill, _) => {
                    let (price, _) =
                        self.at_desk(OperationId(0), |desk| price(&bill, &gateway, desk));
                    let reply = price.map(|price| {
                        Reply::LnQuote(LnPrice {
                            amount: bill.amount,
                            fee: price.fee(),
                            gateway_fee: price.quote.gateway_fee,
                            federation_fee: price.federation_fee,
                            gateway: gateway.key,
                            gateway_url: gateway.api_url,
                            payment_hash: bill.hash,
                            expires_at_s: bill.expires_at_s,
                        })
                    });
                    self.reply(ticket, reply);
                }
                LnInquiry::Fetch(request, _) => {
                    let fetching = LnInquiry::Fetching(gateway.key, request.amount_msat);
                    let inquiry = Inquiry::Lightning(Box::new(fetching));
                    let call = GatewayCall::Fetch(request);
                    self.send_call(Asker::Command(ticket, inquiry), gateway.api_url, call);
                }
                LnInquiry::Gateways | LnInquiry::Fetching(..) => {}
            },
        }
    }

    /// Guardians have answered what a command asked.
    pub(super) fn inquiry_found(&mut self, ticket: Ticket, inquiry: LnInquiry, finding: Finding) {
        match inquiry {
            LnInquiry::Quote(bill, search) => {
                let (search, next) = search.found(finding, &self.federation);
                self.inquire(ticket, LnInquiry::Quote(bill, search), next);
            }
            LnInquiry::Fetch(request, search) => {
                let (search, next) = search.found(finding, &self.federation);
                self.inquire(ticket, LnInquiry::Fetch(request, search), next);
            }
            LnInquiry::Gateways | LnInquiry::Fetching(..) => {
                let reply = match finding {
                    Finding::Fact(fact) => Ok(gateways(&fact, self)),
                    Finding::Refused(problem) => Err(problem.into()),
                    Finding::TooFew { answered, needed } => {
                        Err(ClientError::TooFewGuardians { answered, needed })
                    }
                };
                self.reply(ticket, reply);
            }
        }
    }

    /// A gateway has answered what a command asked.
    fn inquiry_heard(
        &mut self,
        ticket: Ticket,
        inquiry: LnInquiry,
        result: Result<Json, RequestError>,
    ) {
        match inquiry {
            LnInquiry::Quote(bill, search) => {
                let (search, next) = search.heard(result, self.federation.id);
                self.inquire(ticket, LnInquiry::Quote(bill, search), next);
            }
            LnInquiry::Fetch(request, search) => {
                let (search, next) = search.heard(result, self.federation.id);
                self.inquire(ticket, LnInquiry::Fetch(request, search), next);
            }
            LnInquiry::Fetching(gateway, amount_msat) => {
                let reply = fetched(gateway, amount_msat, result);
                self.reply(ticket, reply);
            }
            LnInquiry::Gateways => {}
        }
    }
}

fn fetched(
    gateway: XOnlyPublicKey,
    amount_msat: u64,
    result: Result<Json, RequestError>,
) -> Result<Reply, ClientError> {
    let unusable = |what: String| ClientError::Gateway(format!("the gateway {what}"));
    let json = match result {
        Ok(json) => json,
        Err(RequestError::Problem(problem)) => return Err(problem.into()),
        Err(error) => return Err(unusable(error.to_string())),
    };
    let answer: FetchAnswer = serde_json::from_value(json)
        .map_err(|_| unusable("gave an answer that cannot be read".to_owned()))?;
    if answer.amount_msat.msat() != amount_msat {
        return Err(unusable(format!(
            "fetched an invoice of {}",
            answer.amount_msat
        )));
    }
    Ok(Reply::LnFetched { gateway, answer })
}

fn gateways(fact: &Json, client: &Client) -> Reply {
    let view = |one: guildmint_ln::GatewayAnswer| {
        let gateway = one.signed.announcement;
        GatewayView {
            gateway: gateway.key,
            swap_only: !gateway.has_node(),
            node: gateway.node_key,
            url: gateway.api_url,
            send_fees: gateway.send_fees,
            receive_fees: gateway.receive_fees,
            vouched_by: one.vouched_by,
            valid_until: gateway.valid_until,
        }
    };
    let gateways = listed(fact, client.federation.id).into_iter();
    Reply::Gateways {
        gateways: gateways.map(view).collect(),
    }
}
