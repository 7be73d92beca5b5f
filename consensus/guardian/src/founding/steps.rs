//! Steps that the operator takes.

use std::time::Duration;

use async_std::{channel::Sender, future::timeout, task};
use async_trait::async_trait;
use bitcoin::Network;
use futures::channel::oneshot;
use guildmint_api::{
    done, CodeStep, ConfirmStep, JoinStep, ProposeStep, SetupBackend, SetupStatus, SetupStep,
};
use guildmint_core::{api::Problem, founding::ModuleTerms, ModuleId, Place, SessionId, Wire as _};
use guildmint_engine::node::Event;
use guildmint_founding::{
    key_generation::KeyGenerationNews, CheckPhrase, Proposal, Roster, Seed, SetupCode,
    KEY_GENERATION,
};
use guildmint_ln::LnTerms;
use guildmint_mint::MintTerms;
use guildmint_net_p2p::check_address;
use guildmint_wallet::{Block, WalletTerms};
use guildmint_wallet_electrum::{Observer as Electrum, Settings as ElectrumSettings};
use serde_json::{json, Value as Json};
use zeroize::Zeroizing;

use guildmint_daemon::settings::texts::is_electrum_url;

use super::{
    organizer::{Inbox, Organizer, Together},
    report, system_rng, FoundError,
};

/// Least time between epochs, unless the proposal says otherwise.
const EPOCH_FLOOR_MS: u32 = 50;

/// How many blocks before the tip the federation's chain begins, except on regtest: deeper than any reorganisation.
const START_DEPTH: u32 = 100;

/// The operator's end of the organizer.
#[derive(Clone)]
pub(super) struct Operator(pub(super) Sender<Inbox>);

#[async_trait]
impl SetupBackend for Operator {
    async fn status(&self) -> SetupStatus {
        let (reply, answer) = oneshot::channel();
        let _ = self.0.send(Inbox::Look(reply)).await;
        answer.await.unwrap_or_else(|_| report::stopping())
    }

    async fn changed(&self, version: String, wait: Duration) -> SetupStatus {
        let (reply, answer) = oneshot::channel();
        let _ = self.0.send(Inbox::Watch(version, reply)).await;
        match timeout(wait, answer).await {
            Ok(answer) => answer.unwrap_or_else(|_| report::stopping()),
            Err(_) => self.status().await,
        }
    }

    async fn take(&self, step: SetupStep) -> Result<Json, Problem> {
        let (reply, answer) = oneshot::channel();
        let _ = self.0.send(Inbox::Step(step, reply)).await;
        answer.await.unwrap_or_else(|_| {
            let detail = "this guardian is about to stop, or the federation exists";
            Err(Problem::new(503, "stopping", detail, true))
        })
    }
}

fn wrong(code: &str, detail: impl ToString) -> Problem {
    Problem::new(422, code, detail, false)
}

fn too_late(detail: &str) -> Problem {
    Problem::new(409, "out_of_order", detail, false)
}

/// What the operator's words are not to blame for.
fn failed(error: &FoundError) -> Problem {
    tracing::error!(%error, "a step of the founding failed");
    Problem::new(500, "failed", error, true)
}

impl Organizer {
    pub(super) async fn step(&mut self, step: SetupStep) -> Result<Json, Problem> {
        match step {
            SetupStep::Code(step) => self.make_code(step),
            SetupStep::Join(step) => self.join(step).await,
            SetupStep::Propose(step) => self.propose(step).await,
            SetupStep::Confirm(step) => self.confirm(step).await,
            SetupStep::Close => self.close().await,
            SetupStep::Finish => self.finish(),
            SetupStep::Abort => self.abort().await,
        }
    }

    fn make_code(&mut self, step: CodeStep) -> Result<Json, Problem> {
        check_place(&step.p2p, &step.api)?;
        let make = |seed: &Seed| {
            let code = SetupCode::new(seed, step.name, step.p2p, step.api);
            code.map_err(|error| wrong("code", error))
        };
        if let Some((seed, code)) = &self.own {
            return match make(seed)? == *code {
                true => Ok(json!({ "code": code.to_string() })),
                false => Err(too_late("this guardian has a code with another name or other addresses; `guildmintd setup abort` forgets it")),
            };
        }
        let (seed, code) = self.begin(make)?;
        let text = code.to_string();
        self.own = Some((seed, code));
        Ok(json!({ "code": text }))
    }

    fn begin(
        &self,
        make: impl FnOnce(&Seed) -> Result<SetupCode, Problem>,
    ) -> Result<(Seed, SetupCode), Problem> {
        let mut rng = system_rng().map_err(|error| failed(&error))?;
        let mut bytes = Zeroizing::new([0; 32]);
        rand_core::RngCore::fill_bytes(&mut rng, &mut bytes[..]);
        let seed = Seed::new(*bytes);
        let code = make(&seed)?;
        let (passphrase, cost) = (&self.founding.passphrase, self.founding.cost);
        let begun = self.folder.begin(&seed, &code, passphrase, cost, &mut rng);
        begun.map_err(|error| failed(&error))?;
        Ok((seed, code))
    }

