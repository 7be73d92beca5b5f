use guildmint_gateway::node::{ChannelChange, LightningNode as _};

use super::town::{Opener, Town, PUSHED_SAT};
use crate::world::{wait_for, CHANNEL_SAT, FUNDS_SAT};

/// What miners may take for the punishment, in satoshi.
const COST_SAT: u64 = 60_000;

#[test]
fn whoever_broadcasts_an_old_commitment_loses_all_of_the_channel() {
    breach(|_| ());
}

#[test]
fn a_breach_while_the_node_was_away_is_punished_when_it_comes_back() {
    breach(|town| town.one.stop());
}

/// Electrum tells the chain of a state in which it had more, after `before` was done.
fn breach(before: impl FnOnce(&mut Town)) {
    let (mut town, id) = Town::new(Opener::Electrum);
    let point = town.electrum_channel().channel_point;
    let old = town.electrum.commitment(&point).unwrap();
    let (_, paying) = town.hold(1, 2_000_000_000);
    town.claim(1);
    assert!(paying.end().success);
    wait_for("that the payment is settled", || {
        let channel = town.electrum_channel();
        (channel.local_in_flight_sat == 0 && channel.local_sat == PUSHED_SAT - 2_000_000)
            .then_some(())
    });
    before(&mut town);
    town.world.rpc().send(&old).unwrap();
    town.world.mine(1, &[]);
    if town.one.node.is_none() {
        town.one.restart();
    }
    town.one.wait_for_channel(id, |change| {
        matches!(change, ChannelChange::Closed { stale: false, .. })
    });
    // Both outputs are ours: our own as ever, and Electrum's as a punishment, long before its lock is open.
    let all_sat = FUNDS_SAT + CHANNEL_SAT;
    wait_for("the punishment", || {
        (town.world.mempool() > 0).then_some(())
    });
    for _ in 0..5 {
        town.world.mine(3, &[&town.one]);
    }
    wait_for("all of the channel", || {
        if town.world.mempool() > 0 {
            town.world.mine(1, &[&town.one]);
        }
        let balances = town.one.state().balances;
        let has_sat = (balances.wallet_msat + balances.reserved_msat) / 1000;
        println!("{has_sat} of {all_sat}");
        (all_sat - COST_SAT..=all_sat)
            .contains(&has_sat)
            .then_some(())
    });
}
