//! Where guardians are: each signs its own addresses, anybody passes them on, and the newest count (SPEC NET-4).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    config::GenesisConfig,
    encoding::{write, Wire},
    hash::{SessionId, Tagged},
    identity::{IdentityKey, IdentityPublicKey, IdentitySignature, WrongSignature},
    limits::{MAX_ADDRESSES, MAX_ADDRESS_BYTES},
    PeerId,
};

/// The highest number that an announcement may have: all integers up to it are exact in JSON. As milliseconds it is reached in
/// the year 287396.
const MAX_SEQUENCE: u64 = (1 << 53) - 1;

/// Where a guardian is reached.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// By other guardians: multiaddresses, such as `/dns4/mint.example/tcp/8173`. Hostile text.
    pub p2p: Vec<String>,
    /// By clients: the URL of its API. Hostile text.
    pub api: String,
}

/// Why nobody can be at a place.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PlaceError {
    /// More addresses than anybody dials.
    #[error("{0} addresses where at most {MAX_ADDRESSES} are allowed")]
    TooMany(usize),
    /// Not an address that guardians dial.
    #[error(
        "{0:?} is no multiaddress of at most {MAX_ADDRESS_BYTES} characters; it starts with `/`"
    )]
    P2p(String),
    /// Not a URL that clients ask.
    #[error("{0:?} is no URL of at most {MAX_ADDRESS_BYTES} characters; it starts with `http://` or `https://`")]
    Api(String),
}

impl Place {
    /// Checks what can be known without looking: how many addresses, how long, and of which kind.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn validate(&self) -> Result<(), PlaceError> {
        if self.p2p.len() > MAX_ADDRESSES {
            return Err(PlaceError::TooMany(self.p2p.len()));
        }
        // Cut, so that what is wrong does not fill a log.
        let shown = |text: &str| text.chars().take(80).collect();
        let plain = |text: &str| {
            text.len() <= MAX_ADDRESS_BYTES && text.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if let Some(wrong) = self
            .p2p
            .iter()
            .find(|p2p| !p2p.starts_with('/') || !plain(p2p))
        {
            return Err(PlaceError::P2p(shown(wrong)));
        }
        let host = ["http://", "https://"]
            .iter()
            .find_map(|scheme| self.api.strip_prefix(scheme));
        match host.is_some_and(|host| !host.is_empty()) && plain(&self.api) {
            true => Ok(()),
            false => Err(PlaceError::Api(shown(&self.api))),
        }
    }
}

/// A guardian's word on where it is, signed, so that it does not matter who passes it on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = 4096)]
pub struct Announcement {
    /// Who.
    pub guardian: PeerId,
    /// A later one has a higher number: the time in milliseconds, or one more than the last if the clock is behind that.
    pub sequence: u64,
    /// Where.
    pub place: Place,
    /// The guardian's signature over all of the above.
    pub signature: IdentitySignature,
}

/// Why an announcement counts for nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AnnouncementError {
    /// Of nobody in the federation.
    #[error("{0} is not in the federation")]
    Stranger(PeerId),
    /// A place where nobody can be.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// After which no other could come.
    #[error("the number {0} is higher than any announcement's")]
    Sequence(u64),
    /// Not signed by the guardian.
    #[error(transparent)]
    Signature(#[from] WrongSignature),
}

impl Announcement {
    /// Signs where a guardian is. `known` is the highest number that any announcement of it is known to have: a clock that was set
    /// back, or a database that was lost, must not keep it from being found.
    #[must_use]
    pub fn sign(
        place: Place,
        guardian: PeerId,
        unix_ms: u64,
        known: Option<u64>,
        session: SessionId,
        key: &IdentityKey,
    ) -> Self {
        // A clock far beyond all reason leaves room for later announcements.
        let by_clock = unix_ms.min(MAX_SEQUENCE / 2);
        let sequence = known.map_or(by_clock, |known| by_clock.max(known.saturating_add(1)));
        let signature = key.sign(&signed_hash(session, guardian, sequence, &place));
        Self {
            guardian,
            sequence,
            place,
            signature,
        }
    }

    fn verify(
        &self,
        session: SessionId,
        identity: &IdentityPublicKey,
    ) -> Result<(), AnnouncementError> {
        self.place.validate()?;
        if self.sequence > MAX_SEQUENCE {
            return Err(AnnouncementError::Sequence(self.sequence));
        }
        let hash = signed_hash(session, self.guardian, self.sequence, &self.place);
        Ok(identity.verify(&hash, &self.signature)?)
    }

