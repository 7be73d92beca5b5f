//! What is checked before a contract is taken on, in the order of how little it takes.

use guildmint_core::Amount;
use guildmint_ln::{client::Invoice, InvoiceHash, OutgoingContract};

use super::{is_taken, GivenUp, Way};
use crate::{
    desk::Desk,
    limits::{RETRY_BLOCKS, SETTLE_BLOCKS, WAY_BLOCKS},
    node::PaymentOrder,
    operation::{fetch, receive, ContractKey},
    rows::Served,
};

/// What an invoice is called in a contract. A fetched one is named by its request.
pub(super) fn invoice_hash(desk: &Desk, invoice: &str) -> Option<InvoiceHash> {
    match fetch::named(invoice) {
        Some(request) => fetch::invoice_hash(desk, request),
        None => Some(InvoiceHash::new(invoice)),
    }
}

/// How a contract's invoice is to be paid. If it is to be swapped, the payee's contract is on its way from here on.
pub(super) fn plan(
    desk: &mut Desk,
    key: ContractKey,
    contract: &OutgoingContract,
    amount: Amount,
    text: &str,
) -> Result<Way, GivenUp> {
    let not_now = GivenUp::NotNow;
    let served = desk
        .served(key.federation)
        .map_err(|error| not_now(error.to_string()))?;
    if let Some(request) = fetch::named(text) {
        return fetch::plan(desk, key, contract, amount, request);
    }
    let invoice =
        Invoice::read(text, served.network).map_err(|error| GivenUp::Invoice(error.to_string()))?;
    if invoice.hash != contract.hash {
        return Err(GivenUp::OtherHash);
    }
    // ⚠ Two contracts with one hash, also in two federations, are one payment: only one of them is paid for it.
    if is_taken(desk, contract.hash) {
        return Err(GivenUp::HashUsed);
    }
    if invoice.is_open(desk.now.0 / 1000).is_err() {
        return Err(GivenUp::Expired);
    }
    let is_own = desk
        .node_id()
        .is_some_and(|id| id.0 == invoice.payee.serialize());
    // A hash that somebody of ours waits for is never paid by Lightning: it would be paid to ourselves, or to a thief of the hash.
    if is_own || desk.incoming(contract.hash).is_some() {
        return swap(desk, key, contract, amount, &invoice, &served);
    }
    if desk.node.as_ref().is_some_and(|node| node.swap_only) {
        return Err(GivenUp::SwapOnly);
    }
    let delta = cltv_delta(desk, key, contract.timelock)?;
    if u64::from(delta)
        < invoice
            .min_final_cltv_expiry_delta
            .saturating_add(WAY_BLOCKS.into())
    {
        return Err(GivenUp::TooShort(delta));
    }
    let max_fee_msat = fee_limit(&served, amount, invoice.amount)?;
    let pays_msat = invoice.amount.msat().saturating_add(max_fee_msat);
    let pays = Amount::from_msat(pays_msat).unwrap_or(Amount::MAX);
    desk.may_pay(key.federation, &served, amount, pays)
        .map_err(not_now)?;
    Ok(Way::Invoice(PaymentOrder {
        hash: contract.hash.into(),
        amount_msat: invoice.amount.msat(),
        invoice: invoice.text,
        max_fee_msat,
        max_total_cltv_delta: delta,
    }))
}

/// For how many blocks from now the first HTLC may be locked, so that whatever becomes of it is known in time.
pub(in crate::operation) fn cltv_delta(
    desk: &Desk,
    key: ContractKey,
    timelock: u32,
) -> Result<u32, GivenUp> {
    let height = desk.sound_height(key.federation).map_err(GivenUp::NotNow)?;
    Ok(timelock
        .saturating_sub(height)
        .saturating_sub(SETTLE_BLOCKS + RETRY_BLOCKS))
}

/// What the way to the payee may cost: all that is in the contract beyond the amount and what is kept in any case.
pub(in crate::operation) fn fee_limit(
    served: &Served,
    holds: Amount,
    invoice: Amount,
) -> Result<u64, GivenUp> {
    let settings = &served.settings;
    let too_little = |fee: Option<Amount>| {
        let needs = fee.and_then(|fee| invoice.checked_add(fee));
        let needs = needs.unwrap_or(Amount::MAX);
        GivenUp::TooLittle { holds, needs }
    };
    let charged = settings.send_fees.fee(invoice);
    let rest = charged
        .and_then(|fee| invoice.checked_add(fee))
        .and_then(|needs| holds.checked_sub(needs).map(|_| ()))
        .and_then(|()| holds.checked_sub(invoice))
        .ok_or_else(|| too_little(charged))?;
    let kept = settings.send_margin.fee(invoice).unwrap_or(Amount::MAX);
    let limit = rest.checked_sub(kept);
    Ok(limit.ok_or_else(|| too_little(Some(kept)))?.msat())
}

/// One user pays another (SPEC GW-4): nothing goes over Lightning, and nothing is charged for it.
fn swap(
    desk: &mut Desk,
    key: ContractKey,
    contract: &OutgoingContract,
    amount: Amount,
    invoice: &Invoice,
    served: &Served,
) -> Result<Way, GivenUp> {
    if amount < invoice.amount {
        let (holds, needs) = (amount, invoice.amount);
        return Err(GivenUp::TooLittle { holds, needs });
    }
    desk.may_pay(key.federation, served, amount, Amount::ZERO)
        .map_err(GivenUp::NotNow)?;
    receive::swap(desk, invoice, key, contract.timelock)?;
    Ok(Way::Swap)
}
