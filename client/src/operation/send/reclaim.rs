//! Taking back notes that were handed out: first ask which are unspent, then exchange these, a page at a time.

use std::collections::{BTreeMap, BTreeSet};

use guildmint_core::{Amount, TxId};
use guildmint_mint::{client::SpendableNote, Nonce, KIND, MAX_NONCES};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::super::{receive::exchange, Desk, Happening};
use crate::{
    api::ApiRequest,
    ask::{Finding, Rule},
    error::ClientError,
};

/// How long to wait after guardians could not be asked, or the receiver was quicker.
const RETRY_MS: u64 = 2_000;

/// The state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Reclaim {
    /// Notes whose fate is open.
    notes: Vec<SpendableNote>,
    /// The exchange that is under way, and how many of the first notes are in it with what is to arrive.
    exchange: Option<(TxId, u64, Amount)>,
    /// What is back already.
    reclaimed: Amount,
}

/// The question which of these notes are spent.
pub(crate) fn spent_request(notes: &[SpendableNote]) -> ApiRequest {
    let nonces: Vec<String> = notes.iter().map(|note| note.nonce().to_string()).collect();
    ApiRequest::Module {
        kind: KIND,
        path: "spent".to_owned(),
        parameters: [("nonces".to_owned(), nonces.join(","))].into(),
    }
}

/// Reads the answer: all of it counts.
#[allow(clippy::unnecessary_wraps)]
pub(crate) fn spent_reader(answer: &Json) -> Option<Json> {
    Some(answer.clone())
}

/// The notes that a fact says are spent.
pub(crate) fn spent_nonces(fact: Json) -> Option<BTreeSet<Nonce>> {
    let spent: BTreeMap<Nonce, bool> = serde_json::from_value(fact).ok()?;
    Some(
        spent
            .into_iter()
            .filter(|(_, spent)| *spent)
            .map(|(nonce, _)| nonce)
            .collect(),
    )
}

impl Reclaim {
    pub(super) fn start(notes: Vec<SpendableNote>, desk: &mut Desk<'_>) -> Self {
        let reclaim = Self {
            notes,
            exchange: None,
            reclaimed: Amount::ZERO,
        };
        reclaim.ask(desk);
        reclaim
    }

    pub(super) fn reclaimed(&self) -> Amount {
        self.reclaimed
    }

    pub(super) fn notes(&self) -> &[SpendableNote] {
        &self.notes
    }

    fn page(&self) -> &[SpendableNote] {
        &self.notes[..self.notes.len().min(MAX_NONCES)]
    }

    fn ask(&self, desk: &mut Desk<'_>) {
        desk.ask(spent_request(self.page()), Rule::Same, spent_reader);
    }

    /// The next state, or what was taken back once nothing is left to do.
    pub(super) fn step(
        mut self,
        happening: Happening,
        desk: &mut Desk<'_>,
    ) -> Result<Self, Amount> {
        match (self.exchange, happening) {
            (None, Happening::Resume | Happening::Time) => self.ask(desk),
            (None, Happening::Found(Finding::Fact(fact))) => match spent_nonces(fact) {
                Some(spent) => self.exchange_unspent(&spent, desk),
                None => desk.wake_after_ms(RETRY_MS),
            },
            (None, Happening::Found(_)) => desk.wake_after_ms(RETRY_MS),
            (Some((txid, count, amount)), Happening::Accepted(settled)) if txid == settled => {
                let count = usize::try_from(count).unwrap_or(usize::MAX);
                self.notes.drain(..count.min(self.notes.len()));
                self.exchange = None;
                self.reclaimed = self.reclaimed.checked_add(amount).unwrap_or(Amount::MAX);
                if !self.notes.is_empty() {
                    self.ask(desk);
                }
            }
            (Some((old, count, _)), Happening::Remade(remade)) if old == remade.old => {
                self.exchange = Some((remade.txid, count, remade.credited));
            }
            (Some((txid, ..)), Happening::Rejected(settled, _)) if txid == settled => {
                self.exchange = None;
                desk.wake_after_ms(RETRY_MS);
            }
            _ => {}
        }
        if self.notes.is_empty() {
            return Err(self.reclaimed);
        }
        Ok(self)
    }

    fn exchange_unspent(&mut self, spent: &BTreeSet<Nonce>, desk: &mut Desk<'_>) {
        let page = self.page().len();
        let rest = self.notes.split_off(page);
        self.notes.retain(|note| !spent.contains(&note.nonce()));
        let count = self.notes.len();
        if count > 0 {
            match exchange(&self.notes, desk) {
                Ok((txid, amount)) => self.exchange = Some((txid, count as u64, amount)),
                Err(ClientError::TooLittle(_)) => self.notes.clear(),
                // This is the only copy of the notes: they stay until they can be taken back.
                Err(_) => {
                    self.notes.extend(rest);
                    return desk.wake_after_ms(RETRY_MS);
                }
            }
        }
        self.notes.extend(rest);
        if self.exchange.is_none() && !self.notes.is_empty() {
            self.ask(desk);
        }
    }
}
