//! What strangers can do to a gateway's limits and money without money of their own: nothing that others notice.

use guildmint_core::{FederationId, OutPoint};
use guildmint_gateway::{
    federation::News, limits, Command, Event, GatewayError, LightningNode, Limits, Reply, Settings,
    Ticket,
};
use guildmint_ln::{ContractId, PayRequest};

use crate::world::{msat, preimage, settings, Purchase, World};

const AMOUNT: u64 = 100_000;
const CONTRACT: u64 = 103_000;
const INVOICE: u64 = 100_500;

fn spending(world: &mut World, spending: u64) {
    let settings = Settings {
        limits: Limits {
            spending: msat(spending),
            ..settings().limits
        },
        ..settings()
    };
    world.serve(0, settings);
    world.settle();
}

fn buy(world: &World, number: u8) -> Purchase {
    let invoice = world.invoice(number, AMOUNT);
    let contract = world.contract(0, preimage(number).hash(), CONTRACT);
    world.buy(0, contract, &invoice)
}

#[test]
fn payments_that_fail_do_not_use_up_the_day() {
    let mut world = World::new(1);
    spending(&mut world, AMOUNT + 3_000);
    for number in 1..=3 {
        let purchase = buy(&world, number);
        world.peer.stop();
        let ticket = world.pay(&purchase);
        world.settle();
        assert_eq!(world.react(&purchase, ticket), Some(false));
        world.peer.start();
    }
    for (number, paid) in [(4, true), (5, false)] {
        let purchase = buy(&world, number);
        let ticket = world.pay(&purchase);
        world.settle();
        assert_eq!(world.react(&purchase, ticket), Some(paid));
    }
}

#[test]
fn offers_that_come_to_nothing_do_not_use_up_the_day() {
    let mut world = World::new(1);
    spending(&mut world, AMOUNT);
    // One hides nothing, and another has funded the other.
    for (number, hides) in [(1, false), (2, true)] {
        let offer = world.offer(0, number, AMOUNT, hides);
        let invoice = world.receive(0, offer);
        if hides {
            world.federations[0].fund_by_another(&offer);
        }
        world.pay_from_outside(number, &invoice, INVOICE);
        world.settle();
        assert_eq!(world.state_of(number), ["returned"]);
    }
    for (number, end) in [(3, "paid"), (4, "returned")] {
        let offer = world.offer(0, number, AMOUNT, true);
        let invoice = world.receive(0, offer);
        world.pay_from_outside(number, &invoice, INVOICE);
        world.settle();
        assert_eq!(world.state_of(number), [end]);
    }
}

#[test]
fn what_comes_back_after_its_day_makes_the_next_no_longer() {
    let mut world = World::new(1);
    spending(&mut world, AMOUNT + 3_000);
    // Held by its payee over the end of the day.
    let invoice = world.invoice_on(preimage(1).hash(), AMOUNT);
    let contract = world.contract(0, preimage(1).hash(), CONTRACT);
    let held = world.buy(0, contract, &invoice);
    let ticket = world.pay(&held);
    world.settle();
    world.pass_s(24 * 60 * 60);
    let purchase = buy(&world, 2);
    let second = world.pay(&purchase);
    world.settle();
    assert_eq!(world.react(&purchase, second), Some(true));
    let hash = preimage(1).hash().into();
    let fail = guildmint_gateway::node::Command::Fail { hash };
    world.peer.command(fail).unwrap();
    world.settle();
    assert_eq!(world.react(&held, ticket), Some(false));
    let purchase = buy(&world, 3);
    let third = world.pay(&purchase);
    world.settle();
    assert_eq!(world.react(&purchase, third), Some(false));
}

#[test]
fn an_invoice_in_other_money_than_the_federations_is_not_given_out() {
    let mut world = World::new(1);
    let federation = world.federations[0].id();
    // As an operator does who runs the node on another network.
    world.ask(Command::Serve {
        federation,
        network: bitcoin::Network::Signet,
        settings: settings(),
    });
    let offer = world.offer(0, 1, AMOUNT, true);
    let request = world.request(0, offer);
    let ticket = world.ask(Command::Invoice(request));
    world.settle();
    let refused = &world.replies[&ticket];
    assert!(
        matches!(refused, Err(GatewayError::NotNow(_))),
        "{refused:?}"
    );
    assert_eq!(world.state_of(1), [""; 0]);
}

#[test]
fn a_wallet_that_asks_again_and_again_is_answered_in_the_end() {
    let mut world = World::new(1);
    let invoice = world.invoice_on(preimage(1).hash(), AMOUNT);
    let contract = world.contract(0, preimage(1).hash(), CONTRACT);
    let purchase = world.buy(0, contract, &invoice);
    // Each time its connection ends first, of which the gateway hears nothing.
    let mut tickets = Vec::new();
    for _ in 0..=2 * limits::MAX_WAITERS {
        tickets.push(world.pay(&purchase));
        world.settle();
    }
    let waiting = tickets.split_off(limits::MAX_WAITERS + 1);
    let is_busy = |ticket: &Ticket| matches!(world.replies[ticket], Err(GatewayError::Busy(_)));
    assert!(tickets.iter().all(is_busy));
    let claim = guildmint_gateway::node::Command::Claim {
        preimage: preimage(1).into(),
    };
    world.peer.command(claim).unwrap();
    world.settle();
    for ticket in waiting {
        assert_eq!(world.replies[&ticket], Ok(Reply::Paid(preimage(1))));
    }
}

