//! Offers: stored, carried, copied, late, and too many (SPEC LN-2, LN-3).

use guildmint_core::{
    ledger::Ledger, module::ServerModule, Amount, Bytes, FederationId, OutPoint, PeerId, TxId,
};
use guildmint_ln::{
    client::LnClient, limits, ClockAnswer, Forfeit, FundingAnswer, IncomingContract, LnOutput,
    Offer, OfferRef, OffersAnswer, SignedOffer, Terms, Witness,
};
use guildmint_tbs::encryption::{encrypt, EphemeralSecret};

use crate::{
    code,
    common::{garbage, gateway, key, keys, quorum, sat, World, FEDERATION, MODULE, SCOPE},
    gateway_input,
};

/// SPEC LN-2, scenario 46.
#[test]
fn a_ciphertext_is_used_once_ever() {
    let mut world = World::new();
    let offer = world.offer(0);
    world.fund(World::incoming(offer)).unwrap();
    let again = world.fund(World::incoming(offer));
    assert_eq!(code(again), "ciphertext_used");
    assert_eq!(
        code(world.accept(&LnOutput::Offer(offer))),
        "ciphertext_used"
    );
    // Stored and funded, it is used; stored and expired, too.
    let stored = world.offer(1);
    world.accept(&LnOutput::Offer(stored)).unwrap();
    assert_eq!(
        code(world.accept(&LnOutput::Offer(stored))),
        "ciphertext_used"
    );
    world.advance(151);
    assert_eq!(code(world.fund(World::incoming(stored))), "too_late");
    let late = IncomingContract {
        valid_until: 1_000,
        ..World::incoming(stored)
    };
    assert_eq!(code(world.fund(late)), "ciphertext_used");
}

/// SPEC LN-2: a wallet that takes an index twice is told, and nobody takes its payment with a preimage that is public.
#[test]
fn an_encryptions_secret_is_used_once_ever_whatever_was_encrypted() {
    let mut world = World::new();
    world.fund(World::incoming(world.offer(0))).unwrap();
    for (amount, expires_at) in [(sat(999), 150), (sat(1_000), 149)] {
        let again = world.user.offer(0, amount, expires_at).unwrap();
        assert_eq!(code(world.fund(World::incoming(again))), "ciphertext_used");
        assert_eq!(
            code(world.accept(&LnOutput::Offer(again))),
            "ciphertext_used"
        );
    }
}

/// SPEC LN-2: the ciphertext of an offer under another's key, hash, sum or time does not hold, though its thief signs it.
#[test]
fn a_copied_ciphertext_is_refused() {
    let mut world = World::new();
    let victim = world.offer(0).offer;
    let thief = key(5);
    let mut stolen = victim;
    stolen.claim_key = thief.x_only_public_key().0;
    let stolen = stolen.sign(FEDERATION, &thief);
    assert_eq!(code(world.fund(World::incoming(stolen))), "bad_ciphertext");
    assert_eq!(
        code(world.accept(&LnOutput::Offer(stolen))),
        "bad_ciphertext"
    );
    // The same for an offer that its own author changes.
    let changes: [fn(&mut Offer); 3] = [
        |offer| offer.amount = sat(1),
        |offer| offer.expires_at += 1,
        |offer| offer.hash = [1; 32].into(),
    ];
    for change in changes {
        let mut offer = garbage(150).offer;
        change(&mut offer);
        let offer = offer.sign(FEDERATION, &key(5));
        assert_eq!(
            code(world.accept(&LnOutput::Offer(offer))),
            "bad_ciphertext"
        );
    }
    // And one from another federation with the same keys.
    let elsewhere = LnClient::new(
        FederationId([8; 32]),
        MODULE,
        quorum(),
        keys().0.clone(),
        &[1; 64],
    );
    let foreign = elsewhere.unwrap().offer(0, sat(1_000), 150).unwrap();
    let answer = world.accept(&LnOutput::Offer(foreign));
    assert_eq!(code(answer), "bad_offer_signature");
}

