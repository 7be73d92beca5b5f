use guildmint_ln::limits::OUTGOING_BLOCKS;

use super::*;

/// A story of one payment, to its end.
fn paid(manners: Manners) -> (World, View) {
    let mut world = world(manners);
    let (_, text) = world.bill(1, AMOUNT);
    let operation = world.start(0, pay(&text));
    let view = world.end(0, operation);
    world.pass(0, 60_000);
    balanced(&world);
    (world, view)
}

#[test]
fn an_invoice_is_paid_and_its_preimage_proves_it() {
    let (world, view) = paid(Manners::Honest);
    assert_eq!(
        (view.kind, view.state, view.phase),
        ("pay", "paid", Phase::Done)
    );
    assert_eq!(view.details["preimage"], "01".repeat(32));
    assert_eq!(view.details["fee_msat"], FEE);
    assert_eq!(world.balance(0), FUNDS - AMOUNT - FEE);
    assert_eq!(world.fake.earned_msat(), (AMOUNT + FEE) as i64);
    assert_eq!(world.users[0].client.balance().locked, sat(0));
}

#[test]
fn a_price_is_what_is_paid_to_the_millisatoshi() {
    let mut world = with_fees(Manners::Honest, 7);
    let (_, text) = world.bill(1, AMOUNT + 3);
    let payable = Payable::Invoice(text.clone());
    let quote = Command::LnQuote {
        payable: payable.clone(),
        gateway: None,
    };
    let Ok(Reply::LnQuote(price)) = world.command(0, quote) else {
        panic!("no price");
    };
    assert_eq!(price.gateway_fee, msat(FEE + 1));
    let (before, gateway) = (world.balance(0), Some(price.gateway));
    let max_fee = price.fee;
    let less = Command::LnPay {
        payable: payable.clone(),
        gateway,
        max_fee: msat(max_fee.msat() - 1),
    };
    let operation = world.start(0, less);
    let view = world.end(0, operation);
    assert_eq!(view.details["problem"]["code"], "fee_too_high");
    assert_eq!(world.balance(0), before);
    let exactly = Command::LnPay {
        payable,
        gateway,
        max_fee,
    };
    let operation = world.start(0, exactly);
    let view = world.end(0, operation);
    assert_eq!(view.state, "paid");
    assert_eq!(view.details["fee_msat"], max_fee.msat());
    assert_eq!(
        world.balance(0),
        before - price.amount.msat() - max_fee.msat()
    );
    balanced(&world);
}

#[test]
fn the_same_invoice_again_is_the_same_payment_whether_it_is_under_way_or_done() {
    let mut world = world(Manners::Idle);
    let (_, text) = world.bill(1, AMOUNT);
    let operation = world.start(0, pay(&text));
    let again = |world: &mut World, text: &str| {
        let reply = world.command(0, pay(text)).unwrap();
        let already_started = true;
        assert_eq!(
            reply,
            Reply::AlreadyStarted {
                operation,
                already_started
            }
        );
    };
    again(&mut world, &text);
    again(&mut world, &format!("LIGHTNING:{}", text.to_uppercase()));
    world.pass(0, 5_000);
    again(&mut world, &text);
    world.fake.gateways[0].manners = Manners::Honest;
    assert_eq!(world.end(0, operation).state, "paid");
    again(&mut world, &text);
    // Also when its time is long over, and by a program that was started again.
    world.pass(0, 7_200_000);
    world.restart(0);
    again(&mut world, &text);
    assert_eq!(world.fake.gateways[0].paid.len(), 1);
    assert_eq!(world.balance(0), FUNDS - AMOUNT - FEE);
}

