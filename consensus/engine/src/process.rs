//! The ordered stage: what an epoch makes of a batch. Pure, deterministic, cheap (architecture: one epoch, one commit).

use std::collections::{BTreeMap, BTreeSet};

use guildmint_core::{
    ledger::{Base, Changes, Key, Ledger, Obstacle, Row, Scope, Space},
    module::{At, Audit, Fault, Reject},
    Amount, Digest, Epoch, EpochResult, Item, ModuleId, OutPoint, PeerId, Tagged, TxId,
};

use crate::{
    contribution::{without_duplicates, EffectiveBatch, Statement},
    rows::{Accepted, AcceptedTransaction, Clock, Tip},
    upgrade::{version_at, ENGINE, FIRST},
    Checked, Federation, Versions,
};

/// What was agreed, ready to be processed: who said what, and transactions that hold alone.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The epoch.
    pub epoch: Epoch,
    /// What those whose contributions count stated.
    pub statements: BTreeMap<PeerId, Statement>,
    /// Their transactions, in any order, the same one perhaps several times.
    pub transactions: Vec<Checked>,
}

/// What an epoch came to.
#[derive(Debug)]
pub struct EpochOutput {
    /// The rows that all guardians change alike.
    pub agreed: Changes,
    /// What history keeps.
    pub effective: EffectiveBatch,
    /// What is signed and certified.
    pub result: EpochResult,
    /// For each transaction of the batch whether it was accepted.
    pub verdicts: BTreeMap<TxId, Result<(), Reject>>,
    /// The versions that count from the next epoch on.
    pub versions: Versions,
    /// What the outside world must be asked for.
    pub jobs: Vec<(ModuleId, Vec<u8>)>,
    /// Who misbehaved.
    pub faults: Vec<Fault>,
    /// The balance sheet, module by module.
    pub audit: BTreeMap<ModuleId, Audit>,
}

/// Why an epoch cannot be committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// Rows are missing: load them and begin again.
    Missing(BTreeSet<Key>),
    /// The database is damaged at this row.
    Corrupt(Key),
    /// More is owed than owned. No guardian commits this (SPEC AUD-1).
    Insolvent {
        /// What is owned, in millisatoshi.
        assets_msat: u128,
        /// What is owed, in millisatoshi.
        liabilities_msat: u128,
    },
}

impl Federation {
    /// Rows that the batch will read, as far as the modules can tell: loading them at once saves passes.
    #[must_use]
    pub fn rows_hint(&self, batch: &Batch) -> BTreeSet<Key> {
        batch
            .transactions
            .iter()
            .flat_map(|checked| self.transaction_rows(checked))
            .filter(|key| !key.is_resident())
            .collect()
    }

    /// The same for one transaction.
    #[must_use]
    pub fn transaction_rows(&self, checked: &Checked) -> Vec<Key> {
        let engine = Scope::engine(Space::Agreed);
        let mut keys = vec![Accepted(checked.id()).key(engine)];
        let transaction = checked.transaction();
        for input in &transaction.inputs {
            if let Ok(module) = self.module(input.module) {
                let scope = Scope::module(Space::Agreed, input.module);
                keys.extend(module.input_rows(scope, &input.bytes));
            }
        }
        for output in &transaction.outputs {
            if let Ok(module) = self.module(output.module) {
                let scope = Scope::module(Space::Agreed, output.module);
                keys.extend(module.output_rows(scope, &output.bytes));
            }
        }
        keys
    }

    /// Processes one epoch. Changes nothing; what is to be changed is in the output.
    ///
    /// # Errors
    /// If rows are missing (it is then called again with more), or the epoch may not be committed at all.
    pub fn process_epoch(
        &self,
        rows: &dyn Base,
        previous: Digest,
        batch: &Batch,
    ) -> Result<EpochOutput, Stop> {
        let mut ledger = Ledger::new(rows);
        let mut faults = Vec::new();
        let mut statements = batch.statements.clone();
        let at = At {
            epoch: batch.epoch,
            height: advance_clock(&mut ledger, self.quorum().max_faulty(), &statements),
            version: FIRST,
        };
        self.count_versions(&mut ledger, &mut statements, at.epoch, &mut faults);
        self.count_revisions(&mut ledger, &mut statements, &mut faults);
        self.tally(&mut ledger, &mut statements, at, &mut faults);
        let (accepted, verdicts) =
            self.apply_all(&mut ledger, order(previous, &batch.transactions), at);
        let jobs = self.settle(&mut ledger, at);
        self.agree_on_revision(&mut ledger, at.epoch);
        let audit = self.audit(&mut ledger);
        let versions = self.versions(&mut ledger, batch.epoch.next());
        let agreed = ledger.finish().map_err(|obstacle| match obstacle {
            Obstacle::Missing(keys) => Stop::Missing(keys),
            Obstacle::Corrupt(key) => Stop::Corrupt(key),
        })?;
        solvent(&audit)?;
        let effective = EffectiveBatch {
            epoch: batch.epoch,
            statements,
            transactions: accepted,
        };
        let result = EpochResult {
            epoch: batch.epoch,
            previous,
            batch: effective.hash(),
            digest: digest(previous, batch.epoch, &agreed),
        };
        Ok(EpochOutput {
            agreed,
            effective,
            result,
            verdicts,
            versions,
            jobs,
            faults,
            audit,
        })
    }

