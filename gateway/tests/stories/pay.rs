//! Scenarios 40, 45, 47, 48, 51: users have invoices paid.

use guildmint_core::Amount;
use guildmint_gateway::{
    node::{self, fake::Faults, Delivery, PaymentFailure},
    Command, Event, GatewayError, GivenUp, Limits, Reply, Settings, Warning,
};
use guildmint_ln::{Closing, OutgoingContract, PayRequest};

use crate::world::{msat, preimage, settings, Failure, World, CHANNELS_MSAT, ECASH_MSAT};

/// 100 sat, the announced fee of 2 sat and 1 %, and what is left after 1 sat for the way and 10 msat for the federation.
const AMOUNT: u64 = 100_000;
const CONTRACT: u64 = 103_000;
const WAY: u64 = 1_000;
const FEE: u64 = 10;
const WORTH: u64 = CHANNELS_MSAT + ECASH_MSAT;

#[test]
fn the_payer_pays_the_invoice_and_the_announced_fee() {
    let mut world = World::new(1);
    let invoice = world.invoice(1, AMOUNT);
    let contract = world.contract(0, preimage(1).hash(), CONTRACT);
    let purchase = world.buy(0, contract, &invoice);
    let ticket = world.pay(&purchase);
    world.settle();
    assert_eq!(world.replies[&ticket], Ok(Reply::Paid(preimage(1))));
    assert_eq!(world.node.outbound_msat(), CHANNELS_MSAT - AMOUNT - WAY);
    let ecash = world.federations[0].state().ecash;
    assert_eq!(ecash, msat(ECASH_MSAT + CONTRACT - FEE));
    let entry = &world.ledger()[0];
    assert_eq!(entry.income, msat(CONTRACT - FEE));
    assert_eq!(entry.cost, msat(AMOUNT + WAY));
    assert_eq!(world.warnings, []);

    // Who asks again is told the same, if the invoice is named.
    let again = world.pay(&purchase);
    world.settle();
    assert_eq!(world.replies[&again], Ok(Reply::Paid(preimage(1))));
    let stranger = world.ask(Command::Pay(PayRequest {
        federation: world.federations[0].id(),
        contract: purchase.contract,
        invoice: "lnbcrt1".into(),
    }));
    let other = GatewayError::OtherInvoice(purchase.contract);
    assert_eq!(world.replies[&stranger], Err(other));
    assert_eq!(world.dispatched(1), 1);
}

#[test]
fn a_payment_that_fails_is_given_up_and_refunded_at_once() {
    let mut world = World::new(1);
    let invoice = world.invoice(1, AMOUNT);
    world.peer.stop();
    let contract = world.contract(0, preimage(1).hash(), CONTRACT);
    let purchase = world.buy(0, contract, &invoice);
    let ticket = world.pay(&purchase);
    world.settle();
    assert_eq!(world.react(&purchase, ticket), Some(false));
    assert_eq!(
        world.federations[0].closing(purchase.contract),
        Some(Closing::Forfeited)
    );
    assert_eq!(world.worth_msat(), WORTH);

    // ⚠ Its hash is used up: a failure of the first payment could be taken for one of the second.
    world.peer.start();
    let contract = world.contract(0, preimage(1).hash(), CONTRACT);
    let second = world.buy(0, contract, &invoice);
    let ticket = world.pay(&second);
    world.settle();
    assert_eq!(world.react(&second, ticket), Some(false));
    assert_eq!(world.dispatched(1), 1);
}

#[test]
fn nothing_is_given_up_while_a_payment_is_in_flight() {
    let mut world = World::new(1);
    // The payee takes its time.
    let invoice = world.invoice_on(preimage(1).hash(), AMOUNT);
    let contract = world.contract(0, preimage(1).hash(), CONTRACT);
    let purchase = world.buy(0, contract, &invoice);
    let ticket = world.pay(&purchase);
    world.settle();
    for _ in 0..3 {
        // Whatever happens to the gateway or the invoice meanwhile.
        world.fail();
        world.pass_s(4000);
        world.settle();
        assert_eq!(world.replies.get(&ticket), None);
        assert_eq!(world.state_of(1), ["paying"]);
    }
    let claim = guildmint_gateway::node::Command::Claim {
        preimage: preimage(1).into(),
    };
    guildmint_gateway::LightningNode::command(&world.peer, claim).unwrap();
    world.settle();
    assert_eq!(world.react(&purchase, ticket), Some(true));
    assert_eq!(world.dispatched(1), 1);
    assert_eq!(world.worth_msat(), WORTH + CONTRACT - FEE - AMOUNT - WAY);
}

