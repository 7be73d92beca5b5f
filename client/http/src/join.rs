//! Joining a federation by its invite code.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use async_std::future::timeout;
use futures::{stream::FuturesUnordered, StreamExt as _};
use guildmint_client::{ApiRequest, Membership, RequestError};
use guildmint_core::{
    api::{AnnouncementsAnswer, ConfigAnswer},
    limits::MAX_GUARDIANS,
    InviteCode, PeerId,
};
use serde_json::from_value;
use thiserror::Error;

use crate::Guardians;

/// How long guardians may take if nobody has given the config yet.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long the others may take, counted from the start, once the config is there: they only confirm addresses.
const COURTESY: Duration = Duration::from_secs(2);

/// Why a federation cannot be joined.
#[derive(Debug, Error)]
pub enum JoinError {
    /// Nobody answered.
    #[error("none of the {} guardians in the invite answered; {}", .0.len(), first(.0))]
    NobodyAnswered(BTreeMap<PeerId, RequestError>),
    /// Their answers are of no use.
    #[error(transparent)]
    Answers(#[from] guildmint_client::JoinError),
}

fn first(errors: &BTreeMap<PeerId, RequestError>) -> String {
    errors
        .iter()
        .next()
        .map_or_else(String::new, |(peer, error)| format!("{peer} {error}"))
}

/// Downloads the genesis config from the guardians of the invite, and accepts it iff it hashes to the federation's id
/// (SPEC GEN-7).
///
/// # Errors
/// If nobody answers, or nobody has the config, or too few guardians can be found.
pub async fn join(invite: &InviteCode) -> Result<Membership, JoinError> {
    let guardians = Guardians::new(invite.apis.clone());
    let ask = |peer: PeerId| {
        let guardians = &guardians;
        async move {
            let config = guardians.ask(peer, &ApiRequest::Config);
            let places = guardians.ask(peer, &ApiRequest::Announcements);
            let (config, places) = futures::join!(config, places);
            // One that has nothing to tell of the others may still have the config.
            let places =
                places.and_then(|json| from_value::<AnnouncementsAnswer>(json).map_err(malformed));
            let places = places.map_or_else(|_| Vec::new(), |answer| answer.announcements);
            (
                peer,
                config.and_then(|json| from_value::<ConfigAnswer>(json).map_err(malformed)),
                places,
            )
        }
    };
    let mut pending: FuturesUnordered<_> = invite.apis.keys().map(|peer| ask(*peer)).collect();
    let (mut answers, mut failures) = (BTreeMap::new(), BTreeMap::new());
    let mut announcements = Vec::new();
    let begun = Instant::now();
    let mut limit = PATIENCE;
    while let Ok(Some((peer, config, places))) =
        timeout(limit.saturating_sub(begun.elapsed()), pending.next()).await
    {
        announcements.extend(places.into_iter().take(MAX_GUARDIANS.into()));
        match config {
            Ok(answer) => drop(answers.insert(peer, answer)),
            Err(error) => drop(failures.insert(peer, error)),
        }
        if Membership::judge(invite, &answers, &announcements).is_ok() {
            limit = COURTESY;
        }
    }
    if answers.is_empty() {
        return Err(JoinError::NobodyAnswered(failures));
    }
    Ok(Membership::judge(invite, &answers, &announcements)?)
}

fn malformed(error: serde_json::Error) -> RequestError {
    RequestError::Malformed(error.to_string())
}
