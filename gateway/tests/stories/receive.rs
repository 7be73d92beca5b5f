//! Scenarios 41, 43, 44, 46, 47, 51, 52: users are paid from outside.

use guildmint_gateway::{
    federation::fake::Refused,
    node::{self, Delivery, PaymentFailure, SentState},
    Command, Event, GatewayError, LightningNode, Limits, Reply, Settings, Warning,
};
use guildmint_ln::Closing;

use crate::world::{msat, preimage, settings, Failure, World, CHANNELS_MSAT, ECASH_MSAT};

/// A user gets 100 sat, and the payer pays half a satoshi more.
const AMOUNT: u64 = 100_000;
const INVOICE: u64 = 100_500;
const FEE: u64 = 10;
const WORTH: u64 = CHANNELS_MSAT + ECASH_MSAT;
const GAIN: u64 = INVOICE - AMOUNT - FEE;

fn is_returned(world: &World, number: u8) -> bool {
    let refused = PaymentFailure::Refused;
    world.paid_from_outside(number) == Some(SentState::Failed(refused))
}

fn is_paid(world: &World, number: u8) -> bool {
    matches!(
        world.paid_from_outside(number),
        Some(SentState::Succeeded { .. })
    )
}

#[test]
fn a_user_is_paid_from_outside() {
    let mut world = World::new(1);
    let offer = world.offer(0, 1, AMOUNT, true);
    let invoice = world.receive(0, offer);
    world.pay_from_outside(1, &invoice, INVOICE);
    world.settle();
    assert!(is_paid(&world, 1));
    let contract = world.federations[0].incoming(preimage(1).hash()).unwrap();
    assert_eq!(
        world.federations[0].claim(contract, preimage(1)),
        Ok(msat(AMOUNT))
    );
    assert_eq!(world.worth_msat(), WORTH + GAIN);
    let entry = &world.ledger()[0];
    assert_eq!(
        (entry.income, entry.cost),
        (msat(INVOICE), msat(AMOUNT + FEE))
    );
    assert_eq!(world.warnings, []);
    assert_eq!(world.gateway.totals().earned_msat(), i128::from(GAIN));
}

#[test]
fn the_same_offer_has_one_invoice_and_its_hash_no_other_use() {
    let mut world = World::new(2);
    let offer = world.offer(0, 1, AMOUNT, true);
    let invoice = world.receive(0, offer);
    assert_eq!(world.receive(0, offer), invoice);
    // Somebody else, in another federation, with the same hash.
    let copy = world.offer(1, 1, AMOUNT, true);
    let request = world.request(1, copy);
    let ticket = world.ask(Command::Invoice(request));
    let used = GatewayError::HashUsed(preimage(1).hash());
    assert_eq!(world.replies[&ticket], Err(used.clone()));
    // Or the same offer after it was paid.
    world.pay_from_outside(1, &invoice, INVOICE);
    world.settle();
    let request = world.request(0, offer);
    let ticket = world.ask(Command::Invoice(request));
    assert_eq!(world.replies[&ticket], Err(used));
}

#[test]
fn offers_that_nobody_could_be_paid_on_are_refused() {
    let mut world = World::new(2);
    let good = world.offer(0, 1, AMOUNT, true);
    let mut requests = Vec::new();
    // Signed for another federation.
    requests.push((world.request(1, good), GatewayError::Offer));
    let mut changed = good;
    changed.offer.amount = msat(AMOUNT * 2);
    requests.push((world.request(0, changed), GatewayError::Offer));
    let nothing = world.offer(0, 2, 0, true);
    requests.push((world.request(0, nothing), GatewayError::Amount(0)));
    let mut wordy = world.request(0, good);
    wordy.description = "x".repeat(513);
    requests.push((wordy, GatewayError::Description(513)));
    let hash = preimage(3).hash();
    let expiring = world.federations[0].offer(hash, msat(AMOUNT), 211, Some(preimage(3)));
    let expires = GatewayError::OfferExpires {
        expires_at: 211,
        height: 200,
    };
    requests.push((world.request(0, expiring), expires));
    for (request, error) in requests {
        let ticket = world.ask(Command::Invoice(request));
        assert_eq!(world.replies[&ticket], Err(error));
    }
}

