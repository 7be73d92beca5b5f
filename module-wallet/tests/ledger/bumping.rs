//! Scenario 28: stuck peg-outs are replaced by versions that pay more, and everybody is paid once.

use bitcoin::{consensus::serialize, Transaction, Txid};
use guildmint_core::{Amount, TxId};
use guildmint_wallet::{
    limits::{BUMP_AFTER_BLOCKS, MAX_VERSIONS},
    CoinsAnswer, PegInProof, PegOutState, PegOutsAnswer,
};

use crate::world::{address, script, World};

/// What depositors of these tests have paid to the module: what bumping may spend.
const SURPLUS_SAT: u64 = 40_000;

/// More than anybody pays, in satoshi per 1000 virtual bytes.
const DEAR: u64 = 1_000_000_000;

/// A federation with coins and a surplus, whose miners do not take what it sends.
fn stuck(deposits_sat: &[u64]) -> World {
    let fee_sat = SURPLUS_SAT / deposits_sat.len() as u64;
    let mut world = World::with(4, |config| {
        config.peg_in_fee = Amount::from_sat(fee_sat).unwrap();
    });
    world.fund(deposits_sat);
    world.chain.miners_sat_per_kvb = DEAR;
    world
}

fn pay(world: &mut World, number: u16) -> TxId {
    pay_sat(world, number, 20_000)
}

fn pay_sat(world: &mut World, number: u16, amount_sat: u64) -> TxId {
    let peg_out = world.quoted(&address(number), amount_sat).unwrap();
    let txid = world.submit(peg_out).unwrap();
    world.settle_down();
    txid
}

/// As many blocks without the transaction as it takes to replace it.
fn wait(world: &mut World) {
    for _ in 0..world.config.finality_blocks + BUMP_AFTER_BLOCKS {
        world.chain.mine(vec![]);
        world.settle_down();
    }
}

/// Miners come to terms; all is confirmed.
fn relent(world: &mut World) {
    world.chain.miners_sat_per_kvb = 0;
    world.chain.mine(vec![]);
    world.bury();
}

fn peg_outs(world: &World) -> PegOutsAnswer {
    serde_json::from_value(world.query("peg-outs", &[]).unwrap()).unwrap()
}

fn coins(world: &World) -> CoinsAnswer {
    serde_json::from_value(world.query("utxos", &[]).unwrap()).unwrap()
}

/// The only transaction of the mempool.
fn sent(world: &World) -> Transaction {
    assert_eq!(world.chain.mempool.len(), 1);
    world.chain.mempool.values().next().unwrap().clone()
}

fn assert_confirmed(world: &World, txid: TxId, number: u16) {
    let status = world.status(txid).unwrap();
    assert_eq!(status.state, PegOutState::Confirmed);
    assert!(world.chain.find(status.txid.unwrap()).is_some());
    let paid = world.chain.payments_to(&script(&address(number)));
    assert_eq!(paid, [20_000]);
}

/// Deposits − payments − what miners got.
fn expected_net_msat(confirmed_fees_sat: u64, quotes_sat: u64) -> i128 {
    i128::from(SURPLUS_SAT + quotes_sat - confirmed_fees_sat) * 1000
}

/// A version is in a block although a later one was sent.
fn mine_instead(world: &mut World, old: Transaction) {
    let newer: Vec<Transaction> = world.chain.mempool.values().cloned().collect();
    world.chain.forget(newer.iter());
    world.chain.mempool.clear();
    world.chain.broadcast(old, 1_000);
    relent(world);
}

