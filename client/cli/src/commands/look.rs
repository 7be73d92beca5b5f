//! Looking at the wallet and the federation.

use guildmint_client::{Client, Command, Reply};
use guildmint_core::Amount;
use serde_json::{json, Value as Json};
use structopt::{clap::Shell, StructOpt};

use super::read_notes;
use crate::{
    arguments::Arguments,
    failure::Failure,
    signals::Signals,
    wallet::{look, Wallet},
};

pub async fn balance(arguments: &Arguments) -> Result<Json, Failure> {
    Ok(balance_of(&look(arguments).await?))
}

fn balance_of(client: &Client) -> Json {
    serde_json::to_value(client.balance()).unwrap_or_default()
}

pub async fn notes(arguments: &Arguments) -> Result<Json, Failure> {
    let client = look(arguments).await?;
    Ok(json!({
        "balance_msat": client.balance().spendable,
        "notes": client.notes(),
    }))
}

pub async fn decode(arguments: &Arguments, notes: &str) -> Result<Json, Failure> {
    let notes = read_notes(notes)?;
    let client = look(arguments).await?;
    Ok(json!({
        "federation_prefix": notes.federation(),
        "of_this_federation": notes.is_of(client.federation().federation),
        "invite": notes.invite().map(ToString::to_string),
        "amount_msat": notes.total(),
        "notes": client.decode(&notes),
    }))
}

pub async fn info(arguments: &Arguments, signals: &Signals) -> Result<Json, Failure> {
    let mut wallet = Wallet::open(arguments, signals).await?;
    let reply = wallet
        .command("asking the guardians", Command::Info)
        .await?;
    // One of them may go by a revision that the wallet does not know yet.
    wallet.catch_up().await?;
    let federation = wallet.client().federation();
    let mut document = serde_json::to_value(&federation).unwrap_or_default();
    if let Reply::Info { guardians, audit } = reply {
        for (peer, guardian) in &federation.guardians {
            let status = &guardians[peer.to_string()];
            document["guardians"][peer.to_string()] = json!({
                "name": guardian.name,
                "api": guardian.api,
                "status": status,
            });
        }
        document["audit"] = audit;
    }
    let balance = wallet.client().balance();
    document["balance_msat"] = json!(balance.spendable);
    document["pending_msat"] = json!(balance.pending);
    if balance.locked > Amount::ZERO {
        document["locked_msat"] = json!(balance.locked);
    }
    wallet.close().await?;
    Ok(document)
}

/// A script is text for a shell, so it is printed as it is.
pub fn completions(shell: Shell) -> Json {
    let mut script = Vec::new();
    Arguments::clap().gen_completions_to("guildmint", shell, &mut script);
    Json::String(String::from_utf8_lossy(&script).into_owned())
}
