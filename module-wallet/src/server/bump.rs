//! Transactions that pay more in place of stuck ones (SPEC WAL-8).
//!
//! Every version of a slot spends the same coins and pays the same recipients, so that at most one of them can ever be
//! confirmed, and each recipient is paid once. What miners get more comes out of the change, and as the change backs notes,
//! only as far as the module has collected fees that it has not spent.

use bitcoin::{
    consensus::{deserialize, serialize},
    Amount, Transaction, Witness,
};
use guildmint_core::ledger::View;

use super::{
    audit::totals,
    build::{fee_sat, CHANGE_VBYTES, MIN_CHANGE_SAT},
    rows::{Claimed, Coin, CoinAt, Slot, SlotAt, Totals, TotalsRow, Version},
    slots::Chains,
    Wallet,
};
use crate::limits;

/// A replacement pays at least this much more than what it replaces, in satoshi per 1000 of its own virtual bytes: what
/// nodes ask for having to relay it (BIP-125, rule 4).
const RELAY_AGAIN_SAT_PER_KVB: u64 = 1_000;

/// A replacement pays at least one in so many more. Signatures differ by a byte or two, and nodes want the *rate* to rise as
/// well; and a recipient that spends its unconfirmed payment makes the replacement dearer by an amount that nobody here
/// knows.
const LEAST_RISE: u64 = 4;

/// How a transaction is replaced.
struct Bump {
    /// What miners get more.
    extra_sat: u64,
    /// What comes back.
    change_sat: Option<u64>,
    /// The most virtual bytes that the signed transaction can have.
    vbytes: u64,
}

/// What a replacement must pay.
struct Price {
    rate_sat_per_kvb: u64,
    /// What is replaced pays this.
    fee_sat: u64,
    /// ⚠ The last transaction of a chain pays for those it builds on: they are not replaced themselves.
    lacking_sat: u64,
}

impl Price {
    /// The least that a replacement of this size pays on top of what is replaced.
    fn extra_sat(&self, vbytes: u64) -> u64 {
        let due_sat = fee_sat(vbytes, self.rate_sat_per_kvb).saturating_add(self.lacking_sat);
        let relay_sat = fee_sat(vbytes, RELAY_AGAIN_SAT_PER_KVB);
        let rise_sat = self.fee_sat.div_ceil(LEAST_RISE).max(relay_sat);
        due_sat.saturating_sub(self.fee_sat).max(rise_sat)
    }
}

impl Wallet {
    /// Replaces what is stuck, oldest first, as far as fees suffice. What they do not suffice for waits.
    pub(super) fn bump_stuck(&self, view: &mut View<'_, '_>) {
        let Some(rate) = self.fee_rate(view) else {
            return;
        };
        let height = self.agreed(view).height;
        let chains = Chains::new(view);
        for (SlotAt(id), slot) in view.scan::<SlotAt>() {
            if self.is_stuck(&slot, height) {
                if let Some(bump) = self.plan_bump(view, &chains, &slot, rate) {
                    self.replace(view, id, slot, &bump, height);
                }
            }
        }
    }

    /// Whether a transaction was sent and could have been seen confirmed for some blocks. The agreed chain is
    /// `finality_blocks` behind: what is mined at once is in an agreed block after as many more.
    fn is_stuck(&self, slot: &Slot, height: u32) -> bool {
        let finality = self.config.finality_blocks;
        let patience = finality.saturating_add(limits::BUMP_AFTER_BLOCKS);
        let is_late = |last: &Version| height.saturating_sub(last.built_at) >= patience;
        let last = slot.versions.last();
        last.is_some_and(|last| last.signed && is_late(last))
            && slot.versions.len() < limits::MAX_VERSIONS
    }

