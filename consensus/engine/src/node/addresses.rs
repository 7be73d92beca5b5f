//! Where guardians are (SPEC NET-4): each signs its own place, and all keep the newest of everybody and pass it on. So one reachable
//! peer is enough to find the others, and a guardian that has moved is found again.

use std::collections::BTreeMap;

use guildmint_core::{
    api::AnnouncementsAnswer, limits::MAX_GUARDIANS, AddressBook, Announcement, GenesisConfig,
    PeerId, Place, Wire,
};

use super::{
    event::{Action, Topic},
    talk::Talk,
    Node,
};
use crate::rows::Announced;

/// How long a guardian's announcement is the newest at least, in milliseconds. The next waits, for itself and for others: whoever
/// signs new ones without end keeps nobody busy.
const REST_MS: u64 = 5_000;

/// What this guardian knows of where guardians are.
pub(super) struct Addresses {
    book: AddressBook,
    /// Where we are, once we know, and how far the time of the day is ahead of the node's clock.
    own: Option<(Place, u64)>,
    /// Until when the newest announcement of each stays the newest.
    resting: BTreeMap<PeerId, u64>,
    /// The newest of those that wait for that.
    waiting: BTreeMap<PeerId, Announcement>,
}

impl Addresses {
    pub(super) fn new(genesis: &GenesisConfig, stored: Vec<(Announced, Announcement)>) -> Self {
        let mut book = AddressBook::new(genesis);
        for (_, announcement) in stored {
            // One that is of no use any more is heard again from others.
            let _ = book.take(&announcement);
        }
        Self {
            book,
            own: None,
            resting: BTreeMap::new(),
            waiting: BTreeMap::new(),
        }
    }

    /// The newest of each guardian, also those that wait before they count here: whoever asks may need them now.
    fn all(&self) -> Vec<Announcement> {
        let newest = |one: &Announcement| self.waiting.get(&one.guardian).unwrap_or(one).clone();
        self.book.iter().map(newest).collect()
    }

    fn rests(&self, guardian: PeerId, now_ms: u64) -> bool {
        let until_ms = self.resting.get(&guardian);
        until_ms.is_some_and(|until_ms| *until_ms > now_ms)
    }

    /// Keeps the newest for later.
    fn wait_with(&mut self, announcement: Announcement) {
        let waiting = self.waiting.get(&announcement.guardian);
        if waiting.is_none_or(|waiting| announcement.is_newer_than(waiting)) {
            self.waiting.insert(announcement.guardian, announcement);
        }
    }

    fn take_due(&mut self, now_ms: u64) -> Vec<Announcement> {
        let waiting = std::mem::take(&mut self.waiting);
        let (later, due) = waiting
            .into_iter()
            .partition(|(guardian, _)| self.rests(*guardian, now_ms));
        self.waiting = later;
        let due: BTreeMap<PeerId, Announcement> = due;
        due.into_values().collect()
    }

    /// When something that waits is due.
    pub(super) fn next_wake_ms(&self) -> Option<u64> {
        let waiting = self.waiting.keys();
        waiting
            .filter_map(|peer| self.resting.get(peer))
            .min()
            .copied()
    }
}

impl Node {
    /// Tells the network where the others said last that they are.
    pub(super) fn locate_all(&mut self) {
        let me = self.me();
        let others = self.addresses.book.iter().filter(|one| one.guardian != me);
        let locate = |one: &Announcement| Action::Locate {
            peer: one.guardian,
            p2p: one.place.p2p.clone(),
        };
        self.out.extend(others.map(locate));
    }

    /// We are told where we are, and what time of the day it is.
    pub(super) fn on_located(&mut self, place: Place, unix_ms: u64) {
        let ahead_ms = unix_ms.saturating_sub(self.now_ms);
        self.addresses.own = Some((place, ahead_ms));
        self.announce();
    }

    /// Says where we are, unless the last that was said of us says so.
    fn announce(&mut self) {
        let me = self.me();
        let Some((place, ahead_ms)) = self.addresses.own.clone() else {
            return;
        };
        let known = self.addresses.book.get(me);
        if known.is_some_and(|known| known.place == place) {
            return;
        }
        let known = known.map(|known| known.sequence);
        let unix_ms = self.now_ms.saturating_add(ahead_ms);
        let announcement =
            Announcement::sign(place, me, unix_ms, known, self.session(), &self.identity);
        self.take_announcement(me, announcement);
    }

    /// A peer tells what it knows of where guardians are.
    pub(super) fn on_announcements(&mut self, from: PeerId, announcements: Vec<Announcement>) {
        if announcements.len() > usize::from(MAX_GUARDIANS) {
            let kind = format!("{} announcements at once", announcements.len());
            return self.blame(from, kind);
        }
        for announcement in announcements {
            self.take_announcement(from, announcement);
        }
    }

    /// Keeps an announcement if it is news; not before its guardian's last one has been the newest for long enough.
    fn take_announcement(&mut self, from: PeerId, announcement: Announcement) {
        let guardian = announcement.guardian;
        match self.addresses.book.check(&announcement) {
            Ok(true) if self.addresses.rests(guardian, self.now_ms) => {
                self.addresses.wait_with(announcement);
            }
            Ok(true) => self.publish(announcement),
            Ok(false) => {}
            Err(error) => self.blame(from, format!("announcement of {guardian}: {error}")),
        }
    }

    /// What is news to us may be news to others.
    fn publish(&mut self, announcement: Announcement) {
        let (guardian, me) = (announcement.guardian, self.me());
        if self.addresses.book.take(&announcement) != Ok(true) {
            // A later one came while it waited.
            return;
        }
        let until_ms = self.now_ms.saturating_add(REST_MS);
        self.addresses.resting.insert(guardian, until_ms);
        self.disk.put(&Announced(guardian), &announcement);
        if guardian != me {
            let p2p = announcement.place.p2p.clone();
            self.out.push(Action::Locate {
                peer: guardian,
                p2p,
            });
        }
        self.disk.after_save(Action::Broadcast {
            topic: Topic::Announcements,
            bytes: Talk::Announcements(vec![announcement]).encode(),
        });
    }

    /// Takes what has waited long enough. What was said of us and is not so is corrected: our database was lost, or an old copy, or
    /// somebody else has our keys.
    pub(super) fn take_late_announcements(&mut self) {
        for announcement in self.addresses.take_due(self.now_ms) {
            self.publish(announcement);
        }
        let me = self.me();
        let is_wrong = |addresses: &Addresses| {
            let (own, _) = addresses.own.as_ref()?;
            Some(addresses.book.get(me)?.place != *own && !addresses.waiting.contains_key(&me))
        };
        if is_wrong(&self.addresses) == Some(true) {
            let kind = "said elsewhere than here where it is; corrected, and if that comes again its keys are used twice";
            self.blame(me, kind.into());
            self.announce();
        }
    }

    /// Tells a peer all that we know of where guardians are.
    pub(super) fn send_announcements(&mut self, to: PeerId) {
        let known = self.addresses.all();
        if !known.is_empty() {
            self.send(to, &Talk::Announcements(known));
        }
    }

    pub(super) fn announcements_answer(&self) -> AnnouncementsAnswer {
        AnnouncementsAnswer {
            announcements: self.addresses.all(),
        }
    }
}
