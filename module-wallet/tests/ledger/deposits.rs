//! Scenarios 1, 4, 4b, 5 and 19: deposits, and each way in which one is refused.

use bitcoin::{
    absolute::LockTime, consensus::serialize, transaction::Version, Amount, OutPoint, ScriptBuf,
    Sequence, Transaction, TxIn, TxOut, Witness, XOnlyPublicKey,
};
use guildmint_core::{
    limits::MAX_TRANSACTION_BYTES, Item, ModuleId, Transaction as FederationTransaction, Wire,
};
use guildmint_wallet::{CoinsAnswer, MerkleBranch, PegInProof};

use crate::{
    chain::pay,
    world::{address, Request, World},
};

fn code(verdict: crate::world::Verdict) -> (String, bool) {
    let reject = verdict.unwrap_err();
    (reject.code, reject.retryable)
}

fn refused(code: &str) -> (String, bool) {
    (code.into(), false)
}

fn later(code: &str) -> (String, bool) {
    (code.into(), true)
}

#[test]
fn a_deposit_is_credited_once_it_is_buried() {
    let mut world = World::new(4);
    let proof = world.deposit(0, 5_000);
    assert_eq!(code(world.submit(proof.clone())), later("not_buried"));
    world.bury();
    world.submit(proof).unwrap();
    assert_eq!(world.notes_msat, 5_000_000);
    assert_eq!(world.net_msat(), 0);
}

#[test]
fn a_deposit_is_credited_once() {
    let mut world = World::new(4);
    let proof = world.deposit(0, 5_000);
    world.bury();
    let twice = Request {
        inputs: vec![proof.clone(), proof.clone()],
        ..Request::default()
    };
    assert_eq!(code(world.submit(twice)), refused("already_claimed"));
    assert_eq!(world.notes_msat, 0);
    let verdicts = world.run(&[proof.clone().into(), proof.clone().into()]);
    assert!(verdicts[0].is_ok());
    assert_eq!(code(verdicts[1].clone()), refused("already_claimed"));
    assert_eq!(code(world.submit(proof)), refused("already_claimed"));
    assert_eq!(world.notes_msat, 5_000_000);
}

#[test]
fn claimed_deposits_are_listed_in_their_order() {
    let mut world = World::new(4);
    let proofs = [world.deposit(0, 5_000), world.deposit(1, 6_000)];
    world.bury();
    for proof in &proofs {
        world.submit(proof.clone()).unwrap();
        assert!(world.submit(proof.clone()).is_err());
    }
    let question = [("from", "0"), ("to", "2")];
    let answer = world.query("claimed-prefixes", &question).unwrap();
    let answer: guildmint_core::slices::SliceAnswer = serde_json::from_value(answer).unwrap();
    let expected = proofs.map(|proof| guildmint_wallet::claimed_prefix(&claimed(&proof)));
    assert_eq!((answer.count, answer.prefixes), (2, expected.concat()));
}

#[test]
fn a_deposit_is_not_credited_again_after_it_was_spent() {
    let mut world = World::new(4);
    let proof = world.deposit(0, 50_000);
    world.bury();
    world.submit(proof.clone()).unwrap();
    let peg_out = world.quoted(&address(1), 20_000).unwrap();
    world.submit(peg_out).unwrap();
    world.settle_down();
    world.bury();
    assert_eq!(
        code(world.submit(proof.clone())),
        refused("already_claimed")
    );

    // The same transaction in another place of another block of the agreed chain: another proof of the same outpoint.
    let (_, _, merkle) = world.chain.find(claimed(&proof).txid).unwrap();
    assert_eq!(merkle.position, 1);
    let transaction: Transaction = bitcoin::consensus::deserialize(&proof.transaction).unwrap();
    let other = world
        .chain
        .stranger_pays(vec![pay(ScriptBuf::from(vec![0x51; 22]), 1_000)]);
    let coinbase = world
        .chain
        .coinbase(vec![pay(ScriptBuf::from(vec![0x51; 22]), 1_000)]);
    let all = vec![coinbase, other, transaction.clone()];
    world.chain.mine_exactly(all.clone());
    world.bury();
    let ids: Vec<_> = all.iter().map(Transaction::compute_txid).collect();
    let (header, _) = world.chain.blocks[world.chain.blocks.len() - 2].clone();
    let again = PegInProof {
        header,
        merkle: MerkleBranch::of(&ids, 2).unwrap(),
        ..proof
    };
    assert_eq!(code(world.submit(again)), refused("already_claimed"));
}

fn claimed(proof: &PegInProof) -> OutPoint {
    proof.claim().unwrap().outpoint
}

/// ⚠ SPEC WAL-3: the federation's own change is nobody's deposit, even if its tweak happens to be somebody's key.
#[test]
fn change_is_no_deposit() {
    let mut world = World::funded(4, &[50_000, 50_000, 50_000, 50_000, 50_000, 50_000]);
    for number in 0..6 {
        let peg_out = world.quoted(&address(number), 20_000).unwrap();
        world.submit(peg_out).unwrap();
        world.settle_down();
        let mempool: Vec<Transaction> = world.chain.mempool.values().cloned().collect();
        let paid = mempool.last().unwrap();
        world.chain.mine(vec![]);
        world.bury();
        let (_, header, merkle) = world.chain.find(paid.compute_txid()).unwrap();
        let utxos: CoinsAnswer =
            serde_json::from_value(world.query("utxos", &[]).unwrap()).unwrap();
        let change = OutPoint::new(paid.compute_txid(), 1);
        let coin = utxos
            .utxos
            .iter()
            .find(|coin| coin.outpoint == change)
            .unwrap();
        assert!(coin.confirmed);
        let Ok(tweak_key) = XOnlyPublicKey::from_slice(&coin.tweak.0) else {
            continue;
        };
        let proof = PegInProof::new(paid, 1, header, merkle, tweak_key);
        assert_eq!(code(world.submit(proof)), refused("already_claimed"));
        return;
    }
    panic!("none of six hashes is a key; the chance of that is 1 in 64, and fixed by the seed");
}

