#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use bdk_wallet::{
    bitcoin::{
        absolute::LockTime, hashes::Hash as _, transaction::Version, BlockHash, TxIn, TxOut,
    },
    chain::{BlockId, ConfirmationBlockTime, TxUpdate},
};
use guildmint_gateway_store::Place;
use zeroize::Zeroizing;

use super::*;

fn store(folder: &tempfile::TempDir) -> GatewayStore {
    GatewayStore::open(&Place::in_directory(folder.path()), Arc::new(|_| ())).unwrap()
}

fn open(store: &GatewayStore, seed: u8) -> Result<(Wallet, bool), WalletError> {
    Wallet::open(&Zeroizing::new([seed; 32]), Network::Regtest, store.clone())
}

/// Coins of these values, in the first block.
fn fund(wallet: &Wallet, sats: &[u64]) {
    let output = |sat: &u64| TxOut {
        value: Amount::from_sat(*sat),
        script_pubkey: wallet.next_script().unwrap(),
    };
    let transaction = Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint::new(bitcoin::Txid::from_byte_array([9; 32]), 0),
            ..TxIn::default()
        }],
        output: sats.iter().map(output).collect(),
    };
    let block_id = BlockId {
        height: 1,
        hash: BlockHash::from_byte_array([1; 32]),
    };
    let anchor = ConfirmationBlockTime {
        block_id,
        confirmation_time: 1,
    };
    let mut tx_update = TxUpdate::default();
    tx_update
        .anchors
        .insert((anchor, transaction.compute_txid()));
    tx_update.txs.push(Arc::new(transaction));
    let tip = wallet.requests(bdk_wallet::Wallet::latest_checkpoint);
    let update = Update {
        tx_update,
        chain: Some(tip.insert(block_id)),
        ..Update::default()
    };
    wallet.apply(update).unwrap();
}

#[test]
fn what_is_promised_to_one_channel_is_no_reserve_for_another() {
    let folder = tempfile::tempdir().unwrap();
    let (wallet, _) = open(&store(&folder), 1).unwrap();
    fund(&wallet, &[60_000, 60_000]);
    assert_eq!(wallet.balance().free_sat, 120_000);
    let script = wallet.next_script().unwrap();
    let rate = FeeRate::from_sat_per_vb_u32(1);
    let first = wallet.pay(&script, 50_000, rate, 20_000).unwrap();
    assert_eq!(wallet.balance().free_sat, 60_000);
    let refused = wallet.pay(&script, 50_000, rate, 20_000).unwrap_err();
    let spendable_sat = 40_000;
    assert!(matches!(refused, Refusal::Funds { spendable_sat: sat, .. } if sat == spendable_sat));
    // Nothing came of the first.
    wallet.release(&first).unwrap();
    assert_eq!(wallet.balance().free_sat, 120_000);
}

#[test]
fn what_closes_a_channel_is_counted_as_kept_and_not_as_spendable() {
    let folder = tempfile::tempdir().unwrap();
    let (wallet, _) = open(&store(&folder), 1).unwrap();
    fund(&wallet, &[60_000, 90_000]);
    let coins = wallet.list_confirmed_utxos().unwrap();
    let taken = coins
        .iter()
        .find(|coin| coin.output.value == Amount::from_sat(90_000));
    let taken = taken.unwrap();
    let script = wallet.next_script().unwrap();
    let closing = Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: taken.outpoint,
            ..TxIn::default()
        }],
        output: vec![TxOut {
            value: Amount::from_sat(89_000),
            script_pubkey: script.clone(),
        }],
    };
    let mut psbt = Psbt::from_unsigned_tx(closing).unwrap();
    psbt.inputs[0].witness_utxo = Some(taken.output.clone());
    wallet.sign_psbt(psbt).unwrap();
    let balance = wallet.balance();
    assert_eq!((balance.free_sat, balance.bumping_sat), (60_000, 90_000));
    let rate = FeeRate::from_sat_per_vb_u32(1);
    let refused = wallet.pay(&script, 60_000, rate, 1_000).unwrap_err();
    let Refusal::Funds {
        spendable_sat,
        reserved_sat,
        needed_sat,
    } = refused
    else {
        panic!("{refused}");
    };
    assert_eq!((spendable_sat, reserved_sat), (59_000, 91_000));
    assert!(needed_sat > 60_000);
    // What is free is paid out of what is free.
    let paid = wallet.pay(&script, 50_000, rate, 1_000).unwrap();
    assert!(paid
        .input
        .iter()
        .all(|input| input.previous_output != taken.outpoint));
    // LDK may take its own again, and no other coin but what is locked.
    let left = wallet.list_confirmed_utxos().unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].outpoint, taken.outpoint);
}

#[test]
fn a_wallet_that_stopped_before_it_saw_the_chain_is_still_looked_for() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    let (wallet, is_blind) = open(&store, 1).unwrap();
    assert!(is_blind);
    drop(wallet);
    let (wallet, is_blind) = open(&store, 1).unwrap();
    assert!(is_blind);
    fund(&wallet, &[1000]);
    drop(wallet);
    assert!(!open(&store, 1).unwrap().1);
}

#[test]
fn no_address_is_given_twice_even_over_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    let (wallet, _) = open(&store, 1).unwrap();
    let (first, second) = (wallet.new_address().unwrap(), wallet.next_script().unwrap());
    assert_ne!(first.script_pubkey(), second);
    drop(wallet);
    for _ in 0..2 {
        let (wallet, _) = open(&store, 1).unwrap();
        let next = wallet.next_script().unwrap();
        assert!(next != second && next != first.script_pubkey());
    }
    let rows = store.load_prefix(&Space::Node.key(TABLE).0).unwrap();
    assert!(rows.len() <= 3, "{} rows", rows.len());
}

#[test]
fn another_seed_does_not_open_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    open(&store, 1).unwrap();
    assert!(matches!(open(&store, 2), Err(WalletError::Foreign(_))));
}

#[test]
fn addresses_of_other_networks_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (wallet, _) = open(&store(&folder), 1).unwrap();
    let own = wallet.new_address().unwrap().to_string();
    assert!(wallet.script_of(&own).is_ok());
    for bad in [
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
        "lightning",
        "",
    ] {
        assert!(wallet.script_of(bad).is_err(), "{bad}");
    }
}

#[test]
fn an_empty_wallet_says_what_it_lacks() {
    let folder = tempfile::tempdir().unwrap();
    let (wallet, _) = open(&store(&folder), 1).unwrap();
    let script = wallet.next_script().unwrap();
    let rate = FeeRate::from_sat_per_vb_u32(1);
    let refused = wallet.pay(&script, 50_000, rate, 0).unwrap_err();
    assert!(
        matches!(refused, Refusal::Funds { spendable_sat: 0, needed_sat, .. } if needed_sat >= 50_000)
    );
    assert!(Wallet::reserve_sat(2) > Wallet::reserve_sat(1) && Wallet::reserve_sat(0) == 0);
}
