//! Versions of the rules: which of them are agreed, and how guardians come to agree on a new one (SPEC GEN-4).
//!
//! Software of two versions must make the same of every batch, so what a newer one knows counts for nothing until all guardians
//! have said that they know it too. That is an agreed row, not anybody's choice: from the epoch in it on, and not before, all of
//! them accept what is new.

use std::collections::{BTreeMap, BTreeSet};

use guildmint_core::{
    api::VersionReport,
    ledger::{Ledger, Scope, Space},
    module::Fault,
    Epoch, ModuleId, PeerId,
};
use serde::{Deserialize, Serialize};

use crate::{
    contribution::Statement,
    rows::{Agreed, Knows},
    Federation,
};

/// The engine among modules: its own rules have versions too.
pub const ENGINE: ModuleId = ModuleId(u16::MAX);

/// The newest version of the engine's rules that this software knows.
const ENGINE_VERSION: u16 = 1;

/// The version of all rules at the founding.
pub(crate) const FIRST: u16 = 1;

/// What a guardian says about one module's versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// The newest that its software knows.
    pub version: u16,
    /// The newest that its operator wants though not all guardians know it; 0 for none. Takes effect if t operators do.
    pub insists: u16,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            version: FIRST,
            insists: 0,
        }
    }
}

/// From when on a version counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activation {
    /// The version.
    pub version: u16,
    /// The first epoch in which it counts.
    pub from: Epoch,
    /// The one that counts before.
    pub before: u16,
}

/// The versions that count in one epoch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Versions(BTreeMap<ModuleId, u16>);

impl Versions {
    /// The version of one module's rules.
    #[must_use]
    pub fn of(&self, module: ModuleId) -> u16 {
        self.0.get(&module).copied().unwrap_or(FIRST)
    }
}

/// Rules that are agreed on and that this software does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("version {agreed} of the {kind} rules is agreed, and this software knows {known}; install a newer one, with which this guardian goes on where it is")]
pub struct Outdated {
    /// Whose rules.
    pub kind: String,
    /// What is agreed.
    pub agreed: u16,
    /// What this software knows.
    pub known: u16,
}

impl Federation {
    /// The newest version of each module's rules, and of the engine's, that this software knows.
    #[must_use]
    pub fn known_versions(&self) -> BTreeMap<ModuleId, u16> {
        let modules = self.modules().map(|(id, module)| (id, module.version()));
        modules.chain([(ENGINE, ENGINE_VERSION)]).collect()
    }

    /// The number of the first module of a kind, or the engine's, and the newest version of its rules that this software knows.
    #[must_use]
    pub fn known_version(&self, kind: &str) -> Option<(ModuleId, u16)> {
        match kind {
            "engine" => Some((ENGINE, ENGINE_VERSION)),
            _ => {
                let (id, module) = self.module_of_kind(kind)?;
                Some((id, module.version()))
            }
        }
    }

    /// The versions that count in an epoch, as the rows say.
    #[must_use]
    pub fn versions(&self, ledger: &mut Ledger<'_>, epoch: Epoch) -> Versions {
        let ids = self.known_versions().into_keys();
        Versions(ids.map(|id| (id, version_at(ledger, id, epoch))).collect())
    }

    /// Whether this software can go on where these versions count.
    ///
    /// # Errors
    /// If it does not know one of them.
    pub fn knows(&self, versions: &Versions) -> Result<(), Outdated> {
        for (id, known) in self.known_versions() {
            let agreed = versions.of(id);
            if agreed > known {
                let kind = self.module(id).map_or("engine", |module| module.kind());
                return Err(Outdated {
                    kind: kind.to_owned(),
                    agreed,
                    known,
                });
            }
        }
        Ok(())
    }

