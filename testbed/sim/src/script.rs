//! A scripted client: submits play money to all guardians, and does not rest until it is accepted.

use std::collections::{BTreeMap, BTreeSet};

use guildmint_core::{api::TransactionStatus, Amount, Item, PeerId, Transaction, TxId, Wire};
use guildmint_engine::node::{Reply, Request};
use guildmint_kit::play::{self, Burn, Mint};

use crate::world::{Asker, Delivery, World};

/// How often it asks again, in milliseconds.
const PATIENCE_MS: u64 = 1_000;

/// What the scripted client wants.
#[derive(Default)]
pub(crate) struct Script {
    /// Transactions to be accepted, and the guardians that have said that they are.
    wanted: BTreeMap<TxId, (Transaction, BTreeSet<PeerId>)>,
    awake: bool,
}

impl Script {
    pub(crate) fn wanted(&self) -> usize {
        self.wanted.len()
    }
}

/// Makes play money under a name and burns it again.
#[must_use]
pub fn play_money(name: u64, msat: u64) -> Transaction {
    let amount = Amount::from_msat(msat).unwrap_or(Amount::ZERO);
    let mint = Mint {
        name,
        amount,
        key: None,
        honest: true,
    };
    let burn = Burn {
        amount,
        padding: Vec::new(),
    };
    Transaction {
        inputs: vec![Item::new(play::MODULE, &mint)],
        outputs: vec![Item::new(play::MODULE, &burn)],
        signatures: vec![None],
    }
}

impl World {
    /// A client submits [`play_money`], and does not rest until that is accepted.
    pub fn submit_play(&mut self, name: u64, msat: u64) -> TxId {
        self.submit(play_money(name, msat))
    }

    /// The id of a transaction in this federation.
    #[must_use]
    pub fn txid(&self, transaction: &Transaction) -> TxId {
        transaction.id(self.federation())
    }

    /// A client submits a transaction to all guardians, and again until it is decided.
    pub fn submit(&mut self, transaction: Transaction) -> TxId {
        let txid = self.txid(&transaction);
        self.script
            .wanted
            .insert(txid, (transaction, BTreeSet::new()));
        if !self.script.awake {
            self.script.awake = true;
            self.later(0, Delivery::ScriptTurn);
        }
        txid
    }

    /// Somebody submits a transaction to some guardians only, once.
    pub fn submit_to(&mut self, peers: &[PeerId], transaction: Transaction) {
        let txid = self.txid(&transaction);
        for peer in peers {
            let request = Request::Submit(transaction.encode());
            self.ask(*peer, Asker::Script(txid), request);
        }
        self.run(100);
    }

    /// Clients no longer want what is not accepted yet.
    pub fn give_up(&mut self) {
        self.script.wanted.clear();
    }

    /// The client submits what is not everywhere yet, and asks what became of it.
    pub(crate) fn script_turn(&mut self) {
        self.asked
            .retain(|_, asker| !matches!(asker, Asker::Script(_)));
        let wanted: Vec<_> = self
            .script
            .wanted
            .iter()
            .map(|(txid, (transaction, at))| (*txid, transaction.encode(), at.clone()))
            .collect();
        self.script.awake = !wanted.is_empty();
        for (txid, bytes, accepted_at) in wanted {
            for peer in self.peers() {
                if !accepted_at.contains(&peer) {
                    self.ask(peer, Asker::Script(txid), Request::Submit(bytes.clone()));
                    let wait_ms = PATIENCE_MS;
                    let question = Request::Transaction { txid, wait_ms };
                    self.ask(peer, Asker::Script(txid), question);
                }
            }
        }
        if self.script.awake {
            self.later(PATIENCE_MS, Delivery::ScriptTurn);
        }
    }

    pub(crate) fn script_hears(&mut self, peer: PeerId, txid: TxId, reply: Reply) {
        let Reply::Transaction(answer) = reply else {
            return;
        };
        let everywhere = self.correct_and_up();
        if let (Some((_, at)), TransactionStatus::Accepted { .. }) =
            (self.script.wanted.get_mut(&txid), answer.status)
        {
            at.insert(peer);
            if at.len() >= everywhere {
                self.script.wanted.remove(&txid);
            }
        }
    }
}
