//! What wallets and operators are answered, over HTTP, by a gateway with a node and a federation in memory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{raw, World, INVITE};
use guildmint_core::Amount;
use guildmint_gateway::node::{
    Command, Event, FetchOrder, LightningNode as _, PaymentOrder, Preimage, RequestId, SentState,
};
use guildmint_gatewayd::Place;
use serde_json::json;

const BOOK: Preimage = Preimage([5; 32]);

#[test]
fn a_users_invoice_is_paid_and_the_payment_is_in_the_books() {
    let world = World::joined();
    let invoice = world.invoice(&BOOK, 20_000);
    let request = json!(world.fund(&BOOK, &invoice, 22_100));
    let (status, answer) = world.wallet("/v1/pay?wait=30", Some(request.clone()));
    assert_eq!(
        (status, &answer),
        (200, &json!({ "paid": hex::encode(BOOK.0) }))
    );
    // Asked again, it is told again, and paid once.
    assert_eq!(world.wallet("/v1/pay?wait=30", Some(request)).1, answer);
    assert_eq!(world.node.dispatched(BOOK.hash()), 1);

    world.until(|world| world.operator("/payments", None).1["ended"] != json!([]));
    let payments = world.operator("/payments", None).1;
    let entry = &payments["ended"][0];
    assert_eq!(entry["kind"], "pay");
    assert_eq!(entry["hash"], BOOK.hash().to_string());
    assert_eq!(payments["day"]["paid"], 1);
    assert_eq!(payments["before"], json!(null));
    let metrics = raw(
        &format!("{}/metrics", world.admin_url()),
        None,
        Some(&world.token),
    );
    let metrics = metrics.as_str().unwrap();
    for line in [
        "guildmint_gateway_requests_total{request=\"pay\",answer=\"paid\"} 2",
        "guildmint_gateway_payments_total{kind=\"pay\"} 1",
        "guildmint_gateway_ready 1",
    ] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
}

/// ⚠ However often a wallet asks, and gives up waiting.
#[test]
fn a_payment_that_takes_long_is_asked_for_again_and_again() {
    let world = World::joined();
    let preimage = Preimage([6; 32]);
    // Nobody knows the preimage, so the payee holds what comes.
    let invoice = world
        .payee
        .make_invoice(&guildmint_gateway::node::InvoiceOrder {
            hash: preimage.hash(),
            amount_msat: 20_000,
            description: String::new(),
            expiry_s: 3600,
            min_final_cltv_delta: 18,
        });
    let invoice = invoice.unwrap();
    let request = json!(world.fund(&preimage, &invoice, 22_100));
    for _ in 0..20 {
        let answer = world.wallet("/v1/pay", Some(request.clone()));
        assert_eq!(answer, (202, json!({})));
    }
    world.until(|world| {
        world.operator("/payments", None).1["open"][0]["hash"] == preimage.hash().to_string()
    });
    world.until(|world| !world.payee.held(None).unwrap().is_empty());
    let claim = guildmint_gateway::node::Command::Claim {
        preimage: preimage.clone(),
    };
    world.payee.command(claim).unwrap();
    let (status, answer) = world.wallet("/v1/pay?wait=30", Some(request));
    assert_eq!(
        (status, answer),
        (200, json!({ "paid": hex::encode(preimage.0) }))
    );
}

#[test]
fn what_cannot_be_paid_is_given_up_and_what_is_wrong_is_a_problem() {
    let world = World::joined();
    // A contract that leaves nothing for the way.
    let invoice = world.invoice(&BOOK, 20_000);
    let request = json!(world.fund(&BOOK, &invoice, 20_000));
    let (status, answer) = world.wallet("/v1/pay?wait=30", Some(request.clone()));
    assert_eq!(status, 200, "{answer}");
    assert!(answer["forfeit"].is_object(), "{answer}");
    assert_eq!(world.node.dispatched(BOOK.hash()), 0);

    let mut other = request;
    other["federation"] = json!("ab".repeat(32));
    let (status, problem) = world.wallet("/v1/pay?wait=1", Some(other));
    assert_eq!(
        (status, &problem["code"]),
        (404, &json!("unknown_federation"))
    );
    let (status, problem) = world.wallet("/v1/pay", Some(json!({ "invoice": 7 })));
    assert_eq!((status, &problem["code"]), (400, &json!("malformed")));
    let large = json!({ "invoice": "x".repeat(70_000) });
    let (status, problem) = world.wallet("/v1/invoice", Some(large));
    assert_eq!((status, &problem["code"]), (413, &json!("too_large")));
    assert_eq!(world.wallet("/v1/nothing", None).0, 404);
    assert_eq!(world.wallet("/v1/pay", None).0, 405);
    // The operator's paths are not there.
    assert_eq!(world.wallet("/balances", None).0, 404);
}