#[test]
fn who_stores_anothers_offer_keeps_nobody_from_funding_it() {
    let mut world = World::new();
    let offer = world.offer(0);
    world.accept(&LnOutput::Offer(offer)).unwrap();
    let contract = world.fund(World::incoming(offer)).unwrap();
    assert_eq!(world.funding(&offer).contract, Some(contract));
    let answer: OffersAnswer = world.answer(&format!("offers/{}", offer.offer.hash));
    assert!(answer.offers.is_empty());
    assert_eq!(code(world.fund(World::incoming(offer))), "ciphertext_used");
}

#[test]
fn a_stored_offer_is_found_by_its_hash_and_funded_by_its_name() {
    let mut world = World::new();
    let offer = world.offer(0);
    let (_, charge) = world.accept(&LnOutput::Offer(offer)).unwrap();
    assert_eq!((charge.amount, charge.fee), (Amount::ZERO, sat(1)));
    let path = format!("offers/{}", offer.offer.hash);
    let answer: OffersAnswer = world.answer(&path);
    assert_eq!(answer.offers, [offer]);
    let stored = |offer: SignedOffer| IncomingContract {
        offer: OfferRef::Stored(offer.offer.id(FEDERATION)),
        ..World::incoming(offer)
    };
    let contract = world.fund(stored(offer)).unwrap();
    let Terms::Incoming { offer: funded, .. } = world.contract(contract).account.unwrap().terms
    else {
        panic!("an incoming contract");
    };
    assert_eq!(funded, offer.offer);
    let again = world.fund(stored(offer));
    assert_eq!(code(again), "unknown_offer");
    assert_eq!(code(world.fund(stored(world.offer(1)))), "unknown_offer");
}

/// SPEC LN-3, scenarios 46 and 52.
#[test]
fn a_contract_that_is_funded_late_is_refused() {
    let mut world = World::new();
    world.advance(110);
    world.fund(World::incoming(world.offer(0))).unwrap();
    world.advance(111);
    let late = world.fund(World::incoming(world.offer(1)));
    assert_eq!(code(late), "too_late");
    // And one for an offer that has expired, whatever its funder would still like.
    world.advance(151);
    let late = IncomingContract {
        valid_until: 1_000,
        ..World::incoming(world.offer(2))
    };
    assert_eq!(code(world.fund(late)), "offer_expired");
}

/// SPEC LN-3: the funder chooses what it pays and what it gets back, and nothing else.
#[test]
fn what_a_contract_says_comes_from_the_offer() {
    let mut world = World::new();
    let offer = world.offer(0);
    let less = IncomingContract {
        amount: sat(999),
        ..World::incoming(offer)
    };
    assert_eq!(code(world.fund(less)), "amount_too_low");
    let nothing = IncomingContract {
        amount: Amount::ZERO,
        ..World::incoming(offer)
    };
    assert_eq!(code(world.fund(nothing)), "no_amount");
    let more = IncomingContract {
        amount: sat(1_001),
        ..World::incoming(offer)
    };
    let contract = world.fund(more).unwrap();
    let terms = world.contract(contract).account.unwrap().terms;
    assert_eq!(terms.hash(), offer.offer.hash);
    assert_eq!(terms.claim_key(), offer.offer.claim_key);
    assert_eq!(terms.refund_key(), gateway().x_only_public_key().0);
    // The funder cannot claim with a preimage that it learns, nor take back what was claimed or not.
    let preimage = Witness::Preimage(world.user.preimage(0));
    let input = gateway_input(contract, preimage);
    assert_eq!(code(world.spend(&input)), "wrong_key");
    for witness in [
        Witness::TimedOut,
        Witness::Forfeit(Forfeit::sign(FEDERATION, contract, &gateway())),
    ] {
        let input = gateway_input(contract, witness);
        assert_eq!(code(world.spend(&input)), "wrong_witness");
    }
}

