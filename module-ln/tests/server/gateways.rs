//! Gateways, and who vouches for them (SPEC LN-6).

use bitcoin::secp256k1::Keypair;
use guildmint_core::{ledger::Ledger, module::ServerModule, Amount, PeerId};
use guildmint_ln::{limits, LnOutput, Vouching};
use secp256k1::SECP256K1;

use crate::{
    code,
    common::{announcement, gateway, key, sat, World, FEDERATION, LOCAL, SCOPE},
};

/// SPEC LN-6.
#[test]
fn a_gateway_is_listed_for_its_time_and_no_longer() {
    let mut world = World::new();
    let signed = announcement(&gateway(), 1, 120).sign(FEDERATION, &gateway());
    let (_, charge) = world
        .accept(&LnOutput::Announcement(signed.clone()))
        .unwrap();
    assert_eq!((charge.amount, charge.fee), (Amount::ZERO, sat(1)));
    assert_eq!(world.gateways().gateways[0].signed, signed);
    world.advance(120);
    assert_eq!(world.gateways().gateways.len(), 1);
    let rows = world.rows.0.len();
    world.advance(121);
    assert!(world.gateways().gateways.is_empty());
    assert_eq!(world.rows.0.len(), rows - 1, "nothing is kept of it");
    // It cannot be played again when it is over, nor hold for longer than guardians let it.
    let replay = world.accept(&LnOutput::Announcement(signed));
    assert_eq!(code(replay), "announcement_expired");
    let far = world.height + limits::MAX_ANNOUNCEMENT_BLOCKS;
    let announce = |number, until| {
        let signed = announcement(&gateway(), number, until).sign(FEDERATION, &gateway());
        LnOutput::Announcement(signed)
    };
    assert_eq!(
        code(world.accept(&announce(2, far + 1))),
        "announcement_too_long"
    );
    world.accept(&announce(2, far)).unwrap();
    // Nor when there is a newer one.
    world.accept(&announce(4, far)).unwrap();
    for number in [3, 4] {
        let old = world.accept(&announce(number, far));
        assert_eq!(code(old), "announcement_old");
    }
    let stranger = announcement(&gateway(), 5, far).sign(FEDERATION, &key(5));
    let stranger = world.accept(&LnOutput::Announcement(stranger));
    assert_eq!(code(stranger), "bad_announcement");
}

/// SPEC LN-6.
#[test]
fn what_a_gateway_said_before_does_not_outlast_what_it_says_now() {
    let mut world = World::new();
    let announce = |number, until| {
        let signed = announcement(&gateway(), number, until).sign(FEDERATION, &gateway());
        LnOutput::Announcement(signed)
    };
    let before = announce(1, 130);
    world.accept(&before).unwrap();
    let shorter = world.accept(&announce(2, 129));
    assert_eq!(code(shorter), "announcement_shorter");
    world.accept(&announce(3, 130)).unwrap();
    world.advance(131);
    // Forgotten, and with it the number that the old one would be compared with.
    assert_eq!(code(world.accept(&before)), "announcement_expired");
}

#[test]
fn gateways_that_are_vouched_for_always_have_a_place() {
    let mut world = World::new();
    let owner = |number: usize| {
        let mut secret = [1; 32];
        secret[..8].copy_from_slice(&number.to_le_bytes());
        Keypair::from_seckey_slice(SECP256K1, &secret).unwrap()
    };
    let announce = |key: &Keypair, number| {
        LnOutput::Announcement(announcement(key, number, 120).sign(FEDERATION, key))
    };
    for number in 0..limits::MAX_GATEWAYS {
        world.accept(&announce(&owner(number), 1)).unwrap();
    }
    let full = world.accept(&announce(&gateway(), 1)).unwrap_err();
    assert_eq!(
        (full.code.as_str(), full.retryable),
        ("gateways_full", true)
    );
    // Those that are listed can say more.
    world.accept(&announce(&owner(0), 2)).unwrap();
    let gateways = [gateway().x_only_public_key().0].into();
    assert!(world.vote(PeerId(2), Vouching { gateways }).is_empty());
    world.accept(&announce(&gateway(), 1)).unwrap();
    let listed = world.gateways().gateways;
    assert_eq!(listed.len(), limits::MAX_GATEWAYS + 1);
    let is_ours = |key| key == gateway().x_only_public_key().0;
    for gateway in listed {
        let vouched = is_ours(gateway.signed.announcement.key);
        let expected = if vouched { vec![PeerId(2)] } else { vec![] };
        assert_eq!(gateway.vouched_by, expected);
    }
}

#[test]
fn an_operator_is_heard_once_and_can_change_its_mind() {
    let mut world = World::new();
    let ask = |world: &World| {
        let (mut agreed, mut local) = (Ledger::new(&world.rows), Ledger::new(&world.rows));
        world.ln().vote(&agreed.view(SCOPE), &local.view(LOCAL))
    };
    let tell = |world: &mut World, vouching: &Vouching| {
        let mut ledger = Ledger::new(&world.rows);
        world
            .ln()
            .sighted(&mut ledger.view(LOCAL), vouching.clone());
        let changes = ledger.finish().unwrap();
        world.rows.apply(changes);
    };
    assert_eq!(ask(&world), None);
    let gateways = [gateway().x_only_public_key().0].into();
    let some = Vouching { gateways };
    tell(&mut world, &some);
    assert_eq!(ask(&world), Some(some.clone()));
    world.vote(PeerId(0), some);
    assert_eq!(ask(&world), None);
    tell(&mut world, &Vouching::default());
    assert_eq!(ask(&world), Some(Vouching::default()));
    world.vote(PeerId(0), Vouching::default());
    assert_eq!(ask(&world), None);
}
