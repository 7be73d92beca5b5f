//! Payments over Lightning, with gateways that vanish and lie, and a power line that fails.

mod pay;
mod receive;
mod search;

use guildmint_core::Amount;
use guildmint_ln::PaymentHash;

use super::{
    fake::{Fake, Mood},
    gateway::{key, Manners},
    world::{sat, Crash, World},
    *,
};
use crate::{FetchedInvoice, GatewayCall, Payable, View};

/// What payments in these stories are of: 1,000 sat, of which a gateway takes a hundredth.
const AMOUNT: u64 = 1_000_000;
const FEE: u64 = 10_000;
const FUNDS: u64 = 5_000_000;

fn msat(msat: u64) -> Amount {
    Amount::from_msat(msat).unwrap()
}

/// A wallet with money, and a gateway.
fn world(manners: Manners) -> World {
    with_fees(manners, 0)
}

fn with_fees(manners: Manners, fee_msat: u64) -> World {
    let mut world = World::new(Fake::new(fee_msat), 2, 1);
    world.fake.open_gateway(manners, 0);
    world.fund(0, 5_000);
    world
}

fn pay(text: &str) -> Command {
    Command::LnPay {
        payable: Payable::Invoice(text.into()),
        gateway: None,
        max_fee: sat(100),
    }
}

fn be_paid(amount_msat: u64) -> Command {
    Command::LnInvoice {
        amount: msat(amount_msat),
        description: "cake".into(),
        expiry_seconds: 3_600,
        gateway: None,
    }
}

/// ⚠ Nothing is lost or made: what the federation owes is what the wallet has, what is locked, and what gateways have earned.
fn balanced(world: &World) {
    let owed = i128::from(world.fake.owed_msat()) + i128::from(world.fake.locked_msat());
    let earned = i128::from(world.fake.earned_msat());
    let fees = i128::from(world.fake.fees_msat);
    assert_eq!(owed + earned + fees, i128::from(world.fake.deposited_msat));
    assert_eq!(world.fake.owed_msat(), world.balance(0) + world.balance(1));
}

fn view(world: &World, operation: OperationId) -> View {
    world.users[0].client.operation(operation).unwrap()
}

fn submissions(world: &World) -> std::collections::BTreeSet<Vec<u8>> {
    let asked = world.users[0].asked.iter();
    let submitted = asked.filter_map(|(_, request)| match request {
        ApiRequest::Submit(bytes) => Some(bytes.clone()),
        _ => None,
    });
    submitted.collect()
}

#[test]
fn gateways_are_shown_as_they_announce_themselves() {
    let mut world = world(Manners::Honest);
    world.fake.open_gateway(Manners::Gone, 5);
    world.fake.vouch(1, 2);
    world.fake.moods[1] = Mood::Invents;
    let Ok(Reply::Gateways { gateways }) = world.command(0, Command::Gateways) else {
        panic!("no gateways");
    };
    let urls: Vec<_> = gateways.iter().map(|one| one.url.as_str()).collect();
    assert!(urls.contains(&"http://gateway-0/") && urls.contains(&"http://gateway-1/"));
    let vouched = gateways
        .iter()
        .find(|one| !one.vouched_by.is_empty())
        .unwrap();
    assert_eq!(vouched.url, "http://gateway-1/");
    assert_eq!(vouched.send_fees.base.msat(), 5);
    world.fake.open_gateway(Manners::SwapsOnly, 0);
    let Ok(Reply::Gateways { gateways }) = world.command(0, Command::Gateways) else {
        panic!("no gateways");
    };
    let swap_only = gateways.iter().filter(|one| one.swap_only);
    let urls: Vec<_> = swap_only.map(|one| one.url.as_str()).collect();
    assert_eq!(urls, ["http://gateway-2/"]);
}
