//! Gateways, and who vouches for them (SPEC LN-6).

use bitcoin::secp256k1::XOnlyPublicKey;
use guildmint_core::{ledger::View, module::Reject, PeerId};

use super::rows::{Gateway, Vouched};
use crate::{limits, GatewayAnswer, SignedAnnouncement};

/// Lists a gateway, or what it now says of itself.
pub(super) fn list(
    view: &mut View<'_, '_>,
    signed: &SignedAnnouncement,
    height: u32,
) -> Result<(), Reject> {
    let announcement = &signed.announcement;
    if height > announcement.valid_until {
        let message = format!(
            "the announcement held until height {}, and the clock is at {height}",
            announcement.valid_until
        );
        return Err(Reject::permanent("announcement_expired", message));
    }
    let latest = height.saturating_add(limits::MAX_ANNOUNCEMENT_BLOCKS);
    if announcement.valid_until > latest {
        let message = format!("announcements hold at most until height {latest} now");
        return Err(Reject::retryable("announcement_too_long", message));
    }
    let row = Gateway(announcement.key);
    match view.get(&row) {
        // ⚠ Anybody can send an old one again.
        Some(known) if known.announcement.number >= announcement.number => {
            let message = format!(
                "the gateway has said something newer, number {}",
                known.announcement.number
            );
            return Err(Reject::permanent("announcement_old", message));
        }
        // ⚠ Nor could it be told from new once the newer one is forgotten.
        Some(known) if known.announcement.valid_until > announcement.valid_until => {
            let message = format!(
                "what it said before holds until height {}, and this must hold as long",
                known.announcement.valid_until
            );
            return Err(Reject::permanent("announcement_shorter", message));
        }
        Some(_) => {}
        None => has_place(view, announcement.key)?,
    }
    view.put(&row, signed);
    Ok(())
}

/// Whether one more gateway can be listed.
fn has_place(view: &View<'_, '_>, key: XOnlyPublicKey) -> Result<(), Reject> {
    let vouched = vouched(view);
    let is_vouched = |key| vouched.iter().any(|(_, keys)| keys.contains(key));
    if is_vouched(&key) {
        return Ok(());
    }
    let listed = view.scan::<Gateway>();
    let others = listed.iter().filter(|(Gateway(key), _)| !is_vouched(key));
    match others.count() < limits::MAX_GATEWAYS {
        true => Ok(()),
        false => {
            let message = "no more gateways are listed now, unless a guardian vouches for them";
            Err(Reject::retryable("gateways_full", message))
        }
    }
}

fn vouched(view: &View<'_, '_>) -> Vec<(PeerId, std::collections::BTreeSet<XOnlyPublicKey>)> {
    let vouched = view.scan::<Vouched>().into_iter();
    vouched
        .map(|(Vouched(peer), vouching)| (peer, vouching.gateways))
        .collect()
}

/// ⚠ Forgets gateways whose time is over: they may be gone, and users would lock money for nobody.
pub(super) fn drop_expired(view: &mut View<'_, '_>, height: u32) {
    for (row, signed) in view.scan::<Gateway>() {
        if signed.announcement.valid_until < height {
            view.remove(&row);
        }
    }
}

/// All gateways that may be asked.
pub(super) fn listed(view: &View<'_, '_>, height: u32) -> Vec<GatewayAnswer> {
    let vouched = vouched(view);
    let gateways = view.scan::<Gateway>().into_iter();
    let valid = gateways.filter(|(_, signed)| signed.announcement.valid_until >= height);
    valid
        .map(|(Gateway(key), signed)| {
            let vouch = vouched.iter().filter(|(_, keys)| keys.contains(&key));
            let vouched_by = vouch.map(|(peer, _)| *peer).collect();
            GatewayAnswer { signed, vouched_by }
        })
        .collect()
}
