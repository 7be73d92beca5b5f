//! Dealings that are visibly wrong.

use super::*;
use crate::PointError;

/// Guardian 2 of four sends this instead of its dealing; it is named, and the others make the keys without it.
fn assert_refused(change: impl Fn(&World, &mut Dealing), expected: &DealingError) {
    let mut world = World::new(4);
    let mut dealing = world.dealing(2);
    change(&world, &mut dealing);
    world.post_due(&[2]);
    assert_eq!(world.phase(), Phase::Dealing);
    world.post(2, Item::Dealing(dealing));
    let expected = FaultReason::Dealing(expected.clone());
    assert!(expected.is_cheating());
    assert_eq!(world.faults(), [(2, expected)]);
    assert_eq!(world.dealers(), [1, 3, 4]);
    world.post_due(&[]);
    world.confirm();
    world.assert_keys_work();
}

fn commitment_error(key: u16, degree: u16, error: PointError) -> DealingError {
    DealingError::Commitment { key, degree, error }
}

#[test]
fn another_degree_or_number_of_keys() {
    let error = |have| DealingError::Commitments { have, need: 6 };
    // A polynomial of each higher and lower degree, as it would be if it had been dealt so.
    for (threshold, have) in [(2, 4), (4, 8)] {
        let deal = |world: &World, dealing: &mut Dealing| {
            let keys = (1..=4).map(|i| encryption_secret(i).public_key());
            let params = Params::new([7; 32], threshold, keys.collect(), 2).unwrap();
            *dealing = Secrets::derive(&params, index(2), &[1; 32]).deal(&world.params, index(2));
        };
        assert_refused(deal, &error(have));
    }
    assert_refused(|_, d| d.commitments.truncate(5), &error(5));
    assert_refused(|_, d| d.commitments.clear(), &error(0));
    assert_refused(
        |_, d| d.constant_proofs.truncate(1),
        &DealingError::ConstantProofs { have: 1, need: 2 },
    );
    assert_refused(
        |_, d| d.shares.truncate(7),
        &DealingError::Shares { have: 7, need: 8 },
    );
    assert_refused(
        |_, d| d.shares.push(Bytes([0; 32])),
        &DealingError::Shares { have: 9, need: 8 },
    );
}

#[test]
fn commitments_that_are_no_points() {
    let mut identity = [0; 96];
    identity[0] = 0xc0;
    assert_refused(
        |_, d| d.commitments[2].0 = identity,
        &commitment_error(0, 2, PointError::Identity(hex::encode(identity))),
    );
    assert_refused(
        |_, d| d.commitments[3].0 = [0xff; 96],
        &commitment_error(1, 0, PointError::Malformed("ff".repeat(96))),
    );
    let torsion = outside_the_subgroup();
    assert_refused(
        |_, d| d.commitments[5].0 = torsion,
        &commitment_error(1, 2, PointError::NotInSubgroup(hex::encode(torsion))),
    );
}

/// Some point on the curve of G2, which is almost never in the subgroup: the first x that has one.
fn outside_the_subgroup() -> [u8; 96] {
    let candidates = (1..=u8::MAX).map(|x| {
        let mut bytes = [0; 96];
        bytes[0] = 0x80;
        bytes[95] = x;
        bytes
    });
    let on_curve = |bytes: &[u8; 96]| {
        bls12_381::G2Affine::from_compressed_unchecked(bytes)
            .is_some()
            .into()
    };
    candidates.into_iter().find(on_curve).unwrap()
}

#[test]
fn constant_terms_that_the_dealer_does_not_know() {
    // Another's commitments, with its proofs: they are bound to who deals.
    let copy = |world: &World, dealing: &mut Dealing| {
        let other = world.dealing(1);
        dealing.commitments = other.commitments;
        dealing.constant_proofs = other.constant_proofs;
    };
    assert_refused(copy, &DealingError::ConstantProof(0));
    // The proof of one key for another.
    let swap = |_: &World, dealing: &mut Dealing| dealing.constant_proofs.swap(0, 1);
    assert_refused(swap, &DealingError::ConstantProof(0));
    // One polynomial for two keys, with its proof.
    let twice = |_: &World, dealing: &mut Dealing| {
        dealing.commitments.copy_within(0..3, 3);
        dealing.constant_proofs[1] = dealing.constant_proofs[0];
    };
    assert_refused(twice, &DealingError::ConstantProof(1));
    let no_proof = |_: &World, dealing: &mut Dealing| dealing.constant_proofs[1].0 .0 = [0; 48];
    assert_refused(no_proof, &DealingError::ConstantProof(1));
    // The proof of another session.
    let replay = |_: &World, dealing: &mut Dealing| {
        let keys = (1..=4).map(|i| encryption_secret(i).public_key());
        let params = Params::new([8; 32], 3, keys.collect(), 2).unwrap();
        let secrets = Secrets::derive(&params, index(2), &seed(index(2)));
        let before = secrets.deal(&params, index(2));
        dealing.commitments = before.commitments;
        dealing.constant_proofs = before.constant_proofs;
    };
    assert_refused(replay, &DealingError::ConstantProof(0));
}