#[test]
fn of_two_contracts_for_one_invoice_one_is_refunded_whatever_their_federations() {
    for places in [[0, 0], [0, 1]] {
        let mut world = World::new(2);
        let invoice = world.invoice(1, AMOUNT);
        let buy = |world: &World, place| {
            let contract = world.contract(place, preimage(1).hash(), CONTRACT);
            world.buy(place, contract, &invoice)
        };
        let purchases = places.map(|place| buy(&world, place));
        let tickets = purchases.clone().map(|purchase| world.pay(&purchase));
        world.settle();
        let mut paid = Vec::new();
        for (purchase, ticket) in purchases.iter().zip(tickets) {
            paid.push(world.react(purchase, ticket).unwrap());
        }
        paid.sort_unstable();
        assert_eq!(paid, [false, true]);
        assert_eq!(world.dispatched(1), 1);
        assert_eq!(
            world.worth_msat(),
            WORTH + ECASH_MSAT + CONTRACT - FEE - AMOUNT - WAY
        );
    }
}

#[test]
fn the_power_fails_before_and_after_every_save_and_nothing_is_paid_twice() {
    for number in 1..20 {
        for failure in [Failure::Before(number), Failure::After(number)] {
            let mut world = World::new(1);
            let invoice = world.invoice(1, AMOUNT);
            world.failure = Some(failure);
            let contract = world.contract(0, preimage(1).hash(), CONTRACT);
            let purchase = world.buy(0, contract, &invoice);
            let ticket = world.pay(&purchase);
            world.settle();
            let paid = world.react(&purchase, ticket).expect("an end");
            assert!(world.dispatched(1) <= 1);
            let gain = if paid {
                CONTRACT - FEE - AMOUNT - WAY
            } else {
                0
            };
            assert_eq!(world.worth_msat(), WORTH + gain, "{failure:?}");
            if world.failures == 0 {
                // So many saves there were: all have been tried.
                assert!(number > 3 && paid);
                return;
            }
        }
    }
    panic!("it saves without end");
}

#[test]
fn who_attaches_another_invoice_to_a_contract_has_nothing_given_up() {
    let mut world = World::new(1);
    let invoice = world.invoice(1, AMOUNT);
    let contract = world.contract(0, preimage(1).hash(), CONTRACT);
    let mut purchase = world.buy(0, contract, &invoice);
    purchase.invoice = world.invoice(2, AMOUNT);
    let ticket = world.pay(&purchase);
    world.settle();
    let error = Err(GatewayError::OtherInvoice(purchase.contract));
    assert_eq!(world.replies[&ticket], error);
    // The owner is served all the same, though both ask at once.
    let stranger = world.pay(&purchase);
    purchase.invoice = invoice;
    let owner = world.pay(&purchase);
    world.settle();
    assert_eq!(world.replies[&stranger], error);
    assert_eq!(world.react(&purchase, owner), Some(true));
}

