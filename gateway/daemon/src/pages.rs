//! The operator's page.

use guildmint_daemon::pages::{
    kit::{copyable, facts, mark, section, table, visible, Page},
    money::msat,
    time::ago,
};
use guildmint_gateway::{Entry, Kind};
use maud::{html, Markup};
use tide::{Response, StatusCode};

use crate::{
    overview::{FederationFacts, Overview},
    shell::now,
};

/// How often a browser asks again.
const REFRESH_SECONDS: u32 = 30;

const LINKS: [(&str, &str); 2] = [("/metrics", "Metrics"), ("/status", "JSON")];

/// Warnings that are shown. `guildmint-gateway-cli warnings` has more.
const MAX_WARNINGS: usize = 10;

/// Channels that are shown. `guildmint-gateway-cli channel list` has all.
const MAX_CHANNELS: usize = 50;

/// The page. Whoever came by a session can end it.
pub(crate) fn page(overview: &Overview, can_log_out: bool) -> Response {
    let body = html! {
        (health(overview))
        (section("Money", &money(overview)))
        (section("Channels", &channels(overview)))
        (section("Last 24 hours", &day(overview)))
        (section("Federations", &federations(&overview.federations)))
        (section("Fees and limits", &settings(&overview.federations)))
        (section("Warnings", &warnings(overview)))
        (section("This gateway", &node(overview)))
    };
    let page = Page {
        links: &LINKS,
        can_log_out,
        refresh_seconds: Some(REFRESH_SECONDS),
        ..Page::new("Lightning gateway")
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
    let body = html! {
        @if overview.totals.halted {
            p.bad role="alert" { "Nothing new is begun: too much was lost. Look at the last payments, then " code { "guildmint-gateway-cli resume" } "." }
        }
        p { (mark(overview.ready, "Wallets are served.", "Wallets cannot be served.")) }
        (table(&["Check", "", "Detail"], &rows, "No checks."))
    };
    section("Health", &body)
}

fn money(overview: &Overview) -> Markup {
    let balances = &overview.node.balances;
    let mut rows = vec![
        ("On the chain, free", balances.wallet_msat),
        (
            "On the chain, reserved for closing channels",
            balances.reserved_msat,
        ),
        ("On the chain, not confirmed", balances.unconfirmed_msat),
        ("Of channels that are closing", balances.closing_msat),
        ("In channels, ours", balances.channels_msat),
    ];
    let rows = rows
        .drain(..)
        .map(|(name, amount)| (html! { (name) }, amount));
    let ecash = overview.federations.iter().map(|federation| {
        let name = html! { "E-cash in " (visible(title(federation))) };
        (
            name,
            federation
                .ecash_msat
                .saturating_add(federation.pending_msat),
        )
    });
    let rows: Vec<(Markup, u64)> = rows.chain(ecash).collect();
    let sum = rows.iter().map(|(_, amount)| amount).sum::<u64>();
    let mut rows: Vec<_> = rows
        .into_iter()
        .map(|(name, amount)| vec![name, html! { (msat(amount)) }])
        .collect();
    rows.push(vec![
        html! { strong { "All" } },
        html! { strong { (msat(sum)) } },
    ]);
    table(&["", ""], &rows, "Nothing.")
}

/// What a federation is called; its name is a stranger's.
fn title(federation: &FederationFacts) -> &str {
    match federation.name.is_empty() {
        true => "a federation without a name",
        false => &federation.name,
    }
}

fn channels(overview: &Overview) -> Markup {
    let channels = &overview.node.channels;
    let rows: Vec<_> = channels
        .iter()
        .take(MAX_CHANNELS)
        .map(|channel| {
            let state = match (channel.ready, channel.usable) {
                (_, true) => mark(true, "usable", ""),
                (true, false) => mark(false, "", "peer not connected"),
                (false, false) => html! { span.quiet { "being opened" } },
            };
            let all = channel.outbound_msat.saturating_add(channel.inbound_msat);
            vec![
                html! { code { (short(&channel.peer.to_string())) } },
                state,
                html! { (msat(channel.capacity_sat.saturating_mul(1000))) },
                html! { (msat(channel.outbound_msat)) },
                // Bars need no style of their own: a meter is drawn by the browser.
                html! { meter min="0" max=(all.max(1)) value=(channel.outbound_msat) title="what can be sent, of what can be moved" {} },
                html! { (msat(channel.inbound_msat)) },
                html! { @if channel.public { "public" } @else { "private" } },
            ]
        })
        .collect();
    let headings = ["Peer", "State", "Size", "Can send", "", "Can receive", ""];
    html! {
        (facts(&[
            ("Can be sent", html! { (msat(overview.outbound_msat())) }),
            ("Can be received", html! { (msat(overview.inbound_msat())) }),
            ("Peers", html! { (overview.node.peers) }),
        ]))
        (table(&headings, &rows, "No channels. Without one nothing is paid to or received from Lightning."))
        @if channels.len() > MAX_CHANNELS { p.quiet { "There are " (channels.len() - MAX_CHANNELS) " more." } }
    }
}

/// The beginning of a long name.
fn short(name: &str) -> String {
    match name.get(..16) {
        Some(start) => format!("{start}…"),
        None => name.to_owned(),
    }
}

/// An amount that may be negative.
fn signed(msat_: i64) -> String {
    match msat_ {
        0.. => msat(msat_.unsigned_abs()),
        _ => format!("−{}", msat(msat_.unsigned_abs())),
    }
}

fn day(overview: &Overview) -> Markup {
    let day = &overview.day;
    let rows: Vec<_> = overview.latest.iter().map(payment).collect();
    html! {
        (facts(&[
            ("Payments", html! { (day.payments) ": " (day.paid) " paid, " (day.received) " received, " (day.swapped) " swapped" }),
            ("Brought", html! { (msat(day.income_msat)) }),
            ("Cost", html! { (msat(day.cost_msat)) }),
            ("Earned", mark(day.earned_msat() >= 0, &signed(day.earned_msat()), &signed(day.earned_msat()))),
            ("Earned since the beginning", html! { (signed(overview.earned_msat)) }),
            ("Under way", html! { (overview.open) }),
        ]))
        (table(&["", "When", "What", "Hash", "Brought", "Cost"], &rows, "No payments."))
    }
}

fn payment(entry: &Entry) -> Vec<Markup> {
    let kind = match entry.kind {
        Kind::Pay => "paid",
        Kind::Receive => "received",
        Kind::Swap => "swapped",
    };
    vec![
        html! { (entry.number) },
        html! { (ago(now().since_ms(entry.at) / 1000)) },
        html! { (kind) },
        html! { code { (short(&entry.hash.to_string())) } },
        html! { (msat(entry.income.msat())) },
        html! { (msat(entry.cost.msat())) },
    ]
}

fn federations(federations: &[FederationFacts]) -> Markup {
    let rows: Vec<_> = federations
        .iter()
        .map(|federation| {
            let state = match (&federation.trouble, federation.left) {
                (_, true) => html! { span.quiet { "left" } },
                (None, false) => mark(true, "served", ""),
                (Some(trouble), false) => html! { span.bad { (visible(trouble)) } },
            };
            vec![
                html! { (visible(title(federation))) },
                html! { code { (short(&federation.id.to_string())) } },
                state,
                html! { (msat(federation.ecash_msat)) },
                html! { (msat(federation.pending_msat)) },
                html! { @match federation.height { Some(height) => (height), None => "not heard of" } },
                html! { (federation.invoices) },
            ]
        })
        .collect();
    let headings = [
        "Name",
        "",
        "State",
        "E-cash",
        "On its way",
        "Clock",
        "Invoices",
    ];
    table(
        &headings,
        &rows,
        "None is joined: guildmint-gateway-cli federation join.",
    )
}

fn settings(federations: &[FederationFacts]) -> Markup {
    let fee = |fees: &guildmint_ln::FeeSchedule| {
        html! { (msat(fees.base.msat())) " + " (fees.parts_per_million) " ppm" }
    };
    let rows: Vec<_> = federations
        .iter()
        .map(|federation| {
            let (settings, limits) = (&federation.settings, &federation.settings.limits);
            vec![
                html! { (visible(title(federation))) },
                fee(&settings.send_fees),
                fee(&settings.send_margin),
                fee(&settings.receive_fees),
                html! { (msat(federation.ecash_msat)) " of " (msat(limits.exposure.msat())) },
                html! { (msat(federation.spent_msat)) " of " (msat(limits.spending.msat())) },
                html! { (limits.paying) " out, " (limits.held) " in" },
            ]
        })
        .collect();
    let headings = [
        "",
        "Paying",
        "Kept of it",
        "Receiving",
        "In the federation",
        "Spent today",
        "At once",
    ];
    table(&headings, &rows, "Nothing is set.")
}

fn warnings(overview: &Overview) -> Markup {
    let rows: Vec<_> = overview
        .warnings
        .iter()
        .take(MAX_WARNINGS)
        .map(|warning| {
            let age_s = now().0.saturating_sub(warning.at_ms) / 1000;
            let often = html! { @if warning.times > 1 { " (" (warning.times) " times)" } };
            vec![
                html! { (ago(age_s)) },
                html! { (visible(&warning.text)) (often) },
            ]
        })
        .collect();
    let more = overview.warnings.len().saturating_sub(MAX_WARNINGS);
    html! {
        (table(&["When", "What"], &rows, "None since the start."))
        @if more > 0 { p.quiet { "There are " (more) " more: " code { "guildmint-gateway-cli warnings" } "." } }
    }
}

fn node(overview: &Overview) -> Markup {
    let node = &overview.node;
    html! {
        (facts(&[
            ("Version", html! { (overview.version) }),
            ("Network", html! { (overview.network) }),
            ("Started", html! { (ago(overview.uptime_s)) }),
            ("Wallets reach it at", html! {
                @match &overview.api_url { Some(url) => code { (visible(url)) }, None => "no URL is set, so it is not announced" }
            }),
            ("Node", html! {
                @if node.swap_only { "none: this gateway only swaps, and its own users alone can pay its invoices" }
                @else if let Some(id) = &node.node_id { code { (id) } }
            }),
            ("Chain", html! {
                @match (!node.swap_only, overview.sync_age_s()) {
                    (false, _) => "not looked at",
                    (true, None) => span.bad { "not seen since the start" },
                    (true, Some(age)) => { "height " (node.height) ", at the tip " (ago(age)) },
                }
            }),
        ]))
        @for place in &overview.connect { (copyable("What other nodes connect to", place)) }
    }
}
