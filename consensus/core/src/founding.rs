//! How modules come by their keys when guardians found a federation that nobody deals for (SPEC SET-2).
//!
//! A module's *terms* are all of its config that is not a key: guardians agree on them first. Then each guardian makes an
//! *announcement* for the module, a public key for instance, and all of them together make *threshold keys*. Out of that the
//! module makes its config, the same at every guardian, and this guardian's secret.

use std::{collections::BTreeMap, fmt};

use bitcoin::Network;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{encoding::hex_bytes, module::ServerModule, ModuleConfig, PeerId, Quorum, Wire};

/// A module as guardians who are about to found a federation agree on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleTerms {
    /// Which module software reads them.
    pub kind: String,
    /// The module's own encoding of its terms.
    #[serde(with = "hex_bytes")]
    pub terms: Vec<u8>,
}

/// Where a module is founded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The federation's numbers.
    pub quorum: Quorum,
    /// Its bitcoin network.
    pub network: Network,
    /// Which guardian this is.
    pub me: PeerId,
}

/// The public side of a key that any t guardians can use together, as `guildmint_tbs::PublicKeySet` is encoded.
pub type PublicKeys = Vec<u8>;

/// This guardian's share of such a key, as `guildmint_tbs::SecretKeyShare` writes it.
pub type KeyShare = Zeroizing<[u8; 32]>;

/// Why a module cannot be founded so.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FoundingError {
    /// This software has no such module.
    #[error("there is no module `{0}` in this version; all guardians need one that has it")]
    UnknownModule(String),
    /// Terms that no federation can have.
    #[error("the terms of the {kind} module: {problem}")]
    Terms {
        /// The module's kind.
        kind: String,
        /// What is wrong.
        problem: String,
    },
    /// A guardian's announcement is none.
    #[error("for the {kind} module it announced what cannot be used: {problem}")]
    Announcement {
        /// The module's kind.
        kind: String,
        /// What is wrong.
        problem: String,
    },
    /// What came out makes no config.
    #[error("the {kind} module cannot be founded: {problem}")]
    Found {
        /// The module's kind.
        kind: String,
        /// What is wrong.
        problem: String,
    },
}

/// A module that guardians can found without a dealer. Everything here is a function of its arguments alone: a guardian that begins
/// again says the same.
pub trait FoundedModule: ServerModule {
    /// All of the config that is no key.
    type Terms: Wire;

    /// Checks what decoding cannot.
    ///
    /// # Errors
    /// Says what no federation can have.
    fn check_terms(terms: &Self::Terms, place: Place) -> Result<(), String>;

    /// How many threshold keys it needs.
    fn threshold_keys(terms: &Self::Terms) -> u16;

    /// What this guardian tells the others beforehand, from a uniform secret of its own.
    fn announce(terms: &Self::Terms, seed: &[u8; 32]) -> Vec<u8>;

    /// Whether what a guardian announced can be used.
    ///
    /// # Errors
    /// Says what is wrong with it.
    fn check_announcement(terms: &Self::Terms, announcement: &[u8]) -> Result<(), String>;

    /// The config, from everybody's announcements in the guardians' order, and as many threshold keys as it needs. The same at
    /// every guardian.
    ///
    /// # Errors
    /// If they do not fit together.
    fn config(
        place: Place,
        terms: Self::Terms,
        announcements: &[Vec<u8>],
        keys: &[PublicKeys],
    ) -> Result<Self::Config, String>;

    /// This guardian's secret, from the seed given to [`announce`](Self::announce) and its shares of the threshold keys.
    ///
    /// # Errors
    /// If they do not fit together.
    fn secret(
        place: Place,
        terms: Self::Terms,
        seed: &[u8; 32],
        shares: &[KeyShare],
    ) -> Result<Self::Secret, String>;
}

