//! Each order and its end.

use guildmint_gateway::federation::{Funding, News, Order};
use guildmint_ln::{
    Announcement, Closing, ContractId, FeeSchedule, Forfeit, InvoiceHash, LnInput,
    OutgoingContract, Preimage, SignedOffer, Witness,
};

use crate::{
    town::{key, msat, FEE},
    world::{keys, World},
};

pub fn preimage(number: u8) -> Preimage {
    Preimage::from([number; 32])
}

pub fn funding(world: &World, offer: SignedOffer) -> Funding {
    let id = world.town.id();
    Funding {
        offer,
        amount: offer.offer.amount,
        refund_key: keys().refund(id, offer.offer.id(id)).x_only_public_key().0,
        valid_until: world.town.height() + 12,
    }
}

pub fn fund(world: &mut World, offer: SignedOffer) -> ContractId {
    let order = Order::Fund(funding(world, offer));
    match world.end(order) {
        News::Funded { contract, .. } => contract,
        other => panic!("{other:?}"),
    }
}

pub fn outgoing(world: &World, number: u8, amount: u64) -> OutgoingContract {
    OutgoingContract {
        hash: preimage(number).hash(),
        amount: msat(amount),
        gateway_key: keys().gateway(world.town.id()).x_only_public_key().0,
        refund_key: key(8).x_only_public_key().0,
        timelock: world.town.height() + 100,
        invoice_hash: InvoiceHash::new("lnbcrt1"),
    }
}

fn announcement(world: &World, number: u64) -> Order {
    let id = world.town.id();
    let announcement = Announcement {
        key: keys().gateway(id).x_only_public_key().0,
        node_key: None,
        swap_only: false,
        api_url: "https://gateway.example.org".into(),
        send_fees: FeeSchedule::default(),
        receive_fees: FeeSchedule::default(),
        route_hints: Vec::new(),
        number,
        valid_until: world.town.height() + 144,
    };
    Order::Announce(Box::new(announcement.sign(id, &keys().gateway(id))))
}

#[test]
fn an_offer_is_funded_and_opened_and_each_end_is_told_again() {
    let mut world = World::new(100_000);
    let offer = world.town.offer(0, 20_000);
    let order = Order::Fund(funding(&world, offer));
    let funded = world.end(order.clone());
    let News::Funded { contract, fee, .. } = funded else {
        panic!("{funded:?}");
    };
    assert_eq!(fee, msat(FEE));
    assert_eq!(world.ecash(), 100_000 - 20_000 - FEE);
    assert_eq!(world.state.ecash, msat(world.ecash()));
    // Ordered twice, and after a restart: the same end, and one contract.
    assert_eq!(world.end(order.clone()), funded);
    world.restart();
    assert_eq!(world.end(order), funded);
    assert_eq!(world.town.incoming(), [contract].into());
    let open = Order::Open { contract, offer };
    let preimage = Some(world.town.user().preimage(0));
    let opened = News::Opened { contract, preimage };
    assert_eq!(world.end(open.clone()), opened);
    // Also when the payee has claimed it, and no guardian gives a share any more.
    world.town.claim(0, contract).unwrap();
    assert_eq!(world.end(open), opened);
}

#[test]
fn orders_that_come_twice_at_once_are_carried_out_once() {
    let mut world = World::new(100_000);
    let offer = world.town.offer(0, 20_000);
    let order = Order::Fund(funding(&world, offer));
    world.order(order.clone());
    world.order(order);
    world.until(|world| !world.news.is_empty());
    world.pass(60_000);
    assert_eq!(world.news.len(), 1);
    assert_eq!(world.town.incoming().len(), 1);
}

#[test]
fn what_is_in_an_outgoing_contract_is_claimed_less_the_fee() {
    let mut world = World::new(0);
    let contract = outgoing(&world, 1, 22_100);
    let contract = world.town.lock(contract);
    let look = world.end(Order::Look { contract });
    let News::Looked { answer, .. } = look else {
        panic!("{look:?}");
    };
    assert_eq!(answer, world.town.contract(contract));
    let preimage = preimage(1);
    let claim = Order::Claim { contract, preimage };
    let fee = msat(FEE);
    let claimed = News::Claimed { contract, fee };
    assert_eq!(world.end(claim.clone()), claimed);
    assert_eq!(world.ecash(), 22_100 - FEE);
    world.restart();
    assert_eq!(world.end(claim), claimed);
    assert_eq!(world.ecash(), 22_100 - FEE);
}

/// Users ask gateways when some guardians have accepted their transaction, and those who are asked may be others.
#[test]
fn a_look_waits_a_moment_for_a_contract_that_is_not_there_yet() {
    let mut world = World::new(0);
    let contract = ContractId::from([1; 32]);
    let asked = world.now;
    let answer = guildmint_ln::ContractAnswer {
        account: None,
        closing: None,
    };
    let looked = world.end(Order::Look { contract });
    assert_eq!(looked, News::Looked { contract, answer });
    let waited = world.now.0 - asked.0;
    assert!((3_000..8_000).contains(&waited), "{waited} ms");
}

