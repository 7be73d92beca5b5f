//! A user's contract for an invoice: checked, paid once, and claimed; or given up.
//!
//! ```text
//! contract seen ──► Paying ──► Claiming ──► Claimed
//!        │             │           └──────► Lost
//!        └─────────────┴─► GivenUp
//! ```
//! ⚠ `Paying` is durable, and its hash taken for ever over all federations, before the node hears of it (SPEC GW-3). `GivenUp`, upon which
//! a forfeit is signed, is reached only from where nothing was ever sent, or from a failure of which nothing is in flight.

mod checks;
mod sent;
mod watch;

pub(super) use checks::{cltv_delta, fee_limit};
pub(crate) use sent::{failed, sent, succeeded};
pub(crate) use watch::watch;

use guildmint_core::Amount;
use guildmint_ln::{
    Closing, ContractAnswer, Forfeit, InvoiceHash, PayRequest, PaymentHash, Preimage, Terms,
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{fetch, ContractKey, Kind};
use crate::{
    call::Call,
    desk::{Awaited, Desk},
    error::GatewayError,
    event::{Millis, Ticket},
    federation::Order,
    ledger, limits,
    node::{self, PaymentFailure, PaymentOrder, RequestId},
    reply::Reply,
    rows::{IntentRow, OutgoingRow},
    warning::Warning,
};

/// A contract that was taken on, or given up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Outgoing {
    pub hash: PaymentHash,
    /// What is in the contract.
    pub amount: Amount,
    pub timelock: u32,
    /// The hash of what the user named the invoice by.
    pub asked: InvoiceHash,
    pub since: Millis,
    pub state: State,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum State {
    /// It may be that the invoice is being paid, or will be.
    Paying(Way),
    /// It is paid, and cost this much.
    Claiming {
        preimage: Preimage,
        cost: Amount,
        kind: Kind,
    },
    /// What was in the contract is ours.
    Claimed { preimage: Preimage },
    /// The user took it back, though the invoice is paid.
    Lost { preimage: Preimage },
    /// ⚠ Never paid, and never to be.
    GivenUp(GivenUp),
}

/// How an invoice is paid.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Way {
    Invoice(PaymentOrder),
    Fetched {
        request: RequestId,
        amount_msat: u64,
        max_fee_msat: u64,
    },
    /// By funding the contract of the user who made it.
    Swap,
}

/// Why a contract is given up.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
pub enum GivenUp {
    /// No invoice that can be paid.
    #[error("the invoice cannot be paid: {0}")]
    Invoice(String),
    /// ⚠ Its preimage would not open the contract.
    #[error("the invoice's hash is not the contract's")]
    OtherHash,
    /// Another contract with this hash was there first.
    #[error("an invoice on this hash is, or was, paid for another contract")]
    HashUsed,
    /// The amount and the fee are more than what is in the contract.
    #[error("the contract holds {holds} msat, and {needs} are needed")]
    TooLittle {
        /// What it holds.
        holds: Amount,
        /// The invoice's amount, and the fee.
        needs: Amount,
    },
    /// The invoice has expired.
    #[error("the invoice has expired")]
    Expired,
    /// The contract's time limit is too near.
    #[error("the contract leaves {0} blocks for the payment, which is too little")]
    TooShort(u32),
    /// It is an invoice of our node that nobody of ours waits for.
    #[error("the invoice is this gateway's, and nobody can be paid on it any more")]
    OwnInvoice,
    /// Nothing new is begun, or a limit is hit.
    #[error("not now: {0}")]
    NotNow(String),
    /// The node refused, before anything was sent.
    #[error("{0}")]
    Refused(String),
    /// It was tried.
    #[error("the payment failed: {0:?}")]
    Failed(PaymentFailure),
    /// The payee's contract could not be funded, or had no preimage.
    #[error("the payee could not be paid: {0}")]
    Swap(String),
    /// There is no node, and the invoice is somebody else's.
    #[error("this gateway has no Lightning node and pays nobody but its own users; take another")]
    SwapOnly,
}

