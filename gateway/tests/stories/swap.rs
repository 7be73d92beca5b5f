//! Scenarios 42, 43, 47, 49: users of one gateway pay each other, in one federation or two.

use bitcoin::Network;
use guildmint_gateway::{
    federation::News,
    node::{PaymentFailure, SentState},
    Command, Event, Keys, Settings, Warning,
};
use guildmint_ln::client::Invoice;

use crate::world::{
    msat, preimage, settings, Failure, Purchase, World, CHANNELS_MSAT, ECASH_MSAT, SEED,
};

const AMOUNT: u64 = 100_000;
const INVOICE: u64 = 100_500;
const FEE: u64 = 10;

/// The payer pays what the invoice asks for; a gateway asks for no fee on that.
const GAIN: u64 = INVOICE - AMOUNT - 2 * FEE;

/// A number of federations, and who makes a world of so many.
type Kind = (u8, fn(u8) -> World);

/// One federation, or two, of a gateway with a node, or without.
const WORLDS: [Kind; 4] = [
    (1, World::new),
    (2, World::new),
    (1, World::without_node),
    (2, World::without_node),
];

fn worth(federations: u64) -> u64 {
    CHANNELS_MSAT + federations * ECASH_MSAT
}

/// A user in the last federation is to be paid, and one in the first pays.
fn buy(world: &mut World, hides: bool) -> Purchase {
    let last = world.federations.len() - 1;
    let offer = world.offer(last, 1, AMOUNT, hides);
    let invoice = world.receive(last, offer);
    let contract = world.contract(0, preimage(1).hash(), INVOICE);
    world.buy(0, contract, &invoice)
}

#[test]
fn users_of_one_gateway_pay_each_other_without_lightning() {
    for (federations, make) in WORLDS {
        let mut world = make(federations);
        let purchase = buy(&mut world, true);
        let ticket = world.pay(&purchase);
        world.settle();
        assert_eq!(world.react(&purchase, ticket), Some(true));
        assert_eq!(world.dispatched(1), 0);
        let last = world.federations.last().unwrap();
        let contract = last.incoming(preimage(1).hash()).unwrap();
        assert_eq!(last.claim(contract, preimage(1)), Ok(msat(AMOUNT)));
        assert_eq!(world.worth_msat(), worth(federations.into()) + GAIN);
        let ledger = world.ledger();
        assert_eq!(ledger.len(), 1);
        assert_eq!(ledger[0].income, msat(INVOICE - FEE));
        assert_eq!(ledger[0].cost, msat(AMOUNT + FEE));
    }
}

#[test]
fn a_payee_without_a_preimage_has_the_payer_refunded() {
    for (federations, make) in WORLDS {
        let mut world = make(federations);
        let purchase = buy(&mut world, false);
        let ticket = world.pay(&purchase);
        world.settle();
        assert_eq!(world.react(&purchase, ticket), Some(false));
        assert_eq!(world.worth_msat(), worth(federations.into()) - 2 * FEE);
    }
}

#[test]
fn a_payee_that_cannot_be_funded_has_the_payer_refunded() {
    let mut world = World::new(2);
    let purchase = buy(&mut world, true);
    let offer = world.offer(1, 1, AMOUNT, true);
    world.federations[1].fund_by_another(&offer);
    let ticket = world.pay(&purchase);
    world.settle();
    assert_eq!(world.react(&purchase, ticket), Some(false));
    assert_eq!(world.worth_msat(), worth(2));
}

#[test]
fn a_contract_with_little_time_left_pays_nobody() {
    // 144 blocks to settle, and 12 to fund.
    for (blocks, paid) in [(156, true), (155, false)] {
        let mut world = World::new(2);
        let mut purchase = buy(&mut world, true);
        let mut contract = world.contract(0, preimage(1).hash(), INVOICE);
        contract.timelock = world.height() + blocks;
        purchase = world.buy(0, contract, &purchase.invoice);
        let ticket = world.pay(&purchase);
        world.settle();
        assert_eq!(world.react(&purchase, ticket), Some(paid), "{blocks}");
    }
}