/// A [`FoundedModule`] whose terms are bytes.
#[allow(missing_docs)]
trait DynFounder: Send + Sync {
    fn check_terms(&self, terms: &[u8], place: Place) -> Result<(), String>;
    fn threshold_keys(&self, terms: &[u8]) -> Result<u16, String>;
    fn announce(&self, terms: &[u8], seed: &[u8; 32]) -> Result<Vec<u8>, String>;
    fn check_announcement(&self, terms: &[u8], announcement: &[u8]) -> Result<(), String>;
    fn config(
        &self,
        place: Place,
        terms: &[u8],
        announcements: &[Vec<u8>],
        keys: &[PublicKeys],
    ) -> Result<Vec<u8>, String>;
    fn secret(
        &self,
        place: Place,
        terms: &[u8],
        seed: &[u8; 32],
        shares: &[KeyShare],
    ) -> Result<Zeroizing<Vec<u8>>, String>;
    fn to_json(&self, terms: &[u8]) -> Result<Json, String>;
    fn read_json(&self, terms: Json) -> Result<Vec<u8>, String>;
}

struct Adapter<M>(std::marker::PhantomData<fn() -> M>);

fn read<M: FoundedModule>(terms: &[u8]) -> Result<M::Terms, String> {
    M::Terms::decode(terms).map_err(|error| format!("they cannot be read: {error}"))
}

impl<M: FoundedModule> DynFounder for Adapter<M> {
    fn check_terms(&self, terms: &[u8], place: Place) -> Result<(), String> {
        M::check_terms(&read::<M>(terms)?, place)
    }

    fn threshold_keys(&self, terms: &[u8]) -> Result<u16, String> {
        Ok(M::threshold_keys(&read::<M>(terms)?))
    }

    fn announce(&self, terms: &[u8], seed: &[u8; 32]) -> Result<Vec<u8>, String> {
        Ok(M::announce(&read::<M>(terms)?, seed))
    }

    fn check_announcement(&self, terms: &[u8], announcement: &[u8]) -> Result<(), String> {
        M::check_announcement(&read::<M>(terms)?, announcement)
    }

    fn config(
        &self,
        place: Place,
        terms: &[u8],
        announcements: &[Vec<u8>],
        keys: &[PublicKeys],
    ) -> Result<Vec<u8>, String> {
        let config = M::config(place, read::<M>(terms)?, announcements, keys)?;
        Ok(config.encode())
    }

    fn secret(
        &self,
        place: Place,
        terms: &[u8],
        seed: &[u8; 32],
        shares: &[KeyShare],
    ) -> Result<Zeroizing<Vec<u8>>, String> {
        let secret = M::secret(place, read::<M>(terms)?, seed, shares)?;
        Ok(Zeroizing::new(secret.encode()))
    }

    fn to_json(&self, terms: &[u8]) -> Result<Json, String> {
        serde_json::to_value(read::<M>(terms)?).map_err(|error| error.to_string())
    }

    fn read_json(&self, terms: Json) -> Result<Vec<u8>, String> {
        let terms: M::Terms = serde_json::from_value(terms).map_err(|error| error.to_string())?;
        Ok(terms.encode())
    }
}

/// The modules that a guardian's software can found.
#[derive(Default)]
pub struct Founders {
    founders: BTreeMap<&'static str, Box<dyn DynFounder>>,
}

impl Founders {
    /// Adds a module.
    #[must_use]
    pub fn with<M: FoundedModule>(mut self) -> Self {
        let adapter = Adapter::<M>(std::marker::PhantomData);
        self.founders.insert(M::KIND, Box::new(adapter));
        self
    }

    /// Asks the module of a kind; `wrong` says what its refusal means, with the kind and the problem.
    fn ask<'a, T>(
        &'a self,
        kind: &str,
        wrong: fn(String, String) -> FoundingError,
        question: impl FnOnce(&'a dyn DynFounder) -> Result<T, String>,
    ) -> Result<T, FoundingError> {
        let founder = self.founders.get(kind);
        let founder = founder.ok_or_else(|| FoundingError::UnknownModule(clean(kind)))?;
        question(founder.as_ref()).map_err(|problem| wrong(kind.to_owned(), problem))
    }

