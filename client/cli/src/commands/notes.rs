//! Notes from hand to hand.

use std::time::Duration;

use guildmint_client::{Command, OperationId, Phase, Reply, View};
use guildmint_core::Amount;
use serde_json::{json, Value as Json};

use super::{document, read_notes, show_qr};
use crate::{
    arguments::{Arguments, Patience},
    failure::{Exit, Failure},
    signals::Signals,
    wallet::Wallet,
};

/// The members of a view, if they are there.
fn members(view: &View, names: &[&str]) -> Json {
    let mut document = json!({ "operation": view.operation, "state": view.state });
    for name in names {
        if let Some(value) = view.details.get(*name) {
            document[name] = value.clone();
        }
    }
    document
}

pub async fn send(
    arguments: &Arguments,
    signals: &Signals,
    (amount, reclaim_after): (Amount, Duration),
    qr: bool,
    patience: Patience,
) -> Result<Json, Failure> {
    let mut wallet = Wallet::open(arguments, signals).await?;
    let reclaim_after_ms = u64::try_from(reclaim_after.as_millis()).unwrap_or(u64::MAX);
    let command = Command::Send {
        amount,
        reclaim_after_ms,
    };
    let operation = wallet.start("picking notes", command).await?;
    let view = wallet.end(operation, patience.or_usual()).await?;
    wallet.close().await?;
    if let (true, Some(text)) = (qr, view.details.get("notes").and_then(Json::as_str)) {
        show_qr(text);
    }
    let names = ["notes", "amount_msat", "fee_msat", "reclaim_at_ms"];
    Ok(members(&view, &names))
}

pub async fn receive(
    arguments: &Arguments,
    signals: &Signals,
    notes: &str,
    patience: Patience,
) -> Result<Json, Failure> {
    let notes = read_notes(notes)?;
    let mut wallet = Wallet::open(arguments, signals).await?;
    let before = wallet.client().operations();
    let operation = wallet
        .start("checking notes", Command::Receive { notes })
        .await?;
    let view = wallet.end(operation, patience.or_usual()).await?;
    wallet.close().await?;
    let mut document = members(&view, &["amount_msat", "fee_msat"]);
    // ⚠ Whoever sells something for them must not take the same notes for a second payment.
    let is_known = |known: &View| known.operation == operation && known.phase == Phase::Done;
    document["received_before"] = Json::from(before.iter().any(is_known));
    Ok(document)
}

pub async fn validate(
    arguments: &Arguments,
    signals: &Signals,
    notes: &str,
) -> Result<Json, Failure> {
    let notes = read_notes(notes)?;
    let mut wallet = Wallet::open(arguments, signals).await?;
    let reply = wallet
        .command("checking notes", Command::Validate { notes })
        .await?;
    wallet.close().await?;
    let mut document = document(&reply);
    document["valid"] = Json::from(true);
    match reply {
        Reply::Validation { notes, spent, .. } if spent > 0 => Err(Failure::new(
            Exit::Refused,
            "note_spent",
            format!("{spent} of {notes} notes are spent"),
        )
        .detail("notes", notes)
        .detail("spent", spent)
        .detail("unspent_msat", document["unspent_msat"].clone())),
        _ => Ok(document),
    }
}

pub async fn reclaim(
    arguments: &Arguments,
    signals: &Signals,
    operation: Option<OperationId>,
    patience: Patience,
) -> Result<Json, Failure> {
    let mut wallet = Wallet::open(arguments, signals).await?;
    let open = |view: &View| view.kind == "send" && ["sent", "reclaiming"].contains(&view.state);
    let chosen: Vec<OperationId> = match operation {
        Some(operation) => vec![operation],
        None => {
            let views = wallet.client().operations().into_iter();
            views.filter(open).map(|view| view.operation).collect()
        }
    };
    let mut views = Vec::new();
    for operation in &chosen {
        let command = Command::Reclaim {
            operation: *operation,
        };
        wallet.start("taking notes back", command).await?;
    }
    for operation in &chosen {
        views.push(wallet.end(*operation, patience.or_usual()).await?);
    }
    wallet.close().await?;
    if let (Some(operation), [view]) = (operation, views.as_slice()) {
        if view.state == "taken" {
            let message = format!("the notes of {operation} were taken by their receiver");
            return Err(Failure::new(Exit::Refused, "note_spent", message)
                .detail("operation", operation.to_string()));
        }
    }
    let reclaimed = |view: &View| view.details.get("reclaimed_msat").and_then(Json::as_u64);
    let total: u64 = views.iter().filter_map(reclaimed).sum();
    let operations: Vec<Json> = views
        .iter()
        .map(|view| members(view, &["amount_msat", "reclaimed_msat"]))
        .collect();
    Ok(json!({ "reclaimed_msat": total, "operations": operations }))
}
