//! How operators found a federation: what `guildmintd setup` and the setup page ask of a guardian that belongs to none yet
//! (SPEC SET-1).

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use guildmint_core::{api::Problem, PeerId, Tagged};
use serde::{de::DeserializeOwned, Deserialize, Serialize};
use serde_json::{json, Value as Json};
use tide::{Request, Server, StatusCode};

use guildmint_daemon::{
    body, form, go_to, health::alive, json as json_response, parameters, problem, refusal, wait,
    Access, Caller, Gate, ProblemBodies, TurnSlot,
};

use crate::{
    pages,
    routes::{allowed, REVISIONS},
    Backend,
};

/// Bytes of one request: the setup codes of all guardians, or a proposal. A larger one is answered 413.
const MAX_SETUP_BYTES: usize = 512 * 1024;

/// Bytes of the hash by which one status is told from the next.
const VERSION_BYTES: usize = 8;

/// A guardian that belongs to no federation yet.
#[async_trait]
pub trait SetupBackend: Clone + Send + Sync + 'static {
    /// How far it is.
    async fn status(&self) -> SetupStatus;

    /// How far it is, once that is not `version` any more, and after `wait` at the latest.
    async fn changed(&self, version: String, wait: Duration) -> SetupStatus;

    /// Takes a step.
    ///
    /// # Errors
    /// Says why it cannot be taken, and what to do.
    async fn take(&self, step: SetupStep) -> Result<Json, Problem>;
}

/// A step that the operator takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetupStep {
    /// Makes this guardian's code.
    Code(CodeStep),
    /// Enters the codes of all guardians.
    Join(JoinStep),
    /// Proposes what the federation shall be, or with `preview` only shows it.
    Propose(ProposeStep),
    /// Confirms what was proposed, for good.
    Confirm(ConfirmStep),
    /// Waits for no more dealings.
    Close,
    /// Waits for no guardian to have its keys too. Whoever has not will never have them.
    Finish,
    /// Forgets everything, to begin again.
    Abort,
}

/// What goes into a setup code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CodeStep {
    /// What the guardian calls itself.
    pub name: String,
    /// Where other guardians reach it, as multiaddresses.
    pub p2p: Vec<String>,
    /// Where clients will reach it.
    pub api: String,
}

/// The codes of all guardians.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JoinStep {
    /// In any order, with or without our own.
    pub codes: Vec<String>,
}

/// What the federation shall be. What is not said is as usual.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProposeStep {
    /// The federation's name.
    pub name: Option<String>,
    /// The bitcoin network.
    pub network: Option<String>,
    /// Electrum servers at which wallets look for deposits.
    #[serde(default)]
    pub electrum: Vec<String>,
    /// All of the proposal, instead of all of these.
    pub proposal: Option<Json>,
    /// Whether it is only shown, and not proposed.
    #[serde(default)]
    pub preview: bool,
}

/// Which proposal is meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfirmStep {
    /// Its check phrase or session id.
    pub phrase: String,
}

/// What is to be done next, and by whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SetupStage {
    /// The operator makes a code.
    Code,
    /// Operators give each other their codes, and enter them.
    Join,
    /// Somebody proposes.
    Propose,
    /// All confirm.
    Confirm,
    /// Guardians make the coin. Nothing to do.
    Coin,
    /// Guardians make the modules' keys. Nothing to do.
    Keys,
    /// This guardian has its keys, and waits until all have.
    Waiting,
    /// It has failed.
    Failed,
}

/// How far founding is. Names in it were written by strangers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetupStatus {
    /// Another whenever anything else in it is another: who wants to hear of the next change says it with `?wait=`.
    pub version: String,
    /// What is to be done.
    pub stage: SetupStage,
    /// The same for people.
    pub next: String,
    /// What is to be thought of before it is founded so.
    pub warning: Option<String>,
    /// This guardian's setup code, once there is one.
    pub code: Option<String>,
    /// The guardians, once their codes are entered.
    pub guardians: Vec<SetupGuardian>,
    /// What was proposed.
    pub proposals: Vec<SetupProposal>,
    /// The session that this guardian has confirmed.
    pub confirmed: Option<String>,
    /// Guardians without whom it cannot go on.
    pub waiting_for: Vec<PeerId>,
    /// How far the keys are, once they are being made.
    pub keys: Option<Json>,
    /// The federation's id, once it exists.
    pub federation: Option<String>,
    /// Why it has failed, if it has.
    pub failure: Option<String>,
}

