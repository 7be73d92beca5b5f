//! Play money: a module that makes money out of nothing and takes it back, so that transactions, votes and the audit can be
//! tested without bitcoin. An input mints an amount once under a name of its own; an output burns an amount.

use bitcoin::secp256k1::XOnlyPublicKey;
use guildmint_core::{
    ledger::{Row, Scope, View},
    limits,
    module::{
        At, Audit, BuildError, Charge, Fault, Federation, Later, NoConditions, Query, Reject,
        ServerModule, Spent, VerifiedKey,
    },
    Amount, ModuleId, OutPoint, PeerId, Wire,
};
use serde::{Deserialize, Serialize};
use serde_json::{json, Value as Json};

/// The number that test federations give to this module.
pub const MODULE: ModuleId = ModuleId(9);

/// Parameters.
#[derive(Debug, Clone, Default, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = 64)]
pub struct PlayConfig {
    /// Fee of each input, in millisatoshi.
    pub fee_msat: u64,
    /// Whether more can be burnt than was ever minted. What is burnt is then owed: play money is the other side of
    /// transactions that pay another module's money out.
    pub may_owe: bool,
    /// A planted bug: an input above this many millisatoshi makes the federation owe more than it has. 0 for none.
    pub insolvent_above_msat: u64,
}

/// Nothing.
#[derive(Debug, Clone, Default, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = 1)]
pub struct Nothing;

/// Money out of nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = 256)]
pub struct Mint {
    /// May be used once.
    pub name: u64,
    /// How much.
    pub amount: Amount,
    /// Who must sign, if anyone.
    pub key: Option<XOnlyPublicKey>,
    /// Whether the proof of this input holds.
    pub honest: bool,
}

/// Money into nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = limits::MAX_TRANSACTION_BYTES)]
pub struct Burn {
    /// How much.
    pub amount: Amount,
    /// Any bytes, to make the transaction as large as a test wants it.
    pub padding: Vec<u8>,
}

/// A number that guardians see outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = 64)]
pub struct Seen(pub u32);

#[derive(Serialize, Deserialize, Row)]
#[row(table = 1, value = ())]
struct Minted(u64);

#[derive(Serialize, Deserialize, Row)]
#[row(table = 2, value = u64, resident)]
struct Balance;

#[derive(Serialize, Deserialize, Row)]
#[row(table = 5, value = u64, resident)]
struct Hole;

#[derive(Serialize, Deserialize, Row)]
#[row(table = 6, value = u64, resident)]
struct Owed;

#[derive(Serialize, Deserialize, Row)]
#[row(table = 3, value = u32, resident)]
struct Counted(PeerId);

#[derive(Serialize, Deserialize, Row)]
#[row(table = 4, value = u32, resident)]
struct Sighted;

/// What makes an output one of a kind that only the second version knows: it begins its padding.
pub const SECOND_KIND: &[u8] = b"of the second version";

/// The module of today.
pub type PlayMoney = PlayRules<1>;

/// The module, as software of a version of its rules knows it. The second has outputs of one more kind.
pub struct PlayRules<const VERSION: u16> {
    federation: Federation,
    config: PlayConfig,
}

