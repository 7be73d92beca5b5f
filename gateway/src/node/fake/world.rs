//! What happens between nodes.

use secp256k1::{PublicKey, Secp256k1, SecretKey};
use sha2::{Digest as _, Sha256};

use super::{
    super::{
        Event, FetchFailure, FetchOrder, HeldHtlcs, NodeId, PaymentFailure, PaymentHash,
        PaymentOrder, Preimage, Refusal, RequestId, SentState, Wake,
    },
    dice::Dice,
    member::{Ending, Fetched, Issued, Member, Received, Sent},
    Faults,
};

/// Blocks before the first HTLC runs out at which a node gives up what it holds, as LDK does.
const FAIL_BACK_BLOCKS: u32 = 39;
/// Blocks that the way to a payee adds.
const WAY_BLOCKS: u32 = 40;

pub(super) struct World {
    dice: Dice,
    pub(super) faults: Faults,
    pub(super) members: Vec<Member>,
    pub(super) height: u32,
    pub(super) now_s: u64,
    pub(super) fee_msat: u64,
}

impl World {
    pub(super) fn new(seed: u64, now_s: u64) -> Self {
        Self {
            dice: Dice::new(seed),
            faults: Faults::default(),
            members: Vec::new(),
            height: 200,
            now_s,
            fee_msat: 1000,
        }
    }

    pub(super) fn add(&mut self, outbound_msat: u64) -> usize {
        let place = self.members.len();
        // A key by which the node is found in invoices; it guards nothing.
        let digest: [u8; 32] = Sha256::digest(format!("fake node {place}")).into();
        #[allow(clippy::expect_used)]
        let key = SecretKey::from_slice(&digest).expect("a hash is hardly ever out of range");
        let id = PublicKey::from_secret_key(&Secp256k1::signing_only(), &key).serialize();
        self.members
            .push(Member::new(key, NodeId(id), outbound_msat));
        place
    }

    pub(super) fn take_woken(&mut self) -> Vec<Wake> {
        let woken = |member: &mut Member| {
            let must_wake = std::mem::take(&mut member.must_wake) && !member.is_down;
            member.wake.clone().filter(|_| must_wake)
        };
        self.members.iter_mut().filter_map(woken).collect()
    }

    pub(super) fn mine(&mut self, blocks: u32) {
        self.height += blocks;
        let height = self.height;
        for payee in 0..self.members.len() {
            let received = &self.members[payee].received;
            let late = received.iter().filter(|(_, received)| {
                received.end.is_none() && received.held.claim_deadline_height <= height
            });
            let late: Vec<PaymentHash> = late.map(|(hash, _)| *hash).collect();
            for hash in late {
                self.give_back(payee, hash);
            }
        }
    }

    pub(super) fn restart(&mut self, place: usize) {
        let member = &mut self.members[place];
        member.is_down = false;
        member.must_wake = true;
        // Under new numbers: those from before mean nothing any more.
        let events = std::mem::take(&mut member.waiting).into_values();
        let again: Vec<Event> = member
            .last_handled
            .take()
            .into_iter()
            .chain(events)
            .collect();
        for event in again {
            member.tell(event);
        }
    }

    pub(super) fn offer(&mut self, place: usize, hash: PaymentHash, amount_msat: u64) -> String {
        let issued = Issued {
            amount_msat,
            final_cltv_delta: 18,
        };
        self.members[place].issued.insert(hash, issued);
        format!("lnofake1-{place}-{amount_msat}-{hash}")
    }

    pub(super) fn fetch(&mut self, place: usize, order: FetchOrder) {
        let request = order.request;
        if let Some(fetched) = self.members[place].fetched.get(&request) {
            let event = fetched.event.clone();
            return self.members[place].tell(event);
        }
        let found = self.find_offer(&order);
        let (event, issuer) = match found {
            Some((issuer, hash, amount_msat)) => {
                let event = Event::Fetched {
                    request,
                    hash,
                    amount_msat,
                    invoice: order.offer.clone().into_bytes(),
                };
                (event, Some(issuer))
            }
            None => {
                let reason = FetchFailure::Timeout;
                (Event::FetchFailed { request, reason }, None)
            }
        };
        let member = &mut self.members[place];
        member.tell(event.clone());
        let fetched = Fetched {
            order,
            event,
            issuer,
        };
        member.fetched.insert(request, fetched);
    }

    fn find_offer(&self, order: &FetchOrder) -> Option<(usize, PaymentHash, u64)> {
        let mut parts = order.offer.strip_prefix("lnofake1-")?.split('-');
        let issuer: usize = parts.next()?.parse().ok()?;
        let amount_msat = parts.next()?.parse().ok()?;
        let hash = parts.next()?.parse().ok()?;
        let is_up = self
            .members
            .get(issuer)
            .is_some_and(|issuer| !issuer.is_down);
        is_up.then_some((issuer, hash, amount_msat))
    }

    pub(super) fn pay_fetched(
        &mut self,
        place: usize,
        request: RequestId,
        hash: PaymentHash,
    ) -> Result<(), Refusal> {
        let fetched = self.members[place].fetched.get(&request).cloned();
        let Some(Fetched {
            order,
            event:
                Event::Fetched {
                    hash: on,
                    amount_msat,
                    ..
                },
            issuer: Some(payee),
        }) = fetched
        else {
            return Err(Refusal::NotFetched(request));
        };
        if on != hash {
            let (invoice, order) = (on, hash);
            return Err(Refusal::OtherHash { invoice, order });
        }
        let order = PaymentOrder {
            hash,
            invoice: order.offer,
            amount_msat,
            max_fee_msat: order.max_fee_msat,
            max_total_cltv_delta: order.max_total_cltv_delta,
        };
        self.pay(place, Some(payee), order)
    }

