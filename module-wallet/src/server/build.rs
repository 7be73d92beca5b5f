//! Transactions for the queue (SPEC WAL-6).
//!
//! Coins are taken largest first, which needs the fewest inputs and leaves many coins in the pool. `bdk_coin_select`
//! finds better selections, but reckons fee rates in floating point; what all guardians must compute alike stays whole.

use std::cmp::Reverse;

use bitcoin::{
    absolute::LockTime, consensus::serialize, transaction::Version as TxVersion, Amount, OutPoint,
    ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness,
};
use guildmint_core::{ledger::View, FederationId, Tagged};

use super::{
    audit::totals,
    rows::{
        Claimed, Coin, CoinAt, PegOutAt, Progress, QueueAt, Queued, Slot, SlotAt, SlotInput,
        Totals, TotalsRow, Version,
    },
    slots::Chains,
    Wallet,
};
use crate::{limits, tweak::Tweak};

/// Version, lock time, and the marker and flag of a transaction with witnesses.
const FRAME_WEIGHT: u64 = 4 * (4 + 4) + 2;
/// Bytes of a P2WSH script, such as change goes to.
const CHANGE_SCRIPT_BYTES: usize = 34;
/// Virtual bytes of an output with such a script.
pub const CHANGE_VBYTES: u64 = 8 + 1 + CHANGE_SCRIPT_BYTES as u64;
/// Change below this would not be relayed, and is left to the miner.
pub const MIN_CHANGE_SAT: u64 = 330;

/// What must be paid, and at which price.
pub struct Demand {
    /// The sum of all payments.
    pub pay_sat: u64,
    /// The lengths of their scripts.
    pub outputs: Vec<usize>,
    /// The agreed fee rate.
    pub fee_rate_sat_per_kvb: u64,
    /// The weight of a signed input.
    pub input_weight: u64,
}

/// How to pay it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// How many of the largest coins are spent.
    pub inputs: usize,
    /// What comes back.
    pub change_sat: Option<u64>,
    /// What miners get.
    pub fee_sat: u64,
    /// The most virtual bytes that the signed transaction can have.
    pub vbytes: u64,
}

/// What so many virtual bytes cost at a rate.
pub fn fee_sat(vbytes: u64, rate_sat_per_kvb: u64) -> u64 {
    vbytes.saturating_mul(rate_sat_per_kvb).div_ceil(1000)
}

const fn varint_bytes(count: usize) -> u64 {
    if count < 0xfd {
        1
    } else {
        3
    }
}

impl Demand {
    fn vbytes(&self, inputs: usize, change: bool) -> u64 {
        let scripts = self.outputs.iter().copied();
        let scripts = scripts.chain(change.then_some(CHANGE_SCRIPT_BYTES));
        let outputs: u64 = scripts.map(|len| 8 + varint_bytes(len) + len as u64).sum();
        let counts = varint_bytes(inputs) + varint_bytes(self.outputs.len() + usize::from(change));
        let weight = FRAME_WEIGHT
            + 4 * (counts + outputs)
            + (inputs as u64).saturating_mul(self.input_weight);
        weight.div_ceil(4)
    }

    fn fee_sat(&self, vbytes: u64) -> u64 {
        fee_sat(vbytes, self.fee_rate_sat_per_kvb)
    }

    /// Whether spending a coin of this size brings more than it costs.
    fn is_worth_spending(&self, coin_sat: u64) -> bool {
        coin_sat > self.fee_sat(self.input_weight.div_ceil(4))
    }

    /// The plan with exactly these inputs, if it can be paid for out of `budget_sat`.
    fn plan(&self, inputs: usize, total_sat: u64, budget_sat: Option<u64>) -> Option<Plan> {
        let excess_sat = total_sat.checked_sub(self.pay_sat)?;
        let affordable = |fee_sat: u64| budget_sat.is_none_or(|budget| fee_sat <= budget);
        let vbytes = self.vbytes(inputs, true);
        let fee_sat = self.fee_sat(vbytes);
        if let Some(change_sat) = excess_sat.checked_sub(fee_sat) {
            if change_sat >= MIN_CHANGE_SAT && affordable(fee_sat) {
                return Some(Plan {
                    inputs,
                    change_sat: Some(change_sat),
                    fee_sat,
                    vbytes,
                });
            }
        }
        self.plan_without_change(inputs, excess_sat, budget_sat?)
    }

    fn plan_without_change(&self, inputs: usize, excess_sat: u64, budget_sat: u64) -> Option<Plan> {
        let vbytes = self.vbytes(inputs, false);
        let enough = excess_sat >= self.fee_sat(vbytes) && excess_sat <= budget_sat;
        enough.then_some(Plan {
            inputs,
            change_sat: None,
            fee_sat: excess_sat,
            vbytes,
        })
    }
}

