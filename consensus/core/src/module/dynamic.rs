//! Modules as the engine sees them: bytes in, bytes out. One adapter translates for all of them.

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::secp256k1::XOnlyPublicKey;
use serde_json::Value as Json;
use thiserror::Error;

use super::{
    At, Audit, BuildError, Charge, Fault, Federation, Later, Query, Reject, ServerModule, Spent,
    VerifiedKey,
};
use crate::{
    config::GenesisConfig,
    encoding::Wire,
    ledger::{Key, Scope, View},
    revision::Conditions,
    ModuleId, OutPoint, PeerId,
};

/// A [`ServerModule`] whose items are bytes. Methods mean what they mean there; bytes that do not decode are rejected, or
/// are a fault if they come from a guardian.
#[allow(missing_docs)]
pub trait DynModule: Send + Sync {
    fn kind(&self) -> &'static str;
    fn version(&self) -> u16;
    fn questions(&self) -> &'static str;
    /// Those of the founding.
    fn conditions(&self) -> Option<Conditions>;
    fn check_conditions(&self, conditions: &Conditions) -> Result<(), String>;
    /// For people.
    fn show_conditions(&self, conditions: &Conditions) -> Result<Json, String>;
    /// Reads what is shown.
    fn read_conditions(&self, conditions: Json) -> Result<Conditions, String>;
    /// The first version in which the input can be read; any for one that never can.
    fn input_version(&self, input: &[u8]) -> u16;
    fn output_version(&self, output: &[u8]) -> u16;
    fn vote_version(&self, vote: &[u8]) -> u16;
    fn check_input(&self, input: &[u8]) -> Result<Option<XOnlyPublicKey>, Reject>;
    fn proofs_hold(&self, inputs: &[&[u8]]) -> bool;
    fn check_output(&self, output: &[u8]) -> Result<(), Reject>;
    fn input_rows(&self, scope: Scope, input: &[u8]) -> Vec<Key>;
    fn output_rows(&self, scope: Scope, output: &[u8]) -> Vec<Key>;
    fn vote(&self, agreed: &View<'_, '_>, local: &View<'_, '_>) -> Option<Vec<u8>>;
    fn sighted(&self, local: &mut View<'_, '_>, news: &[u8]) -> Result<(), Reject>;
    fn tip_height(&self, local: &View<'_, '_>) -> Option<u32>;
    /// Returns also whose votes were counted: those that decode.
    fn tally(
        &self,
        view: &mut View<'_, '_>,
        votes: &[(PeerId, &[u8])],
        at: At,
    ) -> (BTreeSet<PeerId>, Vec<Fault>);
    fn spend(&self, view: &mut View<'_, '_>, input: &[u8], at: At) -> Result<Spent, Reject>;
    fn accept(
        &self,
        view: &mut View<'_, '_>,
        output: &[u8],
        out_point: OutPoint,
        at: At,
    ) -> Result<Charge, Reject>;
    fn settle(&self, view: &mut View<'_, '_>, at: At) -> Vec<Vec<u8>>;
    fn resume(&self, agreed: &View<'_, '_>, local: &View<'_, '_>) -> Vec<Vec<u8>>;
    fn outcome(
        &self,
        view: &View<'_, '_>,
        output: &[u8],
        out_point: OutPoint,
        asker: Option<VerifiedKey>,
    ) -> Option<Later<Json>>;
    fn audit(&self, view: &View<'_, '_>) -> Audit;
    fn query(
        &self,
        agreed: &View<'_, '_>,
        local: &View<'_, '_>,
        query: &Query,
    ) -> Option<Result<Json, Reject>>;
    fn slow_query(
        &self,
        agreed: &View<'_, '_>,
        query: &Query,
    ) -> Option<Result<Later<Json>, Reject>>;
}

struct Adapter<M>(M);

fn decode<T: Wire>(what: &str, bytes: &[u8]) -> Result<T, Reject> {
    T::decode(bytes).map_err(|error| {
        Reject::permanent("undecodable", format!("the {what} cannot be read: {error}"))
    })
}

fn readable<M: ServerModule>(conditions: &Conditions) -> Result<M::Conditions, String> {
    M::Conditions::decode(&conditions.0).map_err(|error| format!("they cannot be read: {error}"))
}

