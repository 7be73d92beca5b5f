//! Dealers who conspire: each dealing is valid, and their sum is not.

use super::*;

/// The last dealer knows everybody's polynomials and changes its own first one.
fn conspire(change: impl Fn(&[Vec<Scalar>], &mut Vec<Scalar>)) -> World {
    let mut world = World::new(4);
    world.post_due(&[4]);
    let others: Vec<Vec<Scalar>> = (1..=3)
        .map(|dealer| world.secrets(dealer).polynomials[0].to_vec())
        .collect();
    let mut secrets = world.secrets(4);
    change(&others, &mut secrets.polynomials[0]);
    let dealing = secrets.deal(&world.params, index(4));
    world.post(4, Item::Dealing(dealing));
    world.post_due(&[]);
    assert_eq!((world.faults(), world.dealers().len()), (vec![], 4));
    world
}

fn sum(others: &[Vec<Scalar>], degree: usize) -> Scalar {
    let terms = others.iter().map(|polynomial| polynomial[degree]);
    terms.fold(Scalar::zero(), |sum, a| sum + a)
}

fn assert_fails(world: &World, error: KeyError) {
    assert_eq!(world.failure(), Failure::Keys { key: 0, error });
}

#[test]
fn constant_terms_that_cancel() {
    let world = conspire(|others, own| own[0] = -sum(others, 0));
    assert_fails(&world, KeyError::Identity);
}

#[test]
fn leading_terms_that_cancel() {
    let world = conspire(|others, own| own[2] = -sum(others, 2));
    assert_fails(&world, crate::KeySetError::DegreeTooLow(3).into());
}

#[test]
fn shares_that_cancel() {
    let world = conspire(|others, own| {
        let value = |f: &[Scalar]| crate::polynomial::evaluate(f, 2);
        let all = others.iter().fold(value(own), |sum, f| sum + value(f));
        own[0] -= all;
    });
    assert_fails(&world, KeyError::IdentityShare(index(2)));
}