    fn plan_bump(
        &self,
        view: &View<'_, '_>,
        chains: &Chains,
        slot: &Slot,
        rate_sat_per_kvb: u64,
    ) -> Option<Bump> {
        let last = slot.versions.last()?;
        // ⚠ What another transaction builds on is never replaced, or that one would be lost.
        let change_sat = view.get(&CoinAt(last.change()?))?.amount_sat;
        let ancestors = chains.ancestors(slot.parent, rate_sat_per_kvb);
        let price = Price {
            rate_sat_per_kvb,
            fee_sat: last.fee_sat,
            lacking_sat: ancestors.lacking_sat,
        };
        let extra_sat = price.extra_sat(last.vbytes);
        let rest_sat = change_sat.checked_sub(extra_sat);
        let bump = match rest_sat.filter(|rest_sat| *rest_sat >= MIN_CHANGE_SAT) {
            Some(rest_sat) => Bump {
                extra_sat,
                change_sat: Some(rest_sat),
                vbytes: last.vbytes,
            },
            // Nothing comes back. A transaction without any output there cannot be.
            None if slot.recipients.is_empty() => return None,
            None => Bump {
                extra_sat: change_sat,
                change_sat: None,
                vbytes: last.vbytes.saturating_sub(CHANGE_VBYTES),
            },
        };
        let most_sat = fee_sat(
            bump.vbytes.saturating_add(ancestors.vbytes),
            self.present(view).fee_rate_bounds.max_sat_per_kvb,
        );
        let is_enough = bump.extra_sat >= price.extra_sat(bump.vbytes);
        // ⚠ The rest of the change backs notes.
        let is_affordable = bump.extra_sat <= totals(view).surplus_msat / 1000
            && last.fee_sat.saturating_add(bump.extra_sat) <= most_sat;
        (is_enough && is_affordable).then_some(bump)
    }

    /// `None`, which never happens to what was planned, changes nothing.
    fn replace(
        &self,
        view: &mut View<'_, '_>,
        id: u64,
        mut slot: Slot,
        bump: &Bump,
        built_at: u32,
    ) -> Option<()> {
        let last = slot.versions.last()?;
        let spent = CoinAt(last.change()?);
        let version = next_version(last, bump, built_at)?;
        let books = totals(view);
        let after = Totals {
            // The smallest change counts.
            coins_sat: books.coins_sat.checked_sub(bump.extra_sat)?,
            surplus_msat: books
                .surplus_msat
                .checked_sub(bump.extra_sat.checked_mul(1000)?)?,
            ..books
        };
        view.put(&TotalsRow, &after);
        view.remove(&spent);
        if let Some((outpoint, amount_sat)) = version.change().zip(bump.change_sat) {
            let coin = Coin {
                amount_sat,
                tweak: self.change_tweak(id),
                slot: Some(id),
                height: built_at,
            };
            view.put(&CoinAt(outpoint), &coin);
            // ⚠ Or it could be credited to somebody as a deposit (SPEC WAL-3).
            view.put(&Claimed(outpoint), &());
        }
        slot.versions.push(version);
        view.put(&SlotAt(id), &slot);
        Some(())
    }
}

/// The same transaction with less change.
fn next_version(last: &Version, bump: &Bump, built_at: u32) -> Option<Version> {
    let mut transaction: Transaction = deserialize(&last.transaction).ok()?;
    for input in &mut transaction.input {
        input.witness = Witness::new();
    }
    let index = usize::try_from(last.change_index?).ok()?;
    match bump.change_sat {
        Some(change_sat) => transaction.output.get_mut(index)?.value = Amount::from_sat(change_sat),
        // It is the last output.
        None => transaction.output.truncate(index),
    }
    Some(Version {
        txid: transaction.compute_txid(),
        transaction: serialize(&transaction),
        built_at,
        signed: false,
        fee_sat: last.fee_sat.checked_add(bump.extra_sat)?,
        vbytes: bump.vbytes,
        change_index: bump.change_sat.and(last.change_index),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replacement_pays_for_being_relayed_for_its_ancestors_and_never_a_little_more_only() {
        let price = |rate_sat_per_kvb, fee_sat, lacking_sat| Price {
            rate_sat_per_kvb,
            fee_sat,
            lacking_sat,
        };
        // The agreed rate asks for more than nodes do.
        assert_eq!(price(5_000, 200, 0).extra_sat(200), 800);
        assert_eq!(price(5_000, 200, 300).extra_sat(200), 1_100);
        // It does not: a satoshi per virtual byte more, or a quarter.
        assert_eq!(price(1_000, 200, 0).extra_sat(200), 200);
        assert_eq!(price(1_000, 4_000, 0).extra_sat(200), 1_000);
    }
}
