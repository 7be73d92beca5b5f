use guildmint_gateway::node::{
    Command, Event, LightningNode as _, OwnInvoiceOrder, PaymentFailure, PaymentHash, Refusal,
    SentState, MAX_LISTED,
};

use crate::world::{assert_refused, order, preimage, wait_for, Running, World};

#[test]
fn payments_are_held_until_they_are_claimed_or_failed() {
    let world = World::new();
    let (one, two, _) = world.pair();

    // Held, then claimed.
    let hash = preimage(1).hash();
    let invoice = two.invoice(hash, 100_000_000);
    let pay = Command::Pay(order(&invoice, hash, 100_000_000));
    one.command(pay.clone()).unwrap();
    let (amount_msat, deadline) = two.wait_until_held(hash);
    assert_eq!(amount_msat, 100_000_000);
    assert!(deadline >= world.height() + 100, "{deadline}");
    assert_eq!(one.in_flight(None).unwrap()[0].hash, hash);
    assert_eq!(two.held(None).unwrap()[0].claim_deadline_height, deadline);
    two.command(Command::Claim {
        preimage: preimage(1),
    })
    .unwrap();
    let succeeded = Event::PaymentSucceeded {
        hash,
        preimage: preimage(1),
        fee_msat: 0,
    };
    assert_eq!(one.wait_for_end(hash), succeeded);
    two.wait_for_event("claimed", |event| {
        (*event == Event::Claimed { hash, amount_msat }).then_some(())
    });
    assert!(one.in_flight(None).unwrap().is_empty() && two.held(None).unwrap().is_empty());

    // Repeated, it is told again and dispatched no second time.
    let before = one.state().channels[0].outbound_msat;
    one.command(pay).unwrap();
    assert_eq!(one.wait_for_end(hash), succeeded);
    assert_eq!(one.state().channels[0].outbound_msat, before);
    fail(&one, &two);
    pay_back(&one, &two);
    pay_the_operator(&one, &two);
}

/// Held, then failed.
fn fail(one: &Running, two: &Running) {
    let hash = preimage(2).hash();
    let invoice = two.invoice(hash, 5_000_000);
    one.command(Command::Pay(order(&invoice, hash, 5_000_000)))
        .unwrap();
    two.wait_until_held(hash);
    two.command(Command::Fail { hash }).unwrap();
    let failed = Event::PaymentFailed {
        hash,
        reason: PaymentFailure::Refused,
    };
    assert_eq!(one.wait_for_end(hash), failed);
    two.wait_for_event("returned", |event| {
        (*event == Event::Returned { hash }).then_some(())
    });
    assert_refused(
        two.command(Command::Claim {
            preimage: preimage(2),
        }),
        |refusal| matches!(refusal, Refusal::Settled(..)),
    );
    let state = one.sent(hash).unwrap().unwrap().state;
    assert_eq!(state, SentState::Failed(PaymentFailure::Refused));
}

/// What is paid on an invoice of the operator's own is claimed at once, and no gateway hears of it.
fn pay_the_operator(one: &Running, two: &Running) {
    let before = two.state().balances.channels_msat;
    let invoice = two.make_own_invoice(&OwnInvoiceOrder {
        amount_msat: Some(7_000_000),
        description: "for the operator".to_owned(),
        expiry_s: 3600,
    });
    let invoice = invoice.unwrap();
    let parsed: lightning_invoice::Bolt11Invoice = invoice.parse().unwrap();
    let hash: PaymentHash = parsed.payment_hash().to_string().parse().unwrap();
    one.command(Command::Pay(order(&invoice, hash, 7_000_000)))
        .unwrap();
    let end = one.wait_for_end(hash);
    assert!(matches!(end, Event::PaymentSucceeded { .. }), "{end:?}");
    wait_for("the money", || {
        let now = two.state().balances.channels_msat;
        (now == before + 7_000_000).then_some(())
    });
    assert!(two.held(None).unwrap().is_empty());
    let of_it = |event: &Event| match event {
        Event::Held { hash: of, .. } | Event::Claimed { hash: of, .. } => *of == hash,
        _ => false,
    };
    let told = two.events(MAX_LISTED).unwrap();
    assert!(!told.iter().any(|delivery| of_it(&delivery.event)));
    assert_refused(two.command(Command::Fail { hash }), |refusal| {
        *refusal == Refusal::NothingHeld(hash)
    });
}

/// What was received can be sent.
fn pay_back(one: &Running, two: &Running) {
    let hash = preimage(3).hash();
    let invoice = one.invoice(hash, 20_000_000);
    two.command(Command::Pay(order(&invoice, hash, 20_000_000)))
        .unwrap();
    one.wait_until_held(hash);
    one.command(Command::Claim {
        preimage: preimage(3),
    })
    .unwrap();
    assert!(matches!(
        two.wait_for_end(hash),
        Event::PaymentSucceeded { .. }
    ));
}

#[test]
fn what_cannot_be_paid_fails_and_what_must_not_be_is_refused() {
    let world = World::new();
    let (one, two, _) = world.pair();
    let hash = preimage(4).hash();

    // Nothing leaves that the limits forbid.
    let invoice = two.invoice(hash, 1_000_000);
    let mut narrow = order(&invoice, hash, 1_000_000);
    narrow.max_total_cltv_delta = 40;
    one.command(Command::Pay(narrow)).unwrap();
    let reason = PaymentFailure::NoRoute;
    assert_eq!(
        one.wait_for_end(hash),
        Event::PaymentFailed { hash, reason }
    );
    // ⚠ And never again on this hash, even with other limits.
    one.command(Command::Pay(order(&invoice, hash, 1_000_000)))
        .unwrap();
    assert_eq!(
        one.wait_for_end(hash),
        Event::PaymentFailed { hash, reason }
    );
    assert!(two.held(None).unwrap().is_empty());

    // More than there is.
    let hash = preimage(5).hash();
    let invoice = two.invoice(hash, 90_000_000_000);
    one.command(Command::Pay(order(&invoice, hash, 90_000_000_000)))
        .unwrap();
    assert!(matches!(
        one.wait_for_end(hash),
        Event::PaymentFailed { .. }
    ));

    let hash = preimage(6).hash();
    let own = one.invoice(hash, 1_000_000);
    let refused = one.command(Command::Pay(order(&own, hash, 1_000_000)));
    assert_refused(refused, |refusal| *refusal == Refusal::OwnInvoice);
    let refused = two.command(Command::Pay(order(&own, hash, 2_000_000)));
    assert_refused(refused, |refusal| {
        matches!(refusal, Refusal::OtherAmount { .. })
    });
    let refused = two.command(Command::Claim {
        preimage: preimage(6),
    });
    assert_refused(refused, |refusal| *refusal == Refusal::NothingHeld(hash));
}
