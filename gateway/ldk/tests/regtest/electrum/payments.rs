use guildmint_gateway::node::{
    Command, Event, LightningNode as _, PaymentFailure, PaymentHash, Preimage, SentState,
};

use super::town::{Opener, Town, PUSHED_SAT};
use crate::world::{preimage, wait_for};

#[test]
fn in_a_channel_that_electrum_opened_both_pay_each_other() {
    payments(Opener::Electrum);
}

#[test]
fn in_a_channel_that_we_opened_both_pay_each_other() {
    payments(Opener::Ours);
}

fn payments(opener: Opener) {
    let (town, _) = Town::new(opener);
    they_pay_and_we_claim(&town);
    they_pay_and_we_give_back(&town);
    we_pay_once(&town);
    we_pay_and_fail_once(&town);
    assert_eq!(town.electrum_sat(), PUSHED_SAT - 100_000 + 30_000);
}

fn they_pay_and_we_claim(town: &Town) {
    let (hash, paying) = town.hold(1, 100_000_000);
    assert_eq!(town.one.held(None).unwrap()[0].hash, hash);
    town.claim(1);
    let paid = paying.end();
    assert!(paid.success, "{paid:?}");
    assert_eq!(paid.preimage, Some(hex::encode(preimage(1).0)));
    let amount_msat = 100_000_000;
    town.one.wait_for_event("claimed", |event| {
        (*event == Event::Claimed { hash, amount_msat }).then_some(())
    });
    assert!(town.one.held(None).unwrap().is_empty());
}

fn they_pay_and_we_give_back(town: &Town) {
    let (hash, paying) = town.hold(2, 5_000_000);
    town.one.command(Command::Fail { hash }).unwrap();
    let paid = paying.end();
    assert!(!paid.success, "{paid:?}");
    town.one.wait_for_event("returned", |event| {
        (*event == Event::Returned { hash }).then_some(())
    });
}

fn we_pay_once(town: &Town) {
    let (hash, pay) = town.pay(30_000_000);
    let succeeded = town.one.wait_for_end(hash);
    let preimage = preimage_of(&succeeded);
    assert_eq!(preimage.hash(), hash);
    // The preimage comes before the last signatures.
    let has_sat = PUSHED_SAT - 100_000 + 30_000;
    wait_for("Electrum's money", || {
        (town.electrum_sat() == has_sat).then_some(())
    });
    // Repeated, it is told again and dispatched no second time.
    town.one.command(pay).unwrap();
    assert_eq!(town.one.wait_for_end(hash), succeeded);
    assert!(town.one.in_flight(None).unwrap().is_empty());
    assert_eq!(town.electrum_sat(), has_sat);
}

fn preimage_of(event: &Event) -> Preimage {
    match event {
        Event::PaymentSucceeded {
            preimage, fee_msat, ..
        } => {
            assert_eq!(*fee_msat, 0, "a direct channel is free");
            preimage.clone()
        }
        other => panic!("{other:?}"),
    }
}

fn we_pay_and_fail_once(town: &Town) {
    town.electrum.fail(true).unwrap();
    let has_sat = town.electrum_sat();
    let (hash, pay) = town.pay(40_000_000);
    let failed = town.one.wait_for_end(hash);
    assert!(is_failure(&failed, hash), "{failed:?}");
    // ⚠ Not even when it would arrive: whoever locked money for it may have it back by now.
    town.electrum.fail(false).unwrap();
    town.one.command(pay).unwrap();
    assert_eq!(town.one.wait_for_end(hash), failed);
    let state = town.one.sent(hash).unwrap().unwrap().state;
    assert!(matches!(state, SentState::Failed(_)), "{state:?}");
    assert!(town.one.in_flight(None).unwrap().is_empty());
    wait_for("what Electrum has", || {
        (town.electrum_sat() == has_sat).then_some(())
    });
}

fn is_failure(event: &Event, of: PaymentHash) -> bool {
    matches!(event, Event::PaymentFailed { hash, reason }
        if *hash == of && *reason != PaymentFailure::NeverSent)
}
