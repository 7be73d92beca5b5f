//! Channels that end, with and without HTLCs in them. What is said of a payment is right whatever becomes of its channel.

use guildmint_gateway::node::{
    ChannelChange, ChannelId, Closing, Event, LightningNode as _, PaymentHash,
};
use guildmint_testbed::control::Order;

use super::town::{Opener, Town, PUSHED_SAT};
use crate::world::{wait_for, CHANNEL_SAT, FUNDS_SAT};

/// What opening, closing and sweeping one channel may cost, in satoshi. Electrum's fees on regtest are high.
const COST_SAT: u64 = 150_000;
const AMOUNT_MSAT: u64 = 600_000_000;
const AMOUNT_SAT: u64 = AMOUNT_MSAT / 1000;
/// Blocks after which all is over: what is locked for a cheat's sake, and what an HTLC is locked for.
const ALL_BLOCKS: u64 = 320;

/// What each of us begins with, once a channel of Electrum's is there: the rest is Electrum's.
const OURS_SAT: u64 = FUNDS_SAT + PUSHED_SAT;
const THEIRS_SAT: u64 = FUNDS_SAT - PUSHED_SAT;

impl Town {
    fn wait_until_closed(&self, id: ChannelId) {
        self.one.wait_for_channel(id, |change| {
            matches!(change, ChannelChange::Closed { stale: false, .. })
        });
    }

    fn on_chain_sat(&self) -> u64 {
        let balances = self.one.state().balances;
        (balances.wallet_msat + balances.reserved_msat) / 1000
    }

    /// Mines as long as it takes until both have on the chain what is theirs, but for fees.
    fn wait_until_on_chain(&self, ours_sat: u64, theirs_sat: u64) {
        for _ in 0..ALL_BLOCKS / 10 {
            if self.world.mempool() > 0 {
                self.mine(1);
            }
            self.mine(9);
        }
        wait_for("all money on the chain", || {
            if self.world.mempool() > 0 {
                self.mine(1);
            }
            let (ours, theirs) = (
                self.on_chain_sat(),
                self.electrum.balance().unwrap().confirmed.to_sat(),
            );
            println!("ours {ours} of {ours_sat}, theirs {theirs} of {theirs_sat}");
            (near(ours, ours_sat) && near(theirs, theirs_sat)).then_some(())
        });
        assert!(self.one.state().channels.is_empty());
        assert_eq!(self.one.state().balances.closing_msat, 0);
    }

    fn mine_the_closing(&self) {
        wait_for("the closing", || (self.world.mempool() > 0).then_some(()));
        self.mine(1);
    }

    fn close_electrums(&self, force: bool) {
        let point = self.electrum_channel().channel_point;
        self.electrum.close_channel(&point, force).unwrap();
    }

    fn end_of(&self, hash: PaymentHash) -> Event {
        self.one.wait_for_end(hash)
    }

    /// Whether the node has said how a payment ended.
    fn has_ended(&self, hash: PaymentHash) -> bool {
        !self
            .one
            .in_flight(None)
            .unwrap()
            .iter()
            .any(|sent| sent.hash == hash)
    }
}

/// Less, but no more than by what a channel costs. Nothing comes from nowhere.
fn near(has_sat: u64, should_sat: u64) -> bool {
    (should_sat - COST_SAT..=should_sat).contains(&has_sat)
}

#[test]
fn we_close_a_channel_together_with_electrum() {
    let (town, id) = Town::new(Opener::Electrum);
    let (_, paying) = town.hold(1, AMOUNT_MSAT);
    town.claim(1);
    assert!(paying.end().success);
    town.one.close_channel(id, Closing::Cooperative).unwrap();
    town.mine_the_closing();
    town.wait_until_closed(id);
    town.wait_until_on_chain(OURS_SAT + AMOUNT_SAT, THEIRS_SAT - AMOUNT_SAT);
}

#[test]
fn electrum_closes_a_channel_together_with_us() {
    let (town, id) = Town::new(Opener::Ours);
    town.close_electrums(false);
    town.mine_the_closing();
    town.wait_until_closed(id);
    // It was ours, and what we pushed is a gift.
    town.wait_until_on_chain(FUNDS_SAT - PUSHED_SAT, FUNDS_SAT + CHANNEL_SAT - PUSHED_SAT);
}

#[test]
fn what_we_hold_when_we_close_alone_is_claimed_on_the_chain() {
    let (town, id) = Town::new(Opener::Electrum);
    let (hash, paying) = town.hold(1, AMOUNT_MSAT);
    town.one.close_channel(id, Closing::Forced).unwrap();
    town.wait_until_closed(id);
    town.mine_the_closing();
    town.claim(1);
    town.mine_the_closing();
    let claimed = Event::Claimed {
        hash,
        amount_msat: AMOUNT_MSAT,
    };
    town.one
        .wait_for_event("claimed", |event| (*event == claimed).then_some(()));
    town.wait_until_on_chain(OURS_SAT + AMOUNT_SAT, THEIRS_SAT - AMOUNT_SAT);
    paying.forget();
}

#[test]
fn what_we_hold_when_electrum_closes_alone_is_claimed_on_the_chain() {
    let (town, id) = Town::new(Opener::Electrum);
    let (_, paying) = town.hold(1, AMOUNT_MSAT);
    town.close_electrums(true);
    town.mine_the_closing();
    town.wait_until_closed(id);
    town.claim(1);
    town.mine_the_closing();
    town.wait_until_on_chain(OURS_SAT + AMOUNT_SAT, THEIRS_SAT - AMOUNT_SAT);
    paying.forget();
}

#[test]
fn a_payment_that_the_payee_claims_on_the_chain_has_succeeded() {
    let (town, id) = Town::new(Opener::Electrum);
    let hash = town.pay_and_be_held(AMOUNT_MSAT);
    town.one.close_channel(id, Closing::Forced).unwrap();
    town.wait_until_closed(id);
    assert!(!town.has_ended(hash));
    town.mine_the_closing();
    // Electrum has the preimage.
    town.mine_the_closing();
    town.mine(6);
    let end = town.end_of(hash);
    assert!(matches!(end, Event::PaymentSucceeded { .. }), "{end:?}");
    town.wait_until_on_chain(OURS_SAT - AMOUNT_SAT, THEIRS_SAT + AMOUNT_SAT);
}

#[test]
fn a_payment_has_failed_when_its_htlc_is_back_on_the_chain_and_not_before() {
    let (town, id) = Town::new(Opener::Electrum);
    let hash = town.pay_and_be_held(AMOUNT_MSAT);
    town.world.control_electrum(Order::Kill);
    town.one.close_channel(id, Closing::Forced).unwrap();
    town.wait_until_closed(id);
    wait_for("the closing", || (town.world.mempool() > 0).then_some(()));
    // Until the HTLC is over, and we have spent it ourselves, Electrum could come back and claim it.
    let begun = town.world.height();
    let returned = wait_for("the end", || {
        town.world.mine(3, &[&town.one]);
        let ended = town.has_ended(hash);
        ended.then(|| town.world.height())
    });
    assert!(returned > begun + 144, "after {} blocks", returned - begun);
    let end = town.end_of(hash);
    assert!(matches!(end, Event::PaymentFailed { .. }), "{end:?}");
    town.world.control_electrum(Order::Start);
    town.wait_until_on_chain(OURS_SAT, THEIRS_SAT);
}
