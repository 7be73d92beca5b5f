//! What an honest server leads to.

use bitcoin::consensus::serialize;
use guildmint_wallet::{News, Watched};
use guildmint_wallet_electrum::{BroadcastError, Observer, UrlError};

use crate::{
    chain::{script, Chain, LENGTH},
    server::{serve, settings, Reply},
};

fn honest() -> (Chain, Observer) {
    let chain = Chain::new();
    let served = chain.clone();
    let url = serve(move |method, parameters| served.answer(method, parameters));
    (chain, Observer::new(&[url], settings()).unwrap())
}

#[test]
fn reports_blocks_that_are_deep_enough_and_the_fee_rate() {
    let (chain, mut observer) = honest();
    let expected = |agreed: u32| {
        let last = LENGTH - 1 - 2;
        let hashes = (agreed + 1..=last).map(|height| chain.block(height).hash);
        vec![
            News::Chain {
                tip_height: LENGTH - 1,
                first_height: agreed + 1,
                hashes: hashes.collect(),
            },
            News::FeeRate {
                sat_per_kvb: 12_345,
            },
        ]
    };
    for agreed in [0, 5, 16, 17, 18, 19] {
        let news = observer.poll(chain.block(agreed), &[]).unwrap();
        assert_eq!(news, expected(agreed), "after {agreed}");
    }
    assert_eq!(observer.tip().unwrap(), chain.block(LENGTH - 1));
}

#[test]
fn reports_confirmations_in_agreed_blocks_only() {
    let (chain, mut observer) = honest();
    let watched = |height| Watched {
        txid: chain.payment(height).compute_txid(),
        script_pubkey: script(height),
        replaced: false,
    };
    let pending = [watched(9), watched(10), watched(11)];
    let news = observer.poll(chain.block(10), &pending).unwrap();
    let confirmed: Vec<_> = news
        .iter()
        .filter_map(|news| match news {
            News::Confirmed(confirmation) => Some(confirmation),
            _ => None,
        })
        .collect();
    assert_eq!(confirmed.len(), 2);
    for (confirmation, height) in confirmed.into_iter().zip([9, 10]) {
        let txid = chain.payment(height).compute_txid();
        assert_eq!((confirmation.txid, confirmation.height), (txid, height));
        assert_eq!(confirmation.header, chain.headers[height as usize]);
        let root = confirmation.header.merkle_root;
        assert_eq!(confirmation.merkle.check(txid, root), Ok(()));
    }
}

#[test]
fn finds_deposits_with_their_proofs() {
    let (chain, mut observer) = honest();
    let found = observer.find_deposits(&script(7)).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].amount_sat, 10_007);
    assert_eq!(&found[0].transaction, chain.payment(7));
    let proof = found[0].proof.as_ref().unwrap();
    assert_eq!((proof.height, proof.header), (7, chain.headers[7]));
    assert!(observer.find_deposits(&script(200)).unwrap().is_empty());
}

#[test]
fn a_fee_rate_that_nobody_knows_is_not_invented() {
    let chain = Chain::new();
    let served = chain.clone();
    let url = serve(move |method, parameters| match method {
        "blockchain.estimatefee" => Reply::Result((-1).into()),
        _ => served.answer(method, parameters),
    });
    let mut observer = Observer::new(&[&url], settings()).unwrap();
    assert_eq!(observer.poll(chain.block(0), &[]).unwrap().len(), 1);
    let mut settings = settings();
    settings.fallback_fee_rate_sat_per_kvb = Some(1);
    let mut observer = Observer::new(&[&url], settings).unwrap();
    let news = observer.poll(chain.block(0), &[]).unwrap();
    assert_eq!(news[1], News::FeeRate { sat_per_kvb: 1_000 });
}

#[test]
fn broadcasts_through_every_server() {
    let chain = Chain::new();
    let transaction = chain.payment(3).clone();
    let refusing = serve(|_, _| Reply::Error("min relay fee not met"));
    let knowing = serve(|_, _| Reply::Error("Transaction already in block chain"));
    let bytes = serialize(&transaction);

    let mut both = Observer::new(&[&refusing, &knowing], settings()).unwrap();
    assert_eq!(both.broadcast(&bytes).unwrap(), transaction.compute_txid());
    let mut none = Observer::new(&[refusing], settings()).unwrap();
    let error = none.broadcast(&bytes).unwrap_err();
    assert!(error.to_string().contains("min relay fee not met"));
    let error = none.broadcast(b"nonsense").unwrap_err();
    assert!(matches!(error, BroadcastError::Unreadable(_)));
}

#[test]
fn an_observer_needs_servers() {
    let none: [&str; 0] = [];
    assert_eq!(Observer::new(&none, settings()).err(), Some(UrlError::None));
    assert!(Observer::new(&["localhost:1"], settings()).is_err());
}
