//! What each command does.

mod deposit;
mod lightning;
mod look;
mod notes;
mod operations;
mod restore;
mod setup;
mod withdraw;

use std::{io::Read as _, time::Duration};

use guildmint_client::{NotesString, Reply};
use qrcode::{render::unicode::Dense1x2, QrCode};
use serde_json::Value as Json;
use zeroize::Zeroizing;

use crate::{
    arguments::{Arguments, Command, Patience},
    failure::{Exit, Failure},
    signals::Signals,
};

/// How long a command waits for the federation if it is not told otherwise.
const PATIENCE: Duration = Duration::from_secs(60);

impl Patience {
    fn or_usual(self) -> Option<Duration> {
        self.timeout.or(Some(PATIENCE))
    }
}

/// Runs a command; gives the document to print.
pub async fn run(arguments: Arguments, signals: &Signals) -> Result<Json, Failure> {
    let all = &arguments;
    match &all.command {
        Command::Init { words_file } => setup::init(all, words_file.as_deref()).await,
        Command::Restore(command) => restore::run(all, signals, command).await,
        Command::Join { invite } => setup::join(all, signals, invite).await,
        Command::Info => look::info(all, signals).await,
        Command::Balance => look::balance(all).await,
        Command::Deposit(command) => deposit::run(all, signals, command).await,
        Command::Send {
            amount,
            qr,
            reclaim_after,
            patience,
        } => notes::send(all, signals, (*amount, *reclaim_after), *qr, *patience).await,
        Command::Receive { notes, patience } => {
            notes::receive(all, signals, notes, *patience).await
        }
        Command::Validate { notes } => notes::validate(all, signals, notes).await,
        Command::Reclaim {
            operation,
            patience,
        } => notes::reclaim(all, signals, *operation, *patience).await,
        Command::Withdraw(command) => withdraw::run(all, signals, command).await,
        Command::Ln(command) => lightning::run(all, signals, command).await,
        Command::Operations(command) => operations::run(all, signals, command).await,
        Command::Notes => look::notes(all).await,
        Command::Decode { notes } => look::decode(all, notes).await,
        Command::Completions { shell } => Ok(look::completions(*shell)),
    }
}

/// Reads notes from the command line or, for `-`, from standard input.
fn read_notes(text: &str) -> Result<NotesString, Failure> {
    let text = match text {
        "-" => read_stdin()?,
        text => Zeroizing::new(text.to_owned()),
    };
    text.parse()
        .map_err(|error| Failure::new(Exit::Usage, "invalid_notes_string", error))
}

/// More than the longest notes string.
const MAX_STDIN_BYTES: u64 = 256 * 1024;

fn read_stdin() -> Result<Zeroizing<String>, Failure> {
    let mut text = Zeroizing::new(String::new());
    std::io::stdin()
        .take(MAX_STDIN_BYTES)
        .read_to_string(&mut text)
        .map_err(|error| Failure::new(Exit::Usage, "unreadable_input", error))?;
    Ok(text)
}

/// Shows text as a QR code on standard error: standard output is for the document.
fn show_qr(text: &str) {
    match QrCode::new(text) {
        Ok(code) => eprintln!("{}", code.render::<Dense1x2>().build()),
        Err(_) => eprintln!("guildmint: the text is too long for a QR code"),
    }
}

/// A reply as a document.
fn document(reply: &Reply) -> Json {
    serde_json::to_value(reply).unwrap_or_default()
}
