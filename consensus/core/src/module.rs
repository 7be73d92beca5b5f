//! The interface between the consensus and a module's server side. A module is synchronous and pure: everything it knows
//! comes in as rows, votes and news; everything it wants goes out as changes, jobs and answers.

use std::collections::BTreeMap;

use bitcoin::{secp256k1::XOnlyPublicKey, Network};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use thiserror::Error;

use crate::{
    encoding::{decimal, DecodeError, Wire},
    hash::FederationId,
    ledger::{Key, Scope, View},
    Amount, Epoch, OutPoint, PeerId, Quorum,
};

mod conditions;
mod dynamic;
mod later;

pub use conditions::{revised, NoConditions, Revised};
pub use dynamic::{DynModule, Registry, RegistryError};
pub use later::Later;

/// When something happens, by what all guardians agree on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At {
    /// The epoch.
    pub epoch: Epoch,
    /// The agreed clock, in blocks (SPEC GEN-8). All heights of time limits are this.
    pub height: u32,
    /// The version of the module's rules that counts in this epoch (SPEC GEN-4).
    pub version: u16,
}

/// What a module's server side is told about the federation it serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Federation {
    /// Its name.
    pub id: FederationId,
    /// Its numbers.
    pub quorum: Quorum,
    /// Its bitcoin network.
    pub network: Network,
    /// Which guardian this is.
    pub me: PeerId,
}

/// What an accepted input brings in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spent {
    /// Its value.
    pub amount: Amount,
    /// The module's fee for it.
    pub fee: Amount,
    /// The key that must have signed the transaction; the same that `check_input` named, or the transaction is rejected.
    pub key: Option<XOnlyPublicKey>,
}

/// What an accepted output takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charge {
    /// Its value.
    pub amount: Amount,
    /// The module's fee for it.
    pub fee: Amount,
}

/// Why this guardian does not accept an item or a transaction. An answer to a client, never agreed (SPEC TX-6).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Error)]
#[error("{message}")]
pub struct Reject {
    /// A stable name for programs, such as `note_spent`.
    pub code: String,
    /// A sentence for people.
    pub message: String,
    /// Whether the same bytes may succeed later.
    pub retryable: bool,
}

impl Reject {
    /// A rejection that is final for these bytes.
    pub fn permanent(code: &str, message: impl ToString) -> Self {
        Self {
            code: code.to_owned(),
            message: message.to_string(),
            retryable: false,
        }
    }

    /// A rejection that may not hold later.
    pub fn retryable(code: &str, message: impl ToString) -> Self {
        Self {
            code: code.to_owned(),
            message: message.to_string(),
            retryable: true,
        }
    }
}

/// What a guardian did that no honest one does. Data for the operator; nothing is decided by it (SPEC EPO-2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Who.
    pub peer: PeerId,
    /// What.
    pub kind: String,
}

/// A module's part of the balance sheet, as running totals (SPEC AUD-1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Audit {
    /// What the federation owns, in millisatoshi.
    #[serde(with = "decimal")]
    pub assets_msat: u64,
    /// What it owes, in millisatoshi.
    #[serde(with = "decimal")]
    pub liabilities_msat: u64,
}

/// A secp256k1 key whose owner signed the request at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifiedKey(XOnlyPublicKey);