/// Chooses how many of `coins` (their worth, largest first) to spend. Without a budget, as for a quote, any fee will do.
pub fn fund(demand: &Demand, coins: &[u64], budget_sat: Option<u64>) -> Option<Plan> {
    let mut total_sat: u64 = 0;
    let mut inputs = 0;
    let worth = |coin: &&u64| demand.is_worth_spending(**coin);
    for coin_sat in coins.iter().take_while(worth).take(limits::MAX_INPUTS) {
        total_sat = total_sat.checked_add(*coin_sat)?;
        inputs += 1;
        if let Some(plan) = demand.plan(inputs, total_sat, budget_sat) {
            return Some(plan);
        }
    }
    // All of it, with nothing left for change.
    let excess_sat = total_sat.checked_sub(demand.pay_sat)?;
    demand.plan_without_change(inputs, excess_sat, budget_sat.unwrap_or(u64::MAX))
}

/// A coin that could be spent.
type Choice = (OutPoint, Coin);

/// Which peg-outs to pay together, with what.
struct Batch {
    peg_outs: Vec<Queued>,
    coins: Vec<Choice>,
    plan: Plan,
}

impl Wallet {
    /// Pays as many peg-outs, from the front of the queue, as one transaction can. Never fails: what cannot be paid now
    /// waits.
    pub(super) fn pay_queued(&self, view: &mut View<'_, '_>) {
        let totals = totals(view);
        if totals.queue_len() == 0 {
            return;
        }
        let chains = Chains::new(view);
        let Some(rate) = self.fee_rate(view) else {
            return;
        };
        if chains.open() >= limits::MAX_OPEN_SLOTS {
            return;
        }
        if let Some(batch) = self.choose(view, &chains, totals, rate) {
            self.open_slot(view, totals, &batch);
        }
    }

    /// Takes peg-outs from the queue and coins from the pool, and puts a transaction in their place.
    fn open_slot(&self, view: &mut View<'_, '_>, totals: Totals, batch: &Batch) {
        let id = totals.slot_next;
        let Some((slot, change)) = self.assemble(id, batch, self.agreed(view).height) else {
            return;
        };
        let Some(after) = totals.after(batch) else {
            return;
        };
        view.put(&TotalsRow, &after);
        for number in totals.queue_first..after.queue_first {
            view.remove(&QueueAt(number));
        }
        for output in &slot.recipients {
            view.put(&PegOutAt(*output), &Progress::Slot(id));
        }
        for input in &slot.inputs {
            view.remove(&CoinAt(input.outpoint));
        }
        if let Some((outpoint, coin)) = change {
            view.put(&CoinAt(outpoint), &coin);
            // ⚠ Or it could be credited to somebody as a deposit (SPEC WAL-3).
            view.put(&Claimed(outpoint), &());
        }
        view.put(&SlotAt(id), &slot);
    }

    /// ⚠ Moves coins of which half the time has passed after which others could spend them (SPEC WAL-1), as far as the surplus
    /// pays for it.
    pub(super) fn refresh_old(&self, view: &mut View<'_, '_>) {
        let Some(recovery) = &self.config.recovery else {
            return;
        };
        let (chains, totals) = (Chains::new(view), totals(view));
        let Some(fee_rate_sat_per_kvb) = self.fee_rate(view) else {
            return;
        };
        if chains.open() >= limits::MAX_OPEN_SLOTS {
            return;
        }
        let demand = Demand {
            pay_sat: 0,
            outputs: Vec::new(),
            fee_rate_sat_per_kvb,
            input_weight: self.descriptor.input_weight().to_wu(),
        };
        let agreed = self.agreed(view).height;
        let half = recovery.half();
        let is_due = |coin: &Coin| {
            coin.slot.is_none()
                && agreed.saturating_sub(coin.height) >= half
                && demand.is_worth_spending(coin.amount_sat)
        };
        let coins = view.scan::<CoinAt>().into_iter();
        let due = coins.filter(|(_, coin)| is_due(coin));
        let mut due: Vec<Choice> = due.map(|(at, coin)| (at.0, coin)).collect();
        due.sort_unstable_by_key(|(at, coin)| (coin.height, *at));
        due.truncate(limits::MAX_INPUTS);
        let budget_sat = totals.surplus_msat / 1000;
        let batch = (1..=due.len()).rev().find_map(|count| {
            let coins = due[..count].to_vec();
            let total_sat = sum(coins.iter().map(|(_, coin)| coin.amount_sat))?;
            let plan = demand.plan(count, total_sat, Some(budget_sat))?;
            // What goes to nobody would go to miners whole.
            plan.change_sat?;
            let peg_outs = Vec::new();
            Some(Batch {
                peg_outs,
                coins,
                plan,
            })
        });
        if let Some(batch) = batch {
            self.open_slot(view, totals, &batch);
        }
    }

