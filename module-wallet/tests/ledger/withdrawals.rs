//! Scenarios 1, 2, 3 and 18: peg-outs, quotes and the queue.

use bitcoin::Transaction;
use guildmint_core::Amount;
use guildmint_wallet::{PegOut, PegOutState, PegOutsAnswer};

use crate::world::{address, script, Request, World};

fn peg_outs(world: &World) -> PegOutsAnswer {
    serde_json::from_value(world.query("peg-outs", &[]).unwrap()).unwrap()
}

#[test]
fn in_and_out_with_fees() {
    let mut world = World::funded(4, &[5_000]);
    let quote = world.quote(&address(1), 1_200).unwrap();
    let peg_out = world.quoted(&address(1), 1_200).unwrap();
    let txid = world.submit(peg_out).unwrap();
    let balance_sat = 5_000 - 1_200 - i128::from(quote.fee_sat);
    assert_eq!(world.notes_msat, balance_sat * 1000);
    assert_eq!(world.status(txid).unwrap().state, PegOutState::Signing);
    world.settle_down();
    assert_eq!(world.status(txid).unwrap().state, PegOutState::Signed);
    assert_eq!(world.chain.payments_to(&script(&address(1))), [1_200]);
    world.chain.mine(vec![]);
    world.bury();
    let status = world.status(txid).unwrap();
    assert_eq!(status.state, PegOutState::Confirmed);
    assert!(world.chain.find(status.txid.unwrap()).is_some());
    assert_eq!(world.net_msat(), 0);
    assert!(peg_outs(&world).pending.is_empty());
    assert!(world.faults.is_empty());
}

#[test]
fn a_fee_below_the_quote_is_refused_and_the_quote_is_named() {
    let mut world = World::funded(4, &[50_000]);
    let mut peg_out = world.quoted(&address(1), 1_200).unwrap();
    let quote_sat = peg_out.fee_sat;
    peg_out.fee_sat -= 1;
    let reject = world.submit(peg_out.clone()).unwrap_err();
    assert_eq!(
        (reject.code.as_str(), reject.retryable),
        ("fee_too_low", true)
    );
    assert!(reject
        .message
        .contains(&format!("at least {quote_sat} sat")));
    peg_out.fee_sat = quote_sat;
    world.submit(peg_out).unwrap();
}

#[test]
fn what_cannot_be_paid_is_refused() {
    let mut world = World::funded(4, &[50_000]);
    let mut refuse = |address: &str, amount_sat, code: &str, retryable| {
        let peg_out = PegOut {
            address: address.into(),
            amount_sat,
            fee_sat: 10_000,
        };
        let reject = world.submit(peg_out).unwrap_err();
        assert_eq!((reject.code.as_str(), reject.retryable), (code, retryable));
    };
    let mainnet = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4";
    refuse(mainnet, 1_200, "wrong_network", false);
    refuse("nowhere", 1_200, "bad_address", false);
    refuse(&address(1), 293, "dust", false);
    refuse(&address(1), u64::MAX, "too_much", false);
    refuse(&address(1), 60_000, "insufficient_coins", true);
    assert_eq!(world.notes_msat, 50_000_000);
}

#[test]
fn there_is_no_quote_before_enough_guardians_have_voted() {
    let mut world = World::new(4);
    let reject = world.quote(&address(1), 1_200).unwrap_err();
    assert_eq!(
        (reject.code.as_str(), reject.retryable),
        ("no_fee_rate", true)
    );
    world.settle_down();
    let reject = world.quote(&address(1), 1_200).unwrap_err();
    assert_eq!(reject.code, "insufficient_coins");
}

#[test]
fn peg_outs_of_one_epoch_share_a_transaction_and_more_follow_while_it_is_unconfirmed() {
    let mut world = World::funded(4, &[100_000]);
    // All in one epoch: each pays for more than its share.
    let requests: Vec<Request> = (0..3)
        .map(|n| {
            let fee_sat = world.quote(&address(n), 10_000).unwrap().fee_sat;
            world
                .client
                .peg_out(&address(n), 10_000, fee_sat)
                .unwrap()
                .into()
        })
        .collect();
    let verdicts = world.run(&requests);
    assert!(verdicts.iter().all(Result::is_ok));
    world.settle_down();
    assert_eq!(world.chain.mempool.len(), 1);
    let first: Transaction = world.chain.mempool.values().next().unwrap().clone();
    assert_eq!(first.output.len(), 4);

    let peg_out = world.quoted(&address(9), 10_000).unwrap();
    world.submit(peg_out).unwrap();
    world.settle_down();
    assert_eq!(world.chain.mempool.len(), 2);
    world.chain.mine(vec![]);
    world.bury();
    for n in [0, 1, 2, 9] {
        assert_eq!(world.chain.payments_to(&script(&address(n))), [10_000]);
    }
    assert!(peg_outs(&world).pending.is_empty());
    assert!(world.net_msat() > 0);
}