/// Something that concerns a contract.
#[derive(Debug, Clone)]
pub(crate) enum Happening {
    /// The payment has arrived, and cost this much, its amount included.
    Paid {
        preimage: Preimage,
        cost: Amount,
    },
    /// ⚠ Nothing of it is in flight, and nothing will be.
    Failed(GivenUp),
    Claimed {
        fee: Amount,
    },
    NotClaimed(Closing),
}

impl Outgoing {
    pub(crate) fn has_ended(&self) -> bool {
        !matches!(self.state, State::Paying(_) | State::Claiming { .. })
    }

    pub(crate) fn claimable_msat(&self) -> u64 {
        match self.state {
            State::Claiming { .. } => self.amount.msat(),
            _ => 0,
        }
    }

    /// Where it stands, what it is, and why it was given up, if it was.
    pub(crate) fn describe(&self) -> (&'static str, Kind, Option<String>) {
        match &self.state {
            State::Paying(Way::Swap) => ("swapping", Kind::Swap, None),
            State::Paying(_) => ("paying", Kind::Pay, None),
            State::Claiming { kind, .. } => ("claiming", *kind, None),
            State::Claimed { .. } => ("claimed", Kind::Pay, None),
            State::Lost { .. } => ("lost", Kind::Pay, None),
            State::GivenUp(reason) => ("given_up", Kind::Pay, Some(reason.to_string())),
        }
    }

    /// The next state. What has been said before, and what comes too late to matter, changes nothing.
    fn step(&self, happening: Happening) -> Option<State> {
        match (&self.state, happening) {
            (State::Paying(way), Happening::Paid { preimage, cost }) => {
                let kind = match way {
                    Way::Swap => Kind::Swap,
                    Way::Invoice(_) | Way::Fetched { .. } => Kind::Pay,
                };
                Some(State::Claiming {
                    preimage,
                    cost,
                    kind,
                })
            }
            (State::Paying(_), Happening::Failed(reason)) => Some(State::GivenUp(reason)),
            (State::Claiming { preimage, .. }, Happening::Claimed { .. }) => Some(State::Claimed {
                preimage: *preimage,
            }),
            (State::Claiming { preimage, .. }, Happening::NotClaimed(closing)) => {
                let preimage = *preimage;
                Some(match closing {
                    // Only our key can: it was us.
                    Closing::Claimed { .. } => State::Claimed { preimage },
                    _ => State::Lost { preimage },
                })
            }
            _ => None,
        }
    }
}

/// A user asks for an invoice to be paid, for the first time or again.
pub(crate) fn ask(desk: &mut Desk, ticket: Ticket, request: PayRequest) {
    let key = ContractKey::from((request.federation, request.contract));
    if let Some(outgoing) = desk.outgoing(key) {
        return join(desk, key, &outgoing, ticket, &request.invoice);
    }
    if let Err(error) = desk.served(request.federation) {
        return desk.reply(ticket, Err(error));
    }
    // ⚠ Of this federation alone: one that does not answer must not stop the others.
    let (first, last) = ([0; 32].into(), [0xff; 32].into());
    let all = ContractKey::from((key.federation, first))..=(key.federation, last).into();
    let looks = desk.looks.range(all).count();
    let Some(asking) = desk.looks.get_mut(&key) else {
        if looks >= limits::MAX_LOOKS {
            return desk.reply(ticket, Err(GatewayError::Busy("contracts to look at")));
        }
        desk.looks.insert(key, vec![(ticket, request.invoice)]);
        let contract = key.contract;
        return desk.order(key.federation, Order::Look { contract });
    };
    match asking.len() < limits::MAX_WAITERS {
        true => asking.push((ticket, request.invoice)),
        false => desk.reply(ticket, Err(GatewayError::Busy("requests for one contract"))),
    }
}

/// ⚠ Only who names the invoice is told its preimage.
fn join(desk: &mut Desk, key: ContractKey, outgoing: &Outgoing, ticket: Ticket, invoice: &str) {
    if outgoing.asked != InvoiceHash::new(invoice) {
        return desk.reply(ticket, Err(GatewayError::OtherInvoice(key.contract)));
    }
    match reply(desk, key, outgoing) {
        Some(reply) => desk.reply(ticket, Ok(reply)),
        None => desk.wait(ticket, Awaited::Payment(key)),
    }
}

