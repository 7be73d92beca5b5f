//! Handing out notes, and taking them back if nobody takes them (SPEC MIN-8).

pub(super) mod reclaim;

use guildmint_core::{module::Reject, Amount, TxId};
use guildmint_mint::{
    client::{Held, NotesString, SpendableNote},
    Denomination, Nonce,
};
use serde::{Deserialize, Serialize};
use serde_json::{json, Value as Json};

use self::reclaim::Reclaim;
use super::{problem, Description, Desk, Happening, Phase};
use crate::{
    error::ClientError,
    event::Millis,
    payment::{held, pick, Draft},
    rows::CoinRow,
};

/// The state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Send {
    amount: Amount,
    /// What it cost to get the right notes.
    fee: Amount,
    /// When the notes are taken back without being asked.
    reclaim_at: Millis,
    state: State,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum State {
    /// There was no exact change; this transaction makes some.
    Exchanging(TxId),
    /// The text with the notes. It is kept until the notes are spent: it is the only copy.
    Sent(String),
    /// The notes are on their way back.
    Reclaiming(Reclaim),
    /// What could be taken back is back.
    Ended {
        reclaimed: Amount,
    },
    Failed(Reject),
}

impl Send {
    pub(crate) fn start(
        amount: Amount,
        reclaim_after_ms: u64,
        desk: &mut Desk<'_>,
    ) -> Result<Self, ClientError> {
        if amount == Amount::ZERO {
            return Err(ClientError::TooLittle(amount));
        }
        let mut send = Self {
            amount,
            fee: Amount::ZERO,
            reclaim_at: desk.now.after_ms(reclaim_after_ms),
            state: State::Ended {
                reclaimed: Amount::ZERO,
            },
        };
        let exact = desk
            .federation
            .mint
            .tariff()
            .exact(&held(desk.rows), amount);
        send.state = match exact {
            Some(values) => send.hand_out(&values, desk)?,
            None => {
                let (txid, fee) = exchange(amount, desk)?;
                send.fee = fee;
                State::Exchanging(txid)
            }
        };
        Ok(send)
    }

    /// The names of notes that are in somebody else's hands, or on their way back.
    pub(crate) fn handed_out(&self) -> Vec<Nonce> {
        let names = |notes: &[SpendableNote]| notes.iter().map(SpendableNote::nonce).collect();
        match &self.state {
            State::Sent(text) => {
                let notes: Result<NotesString, _> = text.parse();
                notes.map_or_else(|_| Vec::new(), |notes| names(notes.notes()))
            }
            State::Reclaiming(reclaim) => names(reclaim.notes()),
            _ => Vec::new(),
        }
    }

    /// Takes notes out of the wallet, in the same save that keeps their text.
    fn hand_out(&self, values: &[Denomination], desk: &mut Desk<'_>) -> Result<State, ClientError> {
        let notes = pick(desk.rows, values)?;
        let handed: Vec<_> = notes.iter().map(|(_, note)| note.clone()).collect();
        let text = NotesString::new(desk.federation.id, None, handed)
            .map_err(|_| ClientError::TooManyNotes(values.len()))?;
        for (request, _) in notes {
            desk.rows.remove(&CoinRow(request));
        }
        desk.wake_at(self.reclaim_at);
        Ok(State::Sent(text.to_string()))
    }

    pub(super) fn step(mut self, happening: Happening, desk: &mut Desk<'_>) -> Self {
        let state = std::mem::replace(
            &mut self.state,
            State::Ended {
                reclaimed: Amount::ZERO,
            },
        );
        self.state = match (state, happening) {
            (State::Exchanging(txid), Happening::Accepted(settled)) if settled == txid => {
                self.exchanged(desk)
            }
            (State::Exchanging(txid), Happening::Rejected(settled, reject)) if settled == txid => {
                State::Failed(reject)
            }
            (State::Exchanging(old), Happening::Remade(remade)) if old == remade.old => {
                self.fee = remade.fee;
                State::Exchanging(remade.txid)
            }
            (State::Sent(text), Happening::Resume | Happening::Time) => {
                if desk.now >= self.reclaim_at {
                    begin_reclaim(&text, desk)
                } else {
                    desk.wake_at(self.reclaim_at);
                    State::Sent(text)
                }
            }
            (State::Sent(text), Happening::Reclaim) => begin_reclaim(&text, desk),
            (State::Reclaiming(reclaim), happening) => match reclaim.step(happening, desk) {
                Ok(reclaim) => State::Reclaiming(reclaim),
                Err(reclaimed) => State::Ended { reclaimed },
            },
            (state, _) => state,
        };
        self
    }

