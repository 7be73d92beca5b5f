use super::*;

/// Waits for the invoice; the hash that it is on.
fn shown(world: &mut World, operation: OperationId) -> PaymentHash {
    world.run(0, |user| {
        let view = user.client.operation(operation).unwrap();
        view.details["invoice"].is_string() || view.phase != Phase::Pending
    });
    let view = view(world, operation);
    assert_eq!(view.state, "waiting", "{view:?}");
    view.details["payment_hash"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap()
}

#[test]
fn an_invoice_is_shown_and_what_is_paid_arrives() {
    let mut world = world(Manners::Honest);
    let operation = world.start(0, be_paid(AMOUNT));
    let hash = shown(&mut world, operation);
    let before = view(&world, operation);
    assert_eq!(
        before.details["invoice_msat"],
        AMOUNT + FEE,
        "the payer pays the gateway"
    );
    world.pass(0, 600_000);
    assert_eq!(view(&world, operation).phase, Phase::Pending);
    world.fake.pay_invoice(0, hash).unwrap();
    let begun = world.now;
    let view = world.end(0, operation);
    assert_eq!(
        (view.kind, view.state, view.phase),
        ("invoice", "claimed", Phase::Done)
    );
    assert!(
        world.now.0 - begun.0 < 1_500,
        "{} ms",
        world.now.0 - begun.0
    );
    assert_eq!(view.details["credited_msat"], AMOUNT);
    assert_eq!(world.balance(0), FUNDS + AMOUNT);
    balanced(&world);
}

#[test]
fn an_invoice_that_is_not_what_was_agreed_is_shown_to_nobody() {
    for (manners, code) in [
        (Manners::OtherHash, "wrong_invoice"),
        (Manners::Greedy, "wrong_invoice"),
        (Manners::OtherNode, "wrong_invoice"),
        (Manners::Refuses, "hash_used"),
        (Manners::Gone, "no_gateway"),
    ] {
        let mut world = world(manners);
        let operation = world.start(0, be_paid(AMOUNT));
        let view = world.end(0, operation);
        assert_eq!(
            (view.state, view.phase),
            ("failed", Phase::Failed),
            "{manners:?}"
        );
        assert_eq!(view.details["problem"]["code"], code, "{manners:?}");
        assert!(view.details["invoice"].is_null());
    }
}

#[test]
fn what_nobody_can_be_paid_is_refused_at_once() {
    let mut world = with_fees(Manners::Honest, 7);
    let long = "x".repeat(513);
    for (amount, description, expiry_seconds, code) in [
        (0, "", 60, "amount_too_small"),
        (7, "", 60, "amount_too_small"),
        (AMOUNT, long.as_str(), 60, "description_too_long"),
        (AMOUNT, "", 0, "invalid_expiry"),
        (AMOUNT, "", 86_401, "invalid_expiry"),
    ] {
        let command = Command::LnInvoice {
            amount: msat(amount),
            description: description.into(),
            expiry_seconds,
            gateway: None,
        };
        assert_eq!(world.command(0, command).unwrap_err().code(), code);
    }
    assert_eq!(world.users[0].client.operations().len(), 1, "the deposit");
}

#[test]
fn an_invoice_that_nobody_pays_ends_when_its_offer_can_be_funded_no_more() {
    let mut world = world(Manners::Honest);
    let operation = world.start(0, be_paid(AMOUNT));
    shown(&mut world, operation);
    let last = view(&world, operation).details["expires_at"]
        .as_u64()
        .unwrap();
    let last = u32::try_from(last).unwrap();
    world.fake.advance(last);
    world.pass(0, 300_000);
    assert_eq!(view(&world, operation).state, "waiting");
    world.fake.advance(last + 1);
    let view = world.end(0, operation);
    assert_eq!((view.state, view.phase), ("expired", Phase::Failed));
    assert_eq!(world.balance(0), FUNDS);
}

/// ⚠ It is funded in its last block, and a guardian that has not heard of that says, truly, that it knows of no funding.
#[test]
fn guardians_that_are_behind_end_no_invoice_that_was_paid() {
    let mut world = world(Manners::Honest);
    let operation = world.start(0, be_paid(AMOUNT));
    let hash = shown(&mut world, operation);
    let last = view(&world, operation).details["expires_at"]
        .as_u64()
        .unwrap();
    let last = u32::try_from(last).unwrap();
    world.fake.advance(last);
    let before = world.fake.rows.clone();
    world.fake.advance(last + 1);
    let lie = std::mem::replace(&mut world.fake.rows, before.clone());
    world.fake.advance(last);
    world.fake.pay_invoice(0, hash).unwrap();
    world.fake.advance(last + 1);
    // Two of four are behind; one of the others lies, and says that nothing was funded.
    let known = [(0, lie), (2, before.clone()), (3, before)];
    world.fake.behind = known.map(|(peer, rows)| (PeerId(peer), rows)).into();
    world.pass(0, 120_000);
    assert_eq!(view(&world, operation).phase, Phase::Pending);
    world.fake.behind.clear();
    assert_eq!(world.end(0, operation).state, "claimed");
    assert_eq!(world.balance(0), FUNDS + AMOUNT);
}

#[test]
fn fees_that_rise_are_paid_out_of_what_was_received() {
    let mut world = world(Manners::Honest);
    let operation = world.start(0, be_paid(AMOUNT));
    let hash = shown(&mut world, operation);
    world.pass(0, 31_000);
    revisions::revise_all(&mut world.fake, "new", (0, 0, 1_000));
    world.fake.pay_invoice(0, hash).unwrap();
    let view = world.end(0, operation);
    assert_eq!(view.details["credited_msat"], AMOUNT - 1_000);
    assert_eq!(world.balance(0), FUNDS + AMOUNT - 1_000);
}

#[test]
fn many_invoices_at_once_are_all_watched() {
    let mut world = world(Manners::Honest);
    let operations: Vec<_> = (0..10).map(|_| world.start(0, be_paid(AMOUNT))).collect();
    let hashes: Vec<_> = operations
        .iter()
        .map(|one| shown(&mut world, *one))
        .collect();
    for hash in hashes {
        world.fake.pay_invoice(0, hash).unwrap();
    }
    for operation in operations {
        assert_eq!(world.end(0, operation).state, "claimed");
    }
    assert_eq!(world.balance(0), FUNDS + 10 * AMOUNT);
}

#[test]
fn users_pay_each_other() {
    let mut world = world(Manners::Honest);
    world.fund(1, 2_000);
    let asked = world.start(0, be_paid(AMOUNT));
    let hash = shown(&mut world, asked);
    let text = view(&world, asked).details["invoice"]
        .as_str()
        .unwrap()
        .to_owned();
    let contract = world.fake.pay_invoice(0, hash).unwrap();
    assert_eq!(world.end(0, asked).state, "claimed");
    let preimage = world.fake.preimage_of(contract);
    world.fake.gateways[0].secrets.insert(hash, preimage);
    let paid = world.start(1, pay(&text));
    let view = world.end(1, paid);
    assert_eq!(view.state, "paid");
    assert_eq!(world.balance(0), FUNDS + AMOUNT);
    balanced(&world);
}

/// One payment that comes, with a wallet that dies at one instant.
fn story(crash: Crash, liar: (usize, Mood)) {
    let mut world = world(Manners::Honest);
    world.fake.moods[liar.0] = liar.1;
    world.users[0].crash(crash);
    let operation = started(&mut world, be_paid(AMOUNT));
    let hash = shown(&mut world, operation);
    world.fake.pay_invoice(0, hash).unwrap();
    assert_eq!(
        world.end(0, operation).state,
        "claimed",
        "{crash:?} {liar:?}"
    );
    world.pass(0, 60_000);
    assert_eq!(world.balance(0), FUNDS + AMOUNT, "{crash:?} {liar:?}");
    assert_eq!(world.fake.refusals, [], "{crash:?} {liar:?}");
    balanced(&world);
}

#[test]
fn a_crash_at_every_instant_of_being_paid_loses_nothing() {
    for number in 1..=10 {
        story(Crash::BeforeSave(number), (0, Mood::Honest));
        story(Crash::AfterSave(number), (0, Mood::Honest));
    }
    for number in (1..=40).step_by(2) {
        story(Crash::AfterRequest(number), (0, Mood::Honest));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn whoever_lies_and_whenever_the_power_fails_what_was_paid_arrives(
        kind in 0..3u8,
        number in 1..40u64,
        place in 0..4usize,
        mood in 0..LIARS.len(),
    ) {
        let crash = match kind {
            0 => Crash::BeforeSave(1 + number % 12),
            1 => Crash::AfterSave(1 + number % 12),
            _ => Crash::AfterRequest(number),
        };
        story(crash, (place, LIARS[mood]));
    }
}

/// ⚠ Whoever is to be paid from anywhere must not be given an invoice that nobody outside can pay, however cheap, without being told.
#[test]
fn an_invoice_of_a_gateway_without_a_node_is_the_last_resort_and_is_called_so() {
    let mut world = world(Manners::SwapsOnly);
    let operation = world.start(0, be_paid(AMOUNT));
    let hash = shown(&mut world, operation);
    assert_eq!(view(&world, operation).details["swap_only"], true);
    world.fake.pay_invoice(0, hash).unwrap();
    assert_eq!(world.end(0, operation).state, "claimed");
    // One with a node costs as much, and nobody vouches for it.
    world.fake.open_gateway(Manners::Honest, 0);
    world.fake.vouch(0, 2);
    let operation = world.start(0, be_paid(AMOUNT));
    shown(&mut world, operation);
    let view = view(&world, operation);
    assert_eq!(view.details["swap_only"], false);
    assert_eq!(view.details["invoice_msat"], AMOUNT + FEE);
}
