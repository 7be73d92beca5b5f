use std::collections::BTreeSet;

use guildmint_core::{
    ledger::{Key, Scope, Space},
    Row as _, TxId,
};
use guildmint_engine::rows::Accepted;

use super::*;

const README: &str = include_str!("../../README.md");
const ALERTS: &str = include_str!("../../alerts.yml");

#[test]
fn accepted_transactions_are_counted_among_all_changes() {
    let metrics = Metrics::default();
    let agreed = Scope::engine(Space::Agreed);
    let accepted = |byte| (Accepted(TxId([byte; 32])).key(agreed), Some(vec![]));
    let other = (Key(b"zz".to_vec()), None);
    metrics.will_save(&[accepted(1), other, accepted(255)].into());
    assert_eq!(metrics.accepted.get(), 2);
}

#[test]
fn faults_are_counted_and_the_last_is_remembered() {
    let metrics = Metrics::default();
    let fault = |kind: &str| Fault {
        peer: PeerId(2),
        kind: kind.into(),
    };
    metrics.fault(&fault("first"));
    metrics.fault(&fault("second"));
    assert_eq!(metrics.faults_of(PeerId(2)), (2, Some("second".into())));
    assert_eq!(metrics.faults_of(PeerId(1)), (0, None));
}

/// Names as they are scraped, without the prefix.
fn exported() -> BTreeSet<String> {
    let metrics = Metrics::default();
    // What has labels is exported once there is a value.
    metrics.request("status");
    metrics.submission("pending");
    metrics.faults_of(PeerId(0));
    let (guardian, module) = (
        OfGuardian { guardian: 0 },
        OfModule {
            module: "mint".into(),
        },
    );
    metrics.connected.get_or_create_owned(&guardian);
    metrics.round_trip.get_or_create_owned(&guardian);
    metrics.twice.get_or_create_owned(&guardian);
    metrics.slowed.get_or_create_owned(&guardian);
    metrics.assets.get_or_create_owned(&module);
    metrics.liabilities.get_or_create_owned(&module);
    metrics.checks.get_or_create_owned(&OfCheck {
        check: "network".into(),
    });
    let mut text = String::new();
    text::encode(&mut text, &metrics.registry).unwrap();
    let types = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE guildmint_"));
    let name = |line: &str| {
        let (name, kind) = line.split_once(' ').unwrap();
        if kind == "counter" {
            format!("{name}_total")
        } else {
            name.to_owned()
        }
    };
    types.map(name).collect()
}

#[test]
fn all_metrics_and_no_others_are_in_the_readme() {
    let table = README
        .split("## Metrics")
        .nth(1)
        .unwrap()
        .split("alerts.yml")
        .next()
        .unwrap();
    let rows = table
        .lines()
        .filter(|line| line.starts_with("| `") && !line.contains('…'));
    let names = rows.flat_map(|row| row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2));
    let documented: BTreeSet<_> = names.map(str::to_owned).collect();
    assert_eq!(documented, exported());
}

#[test]
fn alerts_watch_metrics_that_there_are() {
    let words = ALERTS.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let watched: BTreeSet<_> = words
        .filter_map(|word| word.strip_prefix("guildmint_"))
        .collect();
    let exported = exported();
    for name in &watched {
        let base = name
            .trim_end_matches("_bucket")
            .trim_end_matches("_count")
            .trim_end_matches("_sum");
        assert!(
            exported.contains(*name) || exported.contains(base),
            "guildmint_{name} is not exported"
        );
    }
    assert!(watched.len() > 8, "{watched:?}");
    let alerts = ALERTS
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "));
    for alert in alerts {
        assert!(
            README.contains(&format!("`{alert}`")),
            "{alert} is not in the README"
        );
    }
}
