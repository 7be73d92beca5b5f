//! Guardians that move from place to place, or are in two.

use std::collections::BTreeMap;

use guildmint_core::{PeerId, Place};
use guildmint_engine::node::{Event, Reply, Request};

use crate::world::World;

impl World {
    /// Tells a guardian that it is at a place, and what its clock says.
    pub fn locate(&mut self, peer: PeerId, place: u32, unix_ms: u64) {
        let place = Place {
            p2p: vec![format!("/place/{place}")],
            api: format!("http://{place}"),
        };
        self.tell(peer, Event::Located { place, unix_ms });
    }

    /// The network of a guardian notices two processes of another, or is told of a second one of its own.
    pub fn notices_a_twin(&mut self, peer: PeerId, of: PeerId, seen_by: PeerId) {
        self.tell(peer, Event::RunsTwice { of, seen_by });
    }

    /// Who runs twice, as a guardian tells clients.
    ///
    /// # Panics
    /// If it does not say.
    #[allow(clippy::panic)]
    pub fn twins(&mut self, peer: PeerId) -> Vec<PeerId> {
        let replies = self.question(&[peer], &Request::Status);
        let [Reply::Status(status)] = &replies[..] else {
            panic!("{replies:?}");
        };
        status.runs_twice.clone()
    }

    /// Where a guardian knows all to be, by the numbers of places.
    ///
    /// # Panics
    /// If it does not say.
    #[allow(clippy::panic)]
    pub fn places(&mut self, peer: PeerId) -> BTreeMap<PeerId, u32> {
        let replies = self.question(&[peer], &Request::Announcements);
        let [Reply::Announcements(answer)] = &replies[..] else {
            panic!("{replies:?}");
        };
        let number = |api: &str| {
            api.trim_start_matches("http://")
                .parse()
                .unwrap_or(u32::MAX)
        };
        let announcements = answer.announcements.iter();
        announcements
            .map(|one| (one.guardian, number(&one.place.api)))
            .collect()
    }
}
