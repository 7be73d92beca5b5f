//! Shares that are wrong, and complaints that are.

use super::items::Complaint;
use super::*;
use crate::PointError;

fn wrong_share(recipient: u16, key: u16) -> FaultReason {
    let recipient = index(recipient);
    FaultReason::WrongShare { recipient, key }
}

/// Gives all dealings, with these instead of honest ones.
fn with_dealings(guardians: u16, dealings: &[(u16, &[u16])]) -> World {
    let mut world = World::new(guardians);
    for dealer in 1..=guardians {
        let wrong = dealings.iter().find(|(cheat, _)| *cheat == dealer);
        let dealing = world.wrong_for(dealer, wrong.map_or(&[], |(_, recipients)| recipients));
        world.post(dealer, Item::Dealing(dealing));
    }
    assert_eq!((world.phase(), world.faults()), (Phase::Verdicts, vec![]));
    world
}

fn verdict(world: &World, from: u16) -> Verdict {
    world.ceremonies[usize::from(from - 1)].verdict().unwrap()
}

/// A complaint of guardian `from` against `dealer`, whether there is a reason or not.
fn complaint(world: &World, from: u16, dealer: u16) -> Complaint {
    let checked =
        dealing::CheckedDealing::new(&world.params, index(dealer), world.dealing(dealer)).unwrap();
    complaint::complain(
        &world.params,
        (index(dealer), &checked),
        index(from),
        &encryption_secret(from),
    )
}

#[test]
fn a_dealer_of_one_wrong_share_is_out() {
    let mut world = with_dealings(4, &[(2, &[3])]);
    assert_eq!(verdict(&world, 3).accused().collect::<Vec<_>>(), [index(2)]);
    world.post_due(&[]);
    assert_eq!(world.faults(), [(2, wrong_share(3, 1))]);
    assert_eq!(world.dealers(), [1, 3, 4]);
    world.confirm();
    world.assert_keys_work();
}

#[test]
fn f_dealers_of_wrong_shares_are_out() {
    let mut world = with_dealings(7, &[(1, &[2, 3, 4, 5, 6, 7]), (6, &[1, 6])]);
    world.post_due(&[]);
    let mut expected: Vec<_> = [2, 3, 4, 5, 6, 7].map(|i| (1, wrong_share(i, 1))).to_vec();
    expected.insert(0, (6, wrong_share(1, 1)));
    expected.push((6, wrong_share(6, 1)));
    let mut faults = world.faults();
    for list in [&mut faults, &mut expected] {
        list.sort_by_key(|(guardian, reason)| (*guardian, reason.to_string()));
    }
    assert_eq!(faults, expected);
    assert_eq!(world.dealers(), [2, 3, 4, 5, 7]);
    world.confirm();
    world.assert_keys_work();
}

#[test]
fn with_fewer_than_t_dealers_there_are_no_keys() {
    let mut world = with_dealings(4, &[(1, &[4]), (2, &[3])]);
    world.post_due(&[]);
    let failure = Failure::TooFewDealers {
        dealers: vec![index(3), index(4)],
        need: 3,
    };
    assert_eq!(world.failure(), failure);
    assert_eq!(
        world.faults(),
        [(2, wrong_share(3, 1)), (1, wrong_share(4, 1))]
    );
    world.post(4, Item::Confirm([5; 32]));
    assert_eq!(world.failure(), failure);
}

#[test]
fn a_share_that_is_no_number_is_wrong() {
    let mut world = World::new(4);
    let mut secrets = world.secrets(2);
    let mut dealing = world.dealing(2);
    // The pad is what a share of zero is encrypted to.
    secrets.polynomials[0]
        .iter_mut()
        .for_each(|a| *a = Scalar::zero());
    let pad = secrets.deal(&world.params, index(2)).shares[0].0;
    dealing.shares[0].0 = pad.map(|byte| byte ^ 0xff);
    world.post(2, Item::Dealing(dealing));
    world.post_due(&[2]);
    world.post_due(&[]);
    assert_eq!(world.faults(), [(2, wrong_share(1, 0))]);
}

#[test]
fn who_complains_of_right_shares_is_named() {
    let mut world = with_dealings(4, &[]);
    let mut lie = verdict(&world, 3);
    lie.complaints = vec![complaint(&world, 3, 1), complaint(&world, 3, 3)];
    world.post(3, Item::Verdict(lie));
    world.post_due(&[]);
    let expected = [1, 3].map(|dealer| (3, FaultReason::FalseComplaint(index(dealer))));
    assert_eq!(world.faults(), expected);
    assert_eq!(world.dealers(), [1, 2, 3, 4]);
    world.confirm();
    world.assert_keys_work();
}

