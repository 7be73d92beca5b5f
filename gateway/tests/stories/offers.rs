//! BOLT12: users have offers paid.

use guildmint_gateway::{fetched_name, limits, Command, Fetched, GatewayError, Reply, Ticket};
use guildmint_ln::FetchRequest;

use crate::world::{preimage, Failure, Purchase, World, CHANNELS_MSAT, ECASH_MSAT};

const AMOUNT: u64 = 100_000;
const CONTRACT: u64 = 103_000;
const WAY: u64 = 1_000;
const FEE: u64 = 10;

fn fetch(world: &mut World, amount_msat: u64) -> Ticket {
    let offer = world.peer.offer(&preimage(1).into(), AMOUNT);
    world.ask(Command::Fetch(FetchRequest {
        federation: world.federations[0].id(),
        offer,
        amount_msat,
        note: None,
    }))
}

fn fetched(world: &World, ticket: Ticket) -> Fetched {
    match world.replies.get(&ticket) {
        Some(Ok(Reply::Fetched(fetched))) => fetched.clone(),
        other => panic!("{other:?}"),
    }
}

/// The user funds a contract on the hash of what was fetched.
fn buy(world: &World, fetched: &Fetched, amount: u64) -> Purchase {
    let contract = world.contract(0, fetched.hash, amount);
    let contract = guildmint_ln::OutgoingContract {
        invoice_hash: fetched.invoice_hash,
        ..contract
    };
    Purchase {
        federation: 0,
        contract: world.federations[0].fund(contract),
        invoice: fetched_name(fetched.request),
    }
}

#[test]
fn an_offer_is_paid_by_a_contract_on_the_hash_of_its_invoice() {
    let mut world = World::new(1);
    let ticket = fetch(&mut world, AMOUNT);
    world.settle();
    let fetched = fetched(&world, ticket);
    assert_eq!(fetched.contract_amount.msat(), CONTRACT);
    assert_eq!(fetched.hash, preimage(1).hash());
    let purchase = buy(&world, &fetched, CONTRACT);
    let ticket = world.pay(&purchase);
    world.settle();
    assert_eq!(world.react(&purchase, ticket), Some(true));
    assert_eq!(world.dispatched(1), 1);
    let gain = CONTRACT - FEE - AMOUNT - WAY;
    assert_eq!(world.worth_msat(), CHANNELS_MSAT + ECASH_MSAT + gain);
    // Also after the invoice is no request any more.
    let again = world.pay(&purchase);
    assert_eq!(world.replies[&again], Ok(Reply::Paid(preimage(1))));
}

#[test]
fn what_is_not_funded_in_time_is_forgotten_and_its_name_stands_for_nothing() {
    let mut world = World::new(1);
    let ticket = fetch(&mut world, AMOUNT);
    world.settle();
    let fetched = fetched(&world, ticket);
    let purchase = buy(&world, &fetched, CONTRACT);
    world.pass_s(10 * 60);
    world.settle();
    let ticket = world.pay(&purchase);
    world.settle();
    // ⚠ Nothing is known any more by which this could be told from a stranger's wish.
    let error = Err(GatewayError::OtherInvoice(purchase.contract));
    assert_eq!(world.replies[&ticket], error);
    assert_eq!(world.dispatched(1), 0);
}

#[test]
fn who_names_a_forgotten_invoice_by_its_text_has_the_contract_given_up() {
    let mut world = World::new(1);
    let ticket = fetch(&mut world, AMOUNT);
    world.settle();
    let fetched = fetched(&world, ticket);
    let mut purchase = buy(&world, &fetched, CONTRACT);
    world.pass_s(10 * 60);
    world.settle();
    // Its hash is the contract's, which no stranger's is.
    purchase.invoice = hex::encode(&fetched.invoice);
    let ticket = world.pay(&purchase);
    world.settle();
    assert_eq!(world.react(&purchase, ticket), Some(false));
    assert_eq!(world.dispatched(1), 0);
}

#[test]
fn an_invoice_for_another_amount_or_none_is_told_as_such() {
    let mut world = World::new(1);
    let other = fetch(&mut world, AMOUNT - 1);
    world.settle();
    assert!(matches!(world.replies[&other], Err(GatewayError::Fetch(_))));
    world.peer.stop();
    let none = fetch(&mut world, AMOUNT);
    world.settle();
    assert!(matches!(world.replies[&none], Err(GatewayError::Fetch(_))));
}

#[test]
fn a_contract_that_holds_too_little_for_its_offer_is_given_up() {
    let mut world = World::new(1);
    let ticket = fetch(&mut world, AMOUNT);
    world.settle();
    let purchase = buy(&world, &fetched(&world, ticket), CONTRACT - 1);
    let ticket = world.pay(&purchase);
    world.settle();
    assert_eq!(world.react(&purchase, ticket), Some(false));
    assert_eq!(world.dispatched(1), 0);
}