    /// Whether it counts before another of the same guardian. Of two with one number, which no honest guardian makes, all take the
    /// same.
    #[must_use]
    pub fn is_newer_than(&self, other: &Self) -> bool {
        (self.sequence, &self.place) > (other.sequence, &other.place)
    }
}

fn signed_hash(session: SessionId, guardian: PeerId, sequence: u64, place: &Place) -> [u8; 32] {
    let mut bytes = Vec::new();
    write(&mut bytes, place);
    Tagged::new("guildmint/announcement")
        .add(session)
        .add(guardian.0.to_le_bytes())
        .add(sequence.to_le_bytes())
        .field(bytes)
        .finish()
}

/// The newest announcement of each guardian, all of them verified. Guardians and wallets keep one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressBook {
    session: SessionId,
    identities: Vec<IdentityPublicKey>,
    newest: BTreeMap<PeerId, Announcement>,
}

impl AddressBook {
    /// An empty one of a federation.
    #[must_use]
    pub fn new(genesis: &GenesisConfig) -> Self {
        let identities = genesis.guardians.iter().map(|keys| keys.identity);
        Self {
            session: genesis.session,
            identities: identities.collect(),
            newest: BTreeMap::new(),
        }
    }

    /// Takes an announcement, whoever it came from. Says whether it was news: an old one, or the one that is here, changes nothing.
    ///
    /// # Errors
    /// If it is not what its guardian said.
    pub fn take(&mut self, announcement: &Announcement) -> Result<bool, AnnouncementError> {
        let is_news = self.check(announcement)?;
        if is_news {
            self.newest
                .insert(announcement.guardian, announcement.clone());
        }
        Ok(is_news)
    }

    /// Whether an announcement is news, without taking it.
    ///
    /// # Errors
    /// If it is not what its guardian said.
    pub fn check(&self, announcement: &Announcement) -> Result<bool, AnnouncementError> {
        let guardian = announcement.guardian;
        let identity = self.identities.get(usize::from(guardian.0));
        let identity = identity.ok_or(AnnouncementError::Stranger(guardian))?;
        let known = self.newest.get(&guardian);
        // Cheaper than a signature, and most of what comes is known.
        if known.is_some_and(|known| !announcement.is_newer_than(known)) {
            return Ok(false);
        }
        announcement.verify(self.session, identity)?;
        Ok(true)
    }

    /// The newest announcement of a guardian.
    #[must_use]
    pub fn get(&self, guardian: PeerId) -> Option<&Announcement> {
        self.newest.get(&guardian)
    }