impl VerifiedKey {
    /// Checks a BIP-340 signature over a tagged hash.
    ///
    /// # Errors
    /// If it is not the key's.
    pub fn verify(
        key: XOnlyPublicKey,
        hash: [u8; 32],
        signature: &bitcoin::secp256k1::schnorr::Signature,
    ) -> Result<Self, bitcoin::secp256k1::Error> {
        let message = bitcoin::secp256k1::Message::from_digest(hash);
        secp256k1::SECP256K1.verify_schnorr(signature, &message, &key)?;
        Ok(Self(key))
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> XOnlyPublicKey {
        self.0
    }
}

/// Why a module cannot be built from its config and secret.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BuildError {
    /// The config does not decode.
    #[error("the {kind} module's config cannot be read: {source}")]
    Config {
        /// The module's kind.
        kind: &'static str,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// The secret does not decode. What is in it is not shown.
    #[error("the {0} module's secret cannot be read")]
    Secret(&'static str),
    /// Config, secret and federation contradict each other.
    #[error("the {kind} module cannot run: {problem}")]
    Contradiction {
        /// The module's kind.
        kind: &'static str,
        /// Which two do not fit.
        problem: String,
    },
}

/// A read-only question to a module, from `GET /v1/<module kind>/<path>?<parameters>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Query {
    /// What follows the module's kind in the path.
    pub path: String,
    /// The parameters.
    pub parameters: BTreeMap<String, String>,
}

/// A module's server side.
///
/// The order in an epoch is: `tally`, then for each transaction `spend` for its inputs and `accept` for its outputs, then
/// `settle`, then `audit`. All of these see and change agreed rows only and must be deterministic.
pub trait ServerModule: Sized + Send + Sync + 'static {
    /// Which module this is; its name in configs and URLs.
    const KIND: &'static str;
    /// The newest version of its rules that this software knows; 1 are those of the founding (SPEC GEN-4).
    ///
    /// ⚠ Software of two versions must make the same of every batch. So what is new counts only where [`At::version`] says so, and
    /// items and votes of a new kind name their version below. What a new version forbids it forbids in `spend` and `accept`.
    const VERSION: u16 = 1;

    /// What [`ServerModule::query`] and [`ServerModule::slow_query`] answer, for the API's OpenAPI document: a JSON object with `paths`, the
    /// path items of `/v1/<kind>/…`, of whose responses only `200` need be there, and `schemas`, which they refer to as
    /// `#/components/schemas/…`. Names of schemas and operations begin with the module's kind.
    const QUESTIONS: &'static str = r#"{"paths": {}, "schemas": {}}"#;

    /// Public parameters and keys, in the genesis config.
    type Config: Wire;
    /// This guardian's secret keys.
    type Secret: Wire;
    /// Where money comes from.
    type Input: Wire;
    /// Where it goes.
    type Output: Wire;
    /// What an output's owner is told once it is accepted.
    type Outcome: Serialize + 'static;
    /// What a guardian tells the others in a contribution.
    type Vote: Wire;
    /// What the outside world tells this guardian.
    type News: Wire;
    /// What this guardian asks of the outside world.
    type Job: Wire;
    /// The part of the config that guardians may agree to change later (SPEC GEN-6). Never keys, nor anything that was relied on
    /// outside of agreed rows. [`NoConditions`] if there is none.
    type Conditions: Wire;

    /// Builds the module.
    ///
    /// # Errors
    /// If config, secret and federation do not fit together.
    fn new(
        federation: Federation,
        config: Self::Config,
        secret: Self::Secret,
    ) -> Result<Self, BuildError>;

    /// The conditions of the founding; [`revised`] says what counts since. `None` if there are none.
    fn conditions(&self) -> Option<Self::Conditions> {
        None
    }

    /// Whether the federation could go by these conditions. A function of the config alone.
    ///
    /// # Errors
    /// Says what is wrong with them.
    fn check_conditions(&self, _conditions: &Self::Conditions) -> Result<(), String> {
        Ok(())
    }

    /// The first version in which there are inputs of this kind. Before it is agreed, nobody can read them.
    fn input_version(_input: &Self::Input) -> u16 {
        1
    }

    /// The same for an output.
    fn output_version(_output: &Self::Output) -> u16 {
        1
    }

    /// The same for a vote.
    fn vote_version(_vote: &Self::Vote) -> u16 {
        1
    }

    /// Checks an input alone, cheaply, and names the key that must sign.
    ///
    /// # Errors
    /// If no state could make it valid.
    fn check_input(&self, input: &Self::Input) -> Result<Option<XOnlyPublicKey>, Reject>;

