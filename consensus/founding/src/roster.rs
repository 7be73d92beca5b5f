//! Who founds a federation: the setup codes of all guardians, in their order.

use std::collections::BTreeSet;

use guildmint_core::{GuardianKeys, PeerId, Quorum, QuorumError, Tagged};
use thiserror::Error;

use crate::{Seed, SetupCode};

/// All guardians, in the order of their identity keys (SPEC GEN-2), and which of them this is.
#[derive(Debug, Clone)]
pub struct Roster {
    codes: Vec<SetupCode>,
    quorum: Quorum,
    me: PeerId,
}

/// Why setup codes make no meeting.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RosterError {
    /// Too few or too many.
    #[error(transparent)]
    Quorum(#[from] QuorumError),
    /// Our own code is missing.
    #[error("this guardian's own setup code is not among the codes; add it")]
    WithoutMe,
    /// Another code of our own.
    #[error("one of the codes is an old one of this guardian; give the others the present one, and use it here too")]
    OldCode,
    /// The same guardian twice.
    #[error("`{0}` and `{1}` have a key in common; every guardian needs a code of its own")]
    Same(String, String),
}

impl Roster {
    /// Puts codes in order.
    ///
    /// # Errors
    /// If they are too many, if `own` is missing, or one key occurs twice.
    pub fn new(mut codes: Vec<SetupCode>, own: &SetupCode) -> Result<Self, RosterError> {
        codes.sort_by_key(|code| code.guardian().identity);
        codes.dedup();
        let quorum = Quorum::new(u16::try_from(codes.len()).unwrap_or(u16::MAX))?;
        let identity = own.guardian().identity;
        let mine = quorum
            .peers()
            .zip(&codes)
            .find(|(_, code)| code.guardian().identity == identity);
        let me = match mine {
            None => return Err(RosterError::WithoutMe),
            Some((_, code)) if code != own => return Err(RosterError::OldCode),
            Some((me, _)) => me,
        };
        let mut seen: Vec<&SetupCode> = Vec::new();
        for code in &codes {
            let (new, name) = (code.guardian(), |code: &SetupCode| {
                code.guardian().name.escape_debug().to_string()
            });
            let same = |old: &&&SetupCode| {
                let old = old.guardian();
                old.identity == new.identity
                    || old.coin_key == new.coin_key
                    || old.encryption_key == new.encryption_key
            };
            if let Some(old) = seen.iter().find(same) {
                return Err(RosterError::Same(name(old), name(code)));
            }
            seen.push(code);
        }
        Ok(Self { codes, quorum, me })
    }

    /// The codes, in the guardians' order.
    #[must_use]
    pub fn codes(&self) -> &[SetupCode] {
        &self.codes
    }

    /// The code of a guardian.
    #[must_use]
    pub fn code(&self, peer: PeerId) -> Option<&SetupCode> {
        self.codes.get(usize::from(peer.0))
    }

    /// What a guardian calls itself, fit to print.
    #[must_use]
    pub fn name(&self, peer: PeerId) -> String {
        let name = self.code(peer).map(|code| &code.guardian().name);
        name.map_or_else(String::new, |name| name.escape_debug().to_string())
    }

    /// The federation's numbers.
    #[must_use]
    pub fn quorum(&self) -> Quorum {
        self.quorum
    }

    /// Which guardian this is.
    #[must_use]
    pub fn me(&self) -> PeerId {
        self.me
    }

    /// What guardians with the same codes have in common, and others have not: those cannot even connect (SPEC SET-4).
    #[must_use]
    pub fn meeting_id(&self) -> [u8; 32] {
        let hash = Tagged::new("guildmint/meeting");
        let add = |hash: Tagged, code: &SetupCode| hash.add(code.hash());
        self.codes.iter().fold(hash, add).finish()
    }

    /// Names and identities, for the genesis config.
    pub(crate) fn keys(&self) -> Vec<GuardianKeys> {
        let keys = |code: &SetupCode| GuardianKeys {
            name: code.guardian().name.clone(),
            identity: code.guardian().identity,
        };
        self.codes.iter().map(keys).collect()
    }

    /// Names that more than one guardian has: allowed, and confusing.
    #[must_use]
    pub fn ambiguous_names(&self) -> BTreeSet<String> {
        let mut seen = BTreeSet::new();
        let names = self.codes.iter().map(|code| &code.guardian().name);
        names.filter(|name| !seen.insert(*name)).cloned().collect()
    }

    /// Whether a seed is that of this guardian.
    pub(crate) fn is_mine(&self, seed: &Seed) -> bool {
        let mine = self.code(self.me).map(|code| code.guardian().identity);
        mine == Some(seed.identity().public())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(byte: u8) -> SetupCode {
        let name = format!("guardian-{byte}");
        SetupCode::new(&Seed::new([byte; 32]), name, vec!["/x".into()], "".into()).unwrap()
    }

    #[test]
    fn the_order_of_entry_does_not_matter() {
        let codes: Vec<_> = (0..4).map(code).collect();
        let mut reversed = codes.clone();
        reversed.reverse();
        reversed.push(code(2));
        let one = Roster::new(codes, &code(1)).unwrap();
        let other = Roster::new(reversed, &code(3)).unwrap();
        assert_eq!(one.meeting_id(), other.meeting_id());
        assert_ne!(one.me(), other.me());
        assert_eq!(one.code(one.me()), Some(&code(1)));
        let three = Roster::new((0..3).map(code).collect(), &code(1)).unwrap();
        assert_ne!(one.meeting_id(), three.meeting_id());
    }

    #[test]
    fn mistakes_are_named() {
        let codes = || (0..4).map(code).collect::<Vec<_>>();
        let without = Roster::new(codes(), &code(9)).unwrap_err();
        assert_eq!(without, RosterError::WithoutMe);
        let renamed = SetupCode::new(
            &Seed::new([1; 32]),
            "new".into(),
            vec!["/x".into()],
            "".into(),
        );
        let old = Roster::new(codes(), renamed.as_ref().unwrap()).unwrap_err();
        assert_eq!(old, RosterError::OldCode);
        let mut twice = codes();
        twice.push(renamed.unwrap());
        let same = Roster::new(twice, &code(2)).unwrap_err();
        assert!(matches!(same, RosterError::Same(..)), "{same}");
        let many = Roster::new((0..21).map(code).collect(), &code(1));
        assert!(matches!(many, Err(RosterError::Quorum(_))));
    }
}
