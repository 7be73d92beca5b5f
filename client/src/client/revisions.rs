//! Fees and names that guardians have agreed to change (SPEC GEN-6).

use guildmint_core::{api::RevisionsAnswer, module::Reject, PeerId, TxId};
use serde_json::Value as Json;

use super::{Client, Owner};
use crate::{
    api::ApiRequest,
    error::ClientError,
    operation::{Happening, Operation, OperationId},
    payment::{forget, Payment},
    remake::remake,
    rows::{MakingRow, OperationRow, RevisionRow},
};

/// How soon guardians are asked again for revisions, when something is refused that would balance by the fees that are known.
const ASK_AGAIN_MS: u64 = 5_000;

/// Refusals that may come of fees or amounts which have changed.
const BY_CONDITIONS: [&str; 2] = ["unbalanced", "below_minimum"];

impl Client {
    /// Asks all guardians: what any of them gives is true if it verifies, and one that lies can only give less.
    pub(super) fn ask_for_revisions(&mut self) {
        self.asked_for_revisions = Some(self.now);
        let after = self.federation.latest.number;
        let peers = self.federation.quorum.peers();
        let requests = peers.map(|peer| (peer, ApiRequest::Revisions { after }));
        self.send(Owner::Revisions, requests.collect());
    }

    /// A guardian has told what has changed.
    pub(super) fn found_revisions(&mut self, peer: PeerId, answer: Json) {
        let Ok(answer) = serde_json::from_value::<RevisionsAnswer>(answer) else {
            return;
        };
        let before = self.federation.latest.number;
        for signed in &answer.revisions {
            let latest = self.federation.latest;
            if signed.revision.number <= latest.number {
                continue;
            }
            // ⚠ What does not prove itself counts for nothing, nor does anything after it.
            if signed.verify(&self.federation.genesis, latest).is_err()
                || self.federation.revise(&signed.revision).is_err()
            {
                break;
            }
            self.rows.put(&RevisionRow(()), signed);
        }
        let after = self.federation.latest.number;
        if after == before {
            return;
        }
        if answer.latest > after {
            let request = (peer, ApiRequest::Revisions { after });
            self.send(Owner::Revisions, vec![request]);
        }
        let open: Vec<TxId> = self.submissions.keys().copied().collect();
        open.into_iter()
            .for_each(|txid| self.judge_submission(txid));
    }

    /// f + 1 guardians refuse a payment, but not for ever.
    pub(super) fn refused_for_now(&mut self, txid: TxId, payment: &Payment, reject: Reject) {
        if !BY_CONDITIONS.contains(&reject.code.as_str()) {
            return;
        }
        let Some(making) = self.rows.get(&MakingRow(txid)) else {
            return;
        };
        if making.revision < self.federation.latest.number {
            return self.make_anew(txid, payment, reject);
        }
        let last = self.asked_for_revisions;
        if last.is_none_or(|last| last.after_ms(ASK_AGAIN_MS) <= self.now) {
            self.ask_for_revisions();
        }
    }

    /// Makes a payment anew by the fees that count now.
    fn make_anew(&mut self, txid: TxId, payment: &Payment, reject: Reject) {
        let Some(making) = self.rows.get(&MakingRow(txid)) else {
            return;
        };
        if payment.first_note > 0 && self.happens_once(payment.operation) {
            let operation = payment.operation;
            return self.happenings.push_back((operation, Happening::Cancel));
        }
        let record = self.rows.get(&OperationRow(payment.operation));
        let limit = record.and_then(|record| record.operation.fee_limit());
        let made = remake(
            &mut self.rows,
            &self.federation,
            txid,
            payment,
            making,
            limit,
        );
        let happening = match made {
            Ok((remade, true)) => {
                self.replace(txid, remade.txid);
                Happening::Remade(remade)
            }
            // What it was for cannot be paid any more; its notes come back.
            Ok((remade, false)) => {
                self.replace(txid, remade.txid);
                let reason = Reject::permanent(&reject.code, reject.message);
                Happening::Rejected(txid, reason)
            }
            Err(error @ ClientError::TooLittle(_)) => {
                self.submissions.remove(&txid);
                let reason = Reject::permanent(&error.code(), error);
                return self.free(txid, payment, reason);
            }
            // It waits for notes that suffice.
            Err(_) => return,
        };
        self.happenings.push_back((payment.operation, happening));
    }

    /// ⚠ What is known by its outpoint must not come to be by another transaction (SPEC GW-7).
    fn happens_once(&self, operation: OperationId) -> bool {
        let record = self.rows.get(&OperationRow(operation));
        record.is_some_and(|record| match record.operation {
            Operation::Errand(errand) => errand.happens_once(),
            _ => false,
        })
    }

    fn replace(&mut self, old: TxId, new: TxId) {
        self.submissions.remove(&old);
        forget(&mut self.rows, old);
        self.submit(new);
    }
}