/// One note is all there is, and its change is on its way.
#[test]
fn two_offers_at_once_are_both_funded_if_there_is_enough_for_both() {
    let mut world = World::new(1 << 20);
    let offers = [0, 1].map(|index| world.town.offer(index, 300_000));
    for offer in offers {
        let order = Order::Fund(funding(&world, offer));
        world.order(order);
    }
    world.until(|world| world.news.len() == 2);
    let funded = |news: &News| matches!(news, News::Funded { .. });
    assert!(world.news.iter().all(funded), "{:?}", world.news);
    assert_eq!(world.town.incoming().len(), 2);
}

/// ⚠ Or a gateway that is paid in small sums has more notes than fit into a transaction when it needs them.
#[test]
fn small_notes_become_large_ones_as_time_goes_by() {
    let mut world = World::new(0);
    for number in 0..60 {
        let mut contract = outgoing(&world, 1, 1_023 + FEE);
        contract.timelock += number;
        let contract = world.town.lock(contract);
        let preimage = preimage(1);
        world.end(Order::Claim { contract, preimage });
    }
    assert_eq!(world.ecash(), 60 * 1_023);
    let notes = world.carrier.client().notes();
    assert!(notes.iter().all(|note| note.count <= 24), "{notes:?}");
    let offer = world.town.offer(0, 61_000);
    fund(&mut world, offer);
}

#[test]
fn a_contract_that_its_user_has_back_is_not_claimed() {
    let mut world = World::new(0);
    let contract = outgoing(&world, 1, 22_100);
    let contract = world.town.lock(contract);
    let id = world.town.id();
    let forfeit = Forfeit::sign(id, contract, &keys().gateway(id));
    let refund = LnInput {
        contract,
        key: key(8).x_only_public_key().0,
        witness: Witness::Forfeit(forfeit),
    };
    world.town.spend(refund, &key(8)).unwrap();
    let preimage = preimage(1);
    let end = world.end(Order::Claim { contract, preimage });
    let closing = Closing::Forfeited;
    assert_eq!(end, News::NotClaimed { contract, closing });
}

/// It is on its way when the other comes.
#[test]
fn a_claim_that_another_beats_says_how_the_contract_ended() {
    let mut world = World::new(0);
    let contract = outgoing(&world, 1, 22_100);
    let contract = world.town.lock(contract);
    let preimage = preimage(1);
    world.town.stalled = true;
    world.order(Order::Claim { contract, preimage });
    world.pass(2_000);
    let id = world.town.id();
    let forfeit = Forfeit::sign(id, contract, &keys().gateway(id));
    let refund = LnInput {
        contract,
        key: key(8).x_only_public_key().0,
        witness: Witness::Forfeit(forfeit),
    };
    world.town.spend(refund, &key(8)).unwrap();
    world.town.stalled = false;
    world.until(|world| !world.news.is_empty());
    let closing = Closing::Forfeited;
    assert_eq!(world.news, [News::NotClaimed { contract, closing }]);
}

#[test]
fn an_offer_that_hides_nothing_is_taken_back() {
    let mut world = World::new(100_000);
    let offer = world.town.garbage(preimage(3).hash(), 20_000);
    let contract = fund(&mut world, offer);
    let preimage = None;
    let opened = world.end(Order::Open { contract, offer });
    assert_eq!(opened, News::Opened { contract, preimage });
    let fee = msat(FEE);
    let refunded = News::Refunded { contract, fee };
    assert_eq!(world.end(Order::Refund { contract, offer }), refunded);
    assert_eq!(world.ecash(), 100_000 - 2 * FEE);
    world.restart();
    assert_eq!(world.end(Order::Refund { contract, offer }), refunded);
    let opened = world.end(Order::Open { contract, offer });
    assert_eq!(opened, News::Opened { contract, preimage });
    assert_eq!(world.ecash(), 100_000 - 2 * FEE);
}

#[test]
fn a_payee_who_claims_what_was_to_be_taken_back_gives_the_preimage_away() {
    let mut world = World::new(100_000);
    let preimage = preimage(3);
    let offer = world.town.garbage(preimage.hash(), 20_000);
    let contract = fund(&mut world, offer);
    let claim = LnInput {
        contract,
        key: key(9).x_only_public_key().0,
        witness: Witness::Preimage(preimage),
    };
    world.town.spend(claim, &key(9)).unwrap();
    let end = world.end(Order::Refund { contract, offer });
    assert_eq!(end, News::NotRefunded { contract, preimage });
    let opened = world.end(Order::Open { contract, offer });
    let preimage = Some(preimage);
    assert_eq!(opened, News::Opened { contract, preimage });
}

