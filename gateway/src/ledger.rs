//! The joined ledger: what each payment brought and what it cost, on both of its sides, and whether the gateway is worth what it should be.

use guildmint_core::{Amount, FederationId};
use guildmint_ln::PaymentHash;
use serde::{Deserialize, Serialize};

use crate::{
    desk::Desk,
    event::Millis,
    limits::{HALT_PERCENT, WARN_PERCENT},
    operation::Kind,
    rows::{EntryRow, TotalsRow},
    warning::Warning,
};

/// A payment that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its number: the order in which payments ended.
    pub number: u64,
    /// When it ended.
    pub at: Millis,
    /// What it was.
    pub kind: Kind,
    /// Its hash.
    pub hash: PaymentHash,
    /// The federation in which the gateway was paid, or if that was by Lightning, paid out.
    pub federation: FederationId,
    /// What it brought: a contract claimed or taken back, HTLCs claimed; less what federations kept of that.
    pub income: Amount,
    /// What it cost: an invoice and the way to its payee, a contract funded and what the federation charged for it.
    pub cost: Amount,
}

/// What all payments brought and cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Totals {
    /// How many have ended with a movement of money.
    pub payments: u64,
    /// What they brought, in millisatoshi.
    pub income_msat: u128,
    /// What they cost.
    pub cost_msat: u128,
    /// The most that the first ever was above the second, since the operator last resumed.
    pub best_msat: i128,
    /// Nothing new is begun, because too much of the best was lost.
    pub halted: bool,
    /// The operator was warned of what is lost of the best.
    pub warned: bool,
}

impl Totals {
    /// What was earned: negative if payments cost more than they brought.
    #[must_use]
    pub fn earned_msat(&self) -> i128 {
        let signed = |msat: u128| i128::try_from(msat).unwrap_or(i128::MAX);
        signed(self.income_msat).saturating_sub(signed(self.cost_msat))
    }
}

/// Writes a payment into the ledger, and looks at what the gateway is worth.
pub(crate) fn book(
    desk: &mut Desk,
    kind: Kind,
    hash: PaymentHash,
    federation: FederationId,
    (income, cost): (Amount, Amount),
) {
    let mut totals = desk.rows.get(&TotalsRow(())).unwrap_or_default();
    let number = totals.payments;
    totals.payments = number.saturating_add(1);
    totals.income_msat = totals.income_msat.saturating_add(income.msat().into());
    totals.cost_msat = totals.cost_msat.saturating_add(cost.msat().into());
    desk.rows.put(
        &EntryRow(number),
        &Entry {
            number,
            at: desk.now,
            kind,
            hash,
            federation,
            income,
            cost,
        },
    );
    if cost > income {
        desk.warn(match income {
            Amount::ZERO => Warning::Lost {
                hash,
                amount: cost,
                reason: "nothing was got for it".to_owned(),
            },
            _ => Warning::Negative { hash, income, cost },
        });
    }
    judge(desk, &mut totals);
    desk.rows.put(&TotalsRow(()), &totals);
}

/// Warns, and in the end halts, if the gateway has lost too much of its best.
fn judge(desk: &mut Desk, totals: &mut Totals) {
    let earned = totals.earned_msat();
    if earned >= totals.best_msat {
        totals.best_msat = earned;
        totals.warned = false;
        return;
    }
    // The next payment that ends is weighed against all that there is.
    if !desk.knows_its_worth() {
        return;
    }
    let lost_msat = totals.best_msat.abs_diff(earned);
    let worth = desk.worth();
    let exceeds = |percent: u128| {
        lost_msat.saturating_mul(100) >= u128::from(worth.msat()).saturating_mul(percent)
    };
    let lost = u64::try_from(lost_msat).unwrap_or(u64::MAX);
    let lost = Amount::from_msat(lost).unwrap_or(Amount::MAX);
    if exceeds(HALT_PERCENT) && !totals.halted {
        totals.halted = true;
        desk.warn(Warning::Halted { lost, worth });
    } else if exceeds(WARN_PERCENT) && !totals.warned && !totals.halted {
        totals.warned = true;
        desk.warn(Warning::Drawdown { lost, worth });
    }
}

/// The operator has looked: what is lost is lost, and from here on it is reckoned anew.
pub(crate) fn resume(desk: &mut Desk) {
    let mut totals = desk.rows.get(&TotalsRow(())).unwrap_or_default();
    totals.best_msat = totals.earned_msat();
    totals.halted = false;
    totals.warned = false;
    desk.rows.put(&TotalsRow(()), &totals);
}