#[test]
fn less_than_the_invoice_asks_for_pays_nobody() {
    let mut world = World::new(1);
    let invoice = buy(&mut world, true).invoice;
    let contract = world.contract(0, preimage(1).hash(), INVOICE - 1);
    let purchase = world.buy(0, contract, &invoice);
    let ticket = world.pay(&purchase);
    world.settle();
    assert_eq!(world.react(&purchase, ticket), Some(false));
    assert_eq!(world.federations[0].incoming(preimage(1).hash()), None);
}

#[test]
fn htlcs_and_a_contract_for_one_invoice_fund_it_once() {
    for htlcs_first in [true, false] {
        let mut world = World::new(2);
        let purchase = buy(&mut world, true);
        let ticket;
        if htlcs_first {
            world.pay_from_outside(1, &purchase.invoice, INVOICE);
            world.rounds(1);
            ticket = world.pay(&purchase);
        } else {
            ticket = world.pay(&purchase);
            world.rounds(2);
            world.pay_from_outside(1, &purchase.invoice, INVOICE);
        }
        world.settle();
        // Whoever came first has paid, and the other has its money back.
        assert_eq!(world.react(&purchase, ticket), Some(!htlcs_first));
        let outside = world.paid_from_outside(1).unwrap();
        let returned = SentState::Failed(PaymentFailure::Refused);
        assert_eq!(outside == returned, !htlcs_first);
        assert_eq!(world.federations[1].locked(), msat(AMOUNT));
        let gain = if htlcs_first { GAIN + FEE } else { GAIN };
        assert_eq!(world.worth_msat(), worth(2) + gain);
    }
}

#[test]
fn htlcs_after_a_swap_go_back() {
    let mut world = World::new(1);
    let purchase = buy(&mut world, true);
    let ticket = world.pay(&purchase);
    world.settle();
    assert_eq!(world.react(&purchase, ticket), Some(true));
    world.pay_from_outside(1, &purchase.invoice, INVOICE);
    world.settle();
    let returned = SentState::Failed(PaymentFailure::Refused);
    assert_eq!(world.paid_from_outside(1), Some(returned));
}

#[test]
fn a_hash_that_somebody_of_ours_waits_for_is_never_paid_by_lightning() {
    let mut world = World::new(1);
    let offer = world.offer(0, 1, AMOUNT, true);
    world.receive(0, offer);
    // A thief's invoice on a user's hash.
    let stolen = world.invoice_on(preimage(1).hash(), AMOUNT);
    let contract = world.contract(0, preimage(1).hash(), 103_000);
    let purchase = world.buy(0, contract, &stolen);
    let ticket = world.pay(&purchase);
    world.settle();
    assert_eq!(world.react(&purchase, ticket), Some(false));
    assert_eq!(world.dispatched(1), 0);
}

#[test]
fn a_preimage_that_is_none_is_not_taken_for_one() {
    let mut world = World::new(1);
    let purchase = buy(&mut world, true);
    world.federations[0].withhold_shares(true);
    let ticket = world.pay(&purchase);
    world.rounds(10);
    let federation = world.federations[0].id();
    let contract = world.federations[0].incoming(preimage(1).hash()).unwrap();
    let preimage = Some(preimage(2));
    let news = News::Opened { contract, preimage };
    let _ = world.gateway.handle(Event::Federation { federation, news });
    assert_eq!(world.state_of(1), ["swapping", "opening"]);
    world.federations[0].withhold_shares(false);
    world.settle();
    assert_eq!(world.react(&purchase, ticket), Some(true));
}