/// Scenario 51: a flood of offers costs its author, fills what is set aside for it, and goes by itself.
#[test]
fn a_flood_of_offers_keeps_nobody_from_being_paid() {
    let mut world = World::new();
    // One whose checks have passed stands for all: what is looked at here is the agreed state.
    let sample = world.offer(0);
    let at = world.at();
    for number in 0..limits::MAX_OFFERS {
        let mut flood = sample;
        flood.offer.hash = [(number % 251) as u8; 32].into();
        flood.offer.preimage.u = Bytes([0; 96]);
        flood.offer.preimage.u.0[..8].copy_from_slice(&number.to_le_bytes());
        let bytes = number.to_le_bytes();
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&bytes);
        flood.offer.hash = hash.into();
        let mut ledger = Ledger::new(&world.rows);
        let output = LnOutput::Offer(flood);
        let out_point = OutPoint {
            txid: TxId::default(),
            index: 0,
        };
        let charge = world
            .ln()
            .accept(&mut ledger.view(SCOPE), &output, out_point, at);
        assert_eq!(charge.unwrap().fee, sat(1));
        let changes = ledger.finish().unwrap();
        world.rows.apply(changes);
    }
    let full = world.accept(&LnOutput::Offer(world.offer(1))).unwrap_err();
    assert_eq!((full.code.as_str(), full.retryable), ("offers_full", true));
    world.fund(World::incoming(world.offer(1))).unwrap();
    world.advance(151);
    let after = world.user.offer(2, sat(1), 200).unwrap();
    world.accept(&LnOutput::Offer(after)).unwrap();
}

#[test]
fn offers_are_bounded_by_hash_and_in_time() {
    let mut world = World::new();
    let with_hash = |seed: u8| {
        // Another's offer on the same hash, with a ciphertext of its own.
        let mut offer = garbage(150).offer;
        let secret = EphemeralSecret::from_uniform_bytes(&[seed; 64]);
        let data = offer.associated_data(FEDERATION);
        let federation_key = keys().0.key.aggregate();
        let ciphertext = encrypt(federation_key, &[seed; 32], &data, &secret.unwrap());
        offer.preimage = (&ciphertext).into();
        offer.sign(FEDERATION, &key(5))
    };
    let limit = limits::MAX_OFFERS_PER_HASH as u8;
    for seed in 1..=limit {
        world.accept(&LnOutput::Offer(with_hash(seed))).unwrap();
    }
    let more = world.accept(&LnOutput::Offer(with_hash(limit + 1)));
    let more = more.unwrap_err();
    assert_eq!(
        (more.code.as_str(), more.retryable),
        ("too_many_offers", true)
    );
    let far = world.height + limits::MAX_OFFER_BLOCKS + 1;
    let long = world.user.offer(3, sat(1), far).unwrap();
    assert_eq!(code(world.accept(&LnOutput::Offer(long))), "offer_too_long");
    let stale = world.user.offer(4, sat(1), 99).unwrap();
    assert_eq!(code(world.accept(&LnOutput::Offer(stale))), "offer_expired");
    // What has expired is neither shown nor kept.
    let before = world.rows.0.len();
    world.advance(151);
    let path = format!("offers/{}", with_hash(1).offer.hash);
    let answer: OffersAnswer = world.answer(&path);
    assert!(answer.offers.is_empty());
    // Each had a row and a place in time, and all had one of their hash.
    assert_eq!(before - world.rows.0.len(), 2 * usize::from(limit) + 1);
}

/// ⚠ Or a wallet would give up an offer because a guardian has not yet heard of its funding.
#[test]
fn that_an_offer_is_not_funded_is_said_for_good_only_when_its_last_height_is_over() {
    let mut world = World::new();
    let offer = world.offer(0);
    let path = format!("fundings/{}?past=150", offer.offer.id(FEDERATION));
    let early = world.ask(PeerId(1), &path).unwrap().unwrap_err();
    assert!(early.retryable && early.code == "too_early", "{early:?}");
    world.advance(150);
    assert!(world.ask(PeerId(1), &path).unwrap().is_err());
    let contract = world.fund(IncomingContract {
        valid_until: 150,
        ..World::incoming(offer)
    });
    world.advance(151);
    assert_eq!(world.answer::<ClockAnswer>("clock").height, 151);
    let told: FundingAnswer = world.answer(&path);
    assert_eq!(told.contract, Some(contract.unwrap()));
    for wrong in ["past=", "past=-1", "past=x"] {
        let path = format!("fundings/{}?{wrong}", offer.offer.id(FEDERATION));
        assert!(!world.ask(PeerId(1), &path).unwrap().unwrap_err().retryable);
    }
}
