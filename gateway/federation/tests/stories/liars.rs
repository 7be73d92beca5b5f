//! Guardians that lie, lag or are gone, at most f of them.

use guildmint_core::PeerId;
use guildmint_gateway::federation::{News, Order};

use crate::{
    orders::{fund, funding, outgoing, preimage},
    town::{msat, Mood, FEE},
    world::World,
};

const MOODS: [Mood; 5] = [
    Mood::Down,
    Mood::Lags,
    Mood::WrongShares,
    Mood::Denies,
    Mood::Boasts,
];

#[test]
fn one_of_four_changes_nothing_whatever_it_does() {
    for mood in MOODS {
        for place in [0, 3] {
            let mut world = World::new(100_000);
            world.town.moods[place] = mood;
            let offer = world.town.offer(0, 20_000);
            let contract = fund(&mut world, offer);
            let opened = world.end(Order::Open { contract, offer });
            let hidden = Some(world.town.user().preimage(0));
            let expected = News::Opened {
                contract,
                preimage: hidden,
            };
            assert_eq!(opened, expected, "{mood:?}");
            let locked = outgoing(&world, 1, 22_100);
            let contract = world.town.lock(locked);
            let looked = world.end(Order::Look { contract });
            let answer = world.town.contract(contract);
            assert_eq!(looked, News::Looked { contract, answer }, "{mood:?}");
            let preimage = preimage(1);
            let claimed = world.end(Order::Claim { contract, preimage });
            let fee = msat(FEE);
            assert_eq!(claimed, News::Claimed { contract, fee }, "{mood:?}");
            let offer = world.town.garbage(preimage.hash(), 5_000);
            let contract = fund(&mut world, offer);
            let end = world.end(Order::Refund { contract, offer });
            assert_eq!(end, News::Refunded { contract, fee }, "{mood:?}");
            world.until(|world| world.state.height == world.town.height());
            assert_eq!(world.ecash(), 100_000 - 20_000 + 22_100 - 4 * FEE);
        }
    }
}

#[test]
fn who_gives_wrong_shares_is_named_and_left_out() {
    let mut world = World::new(100_000);
    world.town.moods = vec![Mood::WrongShares, Mood::Honest, Mood::Honest, Mood::Honest];
    for index in 0..4 {
        let offer = world.town.offer(index, 5_000);
        let contract = fund(&mut world, offer);
        let opened = world.end(Order::Open { contract, offer });
        assert!(
            matches!(
                opened,
                News::Opened {
                    preimage: Some(_),
                    ..
                }
            ),
            "{opened:?}"
        );
    }
    assert!(!world.wrong_shares.is_empty());
    let others = world
        .wrong_shares
        .iter()
        .filter(|(peer, _)| *peer != PeerId(0));
    assert_eq!(others.count(), 0);
}

/// ⚠ Two are more than f: nothing final may be said, and all goes on when they are back.
#[test]
fn while_too_few_answer_nothing_final_is_said() {
    for mood in [Mood::Down, Mood::Lags] {
        let mut world = World::new(100_000);
        let offer = world.town.offer(0, 20_000);
        let contract = fund(&mut world, offer);
        let locked = outgoing(&world, 1, 22_100);
        let locked = world.town.lock(locked);
        world.town.moods[..2].fill(mood);
        world.news.clear();
        world.order(Order::Open { contract, offer });
        let preimage = preimage(1);
        world.order(Order::Claim {
            contract: locked,
            preimage,
        });
        let late = funding(&world, world.town.offer(1, 5_000));
        world.pass(60_000);
        let said: Vec<_> = world.news.iter().collect();
        let final_ones = said
            .iter()
            .filter(|news| !matches!(news, News::Claimed { .. }));
        assert_eq!(final_ones.count(), 0, "{mood:?}: {said:?}");
        world.town.moods.fill(Mood::Honest);
        world.until(|world| world.news.len() == 2);
        let end = world.end(Order::Fund(late));
        assert!(matches!(end, News::Funded { .. }), "{end:?}");
    }
}

/// ⚠ f + 1 who have not come as far do not make an end of what the others have accepted.
#[test]
fn that_it_is_too_late_counts_of_those_alone_for_whom_it_is() {
    let mut world = World::new(100_000);
    let offer = world.town.offer(0, 20_000);
    let late = funding(&world, offer);
    // The wallet has forgotten that it funded it, as one from an older copy.
    let contract = world.town.fund_as(offer, late.refund_key);
    world.town.mine(20);
    world.until(|world| world.state.height == world.town.height());
    for (one, other) in [(0, 1), (1, 2), (2, 3), (0, 3), (0, 2), (1, 3)] {
        world.town.moods.fill(Mood::Honest);
        world.town.moods[one] = Mood::Lags;
        world.town.moods[other] = Mood::Lags;
        world.restart();
        world.order(Order::Fund(late));
        world.pass(20_000);
    }
    world.town.moods.fill(Mood::Honest);
    world.until(|world| !world.news.is_empty());
    let is_true =
        |news: &News| matches!(news, News::Funded { contract: one, .. } if *one == contract);
    assert!(world.news.iter().all(is_true), "{:?}", world.news);
}