/// What a federation says about a contract.
pub(crate) fn looked(desk: &mut Desk, key: ContractKey, answer: &ContractAnswer) {
    for (ticket, invoice) in desk.looks.remove(&key).unwrap_or_default() {
        let begun = match desk.outgoing(key) {
            Some(outgoing) => Ok(outgoing),
            None => begin(desk, key, answer, &invoice).inspect(|outgoing| {
                desk.put_outgoing(key, outgoing);
                act(desk, key, outgoing);
            }),
        };
        match begun {
            Ok(outgoing) => join(desk, key, &outgoing, ticket, &invoice),
            Err(error) => desk.reply(ticket, Err(error)),
        }
    }
}

/// ⚠ Errors here give nothing up: whoever asked may be a stranger, who attaches another invoice to somebody's contract.
fn begin(
    desk: &mut Desk,
    key: ContractKey,
    answer: &ContractAnswer,
    invoice: &str,
) -> Result<Outgoing, GatewayError> {
    let id = key.contract;
    if !desk.is_ready(key.federation) {
        return Err(GatewayError::NotNow("it is starting".to_owned()));
    }
    let account = answer.account.ok_or(GatewayError::NoContract(id))?;
    let Terms::Outgoing(contract) = account.terms else {
        return Err(GatewayError::NotOurs(id));
    };
    let ours = desk.keys.gateway(key.federation).x_only_public_key().0;
    if contract.gateway_key != ours {
        return Err(GatewayError::NotOurs(id));
    }
    if answer.closing.is_some() {
        return Err(GatewayError::Closed(id));
    }
    if checks::invoice_hash(desk, invoice) != Some(contract.invoice_hash) {
        return Err(GatewayError::OtherInvoice(id));
    }
    let amount = account.amount;
    let way = checks::plan(desk, key, &contract, amount, invoice);
    if let Ok(way) = &way {
        desk.rows.put(&IntentRow(contract.hash), &key);
        if let Some(spent) = way.spends() {
            desk.spend(key.federation, spent);
        }
    }
    Ok(Outgoing {
        hash: contract.hash,
        amount,
        timelock: contract.timelock,
        asked: InvoiceHash::new(invoice),
        since: desk.now,
        state: match way {
            Ok(way) => State::Paying(way),
            Err(reason) => State::GivenUp(reason),
        },
    })
}

impl Way {
    /// What may go out by Lightning at most.
    fn spends(&self) -> Option<Amount> {
        let sum = |amount_msat: u64, fee_msat| {
            let pays = Amount::from_msat(amount_msat.saturating_add(fee_msat));
            Some(pays.unwrap_or(Amount::MAX))
        };
        match self {
            Self::Invoice(order) => sum(order.amount_msat, order.max_fee_msat),
            Self::Fetched {
                amount_msat,
                max_fee_msat,
                ..
            } => sum(*amount_msat, *max_fee_msat),
            Self::Swap => None,
        }
    }

    /// The first and only time that the node is told.
    fn dispatch(&self, hash: PaymentHash) -> Option<Call> {
        let command = match self {
            Self::Invoice(order) => node::Command::Pay(order.clone()),
            Self::Fetched { request, .. } => node::Command::PayFetched {
                request: *request,
                hash: hash.into(),
            },
            Self::Swap => return None,
        };
        Some(Call::Command(command))
    }
}

/// Does what a new state is for.
fn act(desk: &mut Desk, key: ContractKey, outgoing: &Outgoing) {
    match &outgoing.state {
        State::Paying(way) => {
            if let Some(call) = way.dispatch(outgoing.hash) {
                desk.call(call);
            }
        }
        State::Claiming { preimage, .. } => {
            let (contract, preimage) = (key.contract, *preimage);
            desk.order(key.federation, Order::Claim { contract, preimage });
        }
        State::Claimed { .. } | State::Lost { .. } | State::GivenUp(_) => {}
    }
    if let Some(reply) = reply(desk, key, outgoing) {
        desk.answer(Awaited::Payment(key), &Ok(reply));
    }
}

