//! A federation without a network: all guardians process the same batches in one process, and what each makes of them is
//! compared. Agreement is one vector; all the rest is what guardians run.

mod error;
mod guardian;

use std::collections::BTreeMap;

use guildmint_core::{
    ledger::{Ledger, Memory, View},
    module::{At, DynModule, Query, Registry, Reject},
    Audit, Digest, Epoch, EpochResult, GenesisConfig, ModuleId, OutPoint, PeerId, Quorum,
    Transaction, TxId,
};
use guildmint_engine::{
    Batch, Checked, EffectiveBatch, EpochOutput, Federation, FederationError, Statement,
};
use serde_json::Value as Json;

pub use error::SequencerError;
use guardian::Guardian;

/// How often an epoch is processed at most until no row is missing: which rows a transaction reads may depend on one row
/// that it read before, not on more.
pub const MAX_PASSES: usize = 3;

/// One guardian's secrets.
pub type Secrets = BTreeMap<ModuleId, Vec<u8>>;

/// A whole federation. All guardians have the same agreed rows at any time; every one of them computes its own.
pub struct Sequencer {
    guardians: Vec<Guardian>,
    quorum: Quorum,
    epoch: Epoch,
    digest: Digest,
    pool: Vec<Checked>,
    history: Vec<(EffectiveBatch, EpochResult)>,
}

impl Sequencer {
    /// A federation that has just been founded. Secrets come in the order of guardians.
    ///
    /// # Errors
    /// If config, modules and secrets do not fit together.
    pub fn new(
        genesis: &GenesisConfig,
        registry: &Registry,
        secrets: &[Secrets],
    ) -> Result<Self, SequencerError> {
        genesis.validate().map_err(FederationError::from)?;
        if secrets.len() != genesis.guardians.len() {
            let guardians = genesis.guardians.len();
            return Err(SequencerError::Secrets(guardians, secrets.len()));
        }
        let guardian = |(me, secrets): (u16, &Secrets)| {
            let me = PeerId(me);
            Ok(Guardian {
                me,
                rules: Federation::new(genesis.clone(), me, registry, secrets)?,
                rows: Memory::default(),
            })
        };
        let guardians: Result<Vec<_>, SequencerError> = (0..).zip(secrets).map(guardian).collect();
        let guardians = guardians?;
        Ok(Self {
            quorum: guardians[0].rules.quorum(),
            guardians,
            epoch: Epoch(0),
            digest: Digest::default(),
            pool: Vec::new(),
            history: Vec::new(),
        })
    }

    /// The federation's numbers.
    #[must_use]
    pub fn quorum(&self) -> Quorum {
        self.quorum
    }

    /// When the next epoch will be, by number and agreed clock.
    #[must_use]
    pub fn now(&self) -> At {
        self.rules().now(&mut Ledger::new(self.rows()), self.epoch)
    }

    /// The state that the last epoch led to.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// What had an effect, epoch by epoch, and what it came to.
    #[must_use]
    pub fn history(&self) -> &[(EffectiveBatch, EpochResult)] {
        &self.history
    }

    /// Transactions that wait for the next epoch.
    #[must_use]
    pub fn pool(&self) -> &[Checked] {
        &self.pool
    }

    /// The rules as the first guardian applies them.
    #[must_use]
    pub fn rules(&self) -> &Federation {
        &self.guardians[0].rules
    }

    /// All rows of the first guardian: the agreed ones and its own.
    #[must_use]
    pub fn rows(&self) -> &Memory {
        &self.guardians[0].rows
    }

    fn guardian(&self, peer: PeerId) -> Result<&Guardian, SequencerError> {
        let guardian = self.guardians.get(usize::from(peer.0));
        guardian.ok_or(SequencerError::Stranger(peer))
    }

    /// What each guardian would answer to a client that submits this now. Nothing is changed.
    #[must_use]
    pub fn verdicts(&self, transaction: &Transaction) -> Vec<Result<(), Reject>> {
        let verdict = |guardian: &Guardian| {
            guardian.dry_run(&guardian.check(transaction, self.epoch)?, self.epoch)
        };
        self.guardians.iter().map(verdict).collect()
    }

    /// Submits a transaction as a client does: if it would be accepted now, it goes into the next epoch.
    ///
    /// # Errors
    /// Why not.
    pub fn submit(&mut self, transaction: &Transaction) -> Result<TxId, Reject> {
        let checked = self.guardians[0].check(transaction, self.epoch)?;
        self.guardians[0].dry_run(&checked, self.epoch)?;
        Ok(self.put_in_pool(checked))
    }

    /// Puts a transaction into the next epoch if it holds alone, even if it would be rejected: so does a guardian that is
    /// behind, or lies.
    ///
    /// # Errors
    /// If it does not hold alone.
    pub fn force(&mut self, transaction: &Transaction) -> Result<TxId, Reject> {
        let checked = self.guardians[0].check(transaction, self.epoch)?;
        Ok(self.put_in_pool(checked))
    }

