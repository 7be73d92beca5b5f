//! Federations: which are served, and how.

use guildmint_core::{api::Problem, Amount, FederationId};
use guildmint_gateway::{Command, Limits, Settings};
use guildmint_ln::FeeSchedule;
use serde::Deserialize;
use serde_json::{json, Value as Json};
use tide::Request;

use super::super::{
    body::body,
    problem::{self as problems, no_answer, no_loop},
};
use crate::handle::Handle;

pub(super) async fn list(request: Request<Handle>) -> Result<Json, Problem> {
    let overview = request.state().overview().await;
    Ok(json!({ "federations": overview.federations }))
}

async fn shown(handle: &Handle, id: FederationId) -> Result<Json, Problem> {
    let facts = handle.federation(id).await.ok_or_else(no_loop)?;
    Ok(json!(facts))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Join {
    invite: String,
}

/// Joins a federation and serves it, with the usual settings if it was never served before.
pub(super) async fn join(mut request: Request<Handle>) -> Result<Json, Problem> {
    let asked: Join = body(&mut request).await?;
    let handle = request.state();
    let id = handle.0.federations.named(&asked.invite);
    let id = id.map_err(|error| problems::federations(&error))?;
    carry(handle, id, &asked.invite).await?;
    let known = settings(handle, id).await?;
    let settings = Settings {
        api_url: handle.0.api_url.clone(),
        ..known.unwrap_or_default()
    };
    serve(handle, id, settings).await?;
    shown(handle, id).await
}

/// Starts the client of a federation, unless it runs. ⚠ One after the other: two of one federation would spend the same notes.
async fn carry(handle: &Handle, id: FederationId, invite: &str) -> Result<(), Problem> {
    let _one = handle.0.joining.lock().await;
    if handle.0.running.get(id).is_some() {
        return Ok(());
    }
    let joined = handle.0.federations.join(invite, handle.0.news.clone());
    let started = joined
        .await
        .map_err(|error| problems::federations(&error))?;
    if started.network != handle.0.network {
        started.federation.stop().await;
        let detail = format!(
            "the federation is on {}, and this gateway on {}",
            started.network, handle.0.network
        );
        return Err(Problem::new(422, "other_network", detail, false));
    }
    handle.0.running.add(started.id, started.federation);
    Ok(())
}

/// How a federation is served, if it is.
async fn settings(handle: &Handle, id: FederationId) -> Result<Option<Settings>, Problem> {
    let views = handle.look(|gateway| gateway.federations()).await;
    let mut views = views.ok_or_else(no_loop)?.into_iter();
    let view = views.find(|view| view.federation == id);
    Ok(view.map(|view| view.settings))
}

async fn serve(
    handle: &Handle,
    federation: FederationId,
    settings: Settings,
) -> Result<(), Problem> {
    let serve = Command::Serve {
        federation,
        network: handle.0.network,
        settings,
    };
    handle.command(serve).await.map_err(no_answer)?;
    Ok(())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Leave {
    federation: FederationId,
}

pub(super) async fn leave(mut request: Request<Handle>) -> Result<Json, Problem> {
    let asked: Leave = body(&mut request).await?;
    let handle = request.state();
    let leave = Command::Leave {
        federation: asked.federation,
    };
    handle.command(leave).await.map_err(no_answer)?;
    shown(handle, asked.federation).await
}

/// What is charged; what is absent stays as it is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fees {
    federation: FederationId,
    send_base_msat: Option<Amount>,
    send_parts_per_million: Option<u32>,
    margin_base_msat: Option<Amount>,
    margin_parts_per_million: Option<u32>,
    receive_base_msat: Option<Amount>,
    receive_parts_per_million: Option<u32>,
}

fn change(schedule: &mut FeeSchedule, base: Option<Amount>, parts: Option<u32>) {
    schedule.base = base.unwrap_or(schedule.base);
    schedule.parts_per_million = parts.unwrap_or(schedule.parts_per_million);
}

pub(super) async fn set_fees(mut request: Request<Handle>) -> Result<Json, Problem> {
    let asked: Fees = body(&mut request).await?;
    let (federation, fees) = (asked.federation, asked);
    let change = |settings: &mut Settings| {
        change(
            &mut settings.send_fees,
            fees.send_base_msat,
            fees.send_parts_per_million,
        );
        change(
            &mut settings.send_margin,
            fees.margin_base_msat,
            fees.margin_parts_per_million,
        );
        change(
            &mut settings.receive_fees,
            fees.receive_base_msat,
            fees.receive_parts_per_million,
        );
    };
    set(request.state(), federation, change).await
}

/// What limits the operator's risk; what is absent stays as it is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewLimits {
    federation: FederationId,
    exposure_msat: Option<Amount>,
    spending_msat: Option<Amount>,
    paying: Option<u32>,
    held: Option<u32>,
}

pub(super) async fn set_limits(mut request: Request<Handle>) -> Result<Json, Problem> {
    let asked: NewLimits = body(&mut request).await?;
    let change = |settings: &mut Settings| {
        let old = settings.limits;
        settings.limits = Limits {
            exposure: asked.exposure_msat.unwrap_or(old.exposure),
            spending: asked.spending_msat.unwrap_or(old.spending),
            paying: asked.paying.unwrap_or(old.paying),
            held: asked.held.unwrap_or(old.held),
        };
    };
    set(request.state(), asked.federation, change).await
}

async fn set(
    handle: &Handle,
    federation: FederationId,
    change: impl FnOnce(&mut Settings),
) -> Result<Json, Problem> {
    let known = handle.federation(federation).await;
    let unknown = || {
        let error = guildmint_gateway::GatewayError::Federation(federation);
        problems::gateway(&error)
    };
    let known = known.ok_or_else(unknown)?;
    if known.left {
        let detail = "this federation was left; join it again first";
        return Err(Problem::new(409, "left", detail, false));
    }
    let mut settings = known.settings;
    change(&mut settings);
    serve(handle, federation, settings).await?;
    shown(handle, federation).await
}