#[test]
fn contracts_that_cannot_be_served_are_given_up_and_cost_nothing() {
    type Change = fn(&mut OutgoingContract, u32);
    let changes: [(GivenUp, Change); 4] = [
        (
            GivenUp::TooLittle {
                holds: msat(CONTRACT - 1),
                needs: msat(CONTRACT),
            },
            |contract, _| contract.amount = msat(CONTRACT - 1),
        ),
        (GivenUp::OtherHash, |contract, _| {
            contract.hash = preimage(9).hash();
        }),
        // One block less than 18 for the payee and 80 for the way, before the 150 that are kept.
        (GivenUp::TooShort(97), |contract, height| {
            contract.timelock = height + 150 + 97;
        }),
        (GivenUp::TooShort(0), |contract, height| {
            contract.timelock = height;
        }),
    ];
    for (reason, change) in changes {
        let mut world = World::new(1);
        let invoice = world.invoice(1, AMOUNT);
        let mut contract = world.contract(0, preimage(1).hash(), CONTRACT);
        change(&mut contract, world.height());
        let purchase = world.buy(0, contract, &invoice);
        let ticket = world.pay(&purchase);
        world.settle();
        assert_eq!(world.react(&purchase, ticket), Some(false), "{reason}");
        assert_eq!(world.gateway.outgoing()[0].reason, Some(reason.to_string()));
        assert_eq!(world.dispatched(1), 0, "{reason}");
        assert_eq!(world.worth_msat(), WORTH);
    }
}

#[test]
fn invoices_that_cannot_be_paid_are_given_up() {
    let mut world = World::new(1);
    let invoice = world.invoice(1, AMOUNT);
    let mut contracts = Vec::new();
    // From the specification's examples: without an amount, and of another network.
    let foreign = "lnbc1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdpl2pkx2ctnv5sxxmmwwd5kgetjypeh2ursdae8g6twvus8g6rfwvs8qun0dfjkxaq9qrsgq357wnc5r2ueh7ck6q93dj32dlqnls087fxdwk8qakdyafkq3yap9us6v52vjjsrvywa6rt52cm9r9zqt8r2t7mlcwspyetp5h2tztugp9lfyql";
    for text in [foreign, "garbage"] {
        let contract = world.contract(0, preimage(1).hash(), CONTRACT);
        contracts.push(world.buy(0, contract, text));
    }
    world.pass_s(3601);
    let contract = world.contract(0, preimage(1).hash(), CONTRACT);
    contracts.push(world.buy(0, contract, &invoice));
    for purchase in contracts {
        let ticket = world.pay(&purchase);
        world.settle();
        assert_eq!(world.react(&purchase, ticket), Some(false));
    }
    assert_eq!(world.dispatched(1), 0);
}

#[test]
fn contracts_of_others_are_left_alone() {
    let mut world = World::new(2);
    let invoice = world.invoice(1, AMOUNT);
    let theirs = world.contract(1, preimage(1).hash(), CONTRACT);
    let purchase = world.buy(0, theirs, &invoice);
    let ticket = world.pay(&purchase);
    world.settle();
    let error = Err(GatewayError::NotOurs(purchase.contract));
    assert_eq!(world.replies[&ticket], error);
    // ⚠ A forfeit says one federation and one contract: played again on another, it is refused.
    let ours = world.contract(0, preimage(1).hash(), 1);
    let (given_up, kept) = (world.buy(0, ours, &invoice), world.buy(0, ours, &invoice));
    let ticket = world.pay(&given_up);
    world.settle();
    let Ok(Reply::GivenUp(forfeit)) = world.replies[&ticket] else {
        panic!("{:?}", world.replies[&ticket]);
    };
    assert!(world.federations[0]
        .refund(kept.contract, Some(forfeit))
        .is_err());
    assert_eq!(
        world.federations[0].refund(given_up.contract, Some(forfeit)),
        Ok(())
    );
}

#[test]
fn a_gateway_that_has_paid_is_paid_after_the_time_limit_too() {
    let mut world = World::new(1);
    let invoice = world.invoice(1, AMOUNT);
    let contract = world.contract(0, preimage(1).hash(), CONTRACT);
    let purchase = world.buy(0, contract, &invoice);
    let ticket = world.pay(&purchase);
    world.rounds(1);
    // The federation stands still while the payment arrives, and its clock jumps.
    world.federations[0].stall(true);
    world.rounds(20);
    world.mine(2000);
    world.rounds(20);
    world.federations[0].stall(false);
    world.settle();
    assert_eq!(world.react(&purchase, ticket), Some(true));
    assert_eq!(world.worth_msat(), WORTH + CONTRACT - FEE - AMOUNT - WAY);
}