/// A guardian of the federation to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetupGuardian {
    /// Its index.
    pub guardian: PeerId,
    /// What it calls itself.
    pub name: String,
    /// Whether it is the one that answers.
    pub is_self: bool,
    /// Whether there is a connection.
    pub connected: bool,
    /// The session that it has confirmed.
    pub confirmed: Option<String>,
    /// Whether it has its keys.
    pub done: bool,
}

/// A proposal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetupProposal {
    /// Who made it.
    pub by: PeerId,
    /// The session id.
    pub session: String,
    /// Twelve words to compare by voice.
    pub check_phrase: String,
    /// What it says.
    pub proposal: Json,
    /// Why this guardian cannot confirm it, if so.
    pub problem: Option<String>,
}

/// What the operator may ask while there is no federation.
pub(crate) fn server<B: SetupBackend>(backend: B, access: Access) -> Server<B> {
    let mut server = tide::with_state(backend);
    server.with(ProblemBodies(allowed));
    Gate::new(access).guard(&mut server);
    server.at("/livez").get(alive);
    server.at("/readyz").get(|_| async {
        let founding = "this guardian belongs to no federation yet; see `guildmintd setup status`";
        let problem = Problem::new(503, "founding", founding, true);
        Ok(refusal(problem))
    });
    server
        .at("/v1/setup")
        .get(|request: Request<B>| async move {
            let answer = look(request).await;
            Ok(answer.map_or_else(refusal, |answer| json_response(StatusCode::Ok, &answer)))
        });
    server.at("/status").get(|request: Request<B>| async move {
        let status = request.state().status().await;
        let mut document = json!(status);
        document["ready"] = json!(false);
        Ok(json_response(StatusCode::Ok, &document))
    });
    server.at(REVISIONS).all(|_| async {
        let detail = "this guardian belongs to no federation yet, so there is nothing to revise; see `guildmintd setup status`";
        Ok(refusal(Problem::new(409, "founding", detail, true)))
    });
    add_steps(&mut server);
    add_pages(&mut server);
    server
}

/// What a guardian that has its federation answers to who still wants to found one.
pub(crate) fn add_farewell<B: Backend>(server: &mut Server<B>) {
    server
        .at("/v1/setup")
        .get(|request: Request<B>| async move {
            let federation = request.state().overview().await.federation.id;
            let next =
                "The federation is founded. `guildmintd status` shows it, and the invite code.";
            let status = json!({ "stage": "founded", "next": next, "federation": federation });
            Ok(json_response(StatusCode::Ok, &status))
        });
    server.at("/v1/setup/:step").post(|_| async {
        let detail = "the federation is founded; `guildmintd status` shows it, and the invite code";
        Ok(refusal(Problem::new(409, "founded", detail, false)))
    });
}

/// How far it is: now, or with `wait` once it is another than the `version` that the operator knows, or than now.
async fn look<B: SetupBackend>(request: Request<B>) -> Result<SetupStatus, Problem> {
    let wait = wait(&request)?;
    let backend = request.state();
    if wait.is_zero() {
        return Ok(backend.status().await);
    }
    if let Some(turn) = request.ext::<TurnSlot>() {
        turn.release();
    }
    let version = match parameters(request.url())?.remove("version") {
        Some(version) => version,
        None => backend.status().await.version,
    };
    Ok(backend.changed(version, wait).await)
}

fn add_steps<B: SetupBackend>(server: &mut Server<B>) {
    at::<B, CodeStep>(server, "code", SetupStep::Code);
    at::<B, JoinStep>(server, "join", SetupStep::Join);
    at::<B, ProposeStep>(server, "propose", SetupStep::Propose);
    at::<B, ConfirmStep>(server, "confirm", SetupStep::Confirm);
    at::<B, Nothing>(server, "finish", |_| SetupStep::Finish);
    at::<B, Nothing>(server, "close", |_| SetupStep::Close);
    at::<B, Nothing>(server, "abort", |_| SetupStep::Abort);
}

