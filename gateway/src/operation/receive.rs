//! A payment for a user's offer: an invoice on its hash, HTLCs that wait, the offer's contract funded with our e-cash, its preimage read with
//! the guardians' shares, and the HTLCs claimed. Or, in place of HTLCs, another user's contract (SPEC GW-4).
//!
//! ```text
//! Making ──► Open ──► Funding ──► Opening ──► Claiming ──► Ended
//!              │         │           └─► Refunding ──┤ (the payee claimed)
//!              └─────────┴─► Returning ◄─────┘       └──► Ended
//! ```
//! ⚠ Each hash has one payer, ever: whoever comes first. HTLCs that come on top go back, and other contracts are given up.
//!
//! ⚠ HTLCs go back only from where no contract can be claimed: before there is one, when it can never be funded any more, or when our e-cash
//! is back. In between they wait, whatever happens, for either of those or the preimage.

mod checks;
mod htlcs;
mod state;
mod watch;

pub(crate) use htlcs::{claimed, held, may_handle, not_settled, return_stray, returned};
pub(crate) use state::{End, Happening, Htlcs, Incoming, Payer, State};
pub(crate) use watch::watch;

use guildmint_core::{Amount, FederationId};
use guildmint_ln::{client::Invoice, ContractId, InvoiceRequest, OfferId, PaymentHash, Preimage};

use super::{
    pay::{self, GivenUp},
    ContractKey, Kind,
};
use crate::{
    call::Call,
    desk::{Awaited, Concern, Desk},
    error::GatewayError,
    event::Ticket,
    federation::{Funding, Order},
    ledger, limits,
    node::{self, InvoiceOrder, Refusal},
    reply::Reply,
    rows::{IncomingRow, StrayRow},
    warning::Warning,
};

/// A user asks for an invoice.
pub(crate) fn ask(desk: &mut Desk, ticket: Ticket, request: &InvoiceRequest) {
    let hash = request.offer.offer.hash;
    if let Some(known) = desk.incoming(hash) {
        if known.federation == request.federation && known.offer == request.offer {
            return match known.state {
                State::Making { .. } => desk.wait(ticket, Awaited::Invoice(hash)),
                State::Open { invoice } => desk.reply(ticket, Ok(Reply::Invoice(invoice))),
                _ => desk.reply(ticket, Err(GatewayError::HashUsed(hash))),
            };
        }
    }
    match checks::register(desk, request) {
        Ok(incoming) => {
            desk.put_incoming(hash, &incoming);
            desk.wait(ticket, Awaited::Invoice(hash));
            resume(desk, hash);
        }
        Err(error) => desk.reply(ticket, Err(error)),
    }
}

/// The node made an invoice, or not.
pub(crate) fn made(desk: &mut Desk, hash: node::PaymentHash, result: Result<String, Refusal>) {
    let hash = hash.into();
    let Some(incoming) = desk.incoming(hash) else {
        return;
    };
    if !matches!(incoming.state, State::Making { .. }) {
        return;
    }
    let checked = result.map_err(GatewayError::from).and_then(|invoice| {
        checks::invoice(desk, &incoming, &invoice)?;
        Ok(invoice)
    });
    let reply = match checked {
        Ok(invoice) => {
            let state = State::Open {
                invoice: invoice.clone(),
            };
            desk.put_incoming(hash, &Incoming { state, ..incoming });
            Ok(Reply::Invoice(invoice))
        }
        Err(error) => {
            desk.remove_incoming(hash, &incoming);
            Err(error)
        }
    };
    desk.answer(Awaited::Invoice(hash), &reply);
}

/// A contract of another user pays this one, if nothing has paid it yet. It is on its way from here on.
pub(crate) fn swap(
    desk: &mut Desk,
    invoice: &Invoice,
    payer: ContractKey,
    timelock: u32,
) -> Result<(), GivenUp> {
    let hash = invoice.hash;
    let incoming = desk.incoming(hash).ok_or(GivenUp::OwnInvoice)?;
    let (valid_until, incoming) = checks::swap(desk, incoming, invoice, payer, timelock)?;
    let state = State::Funding {
        payer: Payer::Contract(payer),
        valid_until,
    };
    begin(desk, hash, incoming, state);
    Ok(())
}

/// E-cash may leave from here on.
fn begin(desk: &mut Desk, hash: PaymentHash, incoming: Incoming, state: State) {
    desk.spend(incoming.federation, incoming.offer.offer.amount);
    let spent = Some(desk.now);
    let incoming = Incoming {
        state,
        spent,
        ..incoming
    };
    desk.put_incoming(hash, &incoming);
    resume(desk, hash);
}