#[test]
fn a_rogue_constant_term_cannot_be_proved() {
    // The last dealer wants the aggregate of key 0 to be its own: it commits to a − Σ others, which it cannot know. It
    // may choose the rest so that t − 1 shares are right; the proof is missing all the same.
    let mut world = World::new(4);
    world.post_due(&[4]);
    let others = (1..=3).map(|dealer| {
        let commitment = world.dealing(dealer).commitments[0].0;
        bls12_381::G2Affine::from_compressed(&commitment).unwrap()
    });
    let own = bls12_381::G2Affine::generator() * Scalar::from(11);
    let rogue = others.fold(own, |sum, other| sum - other);
    let mut dealing = world.dealing(4);
    dealing.commitments[0].0 = bls12_381::G2Affine::from(rogue).to_compressed();
    world.post(4, Item::Dealing(dealing));
    let fault = FaultReason::Dealing(DealingError::ConstantProof(0));
    assert_eq!(world.faults(), [(4, fault)]);
}

#[test]
fn ephemeral_keys_that_are_no_points() {
    let text = include_str!("../../../tests/vectors/g1_rejected.txt");
    let mut seen = 0;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (order, encoding) = line.split_once(' ').unwrap();
        let encoding = encoding.trim().to_owned();
        let mut bytes = [0; 48];
        hex::decode_to_slice(&encoding, &mut bytes).unwrap();
        let error = match order {
            "identity" => PointError::Identity(encoding),
            "malformed" => PointError::Malformed(encoding),
            _ => PointError::NotInSubgroup(encoding),
        };
        assert_refused(
            |_, d| d.ephemeral.0 = bytes,
            &DealingError::Ephemeral(error),
        );
        seen += 1;
    }
    assert!(seen >= 6);
}

/// ⚠ SPEC SET-3. Guardian 2 takes the ephemeral key of guardian 1, with garbage for the shares of guardian 3. If that
/// passed for a dealing, guardian 3 would complain, and D = p₃·E₁ would open what guardian *1* dealt to it.
#[test]
fn anothers_ephemeral_key_gets_nobody_to_complain() {
    let mut world = World::new(4);
    let victim = world.dealing(1);
    let mut attack = world.dealing(2);
    attack.ephemeral = victim.ephemeral;
    attack.ephemeral_proof = victim.ephemeral_proof;
    world.post_due(&[2]);
    world.post(2, Item::Dealing(attack));
    let verdict = world.ceremonies[2].verdict().unwrap();
    assert_eq!(verdict.accused().count(), 0, "D was given away");
    let fault = FaultReason::Dealing(DealingError::EphemeralProof);
    assert_eq!(world.faults(), [(2, fault)]);

    // What D would have been worth: the shares that guardian 1 dealt to guardian 3.
    let ephemeral = G1Affine::from_compressed(&victim.ephemeral.0).unwrap();
    let d = encryption_secret(3).shared_point(&ephemeral);
    let checked = dealing::CheckedDealing::new(&world.params, index(1), victim).unwrap();
    let leaked = checked.open(&world.params, index(3), &d).unwrap();
    let secrets = world.secrets(1);
    for (share, polynomial) in leaked.iter().zip(&secrets.polynomials) {
        assert_eq!(*share, crate::polynomial::evaluate(polynomial, 3));
    }
    assert_eq!(leaked.len(), 2);
}

#[test]
fn an_ephemeral_key_is_proved_by_its_dealer_for_this_session() {
    let related = |_: &World, dealing: &mut Dealing| {
        // A multiple of another's, which would do as well as the key itself.
        let e = G1Affine::from_compressed(&dealing.ephemeral.0).unwrap();
        dealing.ephemeral.0 = G1Affine::from(glv::mul(&e, &Scalar::from(2))).to_compressed();
    };
    assert_refused(related, &DealingError::EphemeralProof);
    let whole = |world: &World, dealing: &mut Dealing| *dealing = world.dealing(1);
    assert_refused(whole, &DealingError::EphemeralProof);
    let no_proof = |_: &World, dealing: &mut Dealing| dealing.ephemeral_proof.0 .0 = [0xff; 48];
    assert_refused(no_proof, &DealingError::EphemeralProof);
}
