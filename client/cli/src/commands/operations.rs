//! What was started, and going on with it.

use guildmint_client::{Client, Command, OperationId, Phase, View};
use serde_json::{json, Value as Json};

use crate::{
    arguments::{Arguments, Operations, Patience},
    failure::Failure,
    signals::Signals,
    wallet::{look, Wallet},
};

pub async fn run(
    arguments: &Arguments,
    signals: &Signals,
    command: &Operations,
) -> Result<Json, Failure> {
    match command {
        Operations::List => Ok(list(look(arguments).await?.operations())),
        Operations::Show { operation } => {
            Ok(json!(look(arguments).await?.operation(*operation)?))
        }
        Operations::Cancel {
            operation,
            patience,
        } => cancel(arguments, signals, *operation, *patience).await,
        Operations::Resume {
            operation,
            patience,
        } => resume(arguments, signals, *operation, *patience).await,
    }
}

/// Without the text of notes: a list is looked at where others may see it.
fn list(mut views: Vec<View>) -> Json {
    for view in &mut views {
        view.details.remove("notes");
    }
    json!({ "operations": views })
}

async fn cancel(
    arguments: &Arguments,
    signals: &Signals,
    operation: OperationId,
    patience: Patience,
) -> Result<Json, Failure> {
    let mut wallet = Wallet::open(arguments, signals).await?;
    wallet
        .command("giving up", Command::Cancel { operation })
        .await?;
    let view = wallet.end(operation, patience.or_usual()).await?;
    wallet.close().await?;
    Ok(json!(view))
}

async fn resume(
    arguments: &Arguments,
    signals: &Signals,
    operation: Option<OperationId>,
    patience: Patience,
) -> Result<Json, Failure> {
    let mut wallet = Wallet::open(arguments, signals).await?;
    let open = |view: &View| match operation {
        Some(operation) => view.operation == operation,
        None => view.phase == Phase::Pending,
    };
    let views = wallet.client().operations().into_iter();
    let chosen: Vec<OperationId> = views.filter(open).map(|view| view.operation).collect();
    wallet
        .command("going on", Command::Resume { operation })
        .await?;
    let view = |client: &Client, id: &OperationId| client.operation(*id).ok();
    // A deposit that has not come may never come; one look at the chain is enough.
    let rests = |client: &Client, id: &OperationId| match view(client, id) {
        Some(view) if ["waiting", "seen"].contains(&view.state) => !client.is_looking(*id),
        Some(view) => view.phase != Phase::Pending,
        None => true,
    };
    let all = |client: &Client| chosen.iter().all(|id| rests(client, id));
    let what = "waiting for what is pending";
    let done = wallet.until(what, patience.or_usual(), all).await?;
    let late = chosen.iter().find(|id| !rests(wallet.client(), id));
    if let (false, Some(id)) = (done, late) {
        let obstacle = wallet.client().obstacle(*id);
        let state = wallet.client().operation(*id)?.state;
        return Err(Failure::pending(*id, state, obstacle.as_ref()));
    }
    let views: Result<Vec<View>, _> = chosen
        .iter()
        .map(|id| wallet.client().operation(*id))
        .collect();
    let views = views?;
    wallet.close().await?;
    match (operation, views.as_slice()) {
        (Some(_), [view]) => Ok(json!(view)),
        _ => Ok(list(views)),
    }
}
