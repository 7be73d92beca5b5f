//! Payments larger than any one channel.

use guildmint_gateway::node::{Command, Event, LightningNode as _};

use crate::world::{order, preimage, wait_for, World, CHANNEL_SAT};

const AMOUNT_MSAT: u64 = CHANNEL_SAT * 1000 + 2_000_000_000;

#[test]
fn a_payment_in_parts_is_held_claimed_and_given_back_as_one() {
    let world = World::new();
    let (mut one, mut two, _) = world.pair();
    wait_for("the change of the first funding", || {
        (one.state().balances.wallet_msat > 2 * AMOUNT_MSAT).then_some(())
    });
    world.open(&one, &two);
    wait_for("both channels", || {
        let usable = one.state().channels;
        (usable.iter().filter(|channel| channel.usable).count() == 2).then_some(())
    });
    let before_msat = one.state().balances.channels_msat;
    let (to_fail, to_claim) = (preimage(1).hash(), preimage(2).hash());

    let invoice = two.invoice(to_fail, AMOUNT_MSAT);
    one.command(Command::Pay(order(&invoice, to_fail, AMOUNT_MSAT)))
        .unwrap();
    assert_eq!(two.wait_until_held(to_fail).0, AMOUNT_MSAT);
    two.command(Command::Fail { hash: to_fail }).unwrap();
    let end = one.wait_for_end(to_fail);
    assert!(matches!(end, Event::PaymentFailed { .. }), "{end:?}");
    wait_for("all of it", || {
        (one.state().balances.channels_msat == before_msat).then_some(())
    });

    let invoice = two.invoice(to_claim, AMOUNT_MSAT);
    one.command(Command::Pay(order(&invoice, to_claim, AMOUNT_MSAT)))
        .unwrap();
    assert_eq!(two.wait_until_held(to_claim).0, AMOUNT_MSAT);
    // All parts or none, also for nodes that were away.
    one.restart();
    two.restart();
    assert_eq!(two.held(None).unwrap()[0].amount_msat, AMOUNT_MSAT);
    two.command(Command::Claim {
        preimage: preimage(2),
    })
    .unwrap();
    let end = one.wait_for_end(to_claim);
    assert!(matches!(end, Event::PaymentSucceeded { .. }), "{end:?}");
    wait_for("what it cost", || {
        (one.state().balances.channels_msat == before_msat - AMOUNT_MSAT).then_some(())
    });
}
