//! Transactions on their way to miners, in a queue: LDK must not wait for a server.

use std::{
    collections::BTreeSet,
    sync::mpsc::{Receiver, SyncSender, TrySendError},
};

use bitcoin::{Transaction, Txid};
use electrum_client::{Client, ElectrumApi as _};
use lightning::chain::chaininterface::BroadcasterInterface;

/// Packages that wait. What does not fit is dropped: LDK and the wallet broadcast again what is not confirmed.
pub(crate) const MAX_WAITING: usize = 256;

/// Where LDK throws transactions.
pub(crate) struct Broadcaster(SyncSender<Vec<Transaction>>);

impl Broadcaster {
    pub(crate) fn new() -> (Self, Receiver<Vec<Transaction>>) {
        let (packages, waiting) = std::sync::mpsc::sync_channel(MAX_WAITING);
        (Self(packages), waiting)
    }

    pub(crate) fn send(&self, package: Vec<Transaction>) {
        if let Err(TrySendError::Full(package)) = self.0.try_send(package) {
            let txids: Vec<Txid> = package.iter().map(Transaction::compute_txid).collect();
            tracing::warn!(?txids, "too many transactions wait to be broadcast");
        }
    }
}

impl BroadcasterInterface for Broadcaster {
    fn broadcast_transactions(&self, transactions: &[&Transaction]) {
        let package = transactions
            .iter()
            .map(|transaction| (*transaction).clone());
        self.send(package.collect());
    }
}

/// Hands a package to a server, one after the other, and answers what of it is known there now. ⚠ The protocol's version 1.4 has no packages: a
/// parent that pays less than what is relayed waits until less is asked.
pub(crate) fn broadcast(client: &Client, package: Vec<Transaction>) -> Vec<Transaction> {
    let package = parents_first(package);
    let mut known = Vec::new();
    for transaction in package {
        match client.transaction_broadcast(&transaction) {
            Ok(_) => known.push(transaction),
            Err(error) if is_known(&error) => known.push(transaction),
            Err(error) => {
                let txid = transaction.compute_txid();
                tracing::warn!(%txid, %error, "a transaction is not relayed");
            }
        }
    }
    known
}

/// Bitcoin Core's words for what it has already.
fn is_known(error: &electrum_client::Error) -> bool {
    let text = error.to_string();
    let known = [
        "already in block chain",
        "already in utxo set",
        "already-known",
        "already in mempool",
    ];
    let text = text.to_lowercase();
    known.iter().any(|words| text.contains(words))
}

/// LDK gives packages in any order.
fn parents_first(mut package: Vec<Transaction>) -> Vec<Transaction> {
    let mut ordered = Vec::new();
    while !package.is_empty() {
        let waiting: BTreeSet<Txid> = package.iter().map(Transaction::compute_txid).collect();
        let is_ready = |transaction: &Transaction| {
            let mut parents = transaction
                .input
                .iter()
                .map(|input| input.previous_output.txid);
            !parents.any(|parent| waiting.contains(&parent))
        };
        let (ready, rest): (Vec<_>, Vec<_>) = package.into_iter().partition(is_ready);
        ordered.extend(ready);
        // Transactions cannot spend each other in a circle, so each time there is one less.
        package = rest;
    }
    ordered
}

#[cfg(test)]
mod tests {
    use bitcoin::{absolute::LockTime, transaction::Version, OutPoint, TxIn};

    use super::*;

    fn spending(txid: Txid) -> Transaction {
        Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: vec![TxIn {
                previous_output: OutPoint::new(txid, 0),
                ..TxIn::default()
            }],
            output: Vec::new(),
        }
    }

    #[test]
    fn parents_go_first_whatever_the_order() {
        let first = spending(OutPoint::null().txid);
        let second = spending(first.compute_txid());
        let third = spending(second.compute_txid());
        let sorted = [first.clone(), second.clone(), third.clone()];
        for package in [[2, 1, 0], [1, 2, 0], [0, 1, 2], [2, 0, 1]] {
            let package = package.iter().map(|place| sorted[*place].clone());
            assert_eq!(parents_first(package.collect()), sorted);
        }
    }

    #[test]
    fn a_full_queue_drops_and_does_not_wait() {
        let (broadcaster, waiting) = Broadcaster::new();
        let transaction = spending(OutPoint::null().txid);
        for _ in 0..=MAX_WAITING {
            broadcaster.broadcast_transactions(&[&transaction]);
        }
        assert_eq!(waiting.try_iter().count(), MAX_WAITING);
    }
}
