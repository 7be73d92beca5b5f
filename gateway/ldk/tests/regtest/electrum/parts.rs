//! Payments larger than any one channel, in parts.

use guildmint_gateway::node::{Command, Event, LightningNode as _};

use super::town::{Opener, Town, PUSHED_SAT};
use crate::world::{preimage, wait_for};

/// More than one channel has on either side.
const AMOUNT_MSAT: u64 = PUSHED_SAT * 1000 + 700_000_000;

#[test]
fn a_payment_in_parts_is_one_payment() {
    let (town, _) = Town::new(Opener::Electrum);
    town.open(Opener::Electrum);
    let before_msat = town.one.state().balances.channels_msat;
    // Held until all of it is there, and claimed at once.
    let (hash, paying) = town.hold(1, AMOUNT_MSAT);
    assert!(parts_in_flight(&town) >= 2);
    town.claim(1);
    let paid = paying.end();
    assert!(paid.success, "{paid:?}");
    let claimed = Event::Claimed {
        hash,
        amount_msat: AMOUNT_MSAT,
    };
    town.one
        .wait_for_event("claimed", |event| (*event == claimed).then_some(()));

    // And back again, in parts of ours.
    wait_for("that all is settled", || {
        (parts_in_flight(&town) == 0).then_some(())
    });
    let (hash, _) = town.pay(AMOUNT_MSAT);
    let end = town.one.wait_for_end(hash);
    assert!(matches!(end, Event::PaymentSucceeded { .. }), "{end:?}");
    wait_for("what it cost", || {
        let has_msat = town.one.state().balances.channels_msat;
        (has_msat == before_msat && parts_in_flight(&town) == 0).then_some(())
    });
}

#[test]
fn all_parts_go_back_together() {
    let (town, _) = Town::new(Opener::Electrum);
    town.open(Opener::Electrum);
    let (hash, paying) = town.hold(1, AMOUNT_MSAT);
    town.one.command(Command::Fail { hash }).unwrap();
    assert!(!paying.end().success);
    assert_eq!(preimage(1).hash(), hash);
    wait_for("Electrum's money", || {
        (town.electrum_sat() == 2 * PUSHED_SAT).then_some(())
    });
}

fn parts_in_flight(town: &Town) -> usize {
    let channels = town.electrum.channels().unwrap();
    let in_flight = channels
        .iter()
        .filter(|channel| channel.local_in_flight_sat > 0);
    in_flight.count()
}
