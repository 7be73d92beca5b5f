//! What other servers lead to: an error that says why, in time, and the next server.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use bitcoin::{hashes::Hash, BlockHash};
use guildmint_wallet::{Block, News, Watched};
use guildmint_wallet_electrum::{AllFailed, Observer, ServerError};
use serde_json::{json, Value as Json};

use crate::{
    chain::{script, Chain, LENGTH},
    server::{serve, settings, Reply},
};

/// Polls a server that lies about one method.
fn poll(
    method: &'static str,
    lie: impl Fn(&[Json]) -> Reply + Send + Sync + 'static,
) -> ServerError {
    let chain = Chain::new();
    let served = chain.clone();
    let url = serve(move |asked, parameters| {
        if asked == method {
            lie(parameters)
        } else {
            served.answer(asked, parameters)
        }
    });
    let pending = [Watched {
        txid: chain.payment(4).compute_txid(),
        script_pubkey: script(4),
        replaced: false,
    }];
    let mut observer = Observer::new(&[url], settings()).unwrap();
    let begun = Instant::now();
    let AllFailed(mut failures) = observer.poll(chain.block(5), &pending).unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(5));
    failures.remove(0).1
}

#[test]
fn another_chain_is_an_alarm() {
    let error = poll("blockchain.block.headers", |_| {
        let mut header = Chain::new().headers[5];
        header.nonce += 1;
        Reply::Result(json!({"hex": bitcoin::consensus::encode::serialize_hex(&header)}))
    });
    assert!(
        matches!(error, ServerError::OtherChain { height: 5, .. }),
        "{error}"
    );
}

/// A server of a chain that parts from the agreed one after block 2, and whose blocks are final up to its block 7 or less.
fn poll_other_chain(tip: u32) -> AllFailed {
    let served = Chain::new().parting_after(2);
    let url = serve(move |method, parameters| match method {
        "blockchain.headers.subscribe" => Reply::Result(json!({ "height": tip })),
        _ => served.answer(method, parameters),
    });
    let mut observer = Observer::new(&[url], settings()).unwrap();
    observer.poll(Chain::new().block(5), &[]).unwrap_err()
}

/// SPEC WAL-5: the guardian must say that agreed blocks are no more, and after which one the others can go on.
#[test]
fn another_chain_that_is_final_is_told_of_and_one_that_is_not_is_waited_for() {
    let final_one = poll_other_chain(7);
    let other = Chain::new().parting_after(2);
    let expected = News::Chain {
        tip_height: 7,
        first_height: 0,
        hashes: (0..=5).map(|height| other.block(height).hash).collect(),
    };
    assert_eq!(final_one.other_chain(), Some(&expected));
    assert_eq!(poll_other_chain(6).other_chain(), None);
}

/// Scenario 26: servers that are down, behind, on another chain and lying, and one that is none of this.
#[test]
fn one_server_of_five_that_is_in_order_is_enough() {
    let chain = Chain::new();
    let down = "tcp://127.0.0.1:1".to_owned();
    let served = chain.clone();
    let behind = serve(move |method, parameters| match method {
        "blockchain.headers.subscribe" => Reply::Result(json!({"height": 4})),
        _ => served.answer(method, parameters),
    });
    let other = Chain::new().parting_after(2);
    let other = serve(move |method, parameters| other.answer(method, parameters));
    let served = chain.clone();
    let lying = serve(move |method, parameters| match method {
        "blockchain.transaction.get_merkle" => Reply::Result(json!({"pos": 1, "merkle": []})),
        _ => served.answer(method, parameters),
    });
    let served = chain.clone();
    let honest = serve(move |method, parameters| served.answer(method, parameters));
    let pending = [Watched {
        txid: chain.payment(4).compute_txid(),
        script_pubkey: script(4),
        replaced: false,
    }];
    let broken = [down, behind, other, lying];
    let mut alone = Observer::new(&broken, settings()).unwrap();
    let AllFailed(failures) = alone.poll(chain.block(5), &pending).unwrap_err();
    assert!(
        matches!(
            failures.iter().map(|(_, error)| error).collect::<Vec<_>>()[..],
            [
                ServerError::Io(_),
                ServerError::Behind { .. },
                ServerError::OtherChain { .. },
                ServerError::Proof { .. }
            ]
        ),
        "{failures:?}"
    );
    let mut all = Observer::new(&[&broken[..], &[honest]].concat(), settings()).unwrap();
    for _ in 0..3 {
        let news = all.poll(chain.block(5), &pending).unwrap();
        assert!(matches!(
            news[0],
            News::Chain {
                first_height: 6,
                ..
            }
        ));
        assert!(matches!(news[2], News::Confirmed(_)));
    }
}

