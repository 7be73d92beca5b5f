//! The power fails before and after every save.

use guildmint_gateway::federation::{News, Order};

use crate::{
    orders::{fund, funding, outgoing, preimage},
    town::{msat, FEE},
    world::{Failure, World},
};

/// Everything once. Gives how many saves that took.
fn story(failure: Option<Failure>) -> u64 {
    let mut world = World::new(100_000);
    world.failure = failure;
    let offer = world.town.offer(0, 20_000);
    let order = Order::Fund(funding(&world, offer));
    let funded = world.end(order.clone());
    let News::Funded { contract, fee, .. } = funded else {
        panic!("{failure:?}: {funded:?}");
    };
    assert_eq!(fee, msat(FEE), "{failure:?}");
    let opened = world.end(Order::Open { contract, offer });
    assert!(matches!(
        opened,
        News::Opened {
            preimage: Some(_),
            ..
        }
    ));
    let locked = outgoing(&world, 1, 22_100);
    let contract = world.town.lock(locked);
    let preimage = preimage(1);
    let claimed = world.end(Order::Claim { contract, preimage });
    assert_eq!(claimed, News::Claimed { contract, fee }, "{failure:?}");
    let garbage = world.town.garbage(preimage.hash(), 5_000);
    let contract = fund(&mut world, garbage);
    let refund = Order::Refund {
        contract,
        offer: garbage,
    };
    let refunded = world.end(refund);
    assert_eq!(refunded, News::Refunded { contract, fee }, "{failure:?}");
    let late = world.town.offer(1, 20_000);
    let late = funding(&world, late);
    let dear = world.town.offer(2, 200_000);
    let dear = Order::Fund(funding(&world, dear));
    assert!(matches!(world.end(dear.clone()), News::NotFunded { .. }));
    world.town.mine(13);
    world.until(|world| world.state.height == world.town.height());
    let late = world.end(Order::Fund(late));
    assert!(matches!(late, News::NotFunded { .. }), "{failure:?}");
    // What was said before is said again.
    assert_eq!(world.end(order), funded, "{failure:?}");
    assert!(matches!(world.end(dear), News::NotFunded { .. }));
    world.restart();
    world.pass(60_000);
    assert_eq!(
        world.ecash(),
        100_000 - 20_000 + 22_100 - 4 * FEE,
        "{failure:?}"
    );
    assert_eq!(world.town.incoming().len(), 2, "{failure:?}");
    assert_eq!(
        world.failures,
        1 + u64::from(failure.is_some()),
        "{failure:?}"
    );
    world.saves
}

#[test]
fn it_fails_before_and_after_every_save_and_all_happens_once() {
    let saves = story(None);
    assert!(saves > 8, "{saves}");
    for save in 1..=saves.min(40) {
        story(Some(Failure::Before(save)));
        story(Some(Failure::After(save)));
    }
}
