//! What a story can do, and what is kept of it.

use std::{collections::BTreeMap, marker::PhantomData};

use bitcoin::secp256k1::schnorr::Signature;
use guildmint_core::{
    module::{Query, Registry, Reject, ServerModule},
    Amount, FederationId, Item, ModuleConfig, OutPoint, PeerId, Quorum, Transaction, TxId, Wire,
};
use guildmint_engine::EpochOutput;
use serde_json::Value as Json;

use super::{Dealt, MODULE};
use crate::{
    genesis,
    play::{self, Burn, Mint, Nothing, PlayConfig, PlayMoney},
    sequencer::Secrets,
    Sequencer,
};

/// A federation with the module under test and play money.
pub struct World<M> {
    pub(super) sequencer: Sequencer,
    pub(super) recorded: Recorded,
    jobs: Vec<Vec<u8>>,
    verdicts: BTreeMap<TxId, Result<(), Reject>>,
    names: u64,
    module: PhantomData<M>,
}

/// Everything encoded that came up in a story.
#[derive(Debug, Clone, Default)]
pub struct Recorded {
    /// Inputs of the module that were submitted.
    pub inputs: Vec<Vec<u8>>,
    /// Outputs of the module that were submitted.
    pub outputs: Vec<Vec<u8>>,
    /// Votes of the module.
    pub votes: Vec<Vec<u8>>,
    /// News for the module, and for whom.
    pub news: Vec<(PeerId, Vec<u8>)>,
    /// Jobs of the module.
    pub jobs: Vec<Vec<u8>>,
    /// Questions to the module.
    pub queries: Vec<Query>,
    /// How many of the module's inputs were accepted.
    pub accepted_inputs: usize,
    /// How many of the module's outputs were accepted.
    pub accepted_outputs: usize,
    /// How many transactions were rejected.
    pub rejected: usize,
}

impl<M: ServerModule> World<M> {
    pub(super) fn new(quorum: Quorum, (config, secrets): &Dealt<M>) -> Self {
        let play = PlayConfig {
            may_owe: true,
            ..PlayConfig::default()
        };
        let entry = |kind: &str, config: Vec<u8>| ModuleConfig {
            kind: kind.into(),
            config,
        };
        let modules = BTreeMap::from([
            (MODULE, entry(M::KIND, config.encode())),
            (play::MODULE, entry(PlayMoney::KIND, play.encode())),
        ]);
        let secrets: Vec<Secrets> = secrets
            .iter()
            .map(|secret| [(MODULE, secret.encode()), (play::MODULE, Nothing.encode())].into())
            .collect();
        let registry = Registry::default().with::<PlayMoney>().with::<M>();
        let sequencer = Sequencer::new(&genesis(quorum, modules), &registry, &secrets);
        Self {
            sequencer: sequencer.unwrap_or_else(|error| panic!("{error}")),
            recorded: Recorded::default(),
            jobs: Vec::new(),
            verdicts: BTreeMap::new(),
            names: 0,
            module: PhantomData,
        }
    }

    /// The federation's numbers.
    #[must_use]
    pub fn quorum(&self) -> Quorum {
        self.sequencer.quorum()
    }

    /// The federation's name.
    #[must_use]
    pub fn federation(&self) -> FederationId {
        self.sequencer.rules().id()
    }

    /// An input that pays this much play money in.
    pub fn pay_in(&mut self, amount: Amount) -> Item {
        self.names += 1;
        let mint = Mint {
            name: self.names,
            amount,
            key: None,
            honest: true,
        };
        Item::new(play::MODULE, &mint)
    }

    /// An output that takes this much play money out.
    #[must_use]
    pub fn pay_out(&self, amount: Amount) -> Item {
        let padding = Vec::new();
        Item::new(play::MODULE, &Burn { amount, padding })
    }