/// Goes on after a restart, or a while after the node could not say anything.
///
/// ⚠ Does not pay again: what the node never sent is given up, since heights and prices are others now. The node is asked what it
/// knows, and says it by an event if that is still to come.
pub(crate) fn resume(desk: &mut Desk, key: ContractKey) {
    let Some(outgoing) = desk.outgoing(key) else {
        return;
    };
    match &outgoing.state {
        State::Paying(Way::Swap) => {}
        State::Paying(_) => desk.call(Call::Sent(outgoing.hash.into())),
        _ => act(desk, key, &outgoing),
    }
}

/// Something has happened to a contract.
pub(crate) fn step(desk: &mut Desk, key: ContractKey, happening: Happening) {
    let Some(before) = desk.outgoing(key) else {
        return;
    };
    let late = match &happening {
        Happening::Paid { .. } if matches!(before.state, State::GivenUp(_)) => {
            Some("arrived after it had failed")
        }
        Happening::Paid { preimage, .. } if preimage.hash() != before.hash => {
            return contradiction(desk, before.hash, "another preimage was given for it");
        }
        _ => None,
    };
    if let Some(what) = late {
        contradiction(desk, before.hash, what);
    }
    let fee = match happening {
        Happening::Claimed { fee } => fee,
        _ => Amount::ZERO,
    };
    let Some(state) = before.step(happening) else {
        return;
    };
    if let (State::Paying(Way::Fetched { request, .. }), State::GivenUp(_)) =
        (&before.state, &state)
    {
        fetch::abandon(desk, *request);
    }
    let outgoing = Outgoing {
        state,
        ..before.clone()
    };
    if let (State::Paying(way), State::GivenUp(_)) = (&before.state, &outgoing.state) {
        if let Some(spent) = way.spends() {
            desk.unspend(key.federation, spent, before.since);
        }
    }
    book(desk, key, &before, &outgoing, fee);
    desk.put_outgoing(key, &outgoing);
    act(desk, key, &outgoing);
}

fn contradiction(desk: &mut Desk, hash: PaymentHash, what: &str) {
    desk.warn(Warning::Contradiction(hash, what.to_owned()));
}

/// What has ended with a movement of money goes into the ledger.
fn book(desk: &mut Desk, key: ContractKey, before: &Outgoing, after: &Outgoing, fee: Amount) {
    let State::Claiming { cost, kind, .. } = before.state else {
        return;
    };
    let income = match after.state {
        State::Claimed { .. } => after.amount.checked_sub(fee).unwrap_or(Amount::ZERO),
        _ => Amount::ZERO,
    };
    // It leaves the list of what can be claimed before what there is is weighed.
    desk.paying.remove(&key);
    ledger::book(desk, kind, after.hash, key.federation, (income, cost));
}

/// What whoever asks is told. ⚠ A forfeit is signed here alone, of a state that is durable before the reply leaves.
fn reply(desk: &Desk, key: ContractKey, outgoing: &Outgoing) -> Option<Reply> {
    match &outgoing.state {
        State::Paying(_) => None,
        State::Claiming { preimage, .. }
        | State::Claimed { preimage }
        | State::Lost { preimage } => Some(Reply::Paid(*preimage)),
        State::GivenUp(_) => {
            let gateway = desk.keys.gateway(key.federation);
            let forfeit = Forfeit::sign(key.federation, key.contract, &gateway);
            Some(Reply::GivenUp(forfeit))
        }
    }
}

/// Whether a hash was taken by a payment.
pub(crate) fn is_taken(desk: &Desk, hash: PaymentHash) -> bool {
    desk.rows.contains(&IntentRow(hash))
}

/// Every contract that has not ended goes on.
pub(crate) fn start(desk: &mut Desk) {
    let open: Vec<_> = desk.paying.keys().copied().collect();
    for key in open {
        resume(desk, key);
    }
    watch(desk);
}

/// All contracts of which anything is known, for those who look.
pub(crate) fn all(desk: &Desk) -> Vec<(ContractKey, Outgoing)> {
    let rows = desk.rows.scan::<OutgoingRow>();
    rows.into_iter()
        .map(|(OutgoingRow(federation, contract), one)| ((federation, contract).into(), one))
        .collect()
}
