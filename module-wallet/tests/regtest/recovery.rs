//! Scenario 31, and the second way to spend.

use std::collections::BTreeMap;

use bdk_wallet::{KeychainKind, SignOptions, Wallet};
use bitcoin::{
    absolute::LockTime,
    ecdsa,
    hashes::Hash,
    secp256k1::{Message, SecretKey},
    sighash::{EcdsaSighashType, SighashCache},
    transaction::Version,
    Amount, FeeRate, Network, OutPoint, PrivateKey, PublicKey, ScriptBuf, Sequence, Transaction,
    TxIn, TxOut, Witness,
};
use guildmint_core::Quorum;
use guildmint_wallet::{
    dealer, recover, CoinsAnswer, FederationDescriptor, RecoveryBranch, SpendableDescriptor, Tweak,
    WalletConfig, WalletSecret,
};
use miniscript::{descriptor::DescriptorSecretKey, Descriptor, DescriptorPublicKey};
use rand_chacha::{rand_core::SeedableRng, ChaCha20Rng};
use secp256k1::SECP256K1;

use crate::{
    chain::start,
    real::{elsewhere, tweak, Real},
    world::World,
};

const GUARDIANS: u16 = 4;

fn quorum() -> Quorum {
    Quorum::new(GUARDIANS).unwrap()
}

/// What the guardians of `World` were dealt.
fn secrets() -> Vec<WalletSecret> {
    let mut rng = ChaCha20Rng::seed_from_u64(u64::from(GUARDIANS));
    dealer::deal(Network::Regtest, start(), quorum(), &mut rng).1
}

type Keys = BTreeMap<PublicKey, PrivateKey>;

/// Another wallet, which has seen the chain.
fn import(real: &Real, descriptor: &SpendableDescriptor) -> (Wallet, Keys) {
    let text = descriptor.reveal().to_owned();
    let read = Descriptor::<DescriptorPublicKey>::parse_descriptor(SECP256K1, &text);
    let keys = read.unwrap().1.into_values().map(|key| match key {
        DescriptorSecretKey::Single(single) => (single.key.public_key(SECP256K1), single.key),
        other => panic!("{other}"),
    });
    let wallet = Wallet::create_single(text).network(Network::Regtest);
    let mut wallet = wallet.create_wallet_no_persist().unwrap();
    for height in 0..=real.rpc.tip().unwrap().height {
        let hash = real.rpc.block_hash(height).unwrap();
        let block = real.rpc.block(hash).unwrap();
        wallet.apply_block(&block, height as u32).unwrap();
    }
    (wallet, keys.collect())
}

/// All coins of a wallet to a script; `None` if it has too few keys.
fn sweep(wallet: &mut Wallet, keys: &Keys, to: ScriptBuf) -> Option<Transaction> {
    let mut builder = wallet.build_tx();
    builder
        .drain_wallet()
        .drain_to(to)
        .fee_rate(FeeRate::from_sat_per_vb(2).unwrap());
    let mut psbt = builder.finish().unwrap();
    // As many signatures as there are keys.
    let _ = psbt.sign(keys, SECP256K1);
    let finished = wallet.finalize_psbt(&mut psbt, SignOptions::default());
    finished.unwrap().then(|| psbt.extract_tx().unwrap())
}

#[test]
fn t_guardians_move_the_coins_into_another_wallet_with_no_federation_running() {
    let real = Real::start();
    let mut world = World::new(GUARDIANS);
    real.fund(&mut world, &[50_000, 30_000]);
    let peg_out = world.quoted(&elsewhere(1).to_string(), 20_000).unwrap();
    world.submit(peg_out).unwrap();
    world.settle_down();
    let paid = world.chain.mempool.values().next().unwrap().clone();
    real.rpc.send(&paid).unwrap();
    real.faucet.mine(1).unwrap();

    // Not even the confirmation was agreed on any more: coins, what was spent, and its change are all there.
    let coins = world.query("recoverable", &[]).unwrap();
    let coins: CoinsAnswer = serde_json::from_value(coins).unwrap();
    assert_eq!(coins.utxos.len(), 3);
    let tweaks = || coins.utxos.iter().map(|coin| coin.tweak);
    let secrets = secrets();
    let config = &world.config;
    let destination = elsewhere(9).script_pubkey();
    let descriptors = recover(config, quorum(), &secrets[1..], tweaks()).unwrap();
    let mut sent_sat = 0;
    for descriptor in &descriptors {
        let (mut wallet, keys) = import(&real, descriptor);
        let balance_sat = wallet.balance().total().to_sat();
        if balance_sat == 0 {
            continue;
        }
        let transaction = sweep(&mut wallet, &keys, destination.clone()).unwrap();
        real.rpc.send(&transaction).unwrap();
        sent_sat += transaction.output[0].value.to_sat();
        assert!(balance_sat - transaction.output[0].value.to_sat() < 500);
    }
    real.faucet.mine(1).unwrap();
    assert_eq!(real.received_sat(&destination), sent_sat);
    assert!(sent_sat > 50_000 + 30_000 - 20_000 - 2_000);
}