    fn put_in_pool(&mut self, checked: Checked) -> TxId {
        let id = checked.id();
        self.pool.push(checked);
        id
    }

    /// Tells one guardian's module what is to be seen outside.
    ///
    /// # Errors
    /// If there is no such guardian or module, or the news cannot be read.
    pub fn news(&mut self, peer: PeerId, module: ModuleId, news: &[u8]) -> Result<(), Reject> {
        let guardian = self.guardians.get_mut(usize::from(peer.0));
        let unknown = Reject::permanent("unknown_guardian", format!("there is no {peer}"));
        guardian.ok_or(unknown)?.news(module, news)
    }

    /// What a guardian would contribute now, besides transactions.
    ///
    /// # Errors
    /// If there is no such guardian, or one of its modules reads rows that are not resident.
    pub fn statement(&self, peer: PeerId) -> Result<Statement, SequencerError> {
        self.guardian(peer)?.statement()
    }

    /// What all guardians would contribute now.
    ///
    /// # Errors
    /// Those of [`Sequencer::statement`].
    pub fn statements(&self) -> Result<BTreeMap<PeerId, Statement>, SequencerError> {
        let statement = |guardian: &Guardian| Ok((guardian.me, guardian.statement()?));
        self.guardians.iter().map(statement).collect()
    }

    /// Whether there is a reason for an epoch: a transaction, or a vote that changes something (SPEC EPO-7).
    ///
    /// # Errors
    /// Those of [`Sequencer::statement`].
    pub fn has_reason(&self) -> Result<bool, SequencerError> {
        let statements = self.statements()?;
        let votes = statements.values().any(|one| !one.votes.is_empty());
        Ok(votes || !self.pool.is_empty())
    }

    /// One epoch to which all guardians contribute.
    ///
    /// # Errors
    /// If it cannot be committed, or guardians differ. Nothing is changed then.
    pub fn epoch(&mut self) -> Result<EpochOutput, SequencerError> {
        self.epoch_with(self.statements()?)
    }

    /// One epoch with these contributions: some may be absent, and some lies.
    ///
    /// # Errors
    /// If it cannot be committed, or guardians differ. Nothing is changed then.
    pub fn epoch_with(
        &mut self,
        statements: BTreeMap<PeerId, Statement>,
    ) -> Result<EpochOutput, SequencerError> {
        let mut batch = Batch {
            epoch: self.epoch,
            statements,
            transactions: self.pool.clone(),
        };
        let mut outputs = Vec::with_capacity(self.guardians.len());
        for guardian in &self.guardians {
            outputs.push(guardian.process(self.digest, &batch)?);
            // Transactions come to each guardian in another order.
            let turn = batch.transactions.len().min(1);
            batch.transactions.rotate_left(turn);
        }
        for (guardian, output) in self.guardians.iter().zip(&outputs) {
            guardian.compare(&outputs[0], output)?;
        }
        let output = outputs.swap_remove(0);
        for guardian in &mut self.guardians {
            guardian.rows.apply(output.agreed.clone());
        }
        self.pool.clear();
        self.digest = output.result.digest;
        self.epoch = self.epoch.next();
        self.history.push((output.effective.clone(), output.result));
        Ok(output)
    }

    /// Processes the whole history again as this guardian, from nothing, as one that catches up does, and compares what
    /// comes of it (SPEC EPO-7).
    ///
    /// # Errors
    /// If something else comes of it, or nothing.
    pub fn replay(&self, peer: PeerId) -> Result<(), SequencerError> {
        self.guardian(peer)?.replay(&self.history)
    }

    /// Lets a module of a guardian look at its agreed and local rows, as far as they are resident: all that is at hand
    /// between epochs.
    ///
    /// # Errors
    /// If there is no such guardian or module, or it reads other rows.
    pub fn look<T>(
        &self,
        peer: PeerId,
        module: ModuleId,
        look: impl FnOnce(&dyn DynModule, &View<'_, '_>, &View<'_, '_>) -> T,
    ) -> Result<T, SequencerError> {
        self.guardian(peer)?.look(module, look)
    }

    /// The balance sheet, module by module.
    ///
    /// # Errors
    /// If a module's part of it is not resident.
    pub fn audit(&self) -> Result<BTreeMap<ModuleId, Audit>, SequencerError> {
        let part = |id| self.look(PeerId(0), id, |module, agreed, _| module.audit(agreed));
        let modules = self.rules().modules();
        modules.map(|(id, _)| Ok((id, part(id)?))).collect()
    }

    /// Asks a module of one guardian.
    #[must_use]
    pub fn query(
        &self,
        peer: PeerId,
        module: ModuleId,
        query: &Query,
    ) -> Option<Result<Json, Reject>> {
        self.guardian(peer).ok()?.query(module, query)
    }

    /// What one guardian tells the owner of an output; `None` if it was not accepted or there is nothing to tell.
    #[must_use]
    pub fn outcome(&self, peer: PeerId, out_point: OutPoint) -> Option<Json> {
        self.guardian(peer).ok()?.outcome(out_point)
    }
}