#[test]
fn what_cannot_be_paid_is_refused_before_anything_is_begun() {
    let mut world = world(Manners::Honest);
    let before = submissions(&world);
    let (_, dear) = world.bill(1, 6_000_000);
    let elsewhere = "lnbc1qqqq".to_owned();
    let mut damaged = world.bill(2, AMOUNT).1;
    let last = damaged.pop().unwrap();
    damaged.push(if last == 'q' { 'p' } else { 'q' });
    let without = without_amount();
    for (text, code) in [
        ("", "invalid_invoice"),
        ("guildnote1", "invalid_invoice"),
        (elsewhere.as_str(), "invalid_invoice"),
        (damaged.as_str(), "invalid_invoice"),
        (without.as_str(), "invoice_without_amount"),
        (MAINNET, "other_network"),
        (dear.as_str(), "insufficient_funds"),
    ] {
        for command in [
            pay(text),
            Command::LnQuote {
                payable: Payable::Invoice(text.into()),
                gateway: None,
            },
        ] {
            let error = world.command(0, command).unwrap_err();
            assert_eq!(error.code(), code, "{text}: {error}");
        }
    }
    let (_, late) = world.bill(3, AMOUNT);
    world.pass(0, 4_000_000);
    let error = world.command(0, pay(&late)).unwrap_err();
    assert_eq!(error.code(), "invoice_expired", "{error}");
    assert_eq!(world.users[0].client.operations().len(), 1, "the deposit");
    assert_eq!(submissions(&world), before);
}

/// One of the specification's.
const MAINNET: &str = "lnbc2500u1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdq5xysxxatsyp3k7enxv4jsxqzpu9qrsgquk0rl77nj30yxdy8j9vdx85fkpmdla2087ne0xh8nhedh8w27kyke0lp53ut353s06fv3qfegext0eh0ymjpf39tuven09sam30g4vgpfna3rh";

fn without_amount() -> String {
    use bitcoin::hashes::Hash as _;
    lightning_invoice::InvoiceBuilder::new(lightning_invoice::Currency::Regtest)
        .description("gift".into())
        .payment_hash(bitcoin::hashes::sha256::Hash::from_byte_array([4; 32]))
        .payment_secret(lightning_invoice::PaymentSecret([42; 32]))
        .duration_since_epoch(std::time::Duration::from_secs(1_000))
        .min_final_cltv_expiry_delta(144)
        .build_signed(|hash| {
            secp256k1::SECP256K1.sign_ecdsa_recoverable(hash, &key(7).secret_key())
        })
        .unwrap()
        .to_string()
}

#[test]
fn a_federation_without_gateways_that_work_locks_nothing() {
    let mut world = World::standard();
    world.fund(0, 5_000);
    let (_, text) = world.bill(1, AMOUNT);
    let before = submissions(&world);
    for manners in [None, Some(Manners::Gone), Some(Manners::Tired)] {
        if let Some(manners) = manners {
            world.fake.open_gateway(manners, 0);
        }
        let operation = world.start(0, pay(&text));
        let view = world.end(0, operation);
        assert_eq!((view.state, view.phase), ("failed", Phase::Failed));
        assert_eq!(view.details["problem"]["code"], "no_gateway", "{view:?}");
    }
    assert_eq!(submissions(&world), before);
    assert_eq!(world.balance(0), FUNDS);
}

