//! Bitcoin in.

use std::time::{Duration, Instant};

use guildmint_client::{Client, ClientError, Command, OperationId, Phase, View};
use serde_json::{json, Value as Json};

use super::show_qr;
use crate::{
    arguments::{Arguments, Deposit, Patience},
    failure::Failure,
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
    let why = "the federation names no Electrum server";
    wallet.need_electrum(arguments, why).await?;
    let is_open = |view: &View| view.kind == "deposit" && view.phase == Phase::Pending;
    let chosen: Vec<OperationId> = match operation {
        Some(operation) => vec![operation],
        None => {
            let views = wallet.client().operations().into_iter();
            views.filter(is_open).map(|view| view.operation).collect()
        }
    };
    let begun = Instant::now();
    look(&mut wallet, operation, &chosen, patience).await?;
    let obstacle = |id: &OperationId| wallet.client().obstacle(*id);
    let is_blind = |id| matches!(obstacle(id), Some(ClientError::Chain(_)));
    if chosen.iter().any(is_blind) && wallet.find_electrum(arguments).await? {
        look(&mut wallet, operation, &chosen, patience).await?;
    }
    let settled = |client: &Client, id: &OperationId| match client.operation(*id) {
        Ok(view) if wait => view.phase != Phase::Pending,
        Ok(view) => !client.is_looking(*id) && view.state != "claiming",
        Err(_) => true,
    };
    let limit = if wait {
        patience.timeout
    } else {
        patience.timeout.or(Some(LOOK))
    };
    let limit = limit.map(|limit| limit.saturating_sub(begun.elapsed()));
    let all = |client: &Client| chosen.iter().all(|id| settled(client, id));
    let done = wallet.until("waiting for deposits", limit, all).await?;
    let shown = show(wallet.client(), &chosen, wait && !done)?;
    wallet.close().await?;
    match (operation, shown.as_slice()) {
        (Some(_), [view]) => Ok(view.clone()),
        _ => Ok(json!({ "operations": shown })),
    }
}

/// The deposits as they are; a failure if one is late that was waited for.
fn show(client: &Client, chosen: &[OperationId], timed_out: bool) -> Result<Vec<Json>, Failure> {
    let views: Result<Vec<View>, _> = chosen.iter().map(|id| client.operation(*id)).collect();
    let views = views?;
    let late = views.iter().find(|view| view.phase == Phase::Pending);
    if let (true, Some(view)) = (timed_out, late) {
        let obstacle = client.obstacle(view.operation);
        return Err(Failure::pending(
            view.operation,
            view.state,
            obstacle.as_ref(),
        ));
    }
    let obstacles = views.iter().map(|view| client.obstacle(view.operation));
    Ok(views.iter().zip(obstacles).map(with_obstacle).collect())
}

/// Looks at the chain once.
async fn look(
    wallet: &mut Wallet,
    operation: Option<OperationId>,
    chosen: &[OperationId],
    patience: Patience,
) -> Result<(), Failure> {
    let what = "looking at the chain";
    wallet
        .command(what, Command::Deposits { operation })
        .await?;
    let seen = |client: &Client| chosen.iter().all(|id| !client.is_looking(*id));
    let limit = patience.timeout.or(Some(LOOK));
    wallet.until(what, limit, seen).await?;
    Ok(())
}

/// A view, and what is in its way.
fn with_obstacle((view, obstacle): (&View, Option<ClientError>)) -> Json {
    let mut shown = json!(view);
    if let Some(error) = obstacle {
        shown["obstacle"] = json!({ "code": error.code(), "message": error.to_string() });
    }
    shown
}
