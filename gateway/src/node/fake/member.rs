//! One node's books.

use std::collections::BTreeMap;

use secp256k1::SecretKey;

use super::super::{
    Command, Delivery, Event, FetchOrder, HeldHtlcs, NodeId, PaymentHash, PaymentOrder, Preimage,
    RequestId, SentState, Wake,
};

/// An invoice that it made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Issued {
    pub(super) amount_msat: u64,
    pub(super) final_cltv_delta: u32,
}

/// A payment that it sent.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    pub(super) order: PaymentOrder,
    pub(super) paid_msat: u64,
    pub(super) state: SentState,
}

/// A payment that came.
#[derive(Debug, Clone, Copy)]
pub(super) struct Received {
    pub(super) held: HeldHtlcs,
    pub(super) payer: usize,
    pub(super) end: Option<Ending>,
}

/// How a payment that came has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Claimed,
    Returned,
}

/// A request for an invoice, and what came.
#[derive(Debug, Clone)]
pub(super) struct Fetched {
    pub(super) order: FetchOrder,
    pub(super) event: Event,
    pub(super) issuer: Option<usize>,
}

pub(super) struct Member {
    pub(super) key: SecretKey,
    pub(super) id: NodeId,
    pub(super) outbound_msat: u64,
    pub(super) is_down: bool,
    pub(super) known: BTreeMap<PaymentHash, Preimage>,
    pub(super) issued: BTreeMap<PaymentHash, Issued>,
    pub(super) sent: BTreeMap<PaymentHash, Sent>,
    pub(super) received: BTreeMap<PaymentHash, Received>,
    pub(super) fetched: BTreeMap<RequestId, Fetched>,
    pub(super) dispatched: BTreeMap<PaymentHash, u32>,
    pub(super) waiting: BTreeMap<u64, Event>,
    pub(super) last_handled: Option<Event>,
    pub(super) numbers: u64,
    pub(super) wake: Option<Wake>,
    pub(super) must_wake: bool,
}

impl Member {
    pub(super) fn new(key: SecretKey, id: NodeId, outbound_msat: u64) -> Self {
        Self {
            key,
            id,
            outbound_msat,
            is_down: false,
            known: BTreeMap::new(),
            issued: BTreeMap::new(),
            sent: BTreeMap::new(),
            received: BTreeMap::new(),
            fetched: BTreeMap::new(),
            dispatched: BTreeMap::new(),
            waiting: BTreeMap::new(),
            last_handled: None,
            numbers: 0,
            wake: None,
            must_wake: false,
        }
    }

    pub(super) fn tell(&mut self, event: Event) {
        self.numbers += 1;
        self.waiting.insert(self.numbers, event);
        self.must_wake = true;
    }

    /// The end of a payment that it sent, once more.
    pub(super) fn tell_sent(&mut self, hash: PaymentHash) {
        let event = match self.sent.get(&hash).map(|sent| &sent.state) {
            Some(SentState::Succeeded { preimage, fee_msat }) => Event::PaymentSucceeded {
                hash,
                preimage: preimage.clone(),
                fee_msat: *fee_msat,
            },
            Some(SentState::Failed(reason)) => Event::PaymentFailed {
                hash,
                reason: *reason,
            },
            _ => return,
        };
        self.tell(event);
    }

    pub(super) fn deliveries(&self) -> Vec<Delivery> {
        let delivery = |(number, event): (&u64, &Event)| Delivery {
            number: *number,
            event: event.clone(),
        };
        self.waiting.iter().map(delivery).collect()
    }
}

impl Command {
    /// The HTLCs that it is about, if it is.
    pub(super) fn held_hash(&self) -> Option<PaymentHash> {
        match self {
            Self::Claim { preimage } => Some(preimage.hash()),
            Self::Fail { hash } => Some(*hash),
            _ => None,
        }
    }
}
