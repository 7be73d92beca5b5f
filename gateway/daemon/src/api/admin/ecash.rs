//! The operator's e-cash in federations.

use std::sync::Arc;

use guildmint_client::{Command, Reply};
use guildmint_core::{api::Problem, Amount, FederationId};
use guildmint_daemon::{parameters, problem};
use serde::Deserialize;
use serde_json::{json, Value as Json};
use tide::Request;

use super::super::{body::body, problem as problems};
use crate::{federations::Federation, handle::Handle};

/// When notes that were handed out and not taken may be taken back: in a day.
const RECLAIM_AFTER_MS: u64 = 24 * 60 * 60 * 1000;

fn client(handle: &Handle, id: FederationId) -> Result<Arc<dyn Federation>, Problem> {
    let unknown = || {
        let error = guildmint_gateway::GatewayError::Federation(id);
        problems::gateway(&error)
    };
    handle.0.running.get(id).ok_or_else(unknown)
}

/// Has a federation's client do something, and shows what comes of it.
async fn done(handle: &Handle, id: FederationId, command: Command) -> Result<Json, Problem> {
    let client = client(handle, id)?;
    let reply = client.command(command).await;
    match reply.map_err(|error| problems::ecash(&error))? {
        Reply::Started { operation } => {
            let shown = client.operations(Some(&operation.to_string())).await;
            // ⚠ It has begun: who is told of a failure begins another.
            Ok(shown.unwrap_or_else(|_| json!({ "operation": operation })))
        }
        reply => serde_json::to_value(&reply).map_err(|_| problem::internal()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    federation: FederationId,
}

/// An address to pay bitcoin into; or, asked again, how far it is.
pub(super) async fn deposit(mut request: Request<Handle>) -> Result<Json, Problem> {
    let asked: Which = body(&mut request).await?;
    done(request.state(), asked.federation, Command::DepositAddress).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Withdraw {
    federation: FederationId,
    address: String,
    amount_sat: u64,
    /// The most that miners may get.
    max_fee_sat: Option<u64>,
}

/// Withdraws to an address on the chain; of the node, if it is to fill channels.
pub(super) async fn withdraw(mut request: Request<Handle>) -> Result<Json, Problem> {
    let asked: Withdraw = body(&mut request).await?;
    let handle = request.state();
    let client = client(handle, asked.federation)?;
    let amount = Amount::from_sat(asked.amount_sat).map_err(problem::malformed)?;
    let quote = Command::Quote {
        address: asked.address.clone(),
        amount,
    };
    let quoted = client.command(quote).await;
    let fee_sat = match quoted.map_err(|error| problems::ecash(&error))? {
        Reply::Quote { fee_sat, .. } => fee_sat,
        _ => return Err(problem::internal()),
    };
    if asked.max_fee_sat.is_some_and(|max| fee_sat > max) {
        let detail = format!("miners want {fee_sat} sat now; give a higher max_fee_sat, or wait");
        return Err(Problem::new(409, "fee_too_high", detail, true));
    }
    let withdraw = Command::Withdraw {
        address: asked.address,
        amount,
        fee: Amount::from_sat(fee_sat).map_err(problem::malformed)?,
    };
    done(handle, asked.federation, withdraw).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Send {
    federation: FederationId,
    amount_msat: Amount,
}

/// Hands out notes. ⚠ Their text is money.
pub(super) async fn send(mut request: Request<Handle>) -> Result<Json, Problem> {
    let asked: Send = body(&mut request).await?;
    let send = Command::Send {
        amount: asked.amount_msat,
        reclaim_after_ms: RECLAIM_AFTER_MS,
    };
    done(request.state(), asked.federation, send).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Receive {
    federation: FederationId,
    notes: String,
}

/// Takes notes.
pub(super) async fn receive(mut request: Request<Handle>) -> Result<Json, Problem> {
    let asked: Receive = body(&mut request).await?;
    // ⚠ Not repeated in the answer: it may be money.
    let notes = asked.notes.trim().parse();
    let notes = notes.map_err(|_| problem::malformed("these are no notes"))?;
    done(
        request.state(),
        asked.federation,
        Command::Receive { notes },
    )
    .await
}

/// What became of all this.
pub(super) async fn operations(request: Request<Handle>) -> Result<Json, Problem> {
    let parameters = parameters(request.url())?;
    let id = parameters.get("federation").map(|id| id.parse());
    let id = id.ok_or_else(|| problem::malformed("name the federation"))?;
    let id = id.map_err(|_| problem::malformed("this is no federation's name"))?;
    let operation = parameters.get("operation").map(String::as_str);
    let shown = client(request.state(), id)?.operations(operation).await;
    shown.map_err(|error| problems::ecash(&error))
}