#[test]
fn what_comes_too_late_is_never_funded() {
    let mut world = World::new(100_000);
    let offer = world.town.offer(0, 20_000);
    let order = Order::Fund(funding(&world, offer));
    // Ordered in time, and on its way while nothing is agreed on but the clock.
    world.town.stalled = true;
    world.order(order.clone());
    world.pass(2_000);
    assert_eq!(world.news, []);
    world.town.mine(13);
    world.town.stalled = false;
    world.until(|world| !world.news.is_empty());
    let News::NotFunded { reason, .. } = &world.news[0] else {
        panic!("{:?}", world.news);
    };
    assert!(reason.contains("213"), "{reason}");
    // Ordered again, it is the same end; what was to be locked is there.
    assert!(matches!(world.end(order), News::NotFunded { .. }));
    world.until(|world| world.ecash() == 100_000);
    assert!(world.town.incoming().is_empty());
    // And one that is ordered too late is not begun.
    let late = funding(&world, world.town.offer(1, 20_000));
    world.town.mine(13);
    world.pass(5_000);
    let begun = world.town.submitted.len();
    assert!(matches!(
        world.end(Order::Fund(late)),
        News::NotFunded { .. }
    ));
    assert_eq!(world.town.submitted.len(), begun);
}

/// ⚠ The gateway gives the payment back because of it, so that what was said must hold whatever comes later.
#[test]
fn an_offer_for_which_there_was_too_little_is_never_funded() {
    let mut world = World::new(10_000);
    let offer = world.town.offer(0, 20_000);
    let order = Order::Fund(funding(&world, offer));
    let end = world.end(order.clone());
    let News::NotFunded { reason, .. } = &end else {
        panic!("{end:?}");
    };
    assert!(
        reason.contains("20010") || reason.contains("20,010"),
        "{reason}"
    );
    let notes = world.town.notes(100_000);
    world.command(guildmint_client::Command::Receive { notes });
    world.until(|world| world.ecash() == 110_000);
    for _ in 0..2 {
        assert_eq!(world.end(order.clone()), end);
        world.restart();
    }
    assert!(world.town.incoming().is_empty());
    // The next one is.
    let offer = world.town.offer(1, 20_000);
    fund(&mut world, offer);
}

#[test]
fn an_offer_that_another_has_funded_is_not_funded() {
    let mut world = World::new(100_000);
    let offer = world.town.offer(0, 20_000);
    let stranger = guildmint_gateway::Keys::new(&[99; 64]);
    let id = world.town.id();
    let theirs = stranger.refund(id, offer.offer.id(id));
    world.town.fund_as(offer, theirs.x_only_public_key().0);
    let end = world.end(Order::Fund(funding(&world, offer)));
    assert!(matches!(end, News::NotFunded { .. }), "{end:?}");
    assert_eq!(world.ecash(), 100_000);
}

#[test]
fn an_announcement_is_published_and_an_old_one_is_not() {
    let mut world = World::new(10_000);
    let order = announcement(&world, 5);
    for _ in 0..2 {
        assert_eq!(world.end(order.clone()), News::Announced { number: 5 });
        world.restart();
    }
    assert_eq!(world.ecash(), 9_000);
    let order = announcement(&world, 4);
    let end = world.end(order);
    assert!(
        matches!(end, News::NotAnnounced { number: 4, .. }),
        "{end:?}"
    );
}

#[test]
fn an_announcement_for_which_there_is_too_little_is_tried_again_later() {
    let mut world = World::new(0);
    let order = announcement(&world, 5);
    let end = world.end(order.clone());
    assert!(
        matches!(end, News::NotAnnounced { number: 5, .. }),
        "{end:?}"
    );
    let notes = world.town.notes(10_000);
    world.command(guildmint_client::Command::Receive { notes });
    world.until(|world| world.ecash() == 10_000);
    assert_eq!(world.end(order), News::Announced { number: 5 });
}

#[test]
fn a_federation_in_trouble_is_told_of_and_so_is_the_end_of_it() {
    use crate::town::Mood;
    let mut world = World::new(100_000);
    assert_eq!(world.state.height, 200);
    world.town.mine(3);
    world.until(|world| world.state.height == 203);
    world.town.moods[1] = Mood::Down;
    world.pass(5_000);
    assert_eq!(world.state.trouble, None);
    world.town.moods[2] = Mood::Down;
    world.until(|world| world.state.trouble.is_some());
    let trouble = world.state.trouble.clone().unwrap();
    assert!(trouble.starts_with("2 of its 4 guardians"), "{trouble}");
    world.town.moods = vec![Mood::Honest; 4];
    world.until(|world| world.state.trouble.is_none());
    // Transactions wait, and nothing is agreed on.
    world.town.stalled = true;
    let offer = world.town.offer(0, 20_000);
    world.order(Order::Fund(funding(&world, offer)));
    world.until(|world| world.state.trouble.is_some());
    world.town.stalled = false;
    world.until(|world| world.state.trouble.is_none());
}
