use guildmint_gateway::node::{
    ChannelChange, ChannelOrder, Closing, Command, Event, LightningNode as _, Refusal, Withdrawal,
};

use crate::world::{assert_refused, order, preimage, wait_for, Running, World, CHANNEL_SAT, FUNDS};

/// All that a node has, in satoshi.
fn total_sat(node: &Running) -> u64 {
    let balances = node.state().balances;
    let msat = balances.wallet_msat
        + balances.reserved_msat
        + balances.unconfirmed_msat
        + balances.channels_msat
        + balances.closing_msat;
    msat / 1000
}

fn on_chain_sat(node: &Running) -> u64 {
    let balances = node.state().balances;
    (balances.wallet_msat + balances.reserved_msat) / 1000
}

fn pay(from: &Running, to: &Running, number: u8, amount_msat: u64) {
    let hash = preimage(number).hash();
    let invoice = to.invoice(hash, amount_msat);
    from.command(Command::Pay(order(&invoice, hash, amount_msat)))
        .unwrap();
    to.wait_until_held(hash);
    to.command(Command::Claim {
        preimage: preimage(number),
    })
    .unwrap();
    assert!(matches!(
        from.wait_for_end(hash),
        Event::PaymentSucceeded { .. }
    ));
}

fn is_closed(change: &ChannelChange) -> bool {
    matches!(change, ChannelChange::Closed { stale: false, .. })
}

#[test]
fn a_channel_is_closed_together_and_all_money_is_in_the_wallets() {
    let world = World::new();
    let (one, two, channel) = world.pair();
    pay(&one, &two, 1, 1_000_000_000);
    one.close_channel(channel, Closing::Cooperative).unwrap();
    wait_for("the closing", || (world.mempool() > 0).then_some(()));
    // What is on its way is counted once, and so it is when it is in a block and not deep yet.
    let all_sat = FUNDS.to_sat() + 1_000_000;
    wait_for("the closing in the wallet", || {
        (two.state().balances.unconfirmed_msat > 0).then_some(())
    });
    assert_eq!(total_sat(&two), all_sat);
    for _ in 0..6 {
        world.mine(1, &[&one, &two]);
        assert_eq!(total_sat(&two), all_sat);
    }
    one.wait_for_channel(channel, is_closed);
    two.wait_for_channel(channel, is_closed);
    wait_for("its share", || {
        (on_chain_sat(&two) == FUNDS.to_sat() + 1_000_000).then_some(())
    });
    wait_for("the rest", || {
        let lost_sat =
            FUNDS.to_sat() - 1_000_000 - on_chain_sat(&one).min(FUNDS.to_sat() - 1_000_000);
        (lost_sat < 20_000).then_some(())
    });
    assert_eq!(total_sat(&one), on_chain_sat(&one));

    // And out again.
    let order = Withdrawal {
        address: two.new_address().unwrap(),
        amount_sat: 10_000_000,
        fee_sat_per_kvb: Some(2000),
    };
    let txid = one.withdraw(&order).unwrap();
    assert!(!txid.to_string().is_empty());
    wait_for("the withdrawal", || (world.mempool() > 0).then_some(()));
    world.mine(1, &[&one, &two]);
    wait_for("the money", || {
        (on_chain_sat(&two) == FUNDS.to_sat() + 11_000_000).then_some(())
    });
}

#[test]
fn a_channel_is_closed_by_one_alone_and_both_sweep_what_is_theirs() {
    let world = World::new();
    let (one, two, channel) = world.pair();
    pay(&one, &two, 1, 1_000_000_000);
    one.close_channel(channel, Closing::Forced).unwrap();
    one.wait_for_channel(channel, is_closed);
    // The commitment pays nothing to miners itself; its child does, out of the wallet.
    wait_for("the closing", || (world.mempool() > 0).then_some(()));
    world.mine(1, &[&one, &two]);
    two.wait_for_channel(channel, is_closed);
    assert!(total_sat(&two) >= FUNDS.to_sat() + 990_000);
    // Our own part is locked for 144 blocks, so that a cheat could be punished.
    for _ in 0..16 {
        world.mine(10, &[&one, &two]);
    }
    wait_for("the sweeps", || {
        if world.mempool() > 0 {
            world.mine(1, &[&one, &two]);
        }
        let one_has = on_chain_sat(&one) + 60_000 > FUNDS.to_sat() - 1_000_000;
        let two_has = on_chain_sat(&two) + 10_000 > FUNDS.to_sat() + 1_000_000;
        (one_has && two_has).then_some(())
    });
    assert!(one.state().channels.is_empty() && two.state().channels.is_empty());
}

#[test]
fn what_a_wallet_must_keep_cannot_be_spent() {
    let world = World::new();
    let (one, two, _) = world.pair();
    let balances = wait_for("the change of the funding", || {
        let balances = one.state().balances;
        (balances.unconfirmed_msat == 0 && balances.reserved_msat > 0).then_some(balances)
    });
    let withdraw = |amount_sat| {
        one.withdraw(&Withdrawal {
            address: two.new_address().unwrap(),
            amount_sat,
            fee_sat_per_kvb: None,
        })
    };
    let all_sat = (balances.wallet_msat + balances.reserved_msat) / 1000;
    for amount_sat in [all_sat, balances.wallet_msat / 1000] {
        assert_refused(withdraw(amount_sat), |refusal| {
            matches!(refusal, Refusal::Funds { .. })
        });
    }
    let order = |amount_sat| ChannelOrder {
        peer: two.peer(),
        amount_sat,
        push_msat: 0,
        public: false,
    };
    let refused = one.open_channel(&order(balances.wallet_msat / 1000));
    assert_refused(refused, |refusal| matches!(refusal, Refusal::Funds { .. }));
    let refused = one.open_channel(&order(1000));
    assert_refused(refused, |refusal| matches!(refusal, Refusal::Amount { .. }));
    // One that has nothing on the chain takes no channel, since it could not close it.
    let poor = world.start("poor", None);
    let mut to_poor = order(CHANNEL_SAT);
    to_poor.peer = poor.peer();
    let refused = one.open_channel(&to_poor);
    assert_refused(refused, |refusal| matches!(refusal, Refusal::Node(_)));
    // And the money for it is free again.
    assert_eq!(one.state().balances.wallet_msat, balances.wallet_msat);
}
