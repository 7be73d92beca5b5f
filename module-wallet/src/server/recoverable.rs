//! All coins that could ever be the federation's to spend (SPEC WAL-9).

use std::collections::BTreeMap;

use bitcoin::OutPoint;
use guildmint_core::{ledger::View, FederationId};

use super::{
    build::change_tweak,
    rows::{CoinAt, SlotAt},
};
use crate::types::CoinAnswer;

/// The federation's coins, and of transactions that are not confirmed what they spend and the change of every version: with
/// no federation running, nobody knows which of them will be. In the order of their outpoints.
#[must_use]
pub fn recoverable(agreed: &View<'_, '_>, federation: FederationId) -> Vec<CoinAnswer> {
    let mut all: BTreeMap<OutPoint, CoinAnswer> = BTreeMap::new();
    for (SlotAt(id), slot) in agreed.scan::<SlotAt>() {
        for input in &slot.inputs {
            let coin = CoinAnswer {
                outpoint: input.outpoint,
                amount_sat: input.amount_sat,
                tweak: input.tweak,
                confirmed: false,
            };
            all.insert(coin.outpoint, coin);
        }
        let Some(last) = slot.versions.last() else {
            continue;
        };
        let smallest = last.change().and_then(|change| agreed.get(&CoinAt(change)));
        let smallest_sat = smallest.map_or(0, |coin| coin.amount_sat);
        for version in &slot.versions {
            let saved_sat = last.fee_sat.saturating_sub(version.fee_sat);
            let Some(outpoint) = version.change() else {
                continue;
            };
            let coin = CoinAnswer {
                outpoint,
                amount_sat: smallest_sat.saturating_add(saved_sat),
                tweak: change_tweak(federation, id),
                confirmed: false,
            };
            // Change that was spent is an input of another slot, where its amount is known.
            all.entry(outpoint).or_insert(coin);
        }
    }
    for (CoinAt(outpoint), coin) in agreed.scan::<CoinAt>() {
        let coin = CoinAnswer {
            outpoint,
            amount_sat: coin.amount_sat,
            tweak: coin.tweak,
            confirmed: coin.slot.is_none(),
        };
        all.insert(outpoint, coin);
    }
    all.into_values().collect()
}
