//! One document on standard output, one line on standard error.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use serde_json::Value as Json;

use crate::{
    arguments::Format,
    failure::{Exit, Failure},
};

/// Removes what could make a terminal show something else than what is there: names come from strangers.
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

/// Prints the answer of a command that succeeded.
pub fn print(document: &Json, format: Format) -> ExitCode {
    // A completion script is text, not an answer.
    if let Json::String(text) = document {
        return print_text(text);
    }
    print_text(&render(document, format))
}

/// Prints text as it is.
pub fn print_text(text: &str) -> ExitCode {
    match writeln!(io::stdout().lock(), "{}", text.trim_end()) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read us has gone; there is nobody to tell.
        Err(_) => Exit::Failed.into(),
    }
}

/// Prints the document and the line of a command that failed.
pub fn fail(failure: &Failure, format: Format) -> ExitCode {
    let _ = writeln!(io::stderr().lock(), "{}", clean(&failure.line()));
    if format == Format::Json {
        print_text(&render(&failure.document(), format));
    }
    failure.exit.into()
}

fn render(document: &Json, format: Format) -> String {
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
