//! Invoices of BOLT12 offers: fetched for a user, who checks one against its offer and funds a contract on its hash; then it is paid as any
//! other. One for which no contract comes in time is forgotten, by the node too.

use guildmint_core::{Amount, Bytes, FederationId, Tagged};
use guildmint_ln::{
    fetched_name, fetched_request, limits::MAX_OFFER_BYTES, FetchRequest, InvoiceHash,
    OutgoingContract, PaymentHash,
};
use serde::{Deserialize, Serialize};

use super::{
    pay::{self, GivenUp, Way},
    ContractKey,
};
use crate::{
    call::Call,
    desk::{Awaited, Concern, Desk},
    error::GatewayError,
    event::{Millis, Ticket},
    limits,
    node::{self, FetchFailure, FetchOrder, Refusal, RequestId},
    reply::{Fetched, Reply},
    rows::FetchRow,
};

/// An invoice that is being fetched, or waits for its contract.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Fetch {
    pub federation: FederationId,
    pub order: FetchOrder,
    pub since: Millis,
    /// What came.
    pub found: Option<Found>,
}

/// An invoice that came.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Found {
    pub hash: PaymentHash,
    pub amount: Amount,
    pub invoice_hash: InvoiceHash,
}

/// What a wallet writes where a [`PayRequest`](guildmint_ln::PayRequest) has an invoice.
#[must_use]
pub fn name(request: RequestId) -> String {
    fetched_name(Bytes(request.0))
}

/// The request that is named in place of an invoice.
pub(crate) fn named(invoice: &str) -> Option<RequestId> {
    fetched_request(invoice).map(|bytes| RequestId(bytes.0))
}

/// What a contract names a BOLT12 invoice by: the hash of its hexadecimal form.
#[must_use]
pub fn hash_of(invoice: &[u8]) -> InvoiceHash {
    InvoiceHash::new(&hex::encode(invoice))
}

pub(crate) fn invoice_hash(desk: &Desk, request: RequestId) -> Option<InvoiceHash> {
    Some(desk.fetch(request)?.found?.invoice_hash)
}

/// A user wants an invoice of an offer.
pub(crate) fn ask(desk: &mut Desk, ticket: Ticket, request: FetchRequest) {
    match prepare(desk, ticket, request) {
        Ok(fetch) => {
            let request = fetch.order.request;
            desk.rows.put(&FetchRow(request), &fetch);
            desk.wait(ticket, Awaited::Fetched(request));
            resume(desk, request);
        }
        Err(error) => desk.reply(ticket, Err(error)),
    }
}

fn prepare(desk: &Desk, ticket: Ticket, request: FetchRequest) -> Result<Fetch, GatewayError> {
    let federation = request.federation;
    let served = desk.served(federation)?;
    let bytes = request.offer.len() + request.note.as_ref().map_or(0, String::len);
    if bytes > MAX_OFFER_BYTES {
        return Err(GatewayError::OfferText(bytes));
    }
    desk.may_begin(&served).map_err(GatewayError::NotNow)?;
    desk.sound_height(federation)
        .map_err(GatewayError::NotNow)?;
    if desk.rows.scan::<FetchRow>().len() >= limits::MAX_FETCHES {
        return Err(GatewayError::Busy("invoices being fetched"));
    }
    let amount_msat = request.amount_msat;
    let amount = Amount::from_msat(amount_msat).ok();
    let fee = amount.and_then(|amount| served.settings.send_fees.fee(amount));
    let kept = amount.and_then(|amount| served.settings.send_margin.fee(amount));
    let max_fee = fee.zip(kept).and_then(|(fee, kept)| fee.checked_sub(kept));
    let max_fee = max_fee.filter(|_| amount_msat > 0);
    let max_fee_msat = max_fee.ok_or(GatewayError::Amount(amount_msat))?.msat();
    let id = Tagged::new("guildmint/gateway/fetch")
        .add(desk.random)
        .add(desk.now.0.to_le_bytes())
        .add(ticket.0.to_le_bytes())
        .finish();
    Ok(Fetch {
        federation,
        order: FetchOrder {
            request: RequestId(id),
            offer: request.offer,
            amount_msat: Some(amount_msat),
            note: request.note,
            max_fee_msat,
            max_total_cltv_delta: limits::FETCHED_CLTV_BLOCKS,
        },
        since: desk.now,
        found: None,
    })
}

/// Fetches, or waits on; or forgets what nobody wanted in time.
pub(crate) fn resume(desk: &mut Desk, request: RequestId) {
    let Some(fetch) = desk.fetch(request) else {
        return;
    };
    let until = fetch.since.after_ms(limits::FETCH_HOLD_MS);
    if desk.now >= until {
        return forget(desk, request, "nobody answered in time");
    }
    desk.wake(Concern::Fetch(request), until);
    if fetch.found.is_none() {
        desk.call(Call::Command(node::Command::Fetch(fetch.order)));
    }
}

