//! What the node says about HTLCs that came.

use guildmint_core::Amount;
use guildmint_ln::PaymentHash;

use super::{begin, checks, resume, step, Happening, Htlcs, Incoming, Payer, State};
use crate::{
    call::Call,
    desk::{Concern, Desk},
    node::{self, Refusal},
    rows::StrayRow,
    warning::Warning,
};

/// Whether an event can be judged: HTLCs that wait can not, before anything is known of where they are to be paid out.
pub(crate) fn may_handle(desk: &Desk, event: &node::Event) -> bool {
    let node::Event::Held { hash, .. } = event else {
        return true;
    };
    let incoming = desk.incoming((*hash).into());
    incoming.is_none_or(|incoming| desk.is_ready(incoming.federation))
}

/// All parts of a payment wait at the node.
pub(crate) fn held(desk: &mut Desk, hash: node::PaymentHash, amount_msat: u64, deadline: u32) {
    let hash = hash.into();
    let incoming = desk.incoming(hash);
    let expected = incoming
        .as_ref()
        .is_some_and(|incoming| match &incoming.state {
            State::Open { .. } => true,
            // Told again.
            state => matches!(state, State::Returning { .. }) || is_on_lightning(incoming),
        });
    let Some(incoming) = incoming.filter(|_| expected) else {
        // Nobody waits for them, or somebody has been paid already.
        if !desk.rows.contains(&StrayRow(hash)) {
            desk.rows.put(&StrayRow(hash), &false);
        }
        return return_stray(desk, hash);
    };
    if !incoming.is_open() {
        return;
    }
    let amount = Amount::from_msat(amount_msat).unwrap_or(Amount::MAX);
    let htlcs = Htlcs { amount, deadline };
    match checks::fund(desk, &incoming, htlcs) {
        Ok(valid_until) => {
            let payer = Payer::Lightning(htlcs);
            begin(desk, hash, incoming, State::Funding { payer, valid_until });
        }
        Err(reason) => {
            let state = State::Returning { reason };
            desk.put_incoming(hash, &Incoming { state, ..incoming });
            resume(desk, hash);
        }
    }
}

fn is_on_lightning(incoming: &Incoming) -> bool {
    matches!(incoming.payer(), Some(Payer::Lightning(_)))
}

/// The node has claimed HTLCs.
pub(crate) fn claimed(desk: &mut Desk, hash: node::PaymentHash) {
    step(desk, hash.into(), Happening::Claimed);
}

/// HTLCs have gone back, because we said so, or by themselves.
pub(crate) fn returned(desk: &mut Desk, hash: node::PaymentHash) {
    let hash = hash.into();
    stray_is_back(desk, hash);
    match desk.incoming(hash).map(|incoming| incoming.state) {
        Some(State::Returning { .. }) => step(desk, hash, Happening::Gone),
        // ⚠ What is claimed in time is claimed, whatever an event says that may be of before. The node's answer to the claim decides.
        Some(State::Claiming { .. }) => resume(desk, hash),
        Some(State::Funding { payer, .. } | State::Opening { payer, .. })
            if matches!(payer, Payer::Lightning(_)) =>
        {
            desk.warn_once(hash, "gone", Warning::HtlcsGone(hash));
        }
        _ => {}
    }
}

/// The node does not claim HTLCs, or does not give them back.
pub(crate) fn not_settled(
    desk: &mut Desk,
    hash: node::PaymentHash,
    claiming: bool,
    refusal: &Refusal,
) {
    let hash = hash.into();
    let gone = matches!(refusal, Refusal::NothingHeld(_) | Refusal::Settled(..));
    if !gone {
        let stray = desk.rows.get(&StrayRow(hash)) == Some(false);
        return desk.retry(match stray && !claiming {
            true => Concern::Stray(hash),
            false => Concern::Incoming(hash),
        });
    }
    stray_is_back(desk, hash);
    let state = desk.incoming(hash).map(|incoming| incoming.state);
    let concerns = match state {
        Some(State::Claiming { .. }) => claiming,
        Some(State::Returning { .. }) => !claiming,
        _ => false,
    };
    if concerns {
        step(desk, hash, Happening::Gone);
    }
}

/// Gives back HTLCs that nobody waits for.
pub(crate) fn return_stray(desk: &mut Desk, hash: PaymentHash) {
    if desk.rows.get(&StrayRow(hash)) == Some(false) {
        let hash = hash.into();
        desk.call(Call::Command(node::Command::Fail { hash }));
    }
}

fn stray_is_back(desk: &mut Desk, hash: PaymentHash) {
    let row = StrayRow(hash);
    if desk.rows.get(&row) == Some(false) {
        desk.rows.put(&row, &true);
    }
}
