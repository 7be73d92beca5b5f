use guildmint_gateway::node::{Command, Event, LightningNode as _};

use crate::world::{order, preimage, World};

#[test]
fn a_payment_that_is_held_outlives_both_nodes() {
    let world = World::new();
    let (mut one, mut two, _) = world.pair();
    let (to_claim, to_fail) = (preimage(1).hash(), preimage(2).hash());
    for hash in [to_claim, to_fail] {
        let invoice = two.invoice(hash, 50_000_000);
        one.command(Command::Pay(order(&invoice, hash, 50_000_000)))
            .unwrap();
        two.wait_until_held(hash);
    }
    one.restart();
    two.restart();
    assert_eq!(one.in_flight(None).unwrap().len(), 2);
    assert_eq!(two.held(None).unwrap().len(), 2);
    // Before the peers have found each other again.
    two.command(Command::Claim {
        preimage: preimage(1),
    })
    .unwrap();
    two.command(Command::Fail { hash: to_fail }).unwrap();
    assert!(matches!(
        one.wait_for_end(to_claim),
        Event::PaymentSucceeded { .. }
    ));
    one.restart();
    assert!(matches!(
        one.wait_for_end(to_fail),
        Event::PaymentFailed { .. }
    ));
    assert!(one.in_flight(None).unwrap().is_empty());

    // And new ones go through.
    one.wait_until_usable();
    two.wait_until_usable();
    let hash = preimage(3).hash();
    let invoice = two.invoice(hash, 1_000_000);
    one.command(Command::Pay(order(&invoice, hash, 1_000_000)))
        .unwrap();
    two.wait_until_held(hash);
}
