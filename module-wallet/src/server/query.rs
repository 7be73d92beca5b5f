//! Read-only questions under `/v1/wallet/`.

use bitcoin::{BlockHash, OutPoint};
use guildmint_core::{
    ledger::View,
    module::{Query, Reject},
    slices::slice,
};
use serde::Serialize;
use serde_json::Value as Json;

use super::{
    recoverable::recoverable,
    rows::{AgreedBlock, ClaimedEnd, ClaimedLeaf, CoinAt, QueueAt},
    slots::{state, versions},
    vote::sighting,
    Wallet,
};
use crate::{
    config::Block,
    limits,
    peg_out::PegOut,
    types::{
        ChainAnswer, CoinAnswer, CoinsAnswer, PegOutQuote, PegOutsAnswer, PendingAnswer,
        QueuedAnswer,
    },
};

impl Wallet {
    pub(super) fn answer(
        &self,
        agreed: &View<'_, '_>,
        local: &View<'_, '_>,
        query: &Query,
    ) -> Option<Result<Json, Reject>> {
        match query.path.as_str() {
            "peg-out-quote" => Some(self.quote_answer(agreed, query).and_then(json)),
            "chain" => Some(json(self.chain_answer(agreed, local))),
            "block" => Some(self.block_answer(agreed, query).and_then(json)),
            "utxos" => Some(coins_answer(coins(agreed), query).and_then(json)),
            "recoverable" => {
                let coins = recoverable(agreed, self.federation.id).into_iter();
                Some(coins_answer(coins, query).and_then(json))
            }
            "peg-outs" => Some(json(self.peg_outs_answer(agreed))),
            "claimed-prefixes" => {
                Some(slice(agreed, &ClaimedEnd(()), ClaimedLeaf, query).and_then(json))
            }
            _ => None,
        }
    }

    fn quote_answer(&self, agreed: &View<'_, '_>, query: &Query) -> Result<PegOutQuote, Reject> {
        let peg_out = PegOut {
            address: required(query, "address")?,
            amount_sat: required(query, "amount_sat")?,
            fee_sat: 0,
        };
        let script = peg_out
            .check(self.config.network)
            .map_err(|error| super::peg_out::reject(&error))?;
        self.quote(agreed, &script, peg_out.amount_sat)
    }

    fn chain_answer(&self, agreed: &View<'_, '_>, local: &View<'_, '_>) -> ChainAnswer {
        ChainAnswer {
            agreed: self.agreed(agreed),
            fee_rate_sat_per_kvb: self.fee_rate(agreed),
            tip_height: sighting(local).tip_height,
            frozen: self.frozen(agreed),
        }
    }

    fn block_answer(&self, agreed: &View<'_, '_>, query: &Query) -> Result<Block, Reject> {
        let hash: BlockHash = required(query, "hash")?;
        let height = agreed.get(&AgreedBlock(hash)).ok_or_else(|| {
            Reject::retryable("not_buried", format!("block {hash} is not agreed (yet)"))
        })?;
        Ok(Block { height, hash })
    }

    fn peg_outs_answer(&self, agreed: &View<'_, '_>) -> PegOutsAnswer {
        let queued = agreed
            .scan::<QueueAt>()
            .into_iter()
            .map(|(_, queued)| QueuedAnswer {
                script_pubkey: queued.script_pubkey,
                amount_sat: queued.amount_sat,
                fee_sat: queued.fee_sat,
            });
        let pending = versions(agreed)
            .into_iter()
            .map(|(id, number, slot, version)| PendingAnswer {
                txid: version.txid,
                slot: id,
                recipients: slot.recipients.len(),
                fee_sat: version.fee_sat,
                state: state(&version),
                signers: self.signers(agreed, id, number),
                built_at: version.built_at,
            });
        PegOutsAnswer {
            queued: queued.take(limits::MAX_PAGE).collect(),
            pending: pending.collect(),
        }
    }
}

/// A page of coins, which come in the order of their outpoints.
fn coins_answer(
    coins: impl Iterator<Item = CoinAnswer>,
    query: &Query,
) -> Result<CoinsAnswer, Reject> {
    let after: Option<OutPoint> = optional(query, "after")?;
    let limit = optional(query, "limit")?
        .unwrap_or(limits::MAX_PAGE)
        .clamp(1, limits::MAX_PAGE);
    let rest = coins.skip_while(|coin| after.is_some_and(|after| coin.outpoint <= after));
    let mut utxos: Vec<CoinAnswer> = rest.take(limit + 1).collect();
    let more = utxos.len() > limit;
    utxos.truncate(limit);
    let next = utxos.last().filter(|_| more).map(|coin| coin.outpoint);
    Ok(CoinsAnswer { utxos, next })
}

fn coins(agreed: &View<'_, '_>) -> impl Iterator<Item = CoinAnswer> {
    let coins = agreed.scan::<CoinAt>().into_iter();
    coins.map(|(at, coin)| CoinAnswer {
        outpoint: at.0,
        amount_sat: coin.amount_sat,
        tweak: coin.tweak,
        confirmed: coin.slot.is_none(),
    })
}

fn json(answer: impl Serialize) -> Result<Json, Reject> {
    serde_json::to_value(answer).map_err(|error| Reject::permanent("internal", error))
}

fn required<T: std::str::FromStr>(query: &Query, name: &str) -> Result<T, Reject> {
    optional(query, name)?
        .ok_or_else(|| Reject::permanent("missing_parameter", format!("give {name}=…")))
}

fn optional<T: std::str::FromStr>(query: &Query, name: &str) -> Result<Option<T>, Reject> {
    let Some(text) = query.parameters.get(name) else {
        return Ok(None);
    };
    let unreadable = |_| Reject::permanent("bad_parameter", format!("{name} cannot be read"));
    text.parse().map(Some).map_err(unreadable)
}