/// SPEC LN-6: a wallet asks before it locks money.
#[test]
fn health_tells_of_the_node_and_of_the_federation() {
    let world = World::new();
    // Without a federation there is nothing wrong, and nothing is begun.
    assert_eq!(world.wallet("/readyz", None).0, 200);
    assert_eq!(world.wallet("/v1/gateway", None).1["ready"], false);
    let (status, joined) = world.operator("/federations", Some(json!({ "invite": INVITE })));
    assert_eq!(status, 200, "{joined}");
    assert_eq!(joined["settings"]["api_url"], "http://gateway.example");
    world.until_ready();
    let info = world.wallet("/v1/gateway", None).1;
    assert_eq!(info["network"], "regtest");
    assert_eq!(
        info["node_key"],
        world.node.state().node_id.unwrap().to_string()
    );
    assert_eq!(info["federations"][0]["trouble"], json!(null));

    world.node.stop();
    world.until(|world| world.wallet("/readyz", None).0 == 503);
    world.until(|world| world.wallet("/v1/gateway", None).1["ready"] == false);
    let info = world.wallet("/v1/gateway", None).1;
    let trouble = info["federations"][0]["trouble"].as_str().unwrap();
    assert!(trouble.contains("Lightning node"), "{trouble}");
    let alive = raw(&format!("{}/livez", world.public_url()), None, None);
    assert_eq!(alive.as_str().unwrap(), "ok\n");
}

#[test]
fn only_the_operator_is_answered_by_the_operators_listener() {
    let world = World::joined();
    for path in [
        "/",
        "/status",
        "/balances",
        "/backup",
        "/metrics",
        "/payments",
    ] {
        let answer = common::ask(&format!("{}{path}", world.admin_url()), None, None);
        assert_eq!(answer.0, 401, "{path}");
        assert_eq!(world.operator(path, None).0, 200, "{path}");
    }
    let stop = common::ask(
        &format!("{}/stop", world.admin_url()),
        Some(json!({})),
        Some(&"00".repeat(32)),
    );
    assert_eq!(stop.0, 401);
    assert_eq!(world.wallet("/livez", None).0, 200);
    assert_eq!(world.operator("/stop", Some(json!({}))).0, 200);
    async_std::task::block_on(world.gateway().wish());
}

#[test]
fn fees_and_limits_change_one_by_one_and_a_federation_can_be_left() {
    let world = World::joined();
    let federation = world.federation();
    let fees = json!({ "federation": federation, "send_base_msat": 7_000, "receive_parts_per_million": 10 });
    let (status, set) = world.operator("/federations/fees", Some(fees));
    assert_eq!(status, 200, "{set}");
    let settings = &set["settings"];
    assert_eq!(
        settings["send_fees"],
        json!({ "base": 7_000, "parts_per_million": 5_000 })
    );
    assert_eq!(
        settings["receive_fees"],
        json!({ "base": 0, "parts_per_million": 10 })
    );
    let limits = json!({ "federation": federation, "paying": 3 });
    let set = world.operator("/federations/limits", Some(limits)).1;
    assert_eq!(set["settings"]["limits"]["paying"], 3);
    assert_eq!(set["settings"]["limits"]["held"], 100);
    assert_eq!(set["settings"]["send_fees"]["base"], 7_000);
    let wrong = json!({ "federation": federation, "payng": 3 });
    assert_eq!(world.operator("/federations/limits", Some(wrong)).0, 400);

    let leave = json!({ "federation": federation });
    assert_eq!(
        world.operator("/federations/leave", Some(leave.clone())).1["left"],
        true
    );
    assert_eq!(world.operator("/federations/limits", Some(leave)).0, 409);
    assert_eq!(world.wallet("/v1/gateway", None).1["ready"], false);
    // To join it again serves it again, as it was.
    let joined = world
        .operator("/federations", Some(json!({ "invite": INVITE })))
        .1;
    assert_eq!(
        (&joined["left"], &joined["settings"]["limits"]["paying"]),
        (&json!(false), &json!(3))
    );
    // ⚠ By the one client that it has: two would spend the same notes.
    assert_eq!(*world.federations.started.lock().unwrap(), 1);
    let (status, problem) =
        world.operator("/federations", Some(json!({ "invite": "guild1other" })));
    assert_eq!((status, &problem["code"]), (422, &json!("wrong_invite")));
}

