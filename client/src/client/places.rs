//! Guardians that move: what they have signed about where they are can be asked of any of them (SPEC NET-4).

use guildmint_core::{api::AnnouncementsAnswer, limits::MAX_GUARDIANS, Announcement, PeerId};
use serde_json::Value as Json;

use super::{Client, Owner};
use crate::{
    api::{ApiRequest, RequestError},
    event::Action,
    rows::{Announced, Joined, Sought},
};

/// How soon guardians are asked again where the others are, when one of them cannot be reached.
const SEEK_AGAIN_MS: u64 = 5_000;

/// How long addresses are used that nobody was asked about: whoever gets hold of an old one must not be believed for ever.
const SEEK_ANYWAY_MS: u64 = 24 * 3_600_000;

impl Client {
    /// Looks whether guardians have moved, if nobody was asked for a day.
    pub(super) fn seek_at_start(&mut self) {
        let last = self.rows.get(&Sought(()));
        if last.is_none_or(|last| last.after_ms(SEEK_ANYWAY_MS) <= self.now) {
            self.seek();
        }
    }

    /// A guardian has failed in a way that fits one that has moved.
    pub(super) fn seek_after(&mut self, error: &RequestError) {
        let last = self.sought;
        let is_due = last.is_none_or(|last| last.after_ms(SEEK_AGAIN_MS) <= self.now);
        // Whoever describes a problem is a guardian.
        if is_due && !matches!(error, RequestError::Problem(_)) {
            self.seek();
        }
    }

    /// Asks all guardians: any of them knows, and one that lies can only keep silent.
    fn seek(&mut self) {
        self.sought = Some(self.now);
        let peers = self.federation.quorum.peers();
        let requests = peers.map(|peer| (peer, ApiRequest::Announcements));
        self.send(Owner::Places, requests.collect());
        self.ask_for_revisions();
    }

    /// A guardian has told where all are.
    pub(super) fn found_places(&mut self, answer: Json) {
        let Ok(answer) = serde_json::from_value::<AnnouncementsAnswer>(answer) else {
            return;
        };
        self.rows.put(&Sought(()), &self.now);
        let announcements = answer.announcements.iter().take(MAX_GUARDIANS.into());
        let places = &mut self.federation.places;
        // A wrong one counts for nothing.
        let is_news = |one: &Announcement| places.take(one).unwrap_or(false);
        if announcements.map(is_news).filter(|news| *news).count() == 0 {
            return;
        }
        let Some(mut membership) = self.rows.get(&Joined(())) else {
            return;
        };
        membership.announcements = self.federation.places.iter().cloned().collect();
        let announced = &membership.announcements;
        self.rows.put(&Announced(()), announced);
        let apis = membership.addresses();
        let before = std::mem::replace(&mut self.federation.apis, apis.clone());
        let moved = apis
            .iter()
            .filter(|(peer, api)| before.get(peer) != Some(api));
        let moved: Vec<PeerId> = moved.map(|(peer, _)| *peer).collect();
        if !moved.is_empty() {
            self.outbox.push(Action::UseAddresses { apis });
            moved.into_iter().for_each(|peer| self.ask_again(peer));
        }
    }

    /// Asks a guardian where it is now what it could not be asked where it was.
    fn ask_again(&mut self, peer: PeerId) {
        let mut requests = Vec::new();
        for (txid, (_, submission)) in &mut self.submissions {
            submission.has_moved(peer, self.now);
            requests.push((Owner::Submission(*txid), submission.tick(self.now)));
        }
        for (number, (_, ask)) in &mut self.questions {
            ask.has_moved(peer, self.now);
            requests.push((Owner::Question(*number), ask.tick(self.now)));
        }
        for (owner, requests) in requests {
            self.send(owner, requests);
        }
        self.lightning.has_moved(peer, self.now);
        self.send_watches();
    }
}
