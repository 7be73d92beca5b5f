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
    let entries: Vec<(String, &Json)> = match value {
        Json::Object(members) => members
            .iter()
            .map(|(name, value)| (format!("{}:", name.replace('_', " ")), value))
            .collect(),
        Json::Array(items) => items.iter().map(|item| ("-".to_owned(), item)).collect(),
        other => {
            lines.push(format!("{indent}{}", scalar(other)));
            return;
        }
    };
    for (name, value) in entries {
        match value {
            Json::Object(_) | Json::Array(_) => {
                lines.push(format!("{indent}{name}"));
                human(value, depth + 1, lines);
            }
            other => lines.push(format!("{indent}{name} {}", scalar(other))),
        }
    }
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
            "balance msat: 5\nnotes:\n  -\n    count: 1\ntxid: none"
        );
    }
}