/// ⚠ What is paid on an invoice of the operator's is the node's, and no federation hears of it.
#[test]
fn the_operators_payments_are_not_users_payments() {
    let world = World::joined();
    let before = world.operator("/balances", None).1;
    let order = json!({ "amount_msat": 50_000, "description": "for the node" });
    let invoice = world.operator("/invoices", Some(order)).1["invoice"].clone();
    let invoice: lightning_invoice::Bolt11Invoice = invoice.as_str().unwrap().parse().unwrap();
    let hash: guildmint_gateway::node::PaymentHash =
        invoice.payment_hash().to_string().parse().unwrap();
    let pay = guildmint_gateway::node::Command::Pay(PaymentOrder {
        hash,
        invoice: invoice.to_string(),
        amount_msat: 50_000,
        max_fee_msat: 10_000,
        max_total_cltv_delta: 1008,
    });
    world.payee.command(pay).unwrap();
    let arrived = world.payee.sent(hash).unwrap().unwrap().state;
    assert!(
        matches!(arrived, SentState::Succeeded { .. }),
        "{arrived:?}"
    );
    let after = world.operator("/balances", None).1;
    let ours = |balances: &serde_json::Value| balances["channels"]["ours_msat"].as_u64().unwrap();
    assert_eq!(ours(&after), ours(&before) + 50_000);
    assert_eq!(after["ecash"], before["ecash"]);

    let invoice = world.invoice(&BOOK, 30_000);
    let (status, paid) = world.operator("/payments?wait=30", Some(json!({ "invoice": invoice })));
    assert_eq!(status, 200, "{paid}");
    assert_eq!(
        (&paid["state"], &paid["preimage"]),
        (&json!("paid"), &json!(hex::encode(BOOK.0)))
    );
    assert_eq!(world.operator("/payments", None).1["ended"], json!([]));

    // ⚠ Not one for which a user has locked money.
    let preimage = Preimage([8; 32]);
    let invoice = world.invoice(&preimage, 20_000);
    let request = json!(world.fund(&preimage, &invoice, 22_100));
    assert_eq!(world.wallet("/v1/pay?wait=30", Some(request)).0, 200);
    let (status, problem) = world.operator("/payments", Some(json!({ "invoice": invoice })));
    assert_eq!((status, &problem["code"]), (409, &json!("already_used")));
}

#[test]
fn an_offer_of_the_operators_is_paid_to_the_node() {
    let world = World::joined();
    let before = world.operator("/balances", None).1;
    let order = json!({ "amount_msat": 50_000, "description": "for the node" });
    let (status, made) = world.operator("/offers", Some(order));
    assert_eq!(status, 200, "{made}");
    let request = RequestId([7; 32]);
    let fetch = Command::Fetch(FetchOrder {
        request,
        offer: made["offer"].as_str().unwrap().to_owned(),
        amount_msat: None,
        note: None,
        max_fee_msat: 10_000,
        max_total_cltv_delta: 1008,
    });
    world.payee.command(fetch).unwrap();
    let hash = world.payee.events(9).unwrap().into_iter().find_map(|it| {
        let Event::Fetched { hash, .. } = it.event else {
            return None;
        };
        Some(hash)
    });
    let hash = hash.unwrap();
    let pay = Command::PayFetched { request, hash };
    world.payee.command(pay).unwrap();
    let arrived = world.payee.sent(hash).unwrap().unwrap().state;
    assert!(
        matches!(arrived, SentState::Succeeded { .. }),
        "{arrived:?}"
    );
    let after = world.operator("/balances", None).1;
    let ours = |balances: &serde_json::Value| balances["channels"]["ours_msat"].as_u64().unwrap();
    assert_eq!(ours(&after), ours(&before) + 50_000);
    assert_eq!(after["ecash"], before["ecash"]);
}

#[test]
fn the_operators_ecash_goes_through_the_federations_client() {
    let world = World::joined();
    let federation = world.federation();
    let which = json!({ "federation": federation });
    assert_eq!(world.operator("/ecash/deposit", Some(which)).0, 200);
    let withdraw = json!({ "federation": federation, "address": "bcrt1q…", "amount_sat": 5_000 });
    // What has begun is told as that, also when it cannot be shown.
    let begun = world.operator("/ecash/withdraw", Some(withdraw.clone()));
    assert_eq!(begun, (200, json!({ "operation": "op-1" })));
    let mut careful = withdraw;
    careful["max_fee_sat"] = json!(299);
    let (status, problem) = world.operator("/ecash/withdraw", Some(careful));
    assert_eq!((status, &problem["code"]), (409, &json!("fee_too_high")));
    let send = json!({ "federation": federation, "amount_msat": 1_000 });
    assert_eq!(world.operator("/ecash/send", Some(send)).0, 200);
    let notes = json!({ "federation": federation, "notes": "guildnote1hunter2" });
    let (status, problem) = world.operator("/ecash/receive", Some(notes));
    assert_eq!(status, 400);
    assert!(!problem.to_string().contains("hunter2"), "{problem}");
    let commands = world.federations.commands.lock().unwrap();
    use guildmint_client::Command;
    assert!(
        matches!(
            &commands[..],
            [
                Command::DepositAddress,
                Command::Quote { .. },
                Command::Withdraw { fee, .. },
                Command::Quote { .. },
                Command::Send { amount, .. },
            ] if *fee == Amount::from_sat(300).unwrap() && *amount == Amount::from_sat(1).unwrap()
        ),
        "{commands:?}"
    );
    drop(commands);
    let other = json!({ "federation": "ab".repeat(32) });
    assert_eq!(world.operator("/ecash/deposit", Some(other)).0, 404);
}