#[test]
fn the_operator_is_warned_before_it_is_too_late_and_told_of_what_was_lost() {
    let mut world = World::new(1);
    let invoice = world.invoice_on(preimage(1).hash(), AMOUNT);
    let contract = world.contract(0, preimage(1).hash(), CONTRACT);
    let purchase = world.buy(0, contract, &invoice);
    world.pay(&purchase);
    world.settle();
    world.federations[0].mine(1008 - 72);
    world.settle();
    assert_eq!(world.warnings, []);
    world.federations[0].mine(1);
    world.settle();
    assert!(matches!(
        world.warnings[..],
        [Warning::PaymentLate { blocks: 71, .. }]
    ));
    // The payee settles after the user has the money back, which takes a node that does not keep the limits it was given.
    world.federations[0].mine(71);
    world.federations[0]
        .refund(purchase.contract, None)
        .unwrap();
    let claim = guildmint_gateway::node::Command::Claim {
        preimage: preimage(1).into(),
    };
    guildmint_gateway::LightningNode::command(&world.peer, claim).unwrap();
    world.settle();
    assert_eq!(world.state_of(1), ["lost"]);
    let lost = AMOUNT + WAY;
    assert!(world.warnings.iter().any(|warning| {
        matches!(warning, Warning::Lost { amount, .. } if *amount == msat(lost))
    }));
    assert_eq!(world.gateway.totals().earned_msat(), -i128::from(lost));
}

#[test]
fn what_node_and_federation_do_not_agree_on_is_not_begun() {
    type Harm = fn(&mut World);
    let harms: [(&str, Harm); 4] = [
        ("the node is behind", |world| world.federations[0].mine(4)),
        ("the federation is behind", |world| world.lightning.mine(4)),
        ("the node is not synced", |world| {
            world.now = world.now.after_ms(11 * 60 * 1000);
        }),
        ("the federation is not well", |world| {
            world.federations[0].set_trouble(Some("two guardians of four answer"));
        }),
    ];
    for (what, harm) in harms {
        let mut world = World::new(1);
        let invoice = world.invoice(1, AMOUNT);
        let contract = world.contract(0, preimage(1).hash(), CONTRACT);
        let purchase = world.buy(0, contract, &invoice);
        harm(&mut world);
        let ticket = world.pay(&purchase);
        world.settle();
        assert_eq!(world.react(&purchase, ticket), Some(false), "{what}");
        assert_eq!(world.dispatched(1), 0, "{what}");
    }
}

#[test]
fn limits_bound_what_a_federation_and_an_unknown_fault_can_cost() {
    let limited = |limits: Limits| Settings {
        limits,
        ..settings()
    };
    let usual = settings().limits;
    let tight: [Limits; 3] = [
        Limits {
            exposure: msat(ECASH_MSAT + CONTRACT - 1),
            ..usual
        },
        Limits {
            spending: msat(AMOUNT + 2_999),
            ..usual
        },
        Limits { paying: 0, ..usual },
    ];
    for limits in tight {
        let mut world = World::new(1);
        world.serve(0, limited(limits));
        world.settle();
        let invoice = world.invoice(1, AMOUNT);
        let contract = world.contract(0, preimage(1).hash(), CONTRACT);
        let purchase = world.buy(0, contract, &invoice);
        let ticket = world.pay(&purchase);
        world.settle();
        assert_eq!(world.react(&purchase, ticket), Some(false), "{limits:?}");
    }
    // What was spent in one period is not counted in the next.
    let mut world = World::new(1);
    world.serve(
        0,
        limited(Limits {
            spending: msat(AMOUNT + 3_000),
            ..usual
        }),
    );
    let mut paid = Vec::new();
    for (number, wait_s) in [(1, 0), (2, 0), (3, 24 * 60 * 60)] {
        world.pass_s(wait_s);
        let invoice = world.invoice(number, AMOUNT);
        let contract = world.contract(0, preimage(number).hash(), CONTRACT);
        let purchase = world.buy(0, contract, &invoice);
        let ticket = world.pay(&purchase);
        world.settle();
        paid.push(world.react(&purchase, ticket).unwrap());
    }
    assert_eq!(paid, [true, false, true]);
}

