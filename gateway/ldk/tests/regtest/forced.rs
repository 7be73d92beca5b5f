//! Anchor channels that end with HTLCs in them: what is claimed or taken back on the chain is paid for out of the wallets.

use guildmint_gateway::node::{
    ChannelChange, ChannelId, Closing, Command, Event, LightningNode as _, PaymentHash,
};

use crate::world::{order, preimage, wait_for, Running, World, FUNDS};

const AMOUNT_MSAT: u64 = 600_000_000;
const AMOUNT_SAT: u64 = AMOUNT_MSAT / 1000;
/// What closing one channel and sweeping what is in it may cost one side, in satoshi.
const COST_SAT: u64 = 60_000;

fn on_chain_sat(node: &Running) -> u64 {
    let balances = node.state().balances;
    (balances.wallet_msat + balances.reserved_msat) / 1000
}

fn is_closed(change: &ChannelChange) -> bool {
    matches!(change, ChannelChange::Closed { stale: false, .. })
}

/// One pays two, who holds it.
fn hold(world: &World) -> (Running, Running, ChannelId, PaymentHash) {
    let (one, two, channel) = world.pair();
    let hash = preimage(1).hash();
    let invoice = two.invoice(hash, AMOUNT_MSAT);
    one.command(Command::Pay(order(&invoice, hash, AMOUNT_MSAT)))
        .unwrap();
    two.wait_until_held(hash);
    (one, two, channel, hash)
}

fn mine_the_closing(world: &World, nodes: &[&Running]) {
    wait_for("the closing", || (world.mempool() > 0).then_some(()));
    world.mine(1, nodes);
}

/// Mines until both have on the chain what is theirs, but for fees.
fn wait_until_on_chain(world: &World, parties: [(&Running, u64); 2]) {
    let nodes = parties.map(|(node, _)| node);
    for _ in 0..18 {
        world.mine(10, &nodes);
    }
    wait_for("all money on the chain", || {
        if world.mempool() > 0 {
            world.mine(1, &nodes);
        }
        let right = |(node, should_sat): &(&Running, u64)| {
            let has_sat = on_chain_sat(node);
            println!("{has_sat} of {should_sat}");
            (should_sat - COST_SAT..=*should_sat).contains(&has_sat)
        };
        parties.iter().all(right).then_some(())
    });
    for node in nodes {
        assert!(node.state().channels.is_empty());
        assert_eq!(node.state().balances.closing_msat, 0);
    }
}

fn claimed_on_the_chain(closes: impl Fn(&Running, &Running, ChannelId)) {
    let world = World::new();
    let (one, two, channel, hash) = hold(&world);
    closes(&one, &two, channel);
    mine_the_closing(&world, &[&one, &two]);
    for node in [&one, &two] {
        node.wait_for_channel(channel, is_closed);
    }
    two.command(Command::Claim {
        preimage: preimage(1),
    })
    .unwrap();
    paid_on_the_chain(&world, &one, &two, hash);
}

/// What the second claims on the chain is paid, told to both, and theirs.
fn paid_on_the_chain(world: &World, one: &Running, two: &Running, hash: PaymentHash) {
    // Whoever paid learns the preimage from the chain. What comes into a block first may be another transaction than the one that claims.
    let end = wait_for("the payment's end on the chain", || {
        if world.mempool() > 0 {
            world.mine(6, &[one, two]);
        }
        one.end_of(hash)
    });
    assert!(
        matches!(&end, Event::PaymentSucceeded { preimage: proof, .. } if *proof == preimage(1)),
        "{end:?}"
    );
    let claimed = Event::Claimed {
        hash,
        amount_msat: AMOUNT_MSAT,
    };
    two.wait_for_event("claimed", |event| (*event == claimed).then_some(()));
    wait_until_on_chain(
        world,
        [
            (one, FUNDS.to_sat() - AMOUNT_SAT),
            (two, FUNDS.to_sat() + AMOUNT_SAT),
        ],
    );
}

#[test]
fn what_is_held_when_the_payee_closes_alone_is_claimed_on_the_chain() {
    claimed_on_the_chain(|_, two, channel| two.close_channel(channel, Closing::Forced).unwrap());
}

#[test]
fn what_is_held_when_the_payer_closes_alone_is_claimed_on_the_chain() {
    claimed_on_the_chain(|one, _, channel| one.close_channel(channel, Closing::Forced).unwrap());
}

#[test]
fn what_nobody_claims_comes_back_and_only_then_the_payment_has_failed() {
    let world = World::new();
    let (one, mut two, channel, hash) = hold(&world);
    two.stop();
    one.close_channel(channel, Closing::Forced).unwrap();
    one.wait_for_channel(channel, is_closed);
    wait_for("the closing", || (world.mempool() > 0).then_some(()));
    let begun = world.height();
    let returned = wait_for("the end", || {
        world.mine(3, &[&one]);
        let ended = one.in_flight(None).unwrap().is_empty();
        ended.then(|| world.height())
    });
    assert!(returned > begun + 144, "after {} blocks", returned - begun);
    let end = one.wait_for_end(hash);
    assert!(matches!(end, Event::PaymentFailed { .. }), "{end:?}");
    two.restart();
    wait_until_on_chain(&world, [(&one, FUNDS.to_sat()), (&two, FUNDS.to_sat())]);
    assert!(two.held(None).unwrap().is_empty());
}

/// What a crash leaves whose monitors were written, and whose manager was not.
fn is_closed_as_outdated(change: &ChannelChange) -> bool {
    matches!(change, ChannelChange::Closed { stale: true, .. })
}

#[test]
fn a_payer_whose_manager_does_not_know_the_payment_pays_it_once() {
    let world = World::new();
    let (mut one, two, channel) = world.pair();
    let before = one.manager();
    let hash = preimage(1).hash();
    let invoice = two.invoice(hash, AMOUNT_MSAT);
    let pay = Command::Pay(order(&invoice, hash, AMOUNT_MSAT));
    one.command(pay.clone()).unwrap();
    two.wait_until_held(hash);
    one.restart_with(&before);
    one.wait_for_channel(channel, is_closed_as_outdated);
    // Asked again, as the gateway's own rows would have it ask, and with another channel to pay through.
    one.command(pay).unwrap();
    let in_flight = one.in_flight(None).unwrap();
    assert!(in_flight.len() == 1 && in_flight[0].hash == hash);
    mine_the_closing(&world, &[&one, &two]);
    two.wait_for_channel(channel, is_closed);
    two.command(Command::Claim {
        preimage: preimage(1),
    })
    .unwrap();
    paid_on_the_chain(&world, &one, &two, hash);
}

#[test]
fn a_payee_whose_manager_does_not_know_that_it_claimed_has_claimed() {
    let world = World::new();
    let (mut one, mut two, channel, hash) = hold(&world);
    one.stop();
    let before = two.manager();
    two.command(Command::Claim {
        preimage: preimage(1),
    })
    .unwrap();
    two.restart_with(&before);
    two.wait_for_channel(channel, is_closed_as_outdated);
    one.restart();
    mine_the_closing(&world, &[&one, &two]);
    one.wait_for_channel(channel, is_closed);
    paid_on_the_chain(&world, &one, &two, hash);
}