/// SPEC WAL-4: or whoever runs the servers of t guardians could have deposits credited that nobody made.
#[test]
fn blocks_that_nobody_worked_for_are_refused() {
    let forged = Chain::new().without_work_after(9);
    let url = serve(move |method, parameters| forged.answer(method, parameters));
    let mut observer = Observer::new(&[url], settings()).unwrap();
    let AllFailed(failures) = observer.poll(Chain::new().block(5), &[]).unwrap_err();
    assert!(
        matches!(failures[..], [(_, ServerError::NoWork(10))]),
        "{failures:?}"
    );
}

/// SPEC WAL-5: or a block would be final as soon as a server says that there are others after it.
#[test]
fn a_tip_that_a_server_only_speaks_of_makes_no_block_final() {
    let chain = Chain::new();
    let served = chain.clone();
    let url = serve(move |method, parameters| match method {
        "blockchain.headers.subscribe" => Reply::Result(json!({ "height": 1_000 })),
        _ => served.answer(method, parameters),
    });
    let mut observer = Observer::new(&[url], settings()).unwrap();
    let last = LENGTH - 1 - settings().finality_blocks;
    for agreed in [5, last, LENGTH - 1] {
        let news = observer.poll(chain.block(agreed), &[]).unwrap();
        let hashes = (agreed + 1..=last).map(|height| chain.block(height).hash);
        let expected = News::Chain {
            tip_height: LENGTH - 1,
            first_height: agreed + 1,
            hashes: hashes.collect(),
        };
        assert_eq!(news[0], expected);
    }
}

#[test]
fn headers_that_are_no_chain_are_refused() {
    let error = poll("blockchain.block.headers", |_| {
        let chain = Chain::new();
        let mut headers = chain.headers[5..10].to_vec();
        headers[3].prev_blockhash = BlockHash::all_zeros();
        let hex: String = headers
            .iter()
            .map(bitcoin::consensus::encode::serialize_hex)
            .collect();
        Reply::Result(json!({ "hex": hex }))
    });
    assert!(matches!(error, ServerError::Disconnected(8)), "{error}");
}

#[test]
fn a_server_that_is_behind_is_of_no_use() {
    let error = poll("blockchain.headers.subscribe", |_| {
        Reply::Result(json!({"height": 4}))
    });
    assert!(
        matches!(error, ServerError::Behind { tip: 4, agreed: 5 }),
        "{error}"
    );
}

#[test]
fn a_wrong_proof_is_refused() {
    let merkle = "blockchain.transaction.get_merkle";
    let error = poll(merkle, |_| Reply::Result(json!({"pos": 1, "merkle": []})));
    assert!(matches!(error, ServerError::Proof { .. }), "{error}");
    let deep = vec![BlockHash::all_zeros().to_string(); 64];
    let error = poll(merkle, move |_| {
        Reply::Result(json!({"pos": 1, "merkle": deep}))
    });
    assert!(matches!(error, ServerError::Proof { .. }), "{error}");
}