    async fn join(&mut self, step: JoinStep) -> Result<Json, Problem> {
        let Some((_, own)) = self.own.clone() else {
            return Err(too_late(
                "make this guardian's code first: `guildmintd setup code`",
            ));
        };
        let mut codes = vec![own.clone()];
        for (number, text) in (1..).zip(&step.codes) {
            let code = text.parse::<SetupCode>();
            codes.push(code.map_err(|error| wrong("code", format!("code {number}: {error}")))?);
        }
        let roster = Roster::new(codes, &own).map_err(|error| wrong("codes", error))?;
        for (peer, code) in roster.quorum().peers().zip(roster.codes()) {
            let guardian = code.guardian();
            check_place(&guardian.p2p, &guardian.api).map_err(|problem| {
                let detail = format!("the code of {}: {}", roster.name(peer), problem.detail);
                wrong("code", detail)
            })?;
        }
        let joined = self.together.as_ref().map(|one| one.roster.meeting_id());
        if joined != Some(roster.meeting_id()) {
            self.leave_meeting().await?;
            // Before anything is said in the meeting: what is kept of it belongs to these codes.
            let saved = self.folder.save_codes(roster.codes());
            saved.map_err(|error| failed(&error))?;
            self.meet(roster).await.map_err(|error| failed(&error))?;
        }
        Ok(json!(self.report().await.guardians))
    }

    /// Leaves a meeting that was joined with other codes, as long as nobody has said anything in it.
    async fn leave_meeting(&mut self) -> Result<(), Problem> {
        let said = self.folder.said().map_err(|error| failed(&error))?;
        if !said.is_empty() {
            return Err(too_late("this guardian has joined with other codes, and something was proposed by then; `guildmintd setup abort` forgets the codes, its own too, so that all enter another list"));
        }
        self.stop().await;
        Ok(())
    }

    fn together(&self) -> Result<&Together, Problem> {
        let together = self.together.as_ref();
        together.ok_or_else(|| {
            too_late("enter the codes of all guardians first: `guildmintd setup join`")
        })
    }

    async fn propose(&mut self, step: ProposeStep) -> Result<Json, Problem> {
        let roster = self.together()?.roster.clone();
        let proposal = match step.proposal.clone() {
            Some(json) => Proposal::from_json(json, &self.founders),
            None => Ok(self.usual(&step).await?),
        };
        let proposal = proposal.map_err(|error| wrong("proposal", error))?;
        let readable = proposal.to_json(&self.founders).unwrap_or_default();
        if step.preview {
            let checked = proposal.check(&self.founders, &roster);
            checked.map_err(|error| wrong("proposal", error))?;
            return Ok(readable);
        }
        let proposed = self.with_meeting(move |meeting| meeting.propose(proposal));
        let Some(proposed) = proposed.await else {
            return Err(too_late("there is no meeting"));
        };
        let (session, actions) = proposed.map_err(|error| wrong("proposal", error))?;
        self.carry_out(actions)
            .await
            .map_err(|error| failed(&error))?;
        Ok(json!({
            "session": session,
            "check_phrase": CheckPhrase::of(session).to_string(),
            "proposal": readable,
            "warning": self.together()?.warning([session]),
        }))
    }

    /// A mint and a wallet with the usual terms.
    async fn usual(&self, step: &ProposeStep) -> Result<Proposal, Problem> {
        let Some(name) = step.name.clone().filter(|name| !name.is_empty()) else {
            return Err(wrong("proposal", "the federation needs a name"));
        };
        let text = step.network.as_deref().unwrap_or("bitcoin");
        let network: Network = text.parse().map_err(|_| {
            let detail = format!(
                "`{text}` is no network; there are bitcoin, signet, testnet4, testnet and regtest"
            );
            wrong("network", detail)
        })?;
        let depth = if network == Network::Regtest {
            0
        } else {
            START_DEPTH
        };
        for url in &step.electrum {
            if !is_electrum_url(url) {
                let detail = format!("`{url}` is no Electrum server; write it like tcp://electrum.example.org:50001 or ssl://electrum.example.org:50002");
                return Err(wrong("electrum", detail));
            }
        }
        let tip = self.block(u32::MAX).await?;
        let start = self.block(tip.height.saturating_sub(depth)).await?;
        let wallet = WalletTerms {
            electrum: step.electrum.clone(),
            ..WalletTerms::new(network, start)
        };
        let terms = [
            (guildmint_mint::KIND, MintTerms::default().encode()),
            (guildmint_wallet::KIND, wallet.encode()),
            (guildmint_ln::KIND, LnTerms::default().encode()),
        ];
        let modules = terms.map(|(kind, terms)| ModuleTerms {
            kind: kind.to_owned(),
            terms,
        });
        Ok(Proposal {
            name,
            network,
            epoch_floor_ms: EPOCH_FLOOR_MS,
            modules: (0..).map(ModuleId).zip(modules).collect(),
        })
    }