#[test]
fn an_offer_without_a_preimage_costs_the_payer_nothing_and_the_gateway_two_fees() {
    let mut world = World::new(1);
    let offer = world.offer(0, 1, AMOUNT, false);
    let invoice = world.receive(0, offer);
    world.pay_from_outside(1, &invoice, INVOICE);
    world.settle();
    assert!(is_returned(&world, 1));
    let contract = world.federations[0].incoming(preimage(1).hash()).unwrap();
    assert_eq!(
        world.federations[0].closing(contract),
        Some(Closing::Undecryptable)
    );
    assert_eq!(
        world.federations[0].claim(contract, preimage(1)),
        Err(Refused::Closed)
    );
    assert_eq!(world.worth_msat(), WORTH - 2 * FEE);
    assert!(matches!(world.warnings[..], [Warning::Negative { .. }]));
}

#[test]
fn a_user_who_hid_the_preimage_and_claims_with_it_has_the_payment_claimed() {
    let mut world = World::new(1);
    let offer = world.offer(0, 1, AMOUNT, false);
    let invoice = world.receive(0, offer);
    world.pay_from_outside(1, &invoice, INVOICE);
    let hash = preimage(1).hash();
    while world.federations[0].incoming(hash).is_none() {
        world.round();
    }
    // ⚠ HTLCs that were given back upon the first look at the shares would be lost now.
    let contract = world.federations[0].incoming(hash).unwrap();
    assert_eq!(
        world.federations[0].claim(contract, preimage(9)),
        Err(Refused::Preimage)
    );
    world.federations[0].claim(contract, preimage(1)).unwrap();
    world.settle();
    assert!(is_paid(&world, 1));
    assert_eq!(world.worth_msat(), WORTH + GAIN);
}

#[test]
fn the_claim_that_beats_the_refund_gives_the_preimage_away() {
    let mut world = World::new(1);
    let offer = world.offer(0, 1, AMOUNT, false);
    let invoice = world.receive(0, offer);
    world.pay_from_outside(1, &invoice, INVOICE);
    while world.state_of(1) != ["refunding"] {
        world.round();
    }
    let contract = world.federations[0].incoming(preimage(1).hash()).unwrap();
    // The refund is ordered and not accepted yet.
    world.federations[0].claim(contract, preimage(1)).unwrap();
    world.settle();
    assert!(is_paid(&world, 1));
    assert_eq!(world.worth_msat(), WORTH + GAIN);
}

#[test]
fn what_is_held_too_near_its_deadline_goes_back_and_no_contract_is_funded() {
    // A payment that is locked for 144 blocks can be claimed for 105.
    for (waited, funded) in [(105 - 36, true), (105 - 35, false)] {
        let mut world = World::new(1);
        let offer = world.offer(0, 1, AMOUNT, true);
        let invoice = world.receive(0, offer);
        world.pay_from_outside(1, &invoice, INVOICE);
        // It arrives, and is told late.
        world.mine(waited);
        world.settle();
        assert_eq!(is_paid(&world, 1), funded, "{waited}");
        assert_eq!(is_returned(&world, 1), !funded, "{waited}");
        let contract = world.federations[0].incoming(preimage(1).hash());
        assert_eq!(contract.is_some(), funded);
    }
}

#[test]
fn funding_that_comes_too_late_is_refused_and_the_payer_has_it_back() {
    let mut world = World::new(1);
    let offer = world.offer(0, 1, AMOUNT, true);
    let invoice = world.receive(0, offer);
    world.pay_from_outside(1, &invoice, INVOICE);
    // Blocks come while the federation orders nothing.
    world.federations[0].stall(true);
    world.rounds(20);
    assert_eq!(world.state_of(1), ["funding"]);
    world.mine(12);
    world.rounds(20);
    // ⚠ As long as it may still be funded, nothing goes back.
    assert!(!is_returned(&world, 1));
    world.mine(1);
    world.settle();
    assert!(is_returned(&world, 1));
    world.federations[0].stall(false);
    world.settle();
    assert_eq!(world.federations[0].incoming(preimage(1).hash()), None);
    assert_eq!(world.worth_msat(), WORTH);
}

#[test]
fn an_offer_that_another_funds_first_is_not_funded_twice() {
    let mut world = World::new(1);
    let offer = world.offer(0, 1, AMOUNT, true);
    let invoice = world.receive(0, offer);
    world.federations[0].fund_by_another(&offer);
    world.pay_from_outside(1, &invoice, INVOICE);
    world.settle();
    assert!(is_returned(&world, 1));
    assert_eq!(world.worth_msat(), WORTH);
}

