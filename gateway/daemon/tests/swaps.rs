//! A gateway without a node: users pay each other, and nobody else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{ask, World};
use guildmint_core::Amount;
use guildmint_gateway::node::Preimage;
use guildmint_ln::InvoiceRequest;
use serde_json::json;

const BOOK: Preimage = Preimage([5; 32]);
const AMOUNT_MSAT: u64 = 20_000;

/// A user's invoice, made by the gateway.
fn be_paid(world: &World) -> String {
    let federation = &world.federations.federation;
    let amount = Amount::from_msat(AMOUNT_MSAT).unwrap();
    let expires_at = federation.state().height + 144;
    let request = InvoiceRequest {
        federation: federation.id(),
        offer: federation.offer(BOOK.hash().into(), amount, expires_at, Some((&BOOK).into())),
        description: "a book".to_owned(),
        expiry_seconds: 3600,
    };
    let (status, answer) = world.wallet("/v1/invoice", Some(json!(request)));
    assert_eq!(status, 200, "{answer}");
    answer["invoice"].as_str().unwrap().to_owned()
}

#[test]
fn users_of_a_gateway_without_a_node_pay_each_other_and_nobody_else() {
    let world = World::without_node();
    let info = world.wallet("/v1/gateway", None).1;
    assert_eq!(info["swap_only"], true, "{info}");
    let announced = &world.federations.federation.announcements()[0];
    let announced = &announced.announcement;
    assert!(announced.swap_only);
    assert_eq!(info["node_key"], announced.node_key.unwrap().to_string());

    let invoice = be_paid(&world);
    let request = json!(world.fund(&BOOK, &invoice, AMOUNT_MSAT));
    let (status, answer) = world.wallet("/v1/pay?wait=30", Some(request));
    assert_eq!(
        (status, answer),
        (200, json!({ "paid": hex::encode(BOOK.0) }))
    );
    world.until(|world| world.operator("/payments", None).1["ended"][0]["kind"] == "swap");

    let outside = Preimage([6; 32]);
    let invoice = world.invoice(&outside, AMOUNT_MSAT);
    let request = json!(world.fund(&outside, &invoice, 22_100));
    let (status, answer) = world.wallet("/v1/pay?wait=30", Some(request));
    assert_eq!(status, 200, "{answer}");
    assert!(answer["forfeit"].is_object(), "{answer}");
    // Nor does it pretend to have a node that others could connect to.
    let status = world.operator("/status", None).1;
    assert_eq!(status["connect"], json!([]), "{status}");
    for path in ["/invoices", "/offers"] {
        let (status, problem) = world.operator(path, Some(json!({})));
        assert_eq!(
            (status, &problem["code"]),
            (409, &json!("no_node")),
            "{path}"
        );
    }
    let page = common::raw(&world.admin_url(), None, Some(&world.token));
    assert!(page.as_str().unwrap().contains("this gateway only swaps"));
    assert_eq!(
        ask(&format!("{}/readyz", world.public_url()), None, None).0,
        200
    );
}