#[test]
fn fewer_than_t_secrets_watch_and_sign_but_do_not_spend() {
    let real = Real::start();
    let mut world = World::new(GUARDIANS);
    real.fund(&mut world, &[50_000]);
    let secrets = secrets();
    for few in [0, 2] {
        let tweaks = [tweak(&world, 0)];
        let descriptors = recover(&world.config, quorum(), &secrets[..few], tweaks).unwrap();
        let (mut wallet, keys) = import(&real, &descriptors[0]);
        assert_eq!(wallet.balance().total().to_sat(), 50_000);
        assert_eq!(
            sweep(&mut wallet, &keys, elsewhere(9).script_pubkey()),
            None
        );
        let address = wallet.peek_address(KeychainKind::External, 0);
        assert_eq!(
            address.script_pubkey(),
            world.client.script_pubkey(0).unwrap()
        );
        assert!(!format!("{:?}", descriptors[0]).contains("wsh"));
    }
    let stranger = WalletSecret::new(SecretKey::from_slice(&[7; 32]).unwrap());
    assert!(recover(&world.config, quorum(), &[stranger], []).is_err());
}

const AFTER_BLOCKS: u16 = 12;

fn recovery_keys() -> Vec<SecretKey> {
    let key = |byte| SecretKey::from_slice(&[byte; 32]).unwrap();
    vec![key(0x71), key(0x72), key(0x73)]
}

fn with_recovery(config: &mut WalletConfig) {
    let keys = recovery_keys();
    config.recovery = Some(RecoveryBranch {
        after_blocks: AFTER_BLOCKS,
        threshold: 2,
        keys: keys.iter().map(|key| key.public_key(SECP256K1)).collect(),
    });
}

/// Spends a deposit by the recovery keys alone.
fn recover_by_time(
    descriptor: &FederationDescriptor,
    tweak: &Tweak,
    coin: (OutPoint, u64),
    sequence: Sequence,
) -> Option<Transaction> {
    let wsh = descriptor.tweaked(tweak).unwrap();
    let mut transaction = Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: coin.0,
            script_sig: ScriptBuf::new(),
            sequence,
            witness: Witness::new(),
        }],
        output: vec![TxOut {
            value: Amount::from_sat(coin.1 - 1_000),
            script_pubkey: elsewhere(5).script_pubkey(),
        }],
    };
    let sighash = SighashCache::new(&transaction)
        .p2wsh_signature_hash(
            0,
            &wsh.inner_script(),
            Amount::from_sat(coin.1),
            EcdsaSighashType::All,
        )
        .unwrap();
    let message = Message::from_digest(sighash.to_byte_array());
    let sign = |key: &SecretKey| {
        let public = PublicKey::new(key.public_key(SECP256K1));
        let signature = SECP256K1.sign_ecdsa(&message, key);
        (public, ecdsa::Signature::sighash_all(signature))
    };
    let signatures: BTreeMap<_, _> = recovery_keys()[1..].iter().map(sign).collect();
    let input = &mut transaction.input[0];
    Descriptor::Wsh(wsh)
        .satisfy(input, (signatures, sequence))
        .ok()?;
    Some(transaction)
}

/// SPEC WAL-1.
#[test]
fn the_recovery_branch_spends_after_its_time_and_not_before() {
    let real = Real::start();
    let mut world = World::with(GUARDIANS, with_recovery);
    real.fund(&mut world, &[50_000]);
    let script = world.client.script_pubkey(0).unwrap();
    let coin = real.rpc.unspent(&script).unwrap()[0].clone();
    let coin = (coin.outpoint, coin.amount.to_sat());
    let descriptor = world.config.descriptor(quorum()).unwrap();
    let spend = |blocks| {
        let sequence = Sequence::from_height(blocks);
        recover_by_time(&descriptor, &tweak(&world, 0), coin, sequence)
    };
    assert_eq!(spend(AFTER_BLOCKS - 1), None);
    let transaction = spend(AFTER_BLOCKS).unwrap();
    let refused = real.rpc.send(&transaction).unwrap_err();
    assert!(refused.to_string().contains("non-BIP68-final"), "{refused}");
    real.faucet.mine(u64::from(AFTER_BLOCKS)).unwrap();
    real.rpc.send(&transaction).unwrap();
    real.faucet.mine(1).unwrap();
    let arrived_sat = real.received_sat(&elsewhere(5).script_pubkey());
    assert_eq!(arrived_sat, 49_000);
}

/// With the branch, guardians spend as without.
#[test]
fn guardians_spend_from_addresses_with_a_recovery_branch() {
    let real = Real::start();
    let mut world = World::with(GUARDIANS, with_recovery);
    real.fund(&mut world, &[50_000]);
    let peg_out = world.quoted(&elsewhere(1).to_string(), 20_000).unwrap();
    world.submit(peg_out).unwrap();
    world.settle_down();
    let paid = world.chain.mempool.values().next().unwrap().clone();
    real.rpc.send(&paid).unwrap();
    real.faucet.mine(1).unwrap();
    assert_eq!(real.received_sat(&elsewhere(1).script_pubkey()), 20_000);

    let change = world.query("utxos", &[]).unwrap();
    let change: CoinsAnswer = serde_json::from_value(change).unwrap();
    let tweaks = [change.utxos[0].tweak];
    let descriptors = recover(&world.config, quorum(), &secrets()[..3], tweaks).unwrap();
    let (wallet, _) = import(&real, &descriptors[0]);
    let balance_sat = wallet.balance().total().to_sat();
    assert_eq!(balance_sat, change.utxos[0].amount_sat);
}
