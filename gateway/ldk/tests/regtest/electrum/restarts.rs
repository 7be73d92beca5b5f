use guildmint_gateway::node::{Command, Event, LightningNode as _};
use guildmint_testbed::control::Order;

use super::town::{Opener, Town, PUSHED_SAT};
use crate::world::wait_for;

#[test]
fn payments_that_are_held_outlive_both_sides() {
    let (mut town, _) = Town::new(Opener::Electrum);
    let (_, first) = town.hold(1, 10_000_000);
    let (to_fail, second) = town.hold(2, 20_000_000);
    town.one.restart();
    town.world.control_electrum(Order::Kill);
    first.forget();
    second.forget();
    town.world.control_electrum(Order::Start);
    assert_eq!(town.one.held(None).unwrap().len(), 2);
    town.claim(1);
    town.one.command(Command::Fail { hash: to_fail }).unwrap();
    wait_for("the channel and both ends", || {
        let channel = town.electrum_channel();
        (channel.is_usable()
            && channel.local_in_flight_sat == 0
            && channel.local_sat == PUSHED_SAT - 10_000)
            .then_some(())
    });

    // What Electrum holds outlives us; it lets go when it comes back itself.
    let hash = town.pay_and_be_held(30_000_000);
    town.one.restart();
    assert_eq!(town.one.in_flight(None).unwrap()[0].hash, hash);
    town.world.control_electrum(Order::Kill);
    town.world.control_electrum(Order::Start);
    let end = town.one.wait_for_end(hash);
    assert!(matches!(end, Event::PaymentSucceeded { .. }), "{end:?}");
    wait_for("Electrum's money", || {
        (town.electrum_sat() == PUSHED_SAT - 10_000 + 30_000).then_some(())
    });
}
