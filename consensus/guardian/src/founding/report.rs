//! How far founding is, for the operator.

use std::time::Duration;

use async_std::future::timeout;
use futures::channel::oneshot;
use guildmint_api::{SetupGuardian, SetupProposal, SetupStage, SetupStatus};
use guildmint_core::{module::Query, PeerId};
use guildmint_engine::node::{Reply, Request};
use guildmint_founding::{
    key_generation,
    meeting::{MeetingProgress, Stage},
};
use serde_json::Value as Json;

use super::organizer::{Organizer, Together};
use crate::shell::Input;

/// The loop that makes keys may be thinking.
const PATIENCE: Duration = Duration::from_secs(3);

/// When there is nobody left to ask.
pub(super) fn stopping() -> SetupStatus {
    status(SetupStage::Waiting, "This guardian is about to stop.").numbered()
}

fn status(stage: SetupStage, next: impl ToString) -> SetupStatus {
    SetupStatus {
        version: String::new(),
        warning: None,
        stage,
        next: next.to_string(),
        code: None,
        guardians: Vec::new(),
        proposals: Vec::new(),
        confirmed: None,
        waiting_for: Vec::new(),
        keys: None,
        federation: None,
        failure: None,
    }
}

impl Organizer {
    pub(super) async fn report(&self) -> SetupStatus {
        self.unnumbered().await.numbered()
    }

    async fn unnumbered(&self) -> SetupStatus {
        let Some((_, code)) = &self.own else {
            return status(SetupStage::Code, "Make this guardian's setup code.");
        };
        let code = Some(code.to_string());
        let together = self.together.as_ref();
        let meeting = together.and_then(|one| Some((one, one.meeting()?.progress())));
        let Some((together, progress)) = meeting else {
            let next = "Give this guardian's setup code to all other operators, and enter theirs.";
            return SetupStatus {
                code,
                ..status(SetupStage::Join, next)
            };
        };
        let keys = together.keys().await;
        let stage = together.stage(&progress);
        let waiting_for = together.lacking(stage, &progress, keys.as_ref());
        SetupStatus {
            code,
            guardians: together.guardians(&progress),
            warning: together.warning().map(str::to_owned),
            confirmed: progress.confirmed.map(|session| session.to_string()),
            federation: match &together.finished {
                Some(Ok(id)) => Some(id.to_string()),
                _ => None,
            },
            failure: together.failure(),
            proposals: proposals(progress),
            keys,
            waiting_for: waiting_for.clone(),
            ..status(stage, together.next(stage, &waiting_for))
        }
    }
}

impl Together {
    /// What the operators should think of before they found it.
    pub(super) fn warning(&self) -> Option<&'static str> {
        self.roster.quorum().warning()
    }

    fn stage(&self, progress: &MeetingProgress) -> SetupStage {
        if self.failure().is_some() {
            return SetupStage::Failed;
        }
        match progress.stage {
            _ if self.is_done() => SetupStage::Waiting,
            Stage::Proposing => SetupStage::Propose,
            Stage::Confirming => SetupStage::Confirm,
            Stage::Opening | Stage::Answering | Stage::Concluding => SetupStage::Coin,
            Stage::Agreed => SetupStage::Keys,
            Stage::Failed => SetupStage::Failed,
        }
    }

    /// Without whom it cannot go on.
    fn lacking(
        &self,
        stage: SetupStage,
        progress: &MeetingProgress,
        keys: Option<&Json>,
    ) -> Vec<PeerId> {
        match stage {
            SetupStage::Waiting => self.waiting_for(),
            SetupStage::Keys => {
                let listed = keys.and_then(|keys| keys.get("waiting_for"));
                let listed = listed.and_then(|list| serde_json::from_value(list.clone()).ok());
                listed.unwrap_or_default()
            }
            _ => progress.waiting_for.clone(),
        }
    }

    fn next(&self, stage: SetupStage, waiting_for: &[PeerId]) -> String {
        let named = |peer: &PeerId| format!("{} ({})", self.roster.name(*peer), peer.0);
        let names: Vec<_> = waiting_for.iter().map(named).collect();
        let names = names.join(", ");
        let me = self.roster.me();
        match stage {
            SetupStage::Propose => "One of the operators proposes what the federation shall be.".into(),
            SetupStage::Confirm if waiting_for.contains(&me) => "Compare the check phrase with all other operators by voice, and confirm the proposal.".into(),
            SetupStage::Confirm => format!("Waiting for the confirmation of {names}."),
            SetupStage::Coin => format!("Making the keys of consensus. Waiting for {names}."),
            SetupStage::Keys => format!("Making the keys of the modules. Waiting for {names}."),
            SetupStage::Waiting => format!("This guardian has its keys. Waiting until {names} have theirs too; if you know that they do, go on with `guildmintd setup finish`."),
            SetupStage::Failed => "It has failed. Begin again with new codes, without whoever cheated: `guildmintd setup abort`.".into(),
            SetupStage::Code | SetupStage::Join => String::new(),
        }
    }

    fn guardians(&self, progress: &MeetingProgress) -> Vec<SetupGuardian> {
        let (me, connections) = (self.roster.me(), self.network.peers());
        let is_connected = |peer: PeerId| {
            let mut connected = connections.iter().filter(|one| one.connected);
            connected.any(|one| one.peer == peer)
        };
        let waiting_for = self.waiting_for();
        let guardians = progress.guardians.iter();
        guardians
            .map(|guardian| SetupGuardian {
                guardian: guardian.peer,
                name: guardian.name.clone(),
                is_self: guardian.peer == me,
                connected: is_connected(guardian.peer),
                confirmed: guardian.confirmed.map(|session| session.to_string()),
                done: match guardian.peer == me {
                    true => self.is_done(),
                    false => !waiting_for.contains(&guardian.peer),
                },
            })
            .collect()
    }

    /// How far the modules' keys are, if they are being made.
    async fn keys(&self) -> Option<Json> {
        let making = self.making.as_ref()?;
        let (reply, answer) = oneshot::channel();
        let request = Request::Query {
            kind: key_generation::KIND.to_owned(),
            query: Query {
                path: "progress".to_owned(),
                parameters: Default::default(),
            },
        };
        let asked = making.inputs.send(Input::Ask { request, reply });
        asked.await.ok()?;
        match timeout(PATIENCE, answer).await {
            Ok(Ok(Reply::Query(json))) => Some(json),
            _ => None,
        }
    }
}

fn proposals(progress: MeetingProgress) -> Vec<SetupProposal> {
    let proposals = progress.proposals.into_iter();
    proposals
        .map(|proposed| SetupProposal {
            by: proposed.by,
            session: proposed.session.to_string(),
            check_phrase: proposed.check_phrase,
            proposal: proposed.proposal,
            problem: proposed.problem,
        })
        .collect()
}
