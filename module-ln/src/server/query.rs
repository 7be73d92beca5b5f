//! Read-only questions under `/v1/ln/`.

use std::str::FromStr;

use bitcoin::secp256k1::schnorr::Signature;
use guildmint_core::{
    ledger::View,
    module::{Later, Query, Reject},
    Bytes, FederationId,
};
use guildmint_tbs::{encryption::decryption_share, SecretKeyShare};
use serde_json::{json, Value as Json};

use super::{
    gateways, offers,
    rows::{Account, Clock, Closed, Funding},
    Ln,
};
use crate::{
    limits, ClockAnswer, ContractAnswer, ContractId, FundingAnswer, GatewaysAnswer, Offer, OfferId,
    OffersAnswer, ShareAnswer, ShareRequest, Terms,
};

/// What is answered at once; `None` if there is no such path.
pub(super) fn answer(agreed: &View<'_, '_>, query: &Query) -> Option<Result<Json, Reject>> {
    let height = agreed.get(&Clock(())).unwrap_or_default();
    let parts: Vec<&str> = query.path.split('/').collect();
    match parts.as_slice() {
        ["gateways"] => {
            let gateways = gateways::listed(agreed, height);
            Some(Ok(json!(GatewaysAnswer { gateways })))
        }
        ["offers", hash] => Some(parse("hash", hash).map(|hash| {
            let offers = offers::with_hash(agreed, hash, height);
            json!(OffersAnswer { offers })
        })),
        ["contracts", id] => Some(parse("contract", id).map(|id| json!(contract(agreed, id)))),
        ["fundings", id] => Some(funding_answer(agreed, id, height, query)),
        ["clock"] => Some(Ok(json!(ClockAnswer { height }))),
        _ => None,
    }
}

/// ⚠ That there is no funding yet is the end of an offer only if its last height is over for whoever says so.
fn funding_answer(
    agreed: &View<'_, '_>,
    offer: &str,
    height: u32,
    query: &Query,
) -> Result<Json, Reject> {
    if let Some(past) = query.parameters.get("past") {
        let past: u32 = parse("height", past)?;
        if height <= past {
            let message = format!("the clock is at {height}, and not past {past}");
            return Err(Reject::retryable("too_early", message));
        }
    }
    Ok(json!(funding(agreed, parse("offer", offer)?)))
}

fn funding(agreed: &View<'_, '_>, offer: OfferId) -> FundingAnswer {
    let contract = agreed.get(&Funding(offer));
    let known = contract.map(|id| self::contract(agreed, id));
    FundingAnswer {
        contract,
        account: known.and_then(|known| known.account),
        closing: known.and_then(|known| known.closing),
    }
}

fn parse<T: FromStr<Err: ToString>>(what: &str, text: &str) -> Result<T, Reject> {
    text.parse()
        .map_err(|error: T::Err| Reject::permanent(&format!("bad_{what}"), error))
}

/// ⚠ All of it is the same for everybody. A decryption share is none of it (SPEC LN-4).
fn contract(agreed: &View<'_, '_>, id: ContractId) -> ContractAnswer {
    ContractAnswer {
        account: agreed.get(&Account(id)),
        closing: agreed.get(&Closed(id)),
    }
}

impl Ln {
    /// This guardian's decryption share, for the owner of the refund key (SPEC LN-4).
    pub(super) fn share(
        &self,
        agreed: &View<'_, '_>,
        query: &Query,
    ) -> Option<Result<Later<Json>, Reject>> {
        let id = query.path.strip_prefix("contracts/")?;
        let id = id.strip_suffix("/share")?;
        Some(self.share_of(agreed, id, query))
    }

    fn share_of(
        &self,
        agreed: &View<'_, '_>,
        id: &str,
        query: &Query,
    ) -> Result<Later<Json>, Reject> {
        let contract: ContractId = parse("contract", id)?;
        let parameter = |name| query.parameters.get(name).map_or("", String::as_str);
        let request = ShareRequest {
            contract,
            guardian: self.federation.me,
            expires_at: parse("expires_at", parameter("expires_at"))?,
        };
        let signature: Signature = parse("signature", parameter("signature"))?;
        let height = agreed.get(&Clock(())).unwrap_or_default();
        let account = agreed.get(&Account(contract)).ok_or_else(|| {
            let message = format!("there is no contract {contract}");
            Reject::retryable("unknown_contract", message)
        })?;
        let Terms::Incoming { offer, refund_key } = account.terms else {
            let message = "only incoming contracts have something to decrypt";
            return Err(Reject::permanent("nothing_encrypted", message));
        };
        is_current(&request, height)?;
        // ⚠ Nobody but the funder: whoever knows the preimage takes the Lightning payment.
        request
            .verify(self.federation.id, refund_key, &signature)
            .map_err(|error| Reject::permanent("not_the_funder", error))?;
        let (share, federation) = (self.share.clone(), self.federation.id);
        Ok(Later::slow(move || decrypt(&share, federation, &offer)))
    }
}

fn is_current(request: &ShareRequest, height: u32) -> Result<(), Reject> {
    let latest = height.saturating_add(limits::MAX_SHARE_REQUEST_BLOCKS);
    match request.expires_at {
        expired if expired < height => {
            let message = format!("the request held until height {expired}; sign another");
            Err(Reject::permanent("request_expired", message))
        }
        long if long > latest => {
            let message = format!("requests hold at most until height {latest} now");
            Err(Reject::retryable("request_too_long", message))
        }
        _ => Ok(()),
    }
}

/// The ciphertext was verified when the offer was accepted, and is once more: what a share reveals cannot be taken back.
fn decrypt(share: &SecretKeyShare, federation: FederationId, offer: &Offer) -> Json {
    let Some(ciphertext) = offers::ciphertext(federation, offer) else {
        return Json::Null;
    };
    let share = Bytes(decryption_share(share, &ciphertext).to_bytes());
    json!(ShareAnswer { share })
}
