#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

use std::str::FromStr;

use serde_json::Value as Json;

/// How answers are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON document.
    Json,
    /// Lines for people.
    Human,
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "json" => Ok(Self::Json),
            "human" => Ok(Self::Human),
            other => Err(format!("{other:?} is no format; say json or human")),
        }
    }
}

/// Removes what could make a terminal show something else than what is there: names come from strangers.
#[must_use]
pub fn clean(text: &str) -> String {
    let visible = |c: char| match c {
        '\n' => ' ',
        // Marks that change the direction of writing, or cannot be seen at all.
        '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}' => '\u{fffd}',
        c if c.is_control() => '\u{fffd}',
        c => c,
    };
    text.chars().map(visible).collect()
}

/// How e-cash begins.
const NOTES: &str = "guildnote1";

/// Takes e-cash out of a complaint about a command line: whoever reads the text has the money.
#[must_use]
pub fn without_notes(text: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some(start) = rest.to_ascii_lowercase().find(NOTES) {
        let end = start + NOTES.len();
        kept.push_str(&rest[..end]);
        kept.push('…');
        rest = rest[end..].trim_start_matches(|c: char| c.is_ascii_alphanumeric());
    }
    kept + rest
}

/// What is said of an argument that nobody expected, in its place: it may be e-cash, a password or words of a wallet.
pub const ONE_TOO_MANY: &str =
    "there is an argument too many, which is not shown here: it may be a secret";

fn clean_all(value: Json) -> Json {
    match value {
        Json::String(text) => Json::String(clean(&text)),
        Json::Array(items) => items.into_iter().map(clean_all).collect(),
        Json::Object(members) => members
            .into_iter()
            .map(|(name, value)| (clean(&name), clean_all(value)))
            .collect(),
        other => other,
    }
}

/// An answer as it is printed.
#[must_use]
pub fn render(document: &Json, format: Format) -> String {
    let document = clean_all(document.clone());
    match format {
        Format::Json => serde_json::to_string_pretty(&document).unwrap_or_default(),
        Format::Human => {
            let mut lines = Vec::new();
            human(&document, 0, &mut lines);
            lines.join("\n")
        }
    }
}

/// One line for each member; what has members of its own is indented below its name.
fn human(value: &Json, depth: usize, lines: &mut Vec<String>) {
    let indent = "  ".repeat(depth);
    let items = match value {
        Json::Object(members) => {
            let named = members.iter().map(|(name, value)| named(name, value));
            return named
                .for_each(|(name, value)| entry(&format!("{name}:"), &value, depth, lines));
        }
        Json::Array(items) => items,
        other => {
            lines.push(format!("{indent}{}", scalar(other)));
            return;
        }
    };
    items.iter().for_each(|item| entry("-", item, depth, lines));
}

fn entry(name: &str, value: &Json, depth: usize, lines: &mut Vec<String>) {
    let indent = "  ".repeat(depth);
    match value {
        Json::Object(_) | Json::Array(_) => {
            lines.push(format!("{indent}{name}"));
            human(value, depth + 1, lines);
        }
        other => lines.push(format!("{indent}{name} {}", scalar(other))),
    }
}

/// A member as people know it: millisatoshi are shown in satoshi, exactly.
fn named(name: &str, value: &Json) -> (String, Json) {
    let sat = name.strip_suffix("_msat").zip(in_sat(value));
    let (name, value) = sat.map_or((name, value.clone()), |(name, sat)| (name, Json::from(sat)));
    (name.replace('_', " "), value)
}

fn in_sat(value: &Json) -> Option<String> {
    let msat = value.as_u64().map(i128::from);
    let msat = msat.or(value.as_i64().map(i128::from))?;
    let sign = if msat < 0 { "-" } else { "" };
    let (sat, rest) = (msat.abs() / 1_000, msat.abs() % 1_000);
    let amount = format!("{sign}{sat}.{rest:03}");
    let amount = amount.trim_end_matches('0').trim_end_matches('.');
    Some(format!("{amount} sat"))
}

fn scalar(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Null => "none".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn hostile_text_cannot_move_the_cursor() {
        let hostile = "a\u{1b}[2Jb\u{202e}c\u{7}\r\n\u{9b}d";
        let cleaned = clean(hostile);
        assert!(cleaned.chars().all(|c| !c.is_control()) && !cleaned.contains('\u{202e}'));
        let document = json!({ "name\u{1b}": [hostile] });
        for format in [Format::Json, Format::Human] {
            let text = render(&document, format);
            assert!(
                !text.contains('\u{1b}') && !text.contains("u001b"),
                "{text}"
            );
        }
    }

    #[test]
    fn people_get_lines() {
        let document = json!({ "balance_msat": 5, "notes": [{ "count": 1 }], "txid": null });
        assert_eq!(
            render(&document, Format::Human),
            "balance: 0.005 sat\nnotes:\n  -\n    count: 1\ntxid: none"
        );
    }

    #[test]
    fn people_get_satoshi_to_the_last_millisatoshi_and_programs_get_what_there_is() {
        for (msat, sat) in [
            (json!(0), "0 sat"),
            (json!(1_000), "1 sat"),
            (json!(1_050), "1.05 sat"),
            (json!(-7), "-0.007 sat"),
            (json!(i64::MIN), "-9223372036854775.808 sat"),
            (json!(u64::MAX), "18446744073709551.615 sat"),
            (json!("5"), "5"),
            (json!(null), "none"),
        ] {
            let document = json!({ "fee_msat": msat, "fee_sat": 2 });
            let human = render(&document, Format::Human);
            let name = if sat.ends_with("sat") {
                "fee"
            } else {
                "fee msat"
            };
            assert_eq!(human, format!("{name}: {sat}\nfee sat: 2"));
            let json = render(&document, Format::Json);
            assert!(json.contains(&format!("\"fee_msat\": {msat}")), "{json}");
        }
    }

    #[test]
    fn notes_are_taken_out_of_complaints() {
        let text = "Found 'GUILDNOTE1qqé' and guildnote1abc, not guildnote1";
        let without = "Found 'GUILDNOTE1…é' and guildnote1…, not guildnote1…";
        assert_eq!(without_notes(text), without);
        assert_eq!(without_notes("İ guild1abc"), "İ guild1abc");
    }
}
