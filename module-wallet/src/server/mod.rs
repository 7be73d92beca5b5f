//! What a guardian runs.

use bitcoin::secp256k1::XOnlyPublicKey;
use guildmint_core::{
    ledger::{Key, Row, Scope, View},
    module::{
        revised, At, Audit, BuildError, Charge, Fault, Federation, Later, Query, Reject,
        ServerModule, Spent, VerifiedKey,
    },
    OutPoint, PeerId,
};
use serde_json::Value as Json;

use crate::{
    conditions::WalletConditions,
    config::{WalletConfig, WalletSecret},
    descriptor::FederationDescriptor,
    peg_in::PegInProof,
    peg_out::PegOut,
    types::{Job, News, PegOutStatus, Vote},
};

mod audit;
mod build;
mod bump;
mod chain;
mod freeze;
mod peg_in;
mod peg_out;
mod query;
mod recoverable;
mod rows;
mod sign;
mod slots;
mod vote;

pub use recoverable::recoverable;
pub use rows::{Coin, CoinAt};

use rows::{AgreedBlock, Claimed, PegOutAt};

/// The wallet module of one guardian.
pub struct Wallet {
    federation: Federation,
    config: WalletConfig,
    secret: WalletSecret,
    descriptor: FederationDescriptor,
}

impl ServerModule for Wallet {
    const KIND: &'static str = crate::KIND;
    const QUESTIONS: &'static str = include_str!("questions.json");

    type Config = WalletConfig;
    type Secret = WalletSecret;
    type Input = PegInProof;
    type Output = PegOut;
    type Outcome = PegOutStatus;
    type Vote = Vote;
    type News = News;
    type Job = Job;
    type Conditions = WalletConditions;

    fn new(
        federation: Federation,
        config: WalletConfig,
        secret: WalletSecret,
    ) -> Result<Self, BuildError> {
        let contradiction = |problem: String| BuildError::Contradiction {
            kind: Self::KIND,
            problem,
        };
        config
            .validate(federation.quorum)
            .map_err(|error| contradiction(error.to_string()))?;
        let descriptor = config
            .descriptor(federation.quorum)
            .map_err(|error| contradiction(error.to_string()))?;
        if config.network != federation.network {
            return Err(contradiction(format!(
                "it is on {}, the federation on {}",
                config.network, federation.network
            )));
        }
        if config.guardians.get(usize::from(federation.me.0)) != Some(&secret.public()) {
            return Err(contradiction(format!(
                "the secret is not that of {}",
                federation.me
            )));
        }
        Ok(Self {
            federation,
            config,
            secret,
            descriptor,
        })
    }

    fn conditions(&self) -> Option<WalletConditions> {
        Some(WalletConditions::from(&self.config))
    }

    fn check_conditions(&self, conditions: &WalletConditions) -> Result<(), String> {
        self.config.allows(conditions, self.federation.quorum)
    }

    /// By the least deposit of the founding: there is never a lower one, and a higher one is asked for in `credit`.
    fn check_input(&self, input: &PegInProof) -> Result<Option<XOnlyPublicKey>, Reject> {
        input
            .check(&self.descriptor, self.config.min_peg_in_sat)
            .map_err(|error| peg_in::reject(&error))?;
        Ok(Some(input.tweak_key))
    }

    /// `check_input` leaves nothing over.
    fn proofs_hold(&self, _inputs: &[PegInProof]) -> bool {
        true
    }

    fn check_output(&self, output: &PegOut) -> Result<(), Reject> {
        output
            .check(self.config.network)
            .map_err(|error| peg_out::reject(&error))?;
        Ok(())
    }

    fn input_rows(&self, scope: Scope, input: &PegInProof) -> Vec<Key> {
        input.claim().map_or_else(
            |_| Vec::new(),
            |deposit| {
                let block = AgreedBlock(deposit.block).key(scope);
                vec![block, Claimed(deposit.outpoint).key(scope)]
            },
        )
    }

    fn vote(&self, agreed: &View<'_, '_>, local: &View<'_, '_>) -> Option<Vote> {
        self.say(agreed, local)
    }

    fn sighted(&self, local: &mut View<'_, '_>, news: News) {
        vote::remember(local, news);
    }

    fn tip_height(&self, local: &View<'_, '_>) -> Option<u32> {
        vote::sighting(local).tip_height
    }

    fn tally(&self, view: &mut View<'_, '_>, votes: Vec<(PeerId, Vote)>, _at: At) -> Vec<Fault> {
        self.count(view, &votes)
    }

    fn spend(&self, view: &mut View<'_, '_>, input: &PegInProof, _at: At) -> Result<Spent, Reject> {
        self.credit(view, input)
    }

    fn accept(
        &self,
        view: &mut View<'_, '_>,
        output: &PegOut,
        out_point: OutPoint,
        _at: At,
    ) -> Result<Charge, Reject> {
        self.enqueue(view, output, out_point)
    }

    fn settle(&self, view: &mut View<'_, '_>, _at: At) -> Vec<Job> {
        self.close_confirmed(view);
        let mut jobs = self.finish_signed(view);
        // Those that were accepted earlier come first when the surplus is short.
        self.bump_stuck(view);
        self.pay_queued(view);
        self.refresh_old(view);
        jobs.extend(self.announce(view));
        jobs
    }

    fn resume(&self, agreed: &View<'_, '_>, _local: &View<'_, '_>) -> Vec<Job> {
        let mut jobs = slots::broadcasts(agreed);
        jobs.push(self.watch(agreed));
        jobs
    }

    fn outcome(
        &self,
        view: &View<'_, '_>,
        _output: &PegOut,
        out_point: OutPoint,
        _asker: Option<VerifiedKey>,
    ) -> Option<Later<PegOutStatus>> {
        let progress = view.get(&PegOutAt(out_point))?;
        slots::status(view, progress).map(Later::now)
    }

    fn audit(&self, view: &View<'_, '_>) -> Audit {
        audit::audit(view)
    }

    fn query(
        &self,
        agreed: &View<'_, '_>,
        local: &View<'_, '_>,
        query: &Query,
    ) -> Option<Result<Json, Reject>> {
        self.answer(agreed, local, query)
    }
}

impl Wallet {
    /// What counts now of all that may change (SPEC GEN-6).
    fn present(&self, agreed: &View<'_, '_>) -> WalletConditions {
        revised(agreed).unwrap_or_else(|| WalletConditions::from(&self.config))
    }
}
