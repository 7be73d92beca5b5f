//! Making a wallet and joining a federation.

use std::path::Path;

use guildmint_client::{Client, LoadError};
use guildmint_client_store::{
    words::{self, Mnemonic},
    Store,
};
use guildmint_core::InviteCode;
use serde_json::{json, Value as Json};
use zeroize::Zeroizing;

use super::read_stdin;
use crate::{
    arguments::Arguments,
    failure::{Exit, Failure},
    progress::Progress,
    signals::Signals,
    wallet::{directory, open_store, Wallet},
};

pub async fn init(arguments: &Arguments, words_file: Option<&Path>) -> Result<Json, Failure> {
    let directory = directory(arguments)?;
    if words::exist(&directory) {
        return Err(words::WordsError::Present(directory).into());
    }
    let restored = words_file.is_some();
    let words = match words_file {
        None => words::generate()?,
        Some(path) => read_words(path)?,
    };
    make(&directory, &words, restored).await?;
    let mut document = json!({ "data_dir": directory.display().to_string(), "restored": restored });
    if !restored {
        document["words"] = Json::from(words.to_string());
        document["advice"] = Json::from(
            "write the words down, in order, and keep them where nobody else reads them: \
             they are the money, and they are not shown again",
        );
    }
    Ok(document)
}

/// Makes a wallet of words.
pub async fn make(directory: &Path, words: &Mnemonic, used_before: bool) -> Result<(), Failure> {
    // The lock and the rows first: the words are what makes it a wallet.
    let (mut store, _) = Store::open(directory).await?;
    if used_before {
        store.save(&guildmint_client::unrestored()).await?;
    }
    words::write(directory, words)?;
    Ok(store.close().await?)
}

/// Words from a file, or from standard input for `-`.
pub fn read_words(path: &Path) -> Result<Mnemonic, Failure> {
    let text = if path == Path::new("-") {
        read_stdin()?
    } else {
        let text = std::fs::read_to_string(path).map(Zeroizing::new);
        text.map_err(|error| {
            let message = format!("cannot read {}: {error}", path.display());
            Failure::new(Exit::Usage, "unreadable_input", message)
        })?
    };
    Ok(words::parse(&text)?)
}

pub async fn join(arguments: &Arguments, signals: &Signals, invite: &str) -> Result<Json, Failure> {
    become_member(arguments, invite).await?;
    // The invite leads to what was founded; what counts by now, guardians tell.
    let mut wallet = Wallet::open(arguments, signals).await?;
    wallet.refresh().await?;
    let document = document(wallet.client());
    wallet.close().await?;
    Ok(document)
}

/// Sees to it that the wallet has joined this federation.
async fn become_member(arguments: &Arguments, invite: &str) -> Result<(), Failure> {
    let invite: InviteCode = invite
        .parse()
        .map_err(|error| Failure::new(Exit::Usage, "invalid_invite", error))?;
    let (mut store, mut rows, seed) = open_store(&directory(arguments)?).await?;
    match Client::load(rows.clone(), &seed, [0; 32]) {
        Ok(client) if client.federation().federation == invite.federation => {
            return Ok(store.close().await?);
        }
        Ok(client) => {
            let joined = client.federation().federation;
            return Err(Failure::new(
                Exit::Failed,
                "already_joined",
                format!("this wallet is in federation {joined}"),
            )
            .remedy("use another --data-dir for each federation")
            .detail("federation", joined.to_string()));
        }
        Err(LoadError::NotJoined) => {}
        Err(error) => return Err(error.into()),
    }
    let progress = Progress::begin("asking guardians for the federation's config");
    let membership = guildmint_client_http::join(&invite).await?;
    drop(progress);
    let changes = guildmint_client::join(&membership);
    rows.apply(changes.clone());
    // Before it is stored: a federation of which this wallet can make no use is not joined.
    Client::load(rows, &seed, [0; 32])?;
    store.save(&changes).await?;
    Ok(store.close().await?)
}

fn document(client: &Client) -> Json {
    let federation = client.federation();
    json!({
        "federation": federation.federation,
        "name": federation.name,
        "network": federation.network,
        "guardians": federation.guardians.len(),
    })
}
