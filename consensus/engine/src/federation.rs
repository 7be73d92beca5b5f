//! A federation as a set of rules: what is valid alone, and what an epoch makes of a batch. Pure; shared by the node, the
//! workers that check transactions in parallel, and the simulator.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use guildmint_core::{
    ledger::{Key, Ledger, Scope, Space, View},
    module::{At, DynModule, Federation as Context, Registry, RegistryError, Reject},
    ConfigError, FederationId, GenesisConfig, ModuleId, PeerId, Quorum, Transaction, TxId,
};
use thiserror::Error;

/// The rules of one federation.
pub struct Federation {
    genesis: GenesisConfig,
    id: FederationId,
    quorum: Quorum,
    modules: BTreeMap<ModuleId, Box<dyn DynModule>>,
}

/// Why a federation's rules cannot be put together.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FederationError {
    /// The config contradicts itself.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A module is missing or refuses.
    #[error(transparent)]
    Modules(#[from] RegistryError),
}

impl Federation {
    /// Puts together the rules as guardian `me` applies them.
    ///
    /// # Errors
    /// If the config contradicts itself or a module is missing or refuses.
    pub fn new(
        genesis: GenesisConfig,
        me: PeerId,
        registry: &Registry,
        secrets: &BTreeMap<ModuleId, Vec<u8>>,
    ) -> Result<Self, FederationError> {
        genesis.validate()?;
        let quorum = genesis.quorum().map_err(ConfigError::from)?;
        let id = genesis.id();
        let context = Context {
            id,
            quorum,
            network: genesis.network,
            me,
        };
        let modules = registry.build(&genesis, context, secrets)?;
        Ok(Self {
            genesis,
            id,
            quorum,
            modules,
        })
    }

    /// The config that it was founded with.
    #[must_use]
    pub fn genesis(&self) -> &GenesisConfig {
        &self.genesis
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> FederationId {
        self.id
    }

    /// Its numbers.
    #[must_use]
    pub fn quorum(&self) -> Quorum {
        self.quorum
    }

    /// Its modules.
    pub fn modules(&self) -> impl Iterator<Item = (ModuleId, &dyn DynModule)> {
        self.modules
            .iter()
            .map(|(id, module)| (*id, module.as_ref()))
    }

    /// The module with this number.
    ///
    /// # Errors
    /// If there is none: a rejection of the item that names it.
    pub fn module(&self, id: ModuleId) -> Result<&dyn DynModule, Reject> {
        self.modules
            .get(&id)
            .map(AsRef::as_ref)
            .ok_or_else(|| Reject::permanent("unknown_module", format!("there is no {id}")))
    }

    /// The first module of a kind.
    #[must_use]
    pub fn module_of_kind(&self, kind: &str) -> Option<(ModuleId, &dyn DynModule)> {
        self.modules().find(|(_, module)| module.kind() == kind)
    }

    /// The id of a transaction in this federation.
    #[must_use]
    pub fn txid(&self, transaction: &Transaction) -> TxId {
        transaction.id(self.id)
    }

    /// Whether a transaction would be accepted now, and the rows that it claims. Nothing is changed.
    ///
    /// # Errors
    /// Why it would not be. Void if the ledger then lacks rows.
    pub fn dry_run(
        &self,
        ledger: &mut Ledger<'_>,
        checked: &crate::Checked,
        at: At,
    ) -> Result<BTreeSet<Key>, Reject> {
        ledger.begin();
        let verdict = self.apply(ledger, checked, at);
        ledger.discard();
        verdict.map(|()| ledger.claimed().clone())
    }

    pub(crate) fn view<'v, 'a>(
        &self,
        ledger: &'v mut Ledger<'a>,
        module: ModuleId,
    ) -> View<'v, 'a> {
        ledger.view(Scope::module(Space::Agreed, module))
    }
}

impl fmt::Debug for Federation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Federation({})", self.id)
    }
}
