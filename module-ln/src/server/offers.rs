//! Offers, and the ciphertexts in them (SPEC LN-2).

use guildmint_core::{ledger::View, module::Reject, FederationId};
use guildmint_tbs::encryption::ValidCiphertext;

use super::rows::{OffersOf, Stored, StoredUntil, Totals, Used};
use crate::{limits, Offer, OfferId, OfferRef, PaymentHash, SignedOffer};

/// The ciphertext of an offer, if it holds for the rest of it.
pub(super) fn ciphertext(federation: FederationId, offer: &Offer) -> Option<ValidCiphertext> {
    let ciphertext = offer.preimage.ciphertext().ok()?;
    ciphertext.verify(&offer.associated_data(federation)).ok()
}

/// Whether the offer is its claim key's, and asks for something that guardians could read.
pub(super) fn check(federation: FederationId, signed: &SignedOffer) -> Result<(), Reject> {
    signed
        .verify(federation)
        .map_err(|error| Reject::permanent("bad_offer_signature", error))?;
    if signed.offer.amount.msat() == 0 {
        return Err(Reject::permanent("no_amount", "the offer asks for nothing"));
    }
    let undecryptable = || {
        let message = "the encrypted preimage does not hold for the rest of the offer";
        Reject::permanent("bad_ciphertext", message)
    };
    ciphertext(federation, &signed.offer)
        .map(|_| ())
        .ok_or_else(undecryptable)
}

fn not_expired(offer: &Offer, height: u32) -> Result<(), Reject> {
    match height > offer.expires_at {
        true => {
            let message = format!(
                "the offer expired at height {}, and the clock is at {height}",
                offer.expires_at
            );
            Err(Reject::permanent("offer_expired", message))
        }
        false => Ok(()),
    }
}

/// ⚠ A ciphertext is used once ever: guardians decrypt for whoever funds it, so one that came twice would be read by a stranger.
fn use_ciphertext(view: &mut View<'_, '_>, offer: &Offer) -> Result<(), Reject> {
    view.insert(&Used(offer.preimage.fingerprint()), &())
        .map_err(|_| {
            let message = "the secret of this encrypted preimage has been used; make a new offer";
            Reject::permanent("ciphertext_used", message)
        })
}

/// Stores an offer.
pub(super) fn store(
    view: &mut View<'_, '_>,
    federation: FederationId,
    signed: &SignedOffer,
    height: u32,
) -> Result<(), Reject> {
    let (offer, id) = (&signed.offer, signed.offer.id(federation));
    not_expired(offer, height)?;
    if offer.expires_at > height.saturating_add(limits::MAX_OFFER_BLOCKS) {
        let message = format!(
            "offers are stored for at most {} blocks, until height {}",
            limits::MAX_OFFER_BLOCKS,
            height.saturating_add(limits::MAX_OFFER_BLOCKS)
        );
        return Err(Reject::retryable("offer_too_long", message));
    }
    // All rows are looked up before anything is decided, so that one more load suffices.
    let used = use_ciphertext(view, offer);
    let mut same_hash = view.get(&OffersOf(offer.hash)).unwrap_or_default();
    used?;
    let mut counts = view.get(&Totals(())).unwrap_or_default();
    if counts.offers >= limits::MAX_OFFERS as u64 {
        let message = "guardians store no more offers now; give it to the gateway alone";
        return Err(Reject::retryable("offers_full", message));
    }
    if same_hash.len() >= limits::MAX_OFFERS_PER_HASH {
        let message = format!("there are {} offers with this hash", same_hash.len());
        return Err(Reject::retryable("too_many_offers", message));
    }
    same_hash.push(id);
    counts.offers = counts.offers.saturating_add(1);
    view.put(&OffersOf(offer.hash), &same_hash);
    view.put(&Totals(()), &counts);
    view.put(&StoredUntil(offer.expires_at, id), &offer.hash);
    view.put(&Stored(id), signed);
    Ok(())
}

/// Takes the offer that a contract funds: from the store, or from where it is carried.
pub(super) fn take(
    view: &mut View<'_, '_>,
    federation: FederationId,
    wanted: &OfferRef,
    height: u32,
) -> Result<Offer, Reject> {
    let offer = match wanted {
        OfferRef::Stored(id) => {
            let stored = view.get(&Stored(*id)).ok_or_else(|| {
                let message = format!("there is no offer {id}; was it funded, or did it expire?");
                Reject::retryable("unknown_offer", message)
            })?;
            forget(view, *id, stored.offer.expires_at, stored.offer.hash);
            stored.offer
        }
        OfferRef::Carried(signed) => {
            let id = signed.offer.id(federation);
            // Whoever stores another's offer must not be able to keep it from being funded.
            match view.contains(&Stored(id)) {
                true => forget(view, id, signed.offer.expires_at, signed.offer.hash),
                false => use_ciphertext(view, &signed.offer)?,
            }
            signed.offer
        }
    };
    not_expired(&offer, height)?;
    Ok(offer)
}

fn forget(view: &mut View<'_, '_>, id: OfferId, expires_at: u32, hash: PaymentHash) {
    view.remove(&Stored(id));
    view.remove(&StoredUntil(expires_at, id));
    let of_hash = OffersOf(hash);
    let mut same_hash = view.get(&of_hash).unwrap_or_default();
    same_hash.retain(|other| *other != id);
    match same_hash.is_empty() {
        true => view.remove(&of_hash),
        false => view.put(&of_hash, &same_hash),
    }
    let mut counts = view.get(&Totals(())).unwrap_or_default();
    counts.offers = counts.offers.saturating_sub(1);
    view.put(&Totals(()), &counts);
}

/// Forgets the offers that can no longer be funded.
pub(super) fn drop_expired(view: &mut View<'_, '_>, height: u32) {
    let stored = view.scan::<StoredUntil>().into_iter();
    let expired = stored.take_while(|(StoredUntil(expires_at, _), _)| *expires_at < height);
    for (StoredUntil(expires_at, id), hash) in expired {
        forget(view, id, expires_at, hash);
    }
}

/// The stored offers with a payment hash that can still be funded.
pub(super) fn with_hash(view: &View<'_, '_>, hash: PaymentHash, height: u32) -> Vec<SignedOffer> {
    let ids = view.get(&OffersOf(hash)).unwrap_or_default();
    // All are looked up even if one is not loaded, so that one more load suffices.
    let offers: Vec<_> = ids.into_iter().map(|id| view.get(&Stored(id))).collect();
    let offers = offers.into_iter().flatten();
    offers
        .filter(|signed| signed.offer.expires_at >= height)
        .collect()
}
