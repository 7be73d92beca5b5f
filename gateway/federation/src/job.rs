//! Orders under way. They are in memory alone: the gateway orders again after a restart, and what they have begun is the wallet's.

mod announce;
mod fund;
mod look;
mod open;
mod spend;

use guildmint_client::{ClientError, ErrandName, ErrandState};
use guildmint_core::FederationId;
use guildmint_gateway::federation::Order;
use guildmint_ln::{ContractId, OfferId};
use serde_json::Value as Json;

use crate::desk::Desk;
use announce::Announce;
use fund::Fund;
use look::Look;
use open::Open;
use spend::Spend;

/// What an order is about. One that is under way is not begun again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    Look(ContractId),
    Fund(OfferId),
    Open(ContractId),
    Claim(ContractId),
    Refund(ContractId),
    Announce(u64),
}

impl Key {
    pub(crate) fn of(order: &Order, federation: FederationId) -> Self {
        match order {
            Order::Look { contract } => Self::Look(*contract),
            Order::Fund(funding) => Self::Fund(funding.offer.offer.id(federation)),
            Order::Open { contract, .. } => Self::Open(*contract),
            Order::Claim { contract, .. } => Self::Claim(*contract),
            Order::Refund { contract, .. } => Self::Refund(*contract),
            Order::Announce(signed) => Self::Announce(signed.announcement.number),
        }
    }
}

/// Something that concerns a job.
#[derive(Debug, Clone)]
pub(crate) enum Happening {
    /// It begins, or the time has come that it wanted to be woken at.
    Time,
    /// What guardians say.
    Answer(Result<Json, ClientError>),
    /// Its errand could not be begun, and nothing of it is known.
    NotBegun(ClientError),
    /// How its errand stands.
    Errand(ErrandName, ErrandState),
}

/// An order under way.
#[allow(clippy::large_enum_variant)] // few at a time
pub(crate) enum Job {
    Look(Look),
    Fund(Fund),
    Open(Open),
    Spend(Spend),
    Announce(Announce),
}

impl Job {
    pub(crate) fn new(order: Order, desk: &Desk<'_>) -> Self {
        match order {
            Order::Look { contract } => Self::Look(Look::new(contract)),
            Order::Fund(funding) => Self::Fund(Fund::new(funding, desk.town.id)),
            Order::Open { contract, offer } => Self::Open(Open::new(contract, &offer, desk)),
            Order::Claim { contract, preimage } => Self::Spend(Spend::claim(contract, preimage)),
            Order::Refund { contract, offer } => Self::Spend(Spend::refund(contract, &offer, desk)),
            Order::Announce(signed) => Self::Announce(Announce::new(*signed)),
        }
    }

    #[cfg(test)]
    pub(crate) fn look(contract: ContractId) -> Self {
        Self::Look(Look::new(contract))
    }

    pub(crate) fn step(&mut self, happening: Happening, desk: &mut Desk<'_>) {
        match self {
            Self::Look(job) => job.step(happening, desk),
            Self::Fund(job) => job.step(happening, desk),
            Self::Open(job) => job.step(happening, desk),
            Self::Spend(job) => job.step(happening, desk),
            Self::Announce(job) => job.step(happening, desk),
        }
    }
}
