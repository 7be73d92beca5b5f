//! What everybody sees of the federation, as this guardian sees it.

use maud::{html, Markup};
use tide::{Response, StatusCode};

use guildmint_daemon::pages::kit::{copyable, facts, mark, qr, section, table, visible, Page};

use super::money::{balance, coins};
use crate::{GuardianFacts, Overview};

/// The page. ⚠ Without addresses of connections, faults and anything else that is the operator's.
pub(crate) fn page(overview: &Overview) -> Response {
    let federation = &overview.federation;
    let body = html! {
        p { "A federation of " (overview.guardians.len()) " guardians, of which " (federation.threshold) " must agree, on bitcoin's "
            (federation.network) " network. This is how one of them sees it; another may see it otherwise." }
        p { (mark(overview.ready, "This guardian serves clients.", "This guardian cannot serve clients now.")) }
        (section("Join", &html! {
            (copyable("Invite code", &federation.invite))
            (qr(&federation.invite))
        }))
        (section("Guardians", &guardians(&overview.guardians)))
        (section("Reserves and liabilities", &html! {
            (balance(overview.audit.as_ref()))
            p.quiet { "Reserves can be compared with the chain. What is owed is what guardians say: ask several." }
        }))
        @if let Some(wallet) = &overview.wallet { (section("Coins", &coins(wallet))) }
        (section("Details", &facts(&[
            ("Federation", html! { code { (federation.id) } }),
            ("Last epoch", html! {
                @match overview.status.as_ref().and_then(|status| status.committed) { Some(epoch) => (epoch.0), None => "none" }
            }),
            ("Version", html! { @if let Some(status) = &overview.status { (status.version) } }),
        ])))
    };
    let page = Page {
        links: &[("/v1/openapi.json", "API"), ("/v1/audit", "Audit as JSON")],
        ..Page::new(&federation.name)
    };
    page.response(StatusCode::Ok, &body)
}

fn guardians(guardians: &[GuardianFacts]) -> Markup {
    let rows: Vec<_> = guardians
        .iter()
        .map(|guardian| {
            vec![
                html! { (guardian.guardian.0) },
                html! { (visible(&guardian.name)) @if guardian.is_self { " (this one)" } },
                mark(guardian.connected, "online", "not reached"),
                html! { code { (visible(&guardian.api)) } },
            ]
        })
        .collect();
    table(&["", "Name", "State", "API"], &rows, "No guardians.")
}
