use super::*;

fn script(byte: u8) -> ScriptBuf {
    ScriptBuf::from_bytes(vec![byte; 22])
}

#[test]
fn payments_are_mined_and_found() {
    let mut chain = FakeChain::new();
    let paid = chain.pay_among(script(1), 5_000, 3);
    assert_eq!(chain.place(paid.txid), None);
    chain.mine(2);
    let place = chain.place(paid.txid).unwrap();
    assert_eq!((place.height, chain.tip_height()), (1, 2));
    assert_eq!(chain.paid(&script(1)), [(paid, 5_000)]);
    let block = chain.block(1).unwrap();
    assert!(block.check_merkle_root());
    assert_eq!(block.header.prev_blockhash, chain.hash(0).unwrap());
}

#[test]
fn what_nobody_would_relay_is_refused() {
    let mut chain = FakeChain::new();
    let coin = chain.pay(script(1), 5_000);
    chain.mine(1);
    let spend = |sat| Transaction {
        version: transaction::Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: coin,
            ..TxIn::default()
        }],
        output: vec![paying(script(2), sat)],
    };
    assert_eq!(
        chain.broadcast(spend(6_000)),
        Err(BroadcastError::OutOfNothing)
    );
    assert!(matches!(
        chain.broadcast(spend(5_000)),
        Err(BroadcastError::TooCheap { fee_sat: 0, .. })
    ));
    assert_eq!(chain.broadcast(spend(4_000)), Ok(()));
    chain.mine(1);
    assert!(matches!(
        chain.broadcast(spend(3_000)),
        Err(BroadcastError::NoSuchCoin(_))
    ));
}

#[test]
fn what_waits_is_replaced_by_the_rules_and_miners_look_at_packages() {
    let mut chain = FakeChain::new();
    let coin = chain.pay(script(1), 50_000);
    chain.mine(1);
    let spend = |previous_output, sat, sequence| Transaction {
        version: transaction::Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output,
            sequence,
            ..TxIn::default()
        }],
        output: vec![paying(script(2), sat)],
    };
    let rbf = Sequence::ENABLE_RBF_NO_LOCKTIME;
    let first = spend(coin, 49_000, rbf);
    assert_eq!(chain.broadcast(first.clone()), Ok(()));
    assert!(matches!(
        chain.broadcast(spend(coin, 48_999, rbf)),
        Err(BroadcastError::TooLittleMore { fee_sat: 1_001, .. })
    ));
    chain.miners_sat_per_kvb = 100_000;
    chain.mine(1);
    assert_eq!(chain.pool(), std::slice::from_ref(&first));
    let child = spend(
        OutPoint::new(first.compute_txid(), 0),
        20_000,
        Sequence::MAX,
    );
    assert_eq!(chain.broadcast(child.clone()), Ok(()));
    // It would have to pay for both.
    assert!(chain.broadcast(spend(coin, 40_000, rbf)).is_err());
    let last = spend(coin, 10_000, Sequence::MAX);
    assert_eq!(chain.broadcast(last.clone()), Ok(()));
    assert_eq!(chain.pool(), std::slice::from_ref(&last));
    assert_eq!(chain.broadcast(first.clone()), Ok(()));
    assert_eq!(chain.pool(), std::slice::from_ref(&last));
    assert_eq!(
        chain.broadcast(spend(coin, 5_000, rbf)),
        Err(BroadcastError::Final(last.compute_txid()))
    );
    chain.mine(1);
    assert!(chain.pool().is_empty());
    assert!(matches!(
        chain.broadcast(first.clone()),
        Err(BroadcastError::NoSuchCoin(_))
    ));
    // A version that comes too late is no mistake.
    let mut chain = FakeChain::new();
    assert_eq!(chain.pay(script(1), 50_000), coin);
    chain.mine(1);
    assert_eq!(chain.broadcast(first), Ok(()));
    chain.mine(1);
    assert_eq!(chain.broadcast(spend(coin, 40_000, rbf)), Ok(()));
    assert!(chain.pool().is_empty());
}

#[test]
fn a_reorganisation_puts_transactions_back() {
    let mut chain = FakeChain::new();
    let paid = chain.pay(script(1), 5_000);
    chain.mine(3);
    let before = chain.hash(3);
    chain.reorganise(3);
    assert_eq!((chain.tip_height(), chain.place(paid.txid)), (3, None));
    assert_ne!(chain.hash(3), before);
    chain.mine(1);
    assert_eq!(chain.place(paid.txid).map(|place| place.height), Some(4));
}
