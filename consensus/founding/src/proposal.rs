//! What a federation shall be: proposed by one guardian, confirmed by all.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

use bitcoin::Network;
use guildmint_core::{
    founding::{Founders, FoundingError, ModuleTerms, Place},
    ModuleId, SessionId, Tagged, Wire,
};
use serde::{Deserialize, Serialize};
use serde_json::{json, Value as Json};
use thiserror::Error;

use crate::Roster;

/// Bytes of a federation's name. A proposal with a longer one is refused.
pub const MAX_FEDERATION_NAME_BYTES: usize = 100;

/// Threshold keys of all modules together. A proposal that needs more is refused.
pub const MAX_KEYS: u16 = guildmint_tbs::dkg::Params::MAX_KEYS;

/// The least and most that may lie between two epochs, in milliseconds.
const EPOCH_FLOOR_MS: std::ops::RangeInclusive<u32> = 1..=10_000;

/// Bytes of an encoded proposal. A larger one is not heard.
const MAX_PROPOSAL_BYTES: usize = 64 * 1024;

/// Everything about a federation that is not a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = MAX_PROPOSAL_BYTES)]
pub struct Proposal {
    /// What the federation will call itself. Hostile text.
    pub name: String,
    /// The bitcoin network.
    pub network: Network,
    /// Least time from the end of an epoch to a guardian's next contribution, in milliseconds (SPEC EPO-7).
    pub epoch_floor_ms: u32,
    /// The modules.
    pub modules: BTreeMap<ModuleId, ModuleTerms>,
}

/// Why no federation can be so.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProposalError {
    /// No name, or a long one.
    #[error("the federation's name has {0} bytes, between 1 and {MAX_FEDERATION_NAME_BYTES} are allowed")]
    Name(usize),
    /// Out of range.
    #[error("{0} ms between epochs; between {min} and {max} are allowed", min = EPOCH_FLOOR_MS.start(), max = EPOCH_FLOOR_MS.end())]
    EpochFloor(u32),
    /// Two modules of one kind.
    #[error("there are two modules of the kind `{0}`")]
    SameKind(String),
    /// Too few or too many keys.
    #[error("the modules need {0} threshold keys, between 1 and {MAX_KEYS} are possible")]
    Keys(u32),
    /// A module or its terms.
    #[error(transparent)]
    Module(#[from] FoundingError),
    /// Not the JSON of a proposal.
    #[error("the proposal cannot be read: {0}")]
    Json(String),
}

/// A proposal as people read and write it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Readable {
    name: String,
    network: Network,
    epoch_floor_ms: u32,
    modules: Vec<ReadableModule>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadableModule {
    kind: String,
    terms: Json,
}

impl Proposal {
    /// Checks all that can be checked before there are keys.
    ///
    /// # Errors
    /// Says what no federation can be.
    pub fn check(&self, founders: &Founders, roster: &Roster) -> Result<(), ProposalError> {
        if !(1..=MAX_FEDERATION_NAME_BYTES).contains(&self.name.len()) {
            return Err(ProposalError::Name(self.name.len()));
        }
        if !EPOCH_FLOOR_MS.contains(&self.epoch_floor_ms) {
            return Err(ProposalError::EpochFloor(self.epoch_floor_ms));
        }
        let mut kinds = BTreeSet::new();
        for module in self.modules.values() {
            if !kinds.insert(&module.kind) {
                return Err(ProposalError::SameKind(module.kind.clone()));
            }
            founders.check_terms(module, self.place(roster))?;
        }
        let keys = self.keys(founders)?;
        let keys = keys.values().map(|keys| u32::from(*keys)).sum();
        match (1..=u32::from(MAX_KEYS)).contains(&keys) {
            true => Ok(()),
            false => Err(ProposalError::Keys(keys)),
        }
    }

    /// How many threshold keys each module needs.
    pub(crate) fn keys(
        &self,
        founders: &Founders,
    ) -> Result<BTreeMap<ModuleId, u16>, FoundingError> {
        let keys = |(id, module): (&ModuleId, _)| Ok((*id, founders.threshold_keys(module)?));
        self.modules.iter().map(keys).collect()
    }