#[test]
fn a_deposit_in_a_large_transaction_fits() {
    let mut world = World::new(4);
    let ours = world.client.script_pubkey(5).unwrap();
    let mut outputs = vec![pay(ScriptBuf::from(vec![0x51; 22]), 1_000); 3_190];
    outputs[1_234] = pay(ours, 70_000);
    let mut transaction = world.chain.stranger_pays(outputs);
    transaction.input[0].witness = Witness::from_slice(&[vec![7; 72], vec![2; 33]]);
    assert!(serialize(&transaction).len() > 98_000);
    world.chain.mine(vec![transaction.clone()]);
    world.bury();
    let proof = world.prove(5, &transaction, 1_234);
    let whole = FederationTransaction {
        inputs: vec![Item::new(ModuleId(1), &proof)],
        outputs: vec![],
        signatures: vec![None],
    };
    assert!(whole.encode().len() < MAX_TRANSACTION_BYTES);
    assert_eq!(whole.check_structure(), Ok(()));
    world.submit(proof).unwrap();
    assert_eq!(world.notes_msat, 70_000_000);
}

#[test]
fn a_miners_reward_must_mature() {
    let mut world = World::new(4);
    let ours = world.client.script_pubkey(0).unwrap();
    let coinbase = world.chain.coinbase(vec![pay(ours, 5_000)]);
    world.chain.mine(vec![coinbase.clone()]);
    let proof = world.prove(0, &coinbase, 0);
    world.chain.mine_empty(98);
    world.bury();
    assert_eq!(
        code(world.submit(proof.clone())),
        later("coinbase_immature")
    );
    world.chain.mine_empty(1);
    world.settle_down();
    world.submit(proof).unwrap();
}

#[test]
fn less_than_the_minimum_is_refused() {
    let mut world = World::new(4);
    let script = world.client.script_pubkey(0).unwrap();
    let transaction = world.chain.stranger_pays(vec![pay(script, 1_999)]);
    world.chain.mine(vec![transaction.clone()]);
    let (_, header, merkle) = world.chain.find(transaction.compute_txid()).unwrap();
    assert!(world
        .client
        .peg_in(0, &transaction, 0, header, merkle.clone())
        .is_err());
    let key = world.client.deposit_key(0).unwrap().x_only_public_key().0;
    let proof = PegInProof::new(&transaction, 0, header, merkle, key);
    assert_eq!(code(world.submit(proof)), refused("below_minimum"));
}

#[test]
fn proofs_that_prove_nothing_are_refused() {
    let mut world = World::new(4);
    let proof = world.deposit(0, 5_000);
    let other = world.deposit(1, 6_000);
    world.bury();
    let mut refuse = |code_: &str, change: &dyn Fn(&mut PegInProof)| {
        let mut broken = proof.clone();
        change(&mut broken);
        assert_eq!(code(world.submit(broken)), refused(code_));
    };
    refuse("not_ours", &|p| p.tweak_key = other.tweak_key);
    refuse("bad_transaction", &|p| p.output_index = 1);
    refuse("bad_transaction", &|p| p.transaction.push(0));
    refuse("bad_transaction", &|p| p.transaction.clear());
    refuse("bad_merkle_proof", &|p| p.header = other.header);
    refuse("bad_merkle_proof", &|p| {
        p.transaction = other.transaction.clone()
    });
    refuse("bad_merkle_proof", &|p| p.merkle.position ^= 1);
    refuse("bad_merkle_proof", &|p| p.merkle.position += 2);
    let with_witness = |p: &mut PegInProof| {
        let mut transaction: Transaction = bitcoin::consensus::deserialize(&p.transaction).unwrap();
        transaction.input[0].witness = Witness::from_slice(&[[1]]);
        p.transaction = serialize(&transaction);
    };
    refuse("bad_transaction", &with_witness);
    assert_eq!(world.notes_msat, 0);
    world.submit(proof).unwrap();
}

/// ⚠ SPEC WAL-3: such a transaction may be two hashes of a merkle tree.
#[test]
fn a_transaction_of_64_bytes_is_refused() {
    let mut world = World::new(1);
    let small = Transaction {
        version: Version::ONE,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint::null(),
            script_sig: ScriptBuf::new(),
            sequence: Sequence::MAX,
            witness: Witness::new(),
        }],
        output: vec![TxOut {
            value: Amount::from_sat(100_000),
            script_pubkey: ScriptBuf::from(vec![0x51; 4]),
        }],
    };
    assert_eq!(serialize(&small).len(), 64);
    world.chain.mine_exactly(vec![small.clone()]);
    let (_, header, merkle) = world.chain.find(small.compute_txid()).unwrap();
    let key = world.client.deposit_key(0).unwrap().x_only_public_key().0;
    let proof = PegInProof::new(&small, 0, header, merkle, key);
    assert_eq!(
        code(world.submit(proof)),
        refused("transaction_of_64_bytes")
    );
}
