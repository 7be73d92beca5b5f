//! What guardians answer, and what liars make of it.

use guildmint_client::{ApiRequest, RequestError};
use guildmint_core::{
    api::{
        mark, AnnouncementsAnswer, Problem, RevisionsAnswer, StatusAnswer, TransactionAnswer,
        TransactionStatus,
    },
    module::{Query, Reject},
    OutPoint, PeerId, Transaction, TxId, Wire,
};
use guildmint_ln::{ShareAnswer, Terms};
use serde_json::{json, Value as Json};
use std::collections::BTreeMap;

use super::{Mood, Town};

impl Town {
    /// One guardian's answer; `None` if it holds the request until it knows more.
    pub fn answer(
        &mut self,
        peer: PeerId,
        request: &ApiRequest,
    ) -> Option<Result<Json, RequestError>> {
        let mood = self.moods[usize::from(peer.0)];
        if mood == Mood::Down {
            return Some(Err(RequestError::Unreachable("connection refused".into())));
        }
        Some(match request {
            ApiRequest::Submit(bytes) => {
                let transaction = Transaction::decode(bytes).unwrap();
                let txid = transaction.id(self.id());
                let status = self.submit(peer, txid, transaction);
                Ok(self.colour(mood, txid, status))
            }
            ApiRequest::Transaction { txid, .. } => {
                if self.pool.contains_key(txid) && mood != Mood::Denies && !self.forgets {
                    return None;
                }
                let status = self.status(peer, *txid);
                Ok(self.colour(mood, *txid, status))
            }
            ApiRequest::Module {
                kind,
                path,
                parameters,
            } => {
                let query = Query {
                    path: path.clone(),
                    parameters: parameters.clone(),
                };
                let answer = self.tell(peer, kind, &query, mood);
                let known = parameters.get("known");
                if known.is_some_and(|known| answer.as_ref().is_ok_and(|one| mark(one) == *known)) {
                    return None;
                }
                answer
            }
            ApiRequest::Announcements => Ok(json!(AnnouncementsAnswer {
                announcements: Vec::new()
            })),
            ApiRequest::Revisions { after } => Ok(json!(RevisionsAnswer {
                latest: self.revisions.len() as u32,
                revisions: self
                    .revisions
                    .iter()
                    .skip(*after as usize)
                    .cloned()
                    .collect(),
            })),
            ApiRequest::Status => Ok(self.status_of(peer, mood)),
            ApiRequest::Audit | ApiRequest::Config => {
                Err(RequestError::Unreachable("nobody asks this".into()))
            }
        })
    }

    fn submit(&mut self, peer: PeerId, txid: TxId, transaction: Transaction) -> TransactionStatus {
        self.submitted.insert(txid, transaction.clone());
        if self.accepted.contains_key(&txid) {
            return self.status(peer, txid);
        }
        let verdicts = self.sequencer.verdicts(&transaction);
        match verdicts.into_iter().nth(peer.0.into()).unwrap() {
            Ok(()) if self.forgets => TransactionStatus::Unknown,
            Ok(()) => {
                self.pool.insert(txid, transaction);
                TransactionStatus::Pending
            }
            Err(reject) => TransactionStatus::Rejected(reject),
        }
    }

    fn status(&self, peer: PeerId, txid: TxId) -> TransactionStatus {
        let Some(transaction) = self.accepted.get(&txid) else {
            return TransactionStatus::Unknown;
        };
        let outcome = |(index, _)| {
            let outcome = self.sequencer.outcome(peer, OutPoint { txid, index });
            outcome.unwrap_or(Json::Null)
        };
        TransactionStatus::Accepted {
            epoch: guildmint_core::Epoch(1),
            outcomes: (0..).zip(&transaction.outputs).map(outcome).collect(),
        }
    }

    /// What a guardian of this mood makes of the truth about a transaction.
    fn colour(&self, mood: Mood, txid: TxId, status: TransactionStatus) -> Json {
        let status = match mood {
            Mood::Denies => TransactionStatus::Rejected(Reject::permanent("note_spent", "denied")),
            Mood::Boasts => TransactionStatus::Accepted {
                epoch: guildmint_core::Epoch(1),
                outcomes: Vec::new(),
            },
            Mood::Lags if !matches!(status, TransactionStatus::Pending) => {
                TransactionStatus::Unknown
            }
            _ => status,
        };
        json!(TransactionAnswer { txid, status })
    }

    /// What it makes of the truth about a contract.
    fn tell(
        &self,
        peer: PeerId,
        kind: &str,
        query: &Query,
        mood: Mood,
    ) -> Result<Json, RequestError> {
        let truth = self.query(peer, kind, query);
        let is_share = query.path.ends_with("/share");
        let unknown = || {
            let problem = Problem::new(422, "unknown_contract", "there is none", true);
            Err(RequestError::Problem(problem))
        };
        let past = query.parameters.get("past");
        let past = past.and_then(|past| past.parse::<u32>().ok());
        if mood == Mood::Lags && past.is_some_and(|past| self.height() - 20 <= past) {
            let problem = Problem::new(422, "too_early", "not yet", true);
            return Err(RequestError::Problem(problem));
        }
        match (mood, truth) {
            (Mood::Lags | Mood::Denies, Ok(_)) if is_share => unknown(),
            (Mood::WrongShares | Mood::Boasts, Ok(_)) if is_share => {
                let id = query.path.split('/').nth(1).unwrap().parse().unwrap();
                let Terms::Incoming { offer, .. } = self.contract(id).account.unwrap().terms else {
                    return unknown();
                };
                // A point as good as any.
                let share = offer.preimage.u;
                Ok(json!(ShareAnswer { share }))
            }
            (Mood::Lags | Mood::Denies, Ok(mut truth)) => {
                for (_, value) in truth.as_object_mut().into_iter().flatten() {
                    *value = Json::Null;
                }
                Ok(truth)
            }
            (Mood::Boasts, Ok(mut truth)) => {
                if truth.get("closing").is_some() {
                    truth["closing"] = json!({ "claimed": { "preimage": "00".repeat(32) } });
                }
                Ok(truth)
            }
            (_, truth) => truth,
        }
    }

    fn status_of(&self, peer: PeerId, mood: Mood) -> Json {
        let height = self.height();
        let committed = self.sequencer.history().len() as u64;
        json!(StatusAnswer {
            peer,
            version: "test".into(),
            committed: Some(guildmint_core::Epoch(committed)),
            height: match mood {
                Mood::Denies | Mood::Boasts => height + 1_000,
                Mood::Lags => height - 20,
                _ => height,
            },
            pool: self.pool.len(),
            not_ready: None,
            catching_up: None,
            runs_twice: Vec::new(),
            versions: BTreeMap::new(),
            revision: self.revisions.len() as u32,
            halted: None,
        })
    }
}