#[test]
fn a_federation_that_is_left_gets_nothing_new_and_what_was_begun_ends() {
    let mut world = World::new(1);
    let first = world.invoice(1, AMOUNT);
    let contract = world.contract(0, preimage(1).hash(), CONTRACT);
    let first = world.buy(0, contract, &first);
    world.lightning.set_faults(Faults {
        delayed_percent: 100,
        ..Faults::default()
    });
    let begun = world.pay(&first);
    world.rounds(5);
    let federation = world.federations[0].id();
    world.ask(Command::Leave { federation });
    let second = world.invoice(2, AMOUNT);
    let contract = world.contract(0, preimage(2).hash(), CONTRACT);
    let second = world.buy(0, contract, &second);
    let refused = world.pay(&second);
    world.lightning.set_faults(Faults::default());
    world.settle();
    assert_eq!(world.react(&first, begun), Some(true));
    assert_eq!(world.react(&second, refused), Some(false));
    assert_ne!(world.gateway.worth(), Amount::ZERO);
}

#[test]
fn a_failure_that_is_told_after_a_success_changes_nothing() {
    let mut world = World::new(1);
    let invoice = world.invoice(1, AMOUNT);
    let contract = world.contract(0, preimage(1).hash(), CONTRACT);
    let purchase = world.buy(0, contract, &invoice);
    let ticket = world.pay(&purchase);
    world.federations[0].stall(true);
    world.rounds(20);
    for state in ["claiming", "claimed"] {
        assert_eq!(world.state_of(1), [state]);
        world.feed(Event::Node(Delivery {
            number: 99,
            event: node::Event::PaymentFailed {
                hash: preimage(1).hash().into(),
                reason: PaymentFailure::Retried,
            },
        }));
        assert_eq!(world.state_of(1), [state]);
        world.federations[0].stall(false);
        world.settle();
    }
    assert_eq!(world.react(&purchase, ticket), Some(true));
}

#[test]
fn what_comes_before_anything_is_known_is_refused_for_the_moment_and_not_given_up() {
    let mut world = World::new(1);
    let invoice = world.invoice(1, AMOUNT);
    let contract = world.contract(0, preimage(1).hash(), CONTRACT);
    let purchase = world.buy(0, contract, &invoice);
    world.start_untold();
    let early = world.pay(&purchase);
    for news in world.federations[0].turn() {
        let federation = world.federations[0].id();
        world.feed(Event::Federation { federation, news });
    }
    assert!(matches!(
        world.replies[&early],
        Err(GatewayError::NotNow(_))
    ));
    world.settle();
    let ticket = world.pay(&purchase);
    world.settle();
    assert_eq!(world.react(&purchase, ticket), Some(true));
}

#[test]
fn nothing_leaves_before_what_it_follows_from_is_durable() {
    let mut world = World::new(1);
    let invoice = world.invoice(1, AMOUNT);
    let contract = world.contract(0, preimage(1).hash(), CONTRACT);
    let purchase = world.buy(0, contract, &invoice);
    let ticket = world.pay(&purchase);
    // The disk takes what it is given, and writes none of it.
    world.disk_percent = 0;
    world.rounds(20);
    assert_eq!(world.state_of(1), ["paying"]);
    assert_eq!(world.dispatched(1), 0);
    world.disk_percent = 100;
    world.rounds(1);
    assert_eq!(world.dispatched(1), 1);
    world.disk_percent = 0;
    world.rounds(20);
    // What the node has told is not said to be handled, and the user not that it is paid.
    assert_eq!(world.state_of(1), ["claiming"]);
    assert!(!world.node.is_quiet());
    assert_eq!(world.replies.get(&ticket), None);
    assert_eq!(world.federations[0].closing(purchase.contract), None);
    world.disk_percent = 100;
    world.settle();
    assert_eq!(world.react(&purchase, ticket), Some(true));
}