    /// What it takes to pay these together.
    pub(super) fn demand(&self, peg_outs: &[Queued], fee_rate_sat_per_kvb: u64) -> Option<Demand> {
        Some(Demand {
            pay_sat: sum(peg_outs.iter().map(|queued| queued.amount_sat))?,
            outputs: peg_outs.iter().map(|q| q.script_pubkey.len()).collect(),
            fee_rate_sat_per_kvb,
            input_weight: self.descriptor.input_weight().to_wu(),
        })
    }

    fn choose(
        &self,
        view: &View<'_, '_>,
        chains: &Chains,
        totals: Totals,
        fee_rate_sat_per_kvb: u64,
    ) -> Option<Batch> {
        let queue = view.scan::<QueueAt>().into_iter().map(|(_, queued)| queued);
        let queue: Vec<Queued> = queue.take(limits::MAX_BATCH).collect();
        let pools = pools(view, chains);
        // Longer batches may fit where shorter ones do not: their peg-outs may have paid more.
        for count in (1..=queue.len()).rev() {
            let peg_outs = &queue[..count];
            let demand = self.demand(peg_outs, fee_rate_sat_per_kvb)?;
            let paid_sat = sum(peg_outs.iter().map(|queued| queued.fee_sat))?;
            let budget_sat = paid_sat.checked_add(totals.surplus_msat / 1000)?;
            for pool in &pools {
                let worth: Vec<u64> = pool.iter().map(|(_, coin)| coin.amount_sat).collect();
                let Some(plan) = fund(&demand, &worth, Some(budget_sat)) else {
                    continue;
                };
                let coins = pool[..plan.inputs].to_vec();
                let parent = coins.iter().find_map(|(_, coin)| coin.slot);
                if chains.has_room(parent, plan.vbytes) {
                    return Some(Batch {
                        peg_outs: peg_outs.to_vec(),
                        coins,
                        plan,
                    });
                }
            }
        }
        None
    }

    /// The unsigned transaction in its slot, and its change.
    fn assemble(&self, id: u64, batch: &Batch, built_at: u32) -> Option<(Slot, Option<Choice>)> {
        let tweak = self.change_tweak(id);
        let mut output: Vec<TxOut> = batch
            .peg_outs
            .iter()
            .map(|queued| output(queued.amount_sat, queued.script_pubkey.clone()))
            .collect();
        let change_index = u32::try_from(output.len()).ok()?;
        if let Some(change_sat) = batch.plan.change_sat {
            let script = self.descriptor.script_pubkey(&tweak).ok()?;
            output.push(self::output(change_sat, script));
        }
        let transaction = Transaction {
            version: TxVersion::TWO,
            lock_time: LockTime::ZERO,
            input: batch.coins.iter().map(|(at, _)| input(*at)).collect(),
            output,
        };
        let version = Version {
            txid: transaction.compute_txid(),
            transaction: serialize(&transaction),
            signed: false,
            fee_sat: batch.plan.fee_sat,
            vbytes: batch.plan.vbytes,
            built_at,
            change_index: batch.plan.change_sat.map(|_| change_index),
        };
        let coin = batch.plan.change_sat.map(|amount_sat| Coin {
            amount_sat,
            tweak,
            slot: Some(id),
            height: built_at,
        });
        let change = version.change().zip(coin);
        let inputs = batch.coins.iter().map(|(outpoint, coin)| SlotInput {
            outpoint: *outpoint,
            amount_sat: coin.amount_sat,
            tweak: coin.tweak,
        });
        let slot = Slot {
            inputs: inputs.collect(),
            recipients: batch.peg_outs.iter().map(|queued| queued.output).collect(),
            parent: batch.coins.iter().find_map(|(_, coin)| coin.slot),
            versions: vec![version],
            confirmed: None,
        };
        Some((slot, change))
    }

    pub(super) fn change_tweak(&self, slot: u64) -> Tweak {
        change_tweak(self.federation.id, slot)
    }
}

/// What change of a slot is tweaked by: the same on all guardians and for all versions, and for no other slot.
pub fn change_tweak(federation: FederationId, slot: u64) -> Tweak {
    let hash = Tagged::new("guildmint/wallet/change")
        .add(federation)
        .add(slot.to_le_bytes());
    Tweak(hash.finish())
}

