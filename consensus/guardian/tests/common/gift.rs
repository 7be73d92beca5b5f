//! A module whose inputs are money from nowhere, so that a mint has something to issue notes for.

use bitcoin::secp256k1::XOnlyPublicKey;
use guildmint_core::{
    ledger::View,
    module::{
        At, Audit, BuildError, Charge, Fault, Federation, Later, NoConditions, Query, Reject,
        ServerModule, Spent, VerifiedKey,
    },
    Amount, OutPoint, PeerId, Row, Wire,
};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

pub struct Gift;

impl Gift {
    pub const KIND: &'static str = "gift";
}

/// Money. The serial number tells gifts apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = 64)]
pub struct Given {
    pub amount: Amount,
    pub serial: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = 64)]
pub struct Nothing {}

#[derive(Debug, Serialize, Deserialize, Row)]
#[row(table = 1, value = u64, resident)]
struct Total;

impl ServerModule for Gift {
    const KIND: &'static str = Self::KIND;
    type Config = Nothing;
    type Secret = Nothing;
    type Input = Given;
    type Output = Nothing;
    type Outcome = ();
    type Vote = Nothing;
    type News = Nothing;
    type Job = Nothing;
    type Conditions = NoConditions;

    fn new(_: Federation, _: Nothing, _: Nothing) -> Result<Self, BuildError> {
        Ok(Self)
    }

    fn check_input(&self, _: &Given) -> Result<Option<XOnlyPublicKey>, Reject> {
        Ok(None)
    }

    fn proofs_hold(&self, _: &[Given]) -> bool {
        true
    }

    fn check_output(&self, _: &Nothing) -> Result<(), Reject> {
        Err(Reject::permanent("no_output", "gifts are not taken back"))
    }

    fn vote(&self, _: &View<'_, '_>, _: &View<'_, '_>) -> Option<Nothing> {
        None
    }

    fn sighted(&self, _: &mut View<'_, '_>, _: Nothing) {}

    fn tally(&self, _: &mut View<'_, '_>, _: Vec<(PeerId, Nothing)>, _: At) -> Vec<Fault> {
        Vec::new()
    }

    fn spend(&self, view: &mut View<'_, '_>, input: &Given, _: At) -> Result<Spent, Reject> {
        let total = view.get(&Total).unwrap_or(0) + input.amount.msat();
        view.put(&Total, &total);
        Ok(Spent {
            amount: input.amount,
            fee: Amount::ZERO,
            key: None,
        })
    }

    fn accept(
        &self,
        _: &mut View<'_, '_>,
        _: &Nothing,
        _: OutPoint,
        _: At,
    ) -> Result<Charge, Reject> {
        Err(Reject::permanent("no_output", "gifts are not taken back"))
    }

    fn settle(&self, _: &mut View<'_, '_>, _: At) -> Vec<Nothing> {
        Vec::new()
    }

    fn resume(&self, _: &View<'_, '_>, _: &View<'_, '_>) -> Vec<Nothing> {
        Vec::new()
    }

    fn outcome(
        &self,
        _: &View<'_, '_>,
        _: &Nothing,
        _: OutPoint,
        _: Option<VerifiedKey>,
    ) -> Option<Later<()>> {
        None
    }

    fn audit(&self, view: &View<'_, '_>) -> Audit {
        Audit {
            assets_msat: view.get(&Total).unwrap_or(0),
            liabilities_msat: 0,
        }
    }

    fn query(&self, _: &View<'_, '_>, _: &View<'_, '_>, _: &Query) -> Option<Result<Json, Reject>> {
        None
    }
}
