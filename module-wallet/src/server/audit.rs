//! Running totals (SPEC AUD-1).
//!
//! Assets are the federation's coins: an unconfirmed transaction has already taken its inputs away and added its change.
//! Liabilities are what the queue is owed. What a deposit or a peg-out pays beyond that is surplus, which is all that a
//! transaction's fee may exceed the fees of its peg-outs by; so assets − liabilities never falls below zero.

use guildmint_core::{ledger::View, module::Reject, Amount, Audit};

use super::rows::{Totals, TotalsRow};

/// The totals so far.
pub fn totals(view: &View<'_, '_>) -> Totals {
    view.get(&TotalsRow).unwrap_or_default()
}

/// The module's part of the balance sheet.
pub fn audit(view: &View<'_, '_>) -> Audit {
    let totals = totals(view);
    Audit {
        assets_msat: totals.coins_sat.saturating_mul(1000),
        liabilities_msat: totals.queued_sat.saturating_mul(1000),
    }
}

impl Totals {
    /// After a deposit.
    pub fn deposit(self, amount_sat: u64, fee: Amount) -> Result<Self, Reject> {
        Ok(Self {
            coins_sat: add_sat(self.coins_sat, amount_sat)?,
            surplus_msat: add(self.surplus_msat, fee.msat())?,
            ..self
        })
    }

    /// After a peg-out was put into the queue.
    pub fn enqueue(self, total_sat: u64, fee: Amount) -> Result<Self, Reject> {
        Ok(Self {
            queued_sat: add_sat(self.queued_sat, total_sat)?,
            surplus_msat: add(self.surplus_msat, fee.msat())?,
            queue_next: add(self.queue_next, 1)?,
            ..self
        })
    }
}

fn add(a: u64, b: u64) -> Result<u64, Reject> {
    a.checked_add(b).ok_or_else(too_much)
}

/// In satoshi, and such that it can be written in millisatoshi.
fn add_sat(a: u64, b: u64) -> Result<u64, Reject> {
    let sum = add(a, b)?;
    Amount::from_sat(sum).map_err(|_| too_much())?;
    Ok(sum)
}

fn too_much() -> Reject {
    Reject::permanent("too_much", "the sum is more than all bitcoin")
}
