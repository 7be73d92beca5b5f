//! Fees that guardians agree to change while a gateway's transactions are on their way (SPEC GEN-6).

use guildmint_core::{Transaction, Wire};
use guildmint_gateway::federation::{News, Order};
use guildmint_ln::LnOutput;

use crate::{
    orders::{funding, outgoing, preimage},
    town::{msat, LN},
    world::World,
};

/// Transactions that fund contracts for users, be they accepted or not.
fn fundings(world: &World) -> Vec<Transaction> {
    let all = world.town.submitted.values();
    let is_funding = |transaction: &&Transaction| {
        transaction.outputs.iter().any(|output| {
            output.module == LN
                && matches!(LnOutput::decode(&output.bytes), Ok(LnOutput::Incoming(_)))
        })
    };
    all.filter(is_funding).cloned().collect()
}

/// ⚠ By which contract is known only when it is accepted; and it must not be two.
#[test]
fn a_funding_with_old_fees_is_taken_back_and_made_once_by_the_new_ones() {
    let mut world = World::new(100_000);
    let offer = world.town.offer(0, 20_000);
    world.town.revise(0, 500);
    let order = Order::Fund(funding(&world, offer));
    let funded = world.end(order.clone());
    let News::Funded { contract, fee, .. } = funded else {
        panic!("{funded:?}");
    };
    assert_eq!(fee, msat(500));
    assert_eq!(world.town.incoming(), [contract].into());
    assert_eq!(world.ecash(), 100_000 - 20_000 - 500);
    let made = fundings(&world);
    assert_eq!(made.len(), 2, "the old one, and the new one");
    // The fees of before are back, and somebody has kept the old one.
    world.town.revise(0, 10);
    for transaction in made {
        world.town.submit_now(transaction);
    }
    assert_eq!(world.town.incoming(), [contract].into());
    assert_eq!(world.end(order), funded);
}

/// It is accepted by the old fees all the same, just when it was to be taken back.
#[test]
fn a_funding_that_comes_through_after_all_is_told_of() {
    let mut world = World::new(100_000);
    let offer = world.town.offer(0, 20_000);
    let order = Order::Fund(funding(&world, offer));
    world.town.revise(0, 500);
    world.town.stalled = true;
    world.order(order);
    world.until(|world| !fundings(world).is_empty());
    let old = fundings(&world).swap_remove(0);
    // The notes are bought, it is funded, and taken back.
    world.until(|world| world.town.submitted.len() >= 4);
    world.town.drop_pool();
    world.town.revise(0, 10);
    assert!(world.town.submit_now(old));
    world.town.stalled = false;
    world.until(|world| !world.news.is_empty());
    let News::Funded { contract, .. } = world.news[0] else {
        panic!("{:?}", world.news);
    };
    assert_eq!(world.town.incoming(), [contract].into());
    world.pass(120_000);
    assert_eq!(world.ecash(), 100_000 - 20_000 - 10);
}

#[test]
fn a_claim_with_old_fees_is_made_anew() {
    let mut world = World::new(0);
    let locked = outgoing(&world, 1, 22_100);
    let contract = world.town.lock(locked);
    world.town.revise(0, 500);
    let preimage = preimage(1);
    let claimed = world.end(Order::Claim { contract, preimage });
    let fee = msat(500);
    assert_eq!(claimed, News::Claimed { contract, fee });
    assert_eq!(world.ecash(), 22_100 - 500);
}

/// Notes cost something, too, and then not every sum can be issued: some of the gateway's own help.
#[test]
fn notes_that_cost_fees_come_out_even() {
    let mut world = World::new(1_000_000);
    world.town.revise(3, 500);
    let preimage = preimage(1);
    for amount in [22_101, 22_102, 3_007] {
        let mut locked = outgoing(&world, 1, amount);
        locked.timelock += u32::try_from(amount).unwrap_or(0);
        let contract = world.town.lock(locked);
        let end = world.end(Order::Claim { contract, preimage });
        assert!(matches!(end, News::Claimed { .. }), "{end:?}");
    }
    let offer = world.town.offer(0, 20_001);
    let end = world.end(Order::Fund(funding(&world, offer)));
    assert!(matches!(end, News::Funded { .. }), "{end:?}");
}

/// SPEC GW-6: the gateway warns its operator when its fees do not cover that.
#[test]
fn what_the_federation_takes_is_told_and_told_again_when_it_is_revised() {
    let mut world = World::new(100_000);
    let told = |world: &World| (world.state.costs.fund, world.state.costs.claim);
    let before = told(&world);
    world.town.revise(3, 500);
    let offer = world.town.offer(0, 20_000);
    let order = Order::Fund(funding(&world, offer));
    world.order(order);
    // Ten notes each way: what is paid with, and its change; or what comes of it.
    let revised = (msat(500 + 20 * 3), msat(500 + 10 * 3));
    assert_ne!(before, revised);
    world.until(|world| told(world) == revised);
}