    /// Which versions count and who knows which, for people.
    pub(crate) fn version_reports(
        &self,
        ledger: &mut Ledger<'_>,
        epoch: Epoch,
    ) -> BTreeMap<String, VersionReport> {
        let mut reports = BTreeMap::new();
        for id in self.known_versions().into_keys() {
            let kind = self.module(id).map_or("engine", |module| module.kind());
            let agreed = version_at(ledger, id, epoch);
            let view = ledger.view(Scope::engine(Space::Agreed));
            let known = |peer| view.get(&Knows(id, peer)).unwrap_or_default().version;
            let known = self.quorum().peers().map(known).collect();
            reports.insert(kind.to_owned(), VersionReport { agreed, known });
        }
        reports
    }

    /// What a guardian has to say about versions: only what the agreed rows do not say yet.
    #[must_use]
    pub fn versions_to_tell(
        &self,
        ledger: &mut Ledger<'_>,
        me: PeerId,
        insists: &BTreeMap<ModuleId, u16>,
    ) -> BTreeMap<ModuleId, Known> {
        let view = ledger.view(Scope::engine(Space::Agreed));
        let tell = |(id, version): (ModuleId, u16)| {
            let insists = insists.get(&id).copied().unwrap_or(0).min(version);
            let known = Known { version, insists };
            let said = view.get(&Knows(id, me)).unwrap_or_default();
            (known != said).then_some((id, known))
        };
        self.known_versions().into_iter().filter_map(tell).collect()
    }

    /// Takes what guardians say about versions into rows, and drops from the statements what changes nothing. A version that all
    /// guardians know, or that t of them know and insist on, counts from the next epoch on; none ever ceases to.
    pub(crate) fn count_versions(
        &self,
        ledger: &mut Ledger<'_>,
        statements: &mut BTreeMap<PeerId, Statement>,
        epoch: Epoch,
        faults: &mut Vec<Fault>,
    ) {
        let ids: BTreeSet<ModuleId> = self.known_versions().into_keys().collect();
        let mut has_changed = false;
        for (peer, statement) in statements {
            let mut said = std::mem::take(&mut statement.versions);
            let before = said.len();
            said.retain(|id, known| {
                ids.contains(id) && known.version >= FIRST && known.insists <= known.version
            });
            if said.len() < before {
                // One fault, however many thousands of modules there are not.
                let kind = format!("{} versions that cannot be", before - said.len());
                faults.push(Fault { peer: *peer, kind });
            }
            for (id, known) in said {
                let mut view = ledger.view(Scope::engine(Space::Agreed));
                let row = Knows(id, *peer);
                if view.get(&row).unwrap_or_default() != known {
                    view.put(&row, &known);
                    statement.versions.insert(id, known);
                    has_changed = true;
                }
            }
        }
        if has_changed {
            ids.into_iter().for_each(|id| self.agree(ledger, id, epoch));
        }
    }

    fn agree(&self, ledger: &mut Ledger<'_>, id: ModuleId, epoch: Epoch) {
        let quorum = self.quorum();
        let view = ledger.view(Scope::engine(Space::Agreed));
        let peers = quorum.peers();
        let all: Vec<Known> = peers
            .map(|peer| view.get(&Knows(id, peer)).unwrap_or_default())
            .collect();
        let by_all = all.iter().map(|known| known.version).min();
        let mut insisted: Vec<u16> = all.iter().map(|known| known.insists).collect();
        insisted.sort_unstable_by(|a, b| b.cmp(a));
        let by_operators = insisted.get(quorum.threshold() - 1).copied();
        let version = by_all.max(by_operators).unwrap_or(FIRST);
        let before = version_at(ledger, id, epoch);
        if version > before {
            let from = epoch.next();
            let activation = Activation {
                version,
                from,
                before,
            };
            let mut view = ledger.view(Scope::engine(Space::Agreed));
            view.put(&Agreed(id), &activation);
        }
    }
}

/// The version of one module's rules that counts in an epoch.
pub(crate) fn version_at(ledger: &mut Ledger<'_>, module: ModuleId, epoch: Epoch) -> u16 {
    let view = ledger.view(Scope::engine(Space::Agreed));
    view.get(&Agreed(module))
        .map_or(FIRST, |activation| match activation.from <= epoch {
            true => activation.version,
            false => activation.before,
        })
}
