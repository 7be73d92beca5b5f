//! Taking notes from someone: they are ours only once they are exchanged for notes that nobody else has seen.

use guildmint_core::{module::Reject, Amount, Tagged, TxId};
use guildmint_mint::client::{NotesString, OfflineError, SpendableNote};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{problem, Description, Desk, Happening, Phase};
use crate::{
    error::ClientError,
    payment::{held, Draft, Input, InputKey},
};

/// The state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Receive {
    /// Recognises the same notes when they are given again.
    fingerprint: [u8; 32],
    /// What arrives.
    amount: Amount,
    /// What the federation keeps.
    fee: Amount,
    state: State,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum State {
    Reissuing(TxId),
    Received,
    Failed(Reject),
}

impl Receive {
    pub(crate) fn start(notes: &NotesString, desk: &mut Desk<'_>) -> Result<Self, ClientError> {
        check(notes, desk)?;
        let (fingerprint, total) = (fingerprint(notes), notes.total());
        let (txid, amount) = exchange(notes.notes(), desk)?;
        Ok(Self {
            fingerprint,
            amount,
            fee: total.checked_sub(amount).unwrap_or(Amount::ZERO),
            state: State::Reissuing(txid),
        })
    }

    /// Whether this takes, or took, these very notes.
    pub(crate) fn is_of(&self, notes: &NotesString) -> bool {
        self.fingerprint == fingerprint(notes) && !matches!(self.state, State::Failed(_))
    }

    pub(super) fn step(mut self, happening: Happening) -> Self {
        self.state = match (self.state, happening) {
            (State::Reissuing(txid), Happening::Accepted(settled)) if settled == txid => {
                State::Received
            }
            (State::Reissuing(txid), Happening::Rejected(settled, reject)) if settled == txid => {
                State::Failed(reject)
            }
            (State::Reissuing(old), Happening::Remade(remade)) if old == remade.old => {
                self.amount = remade.credited;
                self.fee = remade.fee;
                State::Reissuing(remade.txid)
            }
            (state, _) => state,
        };
        self
    }

    pub(super) fn describe(&self) -> Description {
        let (state, phase) = match &self.state {
            State::Reissuing(_) => ("reissuing", Phase::Pending),
            State::Received => ("received", Phase::Done),
            State::Failed(_) => ("failed", Phase::Failed),
        };
        let mut details = json!({
            "amount_msat": self.amount.msat(),
            "fee_msat": self.fee.msat(),
        });
        if let State::Failed(reject) = &self.state {
            details["problem"] = problem(reject);
        }
        Description {
            kind: "receive",
            state,
            phase,
            details,
        }
    }
}

/// Whether the notes can be good at all.
pub(crate) fn check(notes: &NotesString, desk: &Desk<'_>) -> Result<(), ClientError> {
    desk.federation
        .mint
        .verify_offline(notes)
        .map_err(|error| match error {
            OfflineError::OtherFederation(found) => ClientError::OtherFederation {
                found: found.to_string(),
                ours: desk.federation.id,
            },
            OfflineError::Forged(places) => ClientError::InvalidNotes(places.len()),
        })
}

/// Exchanges notes that others may know for fresh ones; gives what arrives.
pub(super) fn exchange(
    notes: &[SpendableNote],
    desk: &mut Desk<'_>,
) -> Result<(TxId, Amount), ClientError> {
    let federation = desk.federation;
    let tariff = federation.mint.tariff();
    let values: Vec<_> = notes.iter().map(SpendableNote::denomination).collect();
    let worth = Amount::sum(values.iter().map(|value| value.amount())).unwrap_or(Amount::MAX);
    let net = tariff.net(&values).filter(|net| *net > Amount::ZERO);
    let net = net.ok_or(ClientError::TooLittle(worth))?;
    let issue = tariff.change(net, &held(desk.rows))?;
    let amount = Amount::sum(issue.iter().map(|value| value.amount())).unwrap_or(net);
    let input = |note: &SpendableNote| Input {
        item: federation.mint.input(note),
        key: InputKey::Note(note.clone()),
    };
    let txid = desk.pay(Draft {
        inputs: notes.iter().map(input).collect(),
        issue,
        ..Draft::default()
    })?;
    Ok((txid, amount))
}

fn fingerprint(notes: &NotesString) -> [u8; 32] {
    let mut nonces: Vec<_> = notes.notes().iter().map(SpendableNote::nonce).collect();
    nonces.sort_unstable();
    nonces
        .iter()
        .fold(Tagged::new("guildmint/received"), |hash, nonce| {
            hash.add(nonce.0)
        })
        .finish()
}
