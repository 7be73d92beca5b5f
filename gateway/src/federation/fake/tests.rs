use super::*;
use crate::{federation::Funding, Keys};

fn msat(msat: u64) -> Amount {
    Amount::from_msat(msat).unwrap()
}

fn funding(federation: &FakeFederation, offer: SignedOffer, valid_until: u32) -> Order {
    let keys = Keys::new(&[1; 64]);
    let id = offer.offer.id(federation.id());
    Order::Fund(Funding {
        offer,
        amount: offer.offer.amount,
        refund_key: keys.refund(federation.id(), id).x_only_public_key().0,
        valid_until,
    })
}

#[test]
fn an_offer_is_funded_once_however_often_that_is_ordered() {
    let federation = FakeFederation::new(1, msat(5_000));
    let preimage = Preimage::from([1; 32]);
    let offer = federation.offer(preimage.hash(), msat(1_000), 300, Some(preimage));
    for _ in 0..3 {
        federation.order(funding(&federation, offer, 210));
        let news = federation.turn();
        assert!(matches!(news[..], [News::Funded { .. }]), "{news:?}");
    }
    assert_eq!(federation.state().ecash, msat(3_990));
    assert_eq!(federation.locked(), msat(1_000));
}

#[test]
fn late_funding_is_refused_for_good() {
    let federation = FakeFederation::new(1, msat(5_000));
    let preimage = Preimage::from([1; 32]);
    let offer = federation.offer(preimage.hash(), msat(1_000), 300, Some(preimage));
    federation.stall(true);
    federation.order(funding(&federation, offer, 210));
    assert_eq!(federation.turn(), []);
    federation.mine(11);
    assert!(matches!(federation.turn()[..], [News::NotFunded { .. }]));
    federation.stall(false);
    federation.order(funding(&federation, offer, 400));
    assert!(matches!(federation.turn()[..], [News::NotFunded { .. }]));
    assert_eq!(federation.state().ecash, msat(5_000));
}
