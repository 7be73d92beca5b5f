//! What the operator sees of the guardian.

use guildmint_core::{api::RevisionReport, limits::MIN_PROPOSAL_DIGITS, PeerId};
use maud::{html, Markup};
use tide::{Response, StatusCode};

use guildmint_daemon::pages::{
    kit::{copyable, facts, mark, qr, section, table, visible, Page},
    money::sat,
    time::ago,
};

use super::money::{balance, coins};
use crate::{GuardianFacts, Overview, WalletFacts};

/// How often a browser asks again.
const REFRESH_SECONDS: u32 = 30;

const LINKS: [(&str, &str); 2] = [("/metrics", "Metrics"), ("/status", "JSON")];

/// The page. Whoever came by a session can end it.
pub(crate) fn page(overview: &Overview, can_log_out: bool) -> Response {
    let body = html! {
        (health(overview))
        (section("Guardians", &guardians(&overview.guardians)))
        (section("Epochs", &epochs(overview)))
        (section("Balance sheet", &balance(overview.audit.as_ref())))
        @if let Some(wallet) = &overview.wallet {
            (section("Bitcoin", &bitcoin(wallet)))
            (section("Withdrawals", &payouts(wallet)))
            (section("Coins", &coins(wallet)))
        }
        @if let Some(report) = &overview.revisions {
            (section("Revisions", &revisions(report)))
        }
        (section("This guardian", &storage(overview)))
        (section("Invite code", &html! {
            (copyable("What wallets join with", &overview.federation.invite))
            (qr(&overview.federation.invite))
        }))
    };
    let page = Page {
        links: &LINKS,
        can_log_out,
        refresh_seconds: Some(REFRESH_SECONDS),
        ..Page::new(&overview.federation.name)
    };
    page.response(StatusCode::Ok, &body)
}

fn health(overview: &Overview) -> Markup {
    let rows: Vec<_> = overview
        .checks
        .iter()
        .map(|check| {
            vec![
                html! { (check.name) },
                mark(check.ok, "in order", "not in order"),
                html! { (visible(&check.detail)) },
            ]
        })
        .collect();
    let halted = overview
        .status
        .as_ref()
        .and_then(|status| status.halted.as_ref());
    html! {
        @if let Some(warning) = &overview.federation.warning { p.bad { (warning) } }
        @if let Some(why) = halted {
            p.bad role="alert" { "This guardian has stopped for good: " (visible(why)) ". Do not restart it before you know why." }
        }
        (section("Health", &html! {
            p { (mark(overview.ready, "Clients are served.", "Clients cannot be served.")) }
            (table(&["Check", "", "Detail"], &rows, "No checks."))
        }))
    }
}

fn guardians(guardians: &[GuardianFacts]) -> Markup {
    let rows: Vec<_> = guardians
        .iter()
        .map(|guardian| {
            vec![
                html! { (guardian.guardian.0) },
                html! { (visible(&guardian.name)) @if guardian.is_self { " (this one)" } },
                state(guardian),
                html! { @if let Some(ms) = guardian.round_trip_ms { (ms) " ms" } },
                html! { @if let Some(address) = &guardian.address { code { (visible(place(address))) } } },
                html! { code { (visible(&guardian.api)) } },
                faults(guardian),
            ]
        })
        .collect();
    table(
        &[
            "",
            "Name",
            "State",
            "Latency",
            "Connected by",
            "API",
            "Faults",
        ],
        &rows,
        "No guardians.",
    )
}

/// An address without the identity at its end, which the row's guardian has anyway.
fn place(address: &str) -> &str {
    address.split("/p2p/").next().unwrap_or(address)
}

fn state(guardian: &GuardianFacts) -> Markup {
    let up = match guardian.is_self {
        true => "running",
        false => "connected",
    };
    html! {
        (mark(guardian.connected, up, "not reached"))
        @if guardian.runs_twice { " " span.bad { "runs twice: one of two processes must be stopped" } }
        @if guardian.slowed_ms > 0 { " " span.bad { "sends too much: slowed for " (guardian.slowed_ms / 1000) " s" } }
    }
}

fn faults(guardian: &GuardianFacts) -> Markup {
    html! {
        @match (guardian.faults, &guardian.last_fault) {
            (0, _) => "none",
            (count, Some(last)) => { span.bad { (count) } ", last: " (visible(last)) }
            (count, None) => span.bad { (count) },
        }
    }
}

