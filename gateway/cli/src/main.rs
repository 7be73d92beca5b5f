#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod arguments;
mod failure;
mod request;

use std::{
    fs,
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use guildmint_terminal::{clean, render, without_notes, Format, ONE_TOO_MANY};
use serde_json::Value as Json;
use structopt::{clap, StructOpt};
use zeroize::Zeroizing;

use crate::{
    arguments::Arguments,
    failure::{Exit, Failure},
    request::{request, Request},
};

/// What the token is called in the environment.
const TOKEN_VARIABLE: &str = "GUILDMINT_GATEWAY_TOKEN";

/// The file with the token in a data directory.
const COOKIE_FILE: &str = "admin.cookie";

/// Seconds to wait for an answer: to open a channel takes a peer that agrees, and to join a federation its guardians.
const PATIENCE_SECONDS: u64 = 90;

/// Seconds that the gateway is asked to wait at a time.
const WAIT_SECONDS: u64 = 30;

fn main() -> ExitCode {
    let arguments = match Arguments::from_iter_safe(std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(error) => return refuse(&error),
    };
    let format = match arguments.json {
        true => Format::Json,
        false => Format::Human,
    };
    match run(arguments) {
        Ok(answer) => print(&render(&answer, format)),
        Err(failure) => fail(&failure, format),
    }
}

fn run(arguments: Arguments) -> Result<Json, Failure> {
    let url = arguments.url.trim_end_matches('/').to_owned();
    let token = token(arguments.token_file, arguments.data_dir)?;
    let request = request(arguments.command)?;
    let Some(patience) = request.patience else {
        return ask(&url, &request.path, &request, &token);
    };
    let deadline = Instant::now() + Duration::from_secs(patience);
    loop {
        let left = deadline.saturating_duration_since(Instant::now()).as_secs();
        let path = format!("{}?wait={}", request.path, left.min(WAIT_SECONDS));
        let answer = ask(&url, &path, &request, &token)?;
        match answer["state"].as_str() {
            Some("in_flight") if left > 0 => {}
            Some("in_flight") => {
                let message =
                    "the payment is still under way; say the same again to hear of its end";
                return Err(Failure::new(Exit::Pending, "pending", message));
            }
            Some("failed") => {
                let reason = answer["reason"].as_str().unwrap_or("unknown");
                let message = format!("the payment has failed, and nothing was paid: {reason}");
                return Err(Failure::new(Exit::Refused, "payment_failed", message));
            }
            _ => return Ok(answer),
        }
    }
}

/// The operator's token: from a file, or from the environment. Never from the command line, which others can see.
fn token(file: Option<PathBuf>, data_dir: Option<PathBuf>) -> Result<Zeroizing<String>, Failure> {
    let path = file.or_else(|| data_dir.map(|directory| directory.join(COOKIE_FILE)));
    let none = |message: String| Failure::new(Exit::Credentials, "no_token", message);
    let Some(path) = path else {
        let variable = std::env::var(TOKEN_VARIABLE).map(Zeroizing::new);
        return variable.map_err(|_| {
            none(format!(
                "no token: give --data-dir, --token-file, or the token in {TOKEN_VARIABLE}"
            ))
        });
    };
    let text = fs::read_to_string(&path).map(Zeroizing::new);
    let text = text.map_err(|error| {
        let path = path.display();
        none(format!(
            "cannot read {path}: {error}. A gateway that runs writes it"
        ))
    })?;
    Ok(Zeroizing::new(text.trim().to_owned()))
}

fn ask(url: &str, path: &str, request: &Request, token: &str) -> Result<Json, Failure> {
    let place = format!("{url}{path}");
    let asked = match &request.body {
        Some(body) => minreq::post(place)
            .with_header("content-type", "application/json")
            .with_body(body.to_string()),
        None => minreq::get(place),
    };
    let answer = asked
        .with_header("authorization", format!("Bearer {token}"))
        .with_timeout(PATIENCE_SECONDS)
        .send()
        .map_err(|error| {
            let message = format!("no gateway answers at {url}: {error}");
            let failure = Failure::new(Exit::Network, "no_gateway", message);
            match request.once.filter(|_| was_sent(&error)) {
                Some(look) => failure.unknown(look),
                None => failure,
            }
        })?;
    let document: Json = serde_json::from_slice(answer.as_bytes()).unwrap_or_default();
    match answer.status_code {
        200 => Ok(document),
        status => {
            let failure = Failure::problem(status, &document);
            let look = request.once.filter(|_| failure.is_open(status));
            Err(match look {
                Some(look) => failure.unknown(look),
                None => failure,
            })
        }
    }
}

/// Whether the gateway may have heard it though it has not answered.
fn was_sent(error: &minreq::Error) -> bool {
    match error {
        minreq::Error::IoError(error) => error.kind() != io::ErrorKind::ConnectionRefused,
        minreq::Error::AddressNotFound => false,
        _ => true,
    }
}

/// What clap says: help and version are answers, the rest is a usage error.
fn refuse(error: &clap::Error) -> ExitCode {
    use clap::ErrorKind::{HelpDisplayed, VersionDisplayed};
    if matches!(error.kind, HelpDisplayed | VersionDisplayed) {
        return print(&error.message);
    }
    let format = match std::env::args().any(|argument| argument == "--json") {
        true => Format::Json,
        false => Format::Human,
    };
    let is_option = |argument: &String| argument.starts_with('-');
    let message = match (error.kind, error.info.iter().flatten().next()) {
        (clap::ErrorKind::UnknownArgument, argument) if !argument.is_some_and(is_option) => {
            format!("{ONE_TOO_MANY}. Notes are read from a file (--from) or from standard input")
        }
        _ => without_notes(&error.message),
    };
    fail(&Failure::new(Exit::Usage, "usage", message), format)
}

fn print(text: &str) -> ExitCode {
    match writeln!(io::stdout().lock(), "{}", text.trim_end()) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read us has gone; there is nobody to tell.
        Err(_) => Exit::Failed.into(),
    }
}

fn fail(failure: &Failure, format: Format) -> ExitCode {
    let _ = writeln!(io::stderr().lock(), "{}", clean(&failure.line()));
    if format == Format::Json {
        print(&render(&failure.document(), format));
    }
    failure.exit.into()
}
