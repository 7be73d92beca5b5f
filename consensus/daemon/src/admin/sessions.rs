//! Browsers that have said the password.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::access::{digest, Token, TokenError};

/// How long a session lasts, whatever is done in it.
pub(super) const LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);

/// Sessions at a time. One more ends the oldest.
const MAX_SESSIONS: usize = 16;

#[derive(Debug)]
struct Session {
    ends: Instant,
    /// The password it was opened with; none if it was the token.
    generation: Option<[u8; 32]>,
}

/// All sessions, by the digests of their names: who reads this memory, or times a look-up, learns no name.
#[derive(Debug, Default)]
pub(super) struct Sessions(BTreeMap<[u8; 32], Session>);

impl Sessions {
    /// Opens a session; its name is the secret that the browser keeps.
    pub(super) fn open(
        &mut self,
        generation: Option<[u8; 32]>,
        now: Instant,
    ) -> Result<Token, TokenError> {
        let name = Token::random()?;
        if self.0.len() >= MAX_SESSIONS {
            let oldest = self.0.iter().min_by_key(|(_, session)| session.ends);
            if let Some(oldest) = oldest.map(|(name, _)| *name) {
                self.0.remove(&oldest);
            }
        }
        let session = Session {
            ends: now + LIFETIME,
            generation,
        };
        self.0.insert(name.digest(), session);
        Ok(name)
    }

    /// Whether there is a session of this name. A changed password ends those that were opened with the one before.
    pub(super) fn has(&mut self, name: &str, password: Option<[u8; 32]>, now: Instant) -> bool {
        let digest = digest(name);
        let Some(session) = self.0.get(&digest) else {
            return false;
        };
        let lasts =
            now < session.ends && (session.generation.is_none() || session.generation == password);
        if !lasts {
            self.0.remove(&digest);
        }
        lasts
    }

    pub(super) fn close(&mut self, name: &str) {
        self.0.remove(&digest(name));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const OLD: Option<[u8; 32]> = Some([1; 32]);
    const NEW: Option<[u8; 32]> = Some([2; 32]);

    #[test]
    fn a_session_ends_by_time_by_hand_and_with_its_password() {
        let (mut sessions, now) = (Sessions::default(), Instant::now());
        let names: Vec<_> = (0..4).map(|_| sessions.open(OLD, now).unwrap()).collect();
        let mut has =
            |name: &Token, password, after| sessions.has(name.reveal(), password, now + after);
        assert!(names.iter().all(|name| has(name, OLD, Duration::ZERO)));
        assert!(!has(&names[0], OLD, LIFETIME));
        assert!(!has(&names[1], NEW, Duration::ZERO));
        assert!(
            !has(&names[1], OLD, Duration::ZERO),
            "it has ended for good"
        );
        assert!(
            !has(&names[2], None, Duration::ZERO),
            "the password was taken away"
        );
        assert!(has(&names[3], OLD, Duration::ZERO));
        sessions.close(names[3].reveal());
        assert!(!sessions.has(names[3].reveal(), OLD, now));
        assert!(sessions.0.is_empty());
    }

    #[test]
    fn one_too_many_ends_the_oldest() {
        let (mut sessions, now) = (Sessions::default(), Instant::now());
        let open = |sessions: &mut Sessions, second| {
            sessions
                .open(None, now + Duration::from_secs(second))
                .unwrap()
        };
        let names: Vec<_> = (0..=MAX_SESSIONS as u64)
            .map(|second| open(&mut sessions, second))
            .collect();
        let open: Vec<_> = names
            .iter()
            .map(|name| sessions.has(name.reveal(), None, now))
            .collect();
        assert!(!open[0] && open[1..].iter().all(|open| *open));
    }
}
