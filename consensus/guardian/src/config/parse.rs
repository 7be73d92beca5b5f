//! What the texts of settings mean.

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::secp256k1::XOnlyPublicKey;
use guildmint_core::Place;
use guildmint_ln::limits::MAX_VOUCHED;

/// The URL of an API, if it can be announced.
pub(crate) fn api_url(text: &str) -> Option<String> {
    let (p2p, api) = (Vec::new(), text.to_owned());
    let place = Place { p2p, api };
    place.validate().is_ok().then_some(place.api)
}

/// Multiaddresses with commas between, if they can be announced.
pub(crate) fn p2p_addresses(text: &str) -> Option<Vec<String>> {
    let p2p = text.split(',').map(|one| one.trim().to_owned()).collect();
    let api = "http://none".to_owned();
    let place = Place { p2p, api };
    place.validate().is_ok().then_some(place.p2p)
}

/// Versions by kinds of modules, such as `mint=2,wallet=3`.
pub(crate) fn versions(text: &str) -> Option<BTreeMap<String, u16>> {
    let version = |one: &str| {
        let (kind, version) = one.trim().split_once('=')?;
        Some((kind.to_owned(), version.parse().ok()?))
    };
    text.split(',').map(version).collect()
}

/// Keys of gateways with commas between, as many as a guardian may vouch for.
pub(crate) fn gateway_keys(text: &str) -> Option<BTreeSet<XOnlyPublicKey>> {
    let keys: Option<BTreeSet<_>> = text.split(',').map(|key| key.trim().parse().ok()).collect();
    keys.filter(|keys| keys.len() <= MAX_VOUCHED)
}
