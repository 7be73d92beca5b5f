//! What the node says about payments that it was asked for.

use guildmint_core::Amount;

use super::{step, GivenUp, Happening, Outgoing, State, Way};
use crate::{
    desk::{Concern, Desk},
    node::{PaymentFailure, PaymentHash, Preimage, Refusal, SentState},
    operation::ContractKey,
    rows::IntentRow,
};

/// The contract for which an invoice on this hash is paid by Lightning.
fn payer(desk: &Desk, hash: PaymentHash) -> Option<ContractKey> {
    desk.rows.get(&IntentRow(hash.into()))
}

/// The node says that a payment has arrived.
pub(crate) fn succeeded(desk: &mut Desk, hash: PaymentHash, preimage: &Preimage, fee_msat: u64) {
    let Some(key) = payer(desk, hash) else {
        return;
    };
    let Some(Outgoing { state, .. }) = desk.outgoing(key) else {
        return;
    };
    let amount_msat = match state {
        State::Paying(Way::Invoice(order)) => order.amount_msat,
        State::Paying(Way::Fetched { amount_msat, .. }) => amount_msat,
        State::Paying(Way::Swap) => return,
        _ => 0,
    };
    let cost = Amount::from_msat(amount_msat.saturating_add(fee_msat));
    let cost = cost.unwrap_or(Amount::MAX);
    let preimage = preimage.into();
    step(desk, key, Happening::Paid { preimage, cost });
}

/// The node says that a payment has failed, and that nothing of it is in flight.
pub(crate) fn failed(desk: &mut Desk, hash: PaymentHash, reason: PaymentFailure) {
    if let Some(key) = payer(desk, hash).filter(|key| is_on_lightning(desk, *key)) {
        step(desk, key, Happening::Failed(GivenUp::Failed(reason)));
    }
}

fn is_on_lightning(desk: &Desk, key: ContractKey) -> bool {
    let outgoing = desk.outgoing(key);
    outgoing.is_some_and(|one| matches!(&one.state, State::Paying(way) if *way != Way::Swap))
}

/// The node did not start a payment, or was asked what became of it.
pub(crate) fn sent(
    desk: &mut Desk,
    hash: PaymentHash,
    refusal: Option<Refusal>,
    known: Result<Option<SentState>, Refusal>,
) {
    let Some(key) = payer(desk, hash).filter(|key| is_on_lightning(desk, *key)) else {
        return;
    };
    match known {
        Ok(Some(SentState::InFlight)) => {}
        Ok(Some(SentState::Succeeded { preimage, fee_msat })) => {
            succeeded(desk, hash, &preimage, fee_msat);
        }
        Ok(Some(SentState::Failed(reason))) => failed(desk, hash, reason),
        Ok(None) => {
            let reason = match refusal {
                Some(refusal) => GivenUp::Refused(refusal.to_string()),
                None => GivenUp::Failed(PaymentFailure::NeverSent),
            };
            step(desk, key, Happening::Failed(reason));
        }
        // The node does not know, and so nobody does.
        Err(_) => desk.retry(Concern::Outgoing(key)),
    }
}
