//! Read-only questions under `/v1/mint/`.

use std::collections::BTreeMap;

use guildmint_core::{
    ledger::View,
    module::{Later, Query, Reject},
    slices::slice,
};
use guildmint_tbs::{sign_share, BlindedMessage};
use serde::Serialize;
use serde_json::{json, Value as Json};

use super::{
    rows::{IssuedAt, IssuedEnd, IssuedLeaf, Spent, SpentEnd, SpentLeaf},
    totals, Mint,
};
use crate::{
    Bytes, MintOutput, Nonce, PlacedShare, SharesAnswer, SpentAnswer, MAX_NONCES, SHARES_PAGE,
};

/// What is answered at once; `None` if there is no such path.
pub(super) fn answer(agreed: &View<'_, '_>, query: &Query) -> Option<Result<Json, Reject>> {
    match query.path.as_str() {
        "denominations" => Some(Ok(json!(totals(agreed).collect::<Vec<_>>()))),
        "spent" => Some(spent(agreed, query)),
        "issued-prefixes" => Some(json(slice(agreed, &IssuedEnd(()), IssuedLeaf, query))),
        "spent-prefixes" => Some(json(slice(agreed, &SpentEnd(()), SpentLeaf, query))),
        path => {
            let nonce = path.strip_prefix("notes/")?;
            Some(parse_nonce(nonce).map(|nonce| {
                json!(SpentAnswer {
                    spent: agreed.contains(&Spent(nonce)),
                })
            }))
        }
    }
}

fn json(answer: Result<impl Serialize, Reject>) -> Result<Json, Reject> {
    answer.map(|answer| json!(answer))
}

fn parse_nonce(text: &str) -> Result<Nonce, Reject> {
    text.parse()
        .map_err(|error| Reject::permanent("bad_nonce", error))
}

/// Which of the nonces have been spent.
fn spent(agreed: &View<'_, '_>, query: &Query) -> Result<Json, Reject> {
    let nonces = query.parameters.get("nonces").map_or("", String::as_str);
    let nonces: Vec<&str> = nonces.split(',').take(MAX_NONCES + 1).collect();
    if nonces.len() > MAX_NONCES {
        let message = format!("at most {MAX_NONCES} nonces can be asked for at once");
        return Err(Reject::permanent("too_many_nonces", message));
    }
    let spent: BTreeMap<Nonce, bool> = nonces
        .into_iter()
        .map(|nonce| {
            let nonce = parse_nonce(nonce)?;
            Ok((nonce, agreed.contains(&Spent(nonce))))
        })
        .collect::<Result<_, Reject>>()?;
    Ok(json!(spent))
}

impl Mint {
    /// This guardian's shares on a page of what was signed. SPEC MIN-2 holds: only what consensus has accepted has a place.
    /// Whoever else asks learns nothing of use, since a share is as blind as what it is a share on.
    pub(super) fn shares(
        &self,
        agreed: &View<'_, '_>,
        query: &Query,
    ) -> Result<Later<Json>, Reject> {
        let page = query.parameters.get("page").map_or("", String::as_str);
        let page: Option<u64> = page.parse().ok();
        let first = page.and_then(|page| page.checked_mul(SHARES_PAGE));
        let (Some(page), Some(first)) = (page, first) else {
            let message = "page= must be the number of a page";
            return Err(Reject::permanent("bad_parameter", message));
        };
        // All are looked up even if one is not loaded, so that one more load suffices.
        let places = first..first.saturating_add(SHARES_PAGE);
        let outputs: Vec<_> = places.map(|place| agreed.get(&IssuedAt(place))).collect();
        let outputs = outputs.into_iter().map_while(|output: Option<MintOutput>| {
            let output = output?;
            Some((output, self.keys.get(&output.denomination)?.share.clone()))
        });
        let outputs: Vec<_> = outputs.collect();
        Ok(Later::slow(move || {
            let share = |(output, key): (MintOutput, _)| {
                let blinded = BlindedMessage::from_accepted_bytes(&output.blinded.0).ok()?;
                let share = Bytes(sign_share(&key, &blinded).to_bytes());
                Some(PlacedShare { output, share })
            };
            let shares = outputs.into_iter().map_while(share).collect();
            json!(SharesAnswer { page, shares })
        }))
    }
}
