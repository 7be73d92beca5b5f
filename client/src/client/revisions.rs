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
    reply::Reply,
    rows::{MakingRow, OperationRow, RevisionRow},
};

/// How soon guardians are asked again for revisions, when something is refused that would balance by the fees that are known.
const ASK_AGAIN_MS: u64 = 5_000;

/// Refusals that may come of fees or amounts which have changed.
const BY_CONDITIONS: [&str; 2] = ["unbalanced", "below_minimum"];

impl Client {
    /// Asks what has changed, because the user wants to know.
    #[allow(clippy::unnecessary_wraps)]
    pub(super) fn refresh(&mut self) -> Result<Reply, ClientError> {
        self.ask_for_revisions();
        Ok(Reply::Done {})
    }

    /// Whether the wallet goes by all that has changed about the federation: t guardians have told what they know since they
    /// were last asked, of whom f at most lie. Also true if nobody is left who could tell.
    #[must_use]
    pub fn is_up_to_date(&self) -> bool {
        let mut requests = self.requests.values();
        self.told_revisions.len() >= self.federation.quorum.threshold()
            || !requests.any(|(owner, _)| matches!(owner, Owner::Revisions(_)))
    }

    /// Guardians have told, among other things, by which revision each goes. A liar only makes the wallet ask.
    pub(super) fn heard_of_revisions(&mut self, statuses: &Json) {
        let mut told = statuses.as_object().into_iter().flatten();
        let latest = self.federation.latest.number;
        if told.any(|(_, status)| status["revision"].as_u64() > Some(latest.into())) {
            self.ask_for_revisions_if_due();
        }
    }

    /// Asks, unless that was done just now.
    pub(super) fn ask_for_revisions_if_due(&mut self) {
        let last = self.asked_for_revisions;
        if last.is_none_or(|last| last.after_ms(ASK_AGAIN_MS) <= self.now) {
            self.ask_for_revisions();
        }
    }

    /// Asks all guardians: what any of them gives is true if it verifies, and one that lies can only give less.
    pub(super) fn ask_for_revisions(&mut self) {
        self.asked_for_revisions = Some(self.now);
        self.told_revisions.clear();
        let after = self.federation.latest.number;
        let peers = self.federation.quorum.peers();
        let requests = peers.map(|peer| (peer, ApiRequest::Revisions { after }));
        self.send(Owner::Revisions(after), requests.collect());
    }

    /// A guardian has told what has changed after the revision that it was asked about.
    pub(super) fn found_revisions(&mut self, peer: PeerId, asked: u32, answer: Json) {
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
        // Each goes on by itself: whoever was the first with a page may be a liar that has no other. It is asked for no page twice.
        if answer.latest > after && asked < after {
            let request = (peer, ApiRequest::Revisions { after });
            self.send(Owner::Revisions(after), vec![request]);
        } else {
            self.told_revisions.insert(peer);
        }
        if after == before {
            return;
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
        self.ask_for_revisions_if_due();
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
