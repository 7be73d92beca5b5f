//! What is in the tables.

use guildmint_gateway::node::{
    Event, FetchFailure, FetchOrder, HeldHtlcs, PaymentFailure, PaymentHash, Preimage, RequestId,
    SentPayment, SentState,
};
use serde::{Deserialize, Serialize};

/// What was to be paid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Paid {
    /// A BOLT11 invoice.
    Invoice(String),
    /// The invoice of an offer.
    Fetched(RequestId),
}

/// A payment that was dispatched, or is about to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SentRow {
    pub(crate) paid: Paid,
    pub(crate) amount_msat: u64,
    pub(crate) end: Option<SentEnd>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum SentEnd {
    Succeeded { preimage: Preimage, fee_msat: u64 },
    Failed(PaymentFailure),
}

impl SentRow {
    /// LDK's name for it. A BOLT11 payment's is its hash (SPEC GW-3); a BOLT12 payment's, whose hash is not known at first, its request's.
    pub(crate) fn name(&self, hash: PaymentHash) -> [u8; 32] {
        match &self.paid {
            Paid::Invoice(_) => hash.0,
            Paid::Fetched(request) => request.0,
        }
    }

    pub(crate) fn payment(&self, hash: PaymentHash) -> SentPayment {
        SentPayment {
            hash,
            amount_msat: self.amount_msat,
            state: match &self.end {
                None => SentState::InFlight,
                Some(SentEnd::Succeeded { preimage, fee_msat }) => SentState::Succeeded {
                    preimage: preimage.clone(),
                    fee_msat: *fee_msat,
                },
                Some(SentEnd::Failed(reason)) => SentState::Failed(*reason),
            },
        }
    }

    /// The event that tells its end.
    pub(crate) fn event(&self, hash: PaymentHash) -> Option<Event> {
        Some(match self.end.clone()? {
            SentEnd::Succeeded { preimage, fee_msat } => Event::PaymentSucceeded {
                hash,
                preimage,
                fee_msat,
            },
            SentEnd::Failed(reason) => Event::PaymentFailed { hash, reason },
        })
    }
}

/// A payment to us.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HeldRow {
    pub(crate) amount_msat: u64,
    pub(crate) claim_deadline_height: u32,
    /// LDK's name for this set of HTLCs.
    pub(crate) set: [u8; 32],
    pub(crate) state: HeldState,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum HeldState {
    Held,
    Claiming(Preimage),
    Claimed,
    Failing,
    Returned,
}

impl HeldRow {
    pub(crate) fn is_open(&self) -> bool {
        !matches!(self.state, HeldState::Claimed | HeldState::Returned)
    }

    /// Whether HTLCs that LDK says it gave back are these. ⚠ Anybody may send more on the same hash, and LDK gives that back at once: unless we
    /// gave these back, they are still here until the deadline.
    pub(crate) fn is_given_back(&self, height: u32) -> bool {
        match self.state {
            HeldState::Failing => true,
            HeldState::Held | HeldState::Claiming(_) => height >= self.claim_deadline_height,
            HeldState::Claimed | HeldState::Returned => false,
        }
    }

    pub(crate) fn htlcs(&self, hash: PaymentHash) -> HeldHtlcs {
        HeldHtlcs {
            hash,
            amount_msat: self.amount_msat,
            claim_deadline_height: self.claim_deadline_height,
        }
    }

    /// The event that tells its state.
    pub(crate) fn event(&self, hash: PaymentHash) -> Event {
        let amount_msat = self.amount_msat;
        match self.state {
            HeldState::Claimed => Event::Claimed { hash, amount_msat },
            HeldState::Returned => Event::Returned { hash },
            HeldState::Held | HeldState::Claiming(_) | HeldState::Failing => Event::Held {
                hash,
                amount_msat,
                claim_deadline_height: self.claim_deadline_height,
            },
        }
    }
}

/// A request for an offer's invoice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FetchRow {
    pub(crate) order: FetchOrder,
    pub(crate) answer: Option<FetchAnswer>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum FetchAnswer {
    Invoice {
        hash: PaymentHash,
        amount_msat: u64,
        invoice: Vec<u8>,
        /// LDK's, without which it does not pay.
        context: Vec<u8>,
    },
    Failed(FetchFailure),
    /// The payment on this hash has ended, one way or the other: its own row tells how. The invoice is kept no longer, since strangers decide how
    /// long it is.
    Spent(PaymentHash),
}

impl FetchRow {
    /// What stays of it, for ever, once its payment has ended.
    pub(crate) fn spent(mut self, hash: PaymentHash) -> Self {
        self.order.offer = String::new();
        self.order.note = None;
        self.answer = Some(FetchAnswer::Spent(hash));
        self
    }

    pub(crate) fn event(&self) -> Option<Event> {
        let request = self.order.request;
        Some(match self.answer.clone()? {
            FetchAnswer::Spent(_) => return None,
            FetchAnswer::Invoice {
                hash,
                amount_msat,
                invoice,
                ..
            } => Event::Fetched {
                request,
                hash,
                amount_msat,
                invoice,
            },
            FetchAnswer::Failed(reason) => Event::FetchFailed { request, reason },
        })
    }
}

/// A transaction that funds a channel, by our number for the channel, until the channel is funded or given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FundingRow(pub(crate) Vec<u8>);