/// ⚠ A hash is paid once, by whatever kind of invoice, and never where somebody of ours waits for it.
#[test]
fn an_offers_invoice_on_a_hash_that_has_another_use_is_not_paid() {
    // Paid by a BOLT11 invoice.
    let mut world = World::new(1);
    let invoice = world.invoice(1, AMOUNT);
    let contract = world.contract(0, preimage(1).hash(), CONTRACT);
    let first = world.buy(0, contract, &invoice);
    let paid = world.pay(&first);
    world.settle();
    assert_eq!(world.react(&first, paid), Some(true));
    assert_eq!(pay_fetched(&mut world), Some(false));
    assert_eq!(world.dispatched(1), 1);
    // By another request for the same offer.
    let mut world = World::new(1);
    let tickets = [fetch(&mut world, AMOUNT), fetch(&mut world, AMOUNT)];
    world.settle();
    let purchases = tickets.map(|ticket| buy(&world, &fetched(&world, ticket), CONTRACT));
    let tickets = purchases.clone().map(|purchase| world.pay(&purchase));
    world.settle();
    let ends = [0, 1].map(|place| world.react(&purchases[place], tickets[place]));
    assert_eq!(ends, [Some(true), Some(false)]);
    assert_eq!(world.dispatched(1), 1);
    // Waited for by a user.
    let mut world = World::new(1);
    let offer = world.offer(0, 1, AMOUNT, true);
    world.receive(0, offer);
    assert_eq!(pay_fetched(&mut world), Some(false));
    assert_eq!(world.dispatched(1), 0);
}

fn pay_fetched(world: &mut World) -> Option<bool> {
    let ticket = fetch(world, AMOUNT);
    world.settle();
    let purchase = buy(world, &fetched(world, ticket), CONTRACT);
    let ticket = world.pay(&purchase);
    world.settle();
    world.react(&purchase, ticket)
}

#[test]
fn a_contract_for_a_fetched_invoice_is_of_its_federation_and_hash_and_lasts_long_enough() {
    type Change = fn(&World, &mut Purchase, guildmint_ln::OutgoingContract);
    let changes: [(Change, bool); 4] = [
        (
            |world, purchase, contract| {
                let contract = guildmint_ln::OutgoingContract {
                    gateway_key: world.contract(1, contract.hash, 1).gateway_key,
                    ..contract
                };
                purchase.federation = 1;
                purchase.contract = world.federations[1].fund(contract);
            },
            false,
        ),
        (
            |world, purchase, mut contract| {
                contract.hash = preimage(9).hash();
                purchase.contract = world.federations[0].fund(contract);
            },
            false,
        ),
        // 576 blocks are what the node was told when it fetched, and 150 are kept.
        (
            |world, purchase, mut contract| {
                contract.timelock = world.height() + 150 + 575;
                purchase.contract = world.federations[0].fund(contract);
            },
            false,
        ),
        (
            |world, purchase, mut contract| {
                contract.timelock = world.height() + 150 + 576;
                purchase.contract = world.federations[0].fund(contract);
            },
            true,
        ),
    ];
    for (change, paid) in changes {
        let mut world = World::new(2);
        let ticket = fetch(&mut world, AMOUNT);
        world.settle();
        let fetched = fetched(&world, ticket);
        let contract = guildmint_ln::OutgoingContract {
            invoice_hash: fetched.invoice_hash,
            ..world.contract(0, fetched.hash, CONTRACT)
        };
        let mut purchase = buy(&world, &fetched, CONTRACT);
        change(&world, &mut purchase, contract);
        let ticket = world.pay(&purchase);
        world.settle();
        assert_eq!(world.react(&purchase, ticket), Some(paid));
        assert_eq!(world.dispatched(1), u32::from(paid));
    }
}

#[test]
fn so_many_invoices_are_fetched_at_once() {
    let mut world = World::new(1);
    let asked = (0..=limits::MAX_FETCHES).map(|_| fetch(&mut world, AMOUNT));
    let asked: Vec<Ticket> = asked.collect();
    world.rounds(1);
    let is_busy = |ticket| matches!(world.replies.get(ticket), Some(Err(GatewayError::Busy(_))));
    let busy: Vec<usize> = (0..asked.len()).filter(|at| is_busy(&asked[*at])).collect();
    assert_eq!(busy, [limits::MAX_FETCHES]);
}

#[test]
fn the_power_fails_before_and_after_every_save_of_an_offers_payment() {
    let mut number = 0;
    loop {
        number += 1;
        let mut failures = 0;
        for failure in [Failure::Before(number), Failure::After(number)] {
            let mut world = World::new(1);
            world.failure = Some(failure);
            let ticket = fetch(&mut world, AMOUNT);
            world.settle();
            let purchase = buy(&world, &fetched(&world, ticket), CONTRACT);
            let ticket = world.pay(&purchase);
            world.settle();
            let paid = world.react(&purchase, ticket).expect("an end");
            assert!(world.dispatched(1) <= 1);
            let gain = if paid {
                CONTRACT - FEE - AMOUNT - WAY
            } else {
                0
            };
            assert_eq!(world.worth_msat(), CHANNELS_MSAT + ECASH_MSAT + gain);
            failures += world.failures;
        }
        assert!(number < 30, "it saves without end");
        if failures == 0 {
            assert!(number > 4);
            return;
        }
    }
}