impl<const VERSION: u16> ServerModule for PlayRules<VERSION> {
    const KIND: &'static str = "play";
    const VERSION: u16 = VERSION;
    const QUESTIONS: &'static str = r#"{
        "paths": {
            "/v1/play/minted/{name}": { "get": {
                "operationId": "playMinted",
                "summary": "Whether there is money of this name",
                "parameters": [{ "name": "name", "in": "path", "required": true, "schema": { "type": "integer" } }],
                "responses": { "200": { "description": "Whether.", "content": { "application/json": { "schema": { "type": "boolean" } } } } }
            } }
        },
        "schemas": {}
    }"#;
    type Config = PlayConfig;
    type Secret = Nothing;
    type Input = Mint;
    type Output = Burn;
    type Outcome = u16;
    type Vote = Seen;
    type News = Seen;
    type Job = Seen;
    type Conditions = NoConditions;

    fn new(
        federation: Federation,
        config: PlayConfig,
        _secret: Nothing,
    ) -> Result<Self, BuildError> {
        Ok(Self { federation, config })
    }

    fn check_input(&self, input: &Mint) -> Result<Option<XOnlyPublicKey>, Reject> {
        Ok(input.key)
    }

    fn proofs_hold(&self, inputs: &[Mint]) -> bool {
        inputs.iter().all(|input| input.honest)
    }

    fn output_version(output: &Burn) -> u16 {
        1 + u16::from(output.padding.starts_with(SECOND_KIND))
    }

    /// Software of the first version cannot read what it does not know.
    fn check_output(&self, output: &Burn) -> Result<(), Reject> {
        match Self::output_version(output) <= VERSION {
            true => Ok(()),
            false => Err(Reject::permanent(
                "undecodable",
                "an output that cannot be read",
            )),
        }
    }

    fn input_rows(&self, scope: Scope, input: &Mint) -> Vec<guildmint_core::ledger::Key> {
        vec![Minted(input.name).key(scope)]
    }

    fn vote(&self, agreed: &View<'_, '_>, local: &View<'_, '_>) -> Option<Seen> {
        let seen = local.get(&Sighted)?;
        let counted = agreed.get(&Counted(self.federation.me));
        (counted != Some(seen)).then_some(Seen(seen))
    }

    fn sighted(&self, local: &mut View<'_, '_>, news: Seen) {
        local.put(&Sighted, &news.0);
    }

    fn tip_height(&self, local: &View<'_, '_>) -> Option<u32> {
        local.get(&Sighted)
    }

    fn tally(&self, view: &mut View<'_, '_>, votes: Vec<(PeerId, Seen)>, _at: At) -> Vec<Fault> {
        for (peer, Seen(seen)) in votes {
            view.put(&Counted(peer), &seen);
        }
        Vec::new()
    }

    fn spend(&self, view: &mut View<'_, '_>, input: &Mint, _at: At) -> Result<Spent, Reject> {
        view.insert(&Minted(input.name), &())
            .map_err(|_| Reject::permanent("minted", "this name was used before"))?;
        let balance = view.get(&Balance).unwrap_or(0);
        view.put(&Balance, &balance.saturating_add(input.amount.msat()));
        let limit_msat = self.config.insolvent_above_msat;
        if limit_msat > 0 && input.amount.msat() > limit_msat {
            view.put(&Hole, &u64::MAX);
        }
        let fee = Amount::from_msat(self.config.fee_msat)
            .map_err(|error| Reject::permanent("fee", error))?;
        Ok(Spent {
            amount: input.amount,
            fee,
            key: input.key,
        })
    }

    fn accept(
        &self,
        view: &mut View<'_, '_>,
        output: &Burn,
        _out_point: OutPoint,
        _at: At,
    ) -> Result<Charge, Reject> {
        if self.config.may_owe {
            let owed = view.get(&Owed).unwrap_or(0);
            view.put(&Owed, &owed.saturating_add(output.amount.msat()));
        } else {
            let balance = view.get(&Balance).unwrap_or(0);
            let left = balance
                .checked_sub(output.amount.msat())
                .ok_or_else(|| Reject::retryable("too_poor", "there is not so much play money"))?;
            view.put(&Balance, &left);
        }
        Ok(Charge {
            amount: output.amount,
            fee: Amount::ZERO,
        })
    }

    fn settle(&self, view: &mut View<'_, '_>, _at: At) -> Vec<Seen> {
        let highest = view.scan::<Counted>().into_iter().map(|(_, seen)| seen);
        highest.max().map(Seen).into_iter().collect()
    }

    fn resume(&self, _agreed: &View<'_, '_>, _local: &View<'_, '_>) -> Vec<Seen> {
        Vec::new()
    }

    fn outcome(
        &self,
        _view: &View<'_, '_>,
        _output: &Burn,
        _out_point: OutPoint,
        _asker: Option<VerifiedKey>,
    ) -> Option<Later<u16>> {
        let me = self.federation.me.0;
        Some(Later::slow(move || me))
    }

    fn audit(&self, view: &View<'_, '_>) -> Audit {
        Audit {
            assets_msat: view.get(&Balance).unwrap_or(0),
            liabilities_msat: view.get(&Hole).or(view.get(&Owed)).unwrap_or(0),
        }
    }

    fn query(
        &self,
        agreed: &View<'_, '_>,
        _local: &View<'_, '_>,
        query: &Query,
    ) -> Option<Result<Json, Reject>> {
        let name = query.path.strip_prefix("minted/")?.parse().ok()?;
        Some(Ok(json!(agreed.contains(&Minted(name)))))
    }
}
