//! The guardians' side.

use bitcoin::secp256k1::XOnlyPublicKey;
use guildmint_core::{
    ledger::{Key, Scope, View},
    module::{
        At, BuildError, Charge, Fault, Federation, Later, NoConditions, Query, Reject,
        ServerModule, Spent, VerifiedKey,
    },
    Amount, Audit, OutPoint, PeerId, Row, TxId,
};
use serde_json::{json, Value as Json};

use crate::{
    rows::{Locked, Total},
    types::{Lock, LockAnswer, LockersConfig, Never, NoSecret, Unlock},
};

/// The lockers of one federation, as one guardian keeps them.
#[derive(Debug)]
pub struct Lockers {
    config: LockersConfig,
}

impl ServerModule for Lockers {
    const KIND: &'static str = "lockers";
    const QUESTIONS: &'static str = r##"{
        "paths": {
            "/v1/lockers/locked/{outpoint}": { "get": {
                "operationId": "lockersLocked",
                "summary": "What is locked in an output",
                "parameters": [{ "name": "outpoint", "in": "path", "required": true, "schema": { "type": "string" } }],
                "responses": { "200": { "description": "Null if nothing is.", "content": { "application/json": {
                    "schema": { "oneOf": [{ "type": "null" }, { "$ref": "#/components/schemas/LockersLock" }] }
                } } } }
            } }
        },
        "schemas": {
            "LockersLock": {
                "type": "object", "required": ["amount"], "additionalProperties": false,
                "properties": { "amount": { "type": "integer", "description": "In millisatoshi." } }
            }
        }
    }"##;

    type Config = LockersConfig;
    type Secret = NoSecret;
    type Input = Unlock;
    type Output = Lock;
    type Outcome = ();
    type Vote = Never;
    type News = Never;
    type Job = Never;
    type Conditions = NoConditions;

    fn new(_: Federation, config: LockersConfig, _: NoSecret) -> Result<Self, BuildError> {
        Ok(Self { config })
    }

    fn check_input(&self, input: &Unlock) -> Result<Option<XOnlyPublicKey>, Reject> {
        Ok(Some(input.key))
    }

    /// There is none but the transaction's signature.
    fn proofs_hold(&self, _: &[Unlock]) -> bool {
        true
    }

    fn check_output(&self, output: &Lock) -> Result<(), Reject> {
        if output.amount == Amount::ZERO {
            return Err(Reject::permanent("nothing_to_lock", "the amount is zero"));
        }
        Ok(())
    }

    fn input_rows(&self, scope: Scope, input: &Unlock) -> Vec<Key> {
        vec![Locked(input.locked).key(scope)]
    }

    fn vote(&self, _: &View<'_, '_>, _: &View<'_, '_>) -> Option<Never> {
        None
    }

    fn sighted(&self, _: &mut View<'_, '_>, news: Never) {
        match news {}
    }

    fn tally(&self, _: &mut View<'_, '_>, _: Vec<(PeerId, Never)>, _: At) -> Vec<Fault> {
        Vec::new()
    }

    fn spend(&self, view: &mut View<'_, '_>, input: &Unlock, _: At) -> Result<Spent, Reject> {
        let row = Locked(input.locked);
        let locked = view
            .get(&row)
            .filter(|locked| locked.key == input.key)
            .ok_or_else(|| {
                let message = format!("nothing is locked at {} under this key", input.locked);
                Reject::retryable("not_locked", message)
            })?;
        view.remove(&row);
        let total_msat = total_msat(view).saturating_sub(locked.amount.msat());
        view.put(&Total, &total_msat);
        Ok(Spent {
            amount: locked.amount,
            fee: Amount::ZERO,
            key: Some(input.key),
        })
    }

    fn accept(
        &self,
        view: &mut View<'_, '_>,
        output: &Lock,
        out_point: OutPoint,
        _: At,
    ) -> Result<Charge, Reject> {
        let total_msat = total_msat(view)
            .checked_add(output.amount.msat())
            .ok_or_else(|| Reject::retryable("full", "the lockers hold all bitcoin"))?;
        view.put(&Total, &total_msat);
        // Transactions happen once, so no two outputs have the same name.
        view.put(&Locked(out_point), output);
        Ok(Charge {
            amount: output.amount,
            fee: self.config.fee,
        })
    }

    fn settle(&self, _: &mut View<'_, '_>, _: At) -> Vec<Never> {
        Vec::new()
    }

    fn resume(&self, _: &View<'_, '_>, _: &View<'_, '_>) -> Vec<Never> {
        Vec::new()
    }

    fn outcome(
        &self,
        _: &View<'_, '_>,
        _: &Lock,
        _: OutPoint,
        _: Option<VerifiedKey>,
    ) -> Option<Later<()>> {
        None
    }

    fn audit(&self, view: &View<'_, '_>) -> Audit {
        Audit {
            assets_msat: 0,
            liabilities_msat: total_msat(view),
        }
    }

    fn query(
        &self,
        agreed: &View<'_, '_>,
        _local: &View<'_, '_>,
        query: &Query,
    ) -> Option<Result<Json, Reject>> {
        let (txid, index) = query.path.strip_prefix("locked/")?.split_once(':')?;
        let out_point = OutPoint {
            txid: txid.parse::<TxId>().ok()?,
            index: index.parse().ok()?,
        };
        let locked = agreed.get(&Locked(out_point));
        let answer = locked.map(|Lock { amount, .. }| LockAnswer { amount });
        Some(Ok(json!(answer)))
    }
}

fn total_msat(view: &View<'_, '_>) -> u64 {
    view.get(&Total).unwrap_or(0)
}
