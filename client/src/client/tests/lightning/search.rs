//! Which gateway is asked, how many are, and what has changed when one was found.

use super::*;

#[test]
fn a_search_ends_after_five_gateways_that_do_not_work() {
    let mut world = world(Manners::Tired);
    for number in 1..5 {
        world.fake.open_gateway(Manners::Tired, number);
    }
    world.fake.open_gateway(Manners::Honest, 5);
    let (_, text) = world.bill(1, AMOUNT);
    let operation = world.start(0, pay(&text));
    let lost = world.end(0, operation);
    assert_eq!(lost.details["problem"]["code"], "no_gateway", "{lost:?}");
    assert_eq!(world.users[0].calls.len(), 5);
    // Of five, the last one is still asked.
    world.fake.gateways[0].manners = Manners::Honest;
    world.fake.announce(0, 4);
    let operation = world.start(0, pay(&text));
    assert_eq!(world.end(0, operation).state, "paid");
}

#[test]
fn whoever_names_no_node_is_not_asked_for_invoices() {
    let mut world = world(Manners::Nameless);
    let operation = world.start(0, be_paid(AMOUNT));
    let lost = world.end(0, operation);
    assert_eq!(lost.details["problem"]["code"], "no_gateway", "{lost:?}");
    assert_eq!(world.users[0].calls, []);
}

/// The wallet stops while it looks for a gateway, and is started again when the payee would not be paid any more.
#[test]
fn an_invoice_that_expires_during_the_search_locks_nothing() {
    let mut world = world(Manners::Honest);
    let (_, text) = world.bill(1, AMOUNT);
    let before = submissions(&world);
    world.users[0].crash(Crash::AfterSave(1));
    let operation = started(&mut world, pay(&text));
    world.fake.moods = vec![Mood::Slow; 4];
    world.now = Millis(4_600_001);
    world.restart(0);
    let view = world.end(0, operation);
    assert_eq!(
        view.details["problem"]["code"], "invoice_expired",
        "{view:?}"
    );
    assert_eq!(submissions(&world), before);
    assert_eq!(world.balance(0), FUNDS);
}

/// ⚠ Two payments that are funded in the same millisecond, or after the clock was put back.
#[test]
fn no_key_is_used_twice_whatever_the_clock_says() {
    let mut world = world(Manners::Vanishes);
    let begun = world.now;
    for number in 1..=3 {
        let (_, text) = world.bill(number, AMOUNT);
        world.start(0, pay(&text));
        world.pass(0, 10_000);
        assert_eq!(world.fake.refund_keys().len(), usize::from(number));
        world.now = begun;
        world.restart(0);
    }
}

/// ⚠ Who asks for a refund that is under way already gets the same one.
#[test]
fn a_refund_is_made_once_however_often_it_is_asked_for() {
    let mut world = world(Manners::Forfeits);
    let (_, text) = world.bill(1, AMOUNT);
    let operation = world.start(0, pay(&text));
    world.run(0, |user| {
        user.client.operation(operation).unwrap().state == "refunding"
    });
    let funded = submissions(&world);
    world.fake.moods = vec![Mood::Down; 4];
    for _ in 0..3 {
        let operation = Some(operation);
        let refund = Command::LnRefund { operation };
        world.command(0, refund).unwrap();
        world.pass(0, 5_000);
    }
    world.fake.moods = vec![Mood::Honest; 4];
    assert_eq!(world.end(0, operation).state, "refunded");
    assert_eq!(submissions(&world).difference(&funded).count(), 1);
    assert_eq!(world.balance(0), FUNDS);
    balanced(&world);
}

/// What nobody was shown yet another may make.
#[test]
fn an_invoice_that_one_gateway_refuses_or_falsifies_the_next_one_makes() {
    for manners in [Manners::Refuses, Manners::Greedy, Manners::OtherHash] {
        let mut world = world(manners);
        world.fake.open_gateway(Manners::Honest, 0);
        world.fake.vouch(0, 2);
        let operation = world.start(0, be_paid(AMOUNT));
        world.run(0, |user| {
            let view = user.client.operation(operation).unwrap();
            view.details["invoice"].is_string()
        });
        let shown = view(&world, operation);
        assert_eq!(shown.state, "waiting", "{shown:?}");
        assert_eq!(world.users[0].calls[0].0, "http://gateway-0/");
        // What the first one was to be paid for is asked no more.
        world.pass(0, 70_000);
        let asked = world.users[0].asked.len();
        world.pass(0, 120_000);
        let fundings: std::collections::BTreeSet<_> = world.users[0].asked[asked..]
            .iter()
            .filter_map(|(_, request)| match request {
                ApiRequest::Module { path, .. } if path.starts_with("fundings/") => Some(path),
                _ => None,
            })
            .collect();
        assert_eq!(fundings.len(), 1, "{fundings:?}");
        let hash = shown.details["payment_hash"].as_str().unwrap();
        world.fake.pay_invoice(1, hash.parse().unwrap()).unwrap();
        assert_eq!(world.end(0, operation).state, "claimed", "{manners:?}");
        assert_eq!(world.balance(0), FUNDS + AMOUNT, "{manners:?}");
    }
}
