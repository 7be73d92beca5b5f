//! What is checked before an invoice is made, and before a contract is funded.

use guildmint_ln::{client::Invoice, limits as ln_limits, InvoiceHash, InvoiceRequest};

use super::{Htlcs, Incoming, State};
use crate::{
    desk::Desk,
    error::GatewayError,
    limits::{
        FUNDING_BLOCKS, INVOICE_SLACK_MS, MAX_INVOICES, MAX_INVOICE_EXPIRY_S, MIN_FUND_BLOCKS,
        OPEN_BLOCKS, SWAP_BLOCKS,
    },
    operation::{
        pay::{self, GivenUp},
        ContractKey,
    },
    rows::StrayRow,
};

/// Whether an invoice may be made for an offer.
pub(super) fn register(desk: &Desk, request: &InvoiceRequest) -> Result<Incoming, GatewayError> {
    let federation = request.federation;
    let (served, offer) = (desk.served(federation)?, request.offer.offer);
    let description = &request.description;
    if description.len() > ln_limits::MAX_DESCRIPTION_BYTES {
        return Err(GatewayError::Description(description.len()));
    }
    request
        .offer
        .verify(federation)
        .map_err(|_| GatewayError::Offer)?;
    // ⚠ Two offers on one hash would be one payment with two payees; an offer on a hash that is paid somewhere else, a trap.
    let had_htlcs = desk.rows.contains(&StrayRow(offer.hash));
    if had_htlcs || desk.incoming(offer.hash).is_some() || pay::is_taken(desk, offer.hash) {
        return Err(GatewayError::HashUsed(offer.hash));
    }
    desk.may_begin(&served).map_err(GatewayError::NotNow)?;
    let height = desk
        .sound_height(federation)
        .map_err(GatewayError::NotNow)?;
    if offer.expires_at < height.saturating_add(FUNDING_BLOCKS) {
        let expires_at = offer.expires_at;
        return Err(GatewayError::OfferExpires { expires_at, height });
    }
    let fee = served.settings.receive_fees.fee(offer.amount);
    let asks = fee.and_then(|fee| offer.amount.checked_add(fee));
    let asks = asks
        .filter(|_| offer.amount.msat() > 0)
        .ok_or(GatewayError::Amount(offer.amount.msat()))?;
    if desk.invoices.get(&federation).copied().unwrap_or(0) >= MAX_INVOICES {
        return Err(GatewayError::Busy("open invoices"));
    }
    let expiry_s = request.expiry_seconds.clamp(1, MAX_INVOICE_EXPIRY_S);
    Ok(Incoming {
        federation,
        offer: request.offer,
        asks,
        expires: desk.now.after_ms(u64::from(expiry_s) * 1000),
        spent: None,
        state: State::Making {
            description: description.clone(),
        },
    })
}

/// Whether an invoice that the node made is what was asked for. ⚠ In the federation's own money: a node on another network would be paid in
/// coins that are worth something else, or nothing.
pub(super) fn invoice(desk: &Desk, incoming: &Incoming, text: &str) -> Result<(), GatewayError> {
    let network = desk.served(incoming.federation)?.network;
    let refuse = |reason: String| {
        GatewayError::NotNow(format!("its node's invoices do not serve: {reason}"))
    };
    let invoice = Invoice::read(text, network).map_err(|error| refuse(error.to_string()))?;
    let is_it = invoice.hash == incoming.offer.offer.hash && invoice.amount == incoming.asks;
    match is_it {
        true => Ok(()),
        false => Err(refuse("it is for something else".to_owned())),
    }
}

/// Whether the contract of an offer may be funded against HTLCs, and until when. ⚠ Deadlines come first (SPEC GW-2).
pub(super) fn fund(desk: &Desk, incoming: &Incoming, htlcs: Htlcs) -> Result<u32, String> {
    let (federation, offer) = (incoming.federation, incoming.offer.offer);
    let height = desk.sound_height(federation)?;
    if htlcs.deadline < height.saturating_add(MIN_FUND_BLOCKS) {
        return Err(format!(
            "they go back at height {}, and the chain is at {height}",
            htlcs.deadline
        ));
    }
    let last = htlcs.deadline.saturating_sub(OPEN_BLOCKS);
    let valid_until = valid_until(height, offer.expires_at.min(last))?;
    if htlcs.amount < incoming.asks {
        return Err("they are worth less than was asked for".to_owned());
    }
    // Nodes take payments for up to two hours longer, because of how the times of blocks may lie.
    if desk.now >= incoming.expires.after_ms(INVOICE_SLACK_MS) {
        return Err("the invoice has expired".to_owned());
    }
    let served = desk.served(federation).map_err(|error| error.to_string())?;
    desk.may_fund(federation, &served, offer.amount)?;
    Ok(valid_until)
}

/// The last height at which a contract may be funded: soon, by the agreed clock.
fn valid_until(height: u32, last: u32) -> Result<u32, String> {
    match last < height {
        true => Err("the offer can no longer be funded".to_owned()),
        false => Ok(height.saturating_add(FUNDING_BLOCKS).min(last)),
    }
}

/// Whether a contract may pay another, and until when the other may be funded.
pub(super) fn swap(
    desk: &Desk,
    incoming: Incoming,
    invoice: &Invoice,
    payer: ContractKey,
    timelock: u32,
) -> Result<(u32, Incoming), GivenUp> {
    let is_it = match &incoming.state {
        State::Open { invoice: ours } => InvoiceHash::new(ours) == invoice.id,
        _ => false,
    };
    if !is_it || desk.now >= incoming.expires {
        return Err(GivenUp::OwnInvoice);
    }
    let federation = incoming.federation;
    let height = desk.sound_height(federation).map_err(GivenUp::NotNow)?;
    let paid_at = desk
        .sound_height(payer.federation)
        .map_err(GivenUp::NotNow)?;
    let last = timelock.saturating_sub(SWAP_BLOCKS);
    if last < paid_at.saturating_add(FUNDING_BLOCKS) {
        return Err(GivenUp::TooShort(last.saturating_sub(paid_at)));
    }
    let offer = incoming.offer.offer;
    let valid_until = valid_until(height, offer.expires_at.min(last)).map_err(GivenUp::NotNow)?;
    let served = desk
        .served(federation)
        .map_err(|error| GivenUp::NotNow(error.to_string()))?;
    desk.may_fund(federation, &served, offer.amount)
        .map_err(GivenUp::NotNow)?;
    Ok((valid_until, incoming))
}