    /// The exchange is done, so the right notes are there.
    fn exchanged(&mut self, desk: &mut Desk<'_>) -> State {
        let exact = desk
            .federation
            .mint
            .tariff()
            .exact(&held(desk.rows), self.amount);
        let next = match exact {
            Some(values) => self.hand_out(&values, desk),
            // Fees were revised meanwhile, and it was made anew with other notes.
            None => exchange(self.amount, desk).map(|(txid, fee)| {
                self.fee = self.fee.checked_add(fee).unwrap_or(Amount::MAX);
                State::Exchanging(txid)
            }),
        };
        next.unwrap_or_else(|error| State::Failed(Reject::permanent(&error.code(), error)))
    }

    pub(super) fn describe(&self) -> Description {
        let mut details = json!({
            "amount_msat": self.amount.msat(),
            "fee_msat": self.fee.msat(),
        });
        let (state, phase) = match &self.state {
            State::Exchanging(_) => ("exchanging", Phase::Pending),
            State::Sent(text) => {
                details["notes"] = Json::from(text.as_str());
                details["reclaim_at_ms"] = Json::from(self.reclaim_at.0);
                ("sent", Phase::Done)
            }
            State::Reclaiming(reclaim) => {
                details["reclaimed_msat"] = Json::from(reclaim.reclaimed().msat());
                ("reclaiming", Phase::Pending)
            }
            State::Ended { reclaimed } if *reclaimed == Amount::ZERO => ("taken", Phase::Done),
            State::Ended { reclaimed } => {
                details["reclaimed_msat"] = Json::from(reclaimed.msat());
                ("reclaimed", Phase::Done)
            }
            State::Failed(reject) => {
                details["problem"] = problem(reject);
                ("failed", Phase::Failed)
            }
        };
        Description {
            kind: "send",
            state,
            phase,
            details,
        }
    }
}

fn begin_reclaim(text: &str, desk: &mut Desk<'_>) -> State {
    let notes = text.parse().map(NotesString::into_notes);
    match notes {
        Ok(notes) => State::Reclaiming(Reclaim::start(notes, desk)),
        // We wrote it, so we can read it.
        Err(_) => State::Sent(text.to_owned()),
    }
}

/// Makes exact change; gives the fees.
fn exchange(amount: Amount, desk: &mut Desk<'_>) -> Result<(TxId, Amount), ClientError> {
    let tariff = desk.federation.mint.tariff();
    // Told that one of each is there already, the mint's arithmetic gives the fewest notes: they travel as text.
    let plenty: Held = tariff
        .denominations
        .iter()
        .map(|value| (*value, 1))
        .collect();
    let mut issue = tariff.split(amount, &plenty)?;
    let need = tariff
        .cost(&issue)
        .ok_or(ClientError::CannotBalance(amount))?;
    let funding = tariff.fund(&held(desk.rows), need)?;
    issue.extend(funding.change);
    let sum = |values: &[Denomination]| Amount::sum(values.iter().map(|value| value.amount()));
    let fee = sum(&funding.spend)
        .zip(sum(&issue))
        .and_then(|(spent, issued)| spent.checked_sub(issued))
        .unwrap_or(Amount::ZERO);
    let txid = desk.pay(Draft {
        spend: funding.spend,
        issue,
        ..Draft::default()
    })?;
    Ok((txid, fee))
}