    /// All of them, in the order of guardians.
    pub fn iter(&self) -> impl Iterator<Item = &Announcement> {
        self.newest.values()
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::Network;

    use super::*;
    use crate::GuardianKeys;

    fn key(guardian: u8) -> IdentityKey {
        IdentityKey::from_seed(&[guardian; 32])
    }

    fn genesis(session: u8) -> GenesisConfig {
        let keys = |guardian| GuardianKeys {
            name: String::new(),
            identity: key(guardian).public(),
        };
        GenesisConfig {
            name: "test".into(),
            session: SessionId([session; 32]),
            network: Network::Regtest,
            guardians: (0..4).map(keys).collect(),
            coin: Vec::new(),
            epoch_floor_ms: 50,
            modules: BTreeMap::new(),
        }
    }

    fn place(port: u16) -> Place {
        Place {
            p2p: vec![format!("/ip4/127.0.0.1/tcp/{port}")],
            api: format!("http://127.0.0.1:{port}"),
        }
    }

    fn said(guardian: u8, unix_ms: u64, port: u16) -> Announcement {
        let (session, key) = (genesis(1).session, key(guardian));
        let guardian = PeerId(guardian.into());
        Announcement::sign(place(port), guardian, unix_ms, None, session, &key)
    }

    #[test]
    fn the_newest_counts_and_an_old_one_played_again_does_not() {
        let mut book = AddressBook::new(&genesis(1));
        let (first, second) = (said(2, 1_000, 1), said(2, 2_000, 2));
        assert_eq!(book.take(&first), Ok(true));
        assert_eq!(book.take(&first), Ok(false));
        assert_eq!(book.take(&second), Ok(true));
        assert_eq!(book.take(&first), Ok(false));
        assert_eq!(book.get(PeerId(2)), Some(&second));
        assert_eq!(book.get(PeerId(1)), None);
    }

    #[test]
    fn of_two_with_one_number_all_take_the_same() {
        let (one, other) = (said(2, 1_000, 1), said(2, 1_000, 2));
        let mut books = [[&one, &other], [&other, &one]].map(|order| {
            let mut book = AddressBook::new(&genesis(1));
            for announcement in order {
                book.take(announcement).unwrap();
            }
            book
        });
        assert_eq!(books[0], books[1]);
        assert_eq!(books[0].take(&one), Ok(false));
    }

    #[test]
    fn nobody_speaks_for_another() {
        let mut book = AddressBook::new(&genesis(1));
        let wrong = |one: &Announcement| {
            AnnouncementError::Signature(WrongSignature(key(one.guardian.0 as u8).public()))
        };
        let changed: [fn(&mut Announcement); 4] = [
            |one| one.guardian = PeerId(1),
            |one| one.sequence += 1,
            |one| one.place.api = "http://evil".into(),
            |one| one.place.p2p.clear(),
        ];
        for change in changed {
            let mut forged = said(2, 1_000, 1);
            change(&mut forged);
            assert_eq!(book.take(&forged), Err(wrong(&forged)), "{forged:?}");
        }
        let mut stranger = said(2, 1_000, 1);
        stranger.guardian = PeerId(4);
        let unknown = AnnouncementError::Stranger(PeerId(4));
        assert_eq!(book.take(&stranger), Err(unknown));
        assert_eq!(book.iter().count(), 0);
    }

    #[test]
    fn what_was_said_in_one_federation_means_nothing_in_another() {
        let mut other = AddressBook::new(&genesis(2));
        assert!(other.take(&said(2, 1_000, 1)).is_err());
    }

    #[test]
    fn places_where_nobody_can_be_are_refused() {
        let long = "x".repeat(MAX_ADDRESS_BYTES);
        let wrong = [
            Place {
                p2p: vec!["/ip4/1.2.3.4/tcp/1".into(); MAX_ADDRESSES + 1],
                ..place(1)
            },
            Place {
                p2p: vec!["mint.example:1".into()],
                ..place(1)
            },
            Place {
                p2p: vec![format!("/{long}")],
                ..place(1)
            },
            Place {
                p2p: vec!["/dns/a b/tcp/1".into()],
                ..place(1)
            },
            Place {
                api: String::new(),
                ..place(1)
            },
            Place {
                api: "https://".into(),
                ..place(1)
            },
            Place {
                api: "file:///etc/passwd".into(),
                ..place(1)
            },
            Place {
                api: format!("http://{long}"),
                ..place(1)
            },
            Place {
                api: "http://a\r\nb".into(),
                ..place(1)
            },
        ];
        let mut book = AddressBook::new(&genesis(1));
        for place in wrong {
            let one = Announcement::sign(place, PeerId(0), 1, None, genesis(1).session, &key(0));
            let refused = matches!(book.take(&one), Err(AnnouncementError::Place(_)));
            assert!(refused, "{one:?}");
        }
        let fits = Place {
            p2p: vec![format!("/{}", &long[1..]); MAX_ADDRESSES],
            api: format!("http://{}", &long[7..]),
        };
        let one = Announcement::sign(fits, PeerId(0), 1, None, genesis(1).session, &key(0));
        assert_eq!(book.take(&one), Ok(true));
        assert_eq!(Announcement::decode(&one.encode()), Ok(one), "the largest");
    }

    #[test]
    fn whatever_the_clock_says_a_later_announcement_is_newer() {
        let session = genesis(1).session;
        let sign = |unix_ms, known| {
            Announcement::sign(place(1), PeerId(0), unix_ms, known, session, &key(0)).sequence
        };
        assert_eq!(sign(5, None), 5);
        assert_eq!(sign(5, Some(4)), 5);
        assert_eq!(sign(5, Some(5)), 6);
        assert_eq!(sign(5, Some(70)), 71);
        let absurd = sign(u64::MAX, None);
        assert!(sign(u64::MAX, Some(absurd)) > absurd);
        let mut last = said(0, 1, 1);
        last.sequence = MAX_SEQUENCE + 1;
        let mut book = AddressBook::new(&genesis(1));
        let refused = AnnouncementError::Sequence(MAX_SEQUENCE + 1);
        assert_eq!(book.take(&last), Err(refused));
    }
}