    /// Dispatches a payment, or tells its end again. Without a payee that is known there is no way.
    pub(super) fn pay(
        &mut self,
        payer: usize,
        payee: Option<usize>,
        order: PaymentOrder,
    ) -> Result<(), Refusal> {
        let hash = order.hash;
        if let Some(sent) = self.members[payer].sent.get(&hash) {
            if sent.order.invoice != order.invoice {
                return Err(Refusal::HashUsed(hash));
            }
            self.members[payer].tell_sent(hash);
            return Ok(());
        }
        if payee == Some(payer) {
            return Err(Refusal::OwnInvoice);
        }
        *self.members[payer].dispatched.entry(hash).or_default() += 1;
        let amount_msat = order.amount_msat;
        let failure = self.obstacle(payer, payee, &order);
        let paid_msat = amount_msat.saturating_add(self.fee_msat);
        let state = match failure {
            Some(reason) => SentState::Failed(reason),
            None => SentState::InFlight,
        };
        let member = &mut self.members[payer];
        let sent = Sent {
            order,
            paid_msat,
            state,
        };
        member.sent.insert(hash, sent);
        match (failure, payee) {
            (None, Some(payee)) => {
                member.outbound_msat -= paid_msat;
                self.arrive(payer, payee, hash, amount_msat);
            }
            _ => member.tell_sent(hash),
        }
        Ok(())
    }

    fn obstacle(
        &self,
        payer: usize,
        payee: Option<usize>,
        order: &PaymentOrder,
    ) -> Option<PaymentFailure> {
        let Some(payee) = payee.map(|payee| &self.members[payee]) else {
            return Some(PaymentFailure::NoRoute);
        };
        let has_msat = self.members[payer].outbound_msat;
        let needs_msat = order.amount_msat.saturating_add(self.fee_msat);
        if payee.is_down || self.fee_msat > order.max_fee_msat || needs_msat > has_msat {
            return Some(PaymentFailure::NoRoute);
        }
        let is_taken = payee
            .received
            .get(&order.hash)
            .is_some_and(|received| received.end != Some(Ending::Returned));
        match payee.issued.get(&order.hash) {
            Some(issued) if issued.final_cltv_delta + WAY_BLOCKS > order.max_total_cltv_delta => {
                Some(PaymentFailure::NoRoute)
            }
            Some(issued) if issued.amount_msat <= order.amount_msat && !is_taken => None,
            _ => Some(PaymentFailure::Refused),
        }
    }

    fn arrive(&mut self, payer: usize, payee: usize, hash: PaymentHash, amount_msat: u64) {
        let (height, member) = (self.height, &mut self.members[payee]);
        let Some(issued) = member.issued.get(&hash) else {
            return;
        };
        let held = HeldHtlcs {
            hash,
            amount_msat,
            claim_deadline_height: (height + issued.final_cltv_delta)
                .saturating_sub(FAIL_BACK_BLOCKS)
                .max(height + 1),
        };
        let received = Received {
            held,
            payer,
            end: None,
        };
        member.received.insert(hash, received);
        match member.known.get(&hash).cloned() {
            Some(preimage) => self.claim(payee, &preimage),
            None => member.tell(Event::Held {
                hash,
                amount_msat,
                claim_deadline_height: held.claim_deadline_height,
            }),
        }
    }

    /// Claims what is held.
    pub(super) fn claim(&mut self, payee: usize, preimage: &Preimage) {
        let (hash, fee_msat) = (preimage.hash(), self.fee_msat);
        let member = &mut self.members[payee];
        let Some(received) = member.received.get_mut(&hash) else {
            return;
        };
        received.end = Some(Ending::Claimed);
        let (payer, amount_msat) = (received.payer, received.held.amount_msat);
        member.outbound_msat += amount_msat;
        member.tell(Event::Claimed { hash, amount_msat });
        if let Some(sent) = self.members[payer].sent.get_mut(&hash) {
            sent.state = SentState::Succeeded {
                preimage: preimage.clone(),
                fee_msat,
            };
        }
        self.members[payer].tell_sent(hash);
    }

    /// Gives back what is held.
    pub(super) fn give_back(&mut self, payee: usize, hash: PaymentHash) {
        let member = &mut self.members[payee];
        let Some(received) = member.received.get_mut(&hash) else {
            return;
        };
        received.end = Some(Ending::Returned);
        let payer = received.payer;
        member.tell(Event::Returned { hash });
        let payer = &mut self.members[payer];
        if let Some(sent) = payer.sent.get_mut(&hash) {
            sent.state = SentState::Failed(PaymentFailure::Refused);
            payer.outbound_msat += sent.paid_msat;
        }
        payer.tell_sent(hash);
    }

    /// What a node is told at this call.
    pub(super) fn deliver(&mut self, place: usize, limit: usize) -> Vec<super::super::Delivery> {
        let mut deliveries = self.members[place].deliveries();
        let Faults {
            delayed_percent,
            shuffled,
            ..
        } = self.faults;
        if shuffled {
            for last in (1..deliveries.len()).rev() {
                deliveries.swap(last, self.dice.below(last + 1));
            }
        }
        deliveries.retain(|_| !self.dice.percent(delayed_percent));
        deliveries.truncate(limit);
        deliveries
    }

    /// An event was handled: it is gone, or comes once more.
    pub(super) fn handled(&mut self, place: usize, number: u64) {
        let repeated = self.dice.percent(self.faults.repeated_percent);
        let member = &mut self.members[place];
        let Some(event) = member.waiting.remove(&number) else {
            return;
        };
        member.last_handled = Some(event.clone());
        if repeated {
            member.tell(event);
        }
    }
}