#[test]
fn nonsense_is_an_error_and_never_a_panic() {
    let answers: [&'static [u8]; 12] = [
        b"\n",
        b"[]\n",
        b"5\n",
        b"null\n",
        b"{\n",
        b"{}\n[]\n",
        b"\xff\xfe\n",
        b"{\"method\":5}\n[1]\n",
        b"{\"method\":\"blockchain.headers.subscribe\",\"params\":7}\n",
        b"{\"method\":\"blockchain.scripthash.subscribe\",\"params\":[]}\n",
        b"{\"id\":99999999999999999999999}\n7\n",
        b" {}\n",
    ];
    for method in [
        "blockchain.headers.subscribe",
        "blockchain.block.headers",
        "blockchain.scripthash.get_history",
    ] {
        for answer in answers {
            poll(method, move |_| Reply::Raw(answer.to_vec()));
        }
    }
}

#[test]
fn results_of_other_shapes_are_errors() {
    let results = || {
        [
            json!(null),
            json!([]),
            json!({}),
            json!("zz"),
            json!(-1),
            json!(1e300),
            json!({"height": -7, "hex": "00", "count": 1_000_000, "pos": -1, "merkle": [5]}),
            json!({"height": "x", "hex": "", "count": 0, "pos": 1u64 << 40, "merkle": ["zz"]}),
            json!([{"height": 1e10, "tx_hash": "zz"}]),
        ]
    };
    for method in [
        "blockchain.headers.subscribe",
        "blockchain.block.headers",
        "blockchain.transaction.get_merkle",
    ] {
        for result in results() {
            poll(method, move |_| Reply::Result(result.clone()));
        }
    }
}

#[test]
fn stalling_ends_at_the_deadline() {
    let method = "blockchain.headers.subscribe";
    for stall in [|_: &[Json]| Reply::Silence, |_: &[Json]| Reply::Trickle] {
        let error = poll(method, stall);
        let ServerError::Io(error) = error else {
            panic!("{error}");
        };
        assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    }
}

#[test]
fn an_endless_answer_ends() {
    let error = poll("blockchain.headers.subscribe", |_| {
        Reply::Raw(vec![b'{'; 5 << 20])
    });
    assert!(matches!(error, ServerError::Io(_)), "{error}");
}

#[test]
fn deposits_are_checked() {
    let chain = Chain::new();
    let served = chain.clone();
    let url = serve(move |method, parameters| match method {
        "blockchain.transaction.get" => {
            let other = served.payment(8);
            Reply::Result(json!(bitcoin::consensus::encode::serialize_hex(other)))
        }
        _ => served.answer(method, parameters),
    });
    let mut observer = Observer::new(&[url], settings()).unwrap();
    let AllFailed(failures) = observer.find_deposits(&script(7)).unwrap_err();
    assert!(matches!(
        failures[0].1,
        ServerError::OtherTransaction { .. }
    ));
}

#[test]
fn the_next_server_is_asked_and_a_lost_connection_is_made_again() {
    let chain = Chain::new();
    let (served, hung_up) = (chain.clone(), AtomicBool::new(false));
    let honest = serve(move |method, parameters| {
        let fee = method == "blockchain.estimatefee";
        if fee && !hung_up.swap(true, Ordering::SeqCst) {
            return Reply::HangUp;
        }
        served.answer(method, parameters)
    });
    let nobody = "tcp://127.0.0.1:1".to_owned();
    let broken = serve(|_, _| Reply::Error("out of order"));
    let mut observer = Observer::new(&[nobody, broken, honest], settings()).unwrap();
    let agreed = chain.block(5);
    // Each server is asked once; the honest one hangs up in its first answer.
    assert!(observer.poll(agreed, &[]).is_err());
    for _ in 0..3 {
        let news = observer.poll(agreed, &[]).unwrap();
        assert!(matches!(news[0], News::Chain { tip_height: 19, .. }));
    }
    let unknown = Block {
        height: 5,
        hash: BlockHash::all_zeros(),
    };
    let AllFailed(failures) = observer.poll(unknown, &[]).unwrap_err();
    assert_eq!(failures.len(), 3);
}
