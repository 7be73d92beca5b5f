//! The API as its document says it is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{raw, World};
use guildmint_core::Amount;
use guildmint_gateway::node::Preimage;
use serde_json::json;

const BOOK: Preimage = Preimage([5; 32]);

/// The document, and which of its answers were seen.
struct Document {
    json: serde_json::Value,
    seen: std::collections::BTreeSet<(String, u16)>,
}

impl Document {
    /// Asks, and holds the answer to what the document says of it.
    fn ask(&mut self, world: &World, path: &str, body: Option<serde_json::Value>, status: u16) {
        let method = if body.is_some() { "post" } else { "get" };
        let answer = raw(&format!("{}{path}", world.public_url()), body, None);
        let name = path.split('?').next().unwrap();
        assert_eq!(answer.status_code, status, "{path}");
        let mut response = &self.json["paths"][name][method]["responses"][status.to_string()];
        if let Some(reference) = response["$ref"].as_str() {
            let place = reference.trim_start_matches('#');
            response = self.json.pointer(place).unwrap();
        }
        let kind = common::header(&answer, "content-type")
            .split(';')
            .next()
            .unwrap();
        let schema = &response["content"][kind]["schema"];
        assert!(schema.is_object(), "{name} {status} is {kind}");
        let value = match kind.ends_with("json") {
            true => serde_json::from_slice(answer.as_bytes()).unwrap(),
            false => answer.as_str().unwrap().into(),
        };
        if let Err(error) = guildmint_kit::schema::check(&self.json, schema, &value) {
            panic!("{name} {status}: {error} in {value}");
        }
        self.seen.insert((name.to_owned(), status));
    }
}

#[test]
fn what_wallets_can_ask_is_in_the_document_and_is_answered_so() {
    let world = World::joined();
    let json = world.wallet("/v1/openapi.json", None).1;
    assert!(json["openapi"].as_str().unwrap().starts_with("3.1."));
    let paths = json["paths"].as_object().unwrap().iter();
    let documented: std::collections::BTreeSet<_> = paths
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().keys();
            methods.map(move |method| (method.clone(), path.clone()))
        })
        .collect();
    let routes = world.gateway().api().routes().iter();
    let routes = routes.map(|(method, path)| ((*method).to_owned(), path.clone()));
    assert_eq!(documented, routes.collect());

    let seen = Default::default();
    let mut document = Document { json, seen };
    for path in ["/livez", "/readyz", "/v1/openapi.json", "/v1/gateway"] {
        document.ask(&world, path, None, 200);
    }
    let invoice = world.invoice(&BOOK, 20_000);
    let paid = json!(world.fund(&BOOK, &invoice, 22_100));
    document.ask(&world, "/v1/pay?wait=30", Some(paid), 200);
    let preimage = Preimage([6; 32]);
    let invoice = world.invoice(&preimage, 20_000);
    let given_up = json!(world.fund(&preimage, &invoice, 20_000));
    document.ask(&world, "/v1/pay?wait=30", Some(given_up.clone()), 200);
    let federation = world.federation();
    let offer = world.payee.offer(&Preimage([7; 32]), 9_000);
    let fetch =
        json!({ "federation": federation, "offer": offer, "amount_msat": 9_000, "note": null });
    document.ask(&world, "/v1/fetch", Some(fetch), 200);
    let user = &world.federations.federation;
    let hidden = Preimage([9; 32]);
    let offer = user.offer(
        hidden.hash().into(),
        Amount::from_sat(5).unwrap(),
        400,
        Some((&hidden).into()),
    );
    let receive = json!({ "federation": federation, "offer": offer, "description": "tea", "expiry_seconds": 600 });
    document.ask(&world, "/v1/invoice", Some(receive.clone()), 200);

    for path in ["/v1/pay", "/v1/invoice", "/v1/fetch"] {
        document.ask(&world, path, Some(json!({ "odd": true })), 400);
        document.ask(&world, path, Some(json!("x".repeat(70_000))), 413);
    }
    let elsewhere = |mut body: serde_json::Value| {
        body["federation"] = json!("ab".repeat(32));
        Some(body)
    };
    document.ask(&world, "/v1/pay?wait=1", elsewhere(given_up), 404);
    document.ask(&world, "/v1/invoice", elsewhere(receive), 404);
    world.node.stop();
    world.until(|world| world.wallet("/readyz", None).0 == 503);
    document.ask(&world, "/readyz", None, 503);
    assert!(document.seen.len() >= 15, "{:?}", document.seen);
}