fn epochs(overview: &Overview) -> Markup {
    let Some(status) = &overview.status else {
        return html! { p.bad { "The guardian's loop does not answer." } };
    };
    facts(&[
        (
            "Last epoch",
            html! { @match status.committed { Some(epoch) => (epoch.0), None => "none yet" } },
        ),
        (
            "Committed",
            html! {
                @match overview.last_epoch_seconds { Some(seconds) => (ago(seconds)), None => "before this start" }
            },
        ),
        ("Waiting transactions", html! { (status.pool) }),
        ("Agreed clock", html! { "block " (status.height) }),
    ])
}

/// What counts, and what is proposed. To say something about it takes the command line.
fn revisions(report: &RevisionReport) -> Markup {
    let peers = |peers: &[PeerId]| {
        let names: Vec<String> = peers.iter().map(|peer| peer.0.to_string()).collect();
        names.join(", ")
    };
    let rows = report.proposals.iter().flat_map(|proposal| {
        proposal.changes.iter().map(|change| {
            let hash = proposal.hash.to_string();
            vec![
                html! { code { (hash.get(..MIN_PROPOSAL_DIGITS).unwrap_or_default()) } },
                html! { (visible(&change.value)) },
                html! { (visible(&change.from.to_string())) },
                html! { (visible(&change.to.to_string())) },
                html! { (peers(&proposal.approved_by)) " of " (report.needed) " needed" },
            ]
        })
    });
    let rows: Vec<_> = rows.collect();
    html! {
        (facts(&[
            ("Latest revision", html! { @match report.number { 0 => "none", number => (number) } }),
            ("Signed by guardians", html! { (peers(&report.signed_by)) }),
        ]))
        (table(&["Proposal", "Value", "Now", "Proposed", "Approved by"], &rows, "Nothing is proposed."))
    }
}

fn bitcoin(wallet: &WalletFacts) -> Markup {
    facts(&[
        (
            "Source",
            html! { (mark(wallet.source_ok, "answers", "does not answer")) ": " (visible(&wallet.source)) },
        ),
        (
            "Chain's tip",
            html! { @match wallet.tip_height { Some(height) => (height), None => "not seen" } },
        ),
        (
            "Agreed block",
            html! { (wallet.agreed_height) " " code { (wallet.agreed_hash) } },
        ),
        (
            "Fee rate",
            html! {
                @match wallet.fee_rate_sat_per_kvb { Some(rate) => { (sat(rate)) " per 1000 vB" }, None => "not agreed" }
            },
        ),
        ("Withdrawals waiting", html! { (wallet.queued) }),
    ])
}

fn payouts(wallet: &WalletFacts) -> Markup {
    let rows: Vec<_> = wallet
        .payouts
        .iter()
        .map(|payout| {
            vec![
                html! { code { (payout.txid) } },
                html! { (payout.state) },
                html! { (payout.recipients) },
                html! { (sat(payout.fee_sat)) },
                html! { (payout.signers) },
                html! { (payout.built_at) },
            ]
        })
        .collect();
    let headings = [
        "Transaction",
        "State",
        "Recipients",
        "Fee",
        "Signatures",
        "Built at block",
    ];
    table(&headings, &rows, "No transaction waits to be confirmed.")
}

fn storage(overview: &Overview) -> Markup {
    let database = &overview.database;
    facts(&[
        (
            "Version",
            html! { @if let Some(status) = &overview.status { (status.version) } },
        ),
        ("Started", html! { (ago(overview.uptime_seconds)) }),
        (
            "Federation",
            html! { code { (overview.federation.id) } " on " (overview.federation.network) },
        ),
        (
            "Database",
            html! {
                (visible(&database.place))
                @if let Some(bytes) = database.bytes { ", " (bytes / 1024) " KiB" }
                @if database.busy_ms > 1000 { ", " span.bad { "at work on one thing for " (database.busy_ms) " ms" } }
            },
        ),
        (
            "Backup of secrets",
            html! {
                @match &overview.backup {
                    Some(backup) => { "made " (ago(backup.age_seconds)) }
                    None => span.bad { "none known of" },
                }
            },
        ),
    ])
}
