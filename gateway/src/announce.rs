//! The gateway says what it is, and says it again before guardians forget it (SPEC LN-6).

use bitcoin::secp256k1::PublicKey;
use guildmint_core::{Amount, FederationId};
use guildmint_ln::{Announcement, SignedAnnouncement};
use serde::{Deserialize, Serialize};

use crate::{
    desk::{Concern, Desk},
    federation::Order,
    limits::ANNOUNCEMENT_BLOCKS,
    rows::AnnouncedRow,
    warning::Warning,
};

/// What a federation was last told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Announced {
    pub signed: SignedAnnouncement,
    /// Its guardians have taken it.
    pub published: bool,
}

/// Announces the gateway, if what a federation was last told is not so any more, or will soon be forgotten.
pub(crate) fn renew(desk: &mut Desk, federation: FederationId) {
    let Some(wanted) = wanted(desk, federation) else {
        return;
    };
    let row = AnnouncedRow(federation);
    let told = desk.rows.get(&row);
    let (number, valid_until) = told.as_ref().map_or((0, 0), |told| {
        let announcement = &told.signed.announcement;
        (announcement.number, announcement.valid_until)
    });
    let lasts = |told: &Announced| {
        let until = told.signed.announcement.valid_until;
        // What was told and what is wanted may differ in nothing but their numbers and times.
        let same = Announcement {
            number,
            valid_until: until,
            ..wanted.clone()
        };
        let left = until.saturating_sub(wanted.valid_until - ANNOUNCEMENT_BLOCKS);
        told.signed.announcement == same && left > ANNOUNCEMENT_BLOCKS / 2
    };
    let announced = match told.filter(lasts) {
        Some(told) if told.published => return,
        Some(told) => told,
        None => {
            // A clock that was set back must not make a later one look older.
            let number = desk.now.0.max(number.saturating_add(1));
            // Nor does it hold shorter, whatever was heard last of the height: guardians would refuse it.
            let valid_until = valid_until.max(wanted.valid_until);
            let announcement = Announcement {
                number,
                valid_until,
                ..wanted
            };
            Announced {
                signed: announcement.sign(federation, &desk.keys.gateway(federation)),
                published: false,
            }
        }
    };
    desk.rows.put(&row, &announced);
    let order = Order::Announce(Box::new(announced.signed));
    desk.order(federation, order);
    desk.retry(Concern::Announcement(federation));
}

/// What should be said now; nothing if the gateway takes on nothing, so that guardians forget it in time.
fn wanted(desk: &Desk, federation: FederationId) -> Option<Announcement> {
    let served = desk.served(federation).ok()?;
    desk.may_begin(&served).ok()?;
    let height = desk.federations.get(&federation)?.height;
    let settings = served.settings;
    let node = desk.node.as_ref()?;
    Some(Announcement {
        key: desk.keys.gateway(federation).x_only_public_key().0,
        node_key: node
            .node_id
            .and_then(|id| PublicKey::from_slice(&id.0).ok()),
        swap_only: node.swap_only,
        api_url: settings.api_url?,
        send_fees: settings.send_fees,
        receive_fees: settings.receive_fees,
        route_hints: settings.route_hints,
        number: 0,
        valid_until: height.checked_add(ANNOUNCEMENT_BLOCKS)?,
    })
}

/// Why wallets do not see the gateway in a federation that it serves, and what to do; none if they do.
pub(crate) fn unseen(desk: &Desk, federation: FederationId) -> Option<String> {
    let told = desk.rows.get(&AnnouncedRow(federation));
    if told.is_some_and(|told| told.published) {
        return None;
    }
    let served = desk.served(federation).ok()?;
    if served.settings.api_url.is_none() {
        return Some("it has no URL to announce: set `api_url`".to_owned());
    }
    let ecash = desk.federations.get(&federation)?.ecash;
    Some(match ecash == Amount::ZERO {
        true => format!("its announcement costs e-cash, and there is none: `guildmint-gateway-cli ecash deposit {federation}` gives an address for bitcoin that becomes e-cash"),
        false => format!("its announcement is not taken yet, of {ecash} of e-cash; look at the warnings if that lasts"),
    })
}

/// Guardians have taken an announcement.
pub(crate) fn published(desk: &mut Desk, federation: FederationId, number: u64) {
    let row = AnnouncedRow(federation);
    let Some(mut told) = desk.rows.get(&row) else {
        return;
    };
    if told.signed.announcement.number == number && !told.published {
        told.published = true;
        desk.rows.put(&row, &told);
    }
}

/// They have not. It is tried again a while later, when its timer runs out.
pub(crate) fn refused(desk: &mut Desk, federation: FederationId, number: u64, reason: String) {
    let told = desk.rows.get(&AnnouncedRow(federation));
    if told.is_some_and(|told| told.signed.announcement.number == number && !told.published) {
        desk.warn(Warning::NotAnnounced(federation, reason));
    }
}