#[test]
fn guardians_that_give_shares_late_delay_and_lose_nothing_within_the_deadline() {
    let mut world = World::new(1);
    let offer = world.offer(0, 1, AMOUNT, true);
    let invoice = world.receive(0, offer);
    world.federations[0].withhold_shares(true);
    world.pay_from_outside(1, &invoice, INVOICE);
    world.rounds(20);
    world.mine(105 - 18);
    world.rounds(20);
    assert_eq!(world.warnings, []);
    world.mine(17);
    world.fail();
    world.rounds(20);
    let late = Warning::ReceiptLate {
        hash: preimage(1).hash(),
        blocks: 1,
    };
    assert_eq!(world.warnings, [late]);
    assert_eq!(world.state_of(1), ["opening"]);
    world.federations[0].withhold_shares(false);
    world.settle();
    assert!(is_paid(&world, 1));
    assert_eq!(world.worth_msat(), WORTH + GAIN);
}

#[test]
fn what_the_node_had_to_give_back_is_a_loss_that_is_told() {
    let mut world = World::new(1);
    let offer = world.offer(0, 1, AMOUNT, true);
    let invoice = world.receive(0, offer);
    world.federations[0].withhold_shares(true);
    world.pay_from_outside(1, &invoice, INVOICE);
    world.rounds(20);
    world.mine(105);
    world.rounds(20);
    world.federations[0].withhold_shares(false);
    world.settle();
    assert_eq!(world.state_of(1), ["lost"]);
    assert!(world
        .warnings
        .iter()
        .any(|warning| matches!(warning, Warning::HtlcsGone(_))));
    assert!(world
        .warnings
        .iter()
        .any(|warning| matches!(warning, Warning::Lost { .. })));
    // It is about a hundredth of all that there is: no reason to halt.
    assert!(!world.gateway.totals().halted);
}

#[test]
fn a_gateway_that_has_lost_a_tenth_begins_nothing_until_it_is_resumed() {
    let mut world = World::new(1);
    for number in 1..=2 {
        let offer = world.offer(0, number, 1_000_000, true);
        let invoice = world.receive(0, offer);
        world.federations[0].withhold_shares(true);
        world.pay_from_outside(number, &invoice, 1_000_500);
        world.rounds(20);
        world.mine(105);
        world.rounds(20);
        world.federations[0].withhold_shares(false);
        world.settle();
    }
    assert!(world.gateway.totals().halted);
    assert!(world
        .warnings
        .iter()
        .any(|warning| matches!(warning, Warning::Drawdown { .. })));
    assert!(world
        .warnings
        .iter()
        .any(|warning| matches!(warning, Warning::Halted { .. })));
    world.fail();
    world.settle();
    let offer = world.offer(0, 3, AMOUNT, true);
    let request = world.request(0, offer);
    let refused = world.ask(Command::Invoice(request.clone()));
    assert!(matches!(
        world.replies[&refused],
        Err(GatewayError::NotNow(_))
    ));
    world.ask(Command::Resume);
    let taken = world.ask(Command::Invoice(request));
    world.settle();
    assert!(matches!(world.replies[&taken], Ok(Reply::Invoice(_))));
}

#[test]
fn more_than_there_is_or_may_be_held_goes_back() {
    let limited = |limits: Limits| Settings {
        limits,
        ..settings()
    };
    let usual = settings().limits;
    let cases = [
        (ECASH_MSAT + 1, usual),
        (AMOUNT, Limits { held: 0, ..usual }),
        (
            AMOUNT,
            Limits {
                spending: msat(AMOUNT - 1),
                ..usual
            },
        ),
    ];
    for (amount, limits) in cases {
        let mut world = World::new(1);
        world.serve(0, limited(limits));
        let offer = world.offer(0, 1, amount, true);
        let invoice = world.receive(0, offer);
        world.pay_from_outside(1, &invoice, amount + 500);
        world.settle();
        assert!(is_returned(&world, 1), "{limits:?}");
        assert_eq!(world.worth_msat(), WORTH);
    }
    // Two at once, for which there is enough for one alone.
    let mut world = World::new(1);
    let invoices: Vec<_> = (1..=2)
        .map(|number| {
            let offer = world.offer(0, number, 3_000_000, true);
            world.receive(0, offer)
        })
        .collect();
    for (number, invoice) in (1..).zip(&invoices) {
        world.pay_from_outside(number, invoice, 3_000_500);
    }
    world.settle();
    assert!(is_paid(&world, 1) && is_returned(&world, 2));
    // The second was not even ordered.
    assert_eq!(world.gateway.federations()[0].spent, msat(3_000_000));
}

