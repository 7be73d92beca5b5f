//! The page on which operators found a federation: one step after the other, with what to do next on top.

use guildmint_core::{api::Problem, PeerId};
use maud::{html, Markup};
use tide::{Response, StatusCode};

use crate::setup::{SetupProposal, SetupStage, SetupStatus};
use guildmint_daemon::pages::kit::{
    copyable, facts, field, form, mark, qr, section, table, visible, visible_lines, Page,
};

/// Seconds between looks of a browser without scripts while there is nothing to type. Others look when something has changed.
const REFRESH_SECONDS: u32 = 20;

/// The page, with what was wrong with the last step.
pub(crate) fn page(status: &SetupStatus, can_log_out: bool, wrong: Option<&Problem>) -> Response {
    let body = html! {
        @if let Some(wrong) = wrong { p.bad role="alert" { (visible(&wrong.detail)) } }
        @if let Some(failure) = &status.failure { p.bad role="alert" { (visible(failure)) } }
        p.next { (status.next) }
        @if let Some(warning) = &status.warning { p.bad { (warning) } }
        @if let Some(code) = &status.code { (own_code(code)) } @else { (code_form()) }
        @if status.code.is_some() && status.guardians.is_empty() { (join_form()) }
        @if !status.guardians.is_empty() { (guardians(status)) }
        @if !status.guardians.is_empty() && status.confirmed.is_none() { (propose_form(status)) }
        @for proposal in &status.proposals { (self::proposal(status, proposal)) }
        @if let Some(keys) = &status.keys { (section("Keys", &progress(status, keys))) }
        @if let Some(id) = &status.federation { (facts(&[("Federation", html! { code { (id) } })])) }
        (begin_again(status))
    };
    let types = matches!(
        status.stage,
        SetupStage::Code | SetupStage::Join | SetupStage::Propose | SetupStage::Confirm
    );
    let waits = !types || status.stage == SetupStage::Confirm && status.confirmed.is_some();
    let page = Page {
        can_log_out,
        refresh_seconds: (waits && wrong.is_none()).then_some(REFRESH_SECONDS),
        changes: waits.then(|| format!("/v1/setup?wait=60&version={}", status.version)),
        ..Page::new("Found a federation")
    };
    let code = wrong.map_or(200, |problem| problem.status);
    page.response(StatusCode::try_from(code).unwrap_or(StatusCode::Ok), &body)
}

fn code_form() -> Markup {
    let fields = html! {
        (field("Name of this guardian", "name", "text"))
        (field("Where other guardians reach it, such as /dns4/guardian.example/tcp/8173", "p2p", "text"))
        (field("Where clients will reach it, such as https://guardian.example", "api", "url"))
    };
    section(
        "This guardian",
        &form("/setup/code", &fields, "Make the setup code"),
    )
}

fn own_code(code: &str) -> Markup {
    let body = html! {
        p { "Give this to every other operator, in a way in which nobody can replace it. It is no secret." }
        (copyable("Setup code", code))
        (qr(code))
    };
    section("This guardian's setup code", &body)
}

fn join_form() -> Markup {
    let fields = html! {
        label { span { "Setup codes of all guardians, one below the other" } textarea name="codes" rows="6" required {} }
    };
    section(
        "The others",
        &form("/setup/join", &fields, "Enter the codes"),
    )
}

fn guardians(status: &SetupStatus) -> Markup {
    let rows: Vec<Vec<Markup>> = status
        .guardians
        .iter()
        .map(|guardian| {
            let connected = guardian.connected || guardian.is_self;
            let agrees = match (&guardian.confirmed, &status.confirmed) {
                (None, _) => html! { span.quiet { "not yet" } },
                (Some(theirs), Some(ours)) if theirs != ours => {
                    html! { span.bad { "another proposal" } }
                }
                (Some(_), _) => html! { span.good { "yes" } },
            };
            vec![
                html! { (guardian.guardian.0) },
                html! { (visible(&guardian.name)) @if guardian.is_self { " (this one)" } },
                mark(connected, "connected", "not reached"),
                agrees,
            ]
        })
        .collect();
    let headings = ["", "Name", "Connection", "Has confirmed"];
    section("Guardians", &table(&headings, &rows, ""))
}