fn add_pages<B: SetupBackend>(server: &mut Server<B>) {
    server.at("/").get(|request: Request<B>| async move {
        let can_log_out = request.ext::<Caller>() == Some(&Caller::Browser);
        let status = request.state().status().await;
        Ok(pages::setup::page(&status, can_log_out, None))
    });
    server
        .at("/setup/:step")
        .post(|request: Request<B>| async move {
            let can_log_out = request.ext::<Caller>() == Some(&Caller::Browser);
            let backend = request.state().clone();
            match take_form(request).await {
                Ok(()) => Ok(go_to("/", None)),
                Err(problem) => {
                    let status = backend.status().await;
                    Ok(pages::setup::page(&status, can_log_out, Some(&problem)))
                }
            }
        });
}

/// A step that needs no more words.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

fn at<B: SetupBackend, T: DeserializeOwned + Send + 'static>(
    server: &mut Server<B>,
    name: &str,
    step: impl Fn(T) -> SetupStep + Copy + Send + Sync + 'static,
) {
    server
        .at(&format!("/v1/setup/{name}"))
        .post(move |mut request: Request<B>| async move {
            let answer = async {
                let body = body(&mut request, MAX_SETUP_BYTES).await?;
                let words = serde_json::from_slice(&body).map_err(problem::malformed)?;
                request.state().take(step(words)).await
            };
            let answer = answer.await;
            Ok(answer.map_or_else(refusal, |answer| json_response(StatusCode::Ok, &answer)))
        });
}

async fn take_form<B: SetupBackend>(mut request: Request<B>) -> Result<(), Problem> {
    let name = request
        .param("step")
        .map_err(problem::malformed)?
        .to_owned();
    let fields = form(&mut request, MAX_SETUP_BYTES).await?;
    let step = step_of(&name, &fields).ok_or_else(problem::not_found)?;
    let _: Json = request.state().take(step).await?;
    Ok(())
}

/// What a form asks for; none if there is no such form.
fn step_of(name: &str, fields: &BTreeMap<String, String>) -> Option<SetupStep> {
    let field = |name: &str| fields.get(name).map(|text| text.trim().to_owned());
    let required = |name: &str| field(name).unwrap_or_default();
    let words = |name: &str| {
        required(name)
            .split_whitespace()
            .map(str::to_owned)
            .collect()
    };
    Some(match name {
        "code" => SetupStep::Code(CodeStep {
            name: required("name"),
            p2p: words("p2p"),
            api: required("api"),
        }),
        "join" => SetupStep::Join(JoinStep {
            codes: words("codes"),
        }),
        "propose" => SetupStep::Propose(ProposeStep {
            name: field("name"),
            network: field("network"),
            electrum: words("electrum"),
            ..ProposeStep::default()
        }),
        "confirm" => SetupStep::Confirm(ConfirmStep {
            phrase: required("phrase"),
        }),
        "finish" => SetupStep::Finish,
        "close" => SetupStep::Close,
        "abort" => SetupStep::Abort,
        _ => return None,
    })
}

/// What steps answer that have nothing else to say.
#[must_use]
pub fn done() -> Json {
    json!({ "done": true })
}

impl SetupStatus {
    /// The same with its version.
    #[must_use]
    pub fn numbered(mut self) -> Self {
        self.version = String::new();
        // It is made of nothing that cannot be written.
        let written = serde_json::to_vec(&self).unwrap_or_default();
        let hash = Tagged::new("guildmint/setup/status").add(written).finish();
        self.version = hash
            .iter()
            .take(VERSION_BYTES)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        self
    }

    /// What a guardian is called that has told its name.
    #[must_use]
    pub fn name(&self, peer: PeerId) -> &str {
        let named = self.guardians.get(usize::from(peer.0));
        named.map_or("", |guardian| &guardian.name)
    }
}
