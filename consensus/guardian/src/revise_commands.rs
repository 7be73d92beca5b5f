//! What the commands of `guildmintd revise` ask of the guardian that runs.

use std::fs;

use anyhow::Context as _;
use guildmint_core::api::Revise;
use guildmintd::cli::{Options, ReviseCommand};
use serde_json::{json, Value as Json};

use crate::setup_commands::Question;

/// What a command asks.
pub(crate) fn question(command: ReviseCommand) -> anyhow::Result<(Options, Question)> {
    let (place, said) = match command {
        ReviseCommand::Show(place) => (place, Revise::Show),
        ReviseCommand::Propose { file, set, place } => {
            let mut changes = match file {
                Some(path) => {
                    let text = fs::read_to_string(&path);
                    let text = text.with_context(|| path.display().to_string())?;
                    serde_json::from_str(&text).with_context(|| path.display().to_string())?
                }
                None => json!({}),
            };
            for one in set {
                put(&mut changes, &one)?;
            }
            (place, Revise::Propose(changes))
        }
        ReviseCommand::Approve { proposal, place } => (place, Revise::Approve(proposal)),
        ReviseCommand::Withdraw(place) => (place, Revise::Withdraw),
    };
    let body = Some(serde_json::to_value(&said)?);
    let path = "/revisions";
    Ok((place.into(), Question { path, body }))
}

/// Puts `a.b=value` where it belongs. What is no JSON is text.
fn put(changes: &mut Json, setting: &str) -> anyhow::Result<()> {
    let (name, value) = setting
        .split_once('=')
        .with_context(|| format!("{setting:?} sets nothing; write it like mint.input_fee=5"))?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| Json::from(value));
    let mut place = changes;
    for part in name.split('.') {
        let values = place
            .as_object_mut()
            .with_context(|| format!("{name} is inside of a value that is set as a whole"))?;
        place = values.entry(part).or_insert_with(|| json!({}));
    }
    *place = value;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_go_where_they_belong() {
        let mut changes = json!({ "mint": { "input_fee": 1 } });
        for setting in [
            "mint.output_fee=2",
            "name=New name",
            "guardians.1=\"7\"",
            "mint.input_fee=3",
        ] {
            put(&mut changes, setting).unwrap();
        }
        let expected = json!({
            "mint": { "input_fee": 3, "output_fee": 2 }, "name": "New name", "guardians": { "1": "7" }
        });
        assert_eq!(changes, expected);
        assert!(put(&mut changes, "name").is_err() && put(&mut changes, "name.x=1").is_err());
    }
}
