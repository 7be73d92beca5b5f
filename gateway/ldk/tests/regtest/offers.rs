use std::time::{Duration, Instant};

use guildmint_gateway::node::{
    Command, Event, FetchOrder, LightningNode as _, OwnOfferOrder, PaymentHash, Refusal, RequestId,
};

use crate::world::{assert_refused, preimage, wait_for, Running, World};

fn fetch(request: RequestId, offer: &str) -> Command {
    Command::Fetch(FetchOrder {
        request,
        offer: offer.to_owned(),
        amount_msat: None,
        note: Some("for coffee".to_owned()),
        max_fee_msat: 10_000,
        max_total_cltv_delta: 500,
    })
}

#[test]
fn an_offers_invoice_is_fetched_first_and_paid_when_it_is_wanted() {
    let world = World::new();
    let (mut one, two) = (world.start("one", None), world.start("two", None));
    world.fund(&[&one, &two]);
    world.open_as(&one, &two, true);
    // An offer needs a node that the graph knows.
    let order = OwnOfferOrder {
        amount_msat: Some(3_000_000),
        description: "coffee".to_owned(),
    };
    let offer = wait_for("an offer", || two.make_own_offer(&order).ok());

    let request = RequestId([1; 32]);
    one.command(fetch(request, &offer)).unwrap();
    let fetched = |event: &Event| match event {
        Event::Fetched {
            request: of,
            hash,
            amount_msat,
            invoice,
        } if *of == request => Some((*hash, *amount_msat, invoice.len())),
        _ => None,
    };
    let (hash, amount_msat, bytes) = one.wait_for_event("an invoice", fetched);
    assert_eq!(amount_msat, 3_000_000);
    assert!(bytes > 100);
    // Nothing was paid yet, and a restart forgets nothing.
    assert!(one.sent(hash).unwrap().is_none());
    one.restart();
    one.command(fetch(request, &offer)).unwrap();
    assert_eq!(one.wait_for_event("the invoice again", fetched).0, hash);
    let other: PaymentHash = preimage(9).hash();
    let refused = one.command(Command::PayFetched {
        request,
        hash: other,
    });
    assert_refused(refused, |refusal| {
        matches!(refusal, Refusal::OtherHash { .. })
    });
    one.wait_until_usable();
    one.command(Command::PayFetched { request, hash }).unwrap();
    assert!(matches!(
        one.wait_for_end(hash),
        Event::PaymentSucceeded { .. }
    ));
    // Ordered again after its end, it is told of again and not paid again, over restarts too.
    one.restart();
    one.command(Command::PayFetched { request, hash }).unwrap();
    assert!(matches!(
        one.wait_for_end(hash),
        Event::PaymentSucceeded { .. }
    ));
    for again in [Command::Abandon { request }, fetch(request, &offer)] {
        let refused = one.command(again);
        assert_refused(refused, |refusal| *refusal == Refusal::HashUsed(hash));
    }
    one.wait_until_usable();
    pay_as_much_as_one_likes(&one, &two);
    forget(&one, &offer);
}

/// LDK wakes by itself after twice as long in builds for tests. Whoever waits for that makes users wait.
const FETCH_LIMIT: Duration = Duration::from_secs(15);

/// An offer that leaves the amount open is paid twice, with what the payer says.
fn pay_as_much_as_one_likes(one: &Running, two: &Running) {
    let order = OwnOfferOrder {
        amount_msat: None,
        description: "a gift".to_owned(),
    };
    let offer = two.make_own_offer(&order).unwrap();
    for (number, amount) in [(4, 1_000_000), (5, 2_000_000)] {
        let request = RequestId([number; 32]);
        let Command::Fetch(order) = fetch(request, &offer) else {
            panic!("no order");
        };
        let amount_msat = Some(amount);
        let order = FetchOrder {
            amount_msat,
            ..order
        };
        let begun = Instant::now();
        one.command(Command::Fetch(order)).unwrap();
        let hash = one.wait_for_event("an invoice", |event| match event {
            Event::Fetched {
                request: of,
                hash,
                amount_msat,
                ..
            } if *of == request => {
                assert!(begun.elapsed() < FETCH_LIMIT, "{:?}", begun.elapsed());
                assert_eq!(*amount_msat, amount);
                Some(*hash)
            }
            _ => None,
        });
        one.command(Command::PayFetched { request, hash }).unwrap();
        assert!(matches!(
            one.wait_for_end(hash),
            Event::PaymentSucceeded { .. }
        ));
    }
}

/// One that is not wanted is forgotten.
fn forget(one: &Running, offer: &str) {
    let unwanted = RequestId([2; 32]);
    one.command(fetch(unwanted, offer)).unwrap();
    let hash = one.wait_for_event("another invoice", |event| match event {
        Event::Fetched { request, hash, .. } if *request == unwanted => Some(*hash),
        _ => None,
    });
    one.command(Command::Abandon { request: unwanted }).unwrap();
    let refused = one.command(Command::PayFetched {
        request: unwanted,
        hash,
    });
    assert_refused(refused, |refusal| *refusal == Refusal::NotFetched(unwanted));

    let refused = one.command(fetch(RequestId([3; 32]), "lno1nonsense"));
    assert_refused(refused, |refusal| {
        matches!(refusal, Refusal::Malformed { .. })
    });
}
