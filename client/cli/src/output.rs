//! One document on standard output, one line on standard error.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

pub use guildmint_terminal::clean;
use guildmint_terminal::render;
use serde_json::Value as Json;

use crate::{
    arguments::Format,
    failure::{Exit, Failure},
};

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