fn propose_form(status: &SetupStatus) -> Markup {
    let fields = html! {
        (field("Name of the federation", "name", "text"))
        label { span { "Bitcoin network" } select name="network" {
            @for network in ["bitcoin", "signet", "testnet4", "testnet", "regtest"] { option value=(network) { (network) } }
        } }
        label { span { "Electrum servers at which wallets look for deposits, such as ssl://electrum.example.org:50002, one below the other; without them each user must name one" } textarea name="electrum" rows="2" {} }
    };
    let form = form("/setup/propose", &fields, "Propose");
    let heading = match status.proposals.is_empty() {
        true => "What the federation shall be",
        false => "Propose something else",
    };
    section(heading, &form)
}

fn proposal(status: &SetupStatus, proposal: &SetupProposal) -> Markup {
    let by = format!("{} ({})", visible(status.name(proposal.by)), proposal.by.0);
    let written = serde_json::to_string_pretty(&proposal.proposal).unwrap_or_default();
    let is_confirmed = status.confirmed.as_ref() == Some(&proposal.session);
    let phrase = html! { input type="hidden" name="phrase" value=(proposal.check_phrase); };
    let body = html! {
        (facts(&[("Proposed by", html! { (by) }), ("Check phrase", html! { strong { (proposal.check_phrase) } })]))
        @if let Some(problem) = &proposal.problem { p.bad { "This guardian cannot confirm it: " (visible(problem)) } }
        // ⚠ Not folded away: a second way to spend the coins, for one, is only here.
        details open { summary { "All of it, which is what you confirm" } pre { (visible_lines(&written)) } }
        @if is_confirmed { p.good { "Confirmed." } }
        @else if status.confirmed.is_none() && proposal.problem.is_none() {
            p { "Read the check phrase to every other operator, by telephone or in person. Only if all of you see the same twelve words, confirm. It is for good." }
            (form("/setup/confirm", &phrase, "All of us see these words: confirm"))
        }
    };
    section("Proposal", &body)
}

fn progress(status: &SetupStatus, keys: &serde_json::Value) -> Markup {
    let text = |name: &str| keys.get(name).and_then(|text| text.as_str()).unwrap_or("");
    let names = |name: &str| {
        let peers = keys.get(name).and_then(|list| list.as_array());
        let peers = peers.into_iter().flatten().filter_map(|peer| peer.as_u64());
        let named = peers.map(|peer| {
            let peer = PeerId(u16::try_from(peer).unwrap_or(u16::MAX));
            format!("{} ({})", visible(status.name(peer)), peer.0)
        });
        named.collect::<Vec<_>>().join(", ")
    };
    html! {
        (facts(&[("Phase", html! { (text("phase")) }), ("Waiting for", html! { (names("waiting_for")) })]))
        @if text("phase") == "dealing" {
            (form("/setup/close", &html! {}, "Wait for no more dealings"))
            p.quiet { "If a guardian never deals, t of the operators can go on without its dealing; it must come back for all the rest." }
        }
    }
}

fn begin_again(status: &SetupStatus) -> Markup {
    if status.code.is_none() || status.stage == SetupStage::Waiting {
        return html! {};
    }
    html! {
        details {
            summary { "Begin again" }
            p { "This forgets this guardian's code and keys. All guardians must begin again, with new codes." }
            (form("/setup/abort", &html! {}, "Forget everything"))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// SPEC API-3: or it reads otherwise than it is.
    #[test]
    fn all_of_a_proposal_is_shown_as_it_is() {
        let hidden = "a\u{202e}\u{2028}<script>";
        let proposed = SetupProposal {
            by: PeerId(0),
            session: "5e".into(),
            check_phrase: "abandon".into(),
            proposal: json!({ "name": hidden, "terms": { "recovery": "x".repeat(300) } }),
            problem: None,
        };
        let status = SetupStatus {
            version: String::new(),
            warning: None,
            stage: SetupStage::Confirm,
            next: String::new(),
            code: None,
            guardians: Vec::new(),
            proposals: Vec::new(),
            confirmed: None,
            waiting_for: Vec::new(),
            keys: None,
            federation: None,
            failure: None,
        };
        let shown = proposal(&status, &proposed).into_string();
        assert!(shown.contains("<details open"), "{shown}");
        assert!(shown.contains("a\u{fffd}\u{fffd}&lt;script"), "{shown}");
        assert!(shown.contains(&"x".repeat(300)), "{shown}");
        assert!(shown.contains("\n  &quot;terms&quot;"), "{shown}");
    }
}