#[test]
fn the_power_fails_before_and_after_every_save_and_both_users_have_what_is_theirs() {
    let nodes: [fn(u8) -> World; 2] = [World::new, World::without_node];
    for (hides, make) in [true, false]
        .map(|hides| nodes.map(|make| (hides, make)))
        .concat()
    {
        let mut number = 0;
        loop {
            number += 1;
            let mut failures = 0;
            for failure in [Failure::Before(number), Failure::After(number)] {
                let mut world = make(2);
                world.failure = Some(failure);
                let purchase = buy(&mut world, hides);
                let ticket = world.pay(&purchase);
                world.settle();
                assert_eq!(world.react(&purchase, ticket), Some(hides), "{failure:?}");
                let expected = if hides {
                    worth(2) + GAIN
                } else {
                    worth(2) - 2 * FEE
                };
                assert_eq!(world.worth_msat(), expected, "{failure:?}");
                failures += world.failures;
            }
            assert!(number < 30, "it saves without end");
            if failures == 0 {
                assert!(number > 5);
                break;
            }
        }
    }
}

#[test]
fn nobody_is_paid_in_a_federation_that_was_left() {
    let mut world = World::new(2);
    let purchase = buy(&mut world, true);
    let federation = world.federations[1].id();
    world.ask(Command::Leave { federation });
    let ticket = world.pay(&purchase);
    world.settle();
    assert_eq!(world.react(&purchase, ticket), Some(false));
    assert_eq!(world.worth_msat(), worth(2));
}

#[test]
fn a_swap_that_does_not_end_is_told_after_a_day() {
    let mut world = World::new(2);
    let purchase = buy(&mut world, true);
    world.federations[1].withhold_shares(true);
    let ticket = world.pay(&purchase);
    world.rounds(20);
    world.pass_s(24 * 60 * 60);
    world.rounds(2);
    let stale = Warning::Stale(preimage(1).hash());
    assert_eq!(world.warnings, [stale]);
    world.federations[1].withhold_shares(false);
    world.settle();
    assert_eq!(world.react(&purchase, ticket), Some(true));
}

#[test]
fn a_gateway_without_a_node_announces_whose_its_invoices_are_and_that_nobody_outside_can_pay_them()
{
    let mut world = World::without_node(2);
    let keys = Keys::new(&SEED);
    for place in 0..2 {
        let api_url = Some("https://gateway.example.org".to_owned());
        let announced = Settings {
            api_url,
            ..settings()
        };
        world.serve(place, announced);
        world.settle();
        let told = world.federations[place].announcements()[0].clone();
        let told = told.announcement;
        assert_eq!(told.node_key, Some(keys.invoices().public_key()));
        assert!(told.swap_only && !told.has_node());
    }
    let purchase = buy(&mut world, true);
    let invoice = Invoice::read(&purchase.invoice, Network::Regtest).unwrap();
    assert_eq!(invoice.payee, keys.invoices().public_key());
    assert_eq!(invoice.amount, msat(INVOICE));
    assert!(invoice.is_open(world.now.0 / 1000 + 3_599).is_ok());
    assert!(invoice.is_open(world.now.0 / 1000 + 3_601).is_err());
    world.pay_from_outside(1, &purchase.invoice, INVOICE);
    world.settle();
    let outside = world.paid_from_outside(1).unwrap();
    assert!(matches!(outside, SentState::Failed(_)), "{outside:?}");
    assert_eq!(world.state_of(1), ["open"]);
}

#[test]
fn a_gateway_without_a_node_gives_up_what_is_to_be_paid_outside_and_its_hash_stays_free() {
    let mut world = World::without_node(1);
    let invoice = world.invoice(2, AMOUNT);
    for _ in 0..2 {
        let contract = world.contract(0, preimage(2).hash(), 103_000);
        let purchase = world.buy(0, contract, &invoice);
        let ticket = world.pay(&purchase);
        world.settle();
        assert_eq!(world.react(&purchase, ticket), Some(false));
    }
    let reasons = world.gateway.outgoing().into_iter();
    let reasons: Vec<_> = reasons.filter_map(|view| view.reason).collect();
    assert!(reasons.iter().all(|one| one.contains("no Lightning node")));
    assert_eq!(reasons.len(), 2);
    assert_eq!(world.worth_msat(), worth(1));
}