    /// The agreed clock as the rows say, for an epoch that is yet to come.
    #[must_use]
    pub fn now(&self, ledger: &mut Ledger<'_>, epoch: Epoch) -> At {
        let view = ledger.view(Scope::engine(Space::Agreed));
        At {
            epoch,
            height: view.get(&Clock).unwrap_or(0),
            version: FIRST,
        }
    }

    /// The balance sheet, module by module.
    #[must_use]
    pub fn audit(&self, ledger: &mut Ledger<'_>) -> BTreeMap<ModuleId, Audit> {
        self.modules()
            .map(|(id, module)| (id, module.audit(&self.view(ledger, id))))
            .collect()
    }

    /// Counts votes, and drops from the statements those that did not count. ⚠ Votes that changed no row count for nothing:
    /// else one guardian could keep all of them busy with nothing, and fill their history with it (SPEC EPO-7).
    fn tally(
        &self,
        ledger: &mut Ledger<'_>,
        statements: &mut BTreeMap<PeerId, Statement>,
        at: At,
        faults: &mut Vec<Fault>,
    ) {
        let known = self.modules().map(|(id, _)| id).chain([ENGINE]);
        let known: BTreeSet<ModuleId> = known.collect();
        for (peer, statement) in statements.iter_mut() {
            let before = statement.votes.len();
            statement.votes.retain(|module, _| known.contains(module));
            if statement.votes.len() < before {
                faults.push(Fault {
                    peer: *peer,
                    kind: "vote for a module that does not exist".into(),
                });
            }
        }
        for (id, module) in self.modules() {
            let votes: Vec<(PeerId, &[u8])> = statements
                .iter()
                .filter_map(|(peer, statement)| {
                    Some((*peer, statement.votes.get(&id)?.0.as_slice()))
                })
                .collect();
            if votes.is_empty() {
                continue;
            }
            ledger.begin();
            let at = for_module(ledger, id, at);
            let (mut counted, found) = module.tally(&mut self.view(ledger, id), &votes, at);
            faults.extend(found);
            if ledger.has_changed() {
                ledger.keep();
            } else {
                ledger.discard();
                counted.clear();
            }
            for (peer, statement) in statements.iter_mut() {
                if !counted.contains(peer) {
                    statement.votes.remove(&id);
                }
            }
        }
    }

    fn apply_all(
        &self,
        ledger: &mut Ledger<'_>,
        transactions: Vec<&Checked>,
        at: At,
    ) -> (
        Vec<guildmint_core::Transaction>,
        BTreeMap<TxId, Result<(), Reject>>,
    ) {
        let mut accepted = Vec::new();
        let mut verdicts = BTreeMap::new();
        for checked in transactions {
            ledger.begin();
            let verdict = self.apply(ledger, checked, at);
            match verdict {
                Ok(()) => {
                    ledger.keep();
                    accepted.push(checked.transaction().clone());
                }
                Err(_) => ledger.discard(),
            }
            verdicts.insert(checked.id(), verdict);
        }
        (accepted, verdicts)
    }

    /// Applies one transaction to the ledger's scratch layer.
    pub(crate) fn apply(
        &self,
        ledger: &mut Ledger<'_>,
        checked: &Checked,
        at: At,
    ) -> Result<(), Reject> {
        let transaction = checked.transaction();
        let row = AcceptedTransaction {
            epoch: at.epoch,
            transaction: transaction.clone(),
        };
        ledger
            .view(Scope::engine(Space::Agreed))
            .insert(&Accepted(checked.id()), &row)
            .map_err(|_| {
                Reject::permanent("already_accepted", "the transaction was accepted before")
            })?;
        let mut income = Sum::default();
        for (input, key) in transaction.inputs.iter().zip(checked.keys()) {
            let at = for_module(ledger, input.module, at);
            let spent = self.module(input.module)?.spend(
                &mut self.view(ledger, input.module),
                &input.bytes,
                at,
            )?;
            if spent.key != *key {
                return Err(Reject::permanent(
                    "invalid_signature",
                    "an input is not signed by its owner",
                ));
            }
            income.add(spent.amount, spent.fee);
        }
        let mut expense = Sum::default();
        for (index, output) in transaction.outputs.iter().enumerate() {
            let out_point = OutPoint {
                txid: checked.id(),
                index: u16::try_from(index).unwrap_or(u16::MAX),
            };
            expense.add_charge(self.accept(ledger, output, out_point, at)?);
        }
        income.balance(&expense)
    }

