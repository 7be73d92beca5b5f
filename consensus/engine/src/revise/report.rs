//! Revisions as operators see and write them: one JSON document of all values.

use std::collections::{BTreeMap, BTreeSet};

use guildmint_core::{
    api::{ChangeReport, ProposalReport, RevisionReport},
    ledger::Ledger,
    Conditions, Revision, Values,
};
use serde_json::{json, Value as Json};

use super::latest;
use crate::Federation;

const NAME: &str = "name";
const GUARDIANS: &str = "guardians";

impl Federation {
    /// What the operator is told.
    pub(crate) fn revision_report(&self, ledger: &mut Ledger<'_>) -> RevisionReport {
        let (agreed, values) = (latest(ledger), self.present(ledger));
        let present = self.show(&values);
        let proposal = |(revision, by): (Revision, BTreeSet<_>)| {
            let mut changes = Vec::new();
            compare("", &present, &self.show(&revision.values), &mut changes);
            ProposalReport {
                number: revision.number,
                hash: revision.hash(),
                changes,
                approved_by: by.into_iter().collect(),
            }
        };
        let approves = self.stance(ledger).map(|revision| {
            let mut all = self.approvals(ledger).into_iter();
            let agreed = all.find(|(one, _)| *one == revision);
            proposal(agreed.unwrap_or((revision, BTreeSet::new())))
        });
        let proposals = self.approvals(ledger).into_iter().map(proposal).collect();
        let signed = agreed.as_ref().map(|agreed| &agreed.signed);
        RevisionReport {
            number: signed.map_or(0, |signed| signed.revision.number),
            from: agreed.as_ref().map(|agreed| agreed.from),
            signed_by: signed.map_or_else(Vec::new, |signed| {
                signed.signatures.keys().copied().collect()
            }),
            needed: self.quorum().threshold(),
            present,
            proposals,
            approves,
        }
    }

    /// Values for people: conditions go by the kinds of their modules.
    fn show(&self, values: &Values) -> Json {
        let mut shown = json!({ NAME: values.name, GUARDIANS: values.guardians });
        for (id, conditions) in &values.conditions {
            if let Ok(module) = self.module(*id) {
                // What is agreed was read before.
                let json = module.show_conditions(conditions).unwrap_or_default();
                shown[module.kind()] = json;
            }
        }
        shown
    }

    /// The next revision, with these values in place of the present ones.
    ///
    /// # Errors
    /// If one of them does not exist, or cannot be agreed on.
    pub(crate) fn propose(
        &self,
        ledger: &mut Ledger<'_>,
        changes: &Json,
    ) -> Result<Revision, String> {
        let present = self.present(ledger);
        let before = self.show(&present);
        let mut shown = before.clone();
        merge("", &mut shown, changes)?;
        if shown == before {
            return Err("this changes nothing".into());
        }
        let latest = self.latest_revision(ledger);
        let revision = Revision {
            number: latest.number.saturating_add(1),
            previous: latest.hash,
            values: self.read(&present, shown)?,
        };
        self.check_revision(ledger, &revision)?;
        Ok(revision)
    }

    fn read(&self, present: &Values, mut shown: Json) -> Result<Values, String> {
        let mut conditions: BTreeMap<_, Conditions> = BTreeMap::new();
        for id in present.conditions.keys() {
            let module = self.module(*id).map_err(|reject| reject.message)?;
            let json = shown[module.kind()].clone();
            let read = module.read_conditions(json);
            let read = read.map_err(|problem| format!("{}: {problem}", module.kind()))?;
            conditions.insert(*id, read);
        }
        let wrong = |error: serde_json::Error| error.to_string();
        Ok(Values {
            name: serde_json::from_value(shown[NAME].take()).map_err(wrong)?,
            guardians: serde_json::from_value(shown[GUARDIANS].take()).map_err(wrong)?,
            conditions,
        })
    }
}

/// The name of a value inside of another.
fn inside(path: &str, name: &str) -> String {
    match path {
        "" => name.to_owned(),
        _ => format!("{path}.{name}"),
    }
}

/// Puts changes into a document. An object changes what it names; one in place of a list changes entries by their places;
/// text in place of a list is a list of it; everything else takes the place of what was there.
fn merge(path: &str, document: &mut Json, changes: &Json) -> Result<(), String> {
    let Json::Object(changes) = changes else {
        *document = match (&document, changes) {
            // One item is a list, and no text is none.
            (Json::Array(_), Json::String(text)) if text.is_empty() => json!([]),
            (Json::Array(_), Json::String(text)) => json!([text]),
            _ => changes.clone(),
        };
        return Ok(());
    };
    for (name, change) in changes {
        let path = inside(path, name);
        let place = match document {
            Json::Object(all) => all.get_mut(name),
            Json::Array(all) => name.parse().ok().and_then(|at: usize| all.get_mut(at)),
            _ => None,
        };
        let place = place.ok_or_else(|| format!("there is no {path} that could be changed"))?;
        merge(&path, place, change)?;
    }
    Ok(())
}

/// Names what differs.
fn compare(path: &str, from: &Json, to: &Json, changes: &mut Vec<ChangeReport>) {
    match (from, to) {
        (Json::Object(before), Json::Object(after)) => {
            for (name, from) in before {
                let to = after.get(name).unwrap_or(&Json::Null);
                compare(&inside(path, name), from, to, changes);
            }
        }
        (Json::Array(before), Json::Array(after)) if before.len() == after.len() => {
            for (place, (from, to)) in before.iter().zip(after).enumerate() {
                compare(&inside(path, &place.to_string()), from, to, changes);
            }
        }
        _ if from == to => {}
        _ => changes.push(ChangeReport {
            value: path.to_owned(),
            from: from.clone(),
            to: to.clone(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_merged_and_found_again() {
        let before = json!({ "name": "a", "guardians": ["x", "y"], "mint": { "input_fee": 0, "output_fee": 1 } });
        let mut after = before.clone();
        let change = json!({ "guardians": { "1": "z" }, "mint": { "input_fee": 5 } });
        merge("", &mut after, &change).unwrap();
        let expected = json!({ "name": "a", "guardians": ["x", "z"], "mint": { "input_fee": 5, "output_fee": 1 } });
        assert_eq!(after, expected);
        let mut other = before.clone();
        merge("", &mut other, &json!({ "guardians": "z" })).unwrap();
        assert_eq!(other["guardians"], json!(["z"]));
        merge("", &mut other, &json!({ "guardians": "" })).unwrap();
        assert_eq!(other["guardians"], json!([]));
        let mut found = Vec::new();
        compare("", &before, &after, &mut found);
        let found: Vec<_> = found
            .iter()
            .map(|one| (one.value.as_str(), &one.from, &one.to))
            .collect();
        let (y, z, free, five) = (json!("y"), json!("z"), json!(0), json!(5));
        assert_eq!(
            found,
            [("guardians.1", &y, &z), ("mint.input_fee", &free, &five)]
        );
        for wrong in [
            json!({ "color": 1 }),
            json!({ "guardians": { "2": "z" } }),
            json!({ "mint": { "keys": {} } }),
            json!({ "name": { "a": 1 } }),
        ] {
            assert!(merge("", &mut after, &wrong).is_err(), "{wrong}");
        }
    }
}
