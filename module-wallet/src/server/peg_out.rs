//! Quotes and the queue (SPEC WAL-6).

use std::cmp::Reverse;

use bitcoin::ScriptBuf;
use guildmint_core::{
    ledger::View,
    module::{Charge, Reject},
    OutPoint,
};

use super::{
    audit::totals,
    build::{fund, Demand},
    rows::{CoinAt, PegOutAt, Progress, QueueAt, Queued, TotalsRow},
    Wallet,
};
use crate::{
    peg_out::{PegOut, PegOutError},
    types::PegOutQuote,
};

/// What a client is told.
pub fn reject(error: &PegOutError) -> Reject {
    let code = match error {
        PegOutError::Address { .. } | PegOutError::NotCanonical(_) => "bad_address",
        PegOutError::OtherNetwork { .. } => "wrong_network",
        PegOutError::OtherKind(_) => "unsupported_address",
        PegOutError::Dust { .. } => "dust",
        PegOutError::TooMuch { .. } => "too_much",
    };
    Reject::permanent(code, error)
}

impl Wallet {
    /// What a transaction for this peg-out alone would cost now, inputs and change included.
    pub(super) fn quote(
        &self,
        view: &View<'_, '_>,
        script_pubkey: &ScriptBuf,
        amount_sat: u64,
    ) -> Result<PegOutQuote, Reject> {
        let Some(fee_rate_sat_per_kvb) = self.fee_rate(view) else {
            let message = "not enough guardians have named a fee rate yet";
            return Err(Reject::retryable("no_fee_rate", message));
        };
        let coins = view.scan::<CoinAt>().into_iter();
        let mut worth: Vec<u64> = coins.map(|(_, coin)| coin.amount_sat).collect();
        let insufficient = || {
            let message = "the federation's coins do not suffice for this amount at this fee rate";
            Reject::retryable("insufficient_coins", message)
        };
        // Those that wait take their coins first. Without this, many peg-outs of one epoch would all count on the
        // largest coin, and the last of them would have paid too little for the small ones that are left to it.
        let queue = view.scan::<QueueAt>().into_iter();
        let queue: Vec<Queued> = queue.map(|(_, queued)| queued).collect();
        worth.sort_unstable_by_key(|coin| Reverse(*coin));
        if !queue.is_empty() {
            let demand = self
                .demand(&queue, fee_rate_sat_per_kvb)
                .ok_or_else(insufficient)?;
            let plan = fund(&demand, &worth, None).ok_or_else(insufficient)?;
            worth.drain(..plan.inputs);
            worth.extend(plan.change_sat);
            worth.sort_unstable_by_key(|coin| Reverse(*coin));
        }
        let demand = Demand {
            pay_sat: amount_sat,
            outputs: vec![script_pubkey.len()],
            fee_rate_sat_per_kvb,
            input_weight: self.descriptor.input_weight().to_wu(),
        };
        let plan = fund(&demand, &worth, None).ok_or_else(insufficient)?;
        Ok(PegOutQuote {
            fee_sat: plan.fee_sat,
            fee_rate_sat_per_kvb,
            module_fee: self.present(view).peg_out_fee,
        })
    }

    /// Puts a peg-out that has passed its check into the queue.
    pub(super) fn enqueue(
        &self,
        view: &mut View<'_, '_>,
        output: &PegOut,
        out_point: OutPoint,
    ) -> Result<Charge, Reject> {
        let script_pubkey = output
            .check(self.config.network)
            .map_err(|error| reject(&error))?;
        let amount = output.total().map_err(|error| reject(&error))?;
        let present = self.present(view);
        let totals = totals(view);
        if totals.queue_len() >= u64::from(present.max_queue) {
            let message = format!("{} peg-outs wait already", totals.queue_len());
            return Err(Reject::retryable("queue_full", message));
        }
        let quote = self.quote(view, &script_pubkey, output.amount_sat)?;
        if output.fee_sat < quote.fee_sat {
            let message = format!(
                "the fee is {} sat; it must be at least {} sat, at {} sat/kvB",
                output.fee_sat, quote.fee_sat, quote.fee_rate_sat_per_kvb
            );
            // The rate may fall again, and whoever has the signed offer may then have it accepted: it is not off the table.
            return Err(Reject::retryable("fee_too_low", message));
        }
        let fee = present.peg_out_fee;
        let after = totals.enqueue(output.amount_sat.saturating_add(output.fee_sat), fee)?;
        view.put(&TotalsRow, &after);
        let queued = Queued {
            output: out_point,
            script_pubkey,
            amount_sat: output.amount_sat,
            fee_sat: output.fee_sat,
        };
        view.put(&QueueAt(totals.queue_next), &queued);
        view.put(&PegOutAt(out_point), &Progress::Queued);
        Ok(Charge { amount, fee })
    }
}