#[test]
fn a_stuck_peg_out_is_replaced_and_paid_once() {
    let mut world = stuck(&[100_000]);
    let txid = pay(&mut world, 1);
    let first = sent(&world);
    let quote_sat = world.chain.fee_sat(&first);
    world.set_fee_rate(5_000);
    wait(&mut world);
    let second = sent(&world);
    assert_ne!(first.compute_txid(), second.compute_txid());
    assert_eq!(
        first.input[0].previous_output,
        second.input[0].previous_output
    );
    assert_eq!(first.output[0], second.output[0]);
    let fee_sat = world.chain.fee_sat(&second);
    let rate_sat_per_kvb = fee_sat * 1000 / second.vsize() as u64;
    assert!(
        (5_000..5_100).contains(&rate_sat_per_kvb),
        "{rate_sat_per_kvb}"
    );
    relent(&mut world);
    assert_confirmed(&world, txid, 1);
    assert_eq!(world.net_msat(), expected_net_msat(fee_sat, quote_sat));
    assert!(coins(&world).utxos.iter().all(|coin| coin.confirmed));
}

/// The agreed chain is behind by the finality: a transaction that was mined at once must be seen before it is replaced.
#[test]
fn bumping_counts_blocks_in_which_a_confirmation_could_have_been_seen() {
    let mut world = stuck(&[100_000]);
    pay(&mut world, 1);
    let first = sent(&world);
    world.set_fee_rate(5_000);
    for _ in 1..world.config.finality_blocks + BUMP_AFTER_BLOCKS {
        world.chain.mine(vec![]);
        world.settle_down();
        assert_eq!(sent(&world), first);
    }
    world.chain.mine(vec![]);
    world.settle_down();
    assert_ne!(sent(&world), first);
}

/// ⚠ Whichever version is confirmed closes the slot, and the books have its change.
#[test]
fn an_older_version_may_be_confirmed() {
    let mut world = stuck(&[100_000]);
    let txid = pay(&mut world, 1);
    let first = sent(&world);
    let quote_sat = world.chain.fee_sat(&first);
    world.set_fee_rate(5_000);
    wait(&mut world);
    assert_ne!(sent(&world), first);
    mine_instead(&mut world, first.clone());
    assert_confirmed(&world, txid, 1);
    assert_eq!(world.status(txid).unwrap().txid, Some(first.compute_txid()));
    assert_eq!(world.net_msat(), expected_net_msat(quote_sat, quote_sat));
    // What came back can be spent.
    world.set_fee_rate(1_000);
    world.settle_down();
    let next = pay(&mut world, 2);
    relent(&mut world);
    assert_confirmed(&world, next, 2);
}

/// ⚠ Or the deposit and what is built on it would be lost with the version that is not confirmed.
#[test]
fn change_of_a_slot_with_two_versions_waits_for_a_confirmation() {
    let mut world = stuck(&[100_000]);
    pay(&mut world, 1);
    world.set_fee_rate(5_000);
    wait(&mut world);
    let replaced = sent(&world);
    let next = pay(&mut world, 2);
    assert_eq!(world.status(next).unwrap().state, PegOutState::Queued);
    assert_eq!(sent(&world), replaced);
    relent(&mut world);
    relent(&mut world);
    assert_confirmed(&world, next, 2);
}

/// ⚠ A replacement of the first would throw away the second; instead the second pays for both.
#[test]
fn the_last_of_a_chain_is_bumped_and_pays_for_its_ancestors() {
    let mut world = stuck(&[200_000]);
    let first = pay(&mut world, 1);
    let parent = sent(&world);
    let second = pay(&mut world, 2);
    assert_eq!(world.chain.mempool.len(), 2);
    world.set_fee_rate(5_000);
    wait(&mut world);
    let mempool: Vec<&Transaction> = world.chain.mempool.values().collect();
    assert_eq!(mempool.len(), 2);
    assert!(mempool.contains(&&parent));
    let fees_sat: u64 = mempool.iter().map(|one| world.chain.fee_sat(one)).sum();
    let vbytes: usize = mempool.iter().map(|one| one.vsize()).sum();
    let rate_sat_per_kvb = fees_sat * 1000 / vbytes as u64;
    assert!(
        (5_000..5_100).contains(&rate_sat_per_kvb),
        "{rate_sat_per_kvb}"
    );
    world.chain.miners_sat_per_kvb = 5_000;
    world.chain.mine(vec![]);
    world.bury();
    assert_confirmed(&world, first, 1);
    assert_confirmed(&world, second, 2);
}

