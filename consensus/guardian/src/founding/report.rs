//! How far founding is, for the operator.

use std::time::Duration;

use async_std::future::timeout;
use futures::channel::oneshot;
use guildmint_api::{SetupGuardian, SetupProposal, SetupStage, SetupStatus};
use guildmint_core::{module::Query, PeerId, SessionId};
use guildmint_engine::node::{Reply, Request};
use guildmint_founding::{
    key_generation,
    meeting::{MeetingProgress, Stage},
};
use serde_json::Value as Json;

use super::{
    organizer::{Organizer, Together},
    steps::wallet_terms,
};
use crate::shell::Input;

/// The loop that makes keys may be thinking.
const PATIENCE: Duration = Duration::from_secs(3);

/// When there is nobody left to ask.
pub(super) fn stopping() -> SetupStatus {
    status(SetupStage::Waiting, "This guardian is about to stop.").numbered()
}

/// On regtest too: whoever plays with it runs into the same.
const NO_ELECTRUM: &str = "The proposal names no Electrum server at which wallets could look for deposits, so each user must name one (`guildmint --electrum`). Propose it anew with `--electrum-for-wallets ssl://electrum.example.org:50002`, or agree on one later with `guildmintd revise`.";

/// Proposals that the operator has to think of: the one that is confirmed, else all.
fn thought_of(progress: &MeetingProgress) -> Vec<SessionId> {
    let all = progress.proposals.iter().map(|proposed| proposed.session);
    let counts = |session: &SessionId| progress.confirmed.is_none_or(|one| one == *session);
    all.filter(counts).collect()
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
            warning: together.warning(thought_of(&progress)),
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
    /// What the operators should think of before they found what is proposed.
    pub(super) fn warning(&self, sessions: impl IntoIterator<Item = SessionId>) -> Option<String> {
        let proposal = |session| self.meeting()?.proposal(session);
        let wallets = sessions.into_iter().filter_map(proposal);
        let mut wallets = wallets.filter_map(wallet_terms);
        let is_blind = wallets.any(|terms| terms.electrum.is_empty());
        let warnings = [
            self.roster.quorum().warning(),
            is_blind.then_some(NO_ELECTRUM),
        ];
        let warnings: Vec<_> = warnings.into_iter().flatten().collect();
        (!warnings.is_empty()).then(|| warnings.join(" "))
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
        let is_mine = waiting_for.contains(&self.roster.me());
        next(stage, &names.join(", "), is_mine)
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

/// What is to be done, with the names of those who are waited for, if it is somebody.
fn next(stage: SetupStage, names: &str, is_mine: bool) -> String {
    let waiting = match names {
        "" => String::new(),
        names => format!(" Waiting for {names}."),
    };
    match stage {
        SetupStage::Propose => "One of the operators proposes what the federation shall be.".into(),
        SetupStage::Confirm if is_mine => "Compare the check phrase with all other operators by voice, and confirm the proposal.".into(),
        SetupStage::Confirm => format!("Waiting for the confirmation of {names}."),
        SetupStage::Coin => format!("Making the keys of consensus.{waiting}"),
        SetupStage::Keys => format!("Making the keys of the modules.{waiting}"),
        SetupStage::Waiting if names.is_empty() => "All guardians have their keys. This one goes on by itself as a guardian of the federation.".into(),
        SetupStage::Waiting => format!("This guardian has its keys. Waiting until {names} have theirs too; if you know that they do, go on with `guildmintd setup finish`."),
        SetupStage::Failed => "It has failed. Begin again with new codes, without whoever cheated: `guildmintd setup abort`.".into(),
        SetupStage::Code | SetupStage::Join => String::new(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_waited_for_without_a_name() {
        for stage in [SetupStage::Coin, SetupStage::Keys, SetupStage::Waiting] {
            let (alone, named) = (next(stage, "", false), next(stage, "bob (1)", false));
            assert!(named.contains("bob (1)"), "{named}");
            assert!(!alone.contains("ait") && !alone.contains("  "), "{alone}");
            assert!(alone.ends_with('.'), "{alone}");
        }
    }
}
