//! Payments that can never be accepted.

use guildmint_core::{module::Reject, TxId};
use guildmint_mint::MAX_NONCES;

use super::{Asker, Client};
use crate::{
    ask::{Finding, Rule},
    inquiry::Question,
    operation::{spent_nonces, spent_reader, spent_request, Happening},
    payment::{self, Payment},
    rows::{CoinRow, PaymentRow},
};

impl Client {
    /// What a refused payment would have spent is free again. ⚠ If it is refused because a note is spent, guardians are asked
    /// first which: a wallet that was restored from an old copy would pick the same dead note again and again.
    pub(super) fn refused(&mut self, txid: TxId, payment: &Payment, reject: Reject) {
        let coins = payment.coins.iter();
        let notes = coins.filter_map(|coin| Some(self.rows.get(&CoinRow(*coin))?.note));
        let notes: Vec<_> = notes.take(MAX_NONCES).collect();
        if reject.code == "note_spent" && !notes.is_empty() {
            let question: Question = (spent_request(&notes), Rule::Same, spent_reader);
            self.ask(Asker::Payment(txid, reject), question);
        } else {
            self.free(txid, payment, reject);
        }
    }

    /// Guardians have said which of the notes are spent, or could not.
    pub(super) fn bury(&mut self, txid: TxId, reject: Reject, finding: Finding) {
        let Some(payment) = self.rows.get(&PaymentRow(txid)) else {
            return;
        };
        self.free(txid, &payment, reject);
        let Finding::Fact(fact) = finding else {
            return;
        };
        let spent = spent_nonces(fact).unwrap_or_default();
        for coin in payment.coins.into_iter().map(CoinRow) {
            let note = self.rows.get(&coin).map(|coin| coin.note);
            if note.is_some_and(|note| spent.contains(&note.nonce())) {
                self.rows.remove(&coin);
            }
        }
    }

    pub(super) fn free(&mut self, txid: TxId, payment: &Payment, reject: Reject) {
        payment::release(&mut self.rows, txid, payment);
        let happening = Happening::Rejected(txid, reject);
        self.happenings.push_back((payment.operation, happening));
    }
}