    pub(crate) fn place(&self, roster: &Roster) -> Place {
        Place {
            quorum: roster.quorum(),
            network: self.network,
            me: roster.me(),
        }
    }

    /// The session in which these guardians found this federation (SPEC GEN-6).
    #[must_use]
    pub fn session(&self, roster: &Roster) -> SessionId {
        let session = Tagged::new("guildmint/session")
            .add(roster.meeting_id())
            .field(self.encode());
        SessionId(session.finish())
    }

    /// The proposal for people.
    ///
    /// # Errors
    /// If a module or its terms are none that this software knows.
    pub fn to_json(&self, founders: &Founders) -> Result<Json, ProposalError> {
        let mut modules = Vec::new();
        for module in self.modules.values() {
            modules.push(ReadableModule {
                kind: module.kind.clone(),
                terms: founders.to_json(module)?,
            });
        }
        Ok(json!(Readable {
            name: self.name.clone(),
            network: self.network,
            epoch_floor_ms: self.epoch_floor_ms,
            modules,
        }))
    }

    /// Reads what [`to_json`](Self::to_json) writes. Modules are numbered in their order.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn from_json(json: Json, founders: &Founders) -> Result<Self, ProposalError> {
        let readable: Readable =
            serde_json::from_value(json).map_err(|error| ProposalError::Json(error.to_string()))?;
        let mut modules = BTreeMap::new();
        for (id, module) in (0..).map(ModuleId).zip(readable.modules) {
            modules.insert(id, founders.read_json(&module.kind, module.terms)?);
        }
        Ok(Self {
            name: readable.name,
            network: readable.network,
            epoch_floor_ms: readable.epoch_floor_ms,
            modules,
        })
    }
}

/// Twelve words that stand for a session, to be compared by voice before it is confirmed (SPEC SET-4): 132 bits of its hash. ⚠ With
/// fewer, somebody who replaces codes on their way and proposes in both of two meetings could find two proposals with one phrase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckPhrase(Vec<&'static str>);

const PHRASE_WORDS: usize = 12;

const BITS_OF_A_WORD: usize = 11;

impl CheckPhrase {
    /// The phrase of a session.
    #[must_use]
    pub fn of(session: SessionId) -> Self {
        let list = bip39::Language::English.word_list();
        let bit = |bit: usize| usize::from(session.0[bit / 8] >> (7 - bit % 8) & 1);
        let word = |word: usize| {
            let bits = word * BITS_OF_A_WORD..(word + 1) * BITS_OF_A_WORD;
            list[bits.fold(0, |index, next| index << 1 | bit(next))]
        };
        Self((0..PHRASE_WORDS).map(word).collect())
    }
}

impl fmt::Display for CheckPhrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

/// Text that is no phrase of twelve words.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("this is no check phrase: twelve English words, such as `setup status` shows")]
pub struct PhraseError;

impl FromStr for CheckPhrase {
    type Err = PhraseError;

    fn from_str(text: &str) -> Result<Self, PhraseError> {
        let find = |word: &str| {
            let index = bip39::Language::English.find_word(&word.to_lowercase())?;
            Some(bip39::Language::English.word_list()[usize::from(index)])
        };
        let words: Option<Vec<_>> = text.split_whitespace().map(find).collect();
        let words = words.filter(|words| words.len() == PHRASE_WORDS);
        words.map(Self).ok_or(PhraseError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phrase_is_the_first_132_bits() {
        let zero = CheckPhrase::of(SessionId([0; 32])).to_string();
        assert_eq!(zero, ["abandon"; 12].join(" "));
        let mut bits = [0; 32];
        bits[16] = 0x10;
        let last = CheckPhrase::of(SessionId(bits));
        let text = last.to_string();
        assert!(text.ends_with("abandon ability"), "{text}");
        assert_eq!(text.to_uppercase().parse(), Ok(last));
        bits[16] = 0x0f;
        bits[17] = 0xff;
        assert_eq!(CheckPhrase::of(SessionId(bits)).to_string(), zero);
        assert_eq!("abandon ability".parse::<CheckPhrase>(), Err(PhraseError));
    }
}