/// The coins to try, largest first: confirmed ones; then one unconfirmed coin with them, so that a transaction has at
/// most one unconfirmed parent, and chains are lines.
fn pools(view: &View<'_, '_>, chains: &Chains) -> Vec<Vec<Choice>> {
    let mut coins: Vec<Choice> = view
        .scan::<CoinAt>()
        .into_iter()
        .map(|(at, coin)| (at.0, coin))
        .collect();
    coins.sort_unstable_by_key(|(at, coin)| (Reverse(coin.amount_sat), *at));
    let usable = |coin: &Coin| coin.slot.is_some_and(|slot| chains.may_spend_change(slot));
    let extra = coins
        .iter()
        .find(|(_, coin)| usable(coin))
        .map(|(at, _)| *at);
    let confirmed = |(_, coin): &&Choice| coin.slot.is_none();
    let mut pools = vec![coins.iter().filter(confirmed).copied().collect()];
    if extra.is_some() {
        let wanted = |(at, coin): &Choice| coin.slot.is_none() || Some(*at) == extra;
        pools.push(coins.into_iter().filter(wanted).collect());
    }
    pools
}

impl Totals {
    /// After a transaction was built. `None` if it would cost more than there is, which `fund` has ruled out.
    fn after(self, batch: &Batch) -> Option<Self> {
        let spent_sat = sum(batch.coins.iter().map(|(_, coin)| coin.amount_sat))?;
        let amounts_sat = sum(batch.peg_outs.iter().map(|queued| queued.amount_sat))?;
        let fees_sat = sum(batch.peg_outs.iter().map(|queued| queued.fee_sat))?;
        let coins_sat = self.coins_sat.checked_sub(spent_sat)?;
        let surplus_msat = self.surplus_msat.checked_add(fees_sat.checked_mul(1000)?)?;
        let count = u64::try_from(batch.peg_outs.len()).ok()?;
        Some(Self {
            coins_sat: coins_sat.checked_add(batch.plan.change_sat.unwrap_or(0))?,
            queued_sat: self
                .queued_sat
                .checked_sub(amounts_sat.checked_add(fees_sat)?)?,
            surplus_msat: surplus_msat.checked_sub(batch.plan.fee_sat.checked_mul(1000)?)?,
            queue_first: self.queue_first.checked_add(count)?,
            slot_next: self.slot_next.checked_add(1)?,
            ..self
        })
    }
}

fn sum(amounts: impl Iterator<Item = u64>) -> Option<u64> {
    amounts.into_iter().try_fold(0, u64::checked_add)
}

fn output(amount_sat: u64, script_pubkey: ScriptBuf) -> TxOut {
    TxOut {
        value: Amount::from_sat(amount_sat),
        script_pubkey,
    }
}

fn input(previous_output: OutPoint) -> TxIn {
    TxIn {
        previous_output,
        script_sig: ScriptBuf::new(),
        // ⚠ Or nodes that go by BIP-125 would take no other version (SPEC WAL-8).
        sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
        witness: Witness::new(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn demand(pay_sat: u64, fee_rate_sat_per_kvb: u64) -> Demand {
        Demand {
            pay_sat,
            outputs: vec![22],
            fee_rate_sat_per_kvb,
            input_weight: 530,
        }
    }

    #[test]
    fn the_whole_fee_is_in_virtual_bytes() {
        let plan = fund(&demand(1_200, 1_000), &[5_000], None).unwrap();
        // 34 for the frame, 8 for the counts, 124 and 172 for the outputs, 530 for the input: 868 weight units.
        assert_eq!(plan.fee_sat, 217);
        assert_eq!(plan.change_sat, Some(5_000 - 1_200 - 217));
    }

    #[test]
    fn coins_that_cost_more_than_they_bring_are_not_spent() {
        assert_eq!(fund(&demand(1_000, 100_000), &[13_000; 90], None), None);
        assert!(fund(&demand(1_000, 100_000), &[14_000; 90], None).is_some());
    }

    #[test]
    fn what_is_too_small_for_change_is_paid_as_fee() {
        let plan = fund(&demand(4_700, 1_000), &[5_000], None).unwrap();
        assert_eq!((plan.change_sat, plan.fee_sat), (None, 300));
        assert_eq!(fund(&demand(4_900, 1_000), &[5_000], None), None);
    }

    proptest! {
        #[test]
        fn a_quote_pays_for_the_transaction_it_was_made_for(
            mut coins in prop::collection::vec(1u64..100_000, 1..40),
            pay in 330u64..200_000,
            rate in 1_000u64..200_000,
        ) {
            coins.sort_unstable_by(|a, b| b.cmp(a));
            let demand = demand(pay, rate);
            if let Some(quote) = fund(&demand, &coins, None) {
                let plan = fund(&demand, &coins, Some(quote.fee_sat)).unwrap();
                prop_assert!(plan.fee_sat <= quote.fee_sat);
                prop_assert!(plan.fee_sat >= demand.fee_sat(plan.vbytes));
                let total: u64 = coins[..plan.inputs].iter().sum();
                prop_assert_eq!(total, pay + plan.fee_sat + plan.change_sat.unwrap_or(0));
            }
        }
    }
}