/// Both were quoted one large coin. The second would have to be paid from forty small ones, at a price nobody named.
#[test]
fn those_that_wait_take_their_coins_first() {
    let mut coins = vec![2_200; 40];
    coins.push(100_000);
    let mut world = World::funded(4, &coins);
    let first = world.quoted(&address(1), 95_000).unwrap();
    let second = world.quoted(&address(2), 40_000).unwrap();
    let verdicts = world.run(&[first.into(), second.clone().into()]);
    assert!(verdicts[0].is_ok());
    assert_eq!(verdicts[1].as_ref().unwrap_err().code, "fee_too_low");
    let again = world.quoted(&address(2), 40_000).unwrap();
    assert!(again.fee_sat > 10 * second.fee_sat);
    world.submit(again).unwrap();
    world.settle_down();
    assert_eq!(world.chain.payments_to(&script(&address(1))), [95_000]);
    assert_eq!(world.chain.payments_to(&script(&address(2))), [40_000]);
}

#[test]
fn a_chain_of_unconfirmed_change_has_an_end() {
    let mut world = World::funded(4, &[1_000_000]);
    for n in 0..12 {
        let peg_out = world.quoted(&address(n), 10_000).unwrap();
        world.submit(peg_out).unwrap();
        world.settle_down();
    }
    assert_eq!(
        world.chain.mempool.len(),
        guildmint_wallet::limits::MAX_UNCONFIRMED_CHAIN
    );
    assert_eq!(peg_outs(&world).queued.len(), 2);
    world.chain.mine(vec![]);
    world.bury();
    world.chain.mine(vec![]);
    world.bury();
    assert!(peg_outs(&world).queued.is_empty());
    for n in 0..12 {
        assert_eq!(world.chain.payments_to(&script(&address(n))), [10_000]);
    }
}

#[test]
fn a_full_queue_is_a_reason_to_come_back() {
    let mut world = World::with(4, |config| config.max_queue = 2);
    world.fund(&[100_000]);
    let request = |n| -> Request {
        let peg_out = PegOut {
            address: address(n),
            amount_sat: 1_000,
            fee_sat: 5_000,
        };
        peg_out.into()
    };
    let verdicts = world.run(&[request(1), request(2), request(3)]);
    assert!(verdicts[0].is_ok() && verdicts[1].is_ok());
    let reject = verdicts[2].as_ref().unwrap_err();
    assert_eq!(
        (reject.code.as_str(), reject.retryable),
        ("queue_full", true)
    );
    assert!(world.submit(request(3)).is_ok());
}

#[test]
fn a_fee_spike_makes_peg_outs_wait_and_nothing_else() {
    let mut world = World::funded(4, &[3_000; 30]);
    let peg_out = world.quoted(&address(1), 20_000).unwrap();
    // The spike and the peg-out meet in one epoch: accepted at the old rate, due at the new one.
    world.set_fee_rate(300_000);
    let txid = world.submit(peg_out.clone()).unwrap();
    assert_eq!(world.status(txid).unwrap().state, PegOutState::Signing);
    world.observe();
    let reject = world.submit(peg_out.clone()).unwrap_err();
    assert!(["fee_too_low", "insufficient_coins"].contains(&reject.code.as_str()));
    world.settle_down();
    world.chain.mine(vec![]);
    world.bury();

    world.set_fee_rate(1_000);
    world.settle_down();
    let mut cheap = world.quoted(&address(2), 20_000).unwrap();
    cheap.fee_sat += 1;
    world.set_fee_rate(10_000);
    world.observe();
    // The votes of this epoch are counted before its transactions.
    let reject = world.submit(cheap.clone()).unwrap_err();
    assert_eq!(
        (reject.code.as_str(), reject.retryable),
        ("fee_too_low", true)
    );
    world.set_fee_rate(1_000);
    world.settle_down();
    world.submit(cheap).unwrap();
    world.settle_down();
    assert_eq!(world.chain.payments_to(&script(&address(2))), [20_000]);
}

#[test]
fn module_fees_are_charged_and_kept() {
    let fee = Amount::from_sat(7).unwrap();
    let mut world = World::with(4, |config| {
        config.peg_in_fee = fee;
        config.peg_out_fee = fee;
    });
    world.fund(&[50_000]);
    assert_eq!(world.notes_msat, 49_993_000);
    let quote = world.quote(&address(1), 1_000).unwrap();
    assert_eq!(quote.module_fee, fee);
    let peg_out = world.quoted(&address(1), 1_000).unwrap();
    world.submit(peg_out).unwrap();
    world.settle_down();
    assert_eq!(world.net_msat(), 14_000);
}

#[test]
fn reserves_are_listed_in_pages() {
    let world = World::funded(4, &[3_000; 5]);
    let mut seen = Vec::new();
    let mut after = None::<String>;
    loop {
        let mut parameters = vec![("limit", "2")];
        if let Some(after) = &after {
            parameters.push(("after", after));
        }
        let page = world.query("utxos", &parameters).unwrap();
        seen.extend(page["utxos"].as_array().unwrap().clone());
        match page["next"].as_str() {
            Some(next) => after = Some(next.to_owned()),
            None => break,
        }
    }
    assert_eq!(seen.len(), 5);
    seen.dedup();
    assert_eq!(seen.len(), 5);
    assert_eq!(
        world.query("utxos", &[("after", "x")]).unwrap_err().code,
        "bad_parameter"
    );
    assert_eq!(
        world.query("peg-out-quote", &[]).unwrap_err().code,
        "missing_parameter"
    );
}