/// Does all that is to be done in a state, also if some of it has been.
pub(crate) fn resume(desk: &mut Desk, hash: PaymentHash) {
    let Some(incoming) = desk.incoming(hash) else {
        return;
    };
    let Incoming {
        federation,
        offer,
        expires,
        ..
    } = incoming;
    let end = expires.after_ms(limits::INVOICE_SLACK_MS);
    if incoming.is_open() {
        if desk.now >= end {
            return desk.remove_incoming(hash, &incoming);
        }
        desk.wake(Concern::Incoming(hash), end);
    }
    match incoming.state {
        State::Making { description } => desk.call(Call::MakeInvoice(InvoiceOrder {
            hash: hash.into(),
            amount_msat: incoming.asks.msat(),
            description,
            expiry_s: u32::try_from(expires.since_ms(desk.now) / 1000).unwrap_or(u32::MAX),
            min_final_cltv_delta: limits::MIN_FINAL_CLTV_DELTA,
        })),
        State::Funding { valid_until, .. } => {
            let id = offer.offer.id(federation);
            let refund_key = desk.keys.refund(federation, id).x_only_public_key().0;
            let funding = Funding {
                offer,
                amount: offer.offer.amount,
                refund_key,
                valid_until,
            };
            desk.order(federation, Order::Fund(funding));
        }
        State::Opening { contract, .. } => desk.order(federation, Order::Open { contract, offer }),
        State::Refunding { contract, .. } => {
            desk.order(federation, Order::Refund { contract, offer });
        }
        State::Claiming { preimage, .. } => desk.call(Call::Command(node::Command::Claim {
            preimage: preimage.into(),
        })),
        State::Returning { .. } => {
            let hash = hash.into();
            desk.call(Call::Command(node::Command::Fail { hash }));
        }
        State::Open { .. } | State::Ended(_) => {}
    }
}

/// Something has happened to a payment.
pub(crate) fn step(desk: &mut Desk, hash: PaymentHash, happening: Happening) {
    let Some(before) = desk.incoming(hash) else {
        return;
    };
    if let Happening::Opened(Some(preimage)) = &happening {
        if preimage.hash() != hash {
            let what = "guardians gave another preimage for it".to_owned();
            return desk.warn(Warning::Contradiction(hash, what));
        }
    }
    let is_back = matches!(
        happening,
        Happening::NotFunded { .. } | Happening::Refunded { .. }
    );
    let refund_fee = match happening {
        Happening::Refunded { fee } => Some(fee),
        _ => None,
    };
    let preimage = match happening {
        Happening::Opened(preimage) => preimage,
        _ => None,
    };
    let Some(state) = before.step(happening) else {
        return;
    };
    let after = Incoming {
        state,
        ..before.clone()
    };
    desk.put_incoming(hash, &after);
    if let Some(spent) = before.spent.filter(|_| is_back) {
        desk.unspend(before.federation, before.offer.offer.amount, spent);
    }
    book(desk, hash, &before, &after, refund_fee);
    tell_payer(desk, &before, &after, preimage);
    resume(desk, hash);
}

/// What has moved money goes into the ledger. A swap's is in that of the contract which pays it, unless it came to nothing.
fn book(
    desk: &mut Desk,
    hash: PaymentHash,
    before: &Incoming,
    after: &Incoming,
    refund_fee: Option<Amount>,
) {
    let (kind, sums) = match (&before.state, &after.state, refund_fee) {
        (State::Claiming { htlcs, cost, .. }, State::Ended(end), _) => {
            let income = match end {
                End::Paid => htlcs.amount,
                _ => Amount::ZERO,
            };
            (Kind::Receive, (income, *cost))
        }
        (State::Refunding { payer, cost, .. }, _, Some(fee)) => {
            let back = before.offer.offer.amount.checked_sub(fee);
            let kind = match payer {
                Payer::Lightning(_) => Kind::Receive,
                Payer::Contract(_) => Kind::Swap,
            };
            (kind, (back.unwrap_or(Amount::ZERO), *cost))
        }
        _ => return,
    };
    ledger::book(desk, kind, hash, before.federation, sums);
}

/// The user whose contract was to pay is paid for, or gets it back.
fn tell_payer(desk: &mut Desk, before: &Incoming, after: &Incoming, preimage: Option<Preimage>) {
    let Some(Payer::Contract(payer)) = before.payer() else {
        return;
    };
    match (&before.state, &after.state, preimage) {
        (
            State::Opening { cost, .. } | State::Refunding { cost, .. },
            State::Ended(End::Swapped),
            Some(preimage),
        ) => pay::step(
            desk,
            payer,
            pay::Happening::Paid {
                preimage,
                cost: *cost,
            },
        ),
        (_, State::Ended(End::Returned), _) => {
            let reason = "its contract was not funded, or hides no preimage".to_owned();
            pay::step(desk, payer, pay::Happening::Failed(GivenUp::Swap(reason)));
        }
        _ => {}
    }
}

/// The payment whose contract this is, or which waits for one.
pub(crate) fn by_contract(
    desk: &Desk,
    federation: FederationId,
    contract: ContractId,
) -> Option<PaymentHash> {
    desk.contracts.get(&(federation, contract)).copied()
}

/// The payment of an offer.
pub(crate) fn by_offer(
    desk: &Desk,
    federation: FederationId,
    offer: OfferId,
) -> Option<PaymentHash> {
    desk.offers.get(&(federation, offer)).copied()
}

/// Every payment that has not ended goes on.
pub(crate) fn start(desk: &mut Desk) {
    for (IncomingRow(hash), incoming) in desk.rows.scan() {
        if !matches!(incoming.state, State::Ended(_)) {
            resume(desk, hash);
        }
    }
    for (StrayRow(hash), _) in desk.rows.scan() {
        return_stray(desk, hash);
    }
}
