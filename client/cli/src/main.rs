#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod arguments;
mod commands;
mod failure;
mod output;
mod progress;
mod signals;
mod wallet;

use std::process::ExitCode;

use structopt::{clap, StructOpt};

use crate::{
    arguments::{Arguments, Format},
    failure::{Exit, Failure},
    signals::Signals,
};

fn main() -> ExitCode {
    let arguments = match Arguments::from_iter_safe(std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(error) => return refuse(&error),
    };
    let format = arguments.output;
    let done = Signals::install(format)
        .and_then(|signals| async_std::task::block_on(commands::run(arguments, &signals)));
    match done {
        Ok(document) => output::print(&document, format),
        Err(failure) => output::fail(&failure, format),
    }
}

/// What clap says: help and version are answers, the rest is a usage error.
fn refuse(error: &clap::Error) -> ExitCode {
    use clap::ErrorKind::{HelpDisplayed, VersionDisplayed};
    if matches!(error.kind, HelpDisplayed | VersionDisplayed) {
        return output::print_text(&error.message);
    }
    // The rest of clap's message is the usage; the first line says what is wrong.
    let line = error.message.lines().next().unwrap_or_default();
    let line = line.trim_start_matches("error: ");
    let failure = Failure::new(Exit::Usage, "usage", line)
        .remedy("`guildmint --help` and `guildmint <command> --help` show what can be said");
    output::fail(&failure, Format::Json)
}
