//! Crediting deposits (SPEC WAL-3).

use guildmint_core::{
    ledger::View,
    module::{Reject, Spent},
    slices::append,
    Amount,
};

use super::{
    audit::totals,
    rows::{AgreedBlock, Claimed, ClaimedEnd, ClaimedLeaf, Coin, CoinAt, TotalsRow},
    Wallet,
};
use crate::{
    config::RecoveryBranch,
    peg_in::{Deposit, PegInError, PegInProof},
    tweak::Tweak,
    types::claimed_prefix,
};

/// Blocks, its own included, before a miner's reward can be spent.
const COINBASE_MATURITY: u32 = 100;

/// What a client is told.
pub fn reject(error: &PegInError) -> Reject {
    let code = match error {
        PegInError::Unreadable(_) | PegInError::Witness | PegInError::NoSuchOutput { .. } => {
            "bad_transaction"
        }
        PegInError::SixtyFourBytes => "transaction_of_64_bytes",
        PegInError::OtherScript { .. } | PegInError::Descriptor(_) => "not_ours",
        PegInError::Merkle(_) => "bad_merkle_proof",
        PegInError::TooSmall { .. } => "below_minimum",
    };
    Reject::permanent(code, error)
}

impl Wallet {
    /// Spends a proof that has passed its check.
    pub(super) fn credit(
        &self,
        view: &mut View<'_, '_>,
        proof: &PegInProof,
    ) -> Result<Spent, Reject> {
        let deposit = proof.claim().map_err(|error| reject(&error))?;
        // First, as it will never change.
        view.insert(&Claimed(deposit.outpoint), &()).map_err(|_| {
            let message = format!("the deposit {} was claimed before", deposit.outpoint);
            Reject::permanent("already_claimed", message)
        })?;
        let present = self.present(view);
        let (amount_sat, min_sat) = (deposit.amount_sat, present.min_peg_in_sat);
        if amount_sat < min_sat {
            // The least deposit may be lowered again.
            let error = PegInError::TooSmall {
                amount_sat,
                min_sat,
            };
            return Err(Reject::retryable("below_minimum", error));
        }
        let height = self.spendable(view, &deposit)?;
        let amount = Amount::from_sat(deposit.amount_sat)
            .map_err(|error| Reject::permanent("too_much", error))?;
        let fee = present.peg_in_fee;
        let totals = totals(view).deposit(deposit.amount_sat, fee)?;
        view.put(&TotalsRow, &totals);
        let coin = Coin {
            amount_sat: deposit.amount_sat,
            tweak: Tweak::from(proof.tweak_key),
            slot: None,
            height,
        };
        view.put(&CoinAt(deposit.outpoint), &coin);
        let prefix = claimed_prefix(&deposit.outpoint);
        append(view, &ClaimedEnd(()), ClaimedLeaf, prefix);
        Ok(Spent {
            amount,
            fee,
            key: Some(proof.tweak_key),
        })
    }

    /// The height of the deposit's block, if it may be credited now.
    fn spendable(&self, view: &View<'_, '_>, deposit: &Deposit) -> Result<u32, Reject> {
        if let Some(frozen) = self.frozen(view) {
            // ⚠ The block may be one of those that are no more.
            let message = format!(
                "deposits are not credited until the guardians' operators have looked at a reorganisation of the chain \
                 (freeze {}, at block {}); try again later",
                frozen.number, frozen.at.height
            );
            return Err(Reject::retryable("frozen", message));
        }
        let agreed = self.agreed(view).height;
        let Some(height) = view.get(&AgreedBlock(deposit.block)) else {
            let message = format!(
                "block {} is not among those up to {agreed} that the guardians agree on; try again later",
                deposit.block
            );
            return Err(Reject::retryable("not_buried", message));
        };
        let age = agreed.saturating_sub(height);
        let limit = self.config.recovery.as_ref().map(RecoveryBranch::half);
        if limit.is_some_and(|limit| age >= limit) {
            // ⚠ It may have been spent with the recovery keys before it was claimed, and would back nothing.
            let message = format!(
                "the deposit is {age} blocks old, and in this federation it had to be claimed before it was {} blocks old: soon \
                 only the holders of the recovery keys can give it back; ask the guardians' operators",
                limit.unwrap_or_default()
            );
            return Err(Reject::permanent("too_old", message));
        }
        let depth = age.saturating_add(1);
        if deposit.coinbase && depth < COINBASE_MATURITY {
            let message =
                format!("a miner's reward is credited at a depth of {COINBASE_MATURITY} blocks, not {depth}");
            return Err(Reject::retryable("coinbase_immature", message));
        }
        Ok(height)
    }
}
