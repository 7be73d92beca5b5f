//! The arithmetic of amounts and notes: which to spend, and which to ask for, so that a transaction balances to the
//! millisatoshi (SPEC TX-4).
//!
//! Denominations divide each other, which makes the greedy answers below the best ones: whatever smaller notes exceed a
//! larger note's value, some of them add up to exactly that value.

use std::collections::{BTreeMap, BTreeSet};

use guildmint_core::{limits, Amount};
use thiserror::Error;

use crate::{Denomination, MintConfig};

/// How many notes of each denomination there are.
pub type Held = BTreeMap<Denomination, u64>;

/// Most notes that are spent and issued in one transaction; room is left for other modules' items.
pub const MAX_TRANSACTION_NOTES: usize = limits::MAX_ITEMS - 12;

/// What a wallet wants to hold of each small denomination. One of each below the largest note pays any amount exactly,
/// without asking the guardians for change; more would only make transactions longer.
const HANDY: u64 = 1;

/// How many more notes than needed are spent in search of change that can be issued.
const MAX_EXTRA_NOTES: usize = 8;

/// A mint's denominations and fees: all that the arithmetic depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tariff {
    /// Denominations that the mint issues.
    pub denominations: BTreeSet<Denomination>,
    /// The fee for redeeming one note.
    pub input_fee: Amount,
    /// The fee for issuing one note.
    pub output_fee: Amount,
}

/// Notes that pay for something, and the notes to ask for with what they are worth more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Funding {
    /// What to spend.
    pub spend: Vec<Denomination>,
    /// What to ask for.
    pub change: Vec<Denomination>,
}

/// Why notes do not come out even.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SelectError {
    /// All notes together are not worth enough.
    #[error("{need} are needed, but only {have} can be spent after fees")]
    Insufficient {
        /// What all notes are worth after fees.
        have: Amount,
        /// What is needed.
        need: Amount,
    },
    /// No notes cost exactly this much to issue: it is too little, or not a multiple of the smallest denomination.
    #[error("no notes can be issued for exactly {0}")]
    NotExact(Amount),
    /// More notes than fit in a transaction. Exchange small notes for larger ones first.
    #[error("the transaction would have more than {MAX_TRANSACTION_NOTES} notes")]
    TooManyNotes,
}

impl From<&MintConfig> for Tariff {
    fn from(config: &MintConfig) -> Self {
        Self {
            denominations: config.keys.keys().copied().collect(),
            input_fee: config.input_fee,
            output_fee: config.output_fee,
        }
    }
}