/// What a complaint shows opens the shares of the one who complains, and of nobody else, from nobody else.
#[test]
fn a_complaint_reveals_its_own_shares_only() {
    let world = with_dealings(4, &[]);
    let shown = complaint(&world, 3, 1);
    let d = G1Affine::from_compressed(&shown.point.0).unwrap();
    let open = |dealer: u16, recipient: u16| {
        let dealing = world.dealing(dealer);
        let checked = dealing::CheckedDealing::new(&world.params, index(dealer), dealing).unwrap();
        checked.open(&world.params, index(recipient), &d).is_ok()
    };
    for dealer in 1..=4 {
        for recipient in 1..=4 {
            let own = (dealer, recipient) == (1, 3);
            assert_eq!(open(dealer, recipient), own, "{dealer} to {recipient}");
        }
    }
}

#[test]
fn a_complaint_needs_the_right_point() {
    let identity = {
        let mut bytes = [0; 48];
        bytes[0] = 0xc0;
        bytes
    };
    type Change = Box<dyn Fn(&World, &mut Complaint)>;
    let cases: [(Change, ComplaintError); 5] = [
        // Garbage would come out of that, and the dealer would be out.
        (
            Box::new(|_, c| c.point.0 = G1Affine::generator().to_compressed()),
            ComplaintError::Proof,
        ),
        (
            Box::new(|world, c| c.proof = complaint(world, 3, 2).proof),
            ComplaintError::Proof,
        ),
        // Another accuser's point and proof.
        (
            Box::new(|world, c| *c = complaint(world, 4, 1)),
            ComplaintError::Proof,
        ),
        (
            Box::new(move |_, c| c.point.0 = identity),
            ComplaintError::Point(PointError::Identity(hex::encode(identity))),
        ),
        (
            Box::new(|_, c| c.point.0 = [0xff; 48]),
            ComplaintError::Point(PointError::Malformed("ff".repeat(48))),
        ),
    ];
    for (change, error) in cases {
        let mut world = with_dealings(4, &[]);
        let mut lie = verdict(&world, 3);
        let mut bad = complaint(&world, 3, 1);
        change(&world, &mut bad);
        lie.complaints.push(bad);
        world.post(3, Item::Verdict(lie));
        let dealer = index(1);
        assert_eq!(
            world.faults(),
            [(3, FaultReason::Complaint { dealer, error })]
        );
        world.post_due(&[]);
        assert_eq!(world.dealers(), [1, 2, 3, 4]);
        world.confirm();
        world.assert_keys_work();
    }
}

#[test]
fn complaints_of_nobody_or_out_of_order() {
    let mut world = with_dealings(4, &[(2, &[3])]);
    let mut lie = verdict(&world, 3);
    let right = lie.complaints[0].clone();
    let mut nobody = right.clone();
    nobody.dealer = index(9);
    lie.complaints = vec![nobody, right.clone(), right];
    world.post(3, Item::Verdict(lie));
    let fault = |dealer: u16, error| {
        let dealer = index(dealer);
        (3, FaultReason::Complaint { dealer, error })
    };
    assert_eq!(
        world.faults(),
        [
            fault(9, ComplaintError::NoDealer),
            fault(2, ComplaintError::Order),
            fault(2, ComplaintError::Order)
        ]
    );
    assert_eq!(world.dealers(), [1, 2, 3, 4]);
    // Guardian 3 has not complained as it should have, so it has no share; it does not get others a key without one.
    let rest: Vec<_> = [0, 1, 3]
        .map(|i: usize| (i, world.ceremonies[i].due()))
        .into();
    for (position, item) in rest {
        let from = index(position as u16 + 1);
        let item = item.unwrap();
        for ceremony in &mut world.ceremonies {
            ceremony.handle(from, item.clone());
        }
    }
    let error = KeyError::OwnShare;
    let failure = Failure::Keys { key: 0, error };
    assert_eq!(world.ceremonies[2].outcome().unwrap().err(), Some(failure));
    assert_eq!(world.phase(), Phase::Confirming);
    assert_eq!(world.ceremonies[0].progress().waiting_for.len(), 4);
}