/// The change backs notes: without a surplus nobody pays more.
#[test]
fn without_a_surplus_it_waits() {
    let mut world = World::funded(4, &[100_000]);
    world.chain.miners_sat_per_kvb = 2_000;
    let txid = pay(&mut world, 1);
    let first = sent(&world);
    world.set_fee_rate(5_000);
    wait(&mut world);
    wait(&mut world);
    assert_eq!(sent(&world), first);
    assert_eq!(world.net_msat(), 0);
    relent(&mut world);
    assert_confirmed(&world, txid, 1);
}

/// ⚠ SPEC WAL-3: of every version.
#[test]
fn change_of_a_replaced_version_is_no_deposit() {
    let mut world = stuck(&[400_000]);
    // The tweak of every second slot or so happens to be a key.
    for number in 0..8 {
        world.set_fee_rate(1_000);
        let txid = pay(&mut world, number);
        world.set_fee_rate(5_000);
        wait(&mut world);
        let second = sent(&world);
        relent(&mut world);
        assert_confirmed(&world, txid, number);
        world.chain.miners_sat_per_kvb = DEAR;
        let change = coins(&world).utxos[0];
        assert_eq!(change.outpoint.txid, second.compute_txid());
        let Ok(tweak_key) = bitcoin::XOnlyPublicKey::from_slice(&change.tweak.0) else {
            continue;
        };
        let (_, header, merkle) = world.chain.find(change.outpoint.txid).unwrap();
        let proof = PegInProof::new(&second, 1, header, merkle, tweak_key);
        assert_eq!(world.submit(proof).unwrap_err().code, "already_claimed");
        return;
    }
    panic!("none of eight hashes is a key; the chance of that is 1 in 256, and fixed by the seed");
}

/// A little more each time, and an end.
#[test]
fn what_stays_stuck_is_replaced_until_it_has_as_many_versions_as_it_may() {
    let mut world = stuck(&[100_000]);
    pay(&mut world, 1);
    let mut seen: Vec<Txid> = vec![sent(&world).compute_txid()];
    for _ in 0..MAX_VERSIONS + 2 {
        wait(&mut world);
        seen.push(sent(&world).compute_txid());
    }
    seen.dedup();
    assert_eq!(seen.len(), MAX_VERSIONS);
    let pending = peg_outs(&world).pending;
    assert_eq!(pending.len(), MAX_VERSIONS);
    assert!(pending.iter().all(|one| one.slot == pending[0].slot));
    let fees_sat: Vec<u64> = pending.iter().map(|one| one.fee_sat).collect();
    assert!(fees_sat.windows(2).all(|pair| pair[1] * 4 >= pair[0] * 5));
}

/// The change is nearly used up: the rest goes to the miner too, if the surplus has it.
#[test]
fn change_that_becomes_too_small_is_left_to_the_miner() {
    let mut world = stuck(&[20_700]);
    let txid = pay(&mut world, 1);
    assert_eq!(sent(&world).output.len(), 2);
    world.set_fee_rate(2_200);
    wait(&mut world);
    let second = sent(&world);
    assert_eq!(second.output.len(), 1);
    assert_eq!(world.chain.fee_sat(&second), 700);
    wait(&mut world);
    assert_eq!(sent(&world), second);
    mine_instead(&mut world, second);
    assert_confirmed(&world, txid, 1);
    assert_eq!(coins(&world).utxos, []);
}

/// Guardians of a stuck slot forget what they need not know: no row grows with the number of versions times inputs.
#[test]
fn versions_before_the_last_are_told_but_not_kept() {
    let mut world = stuck(&[20_000; 12]);
    pay_sat(&mut world, 1, 200_100);
    assert_eq!(sent(&world).input.len(), 11);
    let size = |world: &World| -> usize {
        let rows = world.guardians[0].agreed_rows();
        rows.values().map(Vec::len).max().unwrap()
    };
    let one = size(&world);
    assert!(one > serialize(&sent(&world)).len());
    wait(&mut world);
    wait(&mut world);
    assert_eq!(peg_outs(&world).pending.len(), 3);
    assert!(size(&world) < one + 1_000);
}