    /// Submits a transaction; `sign` makes the signatures, one for each input. If guardians would reject it but it holds
    /// alone, it goes into the next epoch all the same, as if some guardians were behind, and is rejected there.
    ///
    /// # Errors
    /// What the guardians answered.
    ///
    /// # Panics
    /// If they answered differently.
    pub fn submit(
        &mut self,
        inputs: Vec<Item>,
        outputs: Vec<Item>,
        sign: impl FnOnce(TxId) -> Vec<Option<Signature>>,
    ) -> Result<TxId, Reject> {
        let mut transaction = Transaction {
            inputs,
            outputs,
            signatures: Vec::new(),
        };
        let id = transaction.id(self.federation());
        transaction.signatures = sign(id);
        let ours = |item: &&Item| item.module == MODULE;
        let bytes = |item: &Item| item.bytes.clone();
        let (inputs, outputs) = (&transaction.inputs, &transaction.outputs);
        self.recorded
            .inputs
            .extend(inputs.iter().filter(ours).map(bytes));
        self.recorded
            .outputs
            .extend(outputs.iter().filter(ours).map(bytes));
        let verdicts = self.sequencer.verdicts(&transaction);
        let first = verdicts[0].clone();
        for verdict in verdicts {
            assert_eq!(verdict, first, "guardians answer differently");
        }
        match self.sequencer.force(&transaction) {
            Ok(id) => first.map(|()| id),
            Err(error) => {
                assert!(first.is_err(), "{error}");
                Err(error)
            }
        }
    }

    /// Tells a guardian's module what is to be seen outside.
    ///
    /// # Panics
    /// If the news does not come through its own encoding.
    pub fn news(&mut self, peer: PeerId, news: &M::News) {
        let bytes = news.encode();
        self.recorded.news.push((peer, bytes.clone()));
        let taken = self.sequencer.news(peer, MODULE, &bytes);
        taken.unwrap_or_else(|error| panic!("{error}"));
    }

    /// A guardian sees the chain's tip at this height: play money watches it, and the clock follows (SPEC GEN-8).
    ///
    /// # Panics
    /// If there is no such guardian.
    pub fn tip(&mut self, peer: PeerId, height: u32) {
        let taken = self
            .sequencer
            .news(peer, play::MODULE, &play::Seen(height).encode());
        taken.unwrap_or_else(|error| panic!("{error}"));
    }

    /// The agreed clock.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.sequencer.now().height
    }

    /// What the module asked the outside world for in the last epoch.
    ///
    /// # Panics
    /// If a job does not come through its own encoding.
    #[must_use]
    pub fn jobs(&self) -> Vec<M::Job> {
        let decode = |job: &Vec<u8>| M::Job::decode(job).unwrap_or_else(|error| panic!("{error}"));
        self.jobs.iter().map(decode).collect()
    }

    /// What became of a transaction of the last epoch; `None` if it was in none, or in an earlier one.
    #[must_use]
    pub fn verdict(&self, txid: TxId) -> Option<&Result<(), Reject>> {
        self.verdicts.get(&txid)
    }

    /// Whether a transaction was accepted in the last epoch.
    #[must_use]
    pub fn was_accepted(&self, txid: TxId) -> bool {
        self.verdict(txid).is_some_and(Result::is_ok)
    }

    /// What each guardian tells the owner of an output, as far as there is anything to tell.
    #[must_use]
    pub fn outcomes(&self, out_point: OutPoint) -> BTreeMap<PeerId, Json> {
        let outcome = |peer| Some((peer, self.sequencer.outcome(peer, out_point)?));
        self.quorum().peers().filter_map(outcome).collect()
    }

    /// Asks a guardian; `None` if there is no such path.
    pub fn query(
        &mut self,
        peer: PeerId,
        path: &str,
        parameters: &[(&str, String)],
    ) -> Option<Result<Json, Reject>> {
        let query = Query {
            path: path.to_owned(),
            parameters: parameters
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect(),
        };
        let answer = self.sequencer.query(peer, MODULE, &query);
        self.recorded.queries.push(query);
        answer
    }

    /// Remembers what came of an epoch.
    pub(super) fn record(&mut self, output: &EpochOutput) {
        let ours = |items: &[Item]| items.iter().filter(|item| item.module == MODULE).count();
        for transaction in &output.effective.transactions {
            self.recorded.accepted_inputs += ours(&transaction.inputs);
            self.recorded.accepted_outputs += ours(&transaction.outputs);
        }
        self.recorded.rejected += output.verdicts.values().filter(|v| v.is_err()).count();
        for statement in output.effective.statements.values() {
            let vote = statement.votes.get(&MODULE);
            self.recorded.votes.extend(vote.map(|vote| vote.0.clone()));
        }
        let jobs = output.jobs.iter();
        let jobs = jobs.filter(|(module, _)| *module == MODULE);
        self.jobs = jobs.map(|(_, job)| job.clone()).collect();
        self.recorded.jobs.extend(self.jobs.iter().cloned());
        self.verdicts.clone_from(&output.verdicts);
    }
}
