//! Contracts: who may spend them, when, and how often (SPEC LN-1, LN-3, LN-5).

use guildmint_core::{ledger::Ledger, module::ServerModule, FederationId};
use guildmint_ln::{Closing, ContractId, Forfeit, LnInput, Preimage, Witness};

use crate::{
    claim, code,
    common::{client, gateway, key, sat, World, FEDERATION, SCOPE},
    gateway_input,
};

/// SPEC LN-1, scenario 51: contracts with one hash are two, and each is spent once.
#[test]
fn two_contracts_with_one_hash_are_two() {
    let mut world = World::new();
    let (first, terms) = world.pay();
    let (second, same) = world.pay();
    assert_eq!(terms, same);
    assert_ne!(first, second);
    let preimage = Witness::Preimage(world.user.preimage(8));
    assert_eq!(world.audit().liabilities_msat, 4_000_000);
    world.spend(&gateway_input(first, preimage)).unwrap();
    assert_eq!(world.contract(second).closing, None);
    world.spend(&gateway_input(second, preimage)).unwrap();
    let again = world.spend(&gateway_input(first, preimage));
    assert_eq!(code(again), "contract_closed");
    assert_eq!(world.audit().liabilities_msat, 0);
}

#[test]
fn a_contract_is_spent_once_in_a_transaction() {
    let mut world = World::new();
    let (contract, _) = world.pay();
    let input = gateway_input(contract, Witness::Preimage(world.user.preimage(8)));
    let mut ledger = Ledger::new(&world.rows);
    ledger.begin();
    let (ln, at) = (world.ln(), world.at());
    assert!(ln.spend(&mut ledger.view(SCOPE), &input, at).is_ok());
    assert_eq!(ledger.claimed().len(), 1, "no two in the pool");
    let second = ln.spend(&mut ledger.view(SCOPE), &input, at);
    assert_eq!(code(second), "contract_closed");
}

/// Scenario 44.
#[test]
fn a_random_preimage_claims_nothing() {
    let mut world = World::new();
    let (contract, _) = world.pay();
    let random = Witness::Preimage(Preimage::from([3; 32]));
    assert_eq!(
        code(world.spend(&gateway_input(contract, random))),
        "wrong_preimage"
    );
    let incoming = world.fund(World::incoming(world.offer(0))).unwrap();
    let mut input = claim(&world, 0, incoming);
    input.witness = random;
    assert_eq!(code(world.spend(&input)), "wrong_preimage");
    // The right preimage in the wrong hands.
    let right = Witness::Preimage(world.user.preimage(8));
    let mut thief = gateway_input(contract, right);
    thief.key = key(5).x_only_public_key().0;
    assert_eq!(code(world.spend(&thief)), "wrong_key");
}

/// SPEC LN-5, scenarios 45 and 52: the gateway may claim until the refund is accepted, the user refund from the time limit on.
#[test]
fn the_time_limit_opens_the_refund_and_closes_nothing() {
    let mut world = World::new();
    let (contract, _) = world.pay();
    let (other, _) = world.pay();
    let refund = |world: &World, contract| world.user.refund(9, contract, Witness::TimedOut);
    let early = refund(&world, contract).unwrap();
    world.advance(199);
    assert_eq!(code(world.spend(&early)), "not_timed_out");
    assert!(world.spend(&early).unwrap_err().retryable);
    world.advance(200);
    let mut thief = early;
    thief.key = key(5).x_only_public_key().0;
    assert_eq!(code(world.spend(&thief)), "wrong_key");
    assert_eq!(world.spend(&early).unwrap().amount, sat(2_000));
    assert_eq!(world.contract(contract).closing, Some(Closing::TimedOut));
    let preimage = Witness::Preimage(world.user.preimage(8));
    let late = gateway_input(contract, preimage);
    assert_eq!(code(world.spend(&late)), "contract_closed");
    // Long after its time another that nobody took back is still the gateway's to claim.
    world.advance(100_000);
    assert!(world.spend(&gateway_input(other, preimage)).is_ok());
    let late = refund(&world, other).unwrap();
    assert_eq!(code(world.spend(&late)), "contract_closed");
}

/// SPEC LN-5, scenario 51.
#[test]
fn a_forfeit_gives_up_one_contract_of_one_federation_and_is_its_gateways() {
    let mut world = World::new();
    let (contract, _) = world.pay();
    let (other, _) = world.pay();
    let refund = |contract, forfeit| world_refund(contract, forfeit);
    let forfeit = Forfeit::sign(FEDERATION, contract, &gateway());
    // Replayed on another contract, as it is and under its name.
    assert_eq!(code(world.spend(&refund(other, forfeit))), "wrong_forfeit");
    let mut renamed = forfeit;
    renamed.contract = other;
    assert_eq!(code(world.spend(&refund(other, renamed))), "wrong_forfeit");
    let foreign = Forfeit::sign(FederationId([8; 32]), contract, &gateway());
    assert_eq!(
        code(world.spend(&refund(contract, foreign))),
        "wrong_forfeit"
    );
    let of_another = Forfeit::sign(FEDERATION, contract, &key(5));
    assert_eq!(
        code(world.spend(&refund(contract, of_another))),
        "wrong_gateway"
    );
    // The gateway cannot take the user's money with it.
    let own = gateway_input(contract, Witness::Forfeit(forfeit));
    assert_eq!(code(world.spend(&own)), "wrong_key");
    let spent = world.spend(&refund(contract, forfeit)).unwrap();
    assert_eq!(spent.amount, sat(2_000));
    assert_eq!(world.contract(contract).closing, Some(Closing::Forfeited));
    assert_eq!(world.contract(other).closing, None);
}

fn world_refund(contract: ContractId, forfeit: Forfeit) -> LnInput {
    client(1)
        .refund(9, contract, Witness::Forfeit(forfeit))
        .unwrap()
}

#[test]
fn an_unknown_contract_may_become_known() {
    let mut world = World::new();
    let reject = world.spend(&claim(&world, 0, [3; 32].into())).unwrap_err();
    assert_eq!(reject.code, "unknown_contract");
    assert!(reject.retryable);
}
