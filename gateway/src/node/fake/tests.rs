#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use super::*;
use crate::node::{
    Command, Event, FetchOrder, InvoiceOrder, LightningNode, PaymentFailure, PaymentOrder, Refusal,
    RequestId, SentState,
};

const NOW_S: u64 = 1_700_000_000;

fn preimage(number: u8) -> Preimage {
    Preimage([number; 32])
}

fn order(invoice: String, hash: PaymentHash) -> PaymentOrder {
    PaymentOrder {
        hash,
        invoice,
        amount_msat: 50_000,
        max_fee_msat: 2000,
        max_total_cltv_delta: 500,
    }
}

fn invoice_on(node: &FakeNode, hash: PaymentHash) -> String {
    let order = InvoiceOrder {
        hash,
        amount_msat: 50_000,
        description: "coffee".into(),
        expiry_s: 600,
        min_final_cltv_delta: 144,
    };
    node.make_invoice(&order).unwrap()
}

fn two() -> (FakeLightning, FakeNode, FakeNode) {
    let lightning = FakeLightning::new(1, NOW_S);
    let (payer, payee) = (lightning.add_node(1_000_000), lightning.add_node(0));
    (lightning, payer, payee)
}

fn handle_all(node: &FakeNode) -> Vec<Event> {
    let mut events = Vec::new();
    while !node.is_quiet() {
        for delivery in node.events(10).unwrap() {
            node.handled(delivery.number).unwrap();
            events.push(delivery.event);
        }
    }
    events
}

#[test]
fn what_is_held_is_claimed_with_the_preimage() {
    let (_, payer, payee) = two();
    let hash = preimage(1).hash();
    let pay = Command::Pay(order(invoice_on(&payee, hash), hash));
    payer.command(pay).unwrap();
    let held = payee.held(None).unwrap()[0];
    assert_eq!(
        (held.amount_msat, held.claim_deadline_height),
        (50_000, 305)
    );
    assert!(payer.is_quiet());
    payee
        .command(Command::Claim {
            preimage: preimage(1),
        })
        .unwrap();
    let succeeded = Event::PaymentSucceeded {
        hash,
        preimage: preimage(1),
        fee_msat: 1000,
    };
    assert_eq!(handle_all(&payer), [succeeded]);
    assert_eq!(payer.outbound_msat(), 949_000);
    assert_eq!(payee.outbound_msat(), 50_000);
}

#[test]
fn what_is_held_too_long_goes_back() {
    let (lightning, payer, payee) = two();
    let hash = preimage(1).hash();
    payer
        .command(Command::Pay(order(invoice_on(&payee, hash), hash)))
        .unwrap();
    lightning.mine(104);
    assert!(payer.is_quiet());
    lightning.mine(1);
    let reason = PaymentFailure::Refused;
    assert_eq!(handle_all(&payer), [Event::PaymentFailed { hash, reason }]);
    let claim = Command::Claim {
        preimage: preimage(1),
    };
    assert_eq!(
        payee.command(claim),
        Err(Refusal::Settled(hash, "returned".into()))
    );
    assert_eq!(payer.outbound_msat(), 1_000_000);
}

#[test]
fn a_payment_that_is_repeated_is_dispatched_once_and_told_again() {
    let (lightning, payer, payee) = two();
    payee.know(&preimage(1));
    let hash = preimage(1).hash();
    let pay = Command::Pay(order(invoice_on(&payee, hash), hash));
    payer.command(pay.clone()).unwrap();
    let told = handle_all(&payer);
    payer.command(pay).unwrap();
    assert_eq!(handle_all(&payer), told);
    assert_eq!(
        (payer.dispatched(hash), payer.outbound_msat()),
        (1, 949_000)
    );
    lightning.pass_s(1);
    let other = Command::Pay(order(invoice_on(&payee, hash), hash));
    assert_eq!(payer.command(other), Err(Refusal::HashUsed(hash)));
}

#[test]
fn orders_that_differ_from_the_invoice_are_refused() {
    let (lightning, payer, payee) = two();
    let hash = preimage(1).hash();
    let invoice = invoice_on(&payee, hash);
    let other = preimage(2).hash();
    let refused = |order| payer.command(Command::Pay(order)).unwrap_err();
    let differs = refused(order(invoice.clone(), other));
    assert!(matches!(differs, Refusal::OtherHash { .. }), "{differs}");
    let mut less = order(invoice.clone(), hash);
    less.amount_msat = 1;
    assert!(matches!(refused(less), Refusal::OtherAmount { .. }));
    let own = invoice_on(&payer, hash);
    assert_eq!(refused(order(own, hash)), Refusal::OwnInvoice);
    lightning.pass_s(601);
    assert_eq!(refused(order(invoice, hash)), Refusal::Expired);
    assert_eq!((payer.dispatched(hash), payer.dispatched(other)), (0, 0));
}

#[test]
fn rude_delivery_loses_nothing_and_repeats_something() {
    let (lightning, payer, payee) = two();
    lightning.set_faults(Faults::ALL);
    for number in 1..=15 {
        payee.know(&preimage(number));
        let hash = preimage(number).hash();
        let pay = Command::Pay(order(invoice_on(&payee, hash), hash));
        payer.command(pay).unwrap();
    }
    let events = handle_all(&payer);
    let hashes: Vec<PaymentHash> = events
        .iter()
        .map(|event| match event {
            Event::PaymentSucceeded { hash, .. } => *hash,
            other => unreachable!("{other:?}"),
        })
        .collect();
    assert!(hashes.len() > 15, "{}", hashes.len());
    let distinct: BTreeSet<PaymentHash> = hashes.iter().copied().collect();
    assert_eq!(distinct.len(), 15);
    let sent: Vec<PaymentHash> = (1..=15).map(|number| preimage(number).hash()).collect();
    assert_ne!(hashes[..15], sent[..], "they came in order");
}

#[test]
fn a_restart_delivers_the_last_event_again() {
    let (_, payer, payee) = two();
    payee.know(&preimage(1));
    let hash = preimage(1).hash();
    payer
        .command(Command::Pay(order(invoice_on(&payee, hash), hash)))
        .unwrap();
    let told = handle_all(&payer);
    payer.stop();
    assert_eq!(payer.events(1), Err(Refusal::Stopped));
    payer.start();
    assert_eq!(handle_all(&payer), told);
}

#[test]
fn an_offer_is_fetched_and_then_paid() {
    let (_, payer, payee) = two();
    let offer = payee.offer(&preimage(3), 50_000);
    let request = RequestId([1; 32]);
    let fetch = FetchOrder {
        request,
        offer,
        amount_msat: None,
        note: None,
        max_fee_msat: 2000,
        max_total_cltv_delta: 500,
    };
    payer.command(Command::Fetch(fetch)).unwrap();
    let hash = preimage(3).hash();
    let told = handle_all(&payer);
    assert!(
        matches!(told[..], [Event::Fetched { hash: on, amount_msat: 50_000, .. }] if on == hash)
    );
    let other = preimage(4).hash();
    let wrong = payer.command(Command::PayFetched {
        request,
        hash: other,
    });
    assert!(matches!(wrong, Err(Refusal::OtherHash { .. })));
    payer
        .command(Command::PayFetched { request, hash })
        .unwrap();
    let state = payer.sent(hash).unwrap().unwrap().state;
    assert!(matches!(state, SentState::Succeeded { .. }));
}
