//! Bitcoin in.

use std::time::Duration;

use guildmint_client::{Client, ClientError, Command, OperationId, Phase, View};
use serde_json::{json, Value as Json};

use super::show_qr;
use crate::{
    arguments::{Arguments, Deposit, Patience},
    failure::{Exit, Failure},
    signals::Signals,
    wallet::Wallet,
};

/// How long one look at the chain, and what follows from it, may take.
const LOOK: Duration = Duration::from_secs(15);

pub async fn run(
    arguments: &Arguments,
    signals: &Signals,
    command: &Deposit,
) -> Result<Json, Failure> {
    match command {
        Deposit::Address { qr } => address(arguments, signals, *qr).await,
        Deposit::Status {
            operation,
            wait,
            patience,
        } => status(arguments, signals, *operation, *wait, *patience).await,
    }
}

async fn address(arguments: &Arguments, signals: &Signals, qr: bool) -> Result<Json, Failure> {
    let mut wallet = Wallet::open(arguments, signals).await?;
    let operation = wallet
        .start("making an address", Command::DepositAddress)
        .await?;
    let view = wallet.client().operation(operation)?;
    wallet.close().await?;
    let address = view.details.get("address").cloned().unwrap_or_default();
    if let (true, Some(text)) = (qr, address.as_str()) {
        show_qr(text);
    }
    Ok(json!({ "operation": operation, "address": address }))
}

async fn status(
    arguments: &Arguments,
    signals: &Signals,
    operation: Option<OperationId>,
    wait: bool,
    patience: Patience,
) -> Result<Json, Failure> {
    let mut wallet = Wallet::open(arguments, signals).await?;
    if arguments.electrum.is_empty() && wallet.client().electrum().is_empty() {
        return Err(Failure::new(
            Exit::Usage,
            "no_electrum_server",
            "the federation names no Electrum server",
        )
        .remedy("name one with --electrum or GUILDMINT_ELECTRUM"));
    }
    let is_open = |view: &View| view.kind == "deposit" && view.phase == Phase::Pending;
    let chosen: Vec<OperationId> = match operation {
        Some(operation) => vec![operation],
        None => {
            let views = wallet.client().operations().into_iter();
            views.filter(is_open).map(|view| view.operation).collect()
        }
    };
    wallet
        .command("looking at the chain", Command::Deposits { operation })
        .await?;
    let state = |client: &Client, id: OperationId| client.operation(id).ok();
    let settled = |client: &Client, id: OperationId| match state(client, id) {
        Some(view) if wait => view.phase != Phase::Pending,
        Some(view) => !client.is_looking(id) && view.state != "claiming",
        None => true,
    };
    let limit = if wait {
        patience.timeout
    } else {
        patience.timeout.or(Some(LOOK))
    };
    let all = |client: &Client| chosen.iter().all(|id| settled(client, *id));
    let done = wallet.until("waiting for deposits", limit, all).await?;
    let views: Result<Vec<View>, _> = chosen
        .iter()
        .map(|id| wallet.client().operation(*id))
        .collect();
    let views = views?;
    let late = views.iter().find(|view| view.phase == Phase::Pending);
    if let (false, true, Some(view)) = (done, wait, late) {
        let obstacle = wallet.client().obstacle(view.operation);
        return Err(Failure::pending(
            view.operation,
            view.state,
            obstacle.as_ref(),
        ));
    }
    let obstacles = views
        .iter()
        .map(|view| wallet.client().obstacle(view.operation));
    let shown: Vec<Json> = views.iter().zip(obstacles).map(with_obstacle).collect();
    wallet.close().await?;
    match (operation, shown.as_slice()) {
        (Some(_), [view]) => Ok(view.clone()),
        _ => Ok(json!({ "operations": shown })),
    }
}

/// A view, and what is in its way.
fn with_obstacle((view, obstacle): (&View, Option<ClientError>)) -> Json {
    let mut shown = json!(view);
    if let Some(error) = obstacle {
        shown["obstacle"] = json!({ "code": error.code(), "message": error.to_string() });
    }
    shown
}