    /// Checks a module's terms.
    ///
    /// # Errors
    /// If the module or its terms are none that this software knows.
    pub fn check_terms(&self, module: &ModuleTerms, place: Place) -> Result<(), FoundingError> {
        self.ask(&module.kind, wrong_terms, |one| {
            one.check_terms(&module.terms, place)
        })
    }

    /// How many threshold keys a module needs.
    ///
    /// # Errors
    /// If the module or its terms are none that this software knows.
    pub fn threshold_keys(&self, module: &ModuleTerms) -> Result<u16, FoundingError> {
        self.ask(&module.kind, wrong_terms, |one| {
            one.threshold_keys(&module.terms)
        })
    }

    /// What this guardian announces for a module.
    ///
    /// # Errors
    /// If the module or its terms are none that this software knows.
    pub fn announce(
        &self,
        module: &ModuleTerms,
        seed: &[u8; 32],
    ) -> Result<Vec<u8>, FoundingError> {
        self.ask(&module.kind, wrong_terms, |one| {
            one.announce(&module.terms, seed)
        })
    }

    /// Checks what a guardian announced for a module.
    ///
    /// # Errors
    /// If it cannot be used.
    pub fn check_announcement(
        &self,
        module: &ModuleTerms,
        announcement: &[u8],
    ) -> Result<(), FoundingError> {
        let wrong = |kind, problem| FoundingError::Announcement { kind, problem };
        self.ask(&module.kind, wrong, |one| {
            one.check_announcement(&module.terms, announcement)
        })
    }

    /// A module's config; see [`FoundedModule::config`].
    ///
    /// # Errors
    /// If what is given does not fit together.
    pub fn config(
        &self,
        place: Place,
        module: &ModuleTerms,
        announcements: &[Vec<u8>],
        keys: &[PublicKeys],
    ) -> Result<ModuleConfig, FoundingError> {
        let config = self.ask(&module.kind, not_founded, |one| {
            one.config(place, &module.terms, announcements, keys)
        })?;
        let kind = module.kind.clone();
        Ok(ModuleConfig { kind, config })
    }

    /// This guardian's secret of a module; see [`FoundedModule::secret`].
    ///
    /// # Errors
    /// If what is given does not fit together.
    pub fn secret(
        &self,
        place: Place,
        module: &ModuleTerms,
        seed: &[u8; 32],
        shares: &[KeyShare],
    ) -> Result<Zeroizing<Vec<u8>>, FoundingError> {
        self.ask(&module.kind, not_founded, |one| {
            one.secret(place, &module.terms, seed, shares)
        })
    }

    /// A module's terms for people.
    ///
    /// # Errors
    /// If the module or its terms are none that this software knows.
    pub fn to_json(&self, module: &ModuleTerms) -> Result<Json, FoundingError> {
        self.ask(&module.kind, wrong_terms, |one| one.to_json(&module.terms))
    }

    /// Reads what [`to_json`](Self::to_json) writes.
    ///
    /// # Errors
    /// If the module is none that this software knows, or the terms are written wrongly.
    pub fn read_json(&self, kind: &str, terms: Json) -> Result<ModuleTerms, FoundingError> {
        let terms = self.ask(kind, wrong_terms, |one| one.read_json(terms))?;
        let kind = kind.to_owned();
        Ok(ModuleTerms { kind, terms })
    }
}

fn wrong_terms(kind: String, problem: String) -> FoundingError {
    FoundingError::Terms { kind, problem }
}

fn not_founded(kind: String, problem: String) -> FoundingError {
    FoundingError::Found { kind, problem }
}

/// Foreign text, fit to print.
fn clean(text: &str) -> String {
    text.chars().take(40).flat_map(char::escape_debug).collect()
}

impl fmt::Debug for Founders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.founders.keys()).finish()
    }
}
