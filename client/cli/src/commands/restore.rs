//! A wallet from its words alone. Each part is done unless it is done already, so that whatever interrupts it, the same command
//! goes on.

use std::{io::IsTerminal as _, path::Path};

use guildmint_client::{Client, Command, LoadError};
use guildmint_client_store::words::{self, WordsError};
use serde_json::{json, Value as Json};

use super::setup;
use crate::{
    arguments::{Arguments, Restore},
    failure::Failure,
    signals::Signals,
    wallet::{directory, open_store, Wallet},
};

pub async fn run(
    arguments: &Arguments,
    signals: &Signals,
    restore: &Restore,
) -> Result<Json, Failure> {
    prepare(arguments, signals, restore).await?;
    let mut wallet = Wallet::open(arguments, signals).await?;
    let why = "deposits are searched for on the chain, and the federation names no Electrum server";
    wallet.need_electrum(arguments, why).await?;
    let gap = restore.gap.unwrap_or(Command::RESTORE_GAP);
    let operation = wallet.start("beginning", Command::Restore { gap }).await?;
    // It takes as long as it takes, unless the user says otherwise.
    let view = wallet.end(operation, restore.patience.timeout).await?;
    let mut document = json!(view);
    let balance = json!(wallet.client().balance());
    if let (Some(document), Json::Object(balance)) = (document.as_object_mut(), balance) {
        document.remove("progress");
        document.extend(balance);
    }
    wallet.close().await?;
    Ok(document)
}

/// Sees to it that there is a wallet of these words that has joined the federation.
async fn prepare(
    arguments: &Arguments,
    signals: &Signals,
    restore: &Restore,
) -> Result<(), Failure> {
    let directory = directory(arguments)?;
    let file = restore.words_file.as_deref();
    if !words::exist(&directory) {
        if restore.invite.is_none() {
            return Err(not_joined());
        }
        if file.is_none() && std::io::stdin().is_terminal() {
            eprintln!("guildmint: type the twelve words, then Ctrl-D");
        }
        let words = setup::read_words(file.unwrap_or(Path::new("-")))?;
        setup::make(&directory, &words, true).await?;
    } else if let Some(file) = file {
        if setup::read_words(file)? != words::read(&directory)? {
            return Err(WordsError::Present(directory).into());
        }
    }
    if let Some(invite) = &restore.invite {
        setup::join(arguments, signals, invite).await?;
        return Ok(());
    }
    let (store, rows, seed) = open_store(&directory).await?;
    store.close().await?;
    match Client::load(rows, &seed, [0; 32]) {
        Err(LoadError::NotJoined) => Err(not_joined()),
        _ => Ok(()),
    }
}

fn not_joined() -> Failure {
    Failure::not_joined().remedy("say the invite code: `guildmint restore guild1…`")
}