#[test]
fn the_page_shows_what_there_is_and_hides_what_strangers_write() {
    let world = World::joined();
    let invoice = world.invoice(&BOOK, 20_000);
    let request = json!(world.fund(&BOOK, &invoice, 22_100));
    world.wallet("/v1/pay?wait=30", Some(request));
    world.until(|world| world.operator("/payments", None).1["ended"] != json!([]));
    let page = raw(&format!("{}/", world.admin_url()), None, Some(&world.token));
    let policy = common::header(&page, "content-security-policy");
    assert!(
        policy.contains("default-src 'none'") && !policy.contains("unsafe"),
        "{policy}"
    );
    let text = page.as_str().unwrap();
    for part in [
        "Wallets are served.",
        "1: 1 paid, 0 received, 0 swapped",
        "Can be received",
        "E-cash in Fake &lt;b&gt;federation",
        "2 sat + 5000 ppm",
        "<meter",
        &format!("{}@127.0.0.1:9735", world.node.state().node_id.unwrap()),
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert!(!text.contains("<b>") && !text.contains(&world.token));
}

#[test]
fn backup_says_what_can_be_restored_and_the_recovery_file_names_the_channels() {
    let world = World::new();
    let backup = world.operator("/backup", None).1;
    assert!(backup["about"].as_array().unwrap().len() >= 4);
    assert_eq!(
        backup["recovery"]["channels"][0]["capacity_sat"],
        1_000_000_000
    );
    let path = world.folder.path().join("recovery.json");
    world.until(|_| path.exists());
    let file: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(file["recovery"], backup["recovery"]);
}

/// ⚠ Or a note's index is used a second time.
#[test]
fn words_that_are_there_before_their_database_may_have_been_used() {
    let folder = tempfile::tempdir().unwrap();
    let settings = common::settings(&folder);
    let open = || {
        let place = Place::open(
            &settings,
            None,
            std::sync::Arc::new(|lost| panic!("{lost}")),
        );
        let place = place.unwrap();
        place.store.close().unwrap();
        place.used_before
    };
    assert!(!open() && !open(), "new words are not");
    let files = std::fs::read_dir(folder.path()).unwrap();
    for file in files.map(|file| file.unwrap().path()) {
        if file.file_name().unwrap() != "seed" {
            std::fs::remove_file(file).unwrap();
        }
    }
    assert!(open() && open(), "it is remembered");
}

/// ⚠ What was begun before the end goes on after the next start.
#[test]
fn a_gateway_that_stops_answers_who_waits_and_goes_on_when_it_is_started_again() {
    let mut world = World::joined();
    let preimage = Preimage([6; 32]);
    let order = guildmint_gateway::node::InvoiceOrder {
        hash: preimage.hash(),
        amount_msat: 20_000,
        description: String::new(),
        expiry_s: 3600,
        min_final_cltv_delta: 18,
    };
    let invoice = world.payee.make_invoice(&order).unwrap();
    let request = json!(world.fund(&preimage, &invoice, 22_100));
    let url = format!("{}/v1/pay?wait=60", world.public_url());
    let (asked, body) = (url.clone(), request.clone());
    let waiting = std::thread::spawn(move || common::ask(&asked, Some(body), None));
    world.until(|world| !world.payee.held(None).unwrap().is_empty());
    world.stop();
    assert_eq!(waiting.join().unwrap(), (202, json!({})));
    assert!(!world.folder.path().join("admin.cookie").exists());

    let claim = guildmint_gateway::node::Command::Claim {
        preimage: preimage.clone(),
    };
    world.payee.command(claim).unwrap();
    world.start();
    world.until_ready();
    let (status, answer) = world.wallet("/v1/pay?wait=30", Some(request));
    assert_eq!(
        (status, answer),
        (200, json!({ "paid": hex::encode(preimage.0) }))
    );
    assert_eq!(world.node.dispatched(preimage.hash()), 1);
}