#[test]
fn the_gateway_that_guardians_know_goes_before_the_cheap_one_and_one_that_works_before_both() {
    let mut world = world(Manners::Honest);
    let dear = world.fake.open_gateway(Manners::Honest, 20_000);
    world.fake.open_gateway(Manners::Honest, 10_000);
    let (_, text) = world.bill(1, AMOUNT);
    let quote = |world: &mut World, gateway| {
        let payable = Payable::Invoice(text.clone());
        match world.command(0, Command::LnQuote { payable, gateway }) {
            Ok(Reply::LnQuote(price)) => (price.gateway_url, price.gateway_fee.msat()),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(quote(&mut world, None), ("http://gateway-0/".into(), FEE));
    // One guardian alone may be its accomplice.
    world.fake.vouch(dear, 1);
    assert_eq!(quote(&mut world, None).0, "http://gateway-0/");
    world.fake.vouch(dear, 2);
    assert_eq!(
        quote(&mut world, None),
        ("http://gateway-1/".into(), FEE + 20_000)
    );
    world.fake.gateways[dear].manners = Manners::Gone;
    assert_eq!(quote(&mut world, None).0, "http://gateway-0/");
    world.fake.gateways[0].manners = Manners::Tired;
    assert_eq!(quote(&mut world, None).0, "http://gateway-2/");
    let chosen = Some(world.fake.gateway_key(2));
    assert_eq!(quote(&mut world, chosen).0, "http://gateway-2/");
    let chosen = Some(world.fake.gateway_key(0));
    let payable = Payable::Invoice(text.clone());
    let refused = world.command(
        0,
        Command::LnQuote {
            payable,
            gateway: chosen,
        },
    );
    assert_eq!(refused.unwrap_err().code(), "no_gateway");
}

#[test]
fn no_money_is_locked_before_its_gateway_has_said_that_it_works() {
    let (world, _) = paid(Manners::Honest);
    let user = &world.users[0];
    assert_eq!(user.calls[0].1, GatewayCall::Info);
    let mut world = self::world(Manners::Gone);
    let before = submissions(&world);
    let (_, text) = world.bill(1, AMOUNT);
    let operation = world.start(0, pay(&text));
    world.end(0, operation);
    assert_eq!(submissions(&world), before);
    assert_eq!(world.users[0].calls.len(), 1);
}

#[test]
fn what_a_gateway_gives_up_comes_back_at_once_and_may_be_tried_again() {
    let (mut world, view) = paid(Manners::Forfeits);
    assert_eq!((view.state, view.phase), ("refunded", Phase::Failed));
    assert_eq!(view.details["problem"]["code"], "payment_failed");
    assert_eq!(view.details["returned_msat"], AMOUNT + FEE);
    assert_eq!(world.balance(0), FUNDS);
    world.fake.gateways[0].manners = Manners::Honest;
    let (_, text) = world.bill(1, AMOUNT);
    let again = world.start(0, pay(&text));
    assert_ne!(again, view.operation);
    assert_eq!(world.end(0, again).state, "paid");
    balanced(&world);
}

#[test]
fn what_a_gateway_never_answers_comes_back_when_its_time_is_over() {
    for manners in [
        Manners::Vanishes,
        Manners::Idle,
        Manners::Hasty,
        Manners::Boasts,
        Manners::ForeignForfeit,
        Manners::OtherForfeit,
    ] {
        for away in [false, true] {
            let mut world = world(manners);
            let (_, text) = world.bill(1, AMOUNT);
            let operation = world.start(0, pay(&text));
            world.pass(0, 120_000);
            assert_eq!(view(&world, operation).state, "paying", "{manners:?}");
            assert_eq!(world.users[0].client.balance().locked.msat(), AMOUNT + FEE);
            world.fake.advance(100 + OUTGOING_BLOCKS - 1);
            world.pass(0, 120_000);
            assert_eq!(view(&world, operation).state, "paying", "{manners:?}");
            if away {
                world.restart(0);
            }
            world.fake.advance(100 + OUTGOING_BLOCKS);
            let view = world.end(0, operation);
            assert_eq!(view.state, "refunded", "{manners:?}");
            assert_eq!(world.balance(0), FUNDS, "{manners:?}");
            balanced(&world);
        }
    }
}

#[test]
fn a_gateway_that_takes_the_money_and_keeps_silent_has_paid() {
    let (world, view) = paid(Manners::Taciturn);
    assert_eq!(view.state, "paid");
    assert_eq!(view.details["preimage"], "01".repeat(32));
    assert_eq!(world.balance(0), FUNDS - AMOUNT - FEE);
}

#[test]
fn a_gateway_that_claims_after_the_time_limit_and_before_the_refund_is_paid() {
    let mut world = world(Manners::Vanishes);
    let (_, text) = world.bill(1, AMOUNT);
    let operation = world.start(0, pay(&text));
    world.pass(0, 10_000);
    world.fake.moods = vec![Mood::Down; 4];
    world.fake.advance(100 + OUTGOING_BLOCKS);
    world.pass(0, 30_000);
    world.fake.claim_all(0);
    world.fake.moods = vec![Mood::Honest; 4];
    let view = world.end(0, operation);
    assert_eq!(view.state, "paid");
    world.pass(0, 60_000);
    balanced(&world);
}

#[test]
fn a_refund_is_looked_for_when_the_user_says_so() {
    let mut world = world(Manners::Vanishes);
    let (_, text) = world.bill(1, AMOUNT);
    let operation = world.start(0, pay(&text));
    world.pass(0, 300_000);
    world.fake.gateways[0].manners = Manners::Forfeits;
    let only = Some(operation);
    let begun = world.now;
    world
        .command(0, Command::LnRefund { operation: only })
        .unwrap();
    assert_eq!(world.end(0, operation).state, "refunded");
    assert!(world.now.0 - begun.0 < 5_000);
    let other = world.users[0].client.operations()[0].operation;
    let only = Some(other);
    let wrong = world.command(0, Command::LnRefund { operation: only });
    assert_eq!(wrong.unwrap_err().code(), "wrong_operation");
}

#[test]
fn up_to_f_guardians_that_lie_change_nothing() {
    for mood in LIARS.into_iter().chain([Mood::Invents, Mood::Hasty]) {
        for (place, manners, state) in [
            (0, Manners::Honest, "paid"),
            (3, Manners::Forfeits, "refunded"),
        ] {
            let mut world = world(manners);
            world.fake.moods[place] = mood;
            let (_, text) = world.bill(1, AMOUNT);
            let operation = world.start(0, pay(&text));
            assert_eq!(world.end(0, operation).state, state, "{mood:?} {place}");
            world.pass(0, 60_000);
            balanced(&world);
        }
    }
}

#[test]
fn waiting_is_one_request_and_not_many() {
    let mut world = world(Manners::Idle);
    world.fake.moods[1] = Mood::Hasty;
    let (_, text) = world.bill(1, AMOUNT);
    world.start(0, pay(&text));
    world.pass(0, 30_000);
    let (asked, called) = (world.users[0].asked.len(), world.users[0].calls.len());
    world.pass(0, 3_600_000);
    // Two topics, three guardians, a minute each; one of them does not hold what it should.
    let asked = world.users[0].asked.len() - asked;
    assert!(asked <= 2 * 3 * 60 + 2 * 300, "{asked}");
    let called = world.users[0].calls.len() - called;
    assert!((59..=61).contains(&called), "{called}");
    world.fake.gateways[0].manners = Manners::Hasty;
    let called = world.users[0].calls.len();
    world.pass(0, 600_000);
    assert!(world.users[0].calls.len() - called <= 601);
}

/// One payment, with a wallet that dies at one instant.
fn story(manners: Manners, crash: Crash) {
    let mut world = world(manners);
    let (_, text) = world.bill(1, AMOUNT);
    world.users[0].crash(crash);
    let operation = started(&mut world, pay(&text));
    if manners == Manners::Vanishes {
        world.pass(0, 20_000);
        world.fake.advance(100 + OUTGOING_BLOCKS);
    }
    let view = world.end(0, operation);
    world.pass(0, 60_000);
    let paid = matches!(manners, Manners::Honest | Manners::Taciturn);
    assert_eq!(
        view.state,
        if paid { "paid" } else { "refunded" },
        "{crash:?}"
    );
    let expected = if paid { FUNDS - AMOUNT - FEE } else { FUNDS };
    assert_eq!(world.balance(0), expected, "{manners:?} {crash:?}");
    assert_eq!(world.users[0].client.operations().len(), 2, "{crash:?}");
    assert_eq!(world.users[0].client.balance().pending, sat(0));
    assert_eq!(world.fake.refusals, [], "{manners:?} {crash:?}");
    balanced(&world);
}

#[test]
fn a_crash_at_every_instant_of_a_payment_loses_nothing_and_pays_once() {
    for manners in [
        Manners::Honest,
        Manners::Forfeits,
        Manners::Taciturn,
        Manners::Vanishes,
    ] {
        for number in 1..=10 {
            story(manners, Crash::BeforeSave(number));
            story(manners, Crash::AfterSave(number));
        }
    }
    for number in (1..=40).step_by(4) {
        story(Manners::Honest, Crash::AfterRequest(number));
    }
}

#[test]
fn fees_that_rise_while_a_contract_is_funded_make_another_contract_and_one_payment() {
    for number in 0..8 {
        for crash in [
            Crash::Never,
            Crash::BeforeSave(number),
            Crash::AfterSave(number),
        ] {
            let mut world = world(Manners::Honest);
            world.pass(0, 31_000);
            let (_, text) = world.bill(1, AMOUNT);
            revisions::revise_all(&mut world.fake, "new", (10, 0, 1_000));
            world.users[0].crash(crash);
            let operation = started(&mut world, pay(&text));
            let view = world.end(0, operation);
            assert_eq!(view.state, "paid", "{crash:?}");
            world.pass(0, 60_000);
            assert_eq!(world.fake.gateways[0].paid.len(), 1);
            let spent = AMOUNT + view.details["fee_msat"].as_u64().unwrap();
            assert!(spent > AMOUNT + FEE + 1_000);
            assert_eq!(world.balance(0), FUNDS - spent, "{crash:?}");
            balanced(&world);
        }
    }
}

#[test]
fn fees_that_rise_beyond_the_users_limit_bring_the_money_back() {
    let mut world = world(Manners::Honest);
    world.pass(0, 31_000);
    let (_, text) = world.bill(1, AMOUNT);
    revisions::revise_all(&mut world.fake, "dear", (0, 0, 91_000));
    let operation = world.start(0, pay(&text));
    let view = world.end(0, operation);
    assert_eq!(
        (view.state, view.phase),
        ("failed", Phase::Failed),
        "{view:?}"
    );
    world.pass(0, 60_000);
    assert_eq!(world.balance(0), FUNDS);
    assert_eq!(world.fake.locked_msat(), 0);
    balanced(&world);
}

#[test]
fn fees_that_rise_before_a_refund_are_paid_out_of_it() {
    let mut world = world(Manners::Vanishes);
    let (_, text) = world.bill(1, AMOUNT);
    let operation = world.start(0, pay(&text));
    world.pass(0, 31_000);
    revisions::revise_all(&mut world.fake, "new", (0, 0, 1_000));
    world.fake.advance(100 + OUTGOING_BLOCKS);
    let view = world.end(0, operation);
    assert_eq!(view.details["returned_msat"], AMOUNT + FEE - 1_000);
    assert_eq!(world.balance(0), FUNDS - 1_000);
    balanced(&world);
}

#[test]
fn a_wallet_made_of_its_words_again_uses_no_key_a_second_time() {
    let mut world = world(Manners::Vanishes);
    let (_, text) = world.bill(1, AMOUNT);
    world.start(0, pay(&text));
    world.pass(0, 10_000);
    let first = world.fake.refund_keys();
    world.lose(0);
    let restore = world.start(0, Command::Restore { gap: 256 });
    world.end(0, restore);
    let (_, text) = world.bill(2, AMOUNT);
    world.start(0, pay(&text));
    world.pass(0, 10_000);
    let both = world.fake.refund_keys();
    assert_eq!((first.len(), both.len()), (1, 2));
}

/// A gateway fetches an invoice of an offer, and whoever asked has checked it.
fn fetched(world: &mut World) -> Result<FetchedInvoice, ClientError> {
    let command = Command::LnFetch {
        offer: "lno1".into(),
        amount: msat(AMOUNT),
        note: None,
        gateway: None,
    };
    match world.command(0, command)? {
        Reply::LnFetched { gateway, answer } => {
            assert_eq!(gateway, world.fake.gateway_key(0));
            let payee = key(77).public_key();
            let expires_at_s = 3_000;
            Ok(FetchedInvoice {
                answer,
                payee,
                expires_at_s,
            })
        }
        other => panic!("{other:?}"),
    }
}

fn pay_fetched(fetched: &FetchedInvoice) -> Command {
    Command::LnPay {
        payable: Payable::Fetched(Box::new(fetched.clone())),
        gateway: None,
        max_fee: sat(100),
    }
}

#[test]
fn an_offer_is_paid_by_its_fetched_invoice() {
    let mut world = world(Manners::Honest);
    world.bill(1, AMOUNT);
    let fetched = fetched(&mut world).unwrap();
    let operation = world.start(0, pay_fetched(&fetched));
    let view = world.end(0, operation);
    assert_eq!(view.state, "paid");
    assert_eq!(world.balance(0), FUNDS - AMOUNT - FEE);
    let again = world.command(0, pay_fetched(&fetched));
    assert!(matches!(again, Ok(Reply::AlreadyStarted { .. })));
    balanced(&world);
}

#[test]
fn a_gateway_that_fetches_something_else_or_wants_more_than_it_announced_is_not_paid() {
    let mut world = world(Manners::Greedy);
    assert_eq!(fetched(&mut world).unwrap_err().code(), "gateway_unusable");
    world.fake.gateways[0].manners = Manners::Honest;
    let right = fetched(&mut world).unwrap();
    let mut dear = right.clone();
    dear.answer.contract_amount_msat = msat(AMOUNT + FEE + 1);
    let operation = world.start(0, pay_fetched(&dear));
    let view = world.end(0, operation);
    assert_eq!(view.details["problem"]["code"], "gateway_unusable");
    let mut renamed = right;
    renamed.answer.invoice_hash = guildmint_ln::InvoiceHash::new("x");
    let refused = world.command(0, pay_fetched(&renamed));
    assert_eq!(refused.unwrap_err().code(), "gateway_unusable");
    assert_eq!(world.balance(0), FUNDS);
    world.fake.gateways[0].manners = Manners::Vanishes;
    assert_eq!(fetched(&mut world).unwrap_err().code(), "gateway_unusable");
}

#[test]
fn a_gateway_without_a_node_is_asked_to_pay_its_own_invoices_and_no_others() {
    let mut world = world(Manners::SwapsOnly);
    let (_, outside) = world.bill(1, AMOUNT);
    let operation = world.start(0, pay(&outside));
    let lost = world.end(0, operation);
    assert_eq!(lost.details["problem"]["code"], "no_gateway", "{lost:?}");
    assert_eq!(fetched(&mut world).unwrap_err().code(), "no_gateway");

    // One with a node is cheaper, but finds no way to the other's users.
    world.fake.open_gateway(Manners::Forfeits, 0);
    world.fake.announce(0, 5);
    let preimage = guildmint_ln::Preimage::from([6; 32]);
    world.fake.gateways[0]
        .secrets
        .insert(preimage.hash(), preimage);
    let node = world.fake.gateways[0].node;
    let own = super::super::gateway::invoice(&node, preimage.hash(), msat(AMOUNT));
    let operation = world.start(0, pay(&own));
    let paid = world.end(0, operation);
    assert_eq!(paid.state, "paid", "{paid:?}");
    assert_eq!(world.fake.gateways[0].paid, [preimage.hash()]);
    balanced(&world);
}