fn forget(desk: &mut Desk, request: RequestId, why: &str) {
    desk.rows.remove(&FetchRow(request));
    abandon(desk, request);
    let error = GatewayError::Fetch(why.to_owned());
    desk.answer(Awaited::Fetched(request), &Err(error));
}

pub(crate) fn abandon(desk: &mut Desk, request: RequestId) {
    desk.call(Call::Command(node::Command::Abandon { request }));
}

/// An invoice came.
pub(crate) fn found(
    desk: &mut Desk,
    request: RequestId,
    hash: node::PaymentHash,
    amount_msat: u64,
    invoice: Vec<u8>,
) {
    let Some(mut fetch) = desk.fetch(request) else {
        // One that was forgotten, unless it is being paid.
        return;
    };
    let expected = fetch.order.amount_msat;
    let amount = Amount::from_msat(amount_msat).ok();
    let Some(amount) = amount.filter(|_| expected == Some(amount_msat)) else {
        return forget(desk, request, "the invoice asks for another amount");
    };
    let invoice_hash = hash_of(&invoice);
    let found = Found {
        hash: hash.into(),
        amount,
        invoice_hash,
    };
    // The node tells once more what was told before.
    if fetch.found.is_none() {
        fetch.found = Some(found);
        desk.rows.put(&FetchRow(request), &fetch);
    }
    let served = desk.served(fetch.federation).ok();
    let fee = served.and_then(|served| served.settings.send_fees.fee(amount));
    let contract_amount = fee.and_then(|fee| amount.checked_add(fee));
    let reply = Reply::Fetched(Fetched {
        request,
        federation: fetch.federation,
        hash: found.hash,
        amount,
        contract_amount: contract_amount.unwrap_or(Amount::MAX),
        invoice,
        invoice_hash,
    });
    desk.answer(Awaited::Fetched(request), &Ok(reply));
}

/// None comes.
pub(crate) fn failed(desk: &mut Desk, request: RequestId, reason: FetchFailure) {
    let why = match reason {
        FetchFailure::Timeout => "nobody answered in time",
        FetchFailure::Refused => "the issuer refuses",
        FetchFailure::Unusable => "what came cannot be paid",
    };
    give_up(desk, request, why);
}

/// The node does not even ask.
pub(crate) fn refused(desk: &mut Desk, request: RequestId, refusal: &Refusal) {
    give_up(desk, request, &refusal.to_string());
}

fn give_up(desk: &mut Desk, request: RequestId, why: &str) {
    // What was found is kept, whatever comes after.
    if desk
        .fetch(request)
        .is_some_and(|fetch| fetch.found.is_none())
    {
        forget(desk, request, why);
    }
}

/// Whether, for this contract, an invoice that was fetched can be paid. It then is the contract's, and no longer a request.
pub(super) fn plan(
    desk: &mut Desk,
    key: ContractKey,
    contract: &OutgoingContract,
    holds: Amount,
    request: RequestId,
) -> Result<Way, GivenUp> {
    let gone = || GivenUp::Invoice("it is no longer kept; fetch another".to_owned());
    let fetch = desk.fetch(request).ok_or_else(gone)?;
    let found = fetch.found.ok_or_else(gone)?;
    if found.hash != contract.hash || fetch.federation != key.federation {
        return Err(GivenUp::OtherHash);
    }
    if pay::is_taken(desk, found.hash) {
        return Err(GivenUp::HashUsed);
    }
    if desk.incoming(found.hash).is_some() {
        return Err(GivenUp::OwnInvoice);
    }
    let delta = pay::cltv_delta(desk, key, contract.timelock)?;
    if delta < fetch.order.max_total_cltv_delta {
        return Err(GivenUp::TooShort(delta));
    }
    let served = desk.served(key.federation);
    let served = served.map_err(|error| GivenUp::NotNow(error.to_string()))?;
    let (amount, max_fee_msat) = (found.amount, fetch.order.max_fee_msat);
    if pay::fee_limit(&served, holds, amount)? < max_fee_msat {
        let fee = Amount::from_msat(max_fee_msat).ok();
        let needs = fee.and_then(|fee| amount.checked_add(fee));
        let needs = needs.unwrap_or(Amount::MAX);
        return Err(GivenUp::TooLittle { holds, needs });
    }
    let pays = Amount::from_msat(amount.msat().saturating_add(max_fee_msat));
    let pays = pays.unwrap_or(Amount::MAX);
    desk.may_pay(key.federation, &served, holds, pays)
        .map_err(GivenUp::NotNow)?;
    desk.rows.remove(&FetchRow(request));
    Ok(Way::Fetched {
        request,
        amount_msat: amount.msat(),
        max_fee_msat,
    })
}

/// Every request goes on.
pub(crate) fn start(desk: &mut Desk) {
    for (FetchRow(request), _) in desk.rows.scan() {
        resume(desk, request);
    }
}
