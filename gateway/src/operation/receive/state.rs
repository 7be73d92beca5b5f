//! The states of a payment that comes, and how one leads to another.

use guildmint_core::{Amount, FederationId};
use guildmint_ln::{ContractId, Preimage, SignedOffer};
use serde::{Deserialize, Serialize};

use crate::{
    event::Millis,
    operation::{ContractKey, Kind},
};

/// A payment that a user wants to receive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Incoming {
    pub federation: FederationId,
    pub offer: SignedOffer,
    /// What the invoice asks for.
    pub asks: Amount,
    /// When it can no longer be paid.
    pub expires: Millis,
    /// When its amount was counted as spent, if it was.
    pub spent: Option<Millis>,
    pub state: State,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(clippy::large_enum_variant)] // rows, one at a time
pub(crate) enum State {
    /// The node is asked for an invoice with this description.
    Making {
        description: String,
    },
    /// It can be paid.
    Open {
        invoice: String,
    },
    /// ⚠ Its contract may come to be.
    Funding {
        payer: Payer,
        valid_until: u32,
    },
    /// Its contract is funded, and opened.
    Opening {
        payer: Payer,
        contract: ContractId,
        cost: Amount,
    },
    /// The preimage is ours, and the HTLCs will be.
    Claiming {
        htlcs: Htlcs,
        contract: ContractId,
        cost: Amount,
        preimage: Preimage,
    },
    /// There is no preimage in the offer. What is in the contract is taken back.
    Refunding {
        payer: Payer,
        contract: ContractId,
        cost: Amount,
    },
    /// ⚠ No contract can be claimed. The HTLCs go back.
    Returning {
        reason: String,
    },
    Ended(End),
}

/// Whose money it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Payer {
    Lightning(Htlcs),
    Contract(ContractKey),
}

/// HTLCs that wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Htlcs {
    pub amount: Amount,
    /// At this height the node gives them back by itself.
    pub deadline: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum End {
    /// Claimed.
    Paid,
    /// Paid by another user's contract.
    Swapped,
    /// The payer has it back.
    Returned,
    /// The payee was paid, and we were not.
    Lost,
}

/// Something that concerns a payment.
#[derive(Debug, Clone)]
pub(crate) enum Happening {
    Funded {
        contract: ContractId,
        fee: Amount,
    },
    NotFunded {
        reason: String,
    },
    /// What the contract hides, or was claimed with.
    Opened(Option<Preimage>),
    Refunded {
        fee: Amount,
    },
    /// The node has claimed the HTLCs.
    Claimed,
    /// They are gone, one way or another.
    Gone,
}

impl Incoming {
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state, State::Making { .. } | State::Open { .. })
    }

    pub(crate) fn is_under_way(&self) -> bool {
        !self.is_open() && !matches!(self.state, State::Ended(_))
    }

    pub(crate) fn contract(&self) -> Option<ContractId> {
        match &self.state {
            State::Opening { contract, .. }
            | State::Claiming { contract, .. }
            | State::Refunding { contract, .. } => Some(*contract),
            _ => None,
        }
    }

    /// E-cash that may not have left the balance yet.
    pub(crate) fn reserved_msat(&self) -> u64 {
        match self.state {
            State::Funding { .. } => self.offer.offer.amount.msat(),
            _ => 0,
        }
    }

    pub(super) fn payer(&self) -> Option<Payer> {
        match &self.state {
            State::Funding { payer, .. }
            | State::Opening { payer, .. }
            | State::Refunding { payer, .. } => Some(*payer),
            State::Claiming { htlcs, .. } => Some(Payer::Lightning(*htlcs)),
            _ => None,
        }
    }

    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.state, State::Ended(_))
    }

    /// Where it stands, what it is, and why it goes back, if it does.
    pub(crate) fn describe(&self) -> (&'static str, Kind, Option<String>) {
        let kind = match (self.payer(), &self.state) {
            (Some(Payer::Contract(_)), _) | (_, State::Ended(End::Swapped)) => Kind::Swap,
            _ => Kind::Receive,
        };
        let (state, reason) = match &self.state {
            State::Making { .. } => ("making", None),
            State::Open { .. } => ("open", None),
            State::Funding { .. } => ("funding", None),
            State::Opening { .. } => ("opening", None),
            State::Claiming { .. } => ("claiming", None),
            State::Refunding { .. } => ("refunding", None),
            State::Returning { reason } => ("returning", Some(reason.clone())),
            State::Ended(End::Paid) => ("paid", None),
            State::Ended(End::Swapped) => ("swapped", None),
            State::Ended(End::Returned) => ("returned", None),
            State::Ended(End::Lost) => ("lost", None),
        };
        (state, kind, reason)
    }

    /// The next state. What has been said before, and what comes too late to matter, changes nothing.
    pub(super) fn step(&self, happening: Happening) -> Option<State> {
        match (&self.state, happening) {
            (State::Funding { payer, .. }, Happening::Funded { contract, fee }) => {
                let cost = self.offer.offer.amount.checked_add(fee);
                Some(State::Opening {
                    payer: *payer,
                    contract,
                    cost: cost.unwrap_or(Amount::MAX),
                })
            }
            (State::Funding { payer, .. }, Happening::NotFunded { reason }) => {
                Some(returning(*payer, reason))
            }
            (
                State::Opening {
                    payer,
                    contract,
                    cost,
                }
                | State::Refunding {
                    payer,
                    contract,
                    cost,
                },
                Happening::Opened(Some(preimage)),
            ) => Some(match payer {
                Payer::Lightning(htlcs) => State::Claiming {
                    htlcs: *htlcs,
                    contract: *contract,
                    cost: *cost,
                    preimage,
                },
                Payer::Contract(_) => State::Ended(End::Swapped),
            }),
            (
                State::Opening {
                    payer,
                    contract,
                    cost,
                },
                Happening::Opened(None),
            ) => Some(State::Refunding {
                payer: *payer,
                contract: *contract,
                cost: *cost,
            }),
            (State::Refunding { payer, .. }, Happening::Refunded { .. }) => {
                let reason = "the offer hides no preimage".to_owned();
                Some(returning(*payer, reason))
            }
            (State::Claiming { .. }, Happening::Claimed) => Some(State::Ended(End::Paid)),
            (State::Claiming { .. }, Happening::Gone) => Some(State::Ended(End::Lost)),
            (State::Returning { .. }, Happening::Gone) => Some(State::Ended(End::Returned)),
            _ => None,
        }
    }
}

fn returning(payer: Payer, reason: String) -> State {
    match payer {
        Payer::Lightning(_) => State::Returning { reason },
        Payer::Contract(_) => State::Ended(End::Returned),
    }
}