    /// A block as this guardian's Electrum servers see it.
    async fn block(&self, height: u32) -> Result<Block, Problem> {
        let urls = self.founding.settings.electrum.clone();
        let look = move || {
            let mut electrum = Electrum::new(&urls, ElectrumSettings::default())
                .map_err(|error| format!("{error}; set `electrum` in local.toml"))?;
            electrum.block(height).map_err(|error| error.to_string())
        };
        task::spawn_blocking(look)
            .await
            .map_err(|error| Problem::new(503, "chain_unreachable", error, true))
    }

    async fn confirm(&mut self, step: ConfirmStep) -> Result<Json, Problem> {
        let meeting = self.together()?.meeting();
        let proposals = meeting.map(|one| one.progress().proposals);
        let session = which(&step.phrase, &proposals.unwrap_or_default())?;
        self.check_chain(session).await?;
        let confirmed = self.with_meeting(move |meeting| meeting.confirm(session));
        let Some(confirmed) = confirmed.await else {
            return Err(too_late("there is no meeting"));
        };
        let actions = confirmed.map_err(|error| wrong("confirmation", error))?;
        self.carry_out(actions)
            .await
            .map_err(|error| failed(&error))?;
        self.make_keys().await.map_err(|error| failed(&error))?;
        let mut answer = done();
        answer["warning"] = json!(self.together()?.warning([session]));
        Ok(answer)
    }

    /// ⚠ The chain begins where the proposer says: on another chain deposits would be worth nothing. So each guardian asks its own
    /// source, before it confirms.
    async fn check_chain(&self, session: SessionId) -> Result<(), Problem> {
        let meeting = self.together()?.meeting();
        let terms = meeting.and_then(|meeting| wallet_terms(meeting.proposal(session)?));
        let Some(terms) = terms else {
            return Ok(());
        };
        let (theirs, ours) = (terms.start, self.block(terms.start.height).await?);
        match theirs == ours {
            true => Ok(()),
            false => Err(wrong(
                "other_chain",
                format!("by the proposal the chain begins after block {} {}, but this guardian's Electrum server has {} {} there; one of you sees another chain", theirs.height, theirs.hash, ours.height, ours.hash),
            )),
        }
    }

    async fn close(&mut self) -> Result<Json, Problem> {
        let together = self.together()?;
        if together.making.is_none() {
            return Err(too_late("no keys are being made"));
        }
        let news = KeyGenerationNews::Close.encode();
        let module = KEY_GENERATION;
        together.to_node(Event::World { module, news }).await;
        Ok(done())
    }

    fn finish(&mut self) -> Result<Json, Problem> {
        if !self.together()?.is_done() {
            return Err(too_late("this guardian has no keys yet"));
        }
        self.is_impatient = true;
        Ok(done())
    }

    async fn abort(&mut self) -> Result<Json, Problem> {
        if self.together.as_ref().is_some_and(Together::is_done) {
            return Err(too_late("this guardian has its keys, and the others may have founded the federation: nothing is forgotten any more"));
        }
        self.stop().await;
        self.own = None;
        self.folder.erase().map_err(|error| failed(&error))?;
        Ok(done())
    }
}

/// Whether a guardian can be where it says. Its own announcements could not say it otherwise (SPEC NET-4).
fn check_place(p2p: &[String], api: &str) -> Result<(), Problem> {
    for address in p2p {
        check_address(address).map_err(|error| wrong("address", error))?;
    }
    let (p2p, api) = (p2p.to_vec(), api.to_owned());
    let place = Place { p2p, api };
    place.validate().map_err(|error| wrong("place", error))
}

/// The proposal that is meant.
fn which(
    text: &str,
    proposals: &[guildmint_founding::meeting::Proposed],
) -> Result<SessionId, Problem> {
    let wanted = text.trim();
    let phrase = wanted
        .parse::<CheckPhrase>()
        .map(|phrase| phrase.to_string());
    let is_meant = |proposed: &&guildmint_founding::meeting::Proposed| {
        phrase.as_ref() == Ok(&proposed.check_phrase) || proposed.session.to_string() == wanted
    };
    let found = proposals.iter().find(is_meant);
    found.map(|proposed| proposed.session).ok_or_else(|| {
        let detail = "nobody has proposed what has this check phrase; if the other operators see these words, you see another proposal than they: do not confirm it";
        wrong("check_phrase", detail)
    })
}

/// The terms of the wallet in a proposal, if there is one.
pub(super) fn wallet_terms(proposal: &Proposal) -> Option<WalletTerms> {
    let mut modules = proposal.modules.values();
    let wallet = modules.find(|module| module.kind == guildmint_wallet::KIND)?;
    WalletTerms::decode(&wallet.terms).ok()
}
