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

use guildmint_terminal::{without_notes, ONE_TOO_MANY};
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
    let failure = Failure::new(Exit::Usage, "usage", without_notes(&complaint(error)))
        .remedy("`guildmint --help` and `guildmint <command> --help` show what can be said");
    output::fail(&failure, wanted_format())
}

/// What is wrong, without the usage that clap adds to it.
fn complaint(error: &clap::Error) -> String {
    // Clap has nothing to say here but the whole help.
    if error.kind == clap::ErrorKind::MissingArgumentOrSubcommand {
        return "no command is given".to_owned();
    }
    let is_option = |argument: &str| argument.starts_with('-');
    let argument = error.info.iter().flatten().next();
    if error.kind == clap::ErrorKind::UnknownArgument && !argument.is_some_and(|one| is_option(one))
    {
        return ONE_TOO_MANY.to_owned();
    }
    let ends = ["USAGE:", "For more info", "If you believe"];
    let lines = error.message.lines().map(str::trim);
    let lines = lines.take_while(|line| !ends.iter().any(|end| line.starts_with(end)));
    let words: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    words.join(" ").trim_start_matches("error: ").to_owned()
}

/// The format that is asked for on a command line which cannot be read.
fn wanted_format() -> Format {
    let arguments: Vec<String> = std::env::args().collect();
    let option = arguments.windows(2).find_map(|pair| match pair {
        [name, value] if name == "--output" => Some(value.as_str()),
        [_, both] => both.strip_prefix("--output="),
        _ => None,
    });
    let variable = std::env::var("GUILDMINT_OUTPUT").ok();
    let format = option.or(variable.as_deref()).map(str::parse);
    format.and_then(Result::ok).unwrap_or(Format::Json)
}