    /// Whether the expensive proofs of all these inputs hold (each has passed `check_input`). Called on many at once so that
    /// they can be verified as a batch; must be true exactly if it is true for each of them alone.
    fn proofs_hold(&self, inputs: &[Self::Input]) -> bool;

    /// Checks an output alone.
    ///
    /// # Errors
    /// If no state could make it valid.
    fn check_output(&self, output: &Self::Output) -> Result<(), Reject>;

    /// Rows that spending this input will read, so that they are loaded in one go. A hint: a row that is missing here is
    /// loaded when it turns out to be needed. `scope` is that of the module's agreed rows.
    fn input_rows(&self, _scope: Scope, _input: &Self::Input) -> Vec<Key> {
        Vec::new()
    }

    /// The same for an output.
    fn output_rows(&self, _scope: Scope, _output: &Self::Output) -> Vec<Key> {
        Vec::new()
    }

    /// What this guardian would tell the others now; `None` if it would change nothing agreed (SPEC EPO-7).
    fn vote(&self, agreed: &View<'_, '_>, local: &View<'_, '_>) -> Option<Self::Vote>;

    /// Takes news from the outside world into local rows.
    fn sighted(&self, local: &mut View<'_, '_>, news: Self::News);

    /// The height of the chain's tip as this guardian sees it, for the module that watches the chain (SPEC GEN-8).
    fn tip_height(&self, _local: &View<'_, '_>) -> Option<u32> {
        None
    }

    /// Counts the votes of an epoch, in the order of guardians: at most one of each.
    fn tally(
        &self,
        view: &mut View<'_, '_>,
        votes: Vec<(PeerId, Self::Vote)>,
        at: At,
    ) -> Vec<Fault>;

    /// Spends an input, which has passed `check_input` and `proofs_hold`.
    ///
    /// # Errors
    /// If the agreed state does not allow it.
    fn spend(&self, view: &mut View<'_, '_>, input: &Self::Input, at: At) -> Result<Spent, Reject>;

    /// Accepts an output, which has passed `check_output`.
    ///
    /// # Errors
    /// If the agreed state does not allow it.
    fn accept(
        &self,
        view: &mut View<'_, '_>,
        output: &Self::Output,
        out_point: OutPoint,
        at: At,
    ) -> Result<Charge, Reject>;

    /// Does what is due at the end of an epoch, and names what the outside world must be asked for. Never fails.
    fn settle(&self, view: &mut View<'_, '_>, at: At) -> Vec<Self::Job>;

    /// The jobs that must be running, for a guardian that has just started. Jobs may be done twice.
    fn resume(&self, agreed: &View<'_, '_>, local: &View<'_, '_>) -> Vec<Self::Job>;

    /// What the owner of an accepted output is told, computed on demand; `None` if there is nothing (yet). Anyone may ask
    /// for it again and again, so what is slow must be left for [later](Later::slow).
    fn outcome(
        &self,
        view: &View<'_, '_>,
        output: &Self::Output,
        out_point: OutPoint,
        asker: Option<VerifiedKey>,
    ) -> Option<Later<Self::Outcome>>;

    /// This module's part of the balance sheet.
    fn audit(&self, view: &View<'_, '_>) -> Audit;

    /// Answers a read-only question; `None` if there is no such path.
    fn query(
        &self,
        agreed: &View<'_, '_>,
        local: &View<'_, '_>,
        query: &Query,
    ) -> Option<Result<Json, Reject>>;

    /// Answers a read-only question that takes a worker's time; `None` if there is no such path. Asked for paths that
    /// [`ServerModule::query`] does not have. Anyone may ask again and again: an answer must cost no more than one about a
    /// transaction does.
    fn slow_query(
        &self,
        _agreed: &View<'_, '_>,
        _query: &Query,
    ) -> Option<Result<Later<Json>, Reject>> {
        None
    }
}