impl<M: ServerModule> DynModule for Adapter<M> {
    fn kind(&self) -> &'static str {
        M::KIND
    }

    fn version(&self) -> u16 {
        M::VERSION
    }

    fn questions(&self) -> &'static str {
        M::QUESTIONS
    }

    fn conditions(&self) -> Option<Conditions> {
        let conditions = self.0.conditions()?;
        Some(Conditions(conditions.encode()))
    }

    fn check_conditions(&self, conditions: &Conditions) -> Result<(), String> {
        self.0.check_conditions(&readable::<M>(conditions)?)
    }

    fn show_conditions(&self, conditions: &Conditions) -> Result<Json, String> {
        serde_json::to_value(readable::<M>(conditions)?).map_err(|error| error.to_string())
    }

    fn read_conditions(&self, conditions: Json) -> Result<Conditions, String> {
        let conditions: M::Conditions =
            serde_json::from_value(conditions).map_err(|error| error.to_string())?;
        Ok(Conditions(conditions.encode()))
    }

    fn input_version(&self, input: &[u8]) -> u16 {
        M::Input::decode(input).map_or(1, |input| M::input_version(&input))
    }

    fn output_version(&self, output: &[u8]) -> u16 {
        M::Output::decode(output).map_or(1, |output| M::output_version(&output))
    }

    fn vote_version(&self, vote: &[u8]) -> u16 {
        M::Vote::decode(vote).map_or(1, |vote| M::vote_version(&vote))
    }

    fn check_input(&self, input: &[u8]) -> Result<Option<XOnlyPublicKey>, Reject> {
        self.0.check_input(&decode("input", input)?)
    }

    fn proofs_hold(&self, inputs: &[&[u8]]) -> bool {
        let inputs: Result<Vec<M::Input>, _> =
            inputs.iter().map(|input| M::Input::decode(input)).collect();
        inputs.is_ok_and(|inputs| self.0.proofs_hold(&inputs))
    }

    fn check_output(&self, output: &[u8]) -> Result<(), Reject> {
        self.0.check_output(&decode("output", output)?)
    }

    fn input_rows(&self, scope: Scope, input: &[u8]) -> Vec<Key> {
        M::Input::decode(input)
            .map_or_else(|_| Vec::new(), |input| self.0.input_rows(scope, &input))
    }

    fn output_rows(&self, scope: Scope, output: &[u8]) -> Vec<Key> {
        M::Output::decode(output)
            .map_or_else(|_| Vec::new(), |output| self.0.output_rows(scope, &output))
    }

    fn vote(&self, agreed: &View<'_, '_>, local: &View<'_, '_>) -> Option<Vec<u8>> {
        self.0.vote(agreed, local).map(|vote| vote.encode())
    }

    fn sighted(&self, local: &mut View<'_, '_>, news: &[u8]) -> Result<(), Reject> {
        self.0.sighted(local, decode("news", news)?);
        Ok(())
    }

    fn tip_height(&self, local: &View<'_, '_>) -> Option<u32> {
        self.0.tip_height(local)
    }

    fn tally(
        &self,
        view: &mut View<'_, '_>,
        votes: &[(PeerId, &[u8])],
        at: At,
    ) -> (BTreeSet<PeerId>, Vec<Fault>) {
        let mut faults = Vec::new();
        let mut counted = Vec::new();
        for (peer, bytes) in votes {
            match M::Vote::decode(bytes) {
                // Software that does not know the version cannot read it either.
                Ok(vote) if M::vote_version(&vote) > at.version => faults.push(Fault {
                    peer: *peer,
                    kind: format!("{} vote of a version that is not agreed", M::KIND),
                }),
                Ok(vote) => counted.push((*peer, vote)),
                Err(error) => faults.push(Fault {
                    peer: *peer,
                    kind: format!("{} vote cannot be read: {error}", M::KIND),
                }),
            }
        }
        let voters = counted.iter().map(|(peer, _)| *peer).collect();
        faults.extend(self.0.tally(view, counted, at));
        (voters, faults)
    }

    fn spend(&self, view: &mut View<'_, '_>, input: &[u8], at: At) -> Result<Spent, Reject> {
        self.0.spend(view, &decode("input", input)?, at)
    }

    fn accept(
        &self,
        view: &mut View<'_, '_>,
        output: &[u8],
        out_point: OutPoint,
        at: At,
    ) -> Result<Charge, Reject> {
        self.0
            .accept(view, &decode("output", output)?, out_point, at)
    }

    fn settle(&self, view: &mut View<'_, '_>, at: At) -> Vec<Vec<u8>> {
        encode_all(self.0.settle(view, at))
    }

    fn resume(&self, agreed: &View<'_, '_>, local: &View<'_, '_>) -> Vec<Vec<u8>> {
        encode_all(self.0.resume(agreed, local))
    }

    fn outcome(
        &self,
        view: &View<'_, '_>,
        output: &[u8],
        out_point: OutPoint,
        asker: Option<VerifiedKey>,
    ) -> Option<Later<Json>> {
        let output = M::Output::decode(output).ok()?;
        let outcome = self.0.outcome(view, &output, out_point, asker)?;
        Some(outcome.map(|outcome| serde_json::to_value(outcome).unwrap_or_default()))
    }

    fn audit(&self, view: &View<'_, '_>) -> Audit {
        self.0.audit(view)
    }

    fn query(
        &self,
        agreed: &View<'_, '_>,
        local: &View<'_, '_>,
        query: &Query,
    ) -> Option<Result<Json, Reject>> {
        self.0.query(agreed, local, query)
    }

    fn slow_query(
        &self,
        agreed: &View<'_, '_>,
        query: &Query,
    ) -> Option<Result<Later<Json>, Reject>> {
        self.0.slow_query(agreed, query)
    }
}