#[test]
fn a_federation_that_does_not_answer_keeps_no_other_from_being_asked() {
    let mut world = World::new(2);
    let silent = world.federations[0].id();
    for index in 0..=limits::MAX_LOOKS {
        let index = u16::try_from(index).unwrap();
        let txid = guildmint_core::TxId([5; 32]);
        let request = PayRequest {
            federation: silent,
            contract: ContractId::new(OutPoint { txid, index }),
            invoice: "lnbcrt1".into(),
        };
        let ticket = world.ask(Command::Pay(request));
        let is_last = usize::from(index) == limits::MAX_LOOKS;
        assert_eq!(world.replies.contains_key(&ticket), is_last);
    }
    let invoice = world.invoice(1, AMOUNT);
    let contract = world.contract(1, preimage(1).hash(), CONTRACT);
    let purchase = world.buy(1, contract, &invoice);
    let ticket = world.pay(&purchase);
    world.settle();
    assert_eq!(world.react(&purchase, ticket), Some(true));
}

#[test]
fn a_loss_is_not_weighed_before_all_that_there_is_is_known() {
    let mut world = World::new(1);
    let offer = world.offer(0, 1, AMOUNT, false);
    let invoice = world.receive(0, offer);
    world.pay_from_outside(1, &invoice, INVOICE);
    while world.state_of(1) != ["refunding"] {
        world.round();
    }
    let contract = world.gateway.incoming()[0].contract.unwrap();
    world.start_untold();
    let federation = world.federations[0].id();
    let fee = msat(10);
    let news = News::Refunded { contract, fee };
    world.feed(Event::Federation { federation, news });
    // Two fees are lost, and next to nothing is known of all the rest.
    assert_eq!(world.gateway.totals().earned_msat(), -20);
    assert!(!world.gateway.totals().halted);
}

#[test]
fn a_contract_that_was_refunded_is_not_paid() {
    let mut world = World::new(1);
    let purchase = buy(&world, 1);
    world.mine(1008);
    world.federations[0]
        .refund(purchase.contract, None)
        .unwrap();
    let ticket = world.pay(&purchase);
    world.settle();
    let closed = Err(GatewayError::Closed(purchase.contract));
    assert_eq!(world.replies[&ticket], closed);
    assert_eq!(world.dispatched(1), 0);
}

#[test]
fn e_cash_that_is_about_to_leave_is_not_promised_again() {
    let mut world = World::new(1);
    let invoices = [1, 2].map(|number| {
        let offer = world.offer(0, number, 3_000_000, true);
        (number, world.receive(0, offer))
    });
    world.federations[0].stall(true);
    for (number, invoice) in invoices {
        world.pay_from_outside(number, &invoice, 3_000_500);
        world.rounds(30);
    }
    assert_eq!(world.state_of(1), ["funding"]);
    assert_eq!(world.state_of(2), ["returned"]);
    world.federations[0].stall(false);
    world.settle();
    assert_eq!(world.state_of(1), ["paid"]);
}

#[test]
fn a_federation_that_was_left_makes_room_for_another() {
    let mut world = World::new(0);
    let id = |number: usize| {
        let mut id = [9; 32];
        id[..8].copy_from_slice(&number.to_le_bytes());
        FederationId(id)
    };
    let serve = |world: &mut World, number| {
        let ticket = world.ask(Command::Serve {
            federation: id(number),
            network: bitcoin::Network::Regtest,
            settings: settings(),
        });
        world.settle();
        world.replies[&ticket].clone()
    };
    let leave = |world: &mut World, number| {
        let federation = id(number);
        world.ask(Command::Leave { federation });
    };
    let last = limits::MAX_FEDERATIONS;
    for number in 0..last {
        assert_eq!(serve(&mut world, number), Ok(Reply::Done));
    }
    assert_eq!(serve(&mut world, last), Err(GatewayError::Federations));
    // Other fees for one that is served are none more.
    assert_eq!(serve(&mut world, 0), Ok(Reply::Done));
    leave(&mut world, 0);
    assert_eq!(serve(&mut world, last), Ok(Reply::Done));
    // To come back is to be one more.
    assert_eq!(serve(&mut world, 0), Err(GatewayError::Federations));
    for number in last + 1..limits::MAX_REMEMBERED_FEDERATIONS {
        leave(&mut world, number - 1);
        assert_eq!(serve(&mut world, number), Ok(Reply::Done));
    }
    leave(&mut world, limits::MAX_REMEMBERED_FEDERATIONS - 1);
    let one_more = serve(&mut world, limits::MAX_REMEMBERED_FEDERATIONS);
    assert_eq!(one_more, Err(GatewayError::RememberedFederations));
}

#[test]
fn so_many_invoices_wait_and_no_more() {
    let mut world = World::new(1);
    let expires_at = world.height() + 144;
    let federation = world.federations[0].clone();
    let asked = (0..=limits::MAX_INVOICES).map(|number| {
        let mut hash = [1; 32];
        hash[..8].copy_from_slice(&number.to_le_bytes());
        let offer = federation.offer(hash.into(), msat(AMOUNT), expires_at, None);
        let request = world.request(0, offer);
        world.ask(Command::Invoice(request))
    });
    let mut asked: Vec<Ticket> = asked.collect();
    world.rounds(3);
    let last = &world.replies[&asked.pop().unwrap()];
    assert!(matches!(last, Err(GatewayError::Busy(_))), "{last:?}");
    let is_made = |ticket| matches!(world.replies[ticket], Ok(Reply::Invoice(_)));
    assert!(asked.iter().all(is_made));
}