#[test]
fn a_payment_that_nobody_waits_for_goes_back() {
    let mut world = World::new(1);
    let order = guildmint_gateway::node::InvoiceOrder {
        hash: preimage(1).hash().into(),
        amount_msat: AMOUNT,
        description: String::new(),
        expiry_s: 3600,
        min_final_cltv_delta: 144,
    };
    // An invoice of which no row knows.
    let invoice = world.node.make_invoice(&order).unwrap();
    world.pay_from_outside(1, &invoice, AMOUNT);
    world.settle();
    assert!(is_returned(&world, 1));
}

#[test]
fn an_invoice_that_nobody_paid_is_forgotten_after_its_time() {
    let mut world = World::new(1);
    let offer = world.offer(0, 1, AMOUNT, true);
    world.receive(0, offer);
    assert_eq!(world.gateway.federations()[0].invoices, 1);
    world.pass_s(3600 + 3 * 3600);
    world.settle();
    assert_eq!(world.gateway.federations()[0].invoices, 0);
    assert!(world.state_of(1).is_empty());
}

#[test]
fn the_power_fails_before_and_after_every_save_and_everybody_has_what_is_theirs() {
    for hides in [true, false] {
        let mut number = 0;
        loop {
            number += 1;
            let mut failures = 0;
            for failure in [Failure::Before(number), Failure::After(number)] {
                let mut world = World::new(1);
                world.failure = Some(failure);
                let offer = world.offer(0, 1, AMOUNT, hides);
                let invoice = world.receive(0, offer);
                world.pay_from_outside(1, &invoice, INVOICE);
                world.settle();
                assert_eq!(is_paid(&world, 1), hides, "{failure:?}");
                assert_eq!(is_returned(&world, 1), !hides, "{failure:?}");
                let worth = if hides { WORTH + GAIN } else { WORTH - 2 * FEE };
                assert_eq!(world.worth_msat(), worth, "{failure:?}");
                failures += world.failures;
            }
            assert!(number < 30, "it saves without end");
            if failures == 0 {
                assert!(number > 6);
                break;
            }
        }
    }
}

#[test]
fn htlcs_that_come_before_anything_is_known_wait() {
    let mut world = World::new(1);
    let offer = world.offer(0, 1, AMOUNT, true);
    let invoice = world.receive(0, offer);
    world.pay_from_outside(1, &invoice, INVOICE);
    world.start_untold();
    for delivery in world.node.events(10).unwrap() {
        world.feed(Event::Node(delivery));
    }
    assert_eq!(world.state_of(1), ["open"]);
    world.settle();
    assert!(is_paid(&world, 1));
}

#[test]
fn a_hash_on_which_htlcs_went_back_is_never_used_again() {
    let mut world = World::new(1);
    let event = Event::Node(Delivery {
        number: 99,
        event: node::Event::Held {
            hash: preimage(1).hash().into(),
            amount_msat: INVOICE,
            claim_deadline_height: 400,
        },
    });
    world.feed(event.clone());
    world.settle();
    // ⚠ Told of them once more, the gateway would fund an offer that was made on the hash since.
    let offer = world.offer(0, 1, AMOUNT, true);
    let request = world.request(0, offer);
    let ticket = world.ask(Command::Invoice(request));
    let used = GatewayError::HashUsed(preimage(1).hash());
    assert_eq!(world.replies[&ticket], Err(used));
    world.feed(event);
    world.settle();
    assert_eq!(world.worth_msat(), WORTH);
}

#[test]
fn no_contract_is_funded_before_its_row_is_durable() {
    let mut world = World::new(1);
    let offer = world.offer(0, 1, AMOUNT, true);
    let invoice = world.receive(0, offer);
    world.pay_from_outside(1, &invoice, INVOICE);
    world.disk_percent = 0;
    world.rounds(20);
    assert_eq!(world.state_of(1), ["funding"]);
    assert_eq!(world.federations[0].incoming(preimage(1).hash()), None);
    assert!(!world.node.is_quiet());
    world.disk_percent = 100;
    world.settle();
    assert!(is_paid(&world, 1));
}