fn encode_all<T: Wire>(values: Vec<T>) -> Vec<Vec<u8>> {
    values.iter().map(Wire::encode).collect()
}

type Build = fn(Federation, &[u8], &[u8]) -> Result<Box<dyn DynModule>, BuildError>;

fn build<M: ServerModule>(
    federation: Federation,
    config: &[u8],
    secret: &[u8],
) -> Result<Box<dyn DynModule>, BuildError> {
    let config = M::Config::decode(config).map_err(|source| BuildError::Config {
        kind: M::KIND,
        source,
    })?;
    let secret = M::Secret::decode(secret).map_err(|_| BuildError::Secret(M::KIND))?;
    Ok(Box::new(Adapter(M::new(federation, config, secret)?)))
}

/// The kinds of modules that a guardian's software knows.
///
/// ```
/// # use guildmint_core::module::Registry;
/// let registry = Registry::default(); // .with::<Mint>().with::<Wallet>()
/// # let _ = registry;
/// ```
#[derive(Default)]
pub struct Registry {
    kinds: BTreeMap<&'static str, Build>,
}

/// Why a federation's modules cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RegistryError {
    /// The federation has a module that this software does not have.
    #[error(
        "{module} is of kind {kind:?}, which this software does not have; install a newer version"
    )]
    UnknownKind {
        /// Its number.
        module: ModuleId,
        /// Its kind.
        kind: String,
    },
    /// A secret is absent.
    #[error("the secret of {module} ({kind}) is absent; restore it from the backup")]
    NoSecret {
        /// Its number.
        module: ModuleId,
        /// Its kind.
        kind: String,
    },
    /// A module refuses.
    #[error(transparent)]
    Build(#[from] BuildError),
}

impl Registry {
    /// Adds a kind of module.
    #[must_use]
    pub fn with<M: ServerModule>(mut self) -> Self {
        self.kinds.insert(M::KIND, build::<M>);
        self
    }

    /// Builds all modules of a federation.
    ///
    /// # Errors
    /// If one is unknown, has no secret, or refuses its config.
    pub fn build(
        &self,
        genesis: &GenesisConfig,
        federation: Federation,
        secrets: &BTreeMap<ModuleId, Vec<u8>>,
    ) -> Result<BTreeMap<ModuleId, Box<dyn DynModule>>, RegistryError> {
        let mut modules = BTreeMap::new();
        for (id, module) in &genesis.modules {
            let build =
                self.kinds
                    .get(module.kind.as_str())
                    .ok_or_else(|| RegistryError::UnknownKind {
                        module: *id,
                        kind: module.kind.clone(),
                    })?;
            let secret = secrets.get(id).ok_or_else(|| RegistryError::NoSecret {
                module: *id,
                kind: module.kind.clone(),
            })?;
            modules.insert(*id, build(federation, &module.config, secret)?);
        }
        Ok(modules)
    }
}