    fn accept(
        &self,
        ledger: &mut Ledger<'_>,
        output: &Item,
        out_point: OutPoint,
        at: At,
    ) -> Result<guildmint_core::module::Charge, Reject> {
        let module = self.module(output.module)?;
        let at = for_module(ledger, output.module, at);
        let mut view = self.view(ledger, output.module);
        module.accept(&mut view, &output.bytes, out_point, at)
    }

    fn settle(&self, ledger: &mut Ledger<'_>, at: At) -> Vec<(ModuleId, Vec<u8>)> {
        let mut jobs = Vec::new();
        for (id, module) in self.modules() {
            let at = for_module(ledger, id, at);
            let settled = module.settle(&mut self.view(ledger, id), at);
            jobs.extend(settled.into_iter().map(|job| (id, job)));
        }
        jobs
    }
}

/// Sums in u128: no list of amounts overflows them (SPEC GEN-3).
#[derive(Default)]
struct Sum {
    amount_msat: u128,
    fee_msat: u128,
}

impl Sum {
    fn add(&mut self, amount: Amount, fee: Amount) {
        self.amount_msat += u128::from(amount.msat());
        self.fee_msat += u128::from(fee.msat());
    }

    fn add_charge(&mut self, charge: guildmint_core::module::Charge) {
        self.add(charge.amount, charge.fee);
    }

    /// Inputs = outputs + fees, exactly (SPEC TX-4).
    fn balance(&self, expense: &Self) -> Result<(), Reject> {
        let due = expense.amount_msat + expense.fee_msat + self.fee_msat;
        if self.amount_msat == due {
            return Ok(());
        }
        let message = format!(
            "inputs bring {} msat, but outputs and fees take {due} msat; fees may have been revised: see /v1/revisions",
            self.amount_msat
        );
        // ⚠ After another revision, or at a guardian that is ahead of this one, it may be right: nothing that it spends is free
        // before something else has spent it (SPEC GEN-6).
        Err(Reject::retryable("unbalanced", message))
    }
}

/// The same moment as a module is told of it.
fn for_module(ledger: &mut Ledger<'_>, module: ModuleId, at: At) -> At {
    let version = version_at(ledger, module, at.epoch);
    At { version, ..at }
}

/// Takes the stated tips into account; the clock is the (f + 1)-th highest of all guardians' latest, and never goes back
/// (SPEC GEN-8): f liars can neither push it ahead nor hold it back.
fn advance_clock(
    ledger: &mut Ledger<'_>,
    max_faulty: usize,
    statements: &BTreeMap<PeerId, Statement>,
) -> u32 {
    let mut view = ledger.view(Scope::engine(Space::Agreed));
    for (peer, statement) in statements {
        if let Some(height) = statement.tip_height {
            if view.get(&Tip(*peer)) != Some(height) {
                view.put(&Tip(*peer), &height);
            }
        }
    }
    let mut tips: Vec<u32> = view.scan::<Tip>().into_iter().map(|(_, tip)| tip).collect();
    tips.sort_unstable_by(|a, b| b.cmp(a));
    let before = view.get(&Clock).unwrap_or(0);
    let now = tips.get(max_faulty).copied().unwrap_or(0).max(before);
    if now != before {
        view.put(&Clock, &now);
    }
    now
}

/// The order in an epoch: unpredictable before the previous epoch's end, so that nobody can choose a place in it.
fn order(previous: Digest, transactions: &[Checked]) -> Vec<&Checked> {
    let mut transactions = without_duplicates(transactions, |checked| checked.id());
    transactions.sort_by_cached_key(|checked| {
        Tagged::new("guildmint/order")
            .add(previous)
            .add(checked.id())
            .finish()
    });
    transactions
}

fn digest(previous: Digest, epoch: Epoch, agreed: &Changes) -> Digest {
    let mut hash = Tagged::new("guildmint/digest")
        .add(previous)
        .add(epoch.0.to_le_bytes());
    for (key, value) in agreed {
        hash = hash.field(&key.0).add([u8::from(value.is_some())]);
        hash = hash.field(value.as_deref().unwrap_or_default());
    }
    Digest(hash.finish())
}

fn solvent(audit: &BTreeMap<ModuleId, Audit>) -> Result<(), Stop> {
    let sum = |part: fn(&Audit) -> u64| audit.values().map(|audit| u128::from(part(audit))).sum();
    let assets_msat: u128 = sum(|audit| audit.assets_msat);
    let liabilities_msat: u128 = sum(|audit| audit.liabilities_msat);
    if assets_msat < liabilities_msat {
        return Err(Stop::Insolvent {
            assets_msat,
            liabilities_msat,
        });
    }
    Ok(())
}