impl Tariff {
    /// What notes bring into a transaction: their values less the fees for redeeming them; `None` if the fees are more.
    pub fn net<'a>(&self, notes: impl IntoIterator<Item = &'a Denomination>) -> Option<Amount> {
        let (mut value, mut fees) = (Amount::ZERO, Amount::ZERO);
        for note in notes {
            value = value.checked_add(note.amount())?;
            fees = fees.checked_add(self.input_fee)?;
        }
        value.checked_sub(fees)
    }

    /// What issuing notes takes out of a transaction: their values and the fees.
    pub fn cost<'a>(&self, notes: impl IntoIterator<Item = &'a Denomination>) -> Option<Amount> {
        notes.into_iter().try_fold(Amount::ZERO, |sum, note| {
            sum.checked_add(note.amount())?.checked_add(self.output_fee)
        })
    }

    /// The notes to ask for so that the wallet, which will then hold `held` besides, keeps a handy mix. They are worth
    /// exactly `amount`; fees are not considered.
    ///
    /// # Errors
    /// If the amount is not a multiple of the smallest denomination, or needs too many notes.
    pub fn split(&self, amount: Amount, held: &Held) -> Result<Vec<Denomination>, SelectError> {
        self.issue(amount, Amount::ZERO, held)
    }

    /// The notes to ask for so that they cost exactly `available`, output fees included.
    ///
    /// Without fees this always succeeds down to the smallest denomination. With fees, amounts of less than about fifty
    /// fees may be impossible; [`Tariff::fund`] avoids them.
    ///
    /// # Errors
    /// If no notes cost exactly that much.
    pub fn change(&self, available: Amount, held: &Held) -> Result<Vec<Denomination>, SelectError> {
        self.issue(available, self.output_fee, held)
    }

    /// The notes to spend so that they bring in at least `at_least` after input fees: as few as possible, and of these
    /// choices the one with the least change. `None` if there is not enough, or not in one transaction. Notes that are
    /// not worth their fee are left alone.
    #[must_use]
    pub fn select(&self, held: &Held, at_least: Amount) -> Option<Vec<Denomination>> {
        let fee = self.input_fee.msat();
        let mut rest: Held = worthwhile(held, fee).collect();
        let mut missing = at_least.msat();
        let mut chosen = Vec::new();
        while missing > 0 {
            let largest = *rest.last_key_value()?.0;
            let covers = |note: &Denomination| note.msat() - fee >= missing;
            // The largest notes first need the fewest. Only the last one is free to be smaller.
            let next = if covers(&largest) {
                *rest.keys().find(|note| covers(note))?
            } else {
                largest
            };
            if chosen.len() == MAX_TRANSACTION_NOTES {
                return None;
            }
            take(&mut rest, next);
            chosen.push(next);
            missing = missing.saturating_sub(next.msat() - fee);
        }
        Some(chosen)
    }

    /// The notes that are worth exactly `amount`, as few as possible; `None` if there are none. Fees are not considered:
    /// this is for giving notes away.
    #[must_use]
    pub fn exact(&self, held: &Held, amount: Amount) -> Option<Vec<Denomination>> {
        let mut missing = amount.msat();
        let mut chosen = Vec::new();
        for (note, count) in held.iter().rev() {
            let taken = (missing >> note.exponent()).min(*count);
            missing -= taken << note.exponent();
            let taken = usize::try_from(taken).ok()?;
            if chosen.len() + taken > MAX_TRANSACTION_NOTES {
                return None;
            }
            chosen.extend(std::iter::repeat_n(*note, taken));
        }
        (missing == 0).then_some(chosen)
    }

    /// Notes to spend and notes to ask for so that exactly `need` remains for the other outputs and their fees:
    /// values spent − input fees = `need` + values asked for + output fees (SPEC TX-4).
    ///
    /// Spends the fewest notes; if their change cannot be issued exactly, some more.
    ///
    /// # Errors
    /// If the notes are not enough, too many, or do not come out even.
    pub fn fund(&self, held: &Held, need: Amount) -> Result<Funding, SelectError> {
        let mut spend = self
            .select(held, need)
            .ok_or_else(|| self.why_not(held, need))?;
        let mut rest: Held = worthwhile(held, self.input_fee.msat()).collect();
        for note in &spend {
            take(&mut rest, *note);
        }
        for _ in 0..=MAX_EXTRA_NOTES {
            if let Some(change) = self.balance(&spend, &rest, need) {
                return Ok(Funding { spend, change });
            }
            let mut others = rest.keys().copied();
            let Some(smallest) = others.next() else { break };
            for note in others {
                let (mut spend, mut rest) = (spend.clone(), rest.clone());
                take(&mut rest, note);
                spend.push(note);
                if let Some(change) = self.balance(&spend, &rest, need) {
                    return Ok(Funding { spend, change });
                }
            }
            take(&mut rest, smallest);
            spend.push(smallest);
        }
        Err(SelectError::NotExact(need))
    }

    /// The change of `spend` after `need`, if it can be issued.
    fn balance(
        &self,
        spend: &[Denomination],
        rest: &Held,
        need: Amount,
    ) -> Option<Vec<Denomination>> {
        let available = self.net(spend)?.checked_sub(need)?;
        let change = self.change(available, rest).ok()?;
        (spend.len() + change.len() <= MAX_TRANSACTION_NOTES).then_some(change)
    }

    fn why_not(&self, held: &Held, need: Amount) -> SelectError {
        let fee = self.input_fee.msat();
        let worth =
            |(note, count): (Denomination, u64)| u128::from(note.msat() - fee) * u128::from(count);
        let have: u128 = worthwhile(held, fee).map(worth).sum();
        if have >= need.msat().into() {
            return SelectError::TooManyNotes;
        }
        // Less than `need`, so it is an amount.
        let have = u64::try_from(have)
            .ok()
            .and_then(|msat| Amount::from_msat(msat).ok());
        SelectError::Insufficient {
            have: have.unwrap_or(need),
            need,
        }
    }

    /// Notes that cost exactly `available`: from the smallest up what is lacking of a handy mix, as far as the money
    /// goes, then the rest with as few notes as possible.
    fn issue(
        &self,
        available: Amount,
        fee: Amount,
        held: &Held,
    ) -> Result<Vec<Denomination>, SelectError> {
        let (mut rest, fee) = (available.msat(), fee.msat());
        let mut handy = Vec::new();
        for note in &self.denominations {
            let lacking = HANDY.saturating_sub(held.get(note).copied().unwrap_or(0));
            for _ in 0..lacking {
                let Some(left) = rest.checked_sub(note.msat().saturating_add(fee)) else {
                    break;
                };
                rest = left;
                handy.push(*note);
            }
        }
        loop {
            if let Some(notes) = self.represent(rest, fee) {
                handy.extend(notes);
                handy.sort_unstable();
                return Ok(handy);
            }
            match handy.pop() {
                Some(note) => rest += note.msat() + fee,
                None if self.too_many(rest) => return Err(SelectError::TooManyNotes),
                None => return Err(SelectError::NotExact(available)),
            }
        }
    }

    /// Whether even the largest notes would be too many.
    fn too_many(&self, msat: u64) -> bool {
        let count = self
            .denominations
            .last()
            .map_or(0, |note| msat >> note.exponent());
        count > MAX_TRANSACTION_NOTES as u64
    }

    /// The fewest notes whose values and fees add up to `msat`.
    fn represent(&self, msat: u64, fee: u64) -> Option<Vec<Denomination>> {
        if fee == 0 {
            return self.fewest(msat, MAX_TRANSACTION_NOTES);
        }
        // If there are m notes, their values are what m fees leave.
        (0..=MAX_TRANSACTION_NOTES)
            .map_while(|m| Some((m, msat.checked_sub(fee.checked_mul(m as u64)?)?)))
            .find_map(|(m, values)| self.break_up(self.fewest(values, m)?, m))
    }

    /// The fewest notes that are worth exactly `msat`, if these are at most `max`.
    fn fewest(&self, msat: u64, max: usize) -> Option<Vec<Denomination>> {
        let smallest = self.denominations.first().map_or(1, |note| note.msat());
        if !msat.is_multiple_of(smallest) {
            return None;
        }
        let mut missing = msat;
        let mut notes = Vec::new();
        for note in self.denominations.iter().rev() {
            let count = usize::try_from(missing >> note.exponent()).ok()?;
            if count > max - notes.len() {
                return None;
            }
            notes.extend(std::iter::repeat_n(*note, count));
            missing -= (count as u64) << note.exponent();
        }
        (missing == 0).then_some(notes)
    }

    /// The same value in exactly `count` notes, if it can be had by breaking up the largest that fit.
    fn break_up(&self, mut notes: Vec<Denomination>, count: usize) -> Option<Vec<Denomination>> {
        while notes.len() < count {
            let room = (count - notes.len()) as u64;
            let broken = notes.iter().enumerate().find_map(|(position, note)| {
                let smaller = *self.denominations.range(..note).next_back()?;
                let pieces = note.msat() / smaller.msat();
                (pieces - 1 <= room).then_some((position, smaller, pieces))
            });
            let (position, smaller, pieces) = broken?;
            notes.remove(position);
            let pieces = usize::try_from(pieces).ok()?;
            notes.extend(std::iter::repeat_n(smaller, pieces));
            notes.sort_unstable_by(|a, b| b.cmp(a));
        }
        Some(notes)
    }
}

/// Notes that are worth more than the fee for redeeming them.
fn worthwhile(held: &Held, fee_msat: u64) -> impl Iterator<Item = (Denomination, u64)> + '_ {
    held.iter()
        .map(|(note, count)| (*note, *count))
        .filter(move |(note, count)| note.msat() > fee_msat && *count > 0)
}

/// Takes one note out.
fn take(held: &mut Held, note: Denomination) {
    if let Some(count) = held.get_mut(&note) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            held.remove(&note);
        }
    }
}

#[cfg(test)]
mod tests;
